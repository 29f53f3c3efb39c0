//! Documents, generated: resources built on each other, and edits of them.

use crate::kinds::provider_of;
use cloudtik_core::{Address, Attrs, Declaration, Lifecycle, Needs, Rolling, Scope, Value};
use cloudtik_simulated::Chance;

pub fn scope() -> Scope {
    Scope::cluster("w", "c")
}

#[derive(Clone)]
struct Item {
    kind: &'static str,
    name: String,
    /// What it is built on, earlier in the list.
    on: Option<usize>,
    /// Others that it needs, earlier in the list.
    needs: Vec<(usize, Needs)>,
    /// An input that replaces it, one that changes in place, and one that does the first when it falls.
    values: [u64; 3],
    there: bool,
}

/// A document.
#[derive(Clone)]
pub struct Sketch(Vec<Item>);

/// Kinds with what they are built on.
const TREE: &[(&str, Option<&str>)] = &[
    ("net", None),
    ("role", None),
    ("bucket", None),
    ("sub", Some("net")),
    ("gateway", Some("sub")),
    ("database", Some("sub")),
    ("lb", Some("net")),
    ("instance", Some("sub")),
    ("file", Some("instance")),
    ("service", Some("instance")),
];

impl Sketch {
    pub fn generate(chance: Chance) -> Self {
        let size = 4 + chance.of(&["size"], 0).below(28);
        let mut items: Vec<Item> = Vec::new();
        for n in 0..size {
            let own = chance.of(&["item"], n);
            let (kind, on) = TREE[own.of(&["kind"], 0).below(TREE.len() as u64) as usize];
            let pick = |kind: &str| {
                let all: Vec<usize> = (0..items.len()).filter(|at| items[*at].kind == kind).collect();
                all.get(own.of(&["on", kind], 0).below(all.len() as u64) as usize).copied()
            };
            let base = on.and_then(pick);
            if on.is_some() && base.is_none() {
                // Nothing to build it on yet: that comes first.
                items.push(item("net", n, None, own));
                continue;
            }
            let mut new = item(kind, n, base, own);
            if matches!(kind, "file" | "service") {
                new.name = format!("{}/{}", items[base.unwrap_or(0)].name, new.name);
            }
            for (other, older) in items.iter().enumerate() {
                let own = own.of(&["needs"], other as u64);
                // What lives on a machine is needed by what lives on the same one only.
                let apart = matches!(older.kind, "file" | "service") && older.on != base;
                if !apart && own.happens(2.0 / size as f64) {
                    let needs = if own.of(&["how"], 0).happens(0.5) { Needs::Created } else { Needs::Ready };
                    new.needs.push((other, needs));
                }
            }
            items.push(new);
        }
        Sketch(items)
    }

    /// The same with some things changed, gone or back.
    pub fn edit(&self, chance: Chance) -> Self {
        let mut items = self.0.clone();
        let much = chance.of(&["much"], 0).fraction();
        for (at, item) in items.iter_mut().enumerate() {
            let own = chance.of(&["edit"], at as u64);
            if !own.happens(much) {
                continue;
            }
            match own.of(&["what"], 0).below(5) {
                0 => item.there = !item.there,
                what @ 1..=3 => item.values[what as usize - 1] = own.of(&["value"], 0).below(3),
                _ => item.needs.retain(|(other, _)| other % 2 == 0),
            }
        }
        Sketch(items)
    }

    fn declared(&self, at: usize) -> bool {
        let item = &self.0[at];
        item.there && item.on.is_none_or(|on| self.declared(on))
    }

    fn address(&self, at: usize) -> Address {
        Address::new(scope(), self.0[at].kind, &self.0[at].name)
    }

    pub fn declarations(&self) -> Vec<Declaration> {
        (0..self.0.len()).filter(|at| self.declared(*at)).map(|at| self.declaration(at)).collect()
    }

    fn declaration(&self, at: usize) -> Declaration {
        let item = &self.0[at];
        let [fixed, free, disk] = item.values.map(|value| Value::text(value.to_string()));
        let mut attributes = Attrs::from([("fixed".into(), fixed), ("free".into(), free), ("disk".into(), disk)]);
        if let Some(on) = item.on {
            attributes.insert("on".into(), Value::reference(&self.address(on), "id"));
        }
        for (other, needs) in item.needs.iter().filter(|(other, _)| self.declared(*other)) {
            let output = if self.0[*other].kind == "file" { "digest" } else { "id" };
            let value = match needs {
                Needs::Created => Value::reference_created(&self.address(*other), output),
                Needs::Ready => Value::reference(&self.address(*other), output),
            };
            attributes.insert(format!("needs-{other}"), value);
        }
        let on_node = matches!(item.kind, "file" | "service");
        let rolling = (item.kind == "instance").then(|| Rolling { group: group(&item.name), batch: 2 });
        Declaration::new(self.address(at), &provider_of(item.kind).into(), attributes).lifecycle(Lifecycle {
            gone_with: item.on.filter(|_| on_node).map(|on| self.address(on)),
            drain: item.kind == "service",
            rolling,
            ..Lifecycle::default()
        })
    }
}

fn group(name: &str) -> String {
    name.split('[').next().unwrap_or(name).into()
}

fn item(kind: &'static str, n: u64, on: Option<usize>, chance: Chance) -> Item {
    let values = [0, 1, 2].map(|at| chance.of(&["values"], at).below(3));
    let name = match kind {
        "instance" => format!("{}[{n}]", ["worker", "other"][n as usize % 2]),
        _ => format!("{kind}-{n}"),
    };
    Item { kind, name, on, needs: Vec::new(), values, there: chance.of(&["there"], 0).happens(0.85) }
}
