//! How often a call is let in: a token bucket, as services publish them.

use cloudtik_core::provider::Rate;
use std::time::Duration;

pub(crate) struct Bucket {
    rate: Rate,
    /// Below zero while calls wait for their turn.
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub fn new(rate: Rate, now: Duration) -> Self {
        Bucket { rate, tokens: rate.size, at: now }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.per_second).min(self.rate.size);
        self.at = now;
    }

    /// Whether one more may go now.
    pub fn take(&mut self, now: Duration) -> bool {
        self.fill(now);
        // Less than a thousandth is rounding.
        let enough = self.tokens >= 0.999;
        self.tokens -= f64::from(enough);
        enough
    }

    /// Takes a place in the line; how long until its turn, in whole milliseconds.
    pub fn queue(&mut self, now: Duration) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        let missing = (-self.tokens).max(0.0);
        Duration::from_millis((missing / self.rate.per_second * 1000.0).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { name: "run", size: 2.0, per_second: 0.5 };

    #[test]
    fn what_is_over_the_burst_is_refused_or_waits_its_turn() {
        let at = Duration::from_secs;
        let mut refusing = Bucket::new(RATE, at(0));
        assert_eq!([0, 0, 0, 1, 2, 2].map(|s| refusing.take(at(s))), [true, true, false, false, true, false]);
        let mut queueing = Bucket::new(RATE, at(0));
        assert_eq!([0, 0, 0, 0, 2].map(|s| queueing.queue(at(s))), [0, 0, 2, 4, 4].map(at));
    }
}
