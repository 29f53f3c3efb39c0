//! What a provider says of each kind of resource it manages: how attributes compare and change, and how long things take.

use crate::value::{Attrs, Value};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

/// What changing an attribute costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    InPlace,
    Replace,
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
    pub durations: Durations,
    /// How long after a create the service may still answer "absent".
    pub consistency_window: Duration,
    /// Outputs that follow from the inputs alone, so that a plan can already show them.
    pub predict: Option<fn(&Attrs) -> Attrs>,
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
            durations: Durations::default(),
            consistency_window: Duration::ZERO,
            predict: None,
        }
    }

    pub fn replace_on(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self.attribute(name).on_change = OnChange::Replace;
        }
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

    pub fn on_change(&self, name: &str) -> OnChange {
        self.find(name).map_or(OnChange::InPlace, |a| a.on_change)
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

/// Every kind that a binary knows, by name.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<&'static str, KindSchema>);

impl Kinds {
    pub fn new(kinds: impl IntoIterator<Item = KindSchema>) -> Self {
        Kinds(kinds.into_iter().map(|k| (k.kind, k)).collect())
    }

    pub fn get(&self, kind: &str) -> Option<&KindSchema> {
        self.0.get(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
