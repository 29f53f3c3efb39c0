//! How fast AWS may be asked: a token bucket for every action, slower after a throttling answer and faster again after
//! successes.
//!
//! Whoever waits for the same action is served in order. Time is tokio's, so that tests can hold it.

use cloudtik_core::provider::Rate;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A bucket's size, and how much is added to it in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    size: f64,
    rate: f64,
}

const fn limit(size: f64, rate: f64) -> Limit {
    Limit { size, rate }
}

/// What EC2 allows an account in a region by default.
///
/// Source: EC2 developer guide, "Request throttling for the Amazon EC2 API", request token buckets (read 2026-11-25). The
/// other services publish no such numbers but S3 (3,500 changes a second and prefix; a DeleteObjects counts each key): they
/// start with the same and learn.
fn requests(action: &str) -> Limit {
    match action {
        "RunInstances" => limit(5.0, 2.0),
        "TerminateInstances" => limit(100.0, 5.0),
        "CreateNatGateway" => limit(10.0, 1.0),
        "CreateVpcEndpoint" | "ModifyVpcEndpoint" | "DeleteVpcEndpoints" => limit(4.0, 0.3),
        "CreateTags" | "DeleteTags" => limit(100.0, 10.0),
        "CreateVolume" => limit(100.0, 5.0),
        "DeleteObjects" => limit(4.0, 3.0),
        "AbortMultipartUpload" | "ListObjectVersions" | "ListMultipartUploads" => limit(100.0, 100.0),
        _ if ["Describe", "Get", "List", "Head"].iter().any(|read| action.starts_with(read)) => limit(100.0, 20.0),
        _ => limit(50.0, 5.0),
    }
}

/// The limit that a rehearsal of `verb` on `kind` goes by: of the action that makes, changes or ends one. `None` where AWS
/// publishes none. What is counted beside requests matters beyond a thousand machines, and is left out.
pub(crate) fn published(kind: &str, verb: &str) -> Option<Rate> {
    let name = match (kind, verb) {
        ("instance", "create") => "RunInstances",
        ("instance", "delete") => "TerminateInstances",
        ("nat-gateway", "create") => "CreateNatGateway",
        ("nat-gateway", "delete") => "DeleteNatGateway",
        ("vpc-endpoint", "create") => "CreateVpcEndpoint",
        ("vpc-endpoint", "update") => "ModifyVpcEndpoint",
        ("vpc-endpoint", "delete") => "DeleteVpcEndpoints",
        ("volume", "create") => "CreateVolume",
        ("volume", "delete") => "DeleteVolume",
        ("attachment", "create") => "AttachVolume",
        ("attachment", "delete") => "DetachVolume",
        ("subnet", "create") => "CreateSubnet",
        ("subnet", "delete") => "DeleteSubnet",
        ("security-group", "create") => "CreateSecurityGroup",
        ("security-group", "update") => "AuthorizeSecurityGroupIngress",
        ("security-group", "delete") => "DeleteSecurityGroup",
        ("route-table", "create") => "CreateRouteTable",
        ("route-table", "delete") => "DeleteRouteTable",
        ("route", "create") => "CreateRoute",
        ("route", "delete") => "DeleteRoute",
        _ => return None,
    };
    let Limit { size, rate } = requests(name);
    Some(Rate { name, size, per_second: rate })
}

/// What is counted beside the requests: instances. Source: the same page, resource token buckets.
fn units(action: &str) -> Option<Limit> {
    match action {
        "RunInstances" => Some(limit(1000.0, 2.0)),
        "TerminateInstances" => Some(limit(1000.0, 20.0)),
        _ => None,
    }
}

/// A throttling answer leaves this part of the rate.
const LOWERED: f64 = 0.6;
/// A success adds this part of the published rate.
const RAISED: f64 = 0.05;
/// The rate never falls below this part of the published one.
const FLOOR: f64 = 0.05;
/// Calls that were on their way together are throttled together: that is one answer.
const ONE_ANSWER: Duration = Duration::from_secs(1);

/// The buckets of an account in a region.
#[derive(Default)]
pub(crate) struct Rates {
    buckets: Mutex<BTreeMap<(&'static str, bool), Arc<Bucket>>>,
}

struct Bucket {
    /// Held while waiting; tokio's mutex is fair.
    queue: tokio::sync::Mutex<()>,
    level: Mutex<Level>,
}

struct Level {
    published: Limit,
    rate: f64,
    /// Below zero after a call that counts more than the bucket holds.
    tokens: f64,
    at: Instant,
    lowered: Option<Instant>,
}

impl Rates {
    /// Waits until `action` may be called, for `count` instances where they are counted.
    pub async fn take(&self, action: &'static str, count: usize) {
        self.requests(action).take(1.0).await;
        if let Some(limit) = units(action) {
            self.bucket((action, true), limit).take(count as f64).await;
        }
    }

    /// The service answered that this was too fast.
    pub fn throttled(&self, action: &'static str) {
        self.requests(action).level().throttled();
    }

    pub fn succeeded(&self, action: &'static str) {
        self.requests(action).level().succeeded();
    }

    fn requests(&self, action: &'static str) -> Arc<Bucket> {
        self.bucket((action, false), requests(action))
    }

    fn bucket(&self, key: (&'static str, bool), limit: Limit) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.entry(key).or_insert_with(|| Arc::new(Bucket::new(limit))).clone()
    }
}

impl Bucket {
    fn new(published: Limit) -> Self {
        let level =
            Level { published, rate: published.rate, tokens: published.size, at: Instant::now(), lowered: None };
        Bucket { queue: tokio::sync::Mutex::new(()), level: Mutex::new(level) }
    }

    fn level(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, count: f64) {
        let _turn = self.queue.lock().await;
        loop {
            let wait = self.level().take(count);
            let Some(wait) = wait else { return };
            tokio::time::sleep(wait).await;
        }
    }
}

impl Level {
    /// Takes `count`, or says how long to wait before trying again.
    fn take(&mut self, count: f64) -> Option<Duration> {
        self.refill();
        let missing = count.min(self.published.size) - self.tokens;
        // Less than a thousandth is rounding.
        if missing < 1e-3 {
            self.tokens -= count;
            return None;
        }
        Some(Duration::from_secs_f64(missing / self.rate))
    }

    fn refill(&mut self) {
        let now = Instant::now();
        self.tokens += now.duration_since(self.at).as_secs_f64() * self.rate;
        self.tokens = self.tokens.min(self.published.size);
        self.at = now;
    }

    fn throttled(&mut self) {
        self.refill();
        self.tokens = self.tokens.min(0.0);
        if self.lowered.is_none_or(|at| self.at.duration_since(at) >= ONE_ANSWER) {
            self.rate = (self.rate * LOWERED).max(self.published.rate * FLOOR);
            self.lowered = Some(self.at);
        }
    }

    fn succeeded(&mut self) {
        self.refill();
        self.rate = (self.rate + self.published.rate * RAISED).min(self.published.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds that `count` calls take, one after the other.
    async fn seconds(rates: &Rates, action: &'static str, count: usize, each: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..count {
            rates.take(action, each).await;
        }
        start.elapsed().as_secs_f64()
    }

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 0.05, "{a} is not about {b}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_is_spent_at_once_and_refills_at_its_rate() {
        let rates = Rates::default();
        near(seconds(&rates, "CreateSubnet", 50, 0).await, 0.0);
        near(seconds(&rates, "CreateSubnet", 10, 0).await, 2.0);
        near(seconds(&rates, "DescribeVpcs", 100, 0).await, 0.0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        near(seconds(&rates, "CreateSubnet", 51, 0).await, 0.2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_machines_in_one_call_wait_for_nothing_and_singly_for_long() {
        near(seconds(&Rates::default(), "RunInstances", 1, 100).await, 0.0);
        near(seconds(&Rates::default(), "RunInstances", 100, 1).await, 47.5);
        let rates = Rates::default();
        near(seconds(&rates, "RunInstances", 1, 1200).await, 0.0);
        near(seconds(&rates, "RunInstances", 1, 10).await, 105.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttling_answer_empties_the_bucket_and_slows_down_until_successes_pay_it_back() {
        let rates = Rates::default();
        rates.throttled("CreateSubnet");
        rates.throttled("CreateSubnet");
        near(seconds(&rates, "CreateSubnet", 3, 0).await, 1.0);
        tokio::time::sleep(ONE_ANSWER).await;
        rates.throttled("CreateSubnet");
        near(seconds(&rates, "CreateSubnet", 9, 0).await, 5.0);
        for _ in 0..100 {
            rates.succeeded("CreateSubnet");
        }
        near(seconds(&rates, "CreateSubnet", 10, 0).await, 2.0);
    }

    #[tokio::test(start_paused = true)]
    async fn however_often_it_is_throttled_it_goes_on() {
        let rates = Rates::default();
        for _ in 0..100 {
            rates.throttled("CreateSubnet");
            tokio::time::sleep(ONE_ANSWER).await;
        }
        rates.throttled("CreateSubnet");
        near(seconds(&rates, "CreateSubnet", 1, 0).await, 4.0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asked_first_is_served_first() {
        let rates = Arc::new(Rates::default());
        seconds(&rates, "CreateVpcEndpoint", 4, 0).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for i in 0..5 {
            let (rates, order) = (rates.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                rates.take("CreateVpcEndpoint", 0).await;
                order.lock().unwrap().push(i);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}
