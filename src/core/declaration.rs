//! What the documents ask for, resource by resource.

use crate::{
    address::{Address, ProviderName},
    origin::Origin,
    value::{Attrs, Needs, Value},
};
use serde::{Deserialize, Serialize};

/// Another resource that must come first, beyond those named by references.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dependency {
    pub address: Address,
    pub needs: Needs,
}

/// Replaced or updated only a few at a time: at most `batch` members of `group` are away at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    pub group: String,
    pub batch: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// A plan that would delete or replace it is refused.
    #[serde(default)]
    pub prevent_destroy: bool,
    /// Destroy forgets it and leaves the real thing alone.
    #[serde(default)]
    pub retain: bool,
    /// Overrides the kind's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_before_destroy: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// Its parts die with it, so they need no delete call of their own: the address of the resource that takes it along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_with: Option<Address>,
    /// It is stopped in order before what it lives in goes: a worker whose tasks move away first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
}

/// One resource as documents ask for it. `attributes` may hold references, never [`crate::value::Value::Unknown`].
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub address: Address,
    pub provider: ProviderName,
    pub attributes: Attrs,
    pub depends_on: Vec<Dependency>,
    pub lifecycle: Lifecycle,
    pub origin: Option<Origin>,
}

impl Declaration {
    pub fn new(address: Address, provider: &ProviderName, attributes: Attrs) -> Self {
        Declaration {
            address,
            provider: provider.clone(),
            attributes,
            depends_on: Vec::new(),
            lifecycle: Lifecycle::default(),
            origin: None,
        }
    }

    pub fn after(mut self, address: &Address, needs: Needs) -> Self {
        self.depends_on.push(Dependency { address: address.clone(), needs });
        self
    }

    pub fn lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    pub fn written_at(mut self, origin: Option<&Origin>) -> Self {
        self.origin = origin.cloned();
        self
    }

    /// The attributes that hold references, unresolved; `None` for what is built on nothing.
    pub fn references(&self) -> Option<Attrs> {
        let refers = |value: &Value| {
            let mut any = false;
            value.references(&mut |_| any = true);
            any
        };
        let depends = !self.depends_on.is_empty() || self.attributes.values().any(refers);
        depends
            .then(|| self.attributes.iter().filter(|(_, v)| refers(v)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    /// Every resource that must come first, each once, with the stronger need. Sorted.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let mut found = std::collections::BTreeMap::<Address, Needs>::new();
        let mut add = |address: &Address, needs: Needs| {
            let entry = found.entry(address.clone()).or_insert(needs);
            *entry = (*entry).max(needs);
        };
        for value in self.attributes.values() {
            value.references(&mut |r| add(&r.address, r.needs));
        }
        for dependency in &self.depends_on {
            add(&dependency.address, dependency.needs);
        }
        found.into_iter().map(|(address, needs)| Dependency { address, needs }).collect()
    }
}
