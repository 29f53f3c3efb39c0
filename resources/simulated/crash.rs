//! Where a life ends: boundaries are counted, and the program is killed at the one that was chosen.

use tokio::sync::Notify;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Count {
    passed: u64,
    ends_at: Option<u64>,
    killed: bool,
}

#[derive(Default)]
pub(crate) struct Crash {
    count: Mutex<Count>,
    killed: Notify,
}

impl Crash {
    fn lock(&self) -> MutexGuard<'_, Count> {
        // A count is whole at every point.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new life, which ends at this boundary, counted from 0, or by itself.
    pub fn start(&self, ends_at: Option<u64>) {
        *self.lock() = Count { ends_at, ..Count::default() };
    }

    /// Passes a boundary; `true` when the life ends, or has ended, here.
    pub fn passes(&self) -> bool {
        let mut count = self.lock();
        count.killed |= count.ends_at.is_some_and(|end| count.passed >= end);
        count.passed += 1;
        if count.killed {
            self.killed.notify_one();
        }
        count.killed
    }

    pub fn passed(&self) -> u64 {
        self.lock().passed
    }

    pub fn is_killed(&self) -> bool {
        self.lock().killed
    }

    pub async fn killed(&self) {
        while !self.is_killed() {
            self.killed.notified().await;
        }
    }

    /// Passes a boundary, or stays there for ever.
    pub async fn boundary(&self) {
        if self.passes() {
            std::future::pending::<()>().await;
        }
    }
}
