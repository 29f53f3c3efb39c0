//! What a schema cannot say: how values of a merged document fit together.
//!
//! Everything here reads the tree defensively: values of a wrong type are the walker's business and are skipped.

use crate::{
    Kind, LoadOptions, Purpose, fetch, file, formats,
    inherit::Inherited,
    names::{LABEL, RUNTIMES, workspace_limit},
    overrides::COMMAND_LINE,
    reference, schema, suggest, templates, walk,
};
use cloudtik_core::{Diagnostic, Tree, TreeValue, origin::Entry};
use std::sync::Arc;

pub(crate) fn check(kind: Kind, document: &Inherited, options: &LoadOptions) -> Vec<Diagnostic> {
    let tree = &document.tree;
    let provider = document.provider.as_ref().map_or("", |(name, _)| name);
    let mut found = Vec::new();
    found.extend(length(tree, "workspace_name", workspace_limit(provider), provider));
    for key in ["storage_name", "database_name"] {
        found.extend(length(tree, key, LABEL, "names of buckets and databases"));
    }
    fetch::places(tree.get("provider")).for_each(|place| references(Some(place), &mut found));
    if kind == Kind::Cluster {
        found.extend(length(tree, "cluster_name", LABEL, "host names"));
        nodes(document, &mut found);
        for runtime in runtimes(tree) {
            runtime_names(runtime, options, &mut found);
            references(Some(runtime), &mut found);
        }
        found.extend(instance_types(tree, provider));
    }
    found
}

fn int(tree: Option<&Arc<Tree>>) -> Option<i64> {
    match tree?.value {
        TreeValue::Int(i) => Some(i),
        _ => None,
    }
}

fn types(tree: &Tree) -> &[Entry] {
    tree.get("available_node_types").map_or(&[], |types| types.entries())
}

/// The cluster's `runtime` and those of its node types.
fn runtimes(tree: &Tree) -> Vec<&Tree> {
    let of_types = types(tree).iter().filter_map(|t| t.value.get("runtime"));
    tree.get("runtime").into_iter().chain(of_types).map(|t| &**t).collect()
}

fn length(tree: &Tree, key: &str, limit: usize, whose: &str) -> Option<Diagnostic> {
    let name = tree.get(key)?;
    let text = name.as_text().filter(|text| text.chars().count() > limit)?;
    let whose = if whose.is_empty() { "names" } else { whose };
    let short: String = text.chars().take(limit).collect();
    Some(
        Diagnostic::error("name-too-long", "a name that is too long")
            .at(&name.origin)
            .detail(format!("`{key}` has {} characters; the limit for {whose} is {limit}", text.chars().count()))
            .hint(format!("shorten it, for instance to `{short}`")),
    )
}

/// The head's type exists, and counts fit into their limits.
fn nodes(document: &Inherited, found: &mut Vec<Diagnostic>) {
    let tree = &document.tree;
    let head = tree.get("head_node_type");
    let names: Vec<&str> = types(tree).iter().map(|t| &*t.key).collect();
    match head.and_then(|h| h.as_text().map(|text| (h, text))) {
        Some((head, text)) if !names.contains(&text) && document.complete => {
            let mut problem = Diagnostic::error("unknown-node-type", "the head's node type does not exist")
                .at(&head.origin)
                .detail(format!("`{text}` is not among `available_node_types`"));
            problem.hints.extend(suggest::hint(text, names.iter().copied()));
            found.push(problem);
        }
        None if head.is_none() && document.complete && !names.is_empty() => found.push(
            Diagnostic::error("missing-key", "a required key is missing")
                .at(&tree.origin)
                .detail("the document needs `head_node_type`")
                .hint(format!("name the head's type: `head_node_type: {}`", names[0])),
        ),
        _ => {}
    }
    let head = head.and_then(|h| h.as_text()).unwrap_or_default();
    let workers: Vec<&Entry> = types(tree).iter().filter(|t| &*t.key != head).collect();
    legacy_minimum(tree, &workers, found);
    limits(tree, &workers, found);
    for node in types(tree) {
        resources(node, found);
    }
}

/// Top-level `min_workers` counts where it is clear what it means.
fn legacy_minimum(tree: &Tree, workers: &[&Entry], found: &mut Vec<Diagnostic>) {
    let Some(minimum) = tree.entries().iter().find(|e| &*e.key == "min_workers") else { return };
    let from_command_line = &*minimum.key_origin.file == COMMAND_LINE || &*minimum.value.origin.file == COMMAND_LINE;
    let names: Vec<String> = workers.iter().map(|w| format!("`{}`", w.key)).collect();
    match workers {
        [_] if from_command_line => {}
        [only] => found.push(
            Diagnostic::warning("min-workers-per-type", "`min_workers` belongs to a node type")
                .at(&minimum.key_origin)
                .detail(format!("it is taken for the only worker type, `{}`", only.key))
                .hint(format!("move it to `available_node_types.{}.min_workers`", only.key)),
        ),
        _ => {
            let diagnostic = match from_command_line {
                true => Diagnostic::error("min-workers-per-type", "it is not clear which workers are meant"),
                false => Diagnostic::warning("min-workers-per-type", "`min_workers` has no effect here"),
            };
            found.push(
                diagnostic
                    .at(&minimum.key_origin)
                    .detail(format!("there are {} worker types: {}", workers.len(), names.join(", ")))
                    .hint("set it per type: `available_node_types.<type>.min_workers`"),
            );
        }
    }
}

fn limits(tree: &Tree, workers: &[&Entry], found: &mut Vec<Diagnostic>) {
    let legacy = int(tree.get("min_workers")).filter(|_| workers.len() == 1);
    let mut sum: i64 = 0;
    for worker in workers {
        let minimum = legacy.or_else(|| int(worker.value.get("min_workers"))).unwrap_or(0);
        sum = sum.saturating_add(minimum);
        let maximum = worker.value.get("max_workers");
        if let (Some(place), Some(most)) = (maximum, int(maximum).filter(|most| minimum > *most)) {
            let path = format!("available_node_types.{}", worker.key);
            found.push(
                Diagnostic::error("too-many-workers", "more workers than the limit allows")
                    .at(&place.origin)
                    .detail(format!("`{path}.max_workers` is {most}, and `min_workers` is {minimum}"))
                    .hint(format!("set `max_workers: {minimum}`, or fewer workers")),
            );
        }
    }
    let maximum = tree.get("max_workers");
    if let (Some(place), Some(most)) = (maximum, int(maximum).filter(|most| sum > *most)) {
        found.push(
            Diagnostic::error("too-many-workers", "more workers than the limit allows")
                .at(&place.origin)
                .detail(format!("`max_workers` is {most}; the node types ask for {sum} workers together"))
                .hint(format!("set `max_workers: {sum}`, or fewer `min_workers`")),
        );
    }
}

/// Amounts are numbers; only memory may be a size, and its number is bytes.
fn resources(node: &Entry, found: &mut Vec<Diagnostic>) {
    for resource in node.value.get("resources").map_or(&[][..], |r| r.entries()) {
        let path = format!("available_node_types.{}.resources.{}", node.key, resource.key);
        let place = &resource.value.origin;
        if &*resource.key == "memory" {
            if let Err(fault) = formats::check("size", &resource.value) {
                found.push(
                    Diagnostic::error(fault.id, fault.summary)
                        .at(place)
                        .detail(format!("{} (for `{path}`)", fault.detail))
                        .hint(fault.hint),
                );
            }
        } else if resource.value.as_text().is_some() {
            found.push(
                Diagnostic::error("wrong-type", "a value of the wrong type")
                    .at(place)
                    .detail(format!("`{path}` must be a whole number; it is text")),
            );
        }
    }
}

/// `node_config` of provider `local` has a schema of its own.
pub(crate) fn local_nodes(tree: &Tree, provider: Option<&str>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for node in types(tree) {
        let Some(config) = node.value.get("node_config").filter(|c| matches!(c.value, TreeValue::Map(_))) else {
            continue;
        };
        let path = ["available_node_types", &node.key, "node_config"].map(str::to_string);
        found.extend(walk::check(config, schema::local_node(), &path, provider, true, &|_, _| None));
    }
    found
}

/// Names of instance types refer to `provider.instance_types`, where there is one.
fn instance_types(tree: &Tree, provider: &str) -> Vec<Diagnostic> {
    let Some(defined) = tree.at(&["provider", "instance_types"]).filter(|_| provider == "local") else {
        return Vec::new();
    };
    let known: Vec<&str> = defined.entries().iter().map(|e| &*e.key).collect();
    let of_types = types(tree).iter().filter_map(|t| t.value.at(&["node_config", "instance_type"]));
    let listed = tree.at(&["provider", "nodes"]).map(|n| &n.value);
    let of_nodes = match listed {
        Some(TreeValue::List(nodes)) => nodes.iter().filter_map(|n| n.at(&["instance_type"])).collect(),
        _ => Vec::new(),
    };
    let unknown = of_types.chain(of_nodes).filter_map(|t| Some((t, t.as_text()?)));
    unknown
        .filter(|(_, name)| *name != "default" && !known.contains(name))
        .map(|(place, name)| {
            let mut warning = Diagnostic::warning("unknown-instance-type", "an instance type that is not defined")
                .at(&place.origin)
                .detail(format!("`{name}` is not among `provider.instance_types`"));
            warning.hints.extend(suggest::hint(name, known.iter().copied()));
            warning
        })
        .collect()
}

/// Names in `types`, and the keys that are blocks of runtimes.
fn runtime_names(runtime: &Tree, options: &LoadOptions, found: &mut Vec<Diagnostic>) {
    if let Some(TreeValue::List(names)) = runtime.get("types").map(|t| &t.value) {
        for name in names.iter().take(walk::MAX_PROBLEMS) {
            found.extend(name.as_text().and_then(|text| runtime_name(text, name, options)));
        }
    }
    for block in runtime.entries() {
        let key = &*block.key;
        if matches!(key, "types" | "envs" | "scaling") || RUNTIMES.contains(&key) || options.runtimes.contains(key) {
            continue;
        }
        if found.len() >= walk::MAX_PROBLEMS {
            return;
        }
        let known = ["types", "envs", "scaling"].into_iter().chain(known_runtimes(options));
        let mut problem = Diagnostic::error("unknown-key", "unknown key")
            .at(&block.key_origin)
            .detail(format!("`{key}` is neither a key of `runtime` nor the name of a runtime"));
        problem.hints.extend(suggest::hint(key, known));
        found.push(problem);
    }
}

fn known_runtimes(options: &LoadOptions) -> impl Iterator<Item = &str> {
    options.runtimes.iter().map(String::as_str).chain(RUNTIMES.iter().copied())
}

/// Whether a name in `types` is the system's default and nothing here can run it: then nobody asked for it, and the rest
/// of the document is as good without.
pub(crate) fn left_out(name: &Tree, options: &LoadOptions) -> bool {
    let missing = |text: &str| RUNTIMES.contains(&text) && !options.runtimes.contains(text);
    options.purpose != Purpose::Validate
        && templates::is_default(&name.origin.file)
        && name.as_text().is_some_and(missing)
}

fn runtime_name(name: &str, place: &Tree, options: &LoadOptions) -> Option<Diagnostic> {
    if options.runtimes.contains(name) {
        return None;
    }
    let have: Vec<String> = options.runtimes.iter().map(|r| format!("`{r}`")).collect();
    if left_out(place, options) {
        return Some(
            Diagnostic::warning("runtime-left-out", "a default runtime that there is no manifest for yet")
                .at(&place.origin)
                .detail(format!("`{name}` is left out; no document asks for it, the provider's defaults do"))
                .hint("write `runtime: {types: [spark]}` to say what runs, or add a manifest under that name"),
        );
    }
    if RUNTIMES.contains(&name) {
        let diagnostic = match options.purpose {
            Purpose::Plan => Diagnostic::error("runtime-unavailable", "a runtime that there is no manifest for yet"),
            Purpose::Use | Purpose::Validate => {
                Diagnostic::warning("runtime-unavailable", "a runtime that there is no manifest for yet")
            }
        };
        return Some(
            diagnostic
                .at(&place.origin)
                .detail(format!("`{name}` is a runtime of CloudTik; there are manifests for {}", have.join(", ")))
                .hint("take it out of `types`, or add a manifest under that name"),
        );
    }
    let mut problem = Diagnostic::error("unknown-runtime", "unknown runtime")
        .at(&place.origin)
        .detail(format!("there is no runtime `{name}`"));
    let close = suggest::closest(name, known_runtimes(options)).map(|known| format!("did you mean `{known}`?"));
    problem.hints.push(close.unwrap_or_else(|| format!("there are manifests for {}", have.join(", "))));
    Some(problem)
}

/// `${env:}` and the like, in the places where references count.
fn references(tree: Option<&Tree>, found: &mut Vec<Diagnostic>) {
    let Some(tree) = tree else { return };
    match &tree.value {
        TreeValue::Text(text) if reference::is_malformed(text) => found.push(
            Diagnostic::error("bad-reference", "a reference that names nothing")
                .at(&tree.origin)
                .detail(format!("`{text}`"))
                .hint("write `${env:NAME}`, `${file:path}` or `${secret:name}`"),
        ),
        TreeValue::List(items) => items.iter().for_each(|t| references(Some(t), found)),
        TreeValue::Map(entries) => entries.iter().for_each(|e| references(Some(&e.value), found)),
        _ => {}
    }
}

/// The number of bytes that a `resources` entry means.
pub(crate) fn resource_bytes(resource: &file::Resource) -> Option<u64> {
    match resource {
        file::Resource::Amount(bytes) => Some(*bytes),
        file::Resource::Size(text) => formats::size(&text.as_str().into()).ok(),
    }
}
