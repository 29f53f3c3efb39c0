//! The lock of a scope: an exclusive `flock` on its lease, so that it ends with its owner's process however that ends.
//!
//! The lease says who holds it, gives signs of life, and carries the ownership's number. It is not synced: it means nothing
//! after a power cut, since no process outlives one.

use crate::{
    layout::{self, Files},
    tree::{PATIENCE, PAUSE},
};
use cloudtik_core::state::{Holder, Lease, Progress, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// The content of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Content {
    /// Owners so far.
    fence: u64,
    lease: Option<Lease>,
}

/// The lock, held by this process.
#[derive(Debug)]
pub(crate) struct Owner {
    file: File,
    pub lease: Lease,
}

impl Owner {
    /// Takes the lock; `Err` inside when another process has it.
    pub fn take(files: &Files, holder: &Holder, silence: Duration) -> Result<Result<Owner, Lease>, StoreError> {
        let failed = |e| files.io("lock", e);
        let start = Instant::now();
        loop {
            let file = layout::open(&files.lease).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {
                    let fence = read(&file).map_err(failed)?.unwrap_or_default().fence + 1;
                    let owner = Owner { file, lease: begin(holder, fence, silence) };
                    owner.write().map_err(failed)?;
                    return Ok(Ok(owner));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
            if let Some(lease) = of(files)? {
                return Ok(Err(lease));
            }
            pause(start, files)?;
        }
    }

    /// Hands the lock to another owner in this process.
    pub fn succeed(&mut self, holder: &Holder, silence: Duration) -> io::Result<()> {
        self.lease = begin(holder, self.lease.fence + 1, silence);
        self.write()
    }

    /// Gives a sign of life.
    pub fn beat(&mut self, progress: Option<Progress>) -> io::Result<()> {
        (self.lease.beats, self.lease.beat) = (self.lease.beats + 1, Timestamp::now());
        self.lease.progress = progress.or(self.lease.progress);
        self.write()
    }

    /// Leaves no name for others to find.
    pub fn release(self) -> io::Result<()> {
        write(&self.file, &Content { fence: self.lease.fence, lease: None })
    }

    fn write(&self) -> io::Result<()> {
        write(&self.file, &Content { fence: self.lease.fence, lease: Some(self.lease.clone()) })
    }
}

fn begin(holder: &Holder, fence: u64, silence: Duration) -> Lease {
    let silence_s = silence.as_secs();
    Lease { holder: holder.clone(), fence, beats: 0, beat: Timestamp::now(), silence_s, progress: None }
}

fn write(file: &File, content: &Content) -> io::Result<()> {
    let text = serde_json::to_vec(content).expect("a lease is always JSON");
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// `None` while it is being written, and for one that was never written.
fn read(file: &File) -> io::Result<Option<Content>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    // An owner that ended before it cut the file leaves the end of a longer content behind its last one.
    Ok(serde_json::Deserializer::from_slice(&bytes).into_iter().next().and_then(Result::ok))
}

fn pause(start: Instant, files: &Files) -> Result<(), StoreError> {
    if start.elapsed() > PATIENCE {
        let detail = "something holds its lease without saying who; find it with `fuser -v` on that file";
        return Err(files.other("lock", detail));
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// The lock as it is now. Changes nothing; waits for a new owner to write its name.
pub(crate) fn of(files: &Files) -> Result<Option<Lease>, StoreError> {
    let failed = |e| files.io("read", e);
    let file = match File::open(&files.lease) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let start = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        match read(&file).map_err(failed)?.and_then(|content| content.lease) {
            Some(lease) => return Ok(Some(lease)),
            None => pause(start, files)?,
        }
    }
}
