//! The calls of one operation, or of several that go in one request: the call itself with retries, and the wait for
//! readiness.

use crate::{
    execute::Interrupt,
    patience::{Patience, look_again},
};
use cloudtik_core::{
    Address, Attrs, Effect, Failure, FailureKind, Retry,
    event::Event,
    plan::{OperationId, Verb},
    provider::{Call, Outcome, Provider, Settled},
    state::Record,
};
use futures::future::poll_immediate;
use std::{convert::identity, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::Instant,
};

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
    /// A member of a batch that failed and may be tried again: on its own, under an intent that
    /// says so.
    Alone {
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
    /// How long after the call its object may still be invisible.
    pub window: Duration,
    /// The record that the object will have, made from what the call returned.
    pub record: Box<dyn Fn(&Outcome) -> Record + Send + Sync>,
    pub dispatcher: Dispatcher,
}

/// A provider that panics takes its task along, and nobody else would tell the dispatcher, which waits for each of them. What
/// the panic said stays where it was said: it may hold secrets.
impl Drop for Work {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = bug(doing(self), "the provider stopped in the middle of it, by a defect of its own")
                .effect(Effect::Unknown)
                .hint("run the same command again: it finds out what became of it. Please report the defect");
            self.dispatcher.send(Report::Failed { at: self.at, failure });
        }
    }
}

fn doing(work: &Work) -> String {
    format!("{} {}", work.verb.as_str(), work.call.address.short())
}

/// The way back to the dispatcher, and what it was told by the user.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub reports: UnboundedSender<Report>,
    pub interrupt: watch::Receiver<Interrupt>,
}

impl Dispatcher {
    fn send(&self, report: Report) {
        // Nobody listens any more when the run was abandoned.
        drop(self.reports.send(report));
    }

    /// Waits; `false` when the run was interrupted meanwhile.
    async fn sleep(&self, pause: Duration) -> bool {
        let mut interrupt = self.interrupt.clone();
        let asked = async {
            if interrupt.wait_for(|asked| *asked != Interrupt::No).await.is_err() {
                // Nobody can interrupt any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = asked => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Carries one operation out and reports.
pub(crate) async fn work(work: Work) {
    let result = run(&work, None).await;
    report(&work, result);
}

/// The same for one whose call has just failed as part of a batch.
pub(crate) async fn work_again(work: Work, failure: Failure) {
    let result = run(&work, Some(failure)).await;
    report(&work, result);
}

/// Carries several creates, or several deletes, out in one request and reports on each. `members` are in address order,
/// their calls know their places.
pub(crate) async fn work_together(members: Vec<Work>) {
    let Some(first) = members.first() else { return };
    let (provider, dispatcher) = (first.provider.clone(), first.dispatcher.clone());
    let removes = matches!(first.verb, Verb::Delete | Verb::DeleteDeposed { .. });
    let calls: Vec<Call> = members.iter().map(|work| work.call.clone()).collect();
    let mut patience = Patience::with(&first.call.operation);
    loop {
        let results: Vec<Result<Option<Outcome>, Failure>> = match removes {
            true => provider.delete_many(&calls).await.into_iter().map(|result| result.map(|()| None)).collect(),
            false => provider.create_many(&calls).await.into_iter().map(|result| result.map(Some)).collect(),
        };
        // A request that was refused as a whole is made again as a whole: its parts would be more requests than it was.
        if let Some(failure) = refused(&results, &members)
            && let Some(pause) = patience.pause(failure)
        {
            for work in &members {
                retrying(work, failure, pause);
            }
            if dispatcher.sleep(pause).await {
                continue;
            }
        }
        let mut results = results.into_iter();
        for work in members {
            let result = results.next().unwrap_or_else(|| Err(unanswered(&work)));
            tokio::spawn(member(work, result));
        }
        return;
    }
}

/// Why a whole request was refused, if it was, and may be made again.
fn refused<'a, T>(results: &'a [Result<T, Failure>], members: &[Work]) -> Option<&'a Failure> {
    let again = |(result, work): (&Result<T, Failure>, &Work)| matches!(result, Err(failure) if repeatable(&work.verb, failure));
    let all = results.len() == members.len() && results.iter().zip(members).all(again);
    let same = |pair: &[Result<T, Failure>]| matches!(pair, [Err(a), Err(b)] if a.kind == b.kind);
    results.first().filter(|_| all && results.windows(2).all(same))?.as_ref().err()
}

fn unanswered(work: &Work) -> Failure {
    bug(doing(work), "the provider did not answer for every call of a batch").effect(Effect::Unknown)
}

/// Goes on with one member of a batch after its request.
async fn member(work: Work, mut result: Result<Option<Outcome>, Failure>) {
    if let Err(failure) = &result
        && failure.effect == Effect::Unknown
        && makes(&work.verb)
    {
        result = look_up(&work, failure.clone()).await.map(Some);
    }
    let result = match result {
        Ok(Some(outcome)) => ready(&work, outcome).await,
        Ok(None) => Ok((None, None)),
        Err(failure) if failure.retry != Retry::Never && repeatable(&work.verb, &failure) => {
            return work.dispatcher.send(Report::Alone { at: work.at, failure });
        }
        Err(failure) => Err(failure),
    };
    report(&work, result);
}

/// Whether a call may be made again without a look at what it left.
fn repeatable(verb: &Verb, failure: &Failure) -> bool {
    failure.effect != Effect::Unknown || !makes(verb)
}

fn makes(verb: &Verb) -> bool {
    matches!(verb, Verb::Create | Verb::CreateBeside { .. })
}

type Done = (Option<Outcome>, Option<Attrs>);

fn report(work: &Work, result: Result<Done, Failure>) {
    let at = work.at;
    work.dispatcher.send(match result {
        Ok((outcome, ready)) => Report::Done { at, outcome, ready },
        Err(failure) => Report::Failed { at, failure },
    });
}

/// `failed`: what the first try, which was made elsewhere, ended with.
async fn run(work: &Work, failed: Option<Failure>) -> Result<Done, Failure> {
    let provider = &*work.provider;
    match &work.verb {
        Verb::Create | Verb::CreateBeside { .. } => {
            let outcome = retried(work, failed, Some(identity), || provider.create(&work.call)).await?;
            ready(work, outcome).await
        }
        Verb::Update => {
            let outcome = retried(work, failed, None, || provider.update(&work.call)).await?;
            ready(work, outcome).await
        }
        Verb::AwaitReady => Ok((None, Some(retried(work, failed, None, || provider.ready(&work.call)).await?))),
        Verb::Delete | Verb::DeleteDeposed { .. } => {
            retried(work, failed, None, || provider.delete(&work.call)).await?;
            Ok((None, None))
        }
        Verb::Adopt | Verb::Forget => Ok((None, None)),
    }
}

/// Waits for readiness; reports the object's existence first unless it is ready at once.
async fn ready(work: &Work, outcome: Outcome) -> Result<Done, Failure> {
    let call = Call { record: Some(Arc::new((work.record)(&outcome))), ..work.call.clone() };
    let mut first = pin!(work.provider.ready(&call));
    let at_once = poll_immediate(&mut first).await;
    if let Some(Ok(outputs)) = at_once {
        return Ok((Some(outcome), Some(outputs)));
    }
    work.dispatcher.send(Report::Created { at: work.at, outcome });
    let result = match at_once {
        Some(result) => result,
        None => first.await,
    };
    Ok((None, Some(retried_after(work, result, None, || work.provider.ready(&call)).await?)))
}

/// How a call's result is read off an object that a lookup finds; `None` for calls that make nothing.
type Found<T> = Option<fn(Outcome) -> T>;

async fn retried<T, F>(
    work: &Work,
    failed: Option<Failure>,
    found: Found<T>,
    mut call: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let first = match failed {
        Some(failure) => Err(failure),
        None => call().await,
    };
    retried_after(work, first, found, call).await
}

/// Repeats a call as its failures and the user allow. An effect that is not known is looked up before anything is repeated.
async fn retried_after<T, F>(
    work: &Work,
    mut result: Result<T, Failure>,
    found: Found<T>,
    mut call: impl FnMut() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut patience = Patience::with(&work.call.operation);
    loop {
        let mut failure = match result {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        if failure.effect == Effect::Unknown
            && let Some(found) = found
        {
            failure = match look_up(work, failure).await {
                Ok(outcome) => return Ok(found(outcome)),
                Err(failure) if failure.effect == Effect::Unknown => return Err(failure),
                Err(failure) => failure,
            };
        }
        let Some(pause) = patience.pause(&failure) else { return Err(failure) };
        retrying(work, &failure, pause);
        if !work.dispatcher.sleep(pause).await {
            return Err(failure);
        }
        result = call().await;
    }
}

fn retrying(work: &Work, failure: &Failure, pause: Duration) {
    work.dispatcher.send(Report::Event(Event::OperationRetrying {
        operation: work.call.operation.clone(),
        address: work.call.address.clone(),
        message: failure.to_string(),
        after_ms: pause.as_millis() as u64,
    }));
}

/// What a create that has just failed with an unknown effect made.
///
/// Errors: the failure; its effect is `None` when nothing was made, which is believed only after the kind's window, and
/// stays `Unknown` when that could not be found out. The window counts from now: for all that is known, the object was
/// made at the last moment at which an answer was waited for.
async fn look_up(work: &Work, mut failure: Failure) -> Result<Outcome, Failure> {
    let failed = Instant::now();
    let mut patience = Patience::with(&work.call.operation);
    let mut looks = 0;
    loop {
        let pause = match work.provider.settle(&work.call).await {
            Ok(Settled::Found(outcome)) => return Ok(outcome),
            Ok(Settled::Ambiguous(candidates)) => return Err(ambiguous(failure, &candidates)),
            Ok(Settled::Absent) => {
                let left = work.window.saturating_sub(failed.elapsed());
                if left.is_zero() {
                    failure.effect = Effect::None;
                    return Err(failure);
                }
                work.call.say(format!("no answer came; not visible for another {} s at most", left.as_secs() + 1));
                looks += 1;
                left.min(look_again(looks))
            }
            Err(other) => match patience.pause(&other) {
                Some(pause) => pause,
                None => return Err(failure),
            },
        };
        if !work.dispatcher.sleep(pause).await {
            return Err(failure);
        }
    }
}

fn ambiguous(failure: Failure, candidates: &[String]) -> Failure {
    let mut failure = failure;
    failure.message =
        format!("{}; more than one object could be its result: {}", failure.message, candidates.join(", "));
    failure.retry = Retry::Never;
    failure
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
