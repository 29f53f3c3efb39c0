//! Opening a scope's database file, and `redb`'s errors in our words.
//!
//! Who may write opens the file itself, after a check of every page. Who only reads takes one of two ways: while somebody
//! holds the scope's lock, `redb` shares the file with that writer (who has checked it); when nobody does, the file is copied
//! to memory under a shared lock and the copy is checked, and mended after a crash, without a byte of the file changing.

use crate::{
    layout::{Files, io_error, sync_folder},
    lock,
};
use cloudtik_core::state::StoreError;
use redb::{Builder, ConcurrencyMode, Database, DatabaseError, Error, ReadOnlyDatabase, StorageBackend};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Bytes of pages kept in memory.
const CACHE: usize = 64 << 20;
/// How long a process that has lost the scope's lock may take to lose the database's too.
const ENDING: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(2);
const EMPTY: &str = "the file is empty";

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_concurrency_mode(ConcurrencyMode::SingleWriter).set_check_integrity_on_open(true).set_cache_size(CACHE);
    builder
}

/// Opens for writing; `None` when another process has the file open for writing. Needs the scope's lock.
pub(crate) fn open(files: &Files) -> Result<Option<Database>, StoreError> {
    let len = std::fs::metadata(&files.database).map_err(|e| io_error("open", &files.database, e))?.len();
    if len == 0 {
        return Err(damaged(files, EMPTY));
    }
    let start = Instant::now();
    loop {
        match builder().open(&files.database) {
            Ok(database) => return Ok(Some(database)),
            // The files of a process that ends are closed one after the other.
            Err(DatabaseError::DatabaseAlreadyOpen) if start.elapsed() < ENDING => std::thread::sleep(PAUSE),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Ok(None),
            Err(e) => return Err(failure("open", files, e)),
        }
    }
}

/// Leaves the file to a former owner that still has it open, and opens a copy under its name. Needs the scope's lock.
///
/// What that owner writes later goes to a file without a name. A commit of its under way may end while the file is read, so
/// it is read until it stays the same: it can commit but once more, since it then finds that it has lost the lock.
pub(crate) fn detach(files: &Files) -> Result<Database, StoreError> {
    let failed = |e| io_error("copy", &files.database, e);
    let gone = || failed(ErrorKind::NotFound.into());
    let _guard = lock::guard(files)?;
    let mut bytes = copy(files)?.ok_or_else(gone)?;
    loop {
        let again = copy(files)?.ok_or_else(gone)?;
        if again == bytes {
            break;
        }
        bytes = again;
    }
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&files.fresh).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&files.fresh, &files.database).and_then(|()| sync_folder(&files.folder)).map_err(failed)?;
    open(files)?.ok_or_else(|| failure("open", files, DatabaseError::DatabaseAlreadyOpen))
}

/// Makes a database under the name it has before it is complete, readable by its owner only. Needs the scope's lock. Also
/// gives its file, to be known again.
pub(crate) fn create(files: &Files) -> Result<(Database, File), StoreError> {
    let failed = |e| io_error("create", &files.fresh, e);
    match std::fs::remove_file(&files.fresh) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&files.fresh).map_err(failed)?;
    Ok((builder().create(&files.fresh).map_err(|e| failure("create", files, e))?, file))
}

/// Opens for reading beside a writer.
pub(crate) fn open_shared(files: &Files) -> Result<ReadOnlyDatabase, redb::DatabaseError> {
    builder().open_read_only(&files.database)
}

/// Opens a checked copy of a file that nobody writes.
pub(crate) fn open_copy(copy: Vec<u8>, files: &Files) -> Result<Database, StoreError> {
    if copy.is_empty() {
        return Err(damaged(files, EMPTY));
    }
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true).set_cache_size(CACHE);
    builder.create_with_backend(Memory(Mutex::new(copy))).map_err(|e| failure("read", files, e))
}

/// The bytes of the database file; `None` when there is none.
pub(crate) fn copy(files: &Files) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |e| io_error("read", &files.database, e);
    let mut file = match File::open(&files.database) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut bytes = Vec::new();
    let len = usize::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(len).map_err(|_| failed(ErrorKind::OutOfMemory.into()))?;
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// A database file in memory.
#[derive(Debug)]
struct Memory(Mutex<Vec<u8>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        // Every access leaves the bytes whole, so a panic elsewhere says nothing about them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn span(offset: u64, len: usize, have: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok();
    let end = start.and_then(|start| start.checked_add(len)).filter(|end| *end <= have);
    match (start, end) {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        out.copy_from_slice(&bytes[span(offset, out.len(), bytes.len())?]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut bytes = self.bytes();
        let more = len.saturating_sub(bytes.len());
        bytes.try_reserve(more).map_err(|_| ErrorKind::OutOfMemory)?;
        bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let span = span(offset, data.len(), bytes.len())?;
        bytes[span].copy_from_slice(data);
        Ok(())
    }
}

/// Damage, with what was found and what to do about it.
pub(crate) fn damaged(files: &Files, found: impl AsRef<str>) -> StoreError {
    let place = files.database.display().to_string();
    let then = format!(
        "`cloudtik state repair {}` puts it aside and restores what can be read, and the next plan shows what was done since",
        files.scope
    );
    StoreError::Damaged { place, detail: format!("{}; {then}", found.as_ref()) }
}

/// An error of `redb`'s as one of ours.
pub(crate) fn failure(operation: &'static str, files: &Files, error: impl Into<Error>) -> StoreError {
    let other = |detail: String| StoreError::Other { operation, place: files.database.display().to_string(), detail };
    match error.into() {
        Error::Corrupted(found) => damaged(files, found),
        Error::RepairAborted => damaged(files, "it was not closed properly and cannot be repaired"),
        Error::UpgradeRequired(format) => damaged(files, format!("it has the unknown file format {format}")),
        Error::TableDoesNotExist(table) => damaged(files, format!("the table `{table}` is missing")),
        error @ (Error::TableTypeMismatch { .. } | Error::TypeDefinitionChanged { .. } | Error::TableIsMultimap(_)) => {
            damaged(files, error.to_string())
        }
        Error::Io(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            damaged(files, e.to_string())
        }
        Error::Io(e) => io_error(operation, &files.database, e),
        Error::DatabaseAlreadyOpen => other("another program writes to it without holding its lock".into()),
        error => other(error.to_string()),
    }
}
