//! What differs between two sets of attributes, path by path.

use cloudtik_core::{Attrs, Value, plan::AttributeDiff, schema::KindSchema};

static UNSET: Value = Value::Unset;

/// Attributes that differ in meaning, sorted by path. Maps are followed to the values that differ.
pub(crate) fn changed(kind: &KindSchema, before: &Attrs, after: &Attrs) -> Vec<AttributeDiff> {
    let mut diffs = Vec::new();
    for name in names(before, after) {
        let (a, b) = (before.get(name).unwrap_or(&UNSET), after.get(name).unwrap_or(&UNSET));
        if !kind.same(name, a, b) {
            let forces_replacement = kind.replaces(name, a, b);
            leaves(name, a, b, &mut |path, before, after| {
                diffs.push(AttributeDiff { path, before: before.clone(), after: after.clone(), forces_replacement });
            });
        }
    }
    diffs
}

/// Every attribute of something new.
pub(crate) fn created(after: &Attrs) -> Vec<AttributeDiff> {
    after
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Unset))
        .map(|(name, value)| AttributeDiff {
            path: name.clone(),
            before: Value::Unset,
            after: value.clone(),
            forces_replacement: false,
        })
        .collect()
}

fn names<'a>(a: &'a Attrs, b: &'a Attrs) -> impl Iterator<Item = &'a String> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter()
}

fn leaves(path: &str, a: &Value, b: &Value, found: &mut dyn FnMut(String, &Value, &Value)) {
    match (a, b) {
        (Value::Map(x), Value::Map(y)) => {
            for name in names(x, y) {
                let (a, b) = (x.get(name).unwrap_or(&UNSET), y.get(name).unwrap_or(&UNSET));
                if a.pruned() != b.pruned() {
                    leaves(&format!("{path}.{name}"), a, b, found);
                }
            }
        }
        _ => found(path.to_string(), a, b),
    }
}
