//! What several documents say together.

use cloudtik_core::{Diagnostic, Scope, document::Document};
use std::collections::BTreeMap;

/// Documents of one scope, and clusters whose workspace is of another provider.
pub(crate) fn check(documents: &[Document]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut scopes: BTreeMap<Scope, &Document> = BTreeMap::new();
    for document in documents {
        if let Some(first) = scopes.insert(document.scope(), document) {
            found.push(
                Diagnostic::error("duplicate-document", "two documents of the same name")
                    .at(&tree(document).origin)
                    .detail(format!("{} is described twice", document.scope()))
                    .related(&tree(first).origin, "the other document")
                    .hint("give one of them another name, or leave it out"),
            );
        }
    }
    for document in documents {
        let Document::Cluster(cluster) = document else { continue };
        let Some(workspace) = scopes.get(&Scope::workspace(&cluster.workspace)) else { continue };
        if workspace.provider() != cluster.provider_type {
            found.push(
                Diagnostic::error("provider-mismatch", "a cluster and its workspace of different providers")
                    .at(&cluster.origin)
                    .detail(format!(
                        "cluster `{}` is for {}, workspace `{}` for {}",
                        cluster.name,
                        cluster.provider_type,
                        cluster.workspace,
                        workspace.provider()
                    ))
                    .related(workspace.origin(), "the workspace's provider")
                    .hint("use the same `provider.type` in both"),
            );
        }
    }
    found
}

fn tree(document: &Document) -> &cloudtik_core::Tree {
    match document {
        Document::Workspace(w) => &w.tree,
        Document::Cluster(c) => &c.tree,
    }
}
