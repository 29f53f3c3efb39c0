//! The right to change one scope.

use crate::{
    bucket::{Bucket, Found},
    head::{Base, Head, Piece, digest, random, seal},
    layout,
    load::{Loaded, load},
    seat::{Beats, Seat},
    store::Limits,
};
use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Progress, Snapshot, StoreError},
};
use std::{collections::BTreeSet, sync::Arc};

/// How often an append starts again because an earlier write of ours came through late.
const TRIES: usize = 5;

pub(crate) struct Writer {
    bucket: Bucket,
    seat: Arc<Seat>,
    beats: Option<Beats>,
    limits: Limits,
    loaded: Loaded,
    /// Bytes of the head's tail.
    tail: usize,
    /// There may be pieces that no head names: a former owner's, or ours after a failed append.
    untidy: bool,
    erased: bool,
}

impl Writer {
    /// Over a head that was just written with our lease in it. `successor`: of an owner that did not leave by itself.
    pub fn open(bucket: Bucket, now: Found, limits: Limits, successor: bool) -> Result<Writer, StoreError> {
        let head = now.head.clone();
        let seat = Arc::new(Seat::new(bucket.clone(), now));
        let beats = Some(Beats::start(seat.clone(), limits.silence));
        let loaded = Loaded::empty(&head);
        // Made before it is filled: the lease ends with it when what the head names cannot be read.
        let mut writer = Writer { bucket, seat, beats, limits, loaded, tail: 0, untidy: successor, erased: false };
        writer.catch_up(&head)?;
        Ok(writer)
    }

    fn scope(&self) -> &Scope {
        &self.loaded.snapshot.scope
    }

    fn catch_up(&mut self, head: &Head) -> Result<(), StoreError> {
        self.loaded = load(&self.bucket, head)?;
        self.tail = size(&head.tail);
        Ok(())
    }

    fn refuse(&self, operation: &'static str, detail: String) -> StoreError {
        StoreError::Other { operation, place: self.bucket.place_of(&layout::head(self.scope())), detail }
    }

    /// Refuses what could not be read back as this scope's state.
    fn check(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.loaded.snapshot.admits(entries).map_err(|detail| self.refuse("append to", detail))
    }

    /// What the head becomes by these entries. Entries that are too many for it are put beside it first.
    fn next(&mut self, head: &Head, entries: &[Entry]) -> Result<(Head, Loaded), StoreError> {
        let mut next = head.clone();
        if next.lineage.is_empty() {
            next.lineage = random()?;
        }
        let mut loaded = self.loaded.clone();
        loaded.snapshot.lineage.clone_from(&next.lineage);
        entries.iter().for_each(|entry| loaded.fold(entry));
        (next.serial, next.revision) = (loaded.snapshot.serial, loaded.snapshot.revision);
        next.tail.extend_from_slice(entries);
        if self.tail + size(entries) > self.limits.tail {
            self.spill(&mut next, &mut loaded)?;
        }
        Ok((next, loaded))
    }

    /// Moves the tail into a segment, and makes a snapshot when there are many of those.
    fn spill(&mut self, next: &mut Head, loaded: &mut Loaded) -> Result<(), StoreError> {
        let from = next.serial + 1 - next.tail.len() as u64;
        let fence = self.seat.fence();
        let name = |kind: &str, from: u64| {
            Ok::<_, StoreError>(layout::piece_name(kind, (from, next.serial), fence, &random()?[..8]))
        };
        let bytes = seal(&next.tail);
        let segment = Piece { name: name("segment", from)?, from, to: next.serial, digest: digest(&bytes) };
        let mut puts = vec![(layout::piece(self.scope(), &next.lineage, &segment.name), bytes)];
        loaded.segments.push(segment.clone());
        if next.segments.len() + 1 >= self.limits.segments {
            let Loaded { snapshot, revisions, segments, snapshots } = loaded.clone();
            let bytes = seal(&Base { snapshot, revisions, segments, snapshots });
            let name = name("snapshot", next.serial)?;
            let base = Piece { name, from: next.serial, to: next.serial, digest: digest(&bytes) };
            puts.push((layout::piece(self.scope(), &next.lineage, &base.name), bytes));
            loaded.snapshots.push(base.clone());
            (next.base, next.segments) = (Some(base), Vec::new());
        } else {
            next.segments.push(segment);
        }
        next.tail.clear();
        // Until a head names them.
        let untidy = std::mem::replace(&mut self.untidy, true);
        self.bucket.put_new(puts)?;
        self.untidy = untidy;
        Ok(())
    }

    /// Writes the state part of `next` over a head with this serial; `None` when it has another one by now.
    fn publish(&mut self, serial: u64, next: Head, loaded: Loaded) -> Result<Option<()>, StoreError> {
        let written = self.seat.write(Some(serial), |now| {
            let Head { lineage, serial, revision, base, segments, tail, .. } = next.clone();
            *now = Head { lineage, serial, revision, base, segments, tail, ..now.clone() };
        })?;
        if written.is_some() {
            (self.loaded, self.tail) = (loaded, size(&next.tail));
        }
        Ok(written)
    }

    /// Removes pieces of ours and of former owners that no head names. A later owner's are let alone: this run may have been
    /// stopped since its last write.
    fn tidy(&self) -> Result<(), StoreError> {
        let Loaded { segments, snapshots, snapshot, .. } = &self.loaded;
        let key = |piece: &Piece| layout::piece(&snapshot.scope, &snapshot.lineage, &piece.name);
        let named: BTreeSet<String> = segments.iter().chain(snapshots).map(key).collect();
        let mut keys = self.bucket.list(&layout::pieces(self.scope()))?;
        keys.retain(|key| !named.contains(key) && layout::fence(key).is_some_and(|fence| fence <= self.seat.fence()));
        self.bucket.delete(keys)
    }
}

impl Locked for Writer {
    fn snapshot(&self) -> &Snapshot {
        &self.loaded.snapshot
    }

    fn progress(&mut self, progress: Progress) {
        self.seat.progress(progress);
    }

    /// After an error nothing or all of the batch is in state; the next append starts from what is.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let head = self.seat.head()?;
            if head.serial != self.loaded.snapshot.serial {
                self.catch_up(&head)?;
            }
            self.check(entries)?;
            if entries.is_empty() {
                return Ok(());
            }
            let (next, loaded) = self.next(&head, entries)?;
            match self.publish(head.serial, next, loaded) {
                Ok(Some(())) => {
                    if self.untidy && entries.iter().any(|entry| matches!(entry, Entry::Revision(_))) {
                        // What stays is only in the way of whoever looks at the bucket.
                        self.untidy = self.tidy().is_err();
                    }
                    return Ok(());
                }
                Ok(None) => self.untidy = true,
                Err(error) => {
                    self.untidy = true;
                    return Err(error);
                }
            }
        }
        Err(self.refuse("append to", "earlier writes keep coming through: run the same command again".into()))
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        let head = self.seat.head()?;
        if head.serial != self.loaded.snapshot.serial {
            self.catch_up(&head)?;
        }
        let fresh = Head { lineage: lineage.into(), ..Head::empty(self.scope()) };
        self.snapshot().gives_way(lineage, entries).map_err(|detail| self.refuse("restore", detail))?;
        // What the next head is made from, put back if it is not written.
        let former = (std::mem::replace(&mut self.loaded, Loaded::empty(&fresh)), std::mem::take(&mut self.tail));
        let made = self.next(&fresh, entries);
        (self.loaded, self.tail) = former;
        self.untidy = true;
        let (next, loaded) = made?;
        match self.publish(head.serial, next, loaded)? {
            Some(()) => self.tidy(),
            None => Err(self.refuse("restore", "it has changed just now: run the same command again".into())),
        }
    }

    fn erase(mut self: Box<Self>) -> Result<(), StoreError> {
        let head = self.seat.head()?;
        if head.serial != self.loaded.snapshot.serial {
            self.catch_up(&head)?;
        }
        let Snapshot { records, open, .. } = &self.loaded.snapshot;
        if !records.is_empty() || !open.is_empty() {
            let left = format!("{} resources and {} open intents are left", records.len(), open.len());
            return Err(self.refuse("erase", format!("{left}; `cloudtik destroy` removes them")));
        }
        let written = self.seat.write(Some(head.serial), |now| {
            let (fence, write) = (now.fence, std::mem::take(&mut now.write));
            *now = Head { fence, write, ..Head::empty(&now.scope) };
        })?;
        if written.is_none() {
            return Err(self.refuse("erase", "it has changed just now: run the same command again".into()));
        }
        self.erased = true;
        self.loaded = Loaded::empty(&Head::empty(self.scope()));
        self.tidy()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.beats = None;
        if !self.erased {
            // A lease that cannot be given back ends by silence.
            let _ = self.seat.write(None, |head| head.lease = None);
        }
    }
}

fn size(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| serde_json::to_vec(entry).expect("entries are always JSON").len()).sum()
}
