//! `db-subnet-group`: the subnets that a managed database may lie in.

use super::{
    Kind,
    find::{self, Seen, attrs},
    named,
};
use crate::{
    api::{Api, ApiError, Item, Listing, Request},
    provider::{At, Options, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::Failure,
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::Value,
};
use std::{collections::BTreeSet, time::Duration};

pub(crate) struct DbSubnetGroup;

fn outcome(name: &str, item: &Item) -> Outcome {
    Outcome { id: name.into(), outputs: attrs([("id", name.into()), ("arn", item.text("arn").into())]) }
}

fn subnets(item: &Item) -> Vec<String> {
    item.fields.get("subnets").map(texts).unwrap_or_default()
}

#[async_trait]
impl Kind for DbSubnetGroup {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("db-subnet-group")
            .replace_on(&["region", "name", "description"])
            .canonical(Canonical::Set, &["subnets"])
            .takes(Durations { create: 1500, ready: 0, update: 1000, delete: 1000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let found = named::find(api, &Listing::DbSubnetGroups, subjects).await?;
        Ok(find::observed(subjects, found, |_, item| Seen {
            attributes: attrs([("subnets", Value::list(subnets(item)))]),
            outputs: outcome(&item.id, item).outputs,
            healthy: Health::Ok,
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let name = at.text("name")?;
        let request = Request::CreateDbSubnetGroup {
            name: name.into(),
            description: at.attribute("description").as_text().unwrap_or(name).into(),
            subnets: at.texts("subnets"),
            tags: tags::on_create(at.call),
        };
        let item = named::create(at, request, Listing::DbSubnetGroups, "a database subnet group").await?;
        Ok(outcome(name, &item))
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = named::present(at, Listing::DbSubnetGroups).await?;
        let wanted = at.texts("subnets");
        if wanted.iter().collect::<BTreeSet<_>>() != subnets(&item).iter().collect() {
            at.send(Request::ModifyDbSubnetGroup { name: at.id().into(), subnets: wanted }).await?;
        }
        named::retag_database(at, &item).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteDbSubnetGroup { name: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        named::settle(at, Listing::DbSubnetGroups, outcome).await
    }
}
