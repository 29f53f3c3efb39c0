//! With which key nodes are logged in to.

use crate::{names, names::Names, provider::Options};
use cloudtik_core::{
    address::{Address, Scope},
    declaration::Declaration,
    document::Cluster,
    origin::{Origin, Tree},
    value::{Attrs, Value},
};
use std::path::PathBuf;

/// The key of a cluster's nodes: its name in AWS, and the file of the private half.
pub(crate) struct Login {
    pub name: Value,
    pub file: Value,
    /// The key pair, where the cluster brings one of its own.
    pub own: Option<Declaration>,
}

/// `key-pair.main` of a workspace: made here when it is created, for all clusters that bring no key.
pub(crate) fn generated(names: &Names, region: &str) -> Declaration {
    let name = names.named(region);
    declare(names.key_pair(), region, &name, names.tags(&name))
}

fn declare(address: Address, region: &str, name: &str, tags: Value) -> Declaration {
    let attributes = [("region", region.into()), ("name", name.into()), ("tags", tags)];
    let attributes: Attrs = attributes.map(|(key, value): (_, Value)| (key.to_owned(), value)).into();
    Declaration::new(address, &"aws".into(), attributes)
}

impl Login {
    /// By `provider.key_pair.key_name`, else by `auth.ssh_private_key`, else by the workspace's key.
    pub fn of(cluster: &Cluster, region: &str, options: &Options) -> Self {
        let given = private_key(cluster);
        if let Some(name) = cluster.provider.at(&["key_pair", "key_name"]).and_then(Tree::as_text) {
            return Login { name: name.into(), file: named_file(cluster, name, options), own: None };
        }
        let Some(file) = given else {
            let pair = Names::of(&cluster.workspace).key_pair();
            let part = |name| Value::reference_created(&pair, name);
            return Login { name: part("name"), file: part("file"), own: None };
        };
        let scope = Scope::cluster(&cluster.workspace, &cluster.name);
        let name = format!("cloudtik-{}-{}", cluster.workspace, cluster.name);
        let address = Address::new(scope.clone(), "key-pair", &cluster.name);
        let tags = names::tags(&scope, [(crate::tags::NAME, name.as_str())]);
        let mut own = declare(address.clone(), region, &name, tags).written_at(Some(&cluster.origin));
        own.attributes.insert("source".into(), path(&file));
        if let Some(public) = auth_path(cluster, "ssh_public_key") {
            own.attributes.insert("public_source".into(), path(&public));
        }
        Login { name: Value::reference_created(&address, "name"), file: path(&file), own: Some(own) }
    }
}

/// The private half of a key pair that AWS knows by `name`: as the cluster says, else where the Python tool keeps it.
pub(crate) fn named_file(cluster: &Cluster, name: &str, options: &Options) -> Value {
    path(&private_key(cluster).unwrap_or_else(|| options.keys.join(format!("{name}.pem"))))
}

fn private_key(cluster: &Cluster) -> Option<PathBuf> {
    auth_path(cluster, "ssh_private_key")
}

fn auth_path(cluster: &Cluster, key: &str) -> Option<PathBuf> {
    let tree = cluster.tree.at(&["auth", key])?;
    tree.as_text().filter(|text| !text.is_empty()).map(|text| local(text, &tree.origin))
}

/// A path of a document: `~` is the user's home, and what is relative is so to the document.
fn local(text: &str, origin: &Origin) -> PathBuf {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    match (text.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(&*origin.file).parent().map(|folder| folder.join(text)).unwrap_or_else(|| text.into()),
    }
}

fn path(path: &std::path::Path) -> Value {
    Value::text(path.to_string_lossy())
}
