//! Reading everything that a scope ever wrote.

use crate::{
    bucket::Bucket,
    head::{Base, Head, Piece, damage},
    layout,
    load::{Loaded, load, place},
};
use cloudtik_core::state::{Entry, StoreError};

/// Checks that the journal, from its first entry on, gives the state and every snapshot on the way.
pub(crate) fn check(bucket: &Bucket, head: &Head) -> Result<(), StoreError> {
    let now = load(bucket, head)?;
    let mut folded = Loaded::empty(head);
    let mut snapshots = now.snapshots.iter().peekable();
    for piece in &now.segments {
        if piece.from != folded.snapshot.serial + 1 {
            return Err(damage(
                &place(bucket, head),
                &format!("entry {} of its journal is missing", folded.snapshot.serial + 1),
            ));
        }
        let entries: Vec<Vec<Entry>> = bucket.pieces(&head.scope, &head.lineage, std::slice::from_ref(piece))?;
        entries.iter().flatten().for_each(|entry| folded.fold(entry));
        folded.segments.push(piece.clone());
        while let Some(snapshot) = snapshots.next_if(|snapshot| snapshot.to == folded.snapshot.serial) {
            compare(bucket, head, snapshot, &folded)?;
            folded.snapshots.push(snapshot.clone());
        }
    }
    head.tail.iter().for_each(|entry| folded.fold(entry));
    match folded == now {
        true => Ok(()),
        false => Err(damage(&place(bucket, head), "its journal does not give its state")),
    }
}

fn compare(bucket: &Bucket, head: &Head, piece: &Piece, folded: &Loaded) -> Result<(), StoreError> {
    let base: Vec<Base> = bucket.pieces(&head.scope, &head.lineage, std::slice::from_ref(piece))?;
    let Loaded { snapshot, revisions, segments, snapshots } = folded.clone();
    match base == [Base { snapshot, revisions, segments, snapshots }] {
        true => Ok(()),
        false => {
            let key = layout::piece(&head.scope, &head.lineage, &piece.name);
            Err(damage(&bucket.place_of(&key), "the journal before it gives another state"))
        }
    }
}
