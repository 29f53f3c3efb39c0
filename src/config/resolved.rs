//! A merged document written as YAML again, line by line with where each line came from.

use crate::{
    Kind, reference,
    scalar::{self, Scalar},
    schema,
};
use cloudtik_core::{Origin, Tree, TreeValue, document::Document};
use serde_json::Value as Json;
use std::sync::Arc;

/// One line of the merged document.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedLine {
    /// With its indentation.
    pub text: String,
    pub origin: Origin,
}

/// What stands in the place of a secret.
const SENSITIVE: &str = "(sensitive)";

/// The merged document. Secrets are masked; references to secrets are shown.
///
/// But for masked values the text reads back as the same values, in YAML 1.1 and 1.2.
pub fn resolved(document: &Document) -> Vec<ResolvedLine> {
    let (kind, tree) = parts(document);
    let mut writer = Writer { root: schema::strict(kind), lines: Vec::new() };
    writer.map(tree, 0, writer.root, false);
    writer.lines
}

/// Every secret that the document holds in plain text, for redaction. Sorted, each once.
pub fn secrets(document: &Document) -> Vec<Arc<str>> {
    let (kind, tree) = parts(document);
    let mut found = Vec::new();
    let root = schema::strict(kind);
    collect(tree, root, root, false, &mut found);
    // What its references stand for is there only.
    let (below, _) = descend(root, root, "provider");
    collect(provider(document), below, root, false, &mut found);
    found.sort();
    found.dedup();
    found
}

fn parts(document: &Document) -> (Kind, &Tree) {
    match document {
        Document::Workspace(w) => (Kind::Workspace, &w.tree),
        Document::Cluster(c) => (Kind::Cluster, &c.tree),
        Document::Storage(s) => (Kind::Storage, &s.tree),
        Document::Database(d) => (Kind::Database, &d.tree),
    }
}

fn provider(document: &Document) -> &Tree {
    match document {
        Document::Workspace(w) => &w.provider,
        Document::Cluster(c) => &c.provider,
        Document::Storage(b) | Document::Database(b) => &b.provider,
    }
}

fn collect(tree: &Tree, schema: &Json, root: &Json, secret: bool, found: &mut Vec<Arc<str>>) {
    match &tree.value {
        TreeValue::Map(entries) => entries.iter().for_each(|e| {
            let (below, is_secret) = descend(root, schema, &e.key);
            collect(&e.value, below, root, secret || is_secret, found);
        }),
        TreeValue::List(items) => items.iter().for_each(|item| collect(item, &Json::Null, root, secret, found)),
        _ if !secret || reference::reference(tree).is_some() => {}
        _ => found.extend(tree.as_text().map(Arc::from).or_else(|| tree.raw.clone()).filter(|t| !t.is_empty())),
    }
}

/// The schema under a key, and whether what is there is secret.
fn descend<'a>(root: &'a Json, schema: &'a Json, key: &str) -> (&'a Json, bool) {
    let schema = schema::resolve(root, schema);
    let known = schema.get("properties").and_then(|p| p.get(key));
    let below = known.or_else(|| schema.get("additionalProperties")).unwrap_or(&Json::Null);
    let marked = below.get("writeOnly") == Some(&Json::Bool(true));
    let lower = key.to_ascii_lowercase();
    let sounds_secret = ["password", "passwd", "secret", "token", "private.key"].iter().any(|w| lower.contains(w));
    (below, marked || known.is_none() && sounds_secret)
}

struct Writer {
    root: &'static Json,
    lines: Vec<ResolvedLine>,
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str, origin: &Origin) {
        self.lines.push(ResolvedLine { text: format!("{:indent$}{text}", ""), origin: origin.clone() });
    }

    fn map(&mut self, tree: &Tree, indent: usize, schema: &Json, secret: bool) {
        let root = self.root;
        for entry in tree.entries() {
            let (below, is_secret) = descend(root, schema, &entry.key);
            let key = text(&entry.key);
            self.value(&format!("{key}:"), &entry.value, &entry.key_origin, indent, below, secret || is_secret);
        }
    }

    /// Writes `lead value`, or the lead and the value's own lines below it.
    fn value(&mut self, lead: &str, value: &Tree, place: &Origin, indent: usize, schema: &Json, secret: bool) {
        match &value.value {
            TreeValue::Map(entries) if !entries.is_empty() => {
                self.line(indent, lead, place);
                self.map(value, indent + 2, schema, secret);
            }
            TreeValue::List(items) if !items.is_empty() => {
                self.line(indent, lead, place);
                for item in items {
                    self.item(item, indent + 2, schema, secret);
                }
            }
            _ => self.line(indent, &format!("{lead} {}", scalar(value, secret)), &value.origin),
        }
    }

    /// A list item: its first line carries the dash.
    fn item(&mut self, item: &Tree, indent: usize, schema: &Json, secret: bool) {
        let below = schema::resolve(self.root, schema).get("items").cloned().unwrap_or(Json::Null);
        let start = self.lines.len();
        match &item.value {
            TreeValue::Map(entries) if !entries.is_empty() => self.map(item, indent + 2, &below, secret),
            TreeValue::List(items) if !items.is_empty() => {
                for inner in items {
                    self.item(inner, indent + 2, &below, secret);
                }
            }
            _ => return self.line(indent, &format!("- {}", scalar(item, secret)), &item.origin),
        }
        if let Some(first) = self.lines.get_mut(start) {
            first.text.replace_range(indent..indent + 2, "- ");
        }
    }
}

fn scalar(tree: &Tree, secret: bool) -> String {
    if secret && reference::reference(tree).is_none() && tree.value != TreeValue::Null {
        return SENSITIVE.into();
    }
    match &tree.value {
        TreeValue::Null => "null".into(),
        TreeValue::Bool(b) => b.to_string(),
        TreeValue::Int(i) => number(tree, Scalar::Int(*i), i.to_string()),
        TreeValue::Float(f) if f.is_nan() => ".nan".into(),
        TreeValue::Float(f) if f.is_infinite() => if *f > 0.0 { ".inf" } else { "-.inf" }.into(),
        TreeValue::Float(f) => number(tree, Scalar::Float(*f), scalar::float_text(*f)),
        TreeValue::Text(value) => text(value),
        TreeValue::List(_) => "[]".into(),
        TreeValue::Map(_) => "{}".into(),
    }
}

/// A number as it was written, where both versions read it alike.
fn number(tree: &Tree, value: Scalar, canonical: String) -> String {
    let same = |raw: &&str| scalar::same(scalar::yaml11(raw), value) && scalar::same(scalar::yaml12(raw), value);
    tree.raw.as_deref().filter(same).map_or(canonical, str::to_string)
}

/// Text, quoted where it would mean something else.
fn text(value: &str) -> String {
    let starts = value.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-+=:,@% ()$".contains(c);
    let safe = starts
        && value.chars().all(plain)
        && !value.contains(": ")
        && !value.ends_with([':', ' '])
        && !value.starts_with("...")
        && scalar::yaml11(value) == Scalar::Text
        && scalar::yaml12(value) == Scalar::Text;
    if safe { value.to_string() } else { quoted(value) }
}

fn quoted(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
