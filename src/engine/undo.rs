//! Back to an earlier revision: what was recorded then, as declarations, and what no plan can bring back.
//!
//! A record holds values, and some of them were another resource's. That one may be made anew on the way back and be called
//! something else then, so values become references again: as recorded with them, or, for records from before that was
//! kept, where a value equals an output that a direct dependency had at that time.

mod losses;
mod recover;

pub use losses::losses;

use cloudtik_core::{
    Address, Attrs, Declaration, Dependency, Diagnostic, Scope,
    schema::Kinds,
    state::{Record, Snapshot},
};
use recover::recovered;
use std::collections::BTreeMap;

/// What a revision asks for.
pub struct Undo {
    pub declarations: Vec<Declaration>,
    /// How it was read, where that is not certain.
    pub notes: Vec<Diagnostic>,
}

/// Declares what `then` records. `others` are the scopes that it is built on, as they were at that time; `now` is its own
/// present state.
///
/// Errors: `moved-since` for what `state mv` has given another address, `older-kind` for records whose meaning has changed.
pub fn declarations(
    then: &Snapshot,
    others: &BTreeMap<Scope, Snapshot>,
    now: &Snapshot,
    kinds: &Kinds,
) -> Result<Undo, Vec<Diagnostic>> {
    let current = || then.records.values().filter(|record| !record.only_deposed);
    let mut problems: Vec<Diagnostic> = current().filter_map(|record| moved(record, then, now)).collect();
    problems.extend(current().filter_map(|record| older(record, kinds)));
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut guessed = Vec::new();
    let declarations = current().map(|record| declaration(record, then, others, &mut guessed)).collect();
    let notes = (!guessed.is_empty()).then(|| compared(&guessed)).into_iter().collect();
    Ok(Undo { declarations, notes })
}

fn declaration(
    record: &Record,
    then: &Snapshot,
    others: &BTreeMap<Scope, Snapshot>,
    guessed: &mut Vec<Address>,
) -> Declaration {
    let was_there = |address: &Address| {
        address.scope() != &then.scope || then.records.get(address).is_some_and(|record| !record.only_deposed)
    };
    let references = match &record.references {
        Some(references) => references.clone(),
        None => {
            let found = recovered(record, |address| match address.scope() == &then.scope {
                true => then.records.get(address),
                false => others.get(address.scope())?.records.get(address),
            });
            if !found.is_empty() {
                guessed.push(record.address.clone());
            }
            found
        }
    };
    // A record that stayed as it was may still name what its declaration had stopped to name.
    let holds = |value: &cloudtik_core::Value| {
        let mut holds = true;
        value.references(&mut |reference| holds &= was_there(&reference.address));
        holds
    };
    let mut attributes: Attrs = record.attributes.clone();
    attributes.extend(references.into_iter().filter(|(_, value)| holds(value)));
    let depends_on: Vec<Dependency> =
        record.dependencies.iter().filter(|dependency| was_there(&dependency.address)).cloned().collect();
    Declaration {
        address: record.address.clone(),
        provider: record.provider.clone(),
        attributes,
        depends_on,
        lifecycle: record.lifecycle.clone(),
        origin: None,
    }
}

/// What has another address today: going back by plan would delete it and make it anew. What lives in something is named
/// by its place, and many can have one name.
fn moved(record: &Record, then: &Snapshot, now: &Snapshot) -> Option<Diagnostic> {
    if now.records.contains_key(&record.address) || record.lifecycle.gone_with.is_some() || record.id.is_empty() {
        return None;
    }
    let same = |other: &&std::sync::Arc<Record>| {
        let (a, b) = (record, other);
        !b.only_deposed && a.id == b.id && a.provider == b.provider && a.address.kind() == b.address.kind()
    };
    let other = now.records.values().filter(|other| !then.records.contains_key(&other.address)).find(same)?;
    Some(
        Diagnostic::error("moved-since", "a resource has had another address since that revision")
            .detail(format!("`{}` is recorded as `{}` today", record.address.short(), other.address.short()))
            .about(&record.address)
            .hint(format!("give it its old address first: `cloudtik state mv {} {}`", other.address, record.address)),
    )
}

fn older(record: &Record, kinds: &Kinds) -> Option<Diagnostic> {
    let kind = kinds.get(&record.provider, record.address.kind())?;
    (record.schema < kind.version).then(|| {
        Diagnostic::error("older-kind", "a resource was recorded in a form that means something else today")
            .detail(format!(
                "`{}` has version {} of its kind, this binary knows {}",
                record.address.short(),
                record.schema,
                kind.version
            ))
            .about(&record.address)
            .hint(format!("leave it out: `--exclude '{}'`", record.address.short()))
    })
}

fn compared(guessed: &[Address]) -> Diagnostic {
    Diagnostic::warning("references-compared", "what some resources are built on was found by comparing values")
        .detail(format!(
            "{} of this revision were recorded before references were kept; a value that equals an output of what \
             they were built on is taken to be that output",
            losses::named(guessed.iter().map(Address::short).collect())
        ))
        .hint("look at their values in the plan before you apply it")
}
