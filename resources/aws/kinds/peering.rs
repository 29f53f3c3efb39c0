//! `peering`: the joint between the workspace's own network and the one that this machine is in.

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
    value::Attrs,
};
use std::time::Duration;

pub(crate) struct Peering;

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

fn lives() -> Filter {
    Filter::new("status-code", ["initiating-request", "pending-acceptance", "provisioning", "active"])
}

#[async_trait]
impl Kind for Peering {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("peering").replace_on(&["region", "vpc", "peer"]).takes(Durations {
            create: 1500,
            ready: 3000,
            update: 500,
            delete: 1500,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let id = "vpc-peering-connection-id";
        let lookup = Lookup { listing: Listing::Peerings, id, always: vec![lives()], by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |_, item| Seen {
            attributes: attrs([("vpc", item.text("requester").into()), ("peer", item.text("accepter").into())]),
            outputs: outputs(item),
            healthy: Health::Ok,
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let (vpc, peer) = (at.text("vpc")?.into(), at.text("peer")?.into());
        let item = at.send_to_new(Request::CreatePeering { vpc, peer, tags: tags::on_create(at.call) }).await?.item;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    /// Both networks are ours, so the request is accepted here.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let filters = [Filter::is("vpc-peering-connection-id", at.id())];
        let awaits = "the peering to become active";
        let (cap, limit) = (Duration::from_secs(2), Duration::from_secs(300));
        let state = |item: Option<&Item>| item.map(|item| item.text("state").to_owned()).unwrap_or_default();
        let answered = |item: Option<&Item>| match state(item).as_str() {
            "pending-acceptance" | "active" => Ok(true),
            "failed" | "rejected" | "expired" | "deleted" => {
                let what = format!("AWS refused it: {}", state(item));
                Err(Failure::new(FailureKind::Invalid, &at.operation, what)
                    .hint("the ranges of the two networks must not overlap"))
            }
            _ => Ok(false),
        };
        let item = at.poll(Listing::Peerings, &filters, awaits, cap, limit, answered).await?;
        if state(item.as_ref()) != "active" {
            at.send_to_new(Request::AcceptPeering { peering: at.id().into() }).await?;
            let active = |item: Option<&Item>| Ok(state(item) == "active");
            at.poll(Listing::Peerings, &filters, awaits, cap, limit, active).await?;
        }
        Ok(Attrs::new())
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeletePeering { peering: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::Peerings, &[lives()], outputs).await
    }
}
