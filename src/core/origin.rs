//! Places in documents, and a document tree whose every value knows its place.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Where a value was written. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
    /// Characters covered on that line; 0 marks a place between characters.
    pub length: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value of a document with the place of every part. Shared parts (aliases) share memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub value: TreeValue,
    pub origin: Origin,
    /// What was written, when the value was a plain scalar: `3.10` stays `3.10`.
    pub raw: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TreeValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    List(Vec<Arc<Tree>>),
    /// In document order, keys unique.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Arc<str>,
    pub key_origin: Origin,
    pub value: Arc<Tree>,
}

impl Tree {
    pub fn get(&self, key: &str) -> Option<&Arc<Tree>> {
        self.entries().iter().find(|e| &*e.key == key).map(|e| &e.value)
    }

    /// The value under a path of keys, `None` as soon as one is missing.
    pub fn at(&self, path: &[&str]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, key| tree.get(key).map(|t| &**t))
    }

    /// The entries of a map; empty for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            TreeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            TreeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value without places, for typed reading. `Float` values that JSON cannot hold become text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            TreeValue::Null => Json::Null,
            TreeValue::Bool(b) => Json::Bool(*b),
            TreeValue::Int(i) => Json::from(*i),
            TreeValue::Float(f) => {
                serde_json::Number::from_f64(*f).map_or_else(|| Json::String(f.to_string()), Json::Number)
            }
            TreeValue::Text(text) => Json::String(text.to_string()),
            TreeValue::List(items) => Json::Array(items.iter().map(|t| t.to_json()).collect()),
            TreeValue::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.to_string(), e.value.to_json())).collect())
            }
        }
    }
}

/// The text of the files that origins point into, for diagnostics that quote the line.
#[derive(Clone, Debug, Default)]
pub struct Sources(pub BTreeMap<Arc<str>, Arc<str>>);
