//! The lock of a scope: an exclusive `flock` on its lock file, so that it ends with its owner however that ends.
//!
//! The file is a lease: it says who holds it, gives signs of life, and carries the ownership's number. As a witness outside the
//! database it also says how far the scope's history had come: a database that knows less was rolled back. Shared locks are
//! taken for moments only, to copy an idle database or to look whether an owner exists; whoever wants the lock waits for those.
//!
//! An owner that is stopped keeps its `flock`. Its successor makes a new lock file and gives it the old one's name: who finds
//! that its file has lost the name has lost the scope ([`Lock::check`]). A batch is acknowledged only when that was looked at
//! after its commit, so whatever was acknowledged was in the database before the successor looks into it. The successor never
//! writes to a file that the old owner may still write: it finds it locked by `redb`, and goes on in a copy
//! ([`crate::database::detach`]). Whoever gives names to files on behalf of a lock that may have been lost does it under the
//! guard, a lock on the folder: a successor cannot come between its look and its rename.

use crate::layout::{Files, io_error, sync_folder};
use cloudtik_core::{
    Scope,
    state::{Holder, Lease, Progress, StoreError},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Longest wait for readers that copy an idle database, and for a new owner to write its name.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);
/// An owner gives so many signs of life in the time after which it may be succeeded.
const BEATS: u32 = 6;

/// The content of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub holder: Option<Holder>,
    /// The state that was acknowledged last; not flushed, so it may lag behind after a power cut, never run ahead.
    pub lineage: String,
    pub serial: u64,
    /// Owners so far.
    #[serde(default)]
    fence: u64,
    #[serde(default)]
    beats: u64,
    #[serde(default)]
    beat: Timestamp,
    #[serde(default)]
    silence_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

impl Content {
    /// What the next owner begins with.
    fn of(self, holder: &Holder, silence: Duration) -> Content {
        Content {
            holder: Some(holder.clone()),
            fence: self.fence + 1,
            beats: 0,
            beat: Timestamp::now(),
            silence_s: silence.as_secs(),
            progress: None,
            ..self
        }
    }

    fn lease(self) -> Option<Lease> {
        let Content { fence, beats, beat, silence_s, progress, .. } = self;
        Some(Lease { holder: self.holder?, fence, beats, beat, silence_s, progress })
    }
}

/// The right to write a scope. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Lock {
    shared: Arc<Shared>,
    /// Ends the thread that gives signs of life.
    stop: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    content: Mutex<Content>,
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        // A content is whole whenever the mutex is free.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the content and gives a sign of life.
    fn write(&self, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        let mut content = self.content();
        change(&mut content);
        (content.beats, content.beat) = (content.beats + 1, Timestamp::now());
        write(&self.file, &content)
    }
}

fn write(file: &File, content: &Content) -> io::Result<()> {
    let text = serde_json::to_vec(content).expect("a lock's content is always JSON");
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub fn take(files: &Files, scope: &Scope, holder: &Holder, silence: Duration) -> Result<Lock, StoreError> {
        let failed = |e| io_error("lock", &files.lock, e);
        let start = Instant::now();
        loop {
            if let Some(file) = try_exclusive(files).map_err(failed)? {
                let content = read(&file).map_err(failed)?.unwrap_or_default().of(holder, silence);
                write(&file, &content).map_err(failed)?;
                return Ok(Lock::hold(file, content, silence));
            }
            if let Some(lease) = lease_of(files)? {
                return Err(StoreError::Locked { scope: scope.clone(), lease: Box::new(lease) });
            }
            pause(start, files)?;
        }
    }

    /// Takes the lock from an owner that has been silent since `silent` was read.
    pub fn take_over(
        files: &Files,
        scope: &Scope,
        holder: &Holder,
        silence: Duration,
        silent: &Lease,
    ) -> Result<Lock, StoreError> {
        let failed = |e| io_error("lock", &files.lock, e);
        let locked = |lease| Err(StoreError::Locked { scope: scope.clone(), lease: Box::new(lease) });
        let _guard = guard(files)?;
        let Look::Held(old) = look(files)? else { return Lock::take(files, scope, holder, silence) };
        let start = Instant::now();
        let content = loop {
            match read(&old).map_err(failed)? {
                Some(content) => break content,
                None => pause(start, files)?,
            }
        };
        match content.clone().lease() {
            Some(lease) if (lease.fence, lease.beats) == (silent.fence, silent.beats) => {}
            Some(lease) => return locked(lease),
            None => return Lock::take(files, scope, holder, silence),
        }
        let content = content.of(holder, silence);
        let mut fresh = files.lock.clone().into_os_string();
        fresh.push(".new");
        let fresh = Path::new(&fresh);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(fresh)
            .map_err(failed)?;
        file.try_lock().map_err(|e| failed(e.into()))?;
        write(&file, &content).map_err(failed)?;
        std::fs::rename(fresh, &files.lock).and_then(|()| sync_folder(&files.folder)).map_err(failed)?;
        Ok(Lock::hold(file, content, silence))
    }

    fn hold(file: File, content: Content, silence: Duration) -> Lock {
        let shared = Arc::new(Shared { file, content: Mutex::new(content) });
        let (stop, stopped) = mpsc::channel();
        let living = shared.clone();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(silence / BEATS) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A disk that is full now may not be at the next sign; one that stays so ends the lease, as it should.
                let _ = living.write(|_| {});
            }
        });
        Lock { shared, stop: Some((stop, thread)) }
    }

    pub fn content(&self) -> Content {
        self.shared.content().clone()
    }

    /// Notes how far the scope's history has come.
    pub fn witness(&self, lineage: &str, serial: u64) -> io::Result<()> {
        self.shared.write(|content| {
            content.lineage = lineage.into();
            content.serial = serial;
        })
    }

    pub fn progress(&self, progress: Progress) -> io::Result<()> {
        self.shared.write(|content| content.progress = Some(progress))
    }

    /// Leaves no name for readers to find.
    pub fn release(&self) -> io::Result<()> {
        self.shared.write(|content| (content.holder, content.progress) = (None, None))
    }

    /// Errors with [`StoreError::Fenced`] when somebody has taken the scope over.
    pub fn check(&self, files: &Files, scope: &Scope) -> Result<(), StoreError> {
        match is_named(&self.shared.file, &files.lock).map_err(|e| io_error("lock", &files.lock, e))? {
            true => Ok(()),
            false => Err(StoreError::Fenced { scope: scope.clone(), by: lease_of(files)?.map(Box::new) }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            drop(stop);
            // It holds the file, and with it the lock; one that panicked does not.
            let _ = thread.join();
        }
    }
}

/// The right to give names to files of a folder. Errors when somebody else has it for long.
pub(crate) fn guard(files: &Files) -> Result<File, StoreError> {
    let failed = |e| io_error("lock", &files.folder, e);
    let folder = File::open(&files.folder).map_err(failed)?;
    let start = Instant::now();
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Other {
                    operation: "lock",
                    place: files.folder.display().to_string(),
                    detail: "another run is changing hands there and does not come to an end; find it with `fuser -v` on that folder"
                        .into(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
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

/// Errors when a former owner, which did not know yet that it is one, has given the name to a file of its own.
pub(crate) fn still_named(file: &File, path: &Path) -> Result<(), StoreError> {
    match is_named(file, path).map_err(|e| io_error("create", path, e))? {
        true => Ok(()),
        false => Err(StoreError::Other {
            operation: "create",
            place: path.display().to_string(),
            detail: "another run was at it; nothing was written: run the same command again".into(),
        }),
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
    pub fn witness(&self, files: &Files) -> Result<Option<Content>, StoreError> {
        let file = match self {
            Look::Free(None) => return Ok(None),
            Look::Free(Some(file)) | Look::Held(file) => file,
        };
        read(file).map_err(|e| io_error("read", &files.lock, e))
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

/// The lock as it is now; waits for a new owner to write its name.
pub(crate) fn lease_of(files: &Files) -> Result<Option<Lease>, StoreError> {
    let failed = |e| io_error("read", &files.lock, e);
    let start = Instant::now();
    loop {
        match look(files)? {
            Look::Free(_) => return Ok(None),
            Look::Held(file) => match read(&file).map_err(failed)?.and_then(Content::lease) {
                Some(lease) => return Ok(Some(lease)),
                None => pause(start, files)?,
            },
        }
    }
}

/// The content of a lock file; `None` while it is being written, and for one that was never written. What cannot be read is an
/// error: the number of the ownership and the witness would begin anew.
fn read(file: &File) -> io::Result<Option<Content>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    // An owner that ended before it cut the file leaves the end of a longer content behind its last one.
    Ok(serde_json::Deserializer::from_slice(&bytes).into_iter().next().and_then(Result::ok))
}
