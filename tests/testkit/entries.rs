//! Records and journal entries to test stores with. Deterministic: the same arguments give the same bytes.

use cloudtik_core::{
    Address, Attrs, Needs, Scope, Secret, Value,
    batch::Batch,
    declaration::{Dependency, Lifecycle, Rolling},
    digest,
    plan::{OperationId, Verb},
    state::{Deposed, Entry, Holder, Intent, Mutation, Record, Revision, Status},
};
use jiff::Timestamp;

pub fn cluster() -> Scope {
    Scope::cluster("lake", "etl")
}

pub fn address(scope: &Scope, name: &str) -> Address {
    Address::new(scope.clone(), "instance", name)
}

pub fn operation(id: impl ToString) -> OperationId {
    OperationId(id.to_string().into())
}

/// A moment that depends on nothing but `second`.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("small numbers are seconds")
}

/// This process, as a holder that does `doing`.
pub fn holder(doing: &str) -> Holder {
    let (user, host) = ("tester".into(), "here".into());
    Holder {
        user,
        host,
        pid: std::process::id(),
        started: 7,
        since: at(0),
        machine: String::new(),
        doing: doing.into(),
    }
}

/// A ready record; `version` is in its id and attributes.
pub fn record(scope: &Scope, name: &str, version: u64) -> Record {
    Record {
        address: address(scope, name),
        provider: "local".into(),
        id: format!("{name}-{version}"),
        status: Status::Ready,
        attributes: Attrs::from([("version".into(), Value::Int(version as i64))]),
        outputs: Attrs::from([("ip".into(), Value::text(format!("10.0.0.{version}")))]),
        references: None,
        dependencies: Vec::new(),
        lifecycle: Lifecycle::default(),
        operation: operation(format!("{name}-{version}")),
        schema: 1,
        made: None,
        deposed: Default::default(),
        only_deposed: false,
    }
}

/// A record that uses every variant of every field.
pub fn full_record(scope: &Scope, name: &str) -> Record {
    let reference = Value::reference(&address(scope, "other"), "ip");
    let values = [
        ("unset", Value::Unset),
        ("bool", Value::Bool(true)),
        ("int", Value::Int(i64::MIN)),
        ("float", Value::Float(0.1)),
        ("whole", Value::Float(3.0)),
        ("text", Value::text("ü\n\"\u{0}$")),
        ("list", Value::list([Value::Unset, Value::list(["a"])])),
        ("map", Value::map([("spark.executor.memory", Value::text("1g")), ("n", Value::Int(1))])),
        ("dollar", Value::map([("$unset", true)])),
        ("unknown", Value::Unknown),
        ("secret", Value::Secret(Secret { source: "env:TOKEN".into(), fingerprint: Some("f00".into()) })),
        ("reference", reference.clone()),
        ("created", Value::reference_created(&address(scope, "other"), "a.b")),
        ("concat", Value::concat([Value::text("http://"), reference, Value::text(":80")])),
    ];
    let attributes: Attrs = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let deposed = Deposed { id: "old".into(), attributes: attributes.clone(), outputs: attributes.clone() };
    Record {
        status: Status::Created,
        outputs: attributes.clone(),
        references: Some(attributes.clone()),
        attributes,
        dependencies: vec![Dependency { address: address(scope, "other"), needs: Needs::Created }],
        lifecycle: Lifecycle {
            prevent_destroy: true,
            retain: true,
            create_before_destroy: Some(false),
            rolling: Some(Rolling { group: "workers".into(), batch: 2 }),
            gone_with: Some(address(scope, "parent")),
            drain: true,
        },
        deposed: [("k".to_owned(), deposed)].into(),
        only_deposed: true,
        ..record(scope, name, 1)
    }
}

/// An intent that is the second of three in a batch.
pub fn batched(scope: &Scope, name: &str, id: impl ToString) -> Entry {
    let Entry::Intent(intent) = self::intent(scope, name, id) else { unreachable!("it makes intents") };
    Entry::Intent(Intent { batch: Some(Batch { id: "b".into(), index: 1, count: 3 }), ..intent })
}

pub fn intent(scope: &Scope, name: &str, id: impl ToString) -> Entry {
    Entry::Intent(Intent {
        operation: operation(id),
        address: address(scope, name),
        provider: "local".into(),
        verb: Verb::Create,
        attributes: Attrs::from([("name".into(), Value::text(name))]),
        references: None,
        dependencies: Vec::new(),
        lifecycle: Lifecycle::default(),
        batch: None,
        at: at(1),
    })
}

/// The result of operation `id`.
pub fn result(id: impl ToString, mutations: Vec<Mutation>) -> Entry {
    Entry::Result { operation: operation(id), mutations, failure: None, at: at(2) }
}

pub fn edit(mutations: Vec<Mutation>) -> Entry {
    Entry::Edit { what: "test".into(), mutations, at: at(3) }
}

pub fn put(record: Record) -> Mutation {
    Mutation::Put(Box::new(record))
}

pub fn remove(scope: &Scope, name: &str) -> Mutation {
    Mutation::Remove(address(scope, name))
}

pub fn revision(number: u64, resources: usize) -> Entry {
    Entry::Revision(Revision {
        number,
        at: at(number as i64),
        who: "tester@here".into(),
        plan: digest::of(&number),
        command: "apply".into(),
        done: resources,
        failed: 0,
        skipped: 0,
        resources,
    })
}

/// An endless history of a scope with all kinds of entries, numbered from 1: the one with that number.
///
/// Operations open and close, records come, change and go, and every sixteenth entry ends a revision.
pub fn history(scope: &Scope, number: u64) -> Entry {
    let name = format!("worker[{}]", (number / 2) % 7);
    match number % 16 {
        0 => revision(number / 16, 7),
        n if n % 8 == 3 => batched(scope, &name, number),
        n if n % 2 == 1 => intent(scope, &name, number),
        14 => result(number - 1, vec![remove(scope, &name)]),
        6 => edit(vec![put(full_record(scope, "edited")), put(record(scope, &name, number))]),
        _ => result(number - 1, vec![put(record(scope, &name, number))]),
    }
}

/// Several of them.
pub fn histories(scope: &Scope, numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    numbers.map(|n| history(scope, n)).collect()
}
