//! Graphs to plan: layers in which every resource refers to five of the layer before.

use cloudtik_core::{
    Address, Attrs, Declaration, Scope, Value,
    plan::OperationId,
    state::{Record, Snapshot, Status},
};
use std::{collections::BTreeMap, sync::Arc};

pub fn scope() -> Scope {
    Scope::cluster("bench", "bench")
}

fn address(i: usize) -> Address {
    Address::new(scope(), "thing", &format!("t[{i}]"))
}

/// `n` resources in 20 layers, each but the first layer's with `degree` references into the layer before.
pub fn layers(n: usize, degree: usize) -> Vec<Declaration> {
    let width = n.div_ceil(20);
    (0..n)
        .map(|i| {
            let mut attributes = attributes(i);
            if i >= width {
                let before = (i / width - 1) * width;
                let refs = (0..degree).map(|d| Value::reference(&address(before + (i * 7 + d * 13) % width), "id"));
                attributes.insert("uses".into(), Value::List(refs.collect()));
            }
            Declaration::new(address(i), &"noop".into(), attributes)
        })
        .collect()
}

fn attributes(i: usize) -> Attrs {
    Attrs::from([
        ("image".into(), Value::text("debian-12")),
        ("size".into(), Value::Int((i % 8) as i64)),
        ("tags".into(), Value::map([("cluster", "bench"), ("role", "worker")])),
    ])
}

/// The state after these declarations were applied.
pub fn recorded(declarations: &[Declaration]) -> Snapshot {
    let records: BTreeMap<Address, Arc<Record>> = declarations
        .iter()
        .map(|d| {
            let attributes = cloudtik_core::value::resolve(&d.attributes, &|r| Some(Value::text(r.address.name())));
            let record = Record {
                address: d.address.clone(),
                provider: d.provider.clone(),
                id: d.address.name().into(),
                status: Status::Ready,
                attributes,
                outputs: Attrs::from([("id".into(), Value::text(d.address.name()))]),
                dependencies: d.dependencies(),
                lifecycle: d.lifecycle.clone(),
                operation: OperationId("bench".into()),
                schema: 1,
                made: None,
                deposed: BTreeMap::new(),
                only_deposed: false,
                references: None,
            };
            (d.address.clone(), Arc::new(record))
        })
        .collect();
    Snapshot { lineage: "bench".into(), records, ..Snapshot::empty(&scope()) }
}
