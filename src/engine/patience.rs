//! How long a failing call is tried again: by the time since its first failure, with pauses that grow and spread.

use cloudtik_core::{Failure, Retry, plan::OperationId};
use std::time::Duration;
use tokio::time::Instant;

/// No call is tried again later than this after its first failure. IAM's changes take up to a minute to be seen
/// everywhere, and a throttled account needs some more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The patience with one call. Pauses depend on the operation and the attempt alone: alike calls that are refused
/// together do not come back together, and a run can be repeated.
pub(crate) struct Patience {
    seed: u64,
    attempt: u32,
    since: Option<Instant>,
}

impl Patience {
    pub fn with(operation: &OperationId) -> Self {
        let seed = operation.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Patience { seed, attempt: 0, since: None }
    }

    /// How long to wait before the next try; `None`: give up. At least as long as the failure asks for.
    pub fn pause(&mut self, failure: &Failure) -> Option<Duration> {
        let asked = match failure.retry {
            Retry::Never => return None,
            Retry::After(pause) => Some(pause),
            Retry::Backoff => None,
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            return None;
        }
        let grown = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(self.attempt)).min(LONGEST_PAUSE);
        self.attempt += 1;
        Some(match asked {
            Some(pause) => pause + pause.mul_f64(self.fraction() / 10.0),
            None => grown.mul_f64(0.5 + self.fraction() / 2.0),
        })
    }

    /// From 0 to 1, another one for each attempt.
    fn fraction(&self) -> f64 {
        let mut x = self.seed ^ u64::from(self.attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The pauses between looks for an object that may not be visible yet.
pub(crate) fn look_again(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2u32.saturating_pow(attempt)).min(LONGEST_PAUSE / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::FailureKind;

    fn failure(retry: Retry) -> Failure {
        Failure::new(FailureKind::Throttled, "create vm.a", "slow down").retry(retry)
    }

    /// All pauses until it gives up.
    async fn pauses(operation: &str, retry: Retry) -> Vec<Duration> {
        let mut patience = Patience::with(&OperationId(operation.into()));
        let mut pauses = Vec::new();
        while let Some(pause) = patience.pause(&failure(retry)) {
            tokio::time::sleep(pause).await;
            pauses.push(pause);
        }
        pauses
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_by_time_and_is_the_same_for_the_same_operation_only() {
        let (one, again, other) =
            (pauses("a", Retry::Backoff).await, pauses("a", Retry::Backoff).await, pauses("b", Retry::Backoff).await);
        assert_eq!(one, again);
        assert_ne!(one, other);
        let total: Duration = one.iter().sum();
        assert!((PATIENCE..PATIENCE + LONGEST_PAUSE).contains(&total), "{total:?}");
        assert!(one.iter().all(|pause| *pause <= LONGEST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_comes_back_earlier_than_asked() {
        let asked = Duration::from_secs(30);
        let pauses = pauses("a", Retry::After(asked)).await;
        assert_eq!(pauses.len(), 4);
        assert!(pauses.iter().all(|pause| (asked..asked * 11 / 10).contains(pause)), "{pauses:?}");
        assert_eq!(Patience::with(&OperationId("a".into())).pause(&failure(Retry::Never)), None);
    }
}
