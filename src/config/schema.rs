//! The JSON Schemas of the documents, generated from the types in [`crate::file`].
//!
//! Two forms. Validation walks the *strict* one after templates are merged. The public one is for a document as written,
//! where templates may supply whatever is required and where the merge keys (`key++`, `++key`, `~key`) may stand.

use crate::{
    Kind,
    file::{ClusterFile, LocalNodeConfig, WorkspaceFile},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json, json};
use std::sync::LazyLock;

static WORKSPACE: LazyLock<Json> = LazyLock::new(generate::<WorkspaceFile>);
static CLUSTER: LazyLock<Json> = LazyLock::new(generate::<ClusterFile>);
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

/// Whether documents of that kind have a key under this path. Free-form maps have every key.
pub(crate) fn knows(kind: Kind, path: &[&str]) -> bool {
    let root = strict(kind);
    let mut at = root;
    for key in path {
        let schema = resolve(root, at);
        let next = schema.get("properties").and_then(|p| p.get(*key)).or_else(|| schema.get("additionalProperties"));
        match next {
            Some(Json::Bool(false)) | None => {
                return schema.get("type").is_none() && schema.get("properties").is_none();
            }
            Some(Json::Bool(true)) => return true,
            Some(next) => at = next,
        }
    }
    true
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

/// Drops `required`, except in list items (lists are not merged), and lets merge keys stand.
fn allow_inheritance(schema: &mut Json, in_list: bool) {
    match schema {
        Json::Object(object) => {
            if !in_list {
                object.remove("required");
                if object.get("additionalProperties") == Some(&Json::Bool(false)) {
                    object.insert(
                        "patternProperties".into(),
                        json!({
                            "^[^~+].*[+][+]$": { "type": "array" },
                            "^[+][+]": { "type": "array" },
                            "^~.": { "type": "null" },
                        }),
                    );
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
