//! Reading a scope's state out of its database, believing nothing that does not check.

use crate::{
    database::{self, damaged, failure},
    layout::{Files, exists},
    lock::{self, Content, Look},
    seal::{self, Sum},
    tables::*,
};
use cloudtik_core::{
    Address, Scope,
    plan::OperationId,
    state::{Entry, Intent, Record, Revision, Snapshot, StoreError},
};
use redb::{
    DatabaseError, Error, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a file that does not check is looked at again, while an owner may be changing it.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// A scope's state, and what a writer needs beside it.
pub(crate) struct Loaded {
    pub snapshot: Snapshot,
    pub sum: Sum,
    /// The serials of the open intents' entries.
    pub open: BTreeMap<OperationId, u64>,
}

impl Loaded {
    pub fn empty(scope: &Scope) -> Loaded {
        Loaded { snapshot: Snapshot::empty(scope), sum: Sum::default(), open: BTreeMap::new() }
    }
}

/// One database at one moment.
pub(crate) struct View<'a> {
    pub transaction: &'a ReadTransaction,
    pub files: &'a Files,
    pub scope: &'a Scope,
    pub witness: Option<Content>,
}

/// Runs `read` over the scope's last durable state, whether or not somebody writes it; `None` when it has no database.
pub(crate) fn view<T>(
    files: &Files,
    scope: &Scope,
    read: impl Fn(&View) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let run = |database: &dyn ReadableDatabase, witness| {
        let transaction = database.begin_read().map_err(|e| failure("read", files, e))?;
        read(&View { transaction: &transaction, files, scope, witness })
    };
    let start = Instant::now();
    loop {
        let look = lock::look(files)?;
        let witness = look.witness(files)?;
        if !exists(&files.database)? {
            return gone(files);
        }
        if let Look::Held(_) = look {
            match database::open_shared(files) {
                Ok(shared) => return run(&shared, witness).map(Some),
                Err(e) if passes(&e) => {} // the owner is opening it, or has closed it after a failed append
                Err(e) => return Err(failure("read", files, e)),
            }
        }
        let Some(copy) = database::copy(files)? else { continue };
        let still = matches!(look, Look::Free(Some(_)));
        drop(look);
        match database::open_copy(copy, files).and_then(|copy| run(&copy, witness)) {
            // Without a lock the file may have changed while it was copied: what checks is good, what does not is looked at again.
            Err(_) if !still && exists(&files.lock)? && start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            result => return result.map(Some),
        }
    }
}

/// Whether an open beside an owner fails for a moment only: while the owner's own open, or its next one, is not complete.
fn passes(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::RepairAborted | DatabaseError::DatabaseAlreadyOpen => true,
        DatabaseError::Storage(StorageError::Io(e)) => e.kind() == ErrorKind::NotFound,
        _ => false,
    }
}

/// No database: nothing was ever written, unless a backup says otherwise.
pub(crate) fn gone<T>(files: &Files) -> Result<Option<T>, StoreError> {
    match exists(&files.backup)? {
        false => Ok(None),
        true => Err(damaged(files, "the file is gone, its backup is still there")),
    }
}

impl View<'_> {
    /// The current state: reads records and open intents, not the journal.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let head = self.head()?;
        let mut loaded = Loaded {
            snapshot: Snapshot {
                lineage: head.lineage.clone(),
                serial: head.serial,
                revision: head.revision,
                elsewhere: head.elsewhere.clone(),
                ..Snapshot::empty(self.scope)
            },
            sum: Sum::default(),
            open: BTreeMap::new(),
        };
        self.load_records(&mut loaded)?;
        self.load_open(&mut loaded)?;
        if loaded.sum.to_hex() != head.sum {
            return Err(self.damaged("its records are not those of its last entry"));
        }
        Ok(loaded)
    }

    fn load_records(&self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let table = self.redb(|t| Ok(t.open_table(RECORDS)?))?;
        for row in self.redb(|_| Ok(table.iter()?))? {
            let (key, sealed) = self.redb(|_| Ok(row?))?;
            let record: Record = self.unseal("records", key.value().as_bytes(), sealed.value())?;
            loaded.sum.add(sealed.value());
            let address: Address =
                key.value().parse().map_err(|e: cloudtik_core::address::NotAnAddress| self.damaged(e.to_string()))?;
            if record.address != address || address.scope() != self.scope {
                return Err(self.damaged(format!("the record under {address} is of {}", record.address)));
            }
            loaded.snapshot.records.insert(address, Arc::new(record));
        }
        Ok(())
    }

    fn load_open(&self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let table = self.redb(|t| Ok(t.open_table(OPEN)?))?;
        for row in self.redb(|_| Ok(table.iter()?))? {
            let (key, sealed) = self.redb(|_| Ok(row?))?;
            let intent: Intent = self.unseal("open", &key.value().to_be_bytes(), sealed.value())?;
            loaded.sum.add(sealed.value());
            loaded.open.insert(intent.operation.clone(), key.value());
            loaded.snapshot.open.push(intent);
        }
        Ok(())
    }

    /// The head, after all that can be checked without reading every value.
    fn head(&self) -> Result<Head, StoreError> {
        let meta = self.redb(|t| Ok(t.open_table(META)?))?;
        let format: u32 = self.cell(&meta, FORMAT_KEY)?;
        if format > FORMAT {
            let place = self.files.database.display().to_string();
            return Err(StoreError::TooNew { place, found: format, known: FORMAT });
        }
        let head: Head = self.cell(&meta, HEAD_KEY)?;
        if head.scope != *self.scope {
            return Err(self.damaged(format!("it holds the state of {}, not of {}", head.scope, self.scope)));
        }
        self.check_counts(&head)?;
        self.check_witness(&head)?;
        Ok(head)
    }

    fn cell<T: DeserializeOwned>(
        &self,
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
        key: &str,
    ) -> Result<T, StoreError> {
        match self.redb(|_| Ok(meta.get(key)?))? {
            Some(sealed) => self.unseal("meta", key.as_bytes(), sealed.value()),
            None => Err(self.damaged(format!("its `{key}` is missing"))),
        }
    }

    fn check_counts(&self, head: &Head) -> Result<(), StoreError> {
        let counts = self.redb(|t| {
            let journal = t.open_table(JOURNAL)?;
            let last = journal.last()?.map_or(0, |(serial, _)| serial.value());
            let revisions = t.open_table(REVISIONS)?.len()?;
            Ok([journal.len()?, last, t.open_table(RECORDS)?.len()?, t.open_table(OPEN)?.len()?, revisions])
        })?;
        match counts == [head.serial, head.serial, head.records, head.open, head.revision] {
            true => Ok(()),
            false => Err(self.damaged("entries of its journal or its records are missing")),
        }
    }

    fn check_witness(&self, head: &Head) -> Result<(), StoreError> {
        match &self.witness {
            Some(seen) if seen.lineage == head.lineage && seen.serial > head.serial => Err(self.damaged(format!(
                "it went back to entry {} of {}, as when an old copy is put in its place (if that was meant, remove '{}')",
                head.serial,
                seen.serial,
                self.files.lock.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Newest first.
    pub fn history(&self) -> Result<Vec<Revision>, StoreError> {
        let head = self.head()?;
        let table = self.redb(|t| Ok(t.open_table(REVISIONS)?))?;
        let numbers = (1..=head.revision).rev();
        numbers.map(|number| Ok(self.revision(&table, number)?.revision)).collect()
    }

    fn revision(
        &self,
        table: &impl ReadableTable<u64, &'static [u8]>,
        number: u64,
    ) -> Result<StoredRevision, StoreError> {
        match self.redb(|_| Ok(table.get(number)?))? {
            Some(sealed) => self.unseal("revisions", &number.to_be_bytes(), sealed.value()),
            None => Err(self.damaged(format!("revision {number} is missing"))),
        }
    }

    /// The state at the end of a revision.
    pub fn at_revision(&self, number: u64) -> Result<Option<Snapshot>, StoreError> {
        let head = self.head()?;
        if number == 0 || number > head.revision {
            return Ok(None);
        }
        let table = self.redb(|t| Ok(t.open_table(REVISIONS)?))?;
        let serial = self.revision(&table, number)?.serial;
        self.fold(&head.lineage, serial).map(Some)
    }

    /// Folds the whole journal and compares the result with the tables that reading relies on.
    pub fn check(&self) -> Result<(), StoreError> {
        let current = self.load()?.snapshot;
        self.history()?;
        match self.fold(&current.lineage, current.serial)? == current {
            true => Ok(()),
            false => Err(self.damaged("its records are not what its journal gives")),
        }
    }

    /// Every entry, oldest first.
    pub fn journal(&self) -> Result<Vec<Entry>, StoreError> {
        let head = self.head()?;
        let mut entries = Vec::new();
        self.entries(head.serial, |entry| entries.push(entry))?;
        Ok(entries)
    }

    fn fold(&self, lineage: &str, last: u64) -> Result<Snapshot, StoreError> {
        let mut snapshot = Snapshot { lineage: lineage.into(), ..Snapshot::empty(self.scope) };
        self.entries(last, |entry| snapshot.apply(&entry))?;
        Ok(snapshot)
    }

    /// Hands out the entries up to `last` in order.
    fn entries(&self, last: u64, mut each: impl FnMut(Entry)) -> Result<(), StoreError> {
        let mut serial = 0;
        let table = self.redb(|t| Ok(t.open_table(JOURNAL)?))?;
        for row in self.redb(|_| Ok(table.range(1..=last)?))? {
            let (key, sealed) = self.redb(|_| Ok(row?))?;
            serial += 1;
            if key.value() != serial {
                return Err(self.damaged(format!("entry {serial} of its journal is missing")));
            }
            each(self.unseal("journal", &serial.to_be_bytes(), sealed.value())?);
        }
        match serial == last {
            true => Ok(()),
            false => Err(self.damaged(format!("entry {last} of its journal is missing"))),
        }
    }

    fn unseal<T: DeserializeOwned>(&self, table: &str, key: &[u8], sealed: &[u8]) -> Result<T, StoreError> {
        seal::open(table, key, sealed).map_err(|found| self.damaged(found))
    }

    fn redb<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Error>) -> Result<T, StoreError> {
        read(self.transaction).map_err(|e| failure("read", self.files, e))
    }

    fn damaged(&self, found: impl AsRef<str>) -> StoreError {
        damaged(self.files, found)
    }
}
