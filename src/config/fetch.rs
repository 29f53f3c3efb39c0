//! Fetches what `${env:NAME}`, `${file:path}` and `${secret:name}` stand for in a document's provider block and in the settings
//! of its runtimes.
//!
//! Only what providers and runtimes read gets the values; the document itself keeps the references, so that nothing that
//! shows it shows them.

use crate::{
    Purpose,
    reference::{self, Reference},
};
use cloudtik_core::{
    Diagnostic, Severity, Tree, TreeValue,
    document::{Cluster, Document, RuntimeSelection},
    origin::Entry,
};
use std::{os::unix::fs::MetadataExt, path::PathBuf, sync::Arc};

/// Whether references have their meaning below a key of the block.
fn is_place(key: &str) -> bool {
    key.ends_with("credentials") || matches!(key, "database" | "storage")
}

/// The parts of a provider block in which references count.
pub(crate) fn places(provider: Option<&Arc<Tree>>) -> impl Iterator<Item = &Tree> {
    let entries = provider.map_or(&[][..], |provider| provider.entries());
    entries.iter().filter(|entry| is_place(&entry.key)).map(|entry| &*entry.value)
}

/// Puts the values into the document; a problem for each that cannot be had. Who only uses what is there needs no settings of
/// runtimes, and of the provider's perhaps.
pub(crate) fn fetch(document: &mut Document, purpose: Purpose) -> Vec<Diagnostic> {
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
    let mut of_runtimes = Vec::new();
    if let Document::Cluster(cluster) = document {
        runtimes(cluster, &mut of_runtimes);
    }
    match purpose {
        Purpose::Use => problems.iter_mut().for_each(|problem| problem.severity = Severity::Warning),
        _ => problems.append(&mut of_runtimes),
    }
    problems
}

/// Puts the values into the cluster's runtime settings, and into those of its node types, which hold the cluster's too.
fn runtimes(cluster: &mut Cluster, problems: &mut Vec<Diagnostic>) {
    let tree = cluster.tree.clone();
    let own = tree.get("runtime");
    selection(&mut cluster.runtime, &[own], problems);
    // The same reference in a node type's copy has the same problem.
    let mut again = Vec::new();
    for node_type in std::iter::once(&mut cluster.head).chain(&mut cluster.workers) {
        let types = tree.get("available_node_types").and_then(|types| types.get(&node_type.name));
        let of_type = types.and_then(|of_type| of_type.get("runtime"));
        selection(&mut node_type.runtime, &[own, of_type], &mut again);
    }
    again.retain(|problem| !problems.contains(problem));
    again.dedup();
    problems.append(&mut again);
}

fn selection(selection: &mut RuntimeSelection, written: &[Option<&Arc<Tree>>], problems: &mut Vec<Diagnostic>) {
    for block in selection.config.values_mut().filter(|block| holds_reference(block)) {
        *block = fetched(block, problems);
    }
    for envs in written.iter().flatten().filter_map(|runtime| runtime.get("envs")) {
        for entry in envs.entries().iter().filter(|entry| holds_reference(&entry.value)) {
            if let (Some(text), Some(env)) =
                (fetched(&entry.value, problems).as_text(), selection.envs.get_mut(&*entry.key))
            {
                *env = text.to_owned();
            }
        }
    }
}

/// Every reference in the settings of a document's runtimes, as [`source`] writes it, with the value that it has now.
pub fn fetched_values(document: &Document) -> Vec<(String, String)> {
    fn visit(tree: &Tree, found: &mut Vec<(String, String)>) {
        match &tree.value {
            TreeValue::List(items) => items.iter().for_each(|item| visit(item, found)),
            TreeValue::Map(entries) => entries.iter().for_each(|entry| visit(&entry.value, found)),
            _ => {
                if let Some(reference) = reference::reference(tree)
                    && let Ok(value) = value(&reference)
                {
                    found.push((reference.source(), value));
                }
            }
        }
    }
    let mut found = Vec::new();
    if let Document::Cluster(cluster) = document {
        let types = cluster.tree.get("available_node_types").map_or(&[][..], |types| types.entries());
        let of_types = types.iter().filter_map(|of_type| of_type.value.get("runtime"));
        cluster.tree.get("runtime").into_iter().chain(of_types).for_each(|runtime| visit(runtime, &mut found));
    }
    for place in places(match document {
        Document::Workspace(w) => w.tree.get("provider"),
        Document::Cluster(c) => c.tree.get("provider"),
        Document::Storage(b) | Document::Database(b) => b.tree.get("provider"),
    }) {
        visit(place, &mut found);
    }
    found
}

/// What a source stands for now, as [`Reference::source`] writes it; `None` when it cannot be had.
pub fn value_of(source: &str) -> Option<String> {
    let (scheme, rest) = source.split_once(':')?;
    let reference = match scheme {
        "env" => Reference::Env(rest.into()),
        "file" => Reference::File(rest.into()),
        "secret" => Reference::Secret(rest.into()),
        _ => return None,
    };
    value(&reference).ok()
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
        Reference::Secret(name) => secret(name),
    }
}

/// A file of the user's folder of secrets, which nobody else may read.
fn secret(name: &str) -> Result<String, (String, String)> {
    if name.contains('/') || name.starts_with('.') {
        return Err((format!("`{name}` is no name of a secret"), "use a plain name, without `/`".into()));
    }
    let path = secrets_folder().ok_or_else(|| ("HOME is not set".to_owned(), "export HOME=…".to_owned()))?.join(name);
    let mode = std::fs::metadata(&path).map(|found| found.mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 != 0 => Err((
            format!("`{}` has mode {mode:04o}: others may read it", path.display()),
            format!("chmod 600 {}", path.display()),
        )),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Err((
            format!("there is no `{name}` in your folder of secrets"),
            format!("make it, for you alone: `install -D -m 600 /dev/stdin ~/.config/cloudtik/secrets/{name}`"),
        )),
        _ => value(&Reference::File(path)),
    }
}

/// `$XDG_CONFIG_HOME/cloudtik/secrets`.
fn secrets_folder() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(config.or_else(|| Some(std::env::home_dir()?.join(".config")))?.join("cloudtik/secrets"))
}
