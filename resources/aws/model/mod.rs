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

use crate::{
    config,
    provider::{Aws, FROM_DOCUMENT},
};
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
        Ok(self.under(&workspace.name, workspace::declare(self, workspace)?))
    }

    fn cluster(&self, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>> {
        self.remember(&cluster.workspace, config::account(&cluster.provider));
        let (declarations, nodes) = cluster::cluster(self, cluster)?;
        Ok((self.under(&cluster.workspace, declarations), nodes))
    }

    fn storage(&self, storage: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&storage.workspace, config::account(&storage.provider));
        Ok(self.under(&storage.workspace, storage::document(storage)?))
    }

    fn database(&self, database: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&database.workspace, config::account(&database.provider));
        Ok(self.under(&database.workspace, database::document(self, database)?))
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
        self.under(&cluster.workspace, cluster::publish(self, cluster, endpoint))
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

impl Aws {
    /// Says of each resource where its calls go, when that is not AWS itself with the credentials of the surroundings: a saved
    /// plan must go to the same place, or nowhere.
    fn under(&self, workspace: &str, mut declarations: Vec<Declaration>) -> Vec<Declaration> {
        let account = self.account(workspace);
        for declaration in declarations.iter_mut().filter(|declaration| &*declaration.provider.0 == "aws") {
            if let Some(endpoint) = &account.endpoint {
                declaration.attributes.insert("endpoint".into(), Value::text(endpoint));
            }
            if account.keys.is_some() {
                declaration.attributes.insert("credentials".into(), Value::text(FROM_DOCUMENT));
            }
        }
        declarations
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
