//! Durable appends, off the async runtime: one thread owns the locked scopes and writes batch after batch.

use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Snapshot, StoreError},
};
use std::{collections::BTreeMap, thread};
use tokio::sync::{mpsc, oneshot};

type Scopes = BTreeMap<Scope, Box<dyn Locked>>;

struct Batch {
    entries: Vec<(Scope, Entry)>,
    durable: oneshot::Sender<Result<(), StoreError>>,
}

/// The journals of all scopes of one run. Dropping it ends the thread and with it the locks.
pub(crate) struct Journal {
    batches: mpsc::UnboundedSender<Batch>,
    thread: thread::JoinHandle<Scopes>,
}

impl Journal {
    pub fn new(mut scopes: Scopes) -> std::io::Result<Self> {
        let (batches, mut queue) = mpsc::unbounded_channel::<Batch>();
        let thread = thread::Builder::new().name("journal".into()).spawn(move || {
            while let Some(batch) = queue.blocking_recv() {
                let result = append(&mut scopes, batch.entries);
                // A receiver that is gone has abandoned the run: the entries are durable all the same.
                drop(batch.durable.send(result));
            }
            scopes
        })?;
        Ok(Journal { batches, thread })
    }

    /// Returns when all entries are durable. Each scope's entries are appended as a whole, scope by scope.
    pub async fn append(&self, entries: Vec<(Scope, Entry)>) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let (durable, done) = oneshot::channel();
        let gone = || StoreError::Other {
            operation: "write",
            place: "the journal".into(),
            detail: "its thread ended early: this is a bug in cloudtik".into(),
        };
        self.batches.send(Batch { entries, durable }).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }

    /// Gives the scopes back.
    pub fn close(self) -> Option<Scopes> {
        drop(self.batches);
        self.thread.join().ok()
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
