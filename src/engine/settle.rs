//! Settles intents that an interrupted run left open: each ends as recorded, or as never happened, before anything else.

use crate::{Registry, execute::record_of};
use cloudtik_core::{
    Address, Diagnostic, Failure,
    event::{Event, Observer},
    plan::Verb,
    provider::{Call, Outcome, Settled},
    state::{Entry, Intent, Locked, Mutation, Status, StoreError},
};
use jiff::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot find out what became of an interrupted {verb} of {address}")]
    Provider {
        address: Box<Address>,
        verb: &'static str,
        #[source]
        source: Failure,
    },
    /// Someone has to decide.
    #[error("an interrupted create has more than one possible result")]
    Ambiguous(Box<Diagnostic>),
}

/// Settles every open intent of a locked scope and records the outcome.
///
/// A create is looked up by its operation id: found, it is recorded as created; absent, it counts as not done. Every
/// other call can be repeated safely, so its intent is closed and the next refresh tells what is true.
pub async fn settle(registry: &Registry, locked: &mut dyn Locked, observer: &dyn Observer) -> Result<(), Unsettled> {
    for intent in locked.snapshot().open.clone() {
        let entry = match intent.verb {
            Verb::Create | Verb::CreateBeside { .. } => settle_create(registry, locked, &intent, observer).await?,
            _ => closed(&intent, Vec::new(), Some("interrupted: its result was never recorded")),
        };
        locked.append(&[entry])?;
    }
    Ok(())
}

async fn settle_create(
    registry: &Registry,
    locked: &dyn Locked,
    intent: &Intent,
    observer: &dyn Observer,
) -> Result<Entry, Unsettled> {
    let record = locked.snapshot().records.get(&intent.address).cloned();
    if record.as_ref().is_some_and(|r| r.operation == intent.operation) {
        return Ok(closed(intent, Vec::new(), None));
    }
    let call = Call {
        record: record.clone(),
        batch: intent.batch.clone(),
        ..Call::new(intent.operation.clone(), intent.address.clone(), intent.attributes.clone())
    };
    let failed =
        |source| Unsettled::Provider { address: Box::new(intent.address.clone()), verb: intent.verb.as_str(), source };
    let provider = registry.get(&intent.provider).ok_or_else(|| {
        failed(crate::worker::bug(
            "settle an interrupted call",
            format!("no provider `{}` in this binary", intent.provider),
        ))
    })?;
    let settled = provider.settle(&call).await.map_err(failed)?;
    let say = |how| {
        observer.event(Event::Settled { address: intent.address.clone(), operation: intent.operation.clone(), how });
    };
    match settled {
        Settled::Found(outcome) => {
            say("found");
            Ok(closed(intent, vec![found(registry, intent, record.as_deref(), &outcome)], None))
        }
        Settled::Absent => {
            say("absent");
            Ok(closed(intent, Vec::new(), Some("interrupted before it had an effect")))
        }
        Settled::Ambiguous(candidates) => {
            say("ambiguous");
            Err(Unsettled::Ambiguous(Box::new(
                Diagnostic::error("ambiguous-result", "an interrupted create has more than one possible result")
                    .detail(format!("`{}` may be any of: {}", intent.address, candidates.join(", ")))
                    .about(&intent.address)
                    .hint("remove all but one of them, then run the same command again"),
            )))
        }
    }
}

fn found(
    registry: &Registry,
    intent: &Intent,
    old: Option<&cloudtik_core::state::Record>,
    outcome: &Outcome,
) -> Mutation {
    let schema = registry.kinds().get(&intent.provider, intent.address.kind()).map_or(1, |k| k.version);
    let mut record = record_of(&intent.address, &intent.provider, outcome, schema);
    record.attributes = intent.attributes.clone();
    record.dependencies = intent.dependencies.clone();
    record.lifecycle = intent.lifecycle.clone();
    record.operation = intent.operation.clone();
    record.status = Status::Created;
    if let Some(old) = old {
        record.deposed = old.deposed.clone();
        if let Verb::CreateBeside { key } = &intent.verb {
            crate::execute::depose(&mut record, key, old);
        }
    }
    Mutation::Put(Box::new(record))
}

fn closed(intent: &Intent, mutations: Vec<Mutation>, failure: Option<&str>) -> Entry {
    Entry::Result {
        operation: intent.operation.clone(),
        mutations,
        failure: failure.map(String::from),
        at: Timestamp::now(),
    }
}
