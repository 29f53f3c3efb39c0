//! A cloud and what runs on its machines, as kinds: one of everything that the engine decides by. Nothing is behind them.

use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Failure, FailureKind, ProviderName, Value,
    batch::BatchKey,
    provider::{Call, Observed, Outcome, Provider, Rate, Refresh, Settled},
    schema::{Durations, KindSchema},
};
use std::{sync::Arc, time::Duration};

pub fn providers() -> [Arc<dyn Provider>; 2] {
    [Arc::new(Kinds { name: "cloud", kinds: cloud }), Arc::new(Kinds { name: "node", kinds: node })]
}

pub fn provider_of(kind: &str) -> &'static str {
    if matches!(kind, "file" | "service") { "node" } else { "cloud" }
}

fn takes(create: u32, ready: u32) -> Durations {
    Durations { create, ready, update: create / 2, delete: create / 2 }
}

fn cloud() -> Vec<KindSchema> {
    let seen = Duration::from_secs;
    let shrinks = |before: &Value, after: &Value| after.as_text() < before.as_text();
    vec![
        KindSchema::new("net").replace_on(&["fixed"]).takes(takes(1500, 500)).visible_within(seen(10)),
        KindSchema::new("sub").replace_on(&["fixed", "on"]).takes(takes(1500, 0)).visible_within(seen(20)),
        KindSchema::new("gateway").replace_on(&["on"]).takes(takes(500, 100_000)).visible_within(seen(15)),
        KindSchema::new("role").replace_on(&["fixed"]).takes(takes(500, 10_000)).visible_within(seen(60)),
        KindSchema::new("instance")
            .replace_on(&["fixed", "on"])
            .replace_if("disk", shrinks)
            .takes(takes(2500, 25_000))
            .visible_within(seen(20)),
        KindSchema::new("lb")
            .replace_on(&["fixed", "on"])
            .create_before_destroy()
            .takes(takes(2000, 5_000))
            .visible_within(seen(30)),
        KindSchema::new("database")
            .replace_on(&["fixed"])
            .holds_data()
            .rooted()
            .takes(takes(3000, 200_000))
            .visible_within(seen(20)),
        KindSchema::new("bucket").replace_on(&["fixed"]).holds_data().takes(takes(1500, 0)),
    ]
}

fn node() -> Vec<KindSchema> {
    vec![
        KindSchema::new("file").volatile(&["digest"]).predicts(digest).replace_on(&["on"]).takes(takes(500, 0)),
        KindSchema::new("service").replace_on(&["on"]).takes(takes(1000, 4_000)),
    ]
}

fn digest(attributes: &Attrs) -> Attrs {
    match attributes.get("free").filter(|v| v.is_known()) {
        Some(content) => Attrs::from([("digest".into(), Value::text(cloudtik_core::digest::of(content).short()))]),
        None => Attrs::new(),
    }
}

struct Kinds {
    name: &'static str,
    kinds: fn() -> Vec<KindSchema>,
}

fn only_played(call: &Call) -> Failure {
    Failure::new(FailureKind::Bug, format!("call {}", call.address), "its provider is only played")
}

#[async_trait]
impl Provider for Kinds {
    fn name(&self) -> ProviderName {
        self.name.into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        (self.kinds)()
    }

    fn concurrency(&self) -> usize {
        8
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        let (group, ..) = call.address.instance().filter(|_| call.kind() == "instance")?;
        Some(BatchKey { alike: group.into(), limit: 4 })
    }

    fn rate(&self, kind: &str, verb: &str) -> Option<Rate> {
        match (kind, verb) {
            ("instance", "create") => Some(Rate { name: "run", size: 2.0, per_second: 0.5 }),
            ("file" | "service", _) => None,
            _ => Some(Rate { name: "api", size: 10.0, per_second: 2.0 }),
        }
    }

    async fn refresh(&self, _: &Refresh) -> Result<Vec<Observed>, Failure> {
        Err(Failure::new(FailureKind::Bug, "refresh", "its provider is only played"))
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        Err(only_played(call))
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        Err(only_played(call))
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        Err(only_played(call))
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        Err(only_played(call))
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        Err(only_played(call))
    }
}
