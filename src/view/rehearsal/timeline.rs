//! What the events of one run say of each operation.

use super::{End, Run};
use cloudtik_core::{
    Address, Needs,
    event::Event,
    plan::{OperationId, Plan},
};
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Done,
    Failed(String),
    /// The run was killed while it was under way.
    Cut,
}

/// One operation on the timeline.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub address: Address,
    pub verb: &'static str,
    pub start_ms: u64,
    pub created_ms: Option<u64>,
    pub end_ms: u64,
    /// What each try failed with.
    pub retries: Vec<String>,
    pub outcome: Outcome,
    /// What ended last of that which it needs.
    pub after: Option<Address>,
    /// On the chain that decides when the run is done.
    pub critical: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// By start, then by address.
    pub bars: Vec<Bar>,
    /// By how it was settled, what an earlier run left open.
    pub settled: BTreeMap<&'static str, Vec<Address>>,
    /// Never started, by what they would have needed.
    pub skipped: BTreeMap<Address, Vec<Address>>,
}

pub(super) fn of(run: &Run) -> Timeline {
    let mut timeline = Timeline::default();
    let mut places: HashMap<OperationId, usize> = HashMap::new();
    for moment in &run.moments {
        let at = moment.at_ms;
        match &moment.event {
            Event::OperationStarted { operation, address, verb } => {
                places.insert(operation.clone(), timeline.bars.len());
                timeline.bars.push(Bar {
                    address: address.clone(),
                    verb,
                    start_ms: at,
                    created_ms: None,
                    end_ms: run.ended_ms,
                    retries: Vec::new(),
                    outcome: if run.end == End::Killed { Outcome::Cut } else { Outcome::Done },
                    after: None,
                    critical: false,
                });
            }
            Event::OperationSkipped { address, because_of, .. } => {
                timeline.skipped.entry(because_of.clone()).or_default().push(address.clone());
            }
            Event::Settled { address, how, .. } => timeline.settled.entry(how).or_default().push(address.clone()),
            Event::OperationCreated { operation, .. } => {
                change(&mut timeline, &places, operation, |bar| bar.created_ms = Some(at));
            }
            Event::OperationRetrying { operation, message, .. } => {
                change(&mut timeline, &places, operation, |bar| bar.retries.push(why(message)));
            }
            Event::OperationFinished { operation, .. } => {
                change(&mut timeline, &places, operation, |bar| (bar.end_ms, bar.outcome) = (at, Outcome::Done));
            }
            Event::OperationFailed { operation, message, .. } | Event::OperationForgone { operation, message, .. } => {
                let failed = Outcome::Failed(why(message));
                change(&mut timeline, &places, operation, |bar| (bar.end_ms, bar.outcome) = (at, failed));
            }
            _ => {}
        }
    }
    if let Some(plan) = &run.plan {
        waits(&mut timeline.bars, &places, plan);
    }
    timeline.bars.sort_by(|a, b| (a.start_ms, &a.address).cmp(&(b.start_ms, &b.address)));
    timeline
}

fn change(
    timeline: &mut Timeline,
    places: &HashMap<OperationId, usize>,
    operation: &OperationId,
    change: impl FnOnce(&mut Bar),
) {
    if let Some(bar) = places.get(operation).and_then(|at| timeline.bars.get_mut(*at)) {
        change(bar);
    }
}

/// A failure's message without what was being done, which the bar says.
fn why(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, why)| why).to_owned()
}

/// Says of each bar what it waited for, and marks the chain behind the last one that ended.
fn waits(bars: &mut [Bar], places: &HashMap<OperationId, usize>, plan: &Plan) {
    let place = |at: u32| plan.operations.get(at as usize).and_then(|op| places.get(&op.id)).copied();
    let mut last: HashMap<usize, (u64, usize)> = HashMap::new();
    for edge in &plan.edges {
        let (Some(from), Some(to)) = (place(edge.from), place(edge.to)) else { continue };
        let bar = &bars[from];
        let end = if edge.needs == Needs::Created { bar.created_ms.unwrap_or(bar.end_ms) } else { bar.end_ms };
        let latest = last.entry(to).or_insert((end, from));
        *latest = (*latest).max((end, from));
    }
    for (to, (_, from)) in &last {
        bars[*to].after = Some(bars[*from].address.clone());
    }
    let mut at = (0..bars.len()).max_by_key(|at| (bars[*at].end_ms, std::cmp::Reverse(*at)));
    while let Some(bar) = at {
        // Bounded, should a broken plan name a circle.
        if std::mem::replace(&mut bars[bar].critical, true) {
            break;
        }
        at = last.get(&bar).map(|(_, from)| *from);
    }
}
