//! [`Store`] over the files of one state home.

use crate::{
    layout::{self, Files},
    load::view,
    lock::{self, Lock},
    repair,
    writer::Writer,
};
use cloudtik_core::{
    Scope,
    state::{Entry, Holder, Lease, Locked, Repaired, Revision, Snapshot, Store, StoreError},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The state home in a folder of this machine. Opening it touches nothing; the first append makes what is missing.
#[derive(Clone, Debug)]
pub struct RedbStore {
    home: PathBuf,
    silence: Duration,
}

/// After so long without a sign of life an owner may be succeeded.
const SILENCE: Duration = Duration::from_secs(30);

impl RedbStore {
    pub fn new(home: impl Into<PathBuf>) -> Self {
        RedbStore { home: home.into(), silence: SILENCE }
    }

    /// The same place, whose owners may be succeeded after another time without a sign of life.
    pub fn with_silence(self, silence: Duration) -> Self {
        RedbStore { silence, ..self }
    }

    /// The database file of a scope, for messages and tests.
    pub fn database(&self, scope: &Scope) -> PathBuf {
        self.files(scope).database
    }

    /// The readable backup of a scope, as `state import` reads it.
    pub fn backup(&self, scope: &Scope) -> PathBuf {
        self.files(scope).backup
    }

    fn files(&self, scope: &Scope) -> Files {
        Files::of(&self.home, scope)
    }
}

impl Store for RedbStore {
    fn place(&self) -> String {
        Path::display(&self.home).to_string()
    }

    fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        layout::scopes(&self.home)
    }

    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        let loaded = view(&self.files(scope), scope, |view| Ok(view.load()?.snapshot))?;
        Ok(loaded.unwrap_or_else(|| Snapshot::empty(scope)))
    }

    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError> {
        let files = self.files(scope);
        let lock = Lock::take(&files, scope, holder, self.silence)?;
        Ok(Box::new(Writer::open(files, scope, lock)?))
    }

    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError> {
        let files = self.files(scope);
        let lock = Lock::take_over(&files, scope, holder, self.silence, silent)?;
        Ok(Box::new(Writer::open(files, scope, lock)?))
    }

    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError> {
        lock::lease_of(&self.files(scope))
    }

    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError> {
        view(&self.files(scope), scope, |view| view.history()).map(Option::unwrap_or_default)
    }

    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError> {
        view(&self.files(scope), scope, |view| view.at_revision(number)).map(Option::flatten)
    }

    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError> {
        view(&self.files(scope), scope, |view| view.journal()).map(Option::unwrap_or_default)
    }

    fn check(&self, scope: &Scope) -> Result<(), StoreError> {
        view(&self.files(scope), scope, |view| view.check()).map(Option::unwrap_or_default)
    }

    fn repair(&self, scope: &Scope, holder: &Holder) -> Result<Repaired, StoreError> {
        let files = self.files(scope);
        repair::repair(&files, scope, Lock::take(&files, scope, holder, self.silence)?)
    }
}
