//! Room on the disk that a writer holds back, so that the results of running calls can be recorded when the disk fills up.
//!
//! It is the space of a file without a name: it is nobody else's, and it ends with the process however that ends.

use crate::layout::Files;
use rustix::fs::{FallocateFlags, fallocate};
use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
};

/// Bytes: some hundred results with their records, and a backup of a thousand resources.
const ROOM: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) enum Reserve {
    Held {
        _space: File,
    },
    /// The file system gives no such promise.
    Unknown,
    /// There was no room for it, or it is used.
    Spent,
}

impl Reserve {
    /// Needs the scope's folder.
    pub fn take(files: &Files) -> Reserve {
        match space(files) {
            Ok(space) => Reserve::Held { _space: space },
            Err(e) if is_full(&e) => Reserve::Spent,
            // Whatever is wrong there, the next append says it better.
            Err(_) => Reserve::Unknown,
        }
    }

    /// Gives the room back to the disk; false when there is none to give.
    pub fn give(&mut self) -> bool {
        matches!(std::mem::replace(self, Reserve::Spent), Reserve::Held { .. })
    }

    pub fn is_spent(&self) -> bool {
        matches!(self, Reserve::Spent)
    }
}

fn space(files: &Files) -> io::Result<File> {
    let path = files.database.with_extension("reserve");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    fallocate(&file, FallocateFlags::empty(), 0, ROOM)?;
    Ok(file)
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
