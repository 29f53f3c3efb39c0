//! `subnet`: a part of the network in one zone.

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
    cidr::Cidr,
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::Attrs,
};
use std::time::Duration;

pub(crate) struct Subnet;

fn outputs(item: &Item) -> Attrs {
    attrs([
        ("id", item.id.as_str().into()),
        ("cidr", item.text("cidr").into()),
        ("zone", item.text("zone").into()),
        ("vpc_id", item.text("vpc").into()),
    ])
}

#[async_trait]
impl Kind for Subnet {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("subnet")
            .replace_on(&["region", "vpc", "cidr", "zone", "slot"])
            .takes(Durations { create: 1500, ready: 0, update: 700, delete: 1000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::Subnets, id: "subnet-id", always: Vec::new(), by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        // Range and zone never change; those of a subnet that was taken over may be others than a new one would get, and stay.
        Ok(find::observed(subjects, found, |_, item| {
            let attributes = attrs([("vpc", item.text("vpc").into()), ("public", item.flag("public").into())]);
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let cidr = match at.attribute("cidr").as_text() {
            Some(cidr) => cidr.to_owned(),
            None => free_range(at).await?,
        };
        let zone = at.attribute("zone").as_text().map(String::from);
        let request = Request::CreateSubnet { vpc: at.text("vpc")?.into(), cidr, zone, tags: tags::on_create(at.call) };
        let item = at.send_to_new(request).await?.item;
        if at.attribute("public").as_bool() == Some(true) {
            at.send_to_new(Request::ModifySubnet { subnet: item.id.clone(), public: true }).await?;
        }
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let public = at.attribute("public").as_bool() == Some(true);
        at.send_to_new(Request::ModifySubnet { subnet: at.id().into(), public }).await?;
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteSubnet { subnet: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::Subnets, &[], outputs).await
    }
}

/// The `slot`-th free /24 of a network that has others' subnets, lowest first.
///
/// Subnets of one workspace have slots of their own, so that those made at the same time do not reach for one range.
async fn free_range(at: &At<'_>) -> Result<String, Failure> {
    let vpc = Filter::is("vpc-id", at.text("vpc")?);
    let network = at.one(Listing::Vpcs, std::slice::from_ref(&vpc)).await?;
    let network: Option<Cidr> = network.and_then(|item| item.text("cidr").parse().ok());
    let others = at.list(Listing::Subnets, &[vpc]).await?;
    let scope = at.call.scope().to_string();
    let others = others.iter().filter(|item| item.tags.get(tags::SCOPE) != Some(&scope));
    let taken: Vec<Cidr> = others.filter_map(|item| item.text("cidr").parse().ok()).collect();
    let slot = usize::try_from(at.attribute("slot").as_int().unwrap_or(0)).unwrap_or(0);
    let parts = (0..=u32::from(u8::MAX)).map_while(|index| network?.part(24, index));
    let mut free = parts.filter(|part| !taken.iter().any(|other| other.overlaps(part)));
    free.nth(slot).map(|part| part.to_string()).ok_or_else(|| {
        let what = "the network has no free range of 256 addresses left";
        Failure::new(FailureKind::Exhausted, &at.operation, what)
            .hint("delete a subnet that nobody needs, or set `use_working_vpc: false`")
    })
}
