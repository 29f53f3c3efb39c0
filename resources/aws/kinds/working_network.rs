//! `working-network`: the network of the machine that this runs on, read once: its range, its route tables, and a /16
//! beside it that is free for the workspace.

use super::{
    Kind,
    find::{self, attrs},
    vpc,
};
use crate::{
    api::{Api, ApiError, Filter, Listing},
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    cidr::Cidr,
    failure::{Failure, FailureKind},
    provider::{Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::Value,
};

pub(crate) struct WorkingNetwork;

#[async_trait]
impl Kind for WorkingNetwork {
    fn schema(&self) -> KindSchema {
        let outputs = ["id", "cidr", "free_cidr", "main_table", "tables"];
        let read = Durations { create: 800, ready: 0, update: 800, delete: 0 };
        KindSchema::new("working-network").replace_on(&["region"]).volatile(&outputs).takes(read)
    }

    async fn observe(&self, _: &Options, _: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        Ok(find::as_recorded(subjects))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let network = vpc::working(at).await?;
        let tables = at.list(Listing::RouteTables, &[Filter::is("vpc-id", &network.id)]).await?;
        let main = tables.iter().find(|table| table.flag("main")).map(|table| table.id.clone()).unwrap_or_default();
        let cidr = network.text("cidr");
        let mut taken: Vec<Cidr> = cidr.parse().into_iter().collect();
        for route in tables.iter().flat_map(|t| t.fields.get("routes").and_then(Value::as_list).into_iter().flatten()) {
            let destination = route.at("destination").and_then(Value::as_text).and_then(|d| d.parse::<Cidr>().ok());
            taken.extend(destination.filter(|cidr| cidr.prefix > 0));
        }
        let outputs = attrs([
            ("id", network.id.as_str().into()),
            ("cidr", cidr.into()),
            ("free_cidr", free(cidr, &taken, at)?.to_string().into()),
            ("main_table", main.into()),
            ("tables", Value::list(tables.iter().map(|table| table.id.as_str()))),
        ]);
        Ok(Outcome { id: network.id, outputs })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        self.create(at).await
    }

    async fn delete(&self, _: &At<'_>) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &At<'_>) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}

/// The first /16 of the working network's first octet that overlaps neither the network nor its routes.
fn free(cidr: &str, taken: &[Cidr], at: &At<'_>) -> Result<Cidr, Failure> {
    let all: Option<Cidr> = cidr.parse().ok().map(|c: Cidr| Cidr::new(c.base, 8));
    let mut parts = (0..=u32::from(u8::MAX)).map_while(|index| all?.part(16, index));
    parts.find(|part| !taken.iter().any(|other| other.overlaps(part))).ok_or_else(|| {
        Failure::new(FailureKind::Exhausted, &at.operation, format!("no /16 beside {cidr} is free for the workspace"))
            .hint("set `use_working_vpc: true`")
    })
}
