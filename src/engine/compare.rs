//! What two revisions of a scope differ in, as the changes that a plan from one to the other would show.

use crate::diff;
use cloudtik_core::{
    plan::{Action, AttributeDiff, Change, Reason},
    schema::{KindSchema, Kinds},
    state::{Record, Snapshot},
};

/// One change for each resource of either revision, sorted by address; what is the same in both is kept.
pub fn compare(before: &Snapshot, after: &Snapshot, kinds: &Kinds) -> Vec<Change> {
    let current = |snapshot: &Snapshot| -> std::collections::BTreeMap<_, _> {
        let records = snapshot.records.iter().filter(|(_, record)| !record.only_deposed);
        records.map(|(address, record)| (address.clone(), record.clone())).collect()
    };
    let (old, new) = (current(before), current(after));
    let mut addresses: Vec<_> = old.keys().chain(new.keys()).collect();
    addresses.sort();
    addresses.dedup();
    let change = |address| match (old.get(address), new.get(address)) {
        (Some(old), Some(new)) => both(old, new, kinds),
        (None, Some(new)) => change(new, Action::Create, diff::created(&new.attributes)),
        (Some(old), None) => change(old, Action::Delete, Vec::new()),
        (None, None) => unreachable!("every address is one of the two"),
    };
    addresses.into_iter().map(change).collect()
}

fn both(old: &Record, new: &Record, kinds: &Kinds) -> Change {
    // A kind that this binary lacks compares exactly.
    let unknown = KindSchema::new("");
    let kind = kinds.get(&new.provider, new.address.kind()).unwrap_or(&unknown);
    let diffs = diff::changed(kind, &old.attributes, &new.attributes);
    // A kind whose ids are names gives the new object the old one's.
    let replaced = old.id != new.id || old.provider != new.provider || diffs.iter().any(|diff| diff.forces_replacement);
    let action = match (replaced, diffs.is_empty()) {
        (true, _) => Action::Replace,
        (false, false) => Action::Update,
        (false, true) => Action::Keep,
    };
    let mut names: Vec<&str> = diffs.iter().map(|d| d.path.split('.').next().unwrap_or(&d.path)).collect();
    names.dedup();
    let reasons = names.into_iter().map(|name| Reason::Changed { path: name.to_owned() }).collect();
    Change { reasons, ..change(new, action, diffs) }
}

fn change(record: &Record, action: Action, diffs: Vec<AttributeDiff>) -> Change {
    Change {
        address: record.address.clone(),
        provider: record.provider.clone(),
        action,
        reasons: Vec::new(),
        diffs,
        operations: Vec::new(),
        origin: None,
    }
}
