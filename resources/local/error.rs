//! Failures of the kernel, of files and of the helper, as the rest of the program understands them.

use crate::wire::Fault;
use cloudtik_core::failure::{Effect, Failure, FailureKind};
use std::io;

fn kind(errno: Option<i32>, io: Option<io::ErrorKind>) -> FailureKind {
    match (errno, io) {
        (Some(libc::EPERM | libc::EACCES), _) => FailureKind::Denied,
        (Some(libc::ENOSPC | libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EDQUOT), _) => FailureKind::Exhausted,
        (Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH), _) => FailureKind::Unreachable,
        (Some(libc::ENOENT | libc::ESRCH), _) | (_, Some(io::ErrorKind::NotFound)) => FailureKind::NotFound,
        (Some(libc::ETIMEDOUT), _) | (_, Some(io::ErrorKind::TimedOut)) => FailureKind::Timeout,
        (_, Some(io::ErrorKind::InvalidInput)) => FailureKind::Invalid,
        _ => FailureKind::Other,
    }
}

/// A step that the helper could not do. What it had begun has ended with it.
pub fn fault(operation: impl Into<String>, fault: &Fault) -> Failure {
    let failure = Failure::new(kind(fault.errno, None), operation, fault.to_string());
    match fault.errno {
        Some(libc::EPERM | libc::EACCES) => failure
            .hint("`cloudtik info` says which node models this machine allows; `node_model: loopback` needs nothing"),
        _ => failure,
    }
}

/// A record or folder that could not be read or written.
pub fn io(operation: impl Into<String>, error: &io::Error) -> Failure {
    Failure::new(kind(error.raw_os_error(), Some(error.kind())), operation, error.to_string()).effect(Effect::None)
}

/// Both kinds of errors inside one operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Fault(Fault),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Invalid(String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Fault(fault)
    }
}

impl Error {
    pub fn failure(&self, operation: impl Into<String>) -> Failure {
        match self {
            Error::Fault(f) => fault(operation, f),
            Error::Io(e) => io(operation, e),
            Error::Invalid(what) => Failure::new(FailureKind::Invalid, operation, what),
        }
    }
}
