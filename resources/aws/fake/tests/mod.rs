//! The fake against AWS's own rules.

mod front;
mod machines;
mod network;
mod others;

use super::{Fake, Settings};
use crate::{
    api::{Api, Filter, Item, Listing, Request, Tags, Target},
    provider::Account,
};
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};

/// A fake and its default account's client. Runs on a paused clock.
struct Lab {
    fake: Fake,
    api: Arc<dyn Api>,
}

impl Lab {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let fake = Fake::new(settings);
        Lab { api: fake.client(&Account::default()), fake }
    }

    async fn wait(&self, seconds: u64) {
        self.api.pause(Duration::from_secs(seconds)).await;
    }

    /// Makes something, and waits until others see it.
    async fn make(&self, request: Request) -> Item {
        let item = self.api.call(request).await.unwrap().item;
        self.wait(2).await;
        item
    }

    async fn done(&self, request: Request) {
        self.make(request).await;
    }

    /// The error code of a call; empty when it succeeds.
    async fn code(&self, request: Request) -> String {
        self.api.call(request).await.err().map(|error| error.code().to_owned()).unwrap_or_default()
    }

    async fn list(&self, listing: Listing, filters: &[Filter]) -> Vec<Item> {
        self.api.list(&listing, filters).await.unwrap()
    }

    async fn one(&self, listing: Listing, filter: &str, value: &str) -> Item {
        self.list(listing, &[Filter::is(filter, value)]).await.pop().unwrap()
    }

    async fn vpc(&self, cidr: &str) -> String {
        self.make(Request::CreateVpc { cidr: cidr.into(), tags: Tags::new() }).await.id
    }

    async fn subnet(&self, vpc: &str, cidr: &str) -> String {
        self.make(subnet(vpc, cidr, Some("us-east-1a"))).await.id
    }

    async fn group(&self, vpc: &str, name: &str) -> String {
        self.make(group(vpc, name)).await.id
    }

    async fn gateway(&self, vpc: &str) -> String {
        let gateway = self.make(Request::CreateInternetGateway { tags: Tags::new() }).await.id;
        self.done(Request::AttachInternetGateway { gateway: gateway.clone(), vpc: vpc.into() }).await;
        gateway
    }

    async fn image(&self) -> String {
        let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*";
        let owners = vec!["099720109477".into()];
        self.list(Listing::Images { owners }, &[Filter::is("name", name)]).await[0].id.clone()
    }

    /// A network with one subnet and a group, and the request of a machine in it.
    async fn machines(&self) -> (String, String, Json) {
        let vpc = self.vpc("10.0.0.0/16").await;
        let subnet = self.subnet(&vpc, "10.0.1.0/24").await;
        let group = self.group(&vpc, "nodes").await;
        let config = json!({
            "ImageId": self.image().await,
            "InstanceType": "m5.xlarge",
            "SubnetId": subnet,
            "SecurityGroupIds": [group],
        });
        (vpc, subnet, config)
    }
}

fn subnet(vpc: &str, cidr: &str, zone: Option<&str>) -> Request {
    Request::CreateSubnet { vpc: vpc.into(), cidr: cidr.into(), zone: zone.map(String::from), tags: Tags::new() }
}

fn group(vpc: &str, name: &str) -> Request {
    Request::CreateSecurityGroup { vpc: vpc.into(), name: name.into(), description: name.into(), tags: Tags::new() }
}

fn run(config: &Json, count: usize, token: &str) -> Request {
    Request::RunInstances { config: config.clone(), least: count, count, token: token.into() }
}

fn with(config: &Json, name: &str, value: Json) -> Json {
    let mut config = config.clone();
    config[name] = value;
    config
}

fn route(table: &str, destination: &str, target: Target) -> Request {
    Request::CreateRoute { table: table.into(), destination: destination.into(), target }
}

fn tags(entries: &[(&str, &str)]) -> Tags {
    entries.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
}
