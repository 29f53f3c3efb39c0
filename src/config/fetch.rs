//! Fetches what `${env:NAME}` and `${file:path}` stand for in a document's provider block.
//!
//! Only the block that providers read gets the values; the document itself keeps the references, so that nothing that shows
//! it shows them.

use crate::reference::{self, Reference};
use cloudtik_core::{Diagnostic, Tree, TreeValue, document::Document, origin::Entry};
use std::sync::Arc;

/// Whether references have their meaning below a key of the block.
fn is_place(key: &str) -> bool {
    key.ends_with("credentials") || matches!(key, "database" | "storage")
}

/// The parts of a provider block in which references count.
pub(crate) fn places(provider: Option<&Arc<Tree>>) -> impl Iterator<Item = &Tree> {
    let entries = provider.map_or(&[][..], |provider| provider.entries());
    entries.iter().filter(|entry| is_place(&entry.key)).map(|entry| &*entry.value)
}

/// Puts the values into the provider block; a problem for each that cannot be had.
pub(crate) fn fetch(document: &mut Document) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let provider = match document {
        Document::Workspace(w) => &mut w.provider,
        Document::Cluster(c) => &mut c.provider,
        Document::Storage(b) | Document::Database(b) => &mut b.provider,
    };
    if places(Some(provider)).any(holds_reference) {
        let entries = provider.entries().iter().map(|entry| match is_place(&entry.key) {
            true => Entry { value: fetched(&entry.value, &mut problems), ..entry.clone() },
            false => entry.clone(),
        });
        *provider = Arc::new(Tree { value: TreeValue::Map(entries.collect()), ..(**provider).clone() });
    }
    problems
}

fn holds_reference(tree: &Tree) -> bool {
    match &tree.value {
        TreeValue::List(items) => items.iter().any(|item| holds_reference(item)),
        TreeValue::Map(entries) => entries.iter().any(|entry| holds_reference(&entry.value)),
        _ => reference::reference(tree).is_some(),
    }
}

fn fetched(tree: &Arc<Tree>, problems: &mut Vec<Diagnostic>) -> Arc<Tree> {
    let value = match &tree.value {
        TreeValue::List(items) => TreeValue::List(items.iter().map(|item| fetched(item, problems)).collect()),
        TreeValue::Map(entries) => {
            let inner = |e: &Entry| Entry { value: fetched(&e.value, problems), ..e.clone() };
            TreeValue::Map(entries.iter().map(inner).collect())
        }
        _ => match reference::reference(tree).map(|reference| value(&reference)) {
            None => return tree.clone(),
            Some(Ok(value)) => TreeValue::Text(value.into()),
            Some(Err((detail, hint))) => {
                problems.push(
                    Diagnostic::error("reference-unresolved", "a reference whose value cannot be fetched")
                        .at(&tree.origin)
                        .detail(detail)
                        .hint(hint),
                );
                return tree.clone();
            }
        },
    };
    Arc::new(Tree { value, origin: tree.origin.clone(), raw: None })
}

/// The value, or what is wrong and what helps.
fn value(reference: &Reference) -> Result<String, (String, String)> {
    match reference {
        Reference::Env(name) => match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(value),
            _ => Err((format!("the variable `{name}` is not set"), format!("export {name}=…, and run it again"))),
        },
        Reference::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r').to_owned()),
            Err(fault) => Err((format!("`{}`: {fault}", path.display()), "correct the path, or make the file".into())),
        },
        Reference::Secret(name) => Err((
            format!("there is no secret store yet that `{name}` could be in"),
            "use `${env:NAME}` or `${file:path}`".into(),
        )),
    }
}
