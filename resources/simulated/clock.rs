//! The world's time: it goes on from life to life, while each life's runtime begins at zero.

use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Clock {
    /// When the present life began, here and on its runtime's clock.
    life: Option<(Duration, Instant)>,
    stopped: Duration,
}

impl Clock {
    pub fn now(&self) -> Duration {
        self.life.map_or(self.stopped, |(at, began)| at + began.elapsed())
    }

    /// A life begins, on the runtime that this is called in.
    pub fn start(&mut self) {
        self.life = Some((self.stopped, Instant::now()));
    }

    pub fn stop(&mut self) {
        self.stopped = self.now();
        self.life = None;
    }

    /// Time passes while nobody lives.
    pub fn skip(&mut self, pause: Duration) {
        self.stopped += pause;
    }
}

/// The world begins at 2000-01-01T00:00:00Z.
pub(crate) fn timestamp(now: Duration) -> Timestamp {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX / 4);
    Timestamp::from_millisecond(946_684_800_000 + millis).unwrap_or(Timestamp::MAX)
}
