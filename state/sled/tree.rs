//! `sled` itself: the one file that names its files and does what it leaves undone.

use crate::{
    layout::{self, Files, sync_folder},
    lease,
};
use cloudtik_core::state::StoreError;
use std::{
    cell::Cell,
    fs::{File, TryLockError},
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// Longest wait for other readers, and for `sled` to end in a process that closed it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of pages kept in memory.
const CACHE: u64 = 64 << 20;
/// What `sled` says of a file that it cannot lock; it has no kind for it.
const BUSY: &str = "could not acquire lock";

/// The right to open a tree: of one process at a time, for as long as it has it open.
#[derive(Debug)]
pub(crate) struct Gate {
    _file: File,
}

impl Gate {
    /// Waits for others that read. `owner`: who enters holds the scope's lock; anyone else is told who does.
    pub fn enter(files: &Files, owner: bool) -> Result<Gate, StoreError> {
        let file = layout::open(&files.gate).map_err(|e| files.io("open", e))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Gate { _file: file }),
                Err(TryLockError::Error(e)) => return Err(files.io("open", e)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !owner && let Some(lease) = lease::of(files)? {
                return Err(StoreError::Locked { scope: files.scope.clone(), lease: Box::new(lease) });
            }
            if start.elapsed() > PATIENCE {
                let detail =
                    "another process has it open and does not come to an end; find it with `fuser -v` on its `gate`";
                return Err(files.other("open", detail));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// An open tree. Fields close in this order.
pub(crate) struct Tree {
    db: sled::Db,
    file: File,
    folder: File,
    _gate: Gate,
}

impl Tree {
    /// Opens a tree that exists.
    pub fn open(files: &Files, gate: Gate) -> Result<Tree, StoreError> {
        // `sled` would make a new one in its place.
        if !files.has(&files.tree.join("db"))? || !files.has(&files.tree.join("conf"))? {
            return Err(files.damaged("its tree is gone"));
        }
        Tree::start(files, gate)
    }

    /// Makes a tree in place of whatever is there.
    pub fn create(files: &Files, gate: Gate) -> Result<Tree, StoreError> {
        layout::remove(&files.tree).map_err(|e| files.io("create", e))?;
        let tree = Tree::start(files, gate)?;
        sync_folder(&files.folder).map_err(|e| files.io("create", e))?;
        Ok(tree)
    }

    fn start(files: &Files, gate: Gate) -> Result<Tree, StoreError> {
        let failed = |e| files.io("open", e);
        remove_unfinished(files).map_err(failed)?;
        let config = sled::Config::new().path(&files.tree).cache_capacity(CACHE).flush_every_ms(None);
        let start = Instant::now();
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                // Threads of a process that has closed it may still hold its file for a moment.
                Err(e) if is_busy(&e) && start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(e) => return Err(failure("open", files, e)),
            }
        };
        sync_files(files).map_err(failed)?;
        let file = File::open(files.tree.join("db")).map_err(failed)?;
        let folder = File::open(&files.tree).map_err(failed)?;
        Ok(Tree { db, file, folder, _gate: gate })
    }

    pub fn entries(&self) -> &sled::Tree {
        &self.db
    }

    /// All keys, to be replaced.
    pub fn removal(&self, files: &Files) -> Result<sled::Batch, StoreError> {
        let mut batch = sled::Batch::default();
        caught(files, || {
            self.db
                .iter()
                .keys()
                .try_for_each(|key| key.map(|key| batch.remove(key)))
                .map_err(|e| failure("read", files, e))
        })?;
        Ok(batch)
    }

    /// Writes a batch as a whole; it is on the disk when this returns. After an error the tree is of no more use.
    pub fn write(&self, files: &Files, batch: sled::Batch) -> Result<(), StoreError> {
        caught(files, || {
            let written = self.db.apply_batch(batch).and_then(|()| self.db.flush());
            written.map(drop).map_err(|e| failure("append to", files, e))
        })?;
        // The flush ends in `sync_file_range`, which neither empties the drive's cache nor commits a file's new length.
        self.file.sync_all().and_then(|()| self.folder.sync_all()).map_err(|e| files.io("append to", e))
    }
}

/// A snapshot that a full disk cut short; `sled` takes it for corruption for ever. Needs the gate.
fn remove_unfinished(files: &Files) -> std::io::Result<()> {
    let listing = match std::fs::read_dir(&files.tree) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        listing => listing?,
    };
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("snap.") && name.to_string_lossy().ends_with(".generating") {
            layout::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// What opening made or changed, `conf` among it, is synced by nobody else.
fn sync_files(files: &Files) -> std::io::Result<()> {
    for entry in std::fs::read_dir(&files.tree)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_folder(&files.tree)
}

fn is_busy(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(e) if e.to_string().contains(BUSY))
}

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is caught here and told as damage: nothing for a panic hook to speak of.
pub fn catches() -> bool {
    CATCHING.get()
}

/// Runs what goes into `sled`, which panics over some files that were cut short.
pub(crate) fn caught<T>(files: &Files, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    CATCHING.set(true);
    // What a panic leaves is not looked at: a tree that caused one is closed.
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(false);
    done.unwrap_or_else(|_| Err(files.damaged("sled gives up on it with a panic")))
}

/// An error of `sled`'s as one of ours.
pub(crate) fn failure(operation: &'static str, files: &Files, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            files.damaged(e.to_string())
        }
        sled::Error::Io(e) => files.io(operation, e),
        // What it was compiled without is all that its own words would add.
        sled::Error::Corruption { .. } => files.damaged("sled finds it corrupt"),
        other => files.damaged(format!("sled says: {other}")),
    }
}
