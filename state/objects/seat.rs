//! The owner's place at a head: every write of it, appends and signs of life alike, goes through here, one at a time.

use crate::{
    bucket::{Bucket, Found, Swap},
    head::{Head, random},
};
use cloudtik_core::{
    Scope,
    state::{Lease, Progress, StoreError},
};
use jiff::Timestamp;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// An owner gives so many signs of life in the time after which it may be succeeded.
const BEATS: u32 = 6;
/// Progress alone is written so often at most; other writes carry it along.
const TOLD: Duration = Duration::from_secs(5);
const TRIES: usize = 5;

#[derive(Debug)]
pub(crate) struct Seat {
    bucket: Bucket,
    fence: u64,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    now: Found,
    /// Whether `now` is what is there: not after a write whose end is unknown.
    sure: bool,
    written: Instant,
    told: Option<Instant>,
    progress: Option<Progress>,
}

impl Seat {
    pub fn new(bucket: Bucket, now: Found) -> Seat {
        let fence = now.head.fence;
        let held = Held { now, sure: true, written: Instant::now(), told: None, progress: None };
        Seat { bucket, fence, held: Mutex::new(held) }
    }

    pub fn fence(&self) -> u64 {
        self.fence
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A head is replaced as a whole, and one that is not sure says so.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head as it is now.
    pub fn head(&self) -> Result<Head, StoreError> {
        let mut held = self.held();
        self.look(&mut held)?;
        Ok(held.now.head.clone())
    }

    /// Finds out how a write without an answer ended.
    fn look(&self, held: &mut Held) -> Result<(), StoreError> {
        if !held.sure {
            held.now = self.bucket.head(&held.now.head.scope)?;
            self.ours(&held.now.head)?;
            held.sure = true;
        }
        Ok(())
    }

    fn ours(&self, head: &Head) -> Result<(), StoreError> {
        match head.fence == self.fence && head.lease.is_some() {
            true => Ok(()),
            false => Err(StoreError::Fenced { scope: head.scope.clone(), by: head.lease.clone().map(Box::new) }),
        }
    }

    /// Writes the next head on top of one with this serial; `None` when it has another one by now, since an earlier write came
    /// through after all.
    pub fn write(&self, serial: Option<u64>, change: impl Fn(&mut Head)) -> Result<Option<()>, StoreError> {
        self.write_on(&mut self.held(), serial, change)
    }

    fn write_on(
        &self,
        held: &mut Held,
        serial: Option<u64>,
        change: impl Fn(&mut Head),
    ) -> Result<Option<()>, StoreError> {
        for _ in 0..TRIES {
            self.look(held)?;
            if serial.is_some_and(|serial| serial != held.now.head.serial) {
                return Ok(None);
            }
            let mut next = held.now.head.clone();
            next.write = random()?;
            let progress = held.progress.take();
            if let Some(lease) = &mut next.lease {
                (lease.beats, lease.beat) = (lease.beats + 1, Timestamp::now());
                lease.progress = progress.or(lease.progress);
            }
            change(&mut next);
            held.sure = false;
            match self.bucket.swap(&held.now, next) {
                Ok(Swap::Won(now)) => {
                    (held.now, held.sure, held.written) = (now, true, Instant::now());
                    held.told = progress.map(|_| held.written).or(held.told);
                    return Ok(Some(()));
                }
                // Somebody else's; or an earlier one of our own, on which the next try builds.
                Ok(Swap::Lost(now)) => {
                    self.ours(&now.head)?;
                    (held.now, held.sure, held.progress) = (now, true, progress);
                }
                Err(error) => {
                    held.progress = progress;
                    return Err(error);
                }
            }
        }
        let scope = &held.now.head.scope;
        Err(StoreError::Other {
            operation: "write",
            place: self.bucket.place_of(&crate::layout::head(scope)),
            detail: "it changes all the time although this run holds its lock: this is a bug in cloudtik".into(),
        })
    }

    /// Tells how far the owner has come, now or with the next write. What cannot be told is not worth a failure.
    pub fn progress(&self, progress: Progress) {
        let mut held = self.held();
        held.progress = Some(progress);
        if held.told.is_none_or(|told| told.elapsed() > TOLD) {
            let _ = self.write_on(&mut held, None, |_| {});
        }
    }

    /// Gives a sign of life, unless a write was one not long ago. `false` when the seat is lost.
    fn beat(&self, pause: Duration) -> bool {
        let mut held = self.held();
        if held.sure && held.written.elapsed() < pause {
            return true;
        }
        !matches!(self.write_on(&mut held, None, |_| {}), Err(StoreError::Fenced { .. }))
    }
}

/// Signs of life from a thread of their own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Beats(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Beats {
    pub fn start(seat: Arc<Seat>, silence: Duration) -> Beats {
        let pause = silence / BEATS;
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                // One that failed is followed by the next; a service that stays away ends the lease, as it should.
                if !seat.beat(pause) {
                    return;
                }
            }
        });
        Beats(Some((stop, thread)))
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // One that panicked gives no more signs, which is what is wanted.
            let _ = thread.join();
        }
    }
}

/// A lease at its start.
pub(crate) fn lease(holder: &cloudtik_core::state::Holder, fence: u64, silence: Duration) -> Lease {
    let silence_s = silence.as_secs();
    Lease { holder: holder.clone(), fence, beats: 0, beat: Timestamp::now(), silence_s, progress: None }
}

pub(crate) fn locked(scope: &Scope, lease: Lease) -> StoreError {
    StoreError::Locked { scope: scope.clone(), lease: Box::new(lease) }
}
