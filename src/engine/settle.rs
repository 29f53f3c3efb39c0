//! Settles intents that an interrupted run left open: each ends as recorded, or as never happened, before anything else.

use crate::{Registry, execute::record_of, patience::look_again};
use cloudtik_core::{
    Address, Diagnostic, Failure,
    event::{Event, Observer},
    plan::Verb,
    provider::{Call, Outcome, Provider, Settled},
    state::{Entry, Intent, Locked, Mutation, Record, Status, StoreError},
};
use futures::StreamExt;
use std::sync::Arc;
use tokio::time::Instant;

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

/// How many lookups run at once.
const LOOKUPS: usize = 16;

/// Settles every open intent of a locked scope and records the outcome.
///
/// A create is looked up by its operation id, or by its place in its batch: found, it is recorded as created; absent, it
/// counts as not done, which is believed only when the kind's window has passed since the scope was locked. Every other call can be
/// repeated safely, so its intent is closed and the next refresh tells what is true.
///
/// May be dropped at any point: what is settled is recorded one by one.
pub async fn settle(registry: &Registry, locked: &mut dyn Locked, observer: &dyn Observer) -> Result<(), Unsettled> {
    let open = locked.snapshot().open.clone();
    let records = locked.snapshot().records.clone();
    let began = Instant::now();
    let mut entries = futures::stream::iter(&open)
        .map(|intent| async {
            match intent.verb {
                Verb::Create | Verb::CreateBeside { .. } => {
                    let record = records.get(&intent.address).cloned();
                    settle_create(registry, record, intent, began, observer).await
                }
                _ => Ok(closed(registry, intent, Vec::new(), Some("interrupted: its result was never recorded"))),
            }
        })
        .buffered(LOOKUPS);
    while let Some(entry) = entries.next().await {
        locked.append(&[entry?])?;
    }
    Ok(())
}

async fn settle_create(
    registry: &Registry,
    record: Option<Arc<Record>>,
    intent: &Intent,
    began: Instant,
    observer: &dyn Observer,
) -> Result<Entry, Unsettled> {
    if record.as_ref().is_some_and(|r| r.operation == intent.operation) {
        return Ok(closed(registry, intent, Vec::new(), None));
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
    // The call may have been sent long after its intent, when it waited for its turn at a service's rate; but not after
    // the lock was taken.
    let certain = began + registry.window(&intent.provider, intent.address.kind());
    let settled = look_up(&**provider, &call, certain, observer).await.map_err(failed)?;
    let say = |how| {
        observer.event(Event::Settled { address: intent.address.clone(), operation: intent.operation.clone(), how });
    };
    match settled {
        Settled::Found(outcome) => {
            say("found");
            Ok(closed(registry, intent, vec![found(registry, intent, record.as_deref(), &outcome)], None))
        }
        Settled::Absent => {
            say("absent");
            Ok(closed(registry, intent, Vec::new(), Some("interrupted before it had an effect")))
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

async fn look_up(
    provider: &dyn Provider,
    call: &Call,
    certain: Instant,
    observer: &dyn Observer,
) -> Result<Settled, Failure> {
    let mut looks = 0;
    loop {
        let settled = provider.settle(call).await?;
        let left = certain.saturating_duration_since(Instant::now());
        if settled != Settled::Absent || left.is_zero() {
            return Ok(settled);
        }
        if looks == 0 {
            observer.event(Event::Settling {
                address: call.address.clone(),
                operation: call.operation.clone(),
                wait_ms: left.as_millis() as u64,
            });
        }
        tokio::time::sleep(left.min(look_again(looks))).await;
        looks += 1;
    }
}

fn found(registry: &Registry, intent: &Intent, old: Option<&Record>, outcome: &Outcome) -> Mutation {
    let schema = registry.kinds().get(&intent.provider, intent.address.kind()).map_or(1, |k| k.version);
    let mut record = record_of(&intent.address, &intent.provider, outcome, schema);
    record.attributes = intent.attributes.clone();
    record.references = intent.references.clone();
    record.dependencies = intent.dependencies.clone();
    record.lifecycle = intent.lifecycle.clone();
    record.operation = intent.operation.clone();
    record.status = Status::Created;
    record.made = Some(intent.at);
    if let Some(old) = old {
        record.deposed = old.deposed.clone();
        if let Verb::CreateBeside { key } = &intent.verb {
            crate::execute::depose(&mut record, key, old);
        }
    }
    Mutation::Put(Box::new(record))
}

fn closed(registry: &Registry, intent: &Intent, mutations: Vec<Mutation>, failure: Option<&str>) -> Entry {
    Entry::Result {
        operation: intent.operation.clone(),
        mutations,
        failure: failure.map(String::from),
        at: registry.now(),
    }
}
