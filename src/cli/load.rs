//! From paths on the command line to declarations.

use super::{
    context::{Context, SLED, World},
    error::Error,
    secrets,
};
use crate::registry::{self, PlatformOptions};
use cloudtik_config::{LoadOptions, Loaded, Problems, Purpose};
use cloudtik_core::{
    Declaration, Diagnostic, Scope, Severity, Sources,
    document::{Cluster, Document},
};
use cloudtik_runtime::Compiled;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Error::Problems { diagnostics: problems.diagnostics, sources: Box::new(problems.sources) }
    }
}

/// Values that the command line puts over the documents, by dotted path.
pub type Overrides = Vec<(String, serde_json::Value)>;

/// Documents as checked for a purpose.
pub fn documents(
    context: &Context,
    paths: &[PathBuf],
    overrides: Overrides,
    purpose: Purpose,
) -> Result<Loaded, Error> {
    let catalog = registry::catalog(&context.global.template_dirs)?;
    let mut options = LoadOptions {
        template_dirs: context.global.template_dirs.clone(),
        runtimes: catalog.names().map(String::from).collect(),
        providers: registry::providers(),
        overrides,
        purpose,
    };
    let loaded = load(context, paths, &options)?;
    match &context.global.node_model {
        Some(model) if loaded.documents.iter().any(makes_nodes) => {
            options.overrides.push(("provider.node_model".into(), model.clone().into()));
            load(context, paths, &options)
        }
        _ => Ok(loaded),
    }
}

/// Whether `--node-model` has a meaning for it.
fn makes_nodes(document: &Document) -> bool {
    document.provider() == "local" && matches!(document, Document::Workspace(_) | Document::Cluster(_))
}

/// Loads, and hides from now on what the documents hold in secrets.
fn load(context: &Context, paths: &[PathBuf], options: &LoadOptions) -> Result<Loaded, Error> {
    let redactor = &context.out.redactor;
    let loaded = cloudtik_config::load(paths, options).inspect_err(|problems| {
        problems.sources.0.values().for_each(|source| redactor.learn(source));
    })?;
    for secret in loaded.documents.iter().flat_map(cloudtik_config::secrets) {
        redactor.add(&secret);
    }
    loaded.sources.0.values().for_each(|source| redactor.learn(source));
    Ok(loaded)
}

/// The state folder, also one with `sled:` before it, or URL of a shared store that a workspace document among these asks
/// for. A relative folder starts at that document.
pub fn documented_state(documents: &[Document]) -> Result<Option<PathBuf>, Error> {
    let wish = documents.iter().find_map(|document| match document {
        Document::Workspace(workspace) => workspace.tree.get("state"),
        _ => None,
    });
    let Some((wish, text)) = wish.and_then(|tree| Some((tree, tree.as_text()?))) else { return Ok(None) };
    if text.contains("://") {
        return Ok(Some(text.into()));
    }
    let (sled, text) = text.strip_prefix(SLED).map_or(("", text), |folder| (SLED, folder));
    let folder = match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(&*wish.origin.file).parent().unwrap_or(Path::new("")).join(text),
    };
    let mut place = OsString::from(sled);
    place.push(folder);
    Ok(Some(place.into()))
}

/// Documents compiled to declarations.
pub struct Program {
    pub documents: Vec<Document>,
    pub sources: Sources,
    pub declarations: Vec<Declaration>,
    pub scopes: BTreeSet<Scope>,
    /// What the runtimes of each cluster became.
    pub compiled: BTreeMap<Scope, Compiled>,
    /// Warnings of the documents, and notes on how things are made here.
    pub notes: Vec<Diagnostic>,
}

impl Program {
    /// Loads and compiles. Every problem of every document is reported at once.
    pub fn load(context: &Context, paths: &[PathBuf], overrides: Overrides) -> Result<(Self, World), Error> {
        Program::load_on(context, paths, overrides, PlatformOptions::default())
    }

    /// [`Program::load`] with wishes to the providers.
    pub fn load_on(
        context: &Context,
        paths: &[PathBuf],
        overrides: Overrides,
        options: PlatformOptions,
    ) -> Result<(Self, World), Error> {
        let loaded = documents(context, paths, overrides, Purpose::Plan)?;
        let world = context.world_on(documented_state(&loaded.documents)?, options)?;
        let mut program = Program::compile(loaded, &world)?;
        let Program { documents, sources, declarations, .. } = &mut program;
        secrets::take_out(&world.secrets, &context.out, documents, sources, declarations)
            .map_err(Error::io("read the key of fingerprints in the state folder"))?;
        Ok((program, world))
    }

    fn compile(loaded: Loaded, world: &World) -> Result<Self, Error> {
        let mut program = Program {
            scopes: loaded.documents.iter().map(Document::scope).collect(),
            documents: Vec::new(),
            sources: loaded.sources,
            declarations: Vec::new(),
            compiled: BTreeMap::new(),
            notes: loaded.warnings,
        };
        let mut problems = Vec::new();
        for document in &loaded.documents {
            if let Err(mut found) = program.document(document, world) {
                problems.append(&mut found);
            }
        }
        program.documents = loaded.documents;
        if problems.iter().any(Diagnostic::is_error) {
            problems.extend(program.notes.into_iter().filter(|n| n.severity == Severity::Warning));
            cloudtik_core::diagnostic::sort(&mut problems);
            return Err(Error::Problems { diagnostics: problems, sources: Box::new(program.sources) });
        }
        cloudtik_core::diagnostic::sort(&mut program.notes);
        Ok(program)
    }

    fn document(&mut self, document: &Document, world: &World) -> Result<(), Vec<Diagnostic>> {
        let compiler = world.platform.compilers.get(document.provider()).ok_or_else(|| vec![no_provider(document)])?;
        self.notes.extend(compiler.notes(document));
        match document {
            Document::Workspace(workspace) => self.declarations.extend(compiler.workspace(workspace)?),
            Document::Storage(storage) => self.declarations.extend(compiler.storage(storage)?),
            Document::Database(database) => self.declarations.extend(compiler.database(database)?),
            Document::Cluster(cluster) => {
                let (machines, nodes) = compiler.cluster(cluster)?;
                let mut compiled = cloudtik_runtime::declare(cluster, &nodes, &world.platform.catalog)?;
                self.declarations.extend(machines);
                self.declarations.append(&mut compiled.declarations);
                for endpoint in &compiled.endpoints {
                    self.declarations.extend(compiler.publish(cluster, endpoint));
                }
                self.notes.append(&mut compiled.warnings);
                self.compiled.insert(document.scope(), compiled);
            }
        }
        Ok(())
    }
}

fn no_provider(document: &Document) -> Diagnostic {
    let name = document.provider();
    Diagnostic::error("provider-unavailable", "this build lacks the provider")
        .detail(format!("`{name}` is not compiled in"))
        .at(document.origin())
        .hint(format!("build with it: `cargo install --path . --features {name}`"))
}

/// Loads exactly one cluster document.
pub fn cluster(context: &Context, path: &PathBuf, overrides: Overrides) -> Result<(Cluster, World), Error> {
    let (document, world) = one(context, path, overrides)?;
    match document {
        Document::Cluster(cluster) => Ok((*cluster, world)),
        other => Err(wrong_kind("cluster", path, &other)),
    }
}

/// Loads exactly one document.
pub fn one(context: &Context, path: &PathBuf, overrides: Overrides) -> Result<(Document, World), Error> {
    let loaded = documents(context, std::slice::from_ref(path), overrides, Purpose::Use)?;
    let world = context.world(documented_state(&loaded.documents)?)?;
    match <[Document; 1]>::try_from(loaded.documents) {
        Ok([document]) => Ok((document, world)),
        Err(several) => Err(Error::request(
            Diagnostic::error("several-documents", "this verb needs one document")
                .detail(format!("`{}` holds {}", path.display(), several.len()))
                .hint("give one file"),
        )),
    }
}

/// A verb for one kind of document was given another.
pub fn wrong_kind(wanted: &str, path: &Path, given: &Document) -> Error {
    let (kind, _) = given.scope().document();
    let hint = match wanted {
        "workspace" => "give the file without `cluster_name`".to_owned(),
        _ => format!("give the file that names the {wanted}, with `{wanted}_name`"),
    };
    Error::request(
        Diagnostic::error(&format!("not-a-{wanted}"), format!("this verb needs a {wanted} document"))
            .detail(format!("`{}` is a {kind}", path.display()))
            .hint(hint),
    )
}
