//! The right to change one scope: batches of entries, each one transaction.

use crate::{
    backup, database,
    database::failure,
    layout::{Files, exists, io_error, sync_folder},
    load::{Loaded, View},
    lock::{self, Lock},
    reserve::{Reserve, is_full},
    seal::{Sum, seal},
    tables::*,
};
use cloudtik_core::{
    Scope,
    plan::OperationId,
    state::{Elsewhere, Entry, Locked, Mutation, Progress, Snapshot, StoreError},
};
use redb::{Database, Error, ReadableDatabase, ReadableTableMetadata, Table, WriteTransaction};
use std::{collections::BTreeMap, fs, io::ErrorKind};

pub(crate) struct Writer {
    files: Files,
    lock: Lock,
    /// `None` before the first append, and after a failed one until the next.
    database: Option<Database>,
    loaded: Loaded,
    reserve: Reserve,
    erased: bool,
}

impl Writer {
    fn new(files: Files, scope: &Scope, lock: Lock) -> Writer {
        let reserve = Reserve::take(&files);
        Writer { files, lock, database: None, loaded: Loaded::empty(scope), reserve, erased: false }
    }

    pub fn open(files: Files, scope: &Scope, lock: Lock) -> Result<Writer, StoreError> {
        let mut writer = Writer::new(files, scope, lock);
        writer.reopen()?;
        Ok(writer)
    }

    /// Writes a scope anew, in place of whatever its files hold.
    pub fn anew(files: Files, scope: &Scope, lock: Lock, entries: &[Entry]) -> Result<(), StoreError> {
        let lineage = lineage().map_err(|e| io_error("create", &files.database, e))?;
        let mut writer = Writer::new(files, scope, lock);
        writer.check(entries)?;
        writer.replace(&lineage, entries)
    }

    /// Makes this history the scope's own, whatever its files hold.
    fn replace(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        let empty = Loaded::empty(&self.loaded.snapshot.scope);
        let former = std::mem::replace(&mut self.loaded, empty);
        let made = self.with_reserve(|writer| {
            writer.database = None;
            let draft = writer.create(lineage.to_owned(), entries)?;
            writer.still_ours()?;
            draft.apply(&mut writer.loaded, entries);
            Ok(())
        });
        if let Err(e) = made {
            (self.loaded, self.database) = (former, None);
            return Err(e);
        }
        self.with_reserve(|writer| writer.witness())?;
        self.with_reserve(|writer| writer.back_up())
    }

    fn back_up(&self) -> Result<(), StoreError> {
        backup::write(&self.files, &self.loaded.snapshot, || self.still_ours())
    }

    fn refuse(&self, operation: &'static str, detail: String) -> StoreError {
        StoreError::Other { operation, place: self.files.database.display().to_string(), detail }
    }

    /// Opens the database and reads what is durable; does nothing while it is open or does not exist.
    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.database.is_some() || !exists(&self.files.database)? {
            return Ok(());
        }
        let database = match database::open(&self.files)? {
            Some(database) => database,
            None => {
                // The owner before this one is stopped in the middle of something.
                self.still_ours()?;
                database::detach(&self.files)?
            }
        };
        self.still_ours()?;
        let transaction = database.begin_read().map_err(|e| failure("read", &self.files, e))?;
        let view = View {
            transaction: &transaction,
            files: &self.files,
            scope: &self.loaded.snapshot.scope,
            witness: Some(self.lock.content()),
        };
        self.loaded = view.load()?;
        self.database = Some(database);
        self.witness()
    }

    /// Writes beside the database how far it has come.
    fn witness(&self) -> Result<(), StoreError> {
        let Snapshot { lineage, serial, .. } = &self.loaded.snapshot;
        self.lock.witness(lineage, *serial).map_err(|e| io_error("append to", &self.files.lock, e))
    }

    fn still_ours(&self) -> Result<(), StoreError> {
        self.lock.check(&self.files, &self.loaded.snapshot.scope)
    }

    /// Refuses what could not be read back as this scope's state.
    fn check(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.loaded.snapshot.admits(entries).map_err(|detail| self.refuse("append to", detail))
    }

    fn commit(&mut self, entries: &[Entry]) -> Result<Draft, StoreError> {
        if let Some(database) = &self.database {
            let draft = Draft::of(&self.loaded, self.loaded.snapshot.lineage.clone());
            return draft.commit(database, &self.loaded, entries).map_err(|e| failure("append to", &self.files, e));
        }
        let lineage = lineage().map_err(|e| io_error("create", &self.files.database, e))?;
        self.create(lineage, entries)
    }

    /// Writes a new database and gives it the name of the scope's own.
    fn create(&mut self, lineage: String, entries: &[Entry]) -> Result<Draft, StoreError> {
        let (database, file) = database::create(&self.files)?;
        let draft = Draft::of(&self.loaded, lineage)
            .commit(&database, &self.loaded, entries)
            .map_err(|e| failure("create", &self.files, e))?;
        {
            let _guard = lock::guard(&self.files)?;
            self.still_ours()?;
            lock::still_named(&file, &self.files.fresh)?;
            fs::rename(&self.files.fresh, &self.files.database)
                .and_then(|()| sync_folder(&self.files.folder))
                .map_err(|e| io_error("create", &self.files.database, e))?;
        }
        self.database = Some(database);
        Ok(draft)
    }

    /// Appends to the database. After an error it is opened anew by who goes on.
    fn write(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        // Looked at after the commit: what is acknowledged, a successor finds.
        match self.commit(entries).and_then(|draft| self.still_ours().map(|()| draft)) {
            Ok(draft) => {
                draft.apply(&mut self.loaded, entries);
                Ok(())
            }
            Err(e) => {
                self.database = None;
                Err(e)
            }
        }
    }

    /// Tries again in the room that was held back when the disk is full.
    fn with_reserve(&mut self, mut run: impl FnMut(&mut Writer) -> Result<(), StoreError>) -> Result<(), StoreError> {
        match run(self) {
            Err(e) if lacks_room(&e) && self.reserve.give() => run(self),
            result => result,
        }
    }

    fn remove(&self, files: &[&std::path::Path]) -> Result<(), StoreError> {
        for file in files {
            match fs::remove_file(file) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(io_error("erase", file, e)),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Locked for Writer {
    fn progress(&mut self, progress: Progress) {
        // It is for those who wait; whether the scope can be written shows at the next append.
        let _ = self.lock.progress(progress);
    }

    fn snapshot(&self) -> &Snapshot {
        &self.loaded.snapshot
    }

    /// After an error nothing or all of the batch is durable; the next append starts from what is. A failed backup is an
    /// error too, of a batch that is durable.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        self.reopen()?;
        self.check(entries)?;
        if entries.is_empty() {
            return Ok(());
        }
        let before = self.loaded.snapshot.serial;
        self.with_reserve(|writer| {
            writer.reopen()?;
            // The try before may have ended with all of it durable.
            if writer.loaded.snapshot.serial == before { writer.write(entries) } else { Ok(()) }
        })?;
        self.with_reserve(|writer| writer.witness())?;
        if !entries.iter().any(|entry| matches!(entry, Entry::Revision(_))) {
            return Ok(());
        }
        match self.with_reserve(|writer| writer.back_up()) {
            // The backup of an earlier revision stays; the batch is durable.
            Err(e) if lacks_room(&e) => Ok(()),
            result => result,
        }
    }

    fn short_of_room(&self) -> Option<String> {
        self.reserve.is_spent().then(|| self.files.folder.display().to_string())
    }

    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError> {
        self.reopen()?;
        self.loaded.snapshot.gives_way(lineage, entries).map_err(|detail| self.refuse("restore", detail))?;
        self.replace(lineage, entries)
    }

    fn erase(mut self: Box<Self>) -> Result<(), StoreError> {
        self.reopen()?;
        let Snapshot { records, open, .. } = &self.loaded.snapshot;
        if !records.is_empty() || !open.is_empty() {
            let left = format!("{} resources and {} open intents are left", records.len(), open.len());
            return Err(self.refuse("erase", format!("{left}; `cloudtik destroy` removes them")));
        }
        self.database = None;
        let _guard = lock::guard(&self.files)?;
        self.still_ours()?;
        let Files { backup, database, fresh, lock, folder, .. } = &self.files;
        self.remove(&[backup, database, fresh])?;
        sync_folder(folder).map_err(|e| io_error("erase", folder, e))?;
        self.remove(&[lock])?;
        self.files.remove_empty_folders().map_err(|e| io_error("erase", folder, e))?;
        self.erased = true;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.database = None;
        if self.erased {
            return;
        }
        // What was acknowledged is durable and the lock ends with its file; what is done here only leaves a tidy folder, so
        // nothing hangs on its success.
        let _ = self.lock.release();
        let untouched = self.loaded.snapshot.serial == 0 && matches!(exists(&self.files.database), Ok(false));
        if untouched && self.still_ours().is_ok() {
            let _ = self.remove(&[&self.files.fresh, &self.files.lock]);
            let _ = self.files.remove_empty_folders();
        }
    }
}

/// What one batch changes, until it is durable.
struct Draft {
    lineage: String,
    serial: u64,
    revision: u64,
    elsewhere: Option<Elsewhere>,
    sum: Sum,
    /// Intents opened (at which serial) and closed.
    open: BTreeMap<OperationId, Option<u64>>,
}

type Cells<'t, K> = Table<'t, K, &'static [u8]>;

impl Draft {
    fn of(loaded: &Loaded, lineage: String) -> Draft {
        let Snapshot { serial, revision, elsewhere, .. } = &loaded.snapshot;
        let (serial, revision, elsewhere) = (*serial, *revision, elsewhere.clone());
        Draft { lineage, serial, revision, elsewhere, sum: loaded.sum.clone(), open: BTreeMap::new() }
    }

    fn commit(mut self, database: &Database, loaded: &Loaded, entries: &[Entry]) -> Result<Draft, Error> {
        let transaction = database.begin_write()?;
        self.write(&transaction, loaded, entries)?;
        transaction.commit()?;
        Ok(self)
    }

    fn write(&mut self, transaction: &WriteTransaction, loaded: &Loaded, entries: &[Entry]) -> Result<(), Error> {
        let mut journal = transaction.open_table(JOURNAL)?;
        let mut records = transaction.open_table(RECORDS)?;
        let mut open = transaction.open_table(OPEN)?;
        let mut revisions = transaction.open_table(REVISIONS)?;
        for entry in entries {
            self.serial += 1;
            let key = self.serial.to_be_bytes();
            journal.insert(self.serial, &*seal("journal", &key, entry))?;
            match entry {
                Entry::Intent(intent) => {
                    self.close(&mut open, loaded, &intent.operation)?;
                    let sealed = seal("open", &key, intent);
                    open.insert(self.serial, &*sealed)?;
                    self.sum.add(&sealed);
                    self.open.insert(intent.operation.clone(), Some(self.serial));
                }
                Entry::Result { operation, mutations, .. } => {
                    self.close(&mut open, loaded, operation)?;
                    self.mutate(&mut records, mutations)?;
                }
                Entry::Edit { mutations, .. } => self.mutate(&mut records, mutations)?,
                Entry::Revision(revision) => {
                    self.revision = revision.number;
                    let stored = StoredRevision { serial: self.serial, revision: revision.clone() };
                    revisions.insert(self.revision, &*seal("revisions", &self.revision.to_be_bytes(), &stored))?;
                }
                Entry::Move { elsewhere, .. } => self.elsewhere.clone_from(elsewhere),
            }
        }
        let head = Head {
            scope: loaded.snapshot.scope.clone(),
            lineage: self.lineage.clone(),
            serial: self.serial,
            revision: self.revision,
            elsewhere: self.elsewhere.clone(),
            records: records.len()?,
            open: open.len()?,
            sum: self.sum.to_hex(),
        };
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, &*seal("meta", FORMAT_KEY.as_bytes(), &FORMAT))?;
        meta.insert(HEAD_KEY, &*seal("meta", HEAD_KEY.as_bytes(), &head))?;
        Ok(())
    }

    fn close(&mut self, open: &mut Cells<u64>, loaded: &Loaded, operation: &OperationId) -> Result<(), Error> {
        let known = self.open.get(operation).copied().unwrap_or_else(|| loaded.open.get(operation).copied());
        if let Some(serial) = known {
            if let Some(old) = open.remove(serial)? {
                self.sum.remove(old.value());
            }
            self.open.insert(operation.clone(), None);
        }
        Ok(())
    }

    fn mutate(&mut self, records: &mut Cells<&'static str>, mutations: &[Mutation]) -> Result<(), Error> {
        for mutation in mutations {
            match mutation {
                Mutation::Put(record) => {
                    let key = record.address.to_string();
                    let sealed = seal("records", key.as_bytes(), &**record);
                    self.sum.add(&sealed);
                    if let Some(old) = records.insert(&*key, &*sealed)? {
                        self.sum.remove(old.value());
                    }
                }
                Mutation::Remove(address) => {
                    if let Some(old) = records.remove(&*address.to_string())? {
                        self.sum.remove(old.value());
                    }
                }
            }
        }
        Ok(())
    }

    fn apply(self, loaded: &mut Loaded, entries: &[Entry]) {
        loaded.snapshot.lineage = self.lineage;
        entries.iter().for_each(|entry| loaded.snapshot.apply(entry));
        loaded.sum = self.sum;
        for (operation, serial) in self.open {
            match serial {
                Some(serial) => loaded.open.insert(operation, serial),
                None => loaded.open.remove(&operation),
            };
        }
    }
}

fn lacks_room(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if is_full(source))
}

/// 128 random bits in hex.
fn lineage() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
