//! [`Store`] over the trees of one state home.

use crate::{
    journal::Loaded,
    layout::{self, Files},
    lease::{self, Owner},
    place::Place,
    repair,
    writer::Writer,
};
use cloudtik_core::{
    Scope,
    state::{Entry, Holder, Lease, Locked, Repaired, Revision, Snapshot, Store, StoreError},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// After so long without a sign of life an owner may be succeeded.
const SILENCE: Duration = Duration::from_secs(30);

/// A state home in a folder of this machine. Opening it touches nothing.
#[derive(Clone, Debug)]
pub struct SledStore {
    home: PathBuf,
    silence: Duration,
}

impl SledStore {
    pub fn new(home: impl Into<PathBuf>) -> Self {
        SledStore { home: home.into(), silence: SILENCE }
    }

    /// The folder of a scope, for messages and tests.
    pub fn folder(&self, scope: &Scope) -> PathBuf {
        Files::of(&self.home, scope).folder
    }

    /// The scope's whole history; `None` when it was never written.
    fn load(&self, scope: &Scope) -> Result<Option<Loaded>, StoreError> {
        let files = Files::of(&self.home, scope);
        if !files.has(&files.folder)? {
            return Ok(None);
        }
        let place = Place::at(files)?;
        place.load(&mut place.inner())
    }

    fn own(&self, scope: &Scope, holder: &Holder, silent: Option<&Lease>) -> Result<Arc<Place>, StoreError> {
        let files = Files::of(&self.home, scope);
        files.make_folder()?;
        let place = Place::at(files)?;
        let same = |lease: &Lease| silent.is_some_and(|s| (s.fence, s.beats) == (lease.fence, lease.beats));
        let locked = |lease: Lease| Err(StoreError::Locked { scope: scope.clone(), lease: Box::new(lease) });
        let mut inner = place.inner();
        match &mut inner.owner {
            Some(owner) if same(&owner.lease) => {
                owner.succeed(holder, self.silence).map_err(|e| place.files.io("lock", e))?;
            }
            Some(owner) => return locked(owner.lease.clone()),
            None => match Owner::take(&place.files, holder, self.silence)? {
                Ok(owner) => inner.owner = Some(owner),
                Err(lease) if same(&lease) => {
                    let pid = lease.holder.pid;
                    let detail =
                        format!("{} gives no sign of life and keeps its files open: `kill -9 {pid}`", lease.holder);
                    return Err(place.files.other("take over", detail));
                }
                Err(lease) => return locked(lease),
            },
        }
        drop(inner);
        Ok(place)
    }
}

impl Store for SledStore {
    fn place(&self) -> String {
        format!("sled:{}", Path::display(&self.home))
    }

    fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        layout::scopes(&self.home)
    }

    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        Ok(self.load(scope)?.map_or_else(|| Snapshot::empty(scope), |loaded| loaded.snapshot))
    }

    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError> {
        let place = self.own(scope, holder, None)?;
        Ok(Box::new(Writer::open(place, self.silence)?))
    }

    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError> {
        let place = self.own(scope, holder, Some(silent))?;
        Ok(Box::new(Writer::open(place, self.silence)?))
    }

    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError> {
        lease::of(&Files::of(&self.home, scope))
    }

    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError> {
        let revision = |entry| match entry {
            Entry::Revision(revision) => Some(revision),
            _ => None,
        };
        Ok(self.journal(scope)?.into_iter().rev().filter_map(revision).collect())
    }

    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError> {
        let Some(Loaded { snapshot, entries, .. }) = self.load(scope)? else { return Ok(None) };
        let ends = |entry: &Entry| matches!(entry, Entry::Revision(revision) if revision.number == number);
        let end = entries.iter().position(ends);
        Ok(end.map(|end| Snapshot::fold(scope, &snapshot.lineage, &entries[..=end])))
    }

    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError> {
        Ok(self.load(scope)?.map(|loaded| loaded.entries).unwrap_or_default())
    }

    /// Every read is one.
    fn check(&self, scope: &Scope) -> Result<(), StoreError> {
        self.load(scope).map(drop)
    }

    fn repair(&self, scope: &Scope, holder: &Holder) -> Result<Repaired, StoreError> {
        repair::repair(self.own(scope, holder, None)?, self.silence)
    }
}
