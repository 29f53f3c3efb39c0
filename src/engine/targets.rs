//! `--target` and `--exclude`: which resources a plan may change.

use crate::graph::Declared;
use cloudtik_core::{Address, Diagnostic, state::Record};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The resources that may change: everything, or the targets with all they need, less the excluded with all that need
/// them. For resources that go, "needs" turns round: what is built on them goes first.
pub(crate) fn allowed(
    declared: &Declared,
    orphans: &BTreeMap<Address, Arc<Record>>,
    targets: &[String],
    excludes: &[String],
) -> Result<Option<BTreeSet<Address>>, Vec<Diagnostic>> {
    if targets.is_empty() && excludes.is_empty() {
        return Ok(None);
    }
    let all: Vec<Address> = declared.items.iter().map(|d| d.address.clone()).chain(orphans.keys().cloned()).collect();
    let mut problems = Vec::new();
    for pattern in targets.iter().chain(excludes) {
        if !all.iter().any(|a| a.matches(pattern)) {
            problems.push(no_match(pattern, &all));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let (forward, backward) = neighbours(declared, orphans);
    let pick = |patterns: &[String]| -> Vec<Address> {
        all.iter().filter(|a| patterns.iter().any(|p| a.matches(p))).cloned().collect()
    };
    let mut allowed: BTreeSet<Address> =
        if targets.is_empty() { all.iter().cloned().collect() } else { closure(pick(targets), &forward) };
    for gone in closure(pick(excludes), &backward) {
        allowed.remove(&gone);
    }
    Ok(Some(allowed))
}

type Neighbours = HashMap<Address, Vec<Address>>;

/// For every resource what must come with it, and what cannot come without it.
fn neighbours(declared: &Declared, orphans: &BTreeMap<Address, Arc<Record>>) -> (Neighbours, Neighbours) {
    let (mut forward, mut backward) = (Neighbours::new(), Neighbours::new());
    let mut link = |from: &Address, to: &Address| {
        forward.entry(from.clone()).or_default().push(to.clone());
        backward.entry(to.clone()).or_default().push(from.clone());
    };
    for (at, on) in declared.dependencies.iter().enumerate() {
        for (on, _) in on {
            link(&declared.items[at].address, &declared.items[*on].address);
        }
    }
    for record in orphans.values() {
        for dependency in record.dependencies.iter().filter(|d| orphans.contains_key(&d.address)) {
            link(&dependency.address, &record.address);
        }
    }
    (forward, backward)
}

fn closure(start: Vec<Address>, next: &Neighbours) -> BTreeSet<Address> {
    let mut found: BTreeSet<Address> = start.iter().cloned().collect();
    let mut stack = start;
    while let Some(at) = stack.pop() {
        for address in next.get(&at).into_iter().flatten() {
            if found.insert(address.clone()) {
                stack.push(address.clone());
            }
        }
    }
    found
}

fn no_match(pattern: &str, all: &[Address]) -> Diagnostic {
    let problem = Diagnostic::error("unknown-target", "no resource matches")
        .detail(format!("`{pattern}` names no resource of this plan"));
    let kinds: BTreeSet<&str> = all.iter().map(|a| a.kind()).collect();
    match all.iter().find(|a| a.short().contains(pattern)) {
        Some(near) => problem.hint(format!("did you mean `{}`?", near.short())),
        None => problem.hint(format!(
            "give an address as `cloudtik plan` shows it; kinds here: {}",
            kinds.into_iter().collect::<Vec<_>>().join(", ")
        )),
    }
}
