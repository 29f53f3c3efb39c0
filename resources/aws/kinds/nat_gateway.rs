//! `nat-gateway`: the way out for machines without a public address. It is slow to come and to go; only what needs the
//! way out waits for it.

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
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

pub(crate) struct NatGateway;

/// Source: VPC user guide, "NAT gateway basics" and public apply logs: 85 to 125 s to come.
const CAP: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(900);

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

fn lives() -> Filter {
    Filter::new("state", ["pending", "available"])
}

fn by_id(id: &str) -> [Filter; 1] {
    [Filter::is("nat-gateway-id", id)]
}

#[async_trait]
impl Kind for NatGateway {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("nat-gateway")
            .replace_on(&["region", "subnet", "allocation"])
            .volatile(&["ip"])
            .takes(Durations { create: 1500, ready: 105_000, update: 500, delete: 45_000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup =
            Lookup { listing: Listing::NatGateways, id: "nat-gateway-id", always: vec![lives()], by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |_, item| Seen {
            attributes: attrs([("subnet", item.text("subnet").into()), ("allocation", item.text("allocation").into())]),
            outputs: outputs(item),
            healthy: Health::Ok,
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let request = Request::CreateNatGateway {
            subnet: at.text("subnet")?.into(),
            allocation: at.text("allocation")?.into(),
            token: at.call.operation.to_string(),
            tags: tags::on_create(at.call),
        };
        let item = at.send_to_new(request).await?.item;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let done = |item: Option<&Item>| match item.map(|item| (item.text("state"), item.text("failure"))) {
            Some(("available", _)) => Ok(true),
            Some(("failed", why)) => {
                Err(Failure::new(FailureKind::Other, &at.operation, format!("AWS could not make it: {why}"))
                    .hint("run the same command again: it is made anew"))
            }
            _ => Ok(false),
        };
        let awaits = "the NAT gateway to become available (usually 2 min)";
        let item = at.poll(Listing::NatGateways, &by_id(at.id()), awaits, CAP, LIMIT, done).await?;
        let ip = item.map(|item| item.text("ip").to_owned()).unwrap_or_default();
        Ok(attrs([("ip", Value::text(ip))]))
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    /// Waits until it is gone: its address and its subnet are in use until then.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteNatGateway { gateway: at.id().into() }).await?;
        let gone = |item: Option<&Item>| Ok(item.is_none_or(|item| item.text("state") == "deleted"));
        let awaits = "the NAT gateway to be gone";
        at.poll(Listing::NatGateways, &by_id(at.id()), awaits, CAP, LIMIT, gone).await.map(drop)
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::NatGateways, &[lives()], outputs).await
    }
}
