//! Laying a document over the one it inherits from.
//!
//! Maps merge key by key; scalars and lists replace what is inherited. Exceptions: lists that hold one map of the same
//! `name` on both sides merge that map; `key++` appends a list to the inherited one and `++key` puts it before; `~key`
//! without a value removes an inherited key first, so that `~key` beside `key` replaces a map instead of merging it.
//! Every value keeps its own place, so a merged tree tells where each came from.

use crate::suggest;
use cloudtik_core::{Diagnostic, Tree, TreeValue, origin::Entry};
use std::{collections::HashMap, sync::Arc};

/// `child` over `base`. Both are maps at the top.
pub(crate) fn merge(base: &Arc<Tree>, child: &Arc<Tree>, problems: &mut Vec<Diagnostic>) -> Arc<Tree> {
    match (&base.value, &child.value) {
        (TreeValue::Map(base), TreeValue::Map(own)) => {
            let entries = merge_entries(base, own, problems);
            Arc::new(Tree { value: TreeValue::Map(entries), origin: child.origin.clone(), raw: None })
        }
        (TreeValue::List(inherited), TreeValue::List(own)) => match (named(inherited), named(own)) {
            (Some((name, a)), Some((other, b))) if name == other => {
                let item = merge(a, b, problems);
                Arc::new(Tree { value: TreeValue::List(vec![item]), origin: child.origin.clone(), raw: None })
            }
            _ => settled(child, problems),
        },
        _ => settled(child, problems),
    }
}

/// A document that inherits nothing: only its merge keys are carried out.
pub(crate) fn settled(tree: &Arc<Tree>, problems: &mut Vec<Diagnostic>) -> Arc<Tree> {
    let value = match &tree.value {
        TreeValue::Map(entries) => TreeValue::Map(merge_entries(&[], entries, problems)),
        TreeValue::List(items) => TreeValue::List(items.iter().map(|item| settled(item, problems)).collect()),
        _ => return tree.clone(),
    };
    Arc::new(Tree { value, origin: tree.origin.clone(), raw: None })
}

/// The only item of a list, with its `name`.
fn named(items: &[Arc<Tree>]) -> Option<(&str, &Arc<Tree>)> {
    match items {
        [only] => Some((only.get("name")?.as_text()?, only)),
        _ => None,
    }
}

/// What a key asks for.
enum Wish<'a> {
    Set,
    Append(&'a str),
    Prepend(&'a str),
    Remove(&'a str),
}

fn wish(entry: &Entry) -> Wish<'_> {
    let key = &*entry.key;
    if let Some(key) = key.strip_suffix("++").filter(|k| !k.is_empty()) {
        return Wish::Append(key);
    }
    if let Some(key) = key.strip_prefix("++").filter(|k| !k.is_empty()) {
        return Wish::Prepend(key);
    }
    // A remote path such as `~/data` is an ordinary key: it has a value.
    match key.strip_prefix('~') {
        Some(key) if !key.is_empty() && entry.value.value == TreeValue::Null => Wish::Remove(key),
        _ => Wish::Set,
    }
}

fn merge_entries(base: &[Entry], own: &[Entry], problems: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut merged = Merged::new(base);
    for entry in own {
        if let Wish::Remove(key) = wish(entry) {
            remove(&mut merged, key, entry, problems);
        }
    }
    for entry in own.iter().filter(|e| matches!(wish(e), Wish::Set)) {
        match merged.find(&entry.key) {
            Some(inherited) => {
                inherited.value = merge(&inherited.value, &entry.value, problems);
                inherited.key_origin = entry.key_origin.clone();
            }
            None => merged.push(Entry { value: settled(&entry.value, problems), ..entry.clone() }),
        }
    }
    for entry in own {
        match wish(entry) {
            Wish::Set | Wish::Remove(_) => {}
            Wish::Append(key) => extend(&mut merged, key, entry, false, problems),
            Wish::Prepend(key) => extend(&mut merged, key, entry, true, problems),
        }
    }
    merged.finish()
}

/// Entries with an index, so that large maps merge in linear time.
struct Merged {
    entries: Vec<Option<Entry>>,
    index: HashMap<Arc<str>, usize>,
}

impl Merged {
    fn new(base: &[Entry]) -> Self {
        Merged {
            entries: base.iter().cloned().map(Some).collect(),
            index: base.iter().enumerate().map(|(at, e)| (e.key.clone(), at)).collect(),
        }
    }

    fn find(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries[*self.index.get(key)?].as_mut()
    }

    fn push(&mut self, entry: Entry) {
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(Some(entry));
    }

    fn remove(&mut self, key: &str) -> bool {
        self.index.remove(key).is_some_and(|at| self.entries[at].take().is_some())
    }

    fn finish(self) -> Vec<Entry> {
        self.entries.into_iter().flatten().collect()
    }
}

fn extend(merged: &mut Merged, key: &str, entry: &Entry, before: bool, problems: &mut Vec<Diagnostic>) {
    let own = settled(&entry.value, problems);
    let TreeValue::List(items) = &own.value else {
        problems.push(not_a_list(key, entry));
        return;
    };
    let Some(inherited) = merged.find(key) else {
        merged.push(Entry { key: key.into(), key_origin: entry.key_origin.clone(), value: own });
        return;
    };
    let TreeValue::List(old) = &inherited.value.value else {
        problems.push(not_a_list(key, entry).related(&inherited.value.origin, "what it would extend"));
        return;
    };
    let all: Vec<Arc<Tree>> = if before { items.iter().chain(old) } else { old.iter().chain(items) }.cloned().collect();
    inherited.value = Arc::new(Tree { value: TreeValue::List(all), origin: own.origin.clone(), raw: None });
    inherited.key_origin = entry.key_origin.clone();
}

fn not_a_list(key: &str, entry: &Entry) -> Diagnostic {
    Diagnostic::error("extends-no-list", "`++` extends lists only")
        .at(&entry.key_origin)
        .detail(format!("`{}` and the `{key}` that it extends must both be lists", entry.key))
        .hint(format!("write `{key}:` to replace the inherited value"))
}

fn remove(merged: &mut Merged, key: &str, entry: &Entry, problems: &mut Vec<Diagnostic>) {
    if merged.remove(key) {
        return;
    }
    let known = merged.entries.iter().flatten().map(|e| &*e.key);
    let mut warning = Diagnostic::warning("removes-nothing", "nothing to remove")
        .at(&entry.key_origin)
        .detail(format!("no `{key}` is inherited here"));
    warning.hints.extend(suggest::closest(key, known).map(|k| format!("did you mean `~{k}:`?")));
    problems.push(warning);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::compose;

    fn tree(file: &str, text: &str) -> Arc<Tree> {
        compose(&file.into(), text).expect("YAML").0
    }

    /// Base, child, and what the child over the base is.
    const TABLE: &[(&str, &str, &str)] = &[
        ("{a: 1, b: {c: 1, d: 1}}", "{b: {d: 2, e: 2}}", "{a: 1, b: {c: 1, d: 2, e: 2}}"),
        ("{a: [1, 2]}", "{a: [3]}", "{a: [3]}"),
        ("{a: [1, 2]}", "{a++: [3]}", "{a: [1, 2, 3]}"),
        ("{a: [1, 2]}", "{++a: [3]}", "{a: [3, 1, 2]}"),
        ("{a: [1]}", "{++a: [0], a++: [2]}", "{a: [0, 1, 2]}"),
        ("{a: [1]}", "{a: [5], a++: [6]}", "{a: [5, 6]}"),
        ("{}", "{a++: [3], b: {++c: [4]}}", "{b: {c: [4]}, a: [3]}"),
        ("{a: 1, b: 2}", "{~a: }", "{b: 2}"),
        ("{a: {b: 1, c: 2}}", "{a: {~b: , d: 3}}", "{a: {c: 2, d: 3}}"),
        ("{a: 1}", "{~a: , b: {~c: x}}", "{b: {~c: x}}"),
        ("{a: {b: 1}}", "{a: {c: 2}, ~a: }", "{a: {c: 2}}"),
        ("{a: [1]}", "{~a: , a++: [2]}", "{a: [2]}"),
        ("{a: {b: 1}}", "{a: 2}", "{a: 2}"),
        ("{a: 2}", "{a: {b: 1}}", "{a: {b: 1}}"),
        ("{a: {b: 1}}", "{a: }", "{a: }"),
        ("{c: [{name: n, x: 1}]}", "{c: [{name: n, y: 2}]}", "{c: [{name: n, x: 1, y: 2}]}"),
        ("{c: [{name: n, x: 1}]}", "{c: [{name: m, y: 2}]}", "{c: [{name: m, y: 2}]}"),
        ("{c: [{name: n}, {name: o}]}", "{c: [{name: n, y: 2}]}", "{c: [{name: n, y: 2}]}"),
        ("{c: [{name: n, l: [1]}]}", "{c: [{name: n, l++: [2]}]}", "{c: [{name: n, l: [1, 2]}]}"),
    ];

    #[test]
    fn a_child_over_its_base_is_what_the_rules_say() {
        for (base, child, wanted) in TABLE {
            let mut problems = Vec::new();
            let merged = merge(&settled(&tree("base", base), &mut problems), &tree("child", child), &mut problems);
            assert_eq!(merged.to_json(), tree("wanted", wanted).to_json(), "{base} <- {child}");
            assert!(problems.is_empty(), "{base} <- {child}: {problems:?}");
        }
    }

    #[test]
    fn every_value_keeps_the_place_that_it_was_written_at() {
        let base = tree("base", "a: {b: 1, l: [1]}\nc: 2\n");
        let merged = merge(&base, &tree("child", "a:\n  d: 3\n  l++: [2]\n"), &mut Vec::new());
        let place = |path: &[&str]| merged.at(path).expect("there").origin.to_string();
        assert_eq!(place(&["c"]), "base:2:4");
        assert_eq!(place(&["a", "b"]), "base:1:8");
        assert_eq!(place(&["a", "d"]), "child:2:6");
        let TreeValue::List(items) = &merged.at(&["a", "l"]).expect("there").value else { panic!("a list") };
        assert_eq!(items.iter().map(|i| i.origin.to_string()).collect::<Vec<_>>(), ["base:1:15", "child:3:9"]);
    }

    #[test]
    fn extending_what_is_no_list_is_an_error_with_both_places() {
        let mut problems = Vec::new();
        merge(&tree("base", "a: 1\n"), &tree("child", "a++: [2]\n"), &mut problems);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].id, "extends-no-list");
        assert_eq!(problems[0].origin.as_ref().expect("a place").to_string(), "child:1:1");
        assert_eq!(problems[0].related[0].0.to_string(), "base:1:4");
    }
}
