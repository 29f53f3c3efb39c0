//! One operation's calls to its provider: the call itself with retries, and the wait for readiness.

use cloudtik_core::{
    Address, Attrs, Effect, Failure, FailureKind, Retry,
    event::Event,
    plan::{OperationId, Verb},
    provider::{Call, Outcome, Provider, Settled},
    state::Record,
};
use futures::future::poll_immediate;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a worker tells the dispatcher.
pub(crate) enum Report {
    Event(Event),
    /// The object exists; readiness is awaited. The dispatcher records it before anything depends on it.
    Created {
        at: usize,
        outcome: Outcome,
    },
    Done {
        at: usize,
        outcome: Option<Outcome>,
        ready: Option<Attrs>,
    },
    Failed {
        at: usize,
        failure: Failure,
    },
}

/// One operation to carry out.
pub(crate) struct Work {
    pub at: usize,
    pub verb: Verb,
    pub call: Call,
    pub provider: Arc<dyn Provider>,
    /// The record that the object will have, made from what the call returned.
    pub record: Box<dyn Fn(&Outcome) -> Record + Send + Sync>,
}

/// Carries one operation out and reports. Never panics on a provider's failure.
pub(crate) async fn work(work: Work, reports: UnboundedSender<Report>) {
    let at = work.at;
    let result = run(&work, &reports).await;
    let report = match result {
        Ok((outcome, ready)) => Report::Done { at, outcome, ready },
        Err(failure) => Report::Failed { at, failure },
    };
    // Nobody listens any more when the run was abandoned.
    drop(reports.send(report));
}

type Done = (Option<Outcome>, Option<Attrs>);

async fn run(work: &Work, reports: &UnboundedSender<Report>) -> Result<Done, Failure> {
    let provider = &*work.provider;
    match &work.verb {
        Verb::Create | Verb::CreateBeside { .. } => {
            let outcome = retried(work, reports, || provider.create(&work.call)).await?;
            ready(work, outcome, reports).await
        }
        Verb::Update => {
            let outcome = retried(work, reports, || provider.update(&work.call)).await?;
            ready(work, outcome, reports).await
        }
        Verb::AwaitReady => Ok((None, Some(retried(work, reports, || provider.ready(&work.call)).await?))),
        Verb::Delete | Verb::DeleteDeposed { .. } => {
            retried(work, reports, || provider.delete(&work.call)).await?;
            Ok((None, None))
        }
        Verb::Adopt | Verb::Forget => Ok((None, None)),
    }
}

/// Waits for readiness; reports the object's existence first unless it is ready at once.
async fn ready(work: &Work, outcome: Outcome, reports: &UnboundedSender<Report>) -> Result<Done, Failure> {
    let call = Call { record: Some(Arc::new((work.record)(&outcome))), ..work.call.clone() };
    let mut first = pin!(work.provider.ready(&call));
    if let Some(result) = poll_immediate(&mut first).await {
        if let Ok(outputs) = result {
            return Ok((Some(outcome), Some(outputs)));
        }
        drop(reports.send(Report::Created { at: work.at, outcome: outcome.clone() }));
        return Ok((None, Some(retried_after(work, reports, result, || work.provider.ready(&call)).await?)));
    }
    drop(reports.send(Report::Created { at: work.at, outcome: outcome.clone() }));
    let result = first.await;
    Ok((None, Some(retried_after(work, reports, result, || work.provider.ready(&call)).await?)))
}

async fn retried<T, F>(
    work: &Work,
    reports: &UnboundedSender<Report>,
    mut call: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
    T: FromOutcome,
{
    let first = call().await;
    retried_after(work, reports, first, call).await
}

/// Repeats a call as its failures allow. An effect that is not known is looked up before anything is repeated.
async fn retried_after<T, F>(
    work: &Work,
    reports: &UnboundedSender<Report>,
    mut result: Result<T, Failure>,
    mut call: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
    T: FromOutcome,
{
    for attempt in 1..TRIES {
        let failure = match result {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        if failure.effect == Effect::Unknown && matches!(work.verb, Verb::Create | Verb::CreateBeside { .. }) {
            match work.provider.settle(&work.call).await {
                Ok(Settled::Found(outcome)) => match T::from_outcome(outcome) {
                    Some(value) => return Ok(value),
                    None => return Err(failure),
                },
                Ok(Settled::Absent) => {}
                Ok(Settled::Ambiguous(candidates)) => return Err(ambiguous(failure, &candidates)),
                Err(_) => return Err(failure),
            }
        }
        let pause = match failure.retry {
            Retry::Never => return Err(failure),
            Retry::After(pause) => pause,
            Retry::Backoff => (FIRST_PAUSE * 2u32.pow(attempt - 1)).min(LONGEST_PAUSE),
        };
        drop(reports.send(Report::Event(Event::OperationRetrying {
            operation: work.call.operation.clone(),
            address: work.call.address.clone(),
            message: failure.to_string(),
            after_ms: pause.as_millis() as u64,
        })));
        tokio::time::sleep(pause).await;
        result = call().await;
    }
    result
}

fn ambiguous(failure: Failure, candidates: &[String]) -> Failure {
    let mut failure = failure;
    failure.message =
        format!("{}; more than one object could be its result: {}", failure.message, candidates.join(", "));
    failure
}

/// Whether a call's result can be read off an object that a lookup found.
trait FromOutcome: Sized {
    fn from_outcome(outcome: Outcome) -> Option<Self>;
}

impl FromOutcome for Outcome {
    fn from_outcome(outcome: Outcome) -> Option<Self> {
        Some(outcome)
    }
}

impl FromOutcome for Attrs {
    fn from_outcome(_: Outcome) -> Option<Self> {
        None
    }
}

impl FromOutcome for () {
    fn from_outcome(_: Outcome) -> Option<Self> {
        None
    }
}

/// A progress callback for a call, which turns messages into events.
pub(crate) fn progress(
    reports: &UnboundedSender<Report>,
    operation: &OperationId,
    address: &Address,
) -> Arc<dyn Fn(&str) + Send + Sync> {
    let (reports, operation, address) = (reports.clone(), operation.clone(), address.clone());
    let started = Instant::now();
    Arc::new(move |message| {
        drop(reports.send(Report::Event(Event::OperationProgress {
            operation: operation.clone(),
            address: address.clone(),
            message: message.to_string(),
            elapsed_ms: started.elapsed().as_millis() as u64,
        })));
    })
}

/// A failure of ours, not of the world's.
pub(crate) fn bug(operation: impl Into<String>, message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Bug, operation, message)
}
