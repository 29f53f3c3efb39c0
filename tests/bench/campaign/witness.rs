//! What must be true after every run, however it ended.

use super::{document::scope, run::Line, world::Object};
use cloudtik_core::state::{Entry, Intent, Snapshot, Store, StoreError};
use cloudtik_redb::RedbStore;
use std::collections::{BTreeMap, BTreeSet};

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// Something acknowledged is not in state, or an object of ours is known to nobody.
    Lost,
    /// An object was made once more than it would have been without kills.
    Doubled,
    /// State does not load.
    Unreadable,
    /// A run ended by itself without reaching its goal, or the world is not as it would be without kills.
    Astray,
}

pub type Fault = (Broken, String);

/// What is known of a state from what its writers acknowledged.
pub struct Witness {
    acknowledged: Snapshot,
}

impl Witness {
    /// Believes what is there now.
    pub fn of(store: &RedbStore) -> Result<Self, StoreError> {
        Ok(Witness { acknowledged: store.read(&scope())? })
    }

    /// Compares the state on disk with what a run said: it is exactly what was acknowledged, or that and the whole batch
    /// that was being appended. Goes on from what is there.
    pub fn check(&mut self, store: &RedbStore, lines: &[Line]) -> Result<Snapshot, Fault> {
        let mut pending: Option<&[Entry]> = None;
        for line in lines {
            match line {
                Line::Try(entries) => pending = Some(entries),
                Line::Ack => pending.take().into_iter().flatten().for_each(|entry| self.acknowledged.apply(entry)),
                Line::Locked | Line::Plan(_) | Line::Result | Line::Point(_) | Line::Done => {}
            }
        }
        let unreadable = |e: StoreError| (Broken::Unreadable, e.to_string());
        let read = store.read(&scope()).map_err(unreadable)?;
        store.check(&scope()).map_err(unreadable)?;
        if self.acknowledged.lineage.is_empty() {
            // The first append chose it.
            self.acknowledged.lineage.clone_from(&read.lineage);
        }
        let (mut with, serial) = (self.acknowledged.clone(), self.acknowledged.serial);
        pending.into_iter().flatten().for_each(|entry| with.apply(entry));
        if read != self.acknowledged && read != with {
            let what = format!("{serial} entries were acknowledged, {} tried; state has {}", with.serial, read.serial);
            return Err((Broken::Lost, what));
        }
        self.acknowledged = read.clone();
        Ok(read)
    }
}

/// Every object is in state or in an open intent, and none is there twice.
pub fn accounted(state: &Snapshot, objects: &BTreeMap<String, Object>) -> Result<(), Fault> {
    let recorded: BTreeSet<&String> = state
        .records
        .values()
        .flat_map(|r| r.deposed.values().map(|d| &d.id).chain((!r.only_deposed).then_some(&r.id)))
        .collect();
    let mut opened = BTreeMap::new();
    for (id, object) in objects.iter().filter(|(id, _)| !recorded.contains(id)) {
        let ours = |intent: &&Intent| {
            let place = intent.batch.as_ref().map(|batch| (batch.id.clone(), batch.index));
            object.token.as_ref() == Some(&intent.operation) || (place.is_some() && place == object.launch)
        };
        let Some(intent) = state.open.iter().find(ours) else {
            let whose = object.owner.as_ref().map_or_else(|| "nobody".into(), |owner| owner.short());
            return Err((Broken::Lost, format!("{id} of {whose} is neither in state nor in an open intent")));
        };
        if let Some(other) = opened.insert(&intent.operation, id) {
            return Err((
                Broken::Doubled,
                format!("{other} and {id} were both made by one operation on {}", intent.address),
            ));
        }
    }
    Ok(())
}
