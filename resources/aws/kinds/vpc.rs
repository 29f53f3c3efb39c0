//! `vpc`: the workspace's own network, or the one that this machine is in.

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

pub(crate) struct Vpc;

fn lookup() -> Lookup<'static> {
    Lookup { listing: Listing::Vpcs, id: "vpc-id", always: Vec::new(), by_name: true }
}

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into()), ("cidr", item.text("cidr").into())])
}

#[async_trait]
impl Kind for Vpc {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("vpc").replace_on(&["region", "cidr", "working"]).takes(Durations {
            create: 2000,
            ready: 500,
            update: 1000,
            delete: 1000,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let found = find::find(api, &lookup(), subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let mut attributes = Attrs::new();
            for name in ["cidr", "dns_support", "dns_hostnames"] {
                // Of the working network nothing but its tags is ours.
                if let (Some(value), true) = (item.fields.get(name), subject.declared.contains_key(name)) {
                    attributes.insert(name.into(), value.clone());
                }
            }
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        if is_working(at) {
            let item = working(at).await?;
            at.retag(&item.id).await?;
            return Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) });
        }
        let request = Request::CreateVpc { cidr: at.text("cidr")?.into(), tags: tags::on_create(at.call) };
        let item = at.send(request).await?.item;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    /// Names inside the network: machines find each other and the bucket's endpoint by them. Listings do not tell whether
    /// they are on, so this is said whenever the network was made, changed or found again.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let wanted = |name| at.attribute(name).as_bool();
        for (dns_support, dns_hostnames) in [(wanted("dns_support"), None), (None, wanted("dns_hostnames"))] {
            if dns_support.or(dns_hostnames).is_some() {
                let vpc = at.id().into();
                at.send_to_new(Request::ModifyVpc { vpc, dns_support, dns_hostnames }).await?;
            }
        }
        Ok(Attrs::new())
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        if at.recorded("working").as_bool() == Some(true) {
            let keys = [tags::SCOPE, tags::ADDRESS, tags::OPERATION].map(String::from).to_vec();
            return at.remove(Request::DeleteTags { ids: vec![at.id().into()], keys }).await;
        }
        at.remove(Request::DeleteVpc { vpc: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::Vpcs, &[], outputs).await
    }
}

fn is_working(at: &At<'_>) -> bool {
    at.attribute("working").as_bool() == Some(true)
}

/// The network of the machine that this runs on.
pub(crate) async fn working(at: &At<'_>) -> Result<Item, Failure> {
    let nowhere = || {
        Failure::new(FailureKind::Environment, &at.operation, "this machine is no instance of AWS")
            .hint("run it on a machine in the network, or set `use_internal_ips: false`")
    };
    let instance = at.api.here().await.map_err(|e| at.fail(&e))?.ok_or_else(nowhere)?;
    let found = at.one(Listing::Instances, &[Filter::is("instance-id", instance)]).await?.ok_or_else(nowhere)?;
    let vpc = Filter::is("vpc-id", found.text("vpc"));
    at.one(Listing::Vpcs, &[vpc]).await?.ok_or_else(nowhere)
}
