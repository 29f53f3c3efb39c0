//! `volume`: a disk that outlives its machine, and belongs to the machine's number.

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
    instance,
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    provider::{At, Options},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::time::Duration;

pub(crate) struct Volume;

/// What can be changed while it is used.
const LIVE: [&str; 4] = ["size", "type", "iops", "throughput"];
const CAP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(300);

fn lives() -> Filter {
    Filter::new("status", ["creating", "available", "in-use"])
}

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into()), ("zone", item.text("zone").into())])
}

/// A size that shrinks needs another volume, as far as one attribute alone can tell.
fn shrinks(before: &Value, after: &Value) -> bool {
    let disk = |size: &Value| attrs([("size", size.clone())]);
    !instance::can_become(&disk(before), &disk(after), LIVE)
}

fn changes_type(before: &Value, after: &Value) -> bool {
    let disk = |kind: &Value| attrs([("type", kind.clone())]);
    !instance::can_become(&disk(before), &disk(after), LIVE)
}

#[async_trait]
impl Kind for Volume {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("volume")
            .replace_on(&["region", "zone"])
            .replace_if("size", shrinks)
            .replace_if("type", changes_type)
            .holds_data()
            .takes(Durations { create: 800, ready: 8000, update: 3000, delete: 1500 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::Volumes, id: "volume-id", always: vec![lives()], by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let recorded = subject.record.as_ref().map(|record| &record.attributes);
            let known =
                |name: &str| subject.declared.contains_key(name) || recorded.is_some_and(|r| r.contains_key(name));
            let mut attributes = attrs([("zone", item.text("zone").into())]);
            for name in LIVE.into_iter().filter(|name| known(name)) {
                if let Some(value) = item.fields.get(name) {
                    attributes.insert(name.into(), value.clone());
                }
            }
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let int = |name: &str| at.attribute(name).as_int();
        let request = Request::CreateVolume {
            zone: at.text("zone")?.into(),
            size: int("size").unwrap_or_default(),
            kind: at.attribute("type").as_text().map(String::from),
            iops: int("iops"),
            throughput: int("throughput"),
            token: at.call.operation.to_string(),
            tags: tags::on_create(at.call),
        };
        let item = at.send(request).await?.item;
        let zone = at.attribute("zone").clone();
        Ok(Outcome { id: item.id.clone(), outputs: attrs([("id", item.id.as_str().into()), ("zone", zone)]) })
    }

    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        Ok(outputs(&made(at, at.id()).await?))
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = made(at, at.id()).await?;
        instance::modify(at, &item, LIVE.map(|name| (name, at.attribute(name).clone()))).await?;
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let there = at.one(Listing::Volumes, &[Filter::is("volume-id", at.id()), lives()]).await?;
        let Some(item) = there else { return Ok(()) };
        if item.text("state") == "in-use" {
            detach(at, &item.id).await?;
        }
        at.remove(Request::DeleteVolume { volume: item.id }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::Volumes, &[lives()], outputs).await
    }
}

async fn until(at: &At<'_>, volume: &str, awaits: &str, done: fn(&str) -> bool) -> Result<Item, Failure> {
    let filters = [Filter::is("volume-id", volume)];
    let gone = |state: &str| {
        Failure::new(FailureKind::Other, &at.operation, format!("volume {volume} is {state}"))
            .hint("run the same command again")
    };
    let look = |item: Option<&Item>| match item.map(|item| item.text("state")) {
        Some(state @ ("error" | "deleting" | "deleted")) => Err(gone(state)),
        Some(state) => Ok(done(state)),
        None => Ok(false),
    };
    let item = at.poll(Listing::Volumes, &filters, awaits, CAP, PATIENCE, look).await?;
    item.ok_or_else(|| gone("gone"))
}

pub(super) async fn made(at: &At<'_>, volume: &str) -> Result<Item, Failure> {
    until(at, volume, "the volume to be made", |state| matches!(state, "available" | "in-use")).await
}

pub(super) async fn attached(at: &At<'_>, volume: &str) -> Result<Item, Failure> {
    until(at, volume, "the volume to reach its machine", |state| state == "in-use").await
}

/// Takes it off its machine, which may be on its way out and let go of it by itself.
pub(super) async fn detach(at: &At<'_>, volume: &str) -> Result<(), Failure> {
    match at.send(Request::DetachVolume { volume: volume.into() }).await {
        Err(failure) if failure.kind != FailureKind::InUse => return Err(failure),
        _ => {}
    }
    until(at, volume, "the volume to leave its machine", |state| state == "available").await.map(drop)
}
