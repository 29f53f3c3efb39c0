//! Durable appends, off the async runtime: one blocking task at a time owns the locked scopes and writes a batch.
//!
//! A runtime of one thread has everything happen in one order, so that a run can be replayed: there a batch is written in
//! place.

use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Progress, Snapshot, StoreError},
};
use std::collections::BTreeMap;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::spawn_blocking,
};

type Scopes = BTreeMap<Scope, Box<dyn Locked>>;

/// The journals of all scopes of one run. Dropping it ends the locks; an append under way is finished first.
pub(crate) struct Journal {
    /// `None` while an append owns them, and after one that never came back.
    scopes: Option<Scopes>,
}

impl Journal {
    pub fn new(scopes: Scopes) -> Self {
        Journal { scopes: Some(scopes) }
    }

    /// Returns when all entries are durable. Each scope's entries are appended as a whole, scope by scope. One that is no
    /// longer waited for is durable all the same.
    pub async fn append(&mut self, entries: Vec<(Scope, Entry)>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let lost = || StoreError::Other {
            operation: "write",
            place: "the journal".into(),
            detail: "its writer ended early: this is a bug in cloudtik".into(),
        };
        let mut scopes = self.scopes.take().ok_or_else(lost)?;
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            let result = append(&mut scopes, entries);
            self.scopes = Some(scopes);
            return result;
        }
        let written = spawn_blocking(move || {
            let result = append(&mut scopes, entries);
            (scopes, result)
        });
        let (scopes, result) = written.await.map_err(|_| lost())?;
        self.scopes = Some(scopes);
        result
    }

    /// Where room for state has run out.
    pub fn short_of_room(&self) -> Option<String> {
        self.scopes.iter().flat_map(BTreeMap::values).find_map(|locked| locked.short_of_room())
    }

    /// Tells those who wait for the locks how far the run is.
    pub fn progress(&mut self, progress: Progress) {
        self.scopes.iter_mut().flat_map(BTreeMap::values_mut).for_each(|locked| locked.progress(progress));
    }
}

fn append(scopes: &mut Scopes, entries: Vec<(Scope, Entry)>) -> Result<(), StoreError> {
    let mut by_scope: BTreeMap<Scope, Vec<Entry>> = BTreeMap::new();
    for (scope, entry) in entries {
        by_scope.entry(scope).or_default().push(entry);
    }
    for (scope, entries) in by_scope {
        let locked = scopes.get_mut(&scope).ok_or_else(|| StoreError::Other {
            operation: "write",
            place: scope.to_string(),
            detail: "the scope is not locked by this run: this is a bug in cloudtik".into(),
        })?;
        locked.append(&entries)?;
    }
    Ok(())
}

/// The snapshots of locked scopes.
pub(crate) fn snapshots(scopes: &Scopes) -> BTreeMap<Scope, Snapshot> {
    scopes.iter().map(|(scope, locked)| (scope.clone(), locked.snapshot().clone())).collect()
}
