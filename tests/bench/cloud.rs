//! The cloud of the makespan: what its calls take, and how many of them its API lets through. The simulated world plays it.
//!
//! Times are the middle of what public apply logs show; buckets are EC2's published ones (requests that may come at once,
//! and how many more each second; EC2 API reference, "Request throttling", read 2026-11-22). A call without a token is
//! refused, as the service does, and the engine tries again.

use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName,
    batch::BatchKey,
    provider::{Call, Observed, Outcome, Provider, Rate, Refresh, Settled},
    schema::{Durations, KindSchema},
};
use cloudtik_simulated::{Boot, Busy, Conditions, World};
use std::{sync::Arc, time::Duration};

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

/// A world in which calls take just their time, and one too many is refused. `batching`: whether alike machines go in one
/// call.
pub fn world(batching: bool) -> World {
    let boot = Some(Boot { kind: "connection", machine: "instance", takes: BOOT });
    World::new(Conditions { batching, boot, busy: Busy::Refused, ..Conditions::calm(0) })
}

/// All providers, as that world plays them.
pub fn providers(world: &World) -> Vec<Arc<dyn Provider>> {
    [("aws", 64), ("ssh", 1024), ("runtime", 256)]
        .map(|(name, calls)| world.provider(Arc::new(Kinds { name, calls })))
        .into()
}

struct Kinds {
    name: &'static str,
    calls: usize,
}

fn only_played<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::new(FailureKind::Bug, what, "there is nothing behind these kinds"))
}

#[async_trait]
impl Provider for Kinds {
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

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        let limit = of(call.kind()).together;
        let role = call.address.instance().map_or(call.address.name(), |(group, ..)| group);
        (limit > 1).then(|| BatchKey { alike: role.to_string(), limit })
    }

    fn rate(&self, kind: &str, _: &str) -> Option<Rate> {
        let api = of(kind).api?;
        let bucket = BUCKETS.iter().find(|(name, ..)| *name == api);
        bucket.map(|&(name, size, per_second)| Rate { name, size, per_second })
    }

    async fn refresh(&self, _: &Refresh) -> Result<Vec<Observed>, Failure> {
        only_played("refresh")
    }

    async fn create(&self, _: &Call) -> Result<Outcome, Failure> {
        only_played("create")
    }

    async fn ready(&self, _: &Call) -> Result<Attrs, Failure> {
        only_played("await")
    }

    async fn update(&self, _: &Call) -> Result<Outcome, Failure> {
        only_played("update")
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        only_played("delete")
    }

    async fn settle(&self, _: &Call) -> Result<Settled, Failure> {
        only_played("settle")
    }
}
