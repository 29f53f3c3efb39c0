//! A store in memory, for what must leave no trace (a rehearsal) and for tests: it can die at a chosen append.
//!
//! It keeps every journal whole. What it holds goes with its last clone.

use cloudtik_core::{
    Scope, digest,
    state::{Entry, Holder, Lease, Locked, Progress, Revision, Snapshot, Store, StoreError},
};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Kills the store's user at an append: it fails, and so does every later one through the same lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which append of the store, from 1, over all scopes and locks.
    pub append: u64,
    /// Whether that batch is stored all the same, as when the answer of a commit is lost.
    pub durable: bool,
}

/// Clones share the same state.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    place: Option<Arc<str>>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    scopes: BTreeMap<Scope, Cell>,
    leases: BTreeMap<Scope, Lease>,
    /// How often each scope had an owner.
    fences: BTreeMap<Scope, u64>,
    appends: u64,
    fault: Option<Fault>,
    /// Where the names of histories come from: the system's random numbers, or this.
    seed: Option<u64>,
}

#[derive(Debug)]
struct Cell {
    /// What the journal starts from.
    first: Snapshot,
    journal: Vec<Entry>,
    current: Snapshot,
}

impl Cell {
    fn new(snapshot: &Snapshot) -> Self {
        Cell { first: snapshot.clone(), journal: Vec::new(), current: snapshot.clone() }
    }

    fn fold(&self, serial: usize) -> Snapshot {
        let lineage = self.current.lineage.clone();
        let mut snapshot = Snapshot { lineage, ..self.first.clone() };
        self.journal[..serial].iter().for_each(|entry| snapshot.apply(entry));
        snapshot
    }

    fn revisions(&self) -> impl DoubleEndedIterator<Item = (usize, &Revision)> {
        self.journal.iter().enumerate().filter_map(|(i, entry)| match entry {
            Entry::Revision(revision) => Some((i + 1, revision)),
            _ => None,
        })
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// One that is told from others by its name.
    pub fn named(place: &str) -> Self {
        MemoryStore { place: Some(place.into()), ..Self::default() }
    }

    /// Names histories after `seed`, so that what is done with it can be replayed to the byte.
    pub fn seeded(seed: u64) -> Self {
        let store = Self::default();
        store.lock_shared().seed = Some(seed);
        store
    }

    /// Takes in a scope's state as another store has it, open intents and all, without the history behind it.
    pub fn hold(&self, snapshot: Snapshot) {
        let cell = Cell::new(&snapshot);
        self.lock_shared().scopes.insert(cell.current.scope.clone(), cell);
    }

    /// Sets or clears the fault that comes.
    pub fn fail(&self, fault: Option<Fault>) {
        self.lock_shared().fault = fault;
    }

    /// Appends ever tried.
    pub fn appends(&self) -> u64 {
        self.lock_shared().appends
    }

    fn own(&self, shared: &mut Shared, scope: &Scope, holder: &Holder) -> Box<dyn Locked> {
        let fence = shared.fences.entry(scope.clone()).or_default();
        *fence += 1;
        let fence = *fence;
        let lease =
            Lease { holder: holder.clone(), fence, beats: 0, beat: holder.since, silence_s: 30, progress: None };
        shared.leases.insert(scope.clone(), lease);
        let snapshot = shared.scopes.get(scope).map_or_else(|| Snapshot::empty(scope), |cell| cell.current.clone());
        Box::new(MemoryLock { store: self.clone(), snapshot, fence, dead: false })
    }

    fn lock_shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing is half done while the mutex is held, so a panicking test elsewhere does not matter.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn other(operation: &'static str, detail: impl ToString) -> StoreError {
    StoreError::Other { operation, place: "memory".into(), detail: detail.to_string() }
}

fn locked(scope: &Scope, lease: &Lease) -> StoreError {
    StoreError::Locked { scope: scope.clone(), lease: Box::new(lease.clone()) }
}

impl Store for MemoryStore {
    fn place(&self) -> String {
        self.place.as_deref().unwrap_or("memory").into()
    }

    fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        Ok(self.lock_shared().scopes.keys().cloned().collect())
    }

    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        let shared = self.lock_shared();
        Ok(shared.scopes.get(scope).map_or_else(|| Snapshot::empty(scope), |cell| cell.current.clone()))
    }

    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError> {
        let mut shared = self.lock_shared();
        match shared.leases.get(scope) {
            Some(lease) => Err(locked(scope, lease)),
            None => Ok(self.own(&mut shared, scope, holder)),
        }
    }

    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError> {
        let mut shared = self.lock_shared();
        match shared.leases.get(scope) {
            Some(lease) if (lease.fence, lease.beats) != (silent.fence, silent.beats) => Err(locked(scope, lease)),
            _ => Ok(self.own(&mut shared, scope, holder)),
        }
    }

    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError> {
        Ok(self.lock_shared().leases.get(scope).cloned())
    }

    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError> {
        let shared = self.lock_shared();
        let cell = shared.scopes.get(scope);
        Ok(cell.map(|cell| cell.revisions().rev().map(|(_, revision)| revision.clone()).collect()).unwrap_or_default())
    }

    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError> {
        let shared = self.lock_shared();
        let Some(cell) = shared.scopes.get(scope) else { return Ok(None) };
        let found = cell.revisions().find(|(_, revision)| revision.number == number);
        Ok(found.map(|(serial, _)| cell.fold(serial)))
    }

    /// Of a scope that was taken in: what was written since.
    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError> {
        Ok(self.lock_shared().scopes.get(scope).map(|cell| cell.journal.clone()).unwrap_or_default())
    }

    fn check(&self, scope: &Scope) -> Result<(), StoreError> {
        let shared = self.lock_shared();
        match shared.scopes.get(scope).is_none_or(|cell| cell.fold(cell.journal.len()) == cell.current) {
            true => Ok(()),
            false => Err(other("check", "the journal does not give the records")),
        }
    }
}

struct MemoryLock {
    store: MemoryStore,
    snapshot: Snapshot,
    fence: u64,
    dead: bool,
}

impl MemoryLock {
    fn still_ours(&self, shared: &Shared) -> Result<(), StoreError> {
        match shared.leases.get(&self.snapshot.scope) {
            Some(lease) if lease.fence == self.fence => Ok(()),
            by => Err(StoreError::Fenced { scope: self.snapshot.scope.clone(), by: by.cloned().map(Box::new) }),
        }
    }

    fn check(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.snapshot.admits(entries).map_err(|detail| other("append to", detail))
    }

    fn alive(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.dead { Err(other(operation, "an injected fault killed this writer")) } else { Ok(()) }
    }

    /// One write, done or not as the fault wants it; `change` gives the state after it.
    fn write(&mut self, change: impl FnOnce(&mut Shared, &Snapshot) -> Snapshot) -> Result<(), StoreError> {
        let mut shared = self.store.lock_shared();
        self.still_ours(&shared)?;
        shared.appends += 1;
        let fault = shared.fault.filter(|fault| fault.append == shared.appends);
        let after = fault.is_none_or(|fault| fault.durable).then(|| change(&mut shared, &self.snapshot));
        match (fault, after) {
            (None, Some(after)) => self.snapshot = after,
            (None, None) => {}
            (Some(fault), _) => {
                self.dead = true;
                return Err(other("append to", format!("injected fault at append {}", fault.append)));
            }
        }
        Ok(())
    }
}

impl Locked for MemoryLock {
    fn progress(&mut self, progress: Progress) {
        let mut shared = self.store.lock_shared();
        let lease = shared.leases.get_mut(&self.snapshot.scope).filter(|lease| lease.fence == self.fence);
        if let Some(lease) = lease {
            (lease.beats, lease.progress) = (lease.beats + 1, Some(progress));
        }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.alive("append to")?;
        self.check(entries)?;
        if entries.is_empty() {
            return Ok(());
        }
        self.write(|shared, snapshot| {
            let lineage = shared.lineage(&snapshot.scope);
            let cell = shared.scopes.entry(snapshot.scope.clone()).or_insert_with(|| Cell::new(snapshot));
            if cell.current.lineage.is_empty() {
                cell.current.lineage = lineage;
            }
            cell.journal.extend_from_slice(entries);
            entries.iter().for_each(|entry| cell.current.apply(entry));
            cell.current.clone()
        })
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        self.alive("restore")?;
        self.snapshot.gives_way(lineage, entries).map_err(|detail| other("restore", detail))?;
        let empty = Snapshot::empty(&self.snapshot.scope);
        self.write(|shared, snapshot| {
            let current = Snapshot::fold(&snapshot.scope, lineage, entries);
            let cell = Cell { first: empty.clone(), journal: entries.to_vec(), current: current.clone() };
            shared.scopes.insert(snapshot.scope.clone(), cell);
            current
        })
    }

    fn erase(self: Box<Self>) -> Result<(), StoreError> {
        self.alive("erase")?;
        let left = (self.snapshot.records.len(), self.snapshot.open.len());
        if left != (0, 0) {
            return Err(other("erase", format!("{} resources and {} open intents are left", left.0, left.1)));
        }
        let mut shared = self.store.lock_shared();
        self.still_ours(&shared)?;
        shared.scopes.remove(&self.snapshot.scope);
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut shared = self.store.lock_shared();
        if self.still_ours(&shared).is_ok() {
            shared.leases.remove(&self.snapshot.scope);
        }
    }
}

impl Shared {
    fn lineage(&self, scope: &Scope) -> String {
        match self.seed {
            Some(seed) => digest::of(&(seed, scope.to_string(), self.appends)).0.chars().take(32).collect(),
            None => random(),
        }
    }
}

/// 128 bits from the keys that the standard library draws from the system.
fn random() -> String {
    let half = || RandomState::new().hash_one(0u8);
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_testkit::entries::*;

    cloudtik_testkit::store_contract!(clients);

    fn clients() -> (cloudtik_testkit::store_contract::Clients, ()) {
        let store = MemoryStore::new();
        ([Box::new(store.clone()), Box::new(store)], ())
    }

    #[test]
    fn a_fault_kills_the_writer_before_or_after_its_batch_is_stored() {
        for (durable, serial) in [(false, 1), (true, 2)] {
            let store = MemoryStore::new();
            store.fail(Some(Fault { append: 2, durable }));
            let mut lock = store.lock(&cluster(), &holder("apply")).unwrap();
            lock.append(&[history(&cluster(), 1)]).unwrap();
            assert!(lock.append(&[history(&cluster(), 2)]).is_err());
            assert!(lock.append(&[history(&cluster(), 3)]).is_err());
            drop(lock);
            assert_eq!(store.read(&cluster()).unwrap().serial, serial);
            let mut next = store.lock(&cluster(), &holder("apply")).unwrap();
            next.append(&[history(&cluster(), 3)]).unwrap();
        }
    }
}
