//! Laying a document over the one it inherits from.
//!
//! Maps merge key by key; scalars and lists replace what is inherited. Exceptions: lists that hold one map of the same
//! `name` on both sides merge that map; `key++` appends a list to the inherited one and `++key` puts it before; `~key`
//! without a value removes an inherited key. Every value keeps its own place, so a merged tree tells where each came from.

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
            Wish::Set => {}
            Wish::Append(key) => extend(&mut merged, key, entry, false, problems),
            Wish::Prepend(key) => extend(&mut merged, key, entry, true, problems),
            Wish::Remove(key) => remove(&mut merged, key, entry, problems),
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
