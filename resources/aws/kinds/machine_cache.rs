//! `machine-cache`: where the machines of a cluster are left when they are no longer needed, stopped, until others like them
//! are. Nothing of AWS's: machines carry its mark. When it goes, so do they.

use super::{
    Kind,
    find::{self, attrs},
    instance::{Pool, STATES, TOGETHER},
};
use crate::{
    api::{Api, ApiError, Filter, Listing, Request},
    provider::{At, Options},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, Retry},
    provider::{Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
};
use futures::future::try_join_all;
use std::{collections::BTreeSet, sync::Arc};

pub(crate) const KIND: &str = "machine-cache";

pub(crate) struct MachineCache {
    pub pool: Arc<Pool>,
}

#[async_trait]
impl Kind for MachineCache {
    fn schema(&self) -> KindSchema {
        let takes = Durations { create: 1, ready: 0, update: 1, delete: 1500 };
        KindSchema { keeper: true, ..KindSchema::new(KIND).replace_on(&["region"]).takes(takes) }
    }

    async fn observe(&self, _: &Options, _: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        Ok(find::as_recorded(subjects))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let id = at.call.address.short();
        Ok(Outcome { outputs: attrs([("id", id.as_str().into())]), id })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        self.create(at).await
    }

    /// Ends the machines that are in it, listed already or put there a moment ago.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let filters = [
            Filter::new("instance-state-name", STATES),
            Filter::tag(tags::SCOPE, at.call.scope().to_string()),
            Filter::tag(tags::ADDRESS, at.call.address.short()),
        ];
        let listed = at.list(Listing::Instances, &filters).await?;
        let mut ids: BTreeSet<String> = listed.into_iter().map(|item| item.id).collect();
        ids.extend(self.pool.put_for(&at.call.address));
        let ids: Vec<String> = ids.into_iter().collect();
        for ids in ids.chunks(TOGETHER) {
            let Err(error) = at.api.call(Request::TerminateInstances { ids: ids.to_vec() }).await else { continue };
            let failure = at.fail(&error);
            if failure.retry != Retry::Never {
                return Err(failure);
            }
            // One that is gone makes the service refuse all.
            let each = ids.iter().map(|id| at.remove(Request::TerminateInstances { ids: vec![id.clone()] }));
            try_join_all(each).await?;
        }
        Ok(())
    }

    async fn settle(&self, _: &At<'_>) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}
