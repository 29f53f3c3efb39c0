//! The only code that prints: results, plans, progress and problems, for people, for review comments and for programs.
//!
//! Results go to stdout, everything about the work to stderr. Rendering is pure (data and a [`Look`] in, text out), so that
//! every picture is tested without a terminal; only [`Output`] and [`progress::Progress`] touch the outside. Every byte
//! passes the run's [`Redactor`]: code that writes to a stream without it breaks the promise that no secret is shown.

pub mod diagnostics;
pub mod graph;
mod output;
mod page;
pub mod plan;
pub mod progress;
mod redact;
pub mod rehearsal;
pub mod state;
mod surroundings;
pub mod tables;
mod text;
pub mod transfer;
mod verbs;

#[cfg(test)]
mod samples;

pub use output::{Confirm, Output, Stream};
pub use page::Look;
#[cfg(test)]
pub(crate) use redact::Redactor;
pub use text::plural;
pub use verbs::{annotated, bug, event, refreshed};
