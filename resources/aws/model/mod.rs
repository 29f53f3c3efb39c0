//! Documents to declarations.

mod cluster;
pub(crate) mod database;
pub(crate) mod identities;
mod images;
pub(crate) mod keys;
mod node_config;
mod sizes;
pub(crate) mod storage;
mod workspace;

use crate::{config, provider::Aws};
use cloudtik_core::{
    Address, Origin, Value,
    declaration::Declaration,
    diagnostic::Diagnostic,
    document::{Belonging, Cluster, Document, NodeType, Workspace},
    node::{Compile, Endpoint, Node},
};

impl Compile for Aws {
    fn workspace(&self, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&workspace.name, config::account(&workspace.provider));
        workspace::declare(self, workspace)
    }

    fn cluster(&self, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>> {
        self.remember(&cluster.workspace, config::account(&cluster.provider));
        cluster::cluster(self, cluster)
    }

    fn storage(&self, storage: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&storage.workspace, config::account(&storage.provider));
        storage::document(storage)
    }

    fn database(&self, database: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&database.workspace, config::account(&database.provider));
        database::document(self, database)
    }

    fn meet(&self, document: &Document) {
        let provider = match document {
            Document::Workspace(w) => &w.provider,
            Document::Cluster(c) => &c.provider,
            Document::Storage(b) | Document::Database(b) => &b.provider,
        };
        self.remember(document.scope().workspace_name(), config::account(provider));
    }

    fn publish(&self, cluster: &Cluster, endpoint: &Endpoint) -> Vec<Declaration> {
        cluster::publish(self, cluster, endpoint)
    }

    fn size(&self, node_type: &NodeType, _: &Cluster) -> Result<(u32, u64), Box<Diagnostic>> {
        cluster::size(node_type)
    }

    fn notes(&self, document: &Document) -> Vec<Diagnostic> {
        match document {
            Document::Cluster(cluster) => cluster::notes(cluster),
            _ => Vec::new(),
        }
    }
}

/// A resource that a line of a document asks for.
fn resource<const N: usize>(
    address: Address,
    region: &str,
    origin: &Origin,
    attributes: [(&str, Value); N],
) -> Declaration {
    let region = ("region".to_owned(), Value::text(region));
    let attributes = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).chain([region]).collect();
    Declaration::new(address, &"aws".into(), attributes).written_at(Some(origin))
}
