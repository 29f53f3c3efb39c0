//! `zones`: which zones of the region the workspace lies in; read once, then kept, so that subnets never move.

use super::{
    Kind,
    find::{self, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Listing},
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::Value,
};

pub(crate) struct Zones;

#[async_trait]
impl Kind for Zones {
    fn schema(&self) -> KindSchema {
        let read = Durations { create: 300, ready: 0, update: 300, delete: 0 };
        KindSchema::new("zones").replace_on(&["region"]).volatile(&["first", "second"]).takes(read)
    }

    /// What was read stays true: zones do not go away.
    async fn observe(&self, _: &Options, _: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        Ok(find::as_recorded(subjects))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let zones = at
            .list(Listing::Zones, &[Filter::is("state", "available"), Filter::is("zone-type", "availability-zone")])
            .await?;
        let mut names: Vec<String> = zones.into_iter().map(|zone| zone.id).collect();
        names.sort();
        let Some(first) = names.first().cloned() else {
            let none = format!("region {} has no zone that is open to this account", at.api.region());
            return Err(Failure::new(FailureKind::Environment, &at.operation, none).hint("choose another region"));
        };
        // A region with one zone has both private subnets in it.
        let second = names.get(1).cloned().unwrap_or_else(|| first.clone());
        let outputs = attrs([("first", first.into()), ("second", second.into()), ("names", Value::list(names))]);
        Ok(Outcome { id: at.api.region().into(), outputs })
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
