//! The way to the service and back: latencies, rates, faults, the log of calls.

use super::{
    Fake, listing,
    settings::{Rates, instance_rate, latency, rate},
    world::{Place, Refusal, Turn},
};
use crate::api::{Api, ApiError, Cause, Filter, Item, Listing, Reply, Request};
use async_trait::async_trait;
use std::{collections::BTreeMap, time::Duration};

/// Something that goes wrong at one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The service's name of the call, or `*` for every call that changes something.
    pub action: String,
    /// Which call of that name from now on; the next one is 1.
    pub nth: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// RequestLimitExceeded, nothing done.
    Throttle,
    /// An error with this code, nothing done.
    Error(String),
    /// Done, and the answer never arrived.
    LostAnswer,
    /// The request never left.
    NeverSent,
    /// Still not done after an internal error.
    FailsBefore,
    /// Done in spite of an internal error.
    FailsAfter,
    /// The zone has too few machines, nothing done.
    NoCapacity,
    /// This and all later calls: the credentials have expired.
    Expired,
    /// The call succeeds, and what it made fails soon: instances end as `terminated`, a NAT gateway as `failed`.
    Stillborn,
    /// The call never returns, done or not; [`Fake::stuck`] tells. Whoever then drops the run has killed the program here.
    Stuck { done: bool },
}

/// One call as it reached the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    pub action: &'static str,
    /// Since the world began.
    pub at: Duration,
    /// The error code; empty for success.
    pub code: String,
}

#[derive(Default)]
pub(super) struct Front {
    faults: Vec<Fault>,
    pub expired: bool,
    pub log: Vec<Logged>,
    buckets: BTreeMap<(Place, &'static str, bool), Bucket>,
    requests: u64,
}

/// Tokens, which may be negative when waiting is promised, and the time they were counted at.
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Front {
    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub fn pending_faults(&self) -> usize {
        self.faults.len()
    }

    /// The fault of this call, if its turn has come.
    fn strike(&mut self, action: &str, change: bool) -> Option<What> {
        let mut struck = None;
        self.faults.retain_mut(|fault| {
            if fault.action != action && !(fault.action == "*" && change) {
                return true;
            }
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 && struck.is_none() {
                struck = Some(fault.what.clone());
                return false;
            }
            true
        });
        struck
    }

    /// How long to wait for `cost` tokens; refused: `None` when they are not there.
    fn take(&mut self, key: (Place, &'static str, bool), limit: (f64, f64), cost: f64, now: Duration) -> Duration {
        let bucket = self.buckets.entry(key).or_insert(Bucket { tokens: limit.0, at: now });
        let passed = now.saturating_sub(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * limit.1).min(limit.0) - cost;
        bucket.at = now;
        Duration::from_secs_f64((-bucket.tokens / limit.1).max(0.0))
    }

    fn put_back(&mut self, key: &(Place, &'static str, bool), cost: f64) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.tokens += cost;
        }
    }
}

/// One account's way to one region.
pub(super) struct Client {
    pub fake: Fake,
    pub place: Place,
}

impl Client {
    /// One call: what may go wrong before, the effect, what may go wrong after. The effect is in the middle of the latency, so
    /// that whoever drops the future meets both kinds of interruption.
    async fn go<T>(
        &self,
        action: &'static str,
        change: bool,
        instances: usize,
        effect: impl FnOnce(&mut Turn<'_>) -> Result<T, Refusal>,
    ) -> Result<T, ApiError> {
        let struck = self.fake.front().strike(action, change);
        let half = if self.fake.world().settings.latency { latency(action) / 2 } else { Duration::ZERO };
        if struck == Some(What::NeverSent) {
            let cause = Cause::Transport { message: "connection refused".into(), sent: false };
            return Err(ApiError { action: action.into(), cause, request_id: None });
        }
        if struck == (Some(What::Stuck { done: false })) {
            return self.stick().await;
        }
        self.admit(action, instances).await?;
        self.pass(half).await;
        if let Some(refusal) = self.refused(action, struck.as_ref()) {
            self.note(action, &refusal.code);
            self.pass(half).await;
            return Err(self.error(action, refusal));
        }
        let done = {
            let now = self.fake.now();
            let mut world = self.fake.world();
            world.stillborn |= struck == Some(What::Stillborn);
            effect(&mut world.turn(&self.place, now))
        };
        if struck == (Some(What::Stuck { done: true })) {
            return self.stick().await;
        }
        self.note(action, done.as_ref().err().map_or("", |refusal| &refusal.code));
        self.pass(half).await;
        match struck {
            Some(What::LostAnswer) => {
                let cause = Cause::Transport { message: "connection reset by peer".into(), sent: true };
                Err(ApiError { action: action.into(), cause, request_id: None })
            }
            Some(What::FailsAfter) => Err(self.error(action, internal())),
            _ => done.map_err(|refusal| self.error(action, refusal)),
        }
    }

    /// What the service says instead of doing anything.
    fn refused(&self, action: &str, struck: Option<&What>) -> Option<Refusal> {
        let mut front = self.fake.front();
        front.expired |= struck == Some(&What::Expired);
        let refusal =
            |code: &str, message: &str, status| Refusal { code: code.into(), message: message.into(), status };
        if front.expired {
            // EC2 has a word of its own for it.
            let code =
                if action.starts_with("Get") || action.contains("Role") { "ExpiredToken" } else { "RequestExpired" };
            return Some(refusal(code, "The security token included in the request is expired", 403));
        }
        match struck? {
            What::Throttle => Some(throttled()),
            What::Error(code) => Some(refusal(code, "A fault that was asked for", 400)),
            What::FailsBefore => Some(internal()),
            What::NoCapacity => {
                let what = "We currently do not have sufficient capacity in the Availability Zone you requested";
                Some(refusal("InsufficientInstanceCapacity", what, 500))
            }
            _ => None,
        }
    }

    async fn admit(&self, action: &'static str, instances: usize) -> Result<(), ApiError> {
        let rates = self.fake.world().settings.rates;
        if rates == Rates::Off {
            return Ok(());
        }
        let limits = [(Some(rate(action)), 1.0, false), (instance_rate(action), instances as f64, true)];
        for (limit, cost, counts) in limits {
            let Some(limit) = limit else { continue };
            let key = (self.place.clone(), action, counts);
            let wait = self.fake.front().take(key.clone(), limit, cost, self.fake.now());
            if wait.is_zero() {
                continue;
            }
            if rates == Rates::Refuse {
                self.fake.front().put_back(&key, cost);
                self.note(action, "RequestLimitExceeded");
                return Err(self.error(action, throttled()));
            }
            self.pass(wait).await;
        }
        Ok(())
    }

    async fn pass(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    async fn stick<T>(&self) -> T {
        self.fake.shared.stuck.notify_one();
        std::future::pending().await
    }

    fn note(&self, action: &'static str, code: &str) {
        let at = self.fake.now();
        self.fake.front().log.push(Logged { action, at, code: code.into() });
    }

    fn error(&self, action: &str, refusal: Refusal) -> ApiError {
        let mut front = self.fake.front();
        front.requests += 1;
        let request_id = Some(format!("{:08x}-0000-4000-8000-000000000000", front.requests));
        let cause = Cause::Service { code: refusal.code, message: refusal.message, status: refusal.status };
        ApiError { action: action.into(), cause, request_id }
    }
}

fn throttled() -> Refusal {
    Refusal { code: "RequestLimitExceeded".into(), message: "Request limit exceeded.".into(), status: 503 }
}

fn internal() -> Refusal {
    Refusal { code: "InternalError".into(), message: "An internal error has occurred".into(), status: 500 }
}

#[async_trait]
impl Api for Client {
    fn region(&self) -> &str {
        &self.place.region
    }

    async fn list(&self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        self.go(listing::action(listing), false, 0, |turn| turn.list(listing, filters)).await
    }

    async fn call(&self, request: Request) -> Result<Reply, ApiError> {
        let instances = match &request {
            Request::RunInstances { count, .. } => *count,
            Request::TerminateInstances { ids } => ids.len(),
            _ => 0,
        };
        let action = request.action();
        let mut reply = self.go(action, action != "GetConsoleOutput", instances, |turn| turn.call(request)).await?;
        for item in reply.items.iter_mut().chain([&mut reply.item]) {
            item.fields.retain(|name, _| !name.starts_with('@'));
        }
        Ok(reply)
    }

    async fn pause(&self, time: Duration) {
        self.pass(time).await;
    }

    async fn here(&self) -> Result<Option<String>, ApiError> {
        Ok(self.fake.world().here.clone())
    }
}
