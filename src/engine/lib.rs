//! The plan/apply engine: declarations are checked and ordered, the world is observed, a pure planner decides, and an
//! executor carries the plan out under a journal.
//!
//! The engine names no cloud, prints nothing and reads no YAML. Everything that a plan decides is in the plan; the
//! executor resolves values that earlier steps produce and adds no decision.

mod compare;
mod decide;
mod diff;
mod discreet;
mod drain;
mod errand;
mod estimate;
mod execute;
mod graph;
mod journal;
pub mod migrate;
mod observe;
mod operations;
mod patience;
mod planner;
mod queue;
mod registry;
mod settle;
mod standing;
mod targets;
pub mod undo;
mod worker;

pub use compare::compare;
pub use discreet::Discreet;
pub use errand::{Errand, Undone};
pub use execute::{ApplyError, ApplyOptions, Interrupt, Summary, apply, check};
pub use observe::{RefreshPolicy, observe};
pub use planner::{CYCLIC, Input, Options, plan};
pub use registry::Registry;
pub use settle::{Unsettled, settle};
pub use standing::left;
