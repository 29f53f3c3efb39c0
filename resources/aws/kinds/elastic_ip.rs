//! `elastic-ip`: a public address that stays.

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
    failure::Failure,
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::Attrs,
};
use std::time::Duration;

pub(crate) struct ElasticIp;

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into()), ("ip", item.text("ip").into())])
}

/// The Python tool leaves its address without a name: it is the one of the gateway that has the name.
async fn of_gateways(api: &dyn Api, subjects: &[Subject], found: &mut [Option<Item>]) -> Result<(), ApiError> {
    let unknown = |(subject, found): &(&Subject, &mut Option<Item>)| subject.record.is_none() && found.is_none();
    for (subject, found) in subjects.iter().zip(found).filter(unknown) {
        let Some(name) = find::name(subject) else { continue };
        let gateways = api.list(&Listing::NatGateways, &[Filter::is("tag:Name", name)]).await?;
        let free = |item: &&Item| !item.tags.contains_key(tags::SCOPE);
        let Some(gateway) = gateways.iter().find(free) else { continue };
        let allocation = Filter::is("allocation-id", gateway.text("allocation"));
        *found = api.list(&Listing::Addresses, &[allocation]).await?.into_iter().find(|item| free(&item));
    }
    Ok(())
}

#[async_trait]
impl Kind for ElasticIp {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("elastic-ip").replace_on(&["region"]).takes(Durations {
            create: 1500,
            ready: 0,
            update: 500,
            delete: 1000,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::Addresses, id: "allocation-id", always: Vec::new(), by_name: true };
        let mut found = find::find(api, &lookup, subjects).await?;
        of_gateways(api, subjects, &mut found).await?;
        Ok(find::observed(subjects, found, |_, item| Seen {
            attributes: Attrs::new(),
            outputs: outputs(item),
            healthy: Health::Ok,
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = at.send(Request::AllocateAddress { tags: tags::on_create(at.call) }).await?.item;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::ReleaseAddress { allocation: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::Addresses, &[], outputs).await
    }
}
