//! Taking results: what an operation did becomes records and entries, and frees what waits for it.

use super::Run;
use crate::worker::bug;
use cloudtik_core::{
    Address, Attrs, Effect, Failure, FailureKind, ProviderName, Reference,
    event::Event,
    plan::{Operation, OperationId, Verb},
    provider::Outcome,
    state::{Deposed, Entry, Mutation, Record, Status},
    value,
};
use std::{collections::BTreeMap, sync::Arc};

impl Run<'_> {
    pub(super) fn created(&mut self, at: usize, outcome: &Outcome) {
        let op = &self.plan.operations[at];
        let Some(running) = self.running.get(&at) else { return };
        let elapsed_ms = running.started.elapsed().as_millis() as u64;
        self.slots.release(at);
        let record = self.record_builder(op, running.attributes.clone())(outcome);
        self.record(op, vec![Mutation::Put(Box::new(record))], None);
        self.observer.event(Event::OperationCreated {
            operation: op.id.clone(),
            address: op.address.clone(),
            elapsed_ms,
        });
        self.queue.created(at);
    }

    pub(super) fn finished(&mut self, at: usize, outcome: Option<Outcome>, ready: Option<Attrs>) {
        let op = &self.plan.operations[at];
        let Some(running) = self.end(at) else { return };
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
        record.references = op.references.clone();
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
        let entry = Entry::Result { operation: op.id.clone(), mutations, failure, at: self.registry.now() };
        self.entries.push((op.address.scope().clone(), entry));
    }

    /// What was only worth a try has failed: what waits for it goes on.
    fn forgo(&mut self, at: usize, failure: Failure, elapsed_ms: u64, was_running: bool) {
        let op = &self.plan.operations[at];
        if was_running {
            self.record(op, Vec::new(), Some(failure.to_string()));
        }
        self.observer.event(Event::OperationForgone {
            operation: op.id.clone(),
            address: op.address.clone(),
            verb: op.verb.as_str(),
            message: failure.to_string(),
            elapsed_ms,
        });
        self.summary.forgone.push((op.address.clone(), op.verb.as_str(), failure));
        self.queue.done(at);
    }

    pub(super) fn fail(&mut self, at: usize, failure: Failure, elapsed_ms: u64) {
        let op = &self.plan.operations[at];
        let was_running = self.end(at).is_some();
        if op.best_effort && failure.kind != FailureKind::Stale {
            return self.forgo(at, failure, elapsed_ms, was_running);
        }
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
            kind: failure.kind,
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
        made: None,
        deposed: BTreeMap::new(),
        only_deposed: false,
        references: None,
    }
}

/// Keeps the object that `record` takes the place of, until it is deleted.
pub(crate) fn depose(record: &mut Record, key: &str, old: &Record) {
    let old = Deposed { id: old.id.clone(), attributes: old.attributes.clone(), outputs: old.outputs.clone() };
    record.deposed.insert(key.to_string(), old);
}
