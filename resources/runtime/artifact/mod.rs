//! Artifacts on this machine: fetched once, checked, unpacked, shared by all nodes that see its files, and sent to those
//! that do not and cannot fetch for themselves.

mod debian;
mod download;
mod java;
mod pack;
mod pypi;
mod sources;
mod store;
mod unpack;

pub(crate) use pack::Packed;
pub(crate) use sources::Published;
pub use store::{Held, Store};
pub(crate) use store::{key, mark};

use cloudtik_core::{Failure, FailureKind, Retry};
use std::path::Path;
use tokio::process::Command;

/// Says how far a fetch is.
pub(crate) type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

fn environment(operation: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Environment, operation, message)
}

fn io(operation: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let (operation, path) = (operation.to_owned(), path.display().to_string());
    move |error| environment(&operation, format!("{path}: {error}"))
}

/// Runs a program of this machine to its end. Errors: it is missing, or the last lines of what it printed.
async fn output(operation: &str, command: &mut Command) -> Result<std::process::Output, Failure> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| environment(operation, format!("cannot run {program}: {e}")))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(ended_badly(operation, &program, &String::from_utf8_lossy(&output.stderr)))
}

/// A program that fetches ended with an error: the network may be better next time.
fn ended_badly(operation: &str, program: &str, said: &str) -> Failure {
    let message = format!("{program} failed: {}", crate::hosts::last_lines(said, 4));
    Failure::new(FailureKind::Command, operation, message).retry(Retry::Backoff)
}
