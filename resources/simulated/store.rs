//! A store whose user may be killed before or after each write.

use crate::World;
use cloudtik_core::{
    Scope,
    state::{Entry, Holder, Lease, Locked, Progress, Revision, Snapshot, Store, StoreError},
};

pub struct Doomed<S> {
    store: S,
    world: World,
}

impl<S: Store> Doomed<S> {
    /// Every append is two boundaries of a life in `world`.
    pub fn new(store: S, world: &World) -> Self {
        Doomed { store, world: world.clone() }
    }
}

impl<S: Store> Store for Doomed<S> {
    fn place(&self) -> String {
        self.store.place()
    }

    fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.store.scopes()
    }

    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        self.store.read(scope)
    }

    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError> {
        Ok(Box::new(DoomedLock { lock: self.store.lock(scope, holder)?, world: self.world.clone() }))
    }

    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError> {
        let lock = self.store.take_over(scope, holder, silent)?;
        Ok(Box::new(DoomedLock { lock, world: self.world.clone() }))
    }

    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError> {
        self.store.lease(scope)
    }

    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError> {
        self.store.history(scope)
    }

    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError> {
        self.store.at_revision(scope, number)
    }

    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError> {
        self.store.journal(scope)
    }

    fn check(&self, scope: &Scope) -> Result<(), StoreError> {
        self.store.check(scope)
    }
}

struct DoomedLock {
    lock: Box<dyn Locked>,
    world: World,
}

impl DoomedLock {
    /// The dead write nothing; what is returned to them is heard by nobody.
    fn passes(&self) -> Result<(), StoreError> {
        match self.world.passes() {
            true => Err(StoreError::Other {
                operation: "append to",
                place: "a simulated world".into(),
                detail: "the program was killed".into(),
            }),
            false => Ok(()),
        }
    }
}

impl Locked for DoomedLock {
    fn snapshot(&self) -> &Snapshot {
        self.lock.snapshot()
    }

    fn progress(&mut self, progress: Progress) {
        self.lock.progress(progress);
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.passes()?;
        self.lock.append(entries)?;
        self.passes()
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        self.passes()?;
        self.lock.restore(lineage, entries)?;
        self.passes()
    }

    fn erase(self: Box<Self>) -> Result<(), StoreError> {
        self.passes()?;
        self.lock.erase()
    }
}
