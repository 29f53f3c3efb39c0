//! [`Api`] over Amazon's own SDK, the only module that names it.
//!
//! One file per service says what is asked and how the answer is read; `connect` makes the clients, `error` reads failures,
//! `crate::repeat` decides what is asked again.

mod connect;
mod ec2;
mod ec2_items;
mod error;
mod iam;
mod item;
mod launch_template;
mod rds;
mod run_instances;
mod s3;

pub use connect::Connector;

use crate::{
    api::{Api, ApiError, Cause, Filter, Item, Listing, Reply, Request, Tags},
    rate::Rates,
    repeat::{self, Nature},
};
use async_trait::async_trait;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::time::Duration;

/// The clients of one account in one region.
pub(crate) struct Sdk {
    region: String,
    ec2: aws_sdk_ec2::Client,
    iam: aws_sdk_iam::Client,
    s3: aws_sdk_s3::Client,
    rds: aws_sdk_rds::Client,
    sts: aws_sdk_sts::Client,
    imds: Option<aws_config::imds::Client>,
    rates: Rates,
    /// Pages are asked for as large as the service makes them, but not larger than this.
    page: i32,
}

/// What a call of the SDK answers.
type Answer<T, E> = Result<T, SdkError<E, HttpResponse>>;

impl Sdk {
    /// A call that changes nothing.
    async fn read<T, E, F>(&self, action: &'static str, ask: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Answer<T, E>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.ask(action, Nature::Read, ask).await
    }

    async fn change<T, E, F>(&self, action: &'static str, ask: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Answer<T, E>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.ask(action, Nature::Change(0), ask).await
    }

    async fn ask<T, E, F>(&self, action: &'static str, nature: Nature, ask: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Answer<T, E>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        repeat::run(&self.rates, action, nature, || async { ask().await.map_err(|e| error::read(action, e)) }).await
    }

    /// Every page of a listing. `next` reads the place where the next page starts.
    async fn pages<T, E, F>(
        &self,
        action: &'static str,
        next: impl Fn(&T) -> Option<&str>,
        ask: impl Fn(Option<String>) -> F,
    ) -> Result<Vec<T>, ApiError>
    where
        F: Future<Output = Answer<T, E>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (mut pages, mut from) = (Vec::new(), None);
        loop {
            let page = self.read(action, || ask(from.clone())).await?;
            let then = next(&page).filter(|token| !token.is_empty()).map(String::from);
            pages.push(page);
            if then.is_none() {
                return Ok(pages);
            }
            if then == from {
                return Err(malformed(action, "the same page follows itself"));
            }
            from = then;
        }
    }

    /// The largest page, at most `most`, of which the service says that it allows so many.
    fn page(&self, most: i32) -> i32 {
        self.page.min(most)
    }

    async fn caller(&self) -> Result<Vec<Item>, ApiError> {
        let answer = self.read("GetCallerIdentity", || self.sts.get_caller_identity().send()).await?;
        Ok(vec![item::item(answer.account(), Tags::new(), [("arn", item::text(answer.arn()))])])
    }
}

#[async_trait]
impl Api for Sdk {
    fn region(&self) -> &str {
        &self.region
    }

    async fn list(&self, listing: &Listing, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        use Listing::*;
        match listing {
            Roles => self.roles(filters).await,
            InstanceProfiles => self.instance_profiles(filters).await,
            Buckets => self.buckets(filters).await,
            ObjectVersions { bucket } => self.object_versions(bucket).await,
            Uploads { bucket } => self.uploads(bucket).await,
            DbSubnetGroups => self.db_subnet_groups(filters).await,
            Databases => self.databases(filters).await,
            Caller => self.caller().await,
            _ => self.list_ec2(listing, filters).await,
        }
    }

    async fn call(&self, request: Request) -> Result<Reply, ApiError> {
        use Request::*;
        match &request {
            CreateRole { .. }
            | UpdateRoleTrust { .. }
            | PutRolePolicy { .. }
            | DeleteRolePolicy { .. }
            | AttachRolePolicy { .. }
            | DetachRolePolicy { .. }
            | TagRole { .. }
            | DeleteRole { .. }
            | CreateInstanceProfile { .. }
            | AddRoleToProfile { .. }
            | RemoveRoleFromProfile { .. }
            | TagInstanceProfile { .. }
            | DeleteInstanceProfile { .. } => self.call_iam(request).await.map(reply),
            CreateBucket { .. }
            | EncryptBucket { .. }
            | BlockPublicAccess { .. }
            | TagBucket { .. }
            | DeleteObjects { .. }
            | AbortUpload { .. }
            | DeleteBucket { .. } => self.call_s3(request).await.map(reply),
            CreateDbSubnetGroup { .. }
            | ModifyDbSubnetGroup { .. }
            | DeleteDbSubnetGroup { .. }
            | CreateDatabase { .. }
            | ModifyDatabase { .. }
            | DeleteDatabase { .. }
            | TagDatabase { .. } => self.call_rds(request).await.map(reply),
            RunInstances { config, least, count, token } => {
                let items = self.run_instances(config, *least, *count, token).await?;
                Ok(Reply { item: Item::default(), items })
            }
            _ => self.call_ec2(request).await.map(reply),
        }
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn here(&self) -> Result<Option<String>, ApiError> {
        let Some(imds) = &self.imds else { return Ok(None) };
        // Whatever it fails with: there is no metadata service, or none that this process may ask.
        Ok(imds.get("/latest/meta-data/instance-id").await.ok().map(|id| id.as_ref().to_owned()))
    }
}

fn reply(item: Item) -> Reply {
    Reply { item, items: Vec::new() }
}

fn malformed(action: &str, what: impl Into<String>) -> ApiError {
    ApiError { action: action.into(), cause: Cause::Malformed(what.into()), request_id: None }
}
