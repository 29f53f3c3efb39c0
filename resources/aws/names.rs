//! Which resources a workspace and a cluster have, and the Python tool's names for them.

use crate::{
    api::Tags,
    tags::{NAME, SCOPE},
};
use cloudtik_core::{
    address::{Address, Scope},
    value::{Attrs, Value},
};

/// The addresses of a workspace's resources. Not every workspace has all of them.
pub(crate) struct Names {
    pub scope: Scope,
    pub workspace: String,
}

impl Names {
    pub fn of(workspace: &str) -> Self {
        Names { scope: Scope::workspace(workspace), workspace: workspace.into() }
    }

    fn address(&self, kind: &str, name: &str) -> Address {
        Address::new(self.scope.clone(), kind, name)
    }

    pub fn zones(&self) -> Address {
        self.address("zones", "main")
    }

    pub fn vpc(&self) -> Address {
        self.address("vpc", "main")
    }

    /// `public`, `private-1`, `private-2`.
    pub fn subnet(&self, name: &str) -> Address {
        self.address("subnet", name)
    }

    pub fn internet_gateway(&self) -> Address {
        self.address("internet-gateway", "main")
    }

    /// `public`, `private`.
    pub fn route_table(&self, name: &str) -> Address {
        self.address("route-table", name)
    }

    /// The way out of `public` or `private` subnets; `peering-…` for ways to a peered network.
    pub fn route(&self, name: &str) -> Address {
        self.address("route", name)
    }

    pub fn elastic_ip(&self) -> Address {
        self.address("elastic-ip", "nat")
    }

    pub fn nat_gateway(&self) -> Address {
        self.address("nat-gateway", "main")
    }

    pub fn endpoint(&self) -> Address {
        self.address("vpc-endpoint", "s3")
    }

    pub fn security_group(&self) -> Address {
        self.address("security-group", "main")
    }

    pub fn peering(&self) -> Address {
        self.address("peering", "main")
    }

    /// `head`, `worker`.
    pub fn role(&self, name: &str) -> Address {
        self.address("role", name)
    }

    /// `head`, `worker`.
    pub fn profile(&self, name: &str) -> Address {
        self.address("instance-profile", name)
    }

    pub fn bucket(&self) -> Address {
        self.address("bucket", "default")
    }

    pub fn key_pair(&self) -> Address {
        self.address("key-pair", "main")
    }

    /// `cloudtik-<workspace>-<what>`, the Python tool's name.
    pub fn named(&self, what: &str) -> String {
        format!("cloudtik-{}-{what}", self.workspace)
    }

    /// The tags of an object of that name.
    pub fn tags(&self, name: &str) -> Value {
        tags(&self.scope, [(NAME, name)])
    }
}

/// Declared tags: the mark of the scope, and others.
pub(crate) fn tags<'a>(scope: &Scope, others: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let own = (SCOPE.to_owned(), scope.to_string());
    let others = others.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
    let all: Tags = others.chain([own]).collect();
    Value::Map(all.into_iter().map(|(k, v)| (k, Value::text(v))).collect::<Attrs>())
}
