//! Stands for provider `ssh`: a machine answers when packets would reach it, and not before.

use async_trait::async_trait;
use cloudtik_aws::api::{Api, Filter, Item, Listing};
use cloudtik_core::{
    Attrs, Value,
    failure::{Failure, FailureKind},
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
};
use std::sync::Arc;

pub struct Reach {
    pub api: Arc<dyn Api>,
}

impl Reach {
    async fn list(&self, listing: Listing, filters: &[Filter]) -> Result<Vec<Item>, Failure> {
        let told = |error| Failure::new(FailureKind::Bug, "look at the world", format!("{error:?}"));
        self.api.list(&listing, filters).await.map_err(told)
    }

    /// Where the packets of a subnet to the internet go: a gateway, or a NAT gateway that works.
    async fn way_out(&self, subnet: &str) -> Result<Option<String>, Failure> {
        let mut tables = self.list(Listing::RouteTables, &[Filter::is("association.subnet-id", subnet)]).await?;
        if tables.is_empty() {
            let subnet = self.list(Listing::Subnets, &[Filter::is("subnet-id", subnet)]).await?.pop();
            let vpc = subnet.map(|subnet| subnet.text("vpc").to_owned()).unwrap_or_default();
            let main = [Filter::is("vpc-id", vpc), Filter::is("association.main", "true")];
            tables = self.list(Listing::RouteTables, &main).await?;
        }
        let routes = tables.iter().filter_map(|table| table.fields["routes"].as_list()).flatten();
        let out = |route: &&Value| {
            route.at("destination") == Some(&Value::text("0.0.0.0/0"))
                && route.at("state") == Some(&Value::text("active"))
        };
        let Some(route) = routes.into_iter().find(out) else { return Ok(None) };
        let Some(nat) = route.at("nat").and_then(Value::as_text) else { return Ok(Some("gateway".into())) };
        let works = [Filter::is("nat-gateway-id", nat), Filter::is("state", "available")];
        Ok(self.list(Listing::NatGateways, &works).await?.pop().map(|_| "nat".into()))
    }
}

fn unreachable(what: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Unreachable, "connect", what)
}

#[async_trait]
impl Provider for Reach {
    fn name(&self) -> cloudtik_core::ProviderName {
        "ssh".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        vec![KindSchema::new("connection").volatile(&["connection"])]
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let seen = |subject: &cloudtik_core::provider::Subject| match &subject.record {
            Some(record) => Presence::Present {
                id: record.id.clone(),
                attributes: Attrs::new(),
                outputs: record.outputs.clone(),
                owned: true,
                healthy: Health::Ok,
            },
            None => Presence::Absent,
        };
        Ok(refresh.subjects.iter().map(|s| Observed { address: s.address.clone(), presence: seen(s) }).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        Ok(Outcome { id: call.address.short(), outputs: Attrs::new() })
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let text = |name: &str| call.attributes.get(name).and_then(Value::as_text).unwrap_or_default();
        let filter = if text("host").starts_with("10.") { "private-ip-address" } else { "ip-address" };
        let host = [Filter::is(filter, text("host")), Filter::is("instance-state-name", "running")];
        let machine = self.list(Listing::Instances, &host).await?.pop();
        let machine = machine.ok_or_else(|| unreachable(format!("nothing runs at `{}`", text("host"))))?;
        let wanted = if machine.text("public_ip").is_empty() { "nat" } else { "gateway" };
        let way = self.way_out(machine.text("subnet")).await?;
        if way.as_deref() != Some(wanted) {
            return Err(unreachable(format!("{} has no way out by {wanted}: {way:?}", call.address.short())));
        }
        let keys = call.attributes.get("host_keys").and_then(Value::as_list).unwrap_or_default();
        if keys.is_empty() {
            return Err(unreachable(format!("no host key of {} is known", call.address.short())));
        }
        Ok([("connection".to_owned(), call.attributes["host"].clone())].into())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.create(call).await
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &Call) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}
