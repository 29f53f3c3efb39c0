//! What several documents say together.

use cloudtik_core::{Diagnostic, Scope, document::Document};
use std::collections::BTreeMap;

/// Documents of one scope, and documents whose workspace is of another provider.
pub(crate) fn check(documents: &[Document]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut scopes: BTreeMap<Scope, &Document> = BTreeMap::new();
    for document in documents {
        if let Some(first) = scopes.insert(document.scope(), document) {
            found.push(
                Diagnostic::error("duplicate-document", "two documents of the same name")
                    .at(&document.tree().origin)
                    .detail(format!("{} is described twice", document.scope()))
                    .related(&first.tree().origin, "the other document")
                    .hint("give one of them another name, or leave it out"),
            );
        }
    }
    for document in documents {
        let scope = document.scope();
        let (kind, name) = scope.document();
        let Some(workspace) = scopes.get(&Scope::workspace(scope.workspace_name())) else { continue };
        if workspace.provider() != document.provider() {
            found.push(
                Diagnostic::error("provider-mismatch", format!("a {kind} and its workspace of different providers"))
                    .at(document.origin())
                    .detail(format!(
                        "{kind} `{name}` is for {}, workspace `{}` for {}",
                        document.provider(),
                        scope.workspace_name(),
                        workspace.provider()
                    ))
                    .related(workspace.origin(), "the workspace's provider")
                    .hint("use the same `provider.type` in both"),
            );
        }
    }
    found
}
