//! Values given beside the documents, on the command line, laid over the merged tree.

use cloudtik_core::{Diagnostic, Origin, Sources, Tree, TreeValue, origin::Entry};
use serde_json::Value as Json;
use std::sync::Arc;

/// The "file" that overridden values point into; its text has one override per line.
pub(crate) const COMMAND_LINE: &str = "<command line>";

pub(crate) struct Override {
    path: String,
    value: Arc<Tree>,
}

impl Override {
    pub(crate) fn keys(&self) -> Vec<&str> {
        self.path.split('.').collect()
    }
}

/// Gives each override a place, and the places a text.
pub(crate) fn parse(overrides: &[(String, Json)], sources: &mut Sources) -> Vec<Override> {
    if overrides.is_empty() {
        return Vec::new();
    }
    let lines: Vec<String> = overrides.iter().map(|(path, value)| format!("{path}={value}")).collect();
    let file: Arc<str> = COMMAND_LINE.into();
    sources.0.insert(file.clone(), lines.join("\n").into());
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    overrides
        .iter()
        .zip(lines.iter().zip(1..))
        .map(|((path, value), (line, number))| {
            let origin = Origin { file: file.clone(), line: number, column: 1, length: clamp(line.chars().count()) };
            Override { path: path.clone(), value: Arc::new(tree(value, &origin)) }
        })
        .collect()
}

fn tree(value: &Json, origin: &Origin) -> Tree {
    let inner = |value: &Json| Arc::new(tree(value, origin));
    let content = match value {
        Json::Null => TreeValue::Null,
        Json::Bool(b) => TreeValue::Bool(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| TreeValue::Float(n.as_f64().unwrap_or(f64::NAN)), TreeValue::Int),
        Json::String(text) => TreeValue::Text(text.as_str().into()),
        Json::Array(items) => TreeValue::List(items.iter().map(inner).collect()),
        Json::Object(entries) => TreeValue::Map(
            entries
                .iter()
                .map(|(k, v)| Entry { key: k.as_str().into(), key_origin: origin.clone(), value: inner(v) })
                .collect(),
        ),
    };
    let raw = (value.is_number() || value.is_boolean()).then(|| value.to_string().into());
    Tree { value: content, origin: origin.clone(), raw }
}

/// Sets the value, with maps on the way to it made as needed.
pub(crate) fn apply(tree: &Arc<Tree>, wish: &Override) -> Arc<Tree> {
    set(tree, &wish.path, &wish.value)
}

fn set(tree: &Arc<Tree>, path: &str, value: &Arc<Tree>) -> Arc<Tree> {
    let mut entries = tree.entries().to_vec();
    let (key, rest) = split(&entries, path);
    let old = entries.iter().position(|e| *e.key == *key);
    let below = |inner: Option<&Arc<Tree>>| match rest {
        None => value.clone(),
        Some(rest) => {
            let empty =
                || Arc::new(Tree { value: TreeValue::Map(Vec::new()), origin: value.origin.clone(), raw: None });
            set(&inner.cloned().unwrap_or_else(empty), rest, value)
        }
    };
    match old {
        Some(at) => entries[at].value = below(Some(&entries[at].value)),
        None => entries.push(Entry { key: key.into(), key_origin: value.origin.clone(), value: below(None) }),
    }
    Arc::new(Tree { value: TreeValue::Map(entries), origin: tree.origin.clone(), raw: None })
}

/// The first key of a dotted path and the rest. A key may hold dots itself: the longest one that is there is taken.
fn split<'p>(entries: &[Entry], path: &'p str) -> (&'p str, Option<&'p str>) {
    if entries.iter().any(|e| *e.key == *path) {
        return (path, None);
    }
    let dots = path.rmatch_indices('.').map(|(at, _)| at);
    let longest = dots.filter(|at| entries.iter().any(|e| *e.key == path[..*at])).max();
    match longest.or_else(|| path.find('.')) {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

pub(crate) fn unused(wish: &Override) -> Diagnostic {
    Diagnostic::error("unknown-override", "an override that fits no document")
        .at(&wish.value.origin)
        .detail(format!("none of the documents can have `{}`", wish.path))
        .hint("check the path, and that the document it is meant for is given")
}
