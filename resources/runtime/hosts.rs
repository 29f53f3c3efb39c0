//! The hosts behind recorded connections, each reached once and then shared.

use cloudtik_core::{
    Failure, FailureKind, Value,
    host::{Command, Connector, Host, Output},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OnceCell;

type Slot = Arc<OnceCell<Arc<dyn Host>>>;

pub struct Hosts {
    connectors: BTreeMap<String, Arc<dyn Connector>>,
    open: Mutex<BTreeMap<String, Slot>>,
}

impl Hosts {
    pub fn new(connectors: BTreeMap<String, Arc<dyn Connector>>) -> Self {
        Hosts { connectors, open: Mutex::default() }
    }

    /// The host of a connection, connected once for all who ask at the same time. Failures are not remembered.
    pub async fn get(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure> {
        let slot = self.slots().entry(key(connection)).or_default().clone();
        let host = slot.get_or_try_init(|| self.connect(connection)).await?;
        Ok(host.clone())
    }

    /// Makes the next [`Hosts::get`] connect anew.
    pub fn forget(&self, connection: &Value) {
        self.slots().remove(&key(connection));
    }

    async fn connect(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure> {
        let operation = "connect to a node";
        let via = connection.at("via").and_then(Value::as_text).ok_or_else(|| {
            Failure::new(
                FailureKind::Bug,
                operation,
                format!("its connection names no way in: {}", connection.display()),
            )
        })?;
        let connector = self.connectors.get(via).ok_or_else(|| {
            Failure::new(FailureKind::Invalid, operation, format!("this program has no connector `{via}`"))
        })?;
        connector.connect(connection).await
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Equal connections have equal keys.
pub fn key(connection: &Value) -> String {
    serde_json::to_string(connection).expect("a value is always JSON")
}

/// Runs `command`; an exit code other than 0 is a failure with the last lines it printed.
pub async fn run(host: &dyn Host, operation: &str, command: &Command) -> Result<Output, Failure> {
    let output = host.run(command).await?;
    if output.code == 0 {
        return Ok(output);
    }
    let said = if output.stderr.is_empty() { output.text() } else { output.error_text() };
    let message = format!("exit code {}: {}", output.code, last_lines(&said, 5));
    Err(Failure::new(FailureKind::Command, operation, message))
}

/// The last `count` lines that are not blank, joined by newlines.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Whether the node itself is gone, so that nothing of what was on it is left.
pub fn is_gone(failure: &Failure) -> bool {
    failure.kind == FailureKind::NotFound
}

/// Whether a connection made earlier is of no more use.
pub fn is_lost(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::NotFound | FailureKind::Unreachable | FailureKind::Timeout)
}
