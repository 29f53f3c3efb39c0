//! Which of the things that go with a machine are stopped in order before it goes.

use crate::planner::Input;
use cloudtik_core::{
    Address, Lifecycle,
    plan::{Mode, Reason},
    provider::{Health, Presence},
    state::{Record, Status},
};

/// Whether something in a machine that goes is stopped in order first, and if it should be and cannot, why.
///
/// `None`: there is nothing to stop, nobody asked for it, or everything around it goes too, so that nothing could move away.
pub(crate) fn drained(input: &Input, address: &Address, record: &Record, lifecycle: &Lifecycle) -> Option<Reason> {
    if !lifecycle.drain || input.mode == Mode::Destroy || record.status != Status::Ready {
        return None;
    }
    match input.observed.get(address) {
        Some(Presence::Absent) => None,
        Some(Presence::Present { healthy: Health::Broken(detail), .. }) => {
            Some(Reason::NotDrained { detail: detail.clone() })
        }
        _ => Some(Reason::Drained),
    }
}
