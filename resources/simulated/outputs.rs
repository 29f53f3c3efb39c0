//! What an object tells once it is there. A kind's schema does not list its outputs; what others refer to, and what follows
//! from the inputs, is what a run can notice.

use cloudtik_core::{Address, Attrs, Declaration, Value, schema::KindSchema};
use std::collections::{BTreeMap, BTreeSet};

/// By resource, the names that others refer to.
#[derive(Default)]
pub(crate) struct Wanted(BTreeMap<Address, BTreeSet<String>>);

impl Wanted {
    pub fn learn(&mut self, declaration: &Declaration) {
        for value in declaration.attributes.values() {
            value.references(&mut |reference| {
                self.0.entry(reference.address.clone()).or_default().insert(reference.attribute.to_string());
            });
        }
    }

    /// The outputs of a new object, the `number`th of its world.
    pub fn outputs(&self, address: &Address, id: &str, number: u64, attributes: &Attrs, kind: &KindSchema) -> Attrs {
        let mut outputs = kind.predict.map(|predict| predict(attributes)).unwrap_or_default();
        outputs.entry("id".into()).or_insert_with(|| Value::text(id));
        for name in self.0.get(address).into_iter().flatten() {
            let first = name.split('.').next().unwrap_or(name);
            let given = attributes.contains_key(first) && !kind.volatile.contains(&first);
            if !given && !outputs.contains_key(first) {
                outputs.insert(first.into(), made_up(first, id, number));
            }
        }
        outputs
    }
}

/// A value of the form that its name promises.
fn made_up(name: &str, id: &str, number: u64) -> Value {
    let [.., a, b] = number.to_be_bytes();
    match name {
        "ip" | "private_ip" => Value::text(format!("10.255.{a}.{b}")),
        // 198.18.0.0/15 is for benchmarks and routed nowhere (RFC 2544).
        _ if name.ends_with("ip") || name.ends_with("host") => Value::text(format!("198.18.{a}.{b}")),
        _ if name.ends_with("port") => Value::Int(1024 + i64::from(u16::from_be_bytes([a, b]) % 60_000)),
        _ => Value::text(format!("{id}/{name}")),
    }
}
