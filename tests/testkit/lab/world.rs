//! Everything that exists in one region, as data.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Things by kind and id. Kinds are those of `tests/lab/aws_lab/world.py`: `vpc`, `instance`, `role` …; each thing has `name`,
/// `tags` and a few facts. What AWS makes by itself (default VPCs, a VPC's main route table) is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    things: BTreeMap<String, BTreeMap<String, Json>>,
}

impl World {
    pub(super) fn from_json(json: Json) -> Self {
        let things = serde_json::from_value(json).expect("a world is kinds of things by id");
        World { things }
    }

    /// Things of a kind by id.
    pub fn of(&self, kind: &str) -> BTreeMap<&str, &Json> {
        self.things.get(kind).into_iter().flatten().map(|(id, thing)| (id.as_str(), thing)).collect()
    }

    /// How many things of each kind there are; kinds without any are left out.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        self.things.iter().map(|(kind, things)| (kind.as_str(), things.len())).collect()
    }

    /// The values of a tag over everything that has it, sorted, each as often as it occurs.
    pub fn tagged(&self, tag: &str) -> Vec<&str> {
        let things = self.things.values().flat_map(BTreeMap::values);
        let mut found: Vec<_> = things.filter_map(|thing| thing["tags"][tag].as_str()).collect();
        found.sort_unstable();
        found
    }

    /// What is here and not in `before`, then what was there and is gone or other than it was: a line for each.
    pub fn since(&self, before: &World) -> Vec<String> {
        let all = |world: &World| -> BTreeSet<(String, String)> {
            let kinds = world.things.iter();
            kinds.flat_map(|(kind, things)| things.keys().map(|id| (kind.clone(), id.clone()))).collect()
        };
        let (now, then) = (all(self), all(before));
        let text = |world: &World, (kind, id): &(String, String)| format!("{kind} {id} {}", world.things[kind][id]);
        let new = now.difference(&then).map(|key| format!("+ {}", text(self, key)));
        let gone = then.difference(&now).map(|key| format!("- {}", text(before, key)));
        let other = now.intersection(&then).filter(|(kind, id)| self.things[kind][id] != before.things[kind][id]);
        let other = other.map(|key| format!("~ {}, it was {}", text(self, key), text(before, key)));
        new.chain(gone).chain(other).collect()
    }

    /// Nothing was made and nothing else was touched since `before`.
    #[track_caller]
    pub fn nothing_left(&self, before: &World) {
        assert_eq!(self.since(before), [""; 0]);
    }
}
