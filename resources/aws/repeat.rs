//! When a call is made again: the only place that decides, the SDK's own retries are off.
//!
//! A read is repeated after throttling, server errors and lost answers. A change is repeated after throttling (the service
//! did nothing) and when no connection was made; everything else goes up, because what became of it is not known here.

use crate::{
    api::{ApiError, Cause},
    error::is_throttle,
    rate::Rates,
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Nature {
    Read,
    /// `0` or, where they are counted, the number of instances.
    Change(usize),
}

/// Throttled calls wait for their bucket too: with this many the longest silence is about two minutes.
const THROTTLED: u32 = 10;
/// Others have a fault of seconds: a service that restarts, a router that reboots.
const FAILED: u32 = 5;

/// Calls `ask` until it is answered, or an error is for the caller.
pub(crate) async fn run<T, F>(
    rates: &Rates,
    action: &'static str,
    nature: Nature,
    mut ask: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let count = if let Nature::Change(count) = nature { count } else { 0 };
    let (mut throttled, mut failed) = (0, 0);
    loop {
        rates.take(action, count).await;
        let error = match ask().await {
            Ok(answer) => {
                rates.succeeded(action);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let pause = if is_throttle(error.code()) {
            rates.throttled(action);
            throttled += 1;
            (throttled < THROTTLED).then(|| backoff(throttled, Duration::from_millis(500), Duration::from_secs(20)))
        } else if passes(&error.cause, nature) {
            failed += 1;
            (failed < FAILED).then(|| backoff(failed, Duration::from_millis(200), Duration::from_secs(5)))
        } else {
            None
        };
        let Some(pause) = pause else { return Err(error) };
        tokio::time::sleep(pause).await;
    }
}

fn passes(cause: &Cause, nature: Nature) -> bool {
    match (cause, nature) {
        (Cause::Transport { sent: false, .. }, _) => true,
        (Cause::Transport { .. }, Nature::Read) => true,
        (Cause::Service { status, .. }, Nature::Read) => *status >= 500,
        _ => false,
    }
}

/// Between half and all of `first`, doubled every time, up to `cap`.
fn backoff(attempt: u32, first: Duration, cap: Duration) -> Duration {
    let whole = first.saturating_mul(1 << (attempt - 1).min(16)).min(cap);
    whole.mul_f64(0.5 + 0.5 * random())
}

/// From 0 to 1: the standard library's hash keys are random, which is enough to keep two programs out of step.
fn random() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn service(code: &str, status: u16) -> Cause {
        Cause::Service { code: code.into(), message: "no".into(), status }
    }

    fn lost(sent: bool) -> Cause {
        Cause::Transport { message: "reset".into(), sent }
    }

    /// Whether the call came through when the service fails like this twice and then answers.
    async fn survives(cause: Cause, nature: Nature) -> bool {
        let failures = RefCell::new(vec![cause.clone(), cause]);
        let ask = || async {
            match failures.borrow_mut().pop() {
                Some(cause) => Err(ApiError { action: "CreateVpc".into(), cause, request_id: None }),
                None => Ok(()),
            }
        };
        run(&Rates::default(), "CreateVpc", nature, ask).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_repeated_only_when_it_was_surely_not_done() {
        let change = Nature::Change(0);
        for (cause, read, changed) in [
            (service("RequestLimitExceeded", 503), true, true),
            (service("SlowDown", 503), true, true),
            (lost(false), true, true),
            (lost(true), true, false),
            (service("InternalError", 500), true, false),
            (service("", 503), true, false),
            (service("InvalidParameterValue", 400), false, false),
            (Cause::Credentials("none".into()), false, false),
        ] {
            assert_eq!(survives(cause.clone(), Nature::Read).await, read, "read: {cause:?}");
            assert_eq!(survives(cause.clone(), change).await, changed, "change: {cause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_some_time() {
        for cause in [service("Throttling", 400), lost(false)] {
            let start = tokio::time::Instant::now();
            let ask = || async {
                Err::<(), _>(ApiError { action: "CreateVpc".into(), cause: cause.clone(), request_id: None })
            };
            let end = run(&Rates::default(), "CreateVpc", Nature::Change(0), ask).await;
            assert_eq!(end.unwrap_err().cause, cause);
            assert!(start.elapsed() < Duration::from_secs(200), "{:?}", start.elapsed());
        }
    }
}
