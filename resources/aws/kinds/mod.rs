//! One file per kind of resource.
//!
//! A create is a call that is tagged with its operation (or carries it as client token), then calls that may all be
//! repeated. What a kind cannot finish at once shows as a difference in the next refresh and is mended by `update`.

mod attachment;
mod bucket;
pub(crate) mod database;
mod db_subnet_group;
mod elastic_ip;
mod endpoint;
mod find;
mod image;
mod instance;
mod instance_profile;
mod internet_gateway;
mod key_pair;
mod machine_cache;
mod named;
mod nat_gateway;
mod peering;
mod role;
mod route;
mod route_table;
mod security_group;
mod subnet;
mod volume;
mod vpc;
mod vpc_endpoint;
mod working_network;
mod zones;

#[cfg(test)]
mod tests;

use crate::{
    api::{Api, ApiError},
    provider::{At, Options},
};
use async_trait::async_trait;
use cloudtik_core::{
    batch::BatchKey,
    failure::Failure,
    provider::{Call, Observed, Outcome, Settled, Subject},
    schema::KindSchema,
    value::Attrs,
};
use futures::future::join_all;
use std::sync::Arc;

/// One kind's part of the provider. Everything may be repeated.
#[async_trait]
pub(crate) trait Kind: Send + Sync {
    fn schema(&self) -> KindSchema;

    /// Observes all subjects of one account and region together. Answers every subject exactly once.
    async fn observe(&self, options: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError>;

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure>;

    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let _ = at;
        Ok(Attrs::new())
    }

    /// As [`cloudtik_core::provider::Provider::batch`].
    fn batch(&self, _: &Call) -> Option<BatchKey> {
        None
    }

    /// Creates what one batch holds, in its order. Only called for kinds that have batches.
    async fn create_many(&self, all: &[At<'_>]) -> Vec<Result<Outcome, Failure>> {
        join_all(all.iter().map(|at| self.create(at))).await
    }

    /// Deletes what one batch holds, in its order.
    async fn delete_many(&self, all: &[At<'_>]) -> Vec<Result<(), Failure>> {
        join_all(all.iter().map(|at| self.delete(at))).await
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure>;

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure>;

    /// What the create of this call left. Errors when the service cannot be asked.
    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure>;
}

pub(crate) fn all() -> Vec<Box<dyn Kind>> {
    let pool: Arc<instance::Pool> = Arc::default();
    vec![
        Box::new(zones::Zones),
        Box::new(working_network::WorkingNetwork),
        Box::new(vpc::Vpc),
        Box::new(subnet::Subnet),
        Box::new(internet_gateway::InternetGateway),
        Box::new(route_table::RouteTable),
        Box::new(route::Route),
        Box::new(elastic_ip::ElasticIp),
        Box::new(nat_gateway::NatGateway),
        Box::new(vpc_endpoint::VpcEndpoint),
        Box::new(security_group::SecurityGroup),
        Box::new(peering::Peering),
        Box::new(role::Role),
        Box::new(instance_profile::InstanceProfile),
        Box::new(bucket::Bucket),
        Box::new(db_subnet_group::DbSubnetGroup),
        Box::new(database::Database),
        Box::new(image::Image),
        Box::new(key_pair::KeyPair),
        Box::new(instance::Instance::with(pool.clone())),
        Box::new(machine_cache::MachineCache { pool }),
        Box::new(volume::Volume),
        Box::new(attachment::Attachment),
        Box::new(endpoint::Endpoint),
    ]
}
