//! Why a call to a provider failed, in fields that callers match on.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request itself is wrong.
    Invalid,
    NotFound,
    AlreadyExists,
    /// Something else still uses it.
    InUse,
    Denied,
    Unauthenticated,
    Throttled,
    /// Quota or capacity.
    Exhausted,
    Timeout,
    Unreachable,
    /// The machine lacks what is needed: a program, a permission, a kernel feature.
    Environment,
    /// A command on a node ended with an error.
    Command,
    Cancelled,
    /// What the step relies on has changed since it was planned: only a new plan can say what to do.
    Stale,
    /// A defect of ours.
    Bug,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    After(Duration),
    Backoff,
}

/// What the failed call left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    None,
    Done,
    /// Settled by looking the object up before anything else touches it.
    Unknown,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: FailureKind,
    pub retry: Retry,
    pub effect: Effect,
    /// What was being done, as a fragment: `create bridge br-public`.
    pub operation: String,
    /// Lower-case, no full stop, no secret.
    pub message: String,
    /// A command or an edit that helps.
    pub hint: Option<String>,
    pub request_id: Option<String>,
}

impl Failure {
    /// Never retried, without effect.
    pub fn new(kind: FailureKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Failure {
            kind,
            retry: Retry::Never,
            effect: Effect::None,
            operation: operation.into(),
            message: message.into(),
            hint: None,
            request_id: None,
        }
    }

    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl std::error::Error for Failure {}
