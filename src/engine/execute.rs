//! The executor: carries a plan out, journalled, in parallel, and adds no decision.
//!
//! One dispatcher orders everything; workers make the calls. For each operation the intent is durable before the call
//! starts, and the result is durable before anything that depends on it starts. Results and the intents that they free
//! share one append, so the cost of durability is per round, not per operation.

mod results;
mod slots;
mod start;

pub(crate) use results::{depose, record_of};

use crate::{
    Registry,
    journal::{self, Journal},
    queue::Queue,
    standing::{Standing, standings},
    worker::{self, Dispatcher, Report},
};
use cloudtik_core::{
    Address, Attrs, Failure, FailureKind, Scope,
    event::{Event, Observer},
    plan::{OperationId, Plan},
    state::{Entry, Locked, Progress, Record, Revision, Snapshot, StoreError},
};
use slots::Slots;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// How far a run was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupt {
    #[default]
    No,
    /// Start nothing new; finish and record what runs.
    Finish,
    /// Stop waiting: what runs stays as open intents.
    Abandon,
}

pub struct ApplyOptions {
    /// `user@host`, for the revision.
    pub who: String,
    pub command: String,
    pub interrupt: watch::Receiver<Interrupt>,
    /// At most this many calls at once; `None`: what the providers allow.
    pub parallelism: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the plan was changed after it was made")]
    Tampered,
    #[error("the plan was made for another history of {scope}")]
    OtherHistory { scope: Scope },
    #[error("the plan needs {scope}, which this run has not locked")]
    NotLocked { scope: Scope },
    #[error("results could not be recorded; the next run finds out what became of {}", list(.unrecorded))]
    Journal {
        unrecorded: Vec<Address>,
        #[source]
        source: StoreError,
    },
}

fn list(addresses: &[Address]) -> String {
    match addresses {
        [] => "nothing: no call was running".into(),
        some => some.iter().map(Address::short).collect::<Vec<_>>().join(", "),
    }
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Summary {
    pub done: Vec<(Address, &'static str)>,
    pub failed: Vec<(Address, &'static str, Failure)>,
    /// Failed, and what waited for them went on, as planned.
    pub forgone: Vec<(Address, &'static str, Failure)>,
    /// Each with the failed resource that it waits for; its own address when the run was interrupted.
    pub skipped: Vec<(Address, Address)>,
    /// Calls whose result is not known: settled by the next run.
    pub unsettled: Vec<Address>,
    pub interrupted: bool,
    /// Where room for state ran out, so that nothing new was started.
    pub short_of_room: Option<String>,
    pub elapsed_ms: u64,
}

impl Summary {
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.unsettled.is_empty()
    }
}

/// Carries out a plan. `locks` must hold every scope that the plan changes; `foreign` the state of those it only reads.
///
/// Returns when everything that can be done is done: a failed operation stops only what depends on it. Operations whose
/// recorded facts have moved since the plan was made are refused, each on its own.
pub async fn apply(
    plan: &Plan,
    registry: &Registry,
    locks: BTreeMap<Scope, Box<dyn Locked>>,
    foreign: &BTreeMap<Scope, Snapshot>,
    options: ApplyOptions,
    observer: &dyn Observer,
) -> Result<Summary, ApplyError> {
    let mut state = journal::snapshots(&locks);
    check(plan, &state)?;
    state.extend(foreign.iter().filter(|(scope, _)| !locks.contains_key(scope)).map(|(s, v)| (s.clone(), v.clone())));
    let (reports, inbox) = mpsc::unbounded_channel();
    let (slots, lanes) = Slots::new(plan, registry, options.parallelism);
    let run = Run {
        plan,
        registry,
        observer,
        slots,
        queue: Queue::new(&plan.operations, &plan.edges, lanes),
        records: state.values().flat_map(|s| s.records.clone()).collect(),
        revisions: state.iter().map(|(scope, s)| (scope.clone(), s.revision)).collect(),
        journal: Journal::new(locks),
        running: HashMap::new(),
        again: Vec::new(),
        dispatcher: Dispatcher { reports, interrupt: options.interrupt.clone() },
        inbox,
        entries: Vec::new(),
        summary: Summary::default(),
        started: Instant::now(),
        options,
    };
    run.go().await
}

/// Whether a plan is what was made, and made for these states. A plan whose first run was cut off still fits what that run
/// left.
pub fn check(plan: &Plan, state: &BTreeMap<Scope, Snapshot>) -> Result<(), ApplyError> {
    if plan.compute_digest() != plan.digest {
        return Err(ApplyError::Tampered);
    }
    for (scope, base) in &plan.base {
        let now = state.get(scope).ok_or_else(|| ApplyError::NotLocked { scope: scope.clone() })?;
        // A plan for a scope without history may itself have begun one.
        let begun_here = || {
            let own: HashSet<&OperationId> = plan.operations.iter().map(|op| &op.id).collect();
            now.records.values().all(|r| own.contains(&r.operation))
        };
        if now.lineage != base.lineage && !(base.lineage.is_empty() && begun_here()) {
            return Err(ApplyError::OtherHistory { scope: scope.clone() });
        }
    }
    Ok(())
}

struct Running {
    started: Instant,
    /// Inputs as sent, references resolved.
    attributes: Attrs,
}

struct Run<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    observer: &'a dyn Observer,
    options: ApplyOptions,
    slots: Slots,
    queue: Queue,
    /// All records as they are now.
    records: BTreeMap<Address, Arc<Record>>,
    revisions: BTreeMap<Scope, u64>,
    journal: Journal,
    running: HashMap<usize, Running>,
    /// Members of batches that failed, to be tried again each on its own.
    again: Vec<(usize, Failure)>,
    dispatcher: Dispatcher,
    inbox: mpsc::UnboundedReceiver<Report>,
    /// To be made durable before the next calls start.
    entries: Vec<(Scope, Entry)>,
    summary: Summary,
    started: Instant,
}

impl Run<'_> {
    async fn go(mut self) -> Result<Summary, ApplyError> {
        self.observer.event(Event::ApplyStarted {
            operations: self.plan.operations.len(),
            expected_ms: self.plan.estimate.milliseconds,
        });
        self.take_stock();
        loop {
            let asked = *self.options.interrupt.borrow();
            let goes_on = asked == Interrupt::No && self.journal.short_of_room().is_none();
            let again = self.start_again(goes_on);
            let starting = if goes_on { self.start_ready() } else { Vec::new() };
            let entries = std::mem::take(&mut self.entries);
            if let Err(source) = self.journal.append(entries).await {
                return Err(self.cannot_record(source));
            }
            self.journal.progress(Progress { done: self.summary.done.len(), of: self.plan.operations.len() });
            for (work, failure) in again {
                tokio::spawn(worker::work_again(work, failure));
            }
            for mut members in starting {
                match members.len() {
                    1 => members.drain(..).for_each(|work| drop(tokio::spawn(worker::work(work)))),
                    _ => drop(tokio::spawn(worker::work_together(members))),
                }
            }
            if self.running.is_empty() || asked == Interrupt::Abandon {
                break;
            }
            self.wait().await;
        }
        self.finish().await
    }

    /// Passes over what an earlier run of this plan did, and refuses operations that rely on records which have changed.
    fn take_stock(&mut self) {
        let standings = standings(self.plan, &self.records);
        for (at, standing) in standings.iter().enumerate() {
            if *standing == Standing::Done {
                self.queue.done(at);
            }
        }
        for (at, standing) in standings.into_iter().enumerate() {
            let Standing::Moved(what) = standing else { continue };
            let op = &self.plan.operations[at];
            let failure = Failure::new(
                FailureKind::Stale,
                format!("{} {}", op.verb.as_str(), op.address.short()),
                format!("`{what}` has changed since the plan was made"),
            )
            .hint("make a new plan: `cloudtik plan`");
            self.fail(at, failure, 0);
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            report = self.inbox.recv() => if let Some(report) = report { self.take(report) },
            changed = self.options.interrupt.changed() => {
                if changed.is_ok() {
                    self.observer.event(Event::Interrupted { running: self.running.len() });
                } else {
                    // Nobody can interrupt any more: wait for reports alone.
                    if let Some(report) = self.inbox.recv().await { self.take(report) }
                }
            }
        }
        while let Ok(report) = self.inbox.try_recv() {
            self.take(report);
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Event(event) => self.observer.event(event),
            Report::Created { at, outcome } => self.created(at, &outcome),
            Report::Done { at, outcome, ready } => self.finished(at, outcome, ready),
            Report::Failed { at, failure } => {
                let elapsed = self.running.get(&at).map_or(0, |r| r.started.elapsed().as_millis() as u64);
                self.fail(at, failure, elapsed);
            }
            Report::Alone { at, failure } => self.again.push((at, failure)),
        }
    }

    fn cannot_record(&self, source: StoreError) -> ApplyError {
        let mut unrecorded: Vec<Address> =
            self.running.keys().map(|at| self.plan.operations[*at].address.clone()).collect();
        unrecorded.sort();
        ApplyError::Journal { unrecorded, source }
    }

    async fn finish(mut self) -> Result<Summary, ApplyError> {
        let asked = *self.options.interrupt.borrow();
        self.summary.interrupted = asked != Interrupt::No;
        self.summary.short_of_room = self.journal.short_of_room();
        for at in self.running.keys() {
            self.summary.unsettled.push(self.plan.operations[*at].address.clone());
        }
        for at in self.queue.waiting() {
            let address = &self.plan.operations[at].address;
            self.summary.skipped.push((address.clone(), address.clone()));
        }
        self.summary.unsettled.sort();
        self.summary.unsettled.dedup();
        self.summary.elapsed_ms = self.started.elapsed().as_millis() as u64;
        let revisions = self.revision_entries();
        if let Err(source) = self.journal.append(revisions).await {
            return Err(self.cannot_record(source));
        }
        self.observer.event(Event::ApplyFinished {
            done: self.summary.done.len(),
            failed: self.summary.failed.len(),
            skipped: self.summary.skipped.len(),
            elapsed_ms: self.summary.elapsed_ms,
        });
        Ok(self.summary)
    }

    /// One revision for each scope in which something was done or tried.
    fn revision_entries(&self) -> Vec<(Scope, Entry)> {
        let touched: BTreeSet<&Scope> = self.plan.operations.iter().map(|op| op.address.scope()).collect();
        let count = |scope: &Scope, addresses: &mut dyn Iterator<Item = &Address>| {
            addresses.filter(|a| a.scope() == scope).count()
        };
        touched
            .into_iter()
            .map(|scope| {
                let revision = Revision {
                    number: self.revisions.get(scope).copied().unwrap_or(0) + 1,
                    at: self.registry.now(),
                    who: self.options.who.clone(),
                    plan: self.plan.digest.clone(),
                    command: self.options.command.clone(),
                    done: count(scope, &mut self.summary.done.iter().map(|(a, _)| a)),
                    failed: count(scope, &mut self.summary.failed.iter().map(|(a, _, _)| a)),
                    skipped: count(scope, &mut self.summary.skipped.iter().map(|(a, _)| a)),
                    resources: self.records.values().filter(|r| r.address.scope() == scope).count(),
                };
                (scope.clone(), Entry::Revision(revision))
            })
            .collect()
    }
}
