//! `internet-gateway`: the network's way to and from the internet.

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

pub(crate) struct InternetGateway;

const CAP: Duration = Duration::from_secs(2);
/// How long an attachment may be missing in lists.
const PATIENCE: Duration = Duration::from_secs(60);

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

#[async_trait]
impl Kind for InternetGateway {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("internet-gateway").replace_on(&["region", "vpc"]).takes(Durations {
            create: 1500,
            ready: 0,
            update: 700,
            delete: 1500,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup =
            Lookup { listing: Listing::InternetGateways, id: "internet-gateway-id", always: Vec::new(), by_name: true };
        let found = find::find(api, &lookup, subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let vpc = item.text("vpc");
            // One that a killed run left unattached is attached, not replaced.
            let healthy = match vpc {
                "" => Health::Broken("not attached to the network".into()),
                _ => Health::Ok,
            };
            let recorded = subject.record.as_ref().and_then(|record| record.attributes.get("vpc"));
            let vpc = match (vpc, recorded) {
                ("", Some(recorded)) => recorded.clone(),
                ("", None) => subject.declared.get("vpc").cloned().unwrap_or_default(),
                (vpc, _) => vpc.into(),
            };
            Seen { attributes: attrs([("vpc", vpc)]), outputs: outputs(item), healthy }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = at.send(Request::CreateInternetGateway { tags: tags::on_create(at.call) }).await?.item;
        attach(at, &item.id).await?;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    /// A gateway whose create was cut off may exist unattached: readiness is being attached.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let item = at.one(Listing::InternetGateways, &by_id(at.id())).await?;
        if item.is_none_or(|item| item.text("vpc") != at.text("vpc").unwrap_or_default()) {
            attach(at, at.id()).await?;
        }
        Ok(Attrs::new())
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let found = at.one(Listing::InternetGateways, &by_id(at.id())).await;
        let found = match found {
            Err(failure) if failure.kind == FailureKind::NotFound => None,
            other => other?,
        };
        let Some(item) = found else { return Ok(()) };
        if !item.text("vpc").is_empty() {
            let vpc = item.text("vpc").into();
            at.remove(Request::DetachInternetGateway { gateway: item.id.clone(), vpc }).await?;
        }
        at.remove(Request::DeleteInternetGateway { gateway: item.id }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::InternetGateways, &[], outputs).await
    }
}

async fn attach(at: &At<'_>, gateway: &str) -> Result<(), Failure> {
    let vpc = at.text("vpc")?;
    let request = Request::AttachInternetGateway { gateway: gateway.into(), vpc: vpc.into() };
    match at.send_to_new(request).await {
        // By an earlier try, or to somebody else's network. The service knows before its lists do.
        Err(failure) if failure.kind == FailureKind::AlreadyExists => {
            let attached = |item: Option<&Item>| Ok(item.is_some_and(|item| !item.text("vpc").is_empty()));
            let awaits = "its attachment to become visible";
            let item = at.poll(Listing::InternetGateways, &by_id(gateway), awaits, CAP, PATIENCE, attached).await?;
            if item.is_some_and(|item| item.text("vpc") == vpc) { Ok(()) } else { Err(failure) }
        }
        other => other.map(drop),
    }
}

fn by_id(gateway: &str) -> [Filter; 1] {
    [Filter::is("internet-gateway-id", gateway)]
}
