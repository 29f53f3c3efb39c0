//! Starting operations: what may start now is put together, written down as intended and prepared.

use super::{
    Run, Running,
    results::{depose, record_of},
    slots::Request,
};
use crate::{
    queue::Lane,
    worker::{self, Work, bug},
};
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName, Reference, Value,
    batch::{Batch, BatchKey},
    event::Event,
    plan::{Operation, Verb},
    provider::{Call, Outcome},
    state::{Entry, Intent, Record},
    value,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio::time::Instant;

/// Operations that go in one request. Most go alone.
struct Together {
    members: Vec<Work>,
    limit: usize,
    request: Request,
}

/// What operations must have in common to go together.
type Alike = (ProviderName, &'static str, BatchKey);

impl Run<'_> {
    /// Takes ready operations off the queue, puts together those that may go in one request, writes down what is intended
    /// and prepares the calls. Nothing waits for company: what is ready now goes now.
    pub(super) fn start_ready(&mut self) -> Vec<Vec<Work>> {
        let mut starting: Vec<Together> = Vec::new();
        // Requests that have room, with their lane; and lanes whose next operation found none.
        let mut open: HashMap<Alike, (usize, Lane)> = HashMap::new();
        let mut closed: HashSet<Lane> = HashSet::new();
        loop {
            let has_room = |lane| open.values().any(|(_, of)| *of == lane);
            let may_start = |lane| !closed.contains(&lane) && (self.slots.is_free(lane) || has_room(lane));
            let Some(at) = self.queue.pop(may_start) else { break };
            let (op, lane) = (&self.plan.operations[at], self.queue.lane(at));
            if matches!(op.verb, Verb::Adopt | Verb::Forget) {
                self.begin(at, Attrs::new());
                self.finished(at, None, None);
                continue;
            }
            let work = match self.prepare(at, op) {
                Ok(work) => work,
                Err(failure) => {
                    self.fail(at, failure, 0);
                    continue;
                }
            };
            let alike = alike(&work);
            if let Some((company, _)) = alike.as_ref().and_then(|alike| open.get(alike)).copied() {
                let together = &mut starting[company];
                self.slots.join(at, together.request);
                together.members.push(work);
                if together.members.len() >= together.limit {
                    open.retain(|_, (at, _)| *at != company);
                }
                continue;
            }
            if !self.slots.is_free(lane) {
                self.queue.put_back(at);
                closed.insert(lane);
                continue;
            }
            let limit = alike.as_ref().map_or(1, |(_, _, key)| key.limit.max(1));
            if let Some(alike) = alike.filter(|_| limit > 1) {
                open.insert(alike, (starting.len(), lane));
            }
            let request = self.slots.take(at, lane);
            starting.push(Together { members: vec![work], limit, request });
        }
        starting.into_iter().map(|together| self.intend(together.members)).collect()
    }

    /// Gives the members of one request their places in it, and writes down what each intends.
    fn intend(&mut self, mut members: Vec<Work>) -> Vec<Work> {
        members.sort_by(|a, b| a.call.address.cmp(&b.call.address));
        if members.len() > 1 {
            let places = Batch::of(&members.iter().map(|work| &work.call.operation).collect::<Vec<_>>());
            members.iter_mut().zip(places).for_each(|(work, place)| work.call.batch = Some(place));
        }
        for work in &members {
            let op = &self.plan.operations[work.at];
            self.entries.push((op.address.scope().clone(), Entry::Intent(self.intent(op, &work.call))));
            self.observer.event(Event::OperationStarted {
                operation: op.id.clone(),
                address: op.address.clone(),
                verb: op.verb.as_str(),
            });
            self.begin(work.at, work.call.attributes.clone());
        }
        members
    }

    fn intent(&self, op: &Operation, call: &Call) -> Intent {
        Intent {
            operation: op.id.clone(),
            address: op.address.clone(),
            provider: op.provider.clone(),
            verb: op.verb.clone(),
            attributes: call.attributes.clone(),
            references: op.references.clone(),
            dependencies: op.dependencies.clone(),
            lifecycle: op.lifecycle.clone(),
            batch: call.batch.clone(),
            at: self.registry.now(),
        }
    }

    fn begin(&mut self, at: usize, attributes: Attrs) {
        self.running.insert(at, Running { started: Instant::now(), attributes });
    }

    /// The operation runs no more; `None` when it did not.
    pub(super) fn end(&mut self, at: usize) -> Option<Running> {
        self.slots.release(at);
        self.running.remove(&at)
    }

    /// Members of batches that failed, each under a new intent that names no batch: what it makes is its own.
    pub(super) fn start_again(&mut self, goes_on: bool) -> Vec<(Work, Failure)> {
        let mut starting = Vec::new();
        for (at, failure) in std::mem::take(&mut self.again) {
            let op = &self.plan.operations[at];
            match self.prepare(at, op) {
                Ok(work) if goes_on => {
                    self.entries.push((op.address.scope().clone(), Entry::Intent(self.intent(op, &work.call))));
                    starting.push((work, failure));
                }
                _ => self.fail(at, failure, 0),
            }
        }
        starting
    }

    fn prepare(&self, at: usize, op: &Operation) -> Result<Work, Failure> {
        let doing = || format!("{} {}", op.verb.as_str(), op.address.short());
        let provider = self.registry.get(&op.provider).cloned().ok_or_else(|| {
            Failure::new(FailureKind::Environment, doing(), format!("this binary lacks the provider `{}`", op.provider))
        })?;
        let attributes = self.resolve(op)?;
        let record = self.subject(op).ok_or_else(|| bug(doing(), "the object to work on is not recorded"))?;
        Ok(Work {
            at,
            verb: op.verb.clone(),
            window: self.registry.window(&op.provider, op.address.kind()),
            record: Box::new(self.record_builder(op, attributes.clone())),
            call: Call {
                operation: op.id.clone(),
                address: op.address.clone(),
                attributes,
                record,
                batch: None,
                promised: op.promised.clone(),
                progress: worker::progress(&self.dispatcher.reports, &op.id, &op.address),
            },
            provider,
            dispatcher: self.dispatcher.clone(),
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
    pub(super) fn record_builder(
        &self,
        op: &Operation,
        attributes: Attrs,
    ) -> impl Fn(&Outcome) -> Record + Send + Sync + 'static {
        let schema = self.registry.kinds().get(&op.provider, op.address.kind()).map_or(1, |k| k.version);
        let shows_late = !self.registry.window(&op.provider, op.address.kind()).is_zero();
        let (old, op, clock) = (self.records.get(&op.address).cloned(), op.clone(), self.registry.clock());
        move |outcome| {
            let mut record = record_of(&op.address, &op.provider, outcome, schema);
            record.made = match &op.verb {
                Verb::Create | Verb::CreateBeside { .. } => shows_late.then(|| clock()),
                _ => old.as_ref().and_then(|old| old.made),
            };
            record.attributes = attributes.clone();
            record.references = op.references.clone();
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
}

/// What must be equal in operations that go in one request; `None` for one that goes alone.
fn alike(work: &Work) -> Option<Alike> {
    if !matches!(work.verb.as_str(), "create" | "delete") {
        return None;
    }
    let key = work.provider.batch(&work.call)?;
    Some((work.provider.name(), work.verb.as_str(), key))
}
