//! `route-table`: where packets of its subnets go. The public one is the network's main table; its routes are a kind of
//! their own, so that machines need not wait for the slow ones.

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
    schema::{Canonical, Durations, KindSchema},
    value::{Attrs, Value},
};
use std::time::Duration;

pub(crate) struct RouteTable;

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

/// Explicit associations: (association, subnet).
fn associations(item: &Item) -> Vec<(String, String)> {
    let all = item.fields.get("associations").and_then(Value::as_list).into_iter().flatten();
    let text = |value: &Value, name: &str| value.at(name).and_then(Value::as_text).map(String::from);
    all.filter_map(|a| Some((text(a, "id")?, text(a, "subnet")?))).collect()
}

#[async_trait]
impl Kind for RouteTable {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("route-table")
            .replace_on(&["region", "vpc", "main"])
            .canonical(Canonical::Set, &["subnets"])
            .takes(Durations { create: 2500, ready: 0, update: 1500, delete: 2000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::RouteTables, id: "route-table-id", always: Vec::new(), by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let mut attributes = attrs([("vpc", item.text("vpc").into())]);
            if subject.declared.contains_key("main") {
                attributes.insert("main".into(), item.flag("main").into());
            }
            if subject.declared.contains_key("subnets") {
                let subnets = associations(item).into_iter().map(|(_, subnet)| subnet);
                attributes.insert("subnets".into(), Value::list(subnets));
            }
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let vpc = at.text("vpc")?;
        if at.attribute("main").as_bool() == Some(true) {
            let filters = [Filter::is("vpc-id", vpc), Filter::is("association.main", "true")];
            let item = at.one(Listing::RouteTables, &filters).await?.ok_or_else(|| {
                let what = "the network has no main route table yet";
                Failure::new(FailureKind::NotFound, &at.operation, what).retry(cloudtik_core::Retry::Backoff)
            })?;
            at.retag(&item.id).await?;
            return Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) });
        }
        let request = Request::CreateRouteTable { vpc: vpc.into(), tags: tags::on_create(at.call) };
        let item = at.send_to_new(request).await?.item;
        associate(at, &item).await?;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = at.one(Listing::RouteTables, &[Filter::is("route-table-id", at.id())]).await?;
        if let Some(item) = item {
            associate(at, &item).await?;
        }
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        // The main table goes with its network; what was ours of it are its tags.
        if at.recorded("main").as_bool() == Some(true) {
            let declared = at.call.record.as_ref().map(|r| tags::declared(&r.attributes)).unwrap_or_default();
            let keys = declared.into_keys().chain([tags::ADDRESS.to_owned(), tags::OPERATION.to_owned()]).collect();
            return at.remove(Request::DeleteTags { ids: vec![at.id().into()], keys }).await;
        }
        let found = match at.one(Listing::RouteTables, &[Filter::is("route-table-id", at.id())]).await {
            Err(failure) if failure.kind == FailureKind::NotFound => None,
            other => other?,
        };
        let Some(item) = found else { return Ok(()) };
        for (association, _) in associations(&item) {
            at.remove(Request::DisassociateRouteTable { association }).await?;
        }
        at.remove(Request::DeleteRouteTable { table: item.id }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::RouteTables, &[], outputs).await
    }
}

/// Makes the table that of the declared subnets, and of no others.
async fn associate(at: &At<'_>, table: &Item) -> Result<(), Failure> {
    let wanted = at.texts("subnets");
    let there = associations(table);
    for subnet in wanted.iter().filter(|subnet| !there.iter().any(|(_, s)| s == *subnet)) {
        let request = Request::AssociateRouteTable { table: table.id.clone(), subnet: subnet.clone() };
        at.send_to_new(request).await?;
    }
    for (association, _) in there.into_iter().filter(|(_, subnet)| !wanted.contains(subnet)) {
        at.remove(Request::DisassociateRouteTable { association }).await?;
    }
    Ok(())
}
