//! Documents to declarations.

mod database;
mod identities;
mod storage;
mod workspace;

use crate::{config, provider::Aws};
use cloudtik_core::{
    Address, Origin, Value,
    declaration::Declaration,
    diagnostic::Diagnostic,
    document::{Cluster, Document, NodeType, Workspace},
    node::{Compile, Endpoint, Node},
};

impl Compile for Aws {
    fn workspace(&self, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&workspace.name, config::account(&workspace.provider));
        workspace::declare(self, workspace)
    }

    fn cluster(&self, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>> {
        self.remember(&cluster.workspace, config::account(&cluster.provider));
        Err(vec![Diagnostic::error("provider-unavailable", "clusters come next").at(&cluster.origin)])
    }

    fn publish(&self, _: &Cluster, _: &Endpoint) -> Vec<Declaration> {
        Vec::new()
    }

    fn size(&self, _: &NodeType, _: &Cluster) -> Result<(u32, u64), Box<Diagnostic>> {
        Ok((1, 1024))
    }

    fn notes(&self, _: &Document) -> Vec<Diagnostic> {
        Vec::new()
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
