//! From a cluster document and its nodes to declarations: the document's own commands and mounts, and each runtime.

use crate::{
    catalog::{Catalog, Entry},
    extras,
    launch::Launcher,
    manifest::Manifest,
    pass::Pass,
    provider,
    render::RenderError,
};
use cloudtik_core::{
    Address, Attrs, Declaration, Diagnostic, Lifecycle, Needs, Origin, Scope, Value, diagnostic,
    document::Cluster,
    node::{Endpoint, Node, Role},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a cluster's runtimes, commands and mounts become.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    pub declarations: Vec<Declaration>,
    pub endpoints: Vec<Endpoint>,
    pub warnings: Vec<Diagnostic>,
    /// How scripts are run on the head, in the order of the document's runtimes.
    pub(crate) launchers: Vec<Launcher>,
    /// What is set for everything that runs on the head for the user.
    pub(crate) env: BTreeMap<String, Value>,
    /// What the runtimes set, by node.
    pub(crate) envs: BTreeMap<Address, BTreeMap<String, Value>>,
}

/// Compiles everything that runs on the nodes of a cluster.
///
/// Local files that the document mounts are read for their digests; nothing else is touched. Errors: all problems, sorted.
pub fn declare(cluster: &Cluster, nodes: &[Node], catalog: &Catalog) -> Result<Compiled, Vec<Diagnostic>> {
    let scope = Scope::cluster(&cluster.workspace, &cluster.name);
    let mut compiled = Compiled::default();
    let mut problems = Vec::new();
    if let Some(head) = nodes.iter().find(|n| n.role == Role::Head) {
        compiled.env = extras::environment(cluster, head, Some(head));
    }
    let before = extras::declare(cluster, nodes, &scope, &mut compiled, &mut problems);
    let selected = selected(cluster, catalog, &mut problems);
    for (entry, origin) in &selected {
        match Pass::new(cluster, nodes, &scope, entry, origin).and_then(|mut pass| pass.run(&before)) {
            Ok(mut part) => {
                compiled.declarations.append(&mut part.declarations);
                compiled.endpoints.append(&mut part.endpoints);
                compiled.warnings.append(&mut part.warnings);
                compiled.launchers.append(&mut part.launchers);
                compiled.env.append(&mut part.env);
                for (instance, env) in part.envs {
                    compiled.envs.entry(instance).or_default().extend(env);
                }
            }
            Err(mut found) => problems.append(&mut found),
        }
    }
    extras::declare_environment(cluster, nodes, &scope, &mut compiled);
    extras::declare_start(cluster, nodes, &scope, &mut compiled);
    share_artifacts(&mut compiled.declarations, &mut problems);
    diagnostic::sort(&mut problems);
    diagnostic::sort(&mut compiled.warnings);
    if problems.is_empty() { Ok(compiled) } else { Err(problems) }
}

/// The selected runtimes, in document order; a problem for each that is not known or lacks what it needs.
fn selected<'a>(
    cluster: &'a Cluster,
    catalog: &'a Catalog,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(&'a Entry, &'a Origin)> {
    let mut names = BTreeSet::new();
    let mut found: Vec<(&Entry, &Origin)> = Vec::new();
    let types = std::iter::once(&cluster.head).chain(&cluster.workers).map(|t| &t.runtime);
    for (name, origin) in std::iter::once(&cluster.runtime).chain(types).flat_map(|r| &r.types) {
        if names.insert(name) {
            match catalog.get(name) {
                Some(entry) => found.push((entry, origin)),
                None => problems.push(unknown_runtime(name, origin, catalog)),
            }
        }
    }
    for (entry, origin) in &found {
        let Manifest { name, needs, .. } = &entry.manifest;
        for need in needs.iter().filter(|need| !found.iter().any(|(e, _)| e.manifest.provides.contains(need))) {
            problems.push(
                Diagnostic::error("missing-runtime", "a runtime needs another one")
                    .detail(format!("{name} needs one that provides `{need}`"))
                    .at(origin)
                    .hint(format!("add it to `runtime.types` beside `{name}`")),
            );
        }
    }
    found
}

fn unknown_runtime(name: &str, origin: &Origin, catalog: &Catalog) -> Diagnostic {
    let known: Vec<&str> = catalog.names().collect();
    let diagnostic = Diagnostic::error("unknown-runtime", "this runtime is not available")
        .detail(format!("`{name}`; available: {}", known.join(", ")))
        .at(origin);
    match nearest(name, catalog.names()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint("remove it from `runtime.types`, or add its manifest to a runtime folder of your own"),
    }
}

/// The known word that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|k| (strsim::damerau_levenshtein(word, k), k));
    let (distance, near) = scored.min()?;
    (distance <= 2.max(word.len() / 4) && distance < word.len()).then_some(near)
}

/// A manifest that cannot be evaluated: ours to mend, or its author's.
pub(crate) fn defect(error: &RenderError) -> Diagnostic {
    Diagnostic::error("broken-runtime-template", "a runtime's template cannot be evaluated")
        .detail(error.to_string())
        .hint("mend the template, or report it when it is one of those shipped")
}

/// Artifacts that several runtimes share are declared once.
fn share_artifacts(declarations: &mut Vec<Declaration>, problems: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<Address, Attrs> = BTreeMap::new();
    declarations.retain(|d| match seen.get(&d.address) {
        None => {
            seen.insert(d.address.clone(), d.attributes.clone());
            true
        }
        Some(first) => {
            if *first != d.attributes {
                problems.push(
                    Diagnostic::error("conflicting-runtimes", "two runtimes declare one resource differently")
                        .detail(d.address.short())
                        .maybe_at(d.origin.as_ref())
                        .hint("give one of them another name in its manifest"),
                );
            }
            false
        }
    });
}

/// `<kind>.<instance name>/<name>`.
pub(crate) fn on_node(scope: &Scope, kind: &str, node: &Node, name: &str) -> Address {
    Address::new(scope.clone(), kind, &format!("{}/{name}", node.instance.name()))
}

/// A declaration of something on a node: made once the node works, gone when the node is.
pub(crate) fn placed<const N: usize>(
    address: Address,
    node: &Node,
    attributes: [(&str, Value); N],
    origin: &Origin,
) -> Declaration {
    let attributes: Attrs = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    Declaration::new(address, &provider::name(), attributes)
        .after(&node.instance, Needs::Ready)
        .lifecycle(Lifecycle { gone_with: Some(node.instance.clone()), ..Lifecycle::default() })
        .written_at(Some(origin))
}
