//! A rehearsal as a timeline: what ran when, what it waited for, what went wrong and how it went on.

mod human;
mod json;
mod timeline;

#[cfg(test)]
mod tests;

pub use human::human;
pub use json::json;

use cloudtik_core::{event::Event, plan::Plan};

/// An event and its time in the world.
#[derive(Clone, Debug)]
pub struct Moment {
    pub at_ms: u64,
    pub event: Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// Something failed.
    Partly,
    Killed,
}

/// One run of the command.
#[derive(Clone, Debug)]
pub struct Run {
    /// `None` when it was killed before it had one.
    pub plan: Option<Plan>,
    pub began_ms: u64,
    pub ended_ms: u64,
    pub moments: Vec<Moment>,
    pub end: End,
}

pub struct Rehearsal<'a> {
    pub seed: u64,
    pub chaos: bool,
    pub runs: &'a [Run],
}
