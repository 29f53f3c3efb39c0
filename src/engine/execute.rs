//! The executor: carries a plan out, journalled, in parallel, and adds no decision.
//!
//! One dispatcher orders everything; workers make the calls. For each operation the intent is durable before the call
//! starts, and the result is durable before anything that depends on it starts. Results and the intents that they free
//! share one append, so the cost of durability is per round, not per operation.

use crate::{
    Registry,
    journal::{self, Journal},
    queue::Queue,
    standing::{Standing, standings},
    worker::{self, Report, Work, bug},
};
use cloudtik_core::{
    Address, Attrs, Effect, Failure, FailureKind, ProviderName, Reference, Scope, Value,
    event::{Event, Observer},
    plan::{Operation, OperationId, Plan, Verb},
    provider::{Call, Outcome},
    state::{Deposed, Entry, Intent, Locked, Mutation, Record, Revision, Snapshot, Status, StoreError},
    value,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};
use tokio::sync::{mpsc, watch};

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
    #[error("cannot start the journal")]
    Thread(#[source] std::io::Error),
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
    /// Each with the failed resource that it waits for; its own address when the run was interrupted.
    pub skipped: Vec<(Address, Address)>,
    /// Calls whose result is not known: settled by the next run.
    pub unsettled: Vec<Address>,
    pub interrupted: bool,
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
    let run = Run {
        plan,
        registry,
        observer,
        limit: options.parallelism.unwrap_or_else(|| registry.concurrency()).max(1),
        queue: Queue::new(&plan.operations, &plan.edges),
        records: state.values().flat_map(|s| s.records.clone()).collect(),
        revisions: state.iter().map(|(scope, s)| (scope.clone(), s.revision)).collect(),
        journal: Journal::new(locks).map_err(ApplyError::Thread)?,
        running: HashMap::new(),
        reports,
        inbox,
        entries: Vec::new(),
        summary: Summary::default(),
        started: Instant::now(),
        options,
    };
    run.go().await
}

/// The plan is what was made, and made for these states.
fn check(plan: &Plan, state: &BTreeMap<Scope, Snapshot>) -> Result<(), ApplyError> {
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
    limit: usize,
    queue: Queue,
    /// All records as they are now.
    records: BTreeMap<Address, Arc<Record>>,
    revisions: BTreeMap<Scope, u64>,
    journal: Journal,
    running: HashMap<usize, Running>,
    reports: mpsc::UnboundedSender<Report>,
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
            let starting = if asked == Interrupt::No { self.start_ready() } else { Vec::new() };
            let entries = std::mem::take(&mut self.entries);
            if let Err(source) = self.journal.append(entries).await {
                return Err(self.cannot_record(source));
            }
            for work in starting {
                tokio::spawn(worker::work(work, self.reports.clone()));
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
                FailureKind::Invalid,
                format!("{} {}", op.verb.as_str(), op.address.short()),
                format!("`{what}` has changed since the plan was made"),
            )
            .hint("make a new plan: `cloudtik plan`");
            self.fail(at, failure, 0);
        }
    }

    /// Takes ready operations off the queue: writes down what is intended and prepares the calls.
    fn start_ready(&mut self) -> Vec<Work> {
        let mut starting = Vec::new();
        while self.running.len() < self.limit {
            let Some(at) = self.queue.pop() else { break };
            let op = &self.plan.operations[at];
            if matches!(op.verb, Verb::Adopt | Verb::Forget) {
                self.running.insert(at, Running { started: Instant::now(), attributes: Attrs::new() });
                self.finished(at, None, None);
                continue;
            }
            match self.prepare(at, op) {
                Ok(work) => starting.push(work),
                Err(failure) => self.fail(at, failure, 0),
            }
        }
        starting
    }

    fn prepare(&mut self, at: usize, op: &Operation) -> Result<Work, Failure> {
        let doing = || format!("{} {}", op.verb.as_str(), op.address.short());
        let provider = self.registry.get(&op.provider).cloned().ok_or_else(|| {
            Failure::new(FailureKind::Environment, doing(), format!("this binary lacks the provider `{}`", op.provider))
        })?;
        let attributes = self.resolve(op)?;
        let record = self.subject(op).ok_or_else(|| bug(doing(), "the object to work on is not recorded"))?;
        let intent = Intent {
            operation: op.id.clone(),
            address: op.address.clone(),
            provider: op.provider.clone(),
            verb: op.verb.clone(),
            attributes: attributes.clone(),
            dependencies: op.dependencies.clone(),
            lifecycle: op.lifecycle.clone(),
            batch: None,
            at: Timestamp::now(),
        };
        self.entries.push((op.address.scope().clone(), Entry::Intent(intent)));
        self.observer.event(Event::OperationStarted {
            operation: op.id.clone(),
            address: op.address.clone(),
            verb: op.verb.as_str(),
        });
        self.running.insert(at, Running { started: Instant::now(), attributes: attributes.clone() });
        let build = self.record_builder(op, attributes.clone());
        Ok(Work {
            at,
            verb: op.verb.clone(),
            call: Call {
                operation: op.id.clone(),
                address: op.address.clone(),
                attributes,
                record,
                batch: None,
                promised: op.promised.clone(),
                progress: worker::progress(&self.reports, &op.id, &op.address),
            },
            provider,
            record: Box::new(build),
        })
    }

    /// Inputs with every reference replaced by what is recorded now.
    fn resolve(&self, op: &Operation) -> Result<Attrs, Failure> {
        let resolved = value::resolve(&op.attributes, &|reference: &Reference| {
            let record = self.records.get(&reference.address).filter(|r| !r.only_deposed)?;
            Some(record.attribute(&reference.attribute).cloned().unwrap_or(Value::Unset))
        });
        let mut missing = None;
        resolved.values().for_each(|v| v.references(&mut |r| missing = Some(r.to_string())));
        match missing {
            None => Ok(value::pruned(&resolved)),
            Some(reference) => Err(bug(
                format!("{} {}", op.verb.as_str(), op.address.short()),
                format!("`{reference}` is not known although what it depends on is done"),
            )),
        }
    }

    /// The record that a call works on: `Some(None)` for a create, `None` when a needed record is missing.
    fn subject(&self, op: &Operation) -> Option<Option<Arc<Record>>> {
        let record = self.records.get(&op.address);
        match &op.verb {
            Verb::Create | Verb::CreateBeside { .. } => Some(record.cloned()),
            Verb::DeleteDeposed { key } => {
                let record = record?;
                let old = record.deposed.get(key)?;
                let (id, attributes, outputs) = (old.id.clone(), old.attributes.clone(), old.outputs.clone());
                Some(Some(Arc::new(Record { id, attributes, outputs, ..(**record).clone() })))
            }
            _ => Some(Some(record?.clone())),
        }
    }

    /// Makes the record of the object that an operation creates or changes, status `created`.
    fn record_builder(&self, op: &Operation, attributes: Attrs) -> impl Fn(&Outcome) -> Record + Send + Sync + 'static {
        let schema = self.registry.kinds().get(&op.provider, op.address.kind()).map_or(1, |k| k.version);
        let (old, op) = (self.records.get(&op.address).cloned(), op.clone());
        move |outcome| {
            let mut record = record_of(&op.address, &op.provider, outcome, schema);
            record.attributes = attributes.clone();
            record.dependencies = op.dependencies.clone();
            record.lifecycle = op.lifecycle.clone();
            record.operation = op.id.clone();
            if let Some(old) = &old {
                record.deposed = old.deposed.clone();
                match &op.verb {
                    // What an earlier run of this plan made is the new object, not the one it takes the place of.
                    Verb::CreateBeside { key } if !old.only_deposed && old.operation != op.id => {
                        depose(&mut record, key, old);
                    }
                    Verb::Update => {
                        let mut outputs = old.outputs.clone();
                        outputs.append(&mut record.outputs);
                        record.outputs = outputs;
                        if record.id.is_empty() {
                            record.id = old.id.clone();
                        }
                    }
                    _ => {}
                }
            }
            record
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
        }
    }

    fn created(&mut self, at: usize, outcome: &Outcome) {
        let op = &self.plan.operations[at];
        let Some(running) = self.running.get(&at) else { return };
        let elapsed_ms = running.started.elapsed().as_millis() as u64;
        let record = self.record_builder(op, running.attributes.clone())(outcome);
        self.record(op, vec![Mutation::Put(Box::new(record))], None);
        self.observer.event(Event::OperationCreated {
            operation: op.id.clone(),
            address: op.address.clone(),
            elapsed_ms,
        });
        self.queue.created(at);
    }

    fn finished(&mut self, at: usize, outcome: Option<Outcome>, ready: Option<Attrs>) {
        let op = &self.plan.operations[at];
        let Some(running) = self.running.remove(&at) else { return };
        let mutations = match &op.verb {
            Verb::Create | Verb::CreateBeside { .. } | Verb::Update | Verb::AwaitReady => {
                let mut record = match (&outcome, self.records.get(&op.address)) {
                    (Some(outcome), _) => self.record_builder(op, running.attributes)(outcome),
                    (None, Some(record)) => (**record).clone(),
                    (None, None) => return self.fail(at, bug(op.verb.as_str(), "its object was never recorded"), 0),
                };
                record.status = Status::Ready;
                record.outputs.extend(ready.into_iter().flatten());
                vec![Mutation::Put(Box::new(record))]
            }
            Verb::Adopt => match self.adopted(op) {
                Some(record) => vec![Mutation::Put(Box::new(record))],
                None => return self.fail(at, bug("adopt", "the plan does not say what was found"), 0),
            },
            Verb::Delete | Verb::DeleteDeposed { .. } | Verb::Forget => self.removal(op),
        };
        self.record(op, mutations, None);
        self.observer.event(Event::OperationFinished {
            operation: op.id.clone(),
            address: op.address.clone(),
            verb: op.verb.as_str(),
            elapsed_ms: running.started.elapsed().as_millis() as u64,
        });
        self.summary.done.push((op.address.clone(), op.verb.as_str()));
        self.queue.done(at);
    }

    fn adopted(&self, op: &Operation) -> Option<Record> {
        let found = op.found.as_ref()?;
        let outcome = Outcome { id: found.id.clone(), outputs: found.outputs.clone() };
        let schema = self.registry.kinds().get(&op.provider, op.address.kind()).map_or(1, |k| k.version);
        let mut record = record_of(&op.address, &op.provider, &outcome, schema);
        // What is adopted is recorded as it is; an update that follows makes it as declared.
        record.attributes = value::pruned(&value::resolve(&found.attributes, &|reference: &Reference| {
            self.records.get(&reference.address)?.attribute(&reference.attribute).cloned()
        }));
        record.dependencies = op.dependencies.clone();
        record.lifecycle = op.lifecycle.clone();
        record.operation = op.id.clone();
        record.status = Status::Ready;
        Some(record)
    }

    /// The record without the object that went, and without what lived in it.
    fn removal(&self, op: &Operation) -> Vec<Mutation> {
        let Some(record) = self.records.get(&op.address) else { return Vec::new() };
        let mut left = (**record).clone();
        match &op.verb {
            Verb::DeleteDeposed { key } => {
                left.deposed.remove(key);
            }
            _ => left.only_deposed = true,
        }
        let own = if left.only_deposed && left.deposed.is_empty() {
            Mutation::Remove(op.address.clone())
        } else {
            Mutation::Put(Box::new(left))
        };
        let along = op.takes_along.iter().filter(|a| self.records.contains_key(a)).cloned().map(Mutation::Remove);
        std::iter::once(own).chain(along).collect()
    }

    fn record(&mut self, op: &Operation, mutations: Vec<Mutation>, failure: Option<String>) {
        for mutation in &mutations {
            match mutation {
                Mutation::Put(record) => {
                    self.records.insert(record.address.clone(), Arc::new((**record).clone()));
                }
                Mutation::Remove(address) => {
                    self.records.remove(address);
                }
            }
        }
        let entry = Entry::Result { operation: op.id.clone(), mutations, failure, at: Timestamp::now() };
        self.entries.push((op.address.scope().clone(), entry));
    }

    fn fail(&mut self, at: usize, failure: Failure, elapsed_ms: u64) {
        let op = &self.plan.operations[at];
        let was_running = self.running.remove(&at).is_some();
        let open = failure.effect == Effect::Unknown && was_running;
        if open {
            // Its intent stays open: only a lookup can tell what happened.
            self.summary.unsettled.push(op.address.clone());
        } else if was_running {
            self.record(op, Vec::new(), Some(failure.to_string()));
        }
        self.observer.event(Event::OperationFailed {
            operation: op.id.clone(),
            address: op.address.clone(),
            message: failure.to_string(),
            hint: failure.hint.clone(),
            elapsed_ms,
        });
        for skipped in self.queue.failed(at) {
            let other = &self.plan.operations[skipped];
            self.observer.event(Event::OperationSkipped {
                operation: other.id.clone(),
                address: other.address.clone(),
                because_of: op.address.clone(),
            });
            self.summary.skipped.push((other.address.clone(), op.address.clone()));
        }
        self.summary.failed.push((op.address.clone(), op.verb.as_str(), failure));
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
        // Locks end here, also when calls were abandoned.
        self.journal.close();
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
                    at: Timestamp::now(),
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

/// A record with nothing but what a provider returned.
pub(crate) fn record_of(address: &Address, provider: &ProviderName, outcome: &Outcome, schema: u32) -> Record {
    Record {
        address: address.clone(),
        provider: provider.clone(),
        id: outcome.id.clone(),
        status: Status::Created,
        attributes: Attrs::new(),
        outputs: outcome.outputs.clone(),
        dependencies: Vec::new(),
        lifecycle: cloudtik_core::Lifecycle::default(),
        operation: OperationId("".into()),
        schema,
        deposed: BTreeMap::new(),
        only_deposed: false,
    }
}

/// Keeps the object that `record` takes the place of, until it is deleted.
pub(crate) fn depose(record: &mut Record, key: &str, old: &Record) {
    let old = Deposed { id: old.id.clone(), attributes: old.attributes.clone(), outputs: old.outputs.clone() };
    record.deposed.insert(key.to_string(), old);
}
