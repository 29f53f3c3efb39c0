//! What a provider says of each kind of resource it manages: how attributes compare and change, and how long things take.

use crate::{
    address::{Address, ProviderName},
    state::Record,
    value::{Attrs, Value},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// What changing an attribute costs.
#[derive(Clone, Copy, Debug)]
pub enum OnChange {
    InPlace,
    Replace,
    /// Depends on the values: a disk may grow in place and not shrink. Gets the value before and after, either of which
    /// may be unset or not yet known; `true` replaces.
    ReplaceIf(fn(&Value, &Value) -> bool),
}

/// How two spellings of one value are recognised as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canonical {
    Exact,
    /// Text that holds JSON.
    Json,
    /// A list whose order means nothing.
    Set,
}

#[derive(Clone, Debug)]
pub struct AttributeSchema {
    pub name: &'static str,
    pub on_change: OnChange,
    pub canonical: Canonical,
}

/// Typical times, in milliseconds; they order work and predict its end, nothing waits for them.
#[derive(Clone, Copy, Debug)]
pub struct Durations {
    pub create: u32,
    /// From created to ready.
    pub ready: u32,
    pub update: u32,
    pub delete: u32,
}

impl Default for Durations {
    fn default() -> Self {
        Durations { create: 100, ready: 0, update: 100, delete: 100 }
    }
}

/// One kind of resource. Attributes that are not listed change in place and compare exactly.
#[derive(Clone, Debug)]
pub struct KindSchema {
    pub kind: &'static str,
    /// Raised when the meaning of recorded attributes changes.
    pub version: u32,
    pub attributes: Vec<AttributeSchema>,
    /// Outputs that an update may change. All other outputs survive updates.
    pub volatile: Vec<&'static str>,
    /// Replacements make the new object before the old one goes.
    pub create_before_destroy: bool,
    /// Destroying it loses user data: kept unless asked otherwise.
    pub holds_data: bool,
    /// It cannot stay without what it is built on: a database without its subnets, unlike a disk without its machine.
    pub rooted: bool,
    pub durations: Durations,
    /// How long after a create the service may still answer "absent".
    pub consistency_window: Duration,
    /// Outputs that follow from the inputs alone, so that a plan can already show them.
    pub predict: Option<fn(&Attrs) -> Attrs>,
    /// Objects of other kinds are left to it when they are deleted, and wait in it to be used again.
    pub keeper: bool,
    /// For an object whose deletion does not end it: the resource that it is left to, and goes with, as recorded.
    pub kept_by: Option<fn(&Record) -> Option<Address>>,
}

impl KindSchema {
    pub fn new(kind: &'static str) -> Self {
        KindSchema {
            kind,
            version: 1,
            attributes: Vec::new(),
            volatile: Vec::new(),
            create_before_destroy: false,
            holds_data: false,
            rooted: false,
            durations: Durations::default(),
            consistency_window: Duration::ZERO,
            predict: None,
            keeper: false,
            kept_by: None,
        }
    }

    pub fn replace_on(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self.attribute(name).on_change = OnChange::Replace;
        }
        self
    }

    /// Replaced when `replaces` says so of the value before and after; otherwise changed in place.
    pub fn replace_if(mut self, name: &'static str, replaces: fn(&Value, &Value) -> bool) -> Self {
        self.attribute(name).on_change = OnChange::ReplaceIf(replaces);
        self
    }

    pub fn canonical(mut self, canonical: Canonical, names: &[&'static str]) -> Self {
        for name in names {
            self.attribute(name).canonical = canonical;
        }
        self
    }

    pub fn volatile(mut self, names: &[&'static str]) -> Self {
        self.volatile.extend_from_slice(names);
        self
    }

    pub fn visible_within(mut self, window: Duration) -> Self {
        self.consistency_window = window;
        self
    }

    pub fn takes(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    pub fn predicts(mut self, predict: fn(&Attrs) -> Attrs) -> Self {
        self.predict = Some(predict);
        self
    }

    pub fn create_before_destroy(mut self) -> Self {
        self.create_before_destroy = true;
        self
    }

    pub fn rooted(mut self) -> Self {
        self.rooted = true;
        self
    }

    pub fn holds_data(mut self) -> Self {
        self.holds_data = true;
        self
    }

    fn attribute(&mut self, name: &'static str) -> &mut AttributeSchema {
        let at = self.attributes.iter().position(|a| a.name == name).unwrap_or_else(|| {
            self.attributes.push(AttributeSchema { name, on_change: OnChange::InPlace, canonical: Canonical::Exact });
            self.attributes.len() - 1
        });
        &mut self.attributes[at]
    }

    fn find(&self, name: &str) -> Option<&AttributeSchema> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// Whether an attribute that changes from `before` to `after` needs a new object.
    pub fn replaces(&self, name: &str, before: &Value, after: &Value) -> bool {
        match self.find(name).map_or(OnChange::InPlace, |a| a.on_change) {
            OnChange::InPlace => false,
            OnChange::Replace => true,
            OnChange::ReplaceIf(replaces) => replaces(before, after),
        }
    }

    /// Whether two values of an attribute mean the same. Unset equals missing.
    pub fn same(&self, name: &str, a: &Value, b: &Value) -> bool {
        if a == b {
            return true;
        }
        match self.find(name).map_or(Canonical::Exact, |s| s.canonical) {
            Canonical::Exact => a.pruned() == b.pruned(),
            Canonical::Json => match (parse(a), parse(b)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
            Canonical::Set => match (a, b) {
                (Value::List(a), Value::List(b)) => sorted(a) == sorted(b),
                _ => false,
            },
        }
    }
}

fn parse(value: &Value) -> Option<Json> {
    serde_json::from_str(value.as_text()?).ok()
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut items: Vec<String> =
        items.iter().map(|v| serde_json::to_string(&v.pruned()).expect("a value is always JSON")).collect();
    items.sort();
    items.dedup();
    items
}

/// Every kind that a binary knows. A kind belongs to its provider: each may have an `instance` of its own.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<ProviderName, BTreeMap<&'static str, KindSchema>>);

impl Kinds {
    pub fn new(kinds: impl IntoIterator<Item = (ProviderName, Vec<KindSchema>)>) -> Self {
        let by_name = |kinds: Vec<KindSchema>| kinds.into_iter().map(|k| (k.kind, k)).collect();
        Kinds(kinds.into_iter().map(|(provider, kinds)| (provider, by_name(kinds))).collect())
    }

    pub fn get(&self, provider: &ProviderName, kind: &str) -> Option<&KindSchema> {
        self.0.get(provider)?.get(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_one_name_are_kept_apart_by_their_provider() {
        let long = Durations { create: 9, ..Durations::default() };
        let kinds = Kinds::new([
            ("local".into(), vec![KindSchema::new("instance")]),
            ("aws".into(), vec![KindSchema::new("instance").takes(long), KindSchema::new("image")]),
        ]);
        assert_eq!(kinds.get(&"local".into(), "instance").map(|k| k.durations.create), Some(100));
        assert_eq!(kinds.get(&"aws".into(), "instance").map(|k| k.durations.create), Some(9));
        assert!(kinds.get(&"local".into(), "image").is_none());
    }

    #[test]
    fn equal_meanings_compare_equal() {
        let kind =
            KindSchema::new("role").canonical(Canonical::Json, &["policy"]).canonical(Canonical::Set, &["zones"]);
        assert!(kind.same("policy", &Value::text("{\"a\": 1}"), &Value::text("{\"a\":1}")));
        assert!(!kind.same("policy", &Value::text("{\"a\": 1}"), &Value::text("{\"a\":2}")));
        assert!(kind.same("zones", &Value::list(["b", "a"]), &Value::list(["a", "b"])));
        assert!(!kind.same("other", &Value::list(["b", "a"]), &Value::list(["a", "b"])));
        let (with, without) = (Value::map([("a", Value::Unset)]), Value::Map(Attrs::new()));
        assert!(kind.same("tags", &with, &without));
    }
}
