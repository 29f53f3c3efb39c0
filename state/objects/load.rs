//! From a head to the state that it stands for.

use crate::{
    bucket::Bucket,
    head::{Base, Head, Marked, Piece, damage},
    layout,
};
use cloudtik_core::state::{Entry, Snapshot, StoreError};

/// A scope's state, and where its history is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loaded {
    pub snapshot: Snapshot,
    pub revisions: Vec<Marked>,
    /// All segments since the first entry.
    pub segments: Vec<Piece>,
    /// All snapshots, oldest first.
    pub snapshots: Vec<Piece>,
}

impl Loaded {
    pub fn empty(head: &Head) -> Loaded {
        let snapshot = Snapshot { lineage: head.lineage.clone(), ..Snapshot::empty(&head.scope) };
        Loaded { snapshot, revisions: Vec::new(), segments: Vec::new(), snapshots: Vec::new() }
    }

    pub fn fold(&mut self, entry: &Entry) {
        self.snapshot.apply(entry);
        if let Entry::Revision(revision) = entry {
            self.revisions.push(Marked { serial: self.snapshot.serial, revision: revision.clone() });
        }
    }
}

/// Reads a head's snapshot, then everything after it: two rounds of requests at most.
pub(crate) fn load(bucket: &Bucket, head: &Head) -> Result<Loaded, StoreError> {
    let mut loaded = match &head.base {
        None => Loaded::empty(head),
        Some(piece) => {
            let mut base: Vec<Base> = bucket.pieces(&head.scope, &head.lineage, std::slice::from_ref(piece))?;
            let Base { snapshot, revisions, segments, mut snapshots } = base.pop().expect("one was asked for");
            snapshots.push(piece.clone());
            Loaded { snapshot, revisions, segments, snapshots }
        }
    };
    for (piece, entries) in
        head.segments.iter().zip(bucket.pieces::<Vec<Entry>>(&head.scope, &head.lineage, &head.segments)?)
    {
        follows(bucket, head, loaded.snapshot.serial, piece)?;
        entries.iter().for_each(|entry| loaded.fold(entry));
        loaded.segments.push(piece.clone());
    }
    head.tail.iter().for_each(|entry| loaded.fold(entry));
    let Snapshot { lineage, serial, revision, scope, .. } = &loaded.snapshot;
    match (lineage, serial, revision, scope) == (&head.lineage, &head.serial, &head.revision, &head.scope) {
        true => Ok(loaded),
        false => Err(damage(&place(bucket, head), "its entries do not give the state that it names")),
    }
}

pub(crate) fn place(bucket: &Bucket, head: &Head) -> String {
    bucket.place_of(&layout::head(&head.scope))
}

fn follows(bucket: &Bucket, head: &Head, serial: u64, piece: &Piece) -> Result<(), StoreError> {
    match piece.from == serial + 1 {
        true => Ok(()),
        false => Err(damage(&place(bucket, head), &format!("entry {} of its journal is missing", serial + 1))),
    }
}

/// The state after the first `serial` entries, from the snapshot before it and what lies between.
pub(crate) fn at_serial(bucket: &Bucket, head: &Head, now: &Loaded, serial: u64) -> Result<Snapshot, StoreError> {
    let mut snapshot = match now.snapshots.iter().rfind(|piece| piece.to <= serial) {
        None => Loaded::empty(head).snapshot,
        Some(piece) => {
            let mut base: Vec<Base> = bucket.pieces(&head.scope, &head.lineage, std::slice::from_ref(piece))?;
            base.pop().expect("one was asked for").snapshot
        }
    };
    let between: Vec<Piece> =
        now.segments.iter().filter(|s| s.to > snapshot.serial && s.from <= serial).cloned().collect();
    let stored = bucket.pieces::<Vec<Entry>>(&head.scope, &head.lineage, &between)?;
    for (piece, entries) in between.iter().zip(stored) {
        follows(bucket, head, snapshot.serial, piece)?;
        entries.iter().take((serial - snapshot.serial) as usize).for_each(|entry| snapshot.apply(entry));
    }
    head.tail.iter().take((serial - snapshot.serial) as usize).for_each(|entry| snapshot.apply(entry));
    Ok(snapshot)
}
