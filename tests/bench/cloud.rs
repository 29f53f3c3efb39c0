//! A cloud on a virtual clock: what its calls take, and how many of them its API lets through.
//!
//! Times are the middle of what public apply logs show; buckets are EC2's published ones (requests that may come at once,
//! and how many more each second; EC2 API reference, "Request throttling", read 2026-11-22). A call without a token is
//! refused, as the service does, and the engine tries again.

use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName, Retry, Value,
    batch::BatchKey,
    provider::{Call, Observed, Outcome, Presence, Provider, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// One kind: its provider, its call and its way from created to ready in milliseconds, and the bucket of its call.
pub struct Kind {
    pub provider: &'static str,
    pub name: &'static str,
    pub create: u32,
    pub ready: u32,
    pub api: Option<&'static str>,
    /// How many go in one call.
    pub together: usize,
}

const fn kind(provider: &'static str, name: &'static str, create: u32, ready: u32, api: Option<&'static str>) -> Kind {
    Kind { provider, name, create, ready, api, together: 1 }
}

const EC2: Option<&str> = Some("ec2");

pub const KINDS: &[Kind] = &[
    kind("aws", "vpc", 1_500, 500, EC2),
    kind("aws", "subnet", 1_500, 0, EC2),
    kind("aws", "internet_gateway", 1_500, 0, EC2),
    kind("aws", "elastic_ip", 1_500, 0, EC2),
    kind("aws", "route_table", 2_000, 0, EC2),
    kind("aws", "route", 1_000, 0, EC2),
    kind("aws", "nat_gateway", 500, 105_000, Some("nat")),
    kind("aws", "security_group", 2_000, 0, EC2),
    kind("aws", "vpc_endpoint", 1_000, 5_000, Some("endpoint")),
    kind("aws", "role", 500, 0, None),
    kind("aws", "instance_profile", 500, 10_000, None),
    kind("aws", "bucket", 1_500, 0, None),
    kind("aws", "key_pair", 300, 0, EC2),
    kind("aws", "image", 300, 0, None),
    Kind { together: 100, ..kind("aws", "instance", 2_000, 20_000, Some("run")) },
    // Ready a second after everything it needs, when its machine has booted.
    kind("ssh", "connection", 0, 1_000, None),
    kind("runtime", "artifact", 40_000, 0, None),
    kind("runtime", "file", 500, 0, None),
    kind("runtime", "service", 1_000, 19_000, None),
];

/// From a machine that runs to one that lets users in.
pub const BOOT: Duration = Duration::from_secs(30);

/// Name, requests at once, more each second.
pub const BUCKETS: &[(&str, f64, f64)] =
    &[("ec2", 50.0, 5.0), ("nat", 10.0, 1.0), ("endpoint", 4.0, 0.3), ("run", 5.0, 2.0)];

pub fn of(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).expect("the shape uses these kinds only")
}

struct Bucket {
    size: f64,
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self) -> bool {
        self.tokens = (self.tokens + self.at.elapsed().as_secs_f64() * self.rate).min(self.size);
        self.at = Instant::now();
        let enough = self.tokens >= 1.0;
        self.tokens -= f64::from(enough);
        enough
    }
}

/// What all providers of one run share.
pub struct Cloud {
    buckets: Mutex<HashMap<&'static str, Bucket>>,
    running: Mutex<HashMap<String, Instant>>,
    batching: bool,
    pub refused: Mutex<usize>,
}

impl Cloud {
    /// Buckets are full. `batching`: whether alike machines go in one call.
    pub fn new(batching: bool) -> Arc<Self> {
        let full = |&(name, size, rate)| (name, Bucket { size, rate, tokens: size, at: Instant::now() });
        let buckets = Mutex::new(BUCKETS.iter().map(full).collect());
        Arc::new(Cloud { buckets, running: Mutex::default(), batching, refused: Mutex::default() })
    }

    pub fn providers(self: &Arc<Self>) -> Vec<Arc<dyn Provider>> {
        let part = |name, calls| Arc::new(Part { name, calls, cloud: self.clone() }) as Arc<dyn Provider>;
        vec![part("aws", 64), part("ssh", 1024), part("runtime", 256)]
    }

    async fn call(&self, call: &Call) -> Result<(), Failure> {
        let kind = of(call.kind());
        if let Some(api) = kind.api {
            let let_in = self.buckets.lock().expect("no panic").get_mut(api).expect("a known bucket").take();
            if !let_in {
                *self.refused.lock().expect("no panic") += 1;
                sleep(Duration::from_millis(100)).await;
                let what = format!("create {}", call.address.short());
                return Err(Failure::new(FailureKind::Throttled, what, "slow down").retry(Retry::Backoff));
            }
        }
        sleep(Duration::from_millis(kind.create.into())).await;
        Ok(())
    }
}

fn outcome(call: &Call) -> Outcome {
    let id = call.address.short();
    Outcome { outputs: Attrs::from([("id".into(), Value::text(&id))]), id }
}

struct Part {
    name: &'static str,
    calls: usize,
    cloud: Arc<Cloud>,
}

#[async_trait]
impl Provider for Part {
    fn name(&self) -> ProviderName {
        self.name.into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        let own = KINDS.iter().filter(|kind| kind.provider == self.name);
        own.map(|kind| {
            let takes = Durations { create: kind.create, ready: kind.ready, ..Durations::default() };
            KindSchema::new(kind.name).takes(takes)
        })
        .collect()
    }

    fn concurrency(&self) -> usize {
        self.calls
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let absent = |s: &Subject| Observed { address: s.address.clone(), presence: Presence::Absent };
        Ok(refresh.subjects.iter().map(absent).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.cloud.call(call).await?;
        Ok(outcome(call))
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        let limit = of(call.kind()).together;
        let role = call.address.instance().map_or(call.address.name(), |(group, ..)| group);
        (self.cloud.batching && limit > 1).then(|| BatchKey { alike: role.to_string(), limit })
    }

    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let made = self.cloud.call(&calls[0]).await;
        calls.iter().map(|call| made.clone().map(|()| outcome(call))).collect()
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let machine = call.attributes.get("instance").and_then(Value::as_text);
        let up = machine.and_then(|id| self.cloud.running.lock().expect("no panic").get(id).copied());
        if let (Some(up), "connection") = (up, call.kind()) {
            sleep_until(up + BOOT).await;
        }
        sleep(Duration::from_millis(of(call.kind()).ready.into())).await;
        if call.kind() == "instance" {
            self.cloud.running.lock().expect("no panic").insert(call.address.short(), Instant::now());
        }
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.create(call).await
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &Call) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}
