//! A runtime's block of the document, read against the keys its manifest declares.

use crate::{
    manifest::{Manifest, Setting, SettingKind},
    render::{Facts, Renderer},
};
use cloudtik_core::{
    Diagnostic, Tree,
    document::RuntimeSelection,
    origin::{Entry, TreeValue},
};
use serde_json::{Map, Value as Json};

/// Settings of one runtime, defaults filled in, and what was said about them.
pub struct Settings {
    pub values: Map<String, Json>,
    pub version: String,
    pub warnings: Vec<Diagnostic>,
}

/// Keys that every runtime's block may have.
const COMMON: [&str; 2] = ["version", "service"];

/// Reads the block of `manifest.name`. `facts` is what default expressions see.
pub fn read(
    manifest: &Manifest,
    selection: &RuntimeSelection,
    renderer: &Renderer,
    facts: &Facts,
) -> Result<Settings, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut values = Map::new();
    let block = selection.config.get(&manifest.name);
    let mut version = manifest.version.clone();
    for entry in block.map(|tree| tree.entries()).unwrap_or_default() {
        match (&*entry.key, manifest.settings.get(&*entry.key)) {
            ("version", _) => match known_version(manifest, &entry.value) {
                Ok(known) => version = known,
                Err(problem) => problems.push(*problem),
            },
            ("service", _) => warnings.push(no_effect(manifest, entry, "services are not registered anywhere yet")),
            (key, Some(setting)) if fits(setting.kind, &entry.value) => {
                if let Some(why) = &setting.ignored {
                    warnings.push(no_effect(manifest, entry, why));
                }
                values.insert(key.into(), as_written(&entry.value));
            }
            (key, Some(setting)) => problems.push(wrong_type(manifest, key, setting, &entry.value)),
            (_, None) => problems.push(unknown_key(manifest, entry)),
        }
    }
    for (key, setting) in &manifest.settings {
        if let (false, Some(default)) = (values.contains_key(key), &setting.default) {
            match renderer.eval(&format!("runtime {}, default of {key}", manifest.name), default, facts) {
                Ok(value) => {
                    values.insert(key.clone(), value);
                }
                Err(error) => problems.push(crate::compile::defect(&error)),
            }
        }
    }
    if problems.is_empty() { Ok(Settings { values, version, warnings }) } else { Err(problems) }
}

fn known_version(manifest: &Manifest, tree: &Tree) -> Result<String, Box<Diagnostic>> {
    let written = tree.raw.as_deref().map(String::from).unwrap_or_else(|| plain(&tree.to_json()));
    if manifest.versions.contains_key(&written) {
        return Ok(written);
    }
    let known: Vec<&str> = manifest.versions.keys().map(String::as_str).collect();
    Err(Box::new(
        Diagnostic::error("unknown-runtime-version", "this version of the runtime is not known")
            .detail(format!("{} `{written}`; known: {}", manifest.name, known.join(", ")))
            .at(&tree.origin)
            .hint(format!("set `version: {}`, or add it to a runtime folder of your own", manifest.version)),
    ))
}

fn fits(kind: SettingKind, tree: &Tree) -> bool {
    match kind {
        SettingKind::Bool => matches!(tree.value, TreeValue::Bool(_)),
        SettingKind::Int => matches!(tree.value, TreeValue::Int(_)),
        SettingKind::Text => matches!(tree.value, TreeValue::Text(_) | TreeValue::Int(_) | TreeValue::Float(_)),
        SettingKind::Map => matches!(tree.value, TreeValue::Map(_)),
        SettingKind::Any => true,
    }
}

/// The tree as JSON, numbers with a fraction as they were written: `3.10` stays `3.10`.
fn as_written(tree: &Tree) -> Json {
    match (&tree.value, &tree.raw) {
        (TreeValue::Float(_), Some(raw)) => Json::from(&**raw),
        (TreeValue::Map(entries), _) => {
            Json::Object(entries.iter().map(|e| (e.key.to_string(), as_written(&e.value))).collect())
        }
        (TreeValue::List(items), _) => Json::Array(items.iter().map(|t| as_written(t)).collect()),
        _ => tree.to_json(),
    }
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

fn wrong_type(manifest: &Manifest, key: &str, setting: &Setting, tree: &Tree) -> Diagnostic {
    let expected = match setting.kind {
        SettingKind::Bool => "`true` or `false`",
        SettingKind::Int => "a whole number",
        SettingKind::Text => "text",
        SettingKind::Map => "a map",
        SettingKind::Any => "a value",
    };
    Diagnostic::error("wrong-type", format!("a setting of the runtime is not {expected}"))
        .detail(format!("runtime.{}.{key}", manifest.name))
        .at(&tree.origin)
        .hint(format!("give {expected}"))
}

fn unknown_key(manifest: &Manifest, entry: &Entry) -> Diagnostic {
    let known: Vec<&str> = manifest.settings.keys().map(String::as_str).chain(COMMON).collect();
    let diagnostic = Diagnostic::error("unknown-key", "unknown key in the runtime's block")
        .detail(format!("runtime.{}.{}", manifest.name, entry.key))
        .at(&entry.key_origin);
    match crate::compile::nearest(&entry.key, known.iter().copied()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None if entry.key.contains('.') => {
            diagnostic.hint(format!("properties go under `config:`, as `runtime.{}.config`", manifest.name))
        }
        None => diagnostic.hint(format!("known keys: {}", known.join(", "))),
    }
}

fn no_effect(manifest: &Manifest, entry: &Entry, why: &str) -> Diagnostic {
    Diagnostic::warning("no-effect", "a setting of the runtime has no effect")
        .detail(format!("runtime.{}.{}: {why}", manifest.name, entry.key))
        .at(&entry.key_origin)
        .hint("leave it out to silence this")
}
