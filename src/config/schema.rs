//! The JSON Schemas of the documents, generated from the types in [`crate::file`].
//!
//! Two forms. Validation walks the *strict* one after templates are merged. The public one is for a document as written,
//! where templates may supply whatever is required and where the merge keys (`key++`, `++key`, `~key`) may stand.

use crate::{
    Kind,
    file::{ClusterFile, DatabaseFile, LocalNodeConfig, StorageFile, WorkspaceFile},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

static WORKSPACE: LazyLock<Json> = LazyLock::new(generate::<WorkspaceFile>);
static CLUSTER: LazyLock<Json> = LazyLock::new(generate::<ClusterFile>);
static STORAGE: LazyLock<Json> = LazyLock::new(generate::<StorageFile>);
static DATABASE: LazyLock<Json> = LazyLock::new(generate::<DatabaseFile>);
static LOCAL_NODE: LazyLock<Json> = LazyLock::new(generate::<LocalNodeConfig>);

/// The schema of a document as a user writes it, for editors (JSON Schema 2020-12).
pub fn schema(kind: Kind) -> Json {
    let mut schema = strict(kind).clone();
    allow_inheritance(&mut schema, false);
    schema
}

pub(crate) fn strict(kind: Kind) -> &'static Json {
    match kind {
        Kind::Workspace => &WORKSPACE,
        Kind::Cluster => &CLUSTER,
        Kind::Storage => &STORAGE,
        Kind::Database => &DATABASE,
    }
}

/// The schema of `node_config` for provider `local`.
pub(crate) fn local_node() -> &'static Json {
    &LOCAL_NODE
}

/// Follows a `$ref`; anything else is itself.
pub(crate) fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let target = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    target.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

/// Whether documents of that kind can have a value under this path. Free-form maps have every key.
///
/// The path may come from a dotted text, where a name such as `worker.default` is two parts.
pub(crate) fn knows(kind: Kind, path: &[&str]) -> bool {
    let root = strict(kind);
    knows_below(root, root, path)
}

fn knows_below(root: &Json, schema: &Json, path: &[&str]) -> bool {
    let schema = resolve(root, schema);
    if path.is_empty() || schema == &Json::Bool(true) {
        return true;
    }
    let is_map = schema.get("type").is_none_or(|t| t == "object");
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
        return is_map && knows_named(root, schema, path);
    };
    let mut known = (1..=path.len()).filter_map(|parts| Some((properties.get(&path[..parts].join("."))?, parts)));
    match known.next() {
        Some((below, parts)) => knows_below(root, below, &path[parts..]),
        None => is_map && knows_named(root, schema, path),
    }
}

/// The same where the first key is anybody's.
fn knows_named(root: &Json, schema: &Json, path: &[&str]) -> bool {
    match schema.get("additionalProperties") {
        Some(Json::Bool(false)) => false,
        Some(Json::Bool(true)) | None => true,
        Some(below) => {
            let is_leaf = resolve(root, below).get("properties").is_none();
            is_leaf || path.len() == 1 || (1..path.len()).any(|parts| knows_below(root, below, &path[parts..]))
        }
    }
}

fn generate<T: JsonSchema>() -> Json {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut json = schema.to_value();
    forbid_null(&mut json);
    json
}

/// An optional key may be left out, not be empty: `Option` does not mean null here, unless `x-nullable` says so.
fn forbid_null(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            if object.remove("x-nullable").is_none() {
                drop_null(object);
            }
            object.values_mut().for_each(forbid_null);
        }
        Json::Array(items) => items.iter_mut().for_each(forbid_null),
        _ => {}
    }
}

fn drop_null(object: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if types.len() == 1 {
            let only = types.remove(0);
            object.insert("type".into(), only);
        }
    }
    if let Some(Json::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|b| b != &json!({ "type": "null" }));
        if branches.len() == 1
            && let Json::Object(only) = branches.remove(0)
        {
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The merge keys that a map may have beside its own keys. In a map of anything they need no mention.
fn merge_keys(others: &Json) -> Option<Json> {
    match others {
        Json::Bool(true) => None,
        Json::Bool(false) => Some(json!({
            "^[^~+].*[+][+]$": { "type": "array" },
            "^[+][+]": { "type": "array" },
            "^~.": { "type": "null" },
        })),
        // Names are the user's, and a remote path may begin with `~`.
        named => Some(json!({ "^~.": { "anyOf": [{ "type": "null" }, named] } })),
    }
}

/// Drops what only the walker reads, and `required`, except in list items (lists are not merged), and lets merge keys stand.
fn allow_inheritance(schema: &mut Json, in_list: bool) {
    match schema {
        Json::Object(object) => {
            object.remove("x-check");
            object.remove("x-id");
            if !in_list {
                object.remove("required");
                if let Some(merge_keys) = object.get("additionalProperties").and_then(merge_keys) {
                    object.insert("patternProperties".into(), merge_keys);
                }
            }
            for (key, value) in object.iter_mut() {
                allow_inheritance(value, in_list || key == "items");
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| allow_inheritance(item, in_list)),
        _ => {}
    }
}
