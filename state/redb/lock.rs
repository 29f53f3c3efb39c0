//! The lock of a scope: an exclusive `flock` on its lock file, so that it ends with its owner however that ends.
//!
//! The file says who holds it, and, as a witness outside the database, how far the scope's history had come: a database that
//! knows less was rolled back. Shared locks are taken for moments only, to copy an idle database or to look whether an
//! owner exists; whoever wants the lock waits for those.

use crate::layout::{Files, io_error};
use cloudtik_core::{
    Scope,
    state::{Holder, StoreError},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

/// Longest wait for readers that copy an idle database, and for a new owner to write its name.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// The content of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub holder: Option<Holder>,
    /// The state that was acknowledged last; not flushed, so it may lag behind after a power cut, never run ahead.
    pub lineage: String,
    pub serial: u64,
}

/// The right to write a scope. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    pub content: Content,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub fn take(files: &Files, scope: &Scope, holder: &Holder) -> Result<Lock, StoreError> {
        let failed = |e| io_error("lock", &files.lock, e);
        let start = Instant::now();
        loop {
            if let Some(file) = try_exclusive(files).map_err(failed)? {
                let content = Content { holder: Some(holder.clone()), ..read(&file).unwrap_or_default() };
                let lock = Lock { file, content };
                lock.write().map_err(failed)?;
                return Ok(lock);
            }
            if let Some(holder) = holder_of(files)? {
                return Err(StoreError::Locked { scope: scope.clone(), holder: Box::new(holder) });
            }
            pause(start, files)?;
        }
    }

    pub fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.content).expect("a lock's content is always JSON");
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// An exclusive lock on the file that has the lock's name now; `None` when somebody else has one.
fn try_exclusive(files: &Files) -> io::Result<Option<File>> {
    loop {
        files.make_folders()?;
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&files.lock);
        let file = match opened {
            Err(e) if e.kind() == ErrorKind::NotFound => continue, // the folder was removed since it was made
            other => other?,
        };
        match file.try_lock() {
            Ok(()) if is_named(&file, &files.lock)? => return Ok(Some(file)),
            Ok(()) => continue, // the scope was erased since the file was opened
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn pause(start: Instant, files: &Files) -> Result<(), StoreError> {
    if start.elapsed() > PATIENCE {
        return Err(StoreError::Other {
            operation: "lock",
            place: files.lock.display().to_string(),
            detail: "something holds it without saying who; find it with `fuser -v` on that file".into(),
        });
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// What a look at a lock file finds.
pub(crate) enum Look {
    /// Nobody holds it: a shared lock that keeps it so, where there is a file to lock.
    Free(Option<File>),
    Held(File),
}

impl Look {
    pub fn witness(&self) -> Option<Content> {
        match self {
            Look::Free(file) => file.as_ref().and_then(read),
            Look::Held(file) => read(file),
        }
    }
}

/// Whether somebody holds the lock. Changes nothing.
pub(crate) fn look(files: &Files) -> Result<Look, StoreError> {
    let failed = |e| io_error("read", &files.lock, e);
    let file = match File::open(&files.lock) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Look::Free(None)),
        Err(e) => return Err(failed(e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Look::Free(Some(file))),
        Err(TryLockError::WouldBlock) => Ok(Look::Held(file)),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Who holds the lock; waits for a new owner to write its name.
pub(crate) fn holder_of(files: &Files) -> Result<Option<Holder>, StoreError> {
    let start = Instant::now();
    loop {
        match look(files)? {
            Look::Free(_) => return Ok(None),
            Look::Held(file) => match read(&file).and_then(|content| content.holder) {
                Some(holder) => return Ok(Some(holder)),
                None => pause(start, files)?,
            },
        }
    }
}

/// The content of a lock file; `None` while it is being written, and for one that was never written.
pub(crate) fn read(file: &File) -> Option<Content> {
    let mut bytes = vec![0; file.metadata().ok()?.len() as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(&bytes).ok()
}
