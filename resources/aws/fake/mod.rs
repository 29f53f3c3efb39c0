//! AWS in memory: it keeps state, refuses what AWS refuses, and takes the time that AWS takes.
//!
//! Each rule names the page it rests on; where a page does not settle a matter the stricter reading is taken. Time is tokio's:
//! under `tokio::time::pause` hours pass in milliseconds and the clock goes to the earliest waiter, so makespans can be
//! measured. Nothing here looks at what the provider does: it was written from AWS's pages, by another hand than the kinds.

mod buckets;
mod calls;
mod catalog;
mod databases;
mod foreign;
mod front;
mod groups;
mod identity;
mod instances;
mod launch;
mod listing;
mod network;
mod outward;
mod routes;
mod settings;
mod tagging;
#[cfg(test)]
mod tests;
mod text;
mod volumes;
mod world;

pub use foreign::{Existing, Foreign, Picture};
pub use front::{Fault, Logged, What};
pub use settings::{Quotas, Rates, Settings, Times};

use crate::{
    api::{Api, ApiError, Cause},
    provider::{Account, Connect},
};
use async_trait::async_trait;
use front::{Client, Front};
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use world::{Place, World};

/// The account of whoever brings no keys.
pub const ACCOUNT: &str = "111122223333";

/// All of AWS. Clones are the same one.
#[derive(Clone)]
pub struct Fake {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Mutex<Clock>,
    stuck: tokio::sync::Notify,
    world: Mutex<World>,
    front: Mutex<Front>,
}

/// The world's time goes on where it was when another runtime, whose clock starts anew, takes over.
struct Clock {
    since: Instant,
    base: Duration,
    last: Duration,
}

impl Clock {
    fn now(&mut self) -> Duration {
        let now = self.base + self.since.elapsed();
        if now < self.last {
            (self.since, self.base) = (Instant::now(), self.last);
        }
        self.last = self.last.max(now);
        self.last
    }
}

impl Fake {
    pub fn new(settings: Settings) -> Self {
        let (world, front) = (Mutex::new(World::new(settings)), Mutex::default());
        let clock = Clock { since: Instant::now(), base: Duration::ZERO, last: Duration::ZERO };
        Fake { shared: Arc::new(Shared { clock: Mutex::new(clock), stuck: Default::default(), world, front }) }
    }

    /// The client of an account, without a provider.
    pub fn client(&self, account: &Account) -> Arc<dyn Api> {
        Arc::new(Client { fake: self.clone(), place: self.place(account) })
    }

    /// Since the world began, by the clock that pauses pass on.
    pub fn now(&self) -> Duration {
        self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    /// Changes limits, times and rates from now on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.world().settings);
    }

    /// Something goes wrong at a call that comes.
    pub fn fault(&self, fault: Fault) {
        self.front().fault(fault);
    }

    /// Returns when a call got stuck by [`What::Stuck`].
    pub async fn stuck(&self) {
        self.shared.stuck.notified().await;
    }

    pub fn clear_faults(&self) {
        self.front().clear_faults();
    }

    /// Faults that have not struck yet.
    pub fn pending_faults(&self) -> usize {
        self.front().pending_faults()
    }

    /// The user logged in again.
    pub fn renew(&self) {
        self.front().expired = false;
    }

    /// Every call since the world began or the log was taken.
    pub fn take_log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.front().log)
    }

    /// The program runs on this instance.
    pub fn stand_on(&self, instance: Option<&str>) {
        self.world().here = instance.map(String::from);
    }

    fn place(&self, account: &Account) -> Place {
        let region = match account.region.as_str() {
            "" => self.world().settings.region.clone(),
            region => region.into(),
        };
        let number = account.keys.as_ref().map(|keys| {
            let digest = Sha256::digest(&keys.id);
            digest.iter().take(12).map(|byte| char::from(b'0' + byte % 10)).collect()
        });
        Place { account: number.unwrap_or_else(|| ACCOUNT.into()), region }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A refusal leaves nothing half done, so a panic elsewhere does not matter.
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn front(&self) -> MutexGuard<'_, Front> {
        self.shared.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connect for Fake {
    /// A region that does not exist has no address.
    async fn connect(&self, account: &Account) -> Result<Arc<dyn Api>, ApiError> {
        let place = self.place(account);
        if !catalog::is_region(&place.region) {
            let message = format!("failed to resolve ec2.{}.amazonaws.com", place.region);
            let cause = Cause::Transport { message, sent: false };
            return Err(ApiError { action: "DescribeRegions".into(), cause, request_id: None });
        }
        Ok(Arc::new(Client { fake: self.clone(), place }))
    }
}
