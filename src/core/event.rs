//! What happens during a run, as a stream that views and `--json` read. The names and fields are a published format.

use crate::{address::Address, diagnostic::Diagnostic, failure::FailureKind, plan::OperationId};
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Reading the world: `total` resources.
    RefreshStarted {
        total: usize,
    },
    RefreshFinished {
        elapsed_ms: u64,
        drifted: usize,
    },
    /// What an interrupted run may have made is not seen; that it is absent is believed after `wait_ms`.
    Settling {
        address: Address,
        operation: OperationId,
        wait_ms: u64,
    },
    /// An intent of an earlier, interrupted run was settled; `how` is `found`, `absent` or `ambiguous`.
    Settled {
        address: Address,
        operation: OperationId,
        how: &'static str,
    },
    ApplyStarted {
        operations: usize,
        expected_ms: u64,
    },
    OperationStarted {
        operation: OperationId,
        address: Address,
        verb: &'static str,
    },
    /// What a running operation waits for.
    OperationProgress {
        operation: OperationId,
        address: Address,
        message: String,
        elapsed_ms: u64,
    },
    /// The object exists; readiness is awaited.
    OperationCreated {
        operation: OperationId,
        address: Address,
        elapsed_ms: u64,
    },
    OperationFinished {
        operation: OperationId,
        address: Address,
        verb: &'static str,
        elapsed_ms: u64,
    },
    OperationRetrying {
        operation: OperationId,
        address: Address,
        message: String,
        after_ms: u64,
    },
    OperationFailed {
        operation: OperationId,
        address: Address,
        kind: FailureKind,
        message: String,
        hint: Option<String>,
        elapsed_ms: u64,
    },
    /// Failed, and what waits for it goes on all the same, as planned.
    OperationForgone {
        operation: OperationId,
        address: Address,
        verb: &'static str,
        message: String,
        elapsed_ms: u64,
    },
    /// Not started, because `because_of` failed.
    OperationSkipped {
        operation: OperationId,
        address: Address,
        because_of: Address,
    },
    Interrupted {
        running: usize,
    },
    ApplyFinished {
        done: usize,
        failed: usize,
        skipped: usize,
        elapsed_ms: u64,
    },
    Diagnostic(Diagnostic),
}

/// Receives events; called from one task at a time.
pub trait Observer: Send + Sync {
    fn event(&self, event: Event);
}

/// Drops every event.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event) {}
}
