//! The only lists of providers, stores and connectors.

use crate::cli::{Error, Home, Kept};
#[cfg(not(all(feature = "shared", feature = "sled")))]
use cloudtik_core::Diagnostic;
use cloudtik_core::{host::Connector, node::Compile, provider::Provider, secret::Secrets, state::Store};
use cloudtik_engine::{Discreet, Registry};
use cloudtik_redb::RedbStore;
use cloudtik_runtime::{Catalog, Runtime};
use cloudtik_ssh::{SshConfig, SshConnector, SshProvider};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Everything this binary can work with.
pub struct Platform {
    pub engine: Registry,
    pub compilers: BTreeMap<&'static str, Arc<dyn Compile>>,
    pub connectors: BTreeMap<String, Arc<dyn Connector>>,
    pub catalog: Catalog,
}

/// What a command line asks of providers, told to them when they are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlatformOptions {
    /// `--upgrade-image`: a machine image that is recorded as pinned is reported as outdated when there is a newer one.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only clouds have machine images"))]
    pub upgrade_image: bool,
}

/// One provider: how its documents compile, how its resources are managed, how its nodes are reached.
struct Part {
    name: &'static str,
    compile: Arc<dyn Compile>,
    manage: Arc<dyn Provider>,
    connect: Option<Arc<dyn Connector>>,
}

/// The providers in this build.
#[cfg_attr(not(feature = "aws"), allow(unused_variables, reason = "only clouds take options"))]
fn parts(home: &Path, cache: &Path, options: PlatformOptions) -> Result<Vec<Part>, Error> {
    Ok(vec![
        #[cfg(feature = "aws")]
        aws(options)?,
        #[cfg(feature = "local")]
        local(home, cache)?,
    ])
}

/// Providers whose objects live in the state folder itself, and stay there.
pub const IN_FOLDER: &[&str] = &["local"];

/// Their names, as documents use them.
pub fn providers() -> BTreeSet<String> {
    let names: &[&str] = &[
        #[cfg(feature = "aws")]
        "aws",
        #[cfg(feature = "local")]
        "local",
    ];
    names.iter().map(ToString::to_string).collect()
}

#[cfg(feature = "aws")]
fn aws(options: PlatformOptions) -> Result<Part, Error> {
    let keys = crate::cli::home()?.join(".ssh");
    let options = cloudtik_aws::Options { upgrade_image: options.upgrade_image, keys };
    let aws = Arc::new(cloudtik_aws::Aws::new(cloudtik_aws::connect(), options));
    Ok(Part { name: "aws", compile: aws.clone(), manage: aws, connect: None })
}

#[cfg(feature = "local")]
fn local(home: &Path, cache: &Path) -> Result<Part, Error> {
    let config = cloudtik_local::LocalConfig::new(home.join("local"), cache.to_path_buf())
        .map_err(Error::io("find this program's own file"))?;
    let local = Arc::new(cloudtik_local::Local::new(config.clone()));
    let connector = Arc::new(cloudtik_local::LocalConnector::new(config));
    Ok(Part { name: "local", compile: local.clone(), manage: local, connect: Some(connector) })
}

/// Runs a hidden subcommand of a provider; `None` when `args` is an ordinary command line.
pub fn hidden(args: &[OsString]) -> Option<u8> {
    type Hidden = fn(&[OsString]) -> Option<u8>;
    let hidden: &[Hidden] = &[
        #[cfg(feature = "local")]
        cloudtik_local::hidden,
    ];
    hidden.iter().find_map(|run| run(args))
}

pub fn store(home: &Home) -> Result<Arc<dyn Store>, Error> {
    match &home.kept {
        Kept::Here => Ok(Arc::new(RedbStore::new(&home.folder))),
        Kept::Sled => sled(&home.folder),
        Kept::At(place) => shared(place),
    }
}

#[cfg(feature = "shared")]
fn shared(place: &str) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(cloudtik_objects::ObjectsStore::open(place)?))
}

#[cfg(not(feature = "shared"))]
fn shared(place: &str) -> Result<Arc<dyn Store>, Error> {
    Err(lacking(place, "shared"))
}

#[cfg(feature = "sled")]
fn sled(folder: &Path) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(cloudtik_sled::SledStore::new(folder)))
}

#[cfg(not(feature = "sled"))]
fn sled(folder: &Path) -> Result<Arc<dyn Store>, Error> {
    Err(lacking(&format!("sled:{}", folder.display()), "sled"))
}

#[cfg(not(all(feature = "shared", feature = "sled")))]
fn lacking(place: &str, feature: &str) -> Error {
    let problem = Diagnostic::error("state-store", "a state store that this build lacks")
        .detail(format!("`{place}` is no folder"));
    Error::request(problem.hint(format!("name a folder, or build with `--features {feature}`")))
}

/// Whether a panic on this thread is caught by who causes it, who makes an error of it.
pub fn catches() -> bool {
    #[cfg(feature = "sled")]
    return cloudtik_sled::catches();
    #[cfg(not(feature = "sled"))]
    false
}

/// The runtimes that documents may select: the shipped ones, and those in the user's own folders.
pub fn catalog(folders: &[PathBuf]) -> Result<Catalog, Error> {
    Catalog::with_folders(folders).map_err(|diagnostics| Error::Problems { diagnostics, sources: Box::default() })
}

/// Providers over one state home, none of which gives a secret away. `cache` holds artifacts; `folders` the user's own templates.
pub fn platform(
    home: &Path,
    cache: &Path,
    folders: &[PathBuf],
    options: PlatformOptions,
    secrets: Arc<Secrets>,
) -> Result<Platform, Error> {
    let parts = parts(home, cache, options)?;
    // Machines over SSH belong to no provider in particular.
    let ssh = SshConnector::new(SshConfig::default());
    let waiting: Arc<dyn Provider> = Arc::new(SshProvider::new(ssh.clone()));
    let own: Arc<dyn Connector> = Arc::new(ssh);
    let connectors: BTreeMap<String, Arc<dyn Connector>> =
        parts.iter().filter_map(|part| part.connect.clone()).chain([own]).map(|c| (c.via().to_string(), c)).collect();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut runtime = Runtime::new(connectors.clone(), cache.to_path_buf(), variable("CLOUDTIK_ARTIFACT_MIRROR"));
    if let Some(index) = variable("PIP_INDEX_URL") {
        runtime = runtime.index(index);
    }
    let runtime: Arc<dyn Provider> = Arc::new(runtime);
    let discreet =
        |provider: Arc<dyn Provider>| -> Arc<dyn Provider> { Arc::new(Discreet::new(provider, secrets.clone())) };
    let providers = parts.iter().map(|part| part.manage.clone()).chain([waiting, runtime]);
    Ok(Platform {
        engine: Registry::new(providers.map(discreet)),
        compilers: parts.into_iter().map(|part| (part.name, part.compile)).collect(),
        connectors,
        catalog: catalog(folders)?,
    })
}
