//! What ends a verb early, and how it is told.

use super::lock::{looks_silent, standing};
use crate::{exit::Exit, view::Output};
use cloudtik_core::{
    Diagnostic, Failure, Scope, Sources,
    state::{Elsewhere, Lease, StoreError},
};
use cloudtik_engine::{ApplyError, Unsettled};
use std::io::{self, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Problems with documents or with the request.
    #[error("there are problems")]
    Problems { diagnostics: Vec<Diagnostic>, sources: Box<Sources> },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Provider(Box<Failure>),
    #[error(transparent)]
    Unsettled(Box<Unsettled>),
    #[error(transparent)]
    Apply(Box<ApplyError>),
    #[error("cannot {what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Provider(Box::new(failure))
    }
}

impl From<Unsettled> for Error {
    fn from(unsettled: Unsettled) -> Self {
        Error::Unsettled(Box::new(unsettled))
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        Error::Apply(Box::new(error))
    }
}

impl Error {
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// One problem with the request itself.
    pub fn request(diagnostic: Diagnostic) -> Self {
        Error::Problems { diagnostics: vec![diagnostic], sources: Box::default() }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Error::Problems { diagnostics, .. } if diagnostics.iter().any(|d| d.id == cloudtik_engine::CYCLIC) => {
                Exit::Bug
            }
            Error::Problems { .. } | Error::Store(StoreError::Elsewhere { .. }) => Exit::Invalid,
            Error::Store(StoreError::Locked { .. } | StoreError::Fenced { .. }) => Exit::Locked,
            Error::Apply(error) if succeeded(error).is_some() => Exit::Locked,
            Error::Apply(error) if matches!(**error, ApplyError::Tampered | ApplyError::OtherHistory { .. }) => {
                Exit::Refused
            }
            _ => Exit::Failed,
        }
    }

    /// Tells the user; returns how the run ends.
    pub fn report(self, out: &Output) -> Exit {
        let exit = self.exit();
        let (diagnostics, sources) = match self {
            Error::Problems { diagnostics, sources } => (diagnostics, *sources),
            Error::Unsettled(unsettled) => (vec![unsettled_diagnostic(*unsettled)], Sources::default()),
            other => (vec![other.diagnostic()], Sources::default()),
        };
        crate::view::diagnostics::show(out, &diagnostics, &sources);
        exit
    }

    fn diagnostic(&self) -> Diagnostic {
        if let Error::Store(StoreError::Locked { scope, lease }) = self {
            return locked(self.to_string(), scope, lease);
        }
        let (id, hint) = match self {
            Error::Store(StoreError::Fenced { .. }) => ("fenced", Some(FENCED)),
            Error::Store(StoreError::Elsewhere { elsewhere, .. }) => return moved(self.to_string(), elsewhere),
            Error::Store(error) => ("state", remedy(error)),
            Error::Apply(error) => apply_words(error),
            Error::Provider(failure) => ("provider", failure.hint.as_deref()),
            _ => ("failed", None),
        };
        let mut diagnostic = Diagnostic::error(id, self.to_string()).detail(causes(self));
        diagnostic.hints.extend(hint.map(String::from));
        diagnostic
    }
}

fn moved(summary: String, elsewhere: &Elsewhere) -> Diagnostic {
    let hint = match elsewhere {
        Elsewhere::To(place) => {
            format!("name that place: `--state {place}`, CLOUDTIK_STATE or the document's `state:`")
        }
        Elsewhere::From(place) => format!("complete the move: `cloudtik state migrate {place} PLACE`, with this place"),
    };
    Diagnostic::error("state-elsewhere", summary).hint(hint)
}

const FENCED: &str =
    "this run was silent for too long, and the other one goes on from what was recorded: nothing is lost";

/// Who holds a lock, and what can be done about it.
fn locked(summary: String, scope: &Scope, lease: &Lease) -> Diagnostic {
    let diagnostic = Diagnostic::error("locked", summary).detail(standing(lease));
    match looks_silent(lease) {
        false => diagnostic.hint("wait for it: `--lock-timeout 10m`, or interrupt it there"),
        true => diagnostic.hint(format!(
            "it has been silent for long: `cloudtik state unlock {scope}` ends its right to write, and `apply` does so by itself"
        )),
    }
}

/// Whether a run ended because another one took its scope over.
fn succeeded(error: &ApplyError) -> Option<&StoreError> {
    match error {
        ApplyError::Journal { source, .. } if matches!(source, StoreError::Fenced { .. }) => Some(source),
        _ => None,
    }
}

fn apply_words(error: &ApplyError) -> (&'static str, Option<&str>) {
    match error {
        _ if succeeded(error).is_some() => ("fenced", Some(FENCED)),
        ApplyError::Tampered => ("tampered-plan", Some("make a new plan: `cloudtik plan -o FILE`")),
        ApplyError::OtherHistory { .. } => (
            "stale-plan",
            Some("it was made, or made anew, after the plan: make a new plan with `cloudtik plan -o FILE`"),
        ),
        ApplyError::Journal { source, .. } => ("journal", remedy(source).or(Some("run the same command again"))),
        _ => ("failed", None),
    }
}

/// What gets a place for state to work again, as far as the system's answer tells.
fn remedy(error: &StoreError) -> Option<&'static str> {
    let StoreError::Io { source, .. } = error else { return None };
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some("free some megabytes there, then run the same command again")
        }
        ErrorKind::ReadOnlyFilesystem => Some(
            "mount it for writing, then run the same command again; the system may have made it read-only because the disk fails: see `dmesg`",
        ),
        ErrorKind::PermissionDenied => Some("run it as the owner of that place"),
        _ if source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Some(
            "the disk, or the way to it, fails: see `dmesg`. When it is mended, `cloudtik state check` says whether all is there, then run the same command again",
        ),
        _ => None,
    }
}

/// An interrupted step that could not be settled: who has to decide, or what kept us from looking.
fn unsettled_diagnostic(unsettled: Unsettled) -> Diagnostic {
    match unsettled {
        Unsettled::Ambiguous(diagnostic) => *diagnostic,
        other => {
            let hint = match &other {
                Unsettled::Provider { source, .. } => source.hint.clone(),
                _ => None,
            };
            let mut diagnostic = Diagnostic::error("unsettled", other.to_string()).detail(causes(&other));
            diagnostic.hints.extend(hint);
            diagnostic
        }
    }
}

/// What lies behind an error, each cause on a line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut lines = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if lines.last() != Some(&text) {
            lines.push(text);
        }
        next = cause.source();
    }
    lines.join("\n")
}
