//! `vpc-endpoint`: the way to the bucket that leaves the internet, and the NAT gateway's bill, out.

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    provider::{At, Options, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::Failure,
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::{Attrs, Value},
};
use std::time::Duration;

pub(crate) struct VpcEndpoint;

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

fn lives() -> Filter {
    Filter::new("vpc-endpoint-state", ["pending", "available", "Pending", "Available"])
}

#[async_trait]
impl Kind for VpcEndpoint {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("vpc-endpoint")
            .replace_on(&["region", "vpc", "service"])
            .canonical(Canonical::Set, &["tables"])
            .takes(Durations { create: 3000, ready: 0, update: 2000, delete: 2000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup =
            Lookup { listing: Listing::VpcEndpoints, id: "vpc-endpoint-id", always: vec![lives()], by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |_, item| {
            let tables = item.fields.get("tables").map(texts).unwrap_or_default();
            let attributes = attrs([
                ("vpc", item.text("vpc").into()),
                ("service", item.text("service").into()),
                ("tables", Value::list(tables)),
            ]);
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let request = Request::CreateVpcEndpoint {
            vpc: at.text("vpc")?.into(),
            service: at.text("service")?.into(),
            tables: at.texts("tables"),
            token: at.call.operation.to_string(),
            tags: tags::on_create(at.call),
        };
        let item = at.send_to_new(request).await?.item;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let wanted = at.texts("tables");
        let there = at.one(Listing::VpcEndpoints, &[Filter::is("vpc-endpoint-id", at.id())]).await?;
        let there = there.and_then(|item| item.fields.get("tables").map(texts)).unwrap_or_default();
        let without = |list: &[String], other: &[String]| -> Vec<String> {
            list.iter().filter(|id| !other.contains(id)).cloned().collect()
        };
        let (add, remove) = (without(&wanted, &there), without(&there, &wanted));
        if !add.is_empty() || !remove.is_empty() {
            at.send_to_new(Request::ModifyVpcEndpoint { endpoint: at.id().into(), add, remove }).await?;
        }
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteVpcEndpoint { endpoint: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::VpcEndpoints, &[lives()], outputs).await
    }
}
