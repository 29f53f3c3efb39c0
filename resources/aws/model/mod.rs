//! Documents to declarations.

mod workspace;

use crate::{config, provider::Aws};
use cloudtik_core::{
    declaration::Declaration,
    diagnostic::Diagnostic,
    document::{Cluster, Document, NodeType, Workspace},
    node::{Compile, Endpoint, Node},
};

impl Compile for Aws {
    fn workspace(&self, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        self.remember(&workspace.name, config::account(&workspace.provider));
        workspace::declare(workspace)
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
