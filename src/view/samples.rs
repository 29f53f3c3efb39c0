//! Small hand-made plans for the view's tests, and the comparison with the pictures in `cases/`.

use super::{Look, Redactor};
use cloudtik_core::{
    Address, Attrs, Digest, Needs, Origin, Sources, Value,
    plan::{
        Action, AttributeDiff, Change, Drift, Edge, Estimate, FORMAT, Mode, Operation, OperationId, Plan, Reason, Verb,
    },
};
use std::{collections::BTreeMap, path::Path, sync::LazyLock};

static NONE: LazyLock<Redactor> = LazyLock::new(Redactor::default);

pub(crate) fn look() -> Look<'static> {
    Look { width: 80, color: false, redactor: &NONE }
}

/// Compares with `cases/<name>.txt`; with `UPDATE=1` in the environment, writes it instead.
pub(crate) fn assert_case(name: &str, actual: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/view/cases")).join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} differs; UPDATE=1 rewrites it. Now:\n{actual}", path.display());
}

pub(crate) fn sources() -> Sources {
    let text = "provider:\n  type: local\navailable_node_types:\n  head.default:\n    resorces: {cpu: 2}\n    min_workers: 010\n\nprovider: {}\n";
    Sources(BTreeMap::from([("cluster.yaml".into(), text.into())]))
}

pub(crate) fn origin(line: u32, column: u32, length: u32) -> Origin {
    Origin { file: "cluster.yaml".into(), line, column, length }
}

pub(crate) fn cluster(short: &str) -> Address {
    format!("cluster/demo/etl:{short}").parse().unwrap()
}

pub(crate) fn workspace(short: &str) -> Address {
    format!("workspace/demo:{short}").parse().unwrap()
}

pub(crate) fn change(address: Address, action: Action, reasons: Vec<Reason>, diffs: Vec<AttributeDiff>) -> Change {
    Change { address, provider: "local".into(), action, reasons, diffs, operations: Vec::new(), origin: None }
}

pub(crate) fn diff(path: &str, before: impl Into<Value>, after: impl Into<Value>) -> AttributeDiff {
    AttributeDiff { path: path.into(), before: before.into(), after: after.into(), forces_replacement: false }
}

pub(crate) fn create<V: Into<Value>>(address: Address, attributes: Vec<(&str, V)>) -> Change {
    let diffs = attributes.into_iter().map(|(path, value)| diff(path, Value::Unset, value)).collect();
    change(address, Action::Create, vec![Reason::New], diffs)
}

pub(crate) fn plan(changes: Vec<Change>) -> Plan {
    let operation = |c: &Change| Operation {
        id: OperationId(format!("op-{}", c.address.short()).into()),
        address: c.address.clone(),
        provider: c.provider.clone(),
        verb: if c.action.is_destructive() { Verb::Delete } else { Verb::Create },
        attributes: Attrs::new(),
        references: None,
        dependencies: Vec::new(),
        lifecycle: Default::default(),
        prior: None,
        relies_on: BTreeMap::new(),
        found: None,
        promised: Attrs::new(),
        best_effort: false,
        takes_along: Vec::new(),
        expected_ms: 100,
    };
    Plan {
        format: FORMAT,
        mode: Mode::Normal,
        base: BTreeMap::new(),
        documents: Digest("d0c5".repeat(16)),
        operations: changes.iter().filter(|c| c.action.is_change()).map(operation).collect(),
        changes,
        edges: Vec::new(),
        drift: Vec::new(),
        estimate: Estimate::default(),
        warnings: Vec::new(),
        digest: Digest("0123456789abcdef".repeat(4)),
    }
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|i| format!("spark.property.number{i}    {i}00\n")).collect()
}

/// A first apply: a workspace and a cluster of one head and three workers.
pub(crate) fn first() -> Plan {
    let network = workspace("network.main");
    let mut changes = vec![
        create(network.clone(), vec![("cidr", "10.20.0.0/16")]),
        create(
            workspace("firewall.main"),
            vec![
                ("network", Value::reference(&network, "id")),
                (
                    "rules",
                    Value::list((0..9).map(|i| format!("tcp {}/tcp from 10.20.0.0/16 to the head node", 7070 + i))),
                ),
            ],
        ),
    ];
    changes.push(create(
        cluster("instance.head"),
        vec![
            ("cpus", Value::Int(2)),
            (
                "environment",
                Value::map([("JAVA_HOME", "/usr/lib/jvm/java-17-openjdk-amd64"), ("SPARK_HOME", "/opt/spark")]),
            ),
            ("ip", Value::Unknown),
            ("network", Value::reference_created(&network, "bridge")),
            (
                "password",
                Value::Secret(cloudtik_core::Secret {
                    source: "env:PASSWORD".into(),
                    fingerprint: Some("f00d".into()),
                }),
            ),
        ],
    ));
    for i in 0..3 {
        let node = cluster(&format!("instance.worker.default[{i}]"));
        changes.push(create(
            node.clone(),
            vec![
                ("cpus", Value::Int(1)),
                ("hostname", Value::text(format!("etl-worker-{i}"))),
                ("network", Value::reference_created(&network, "bridge")),
            ],
        ));
        changes.push(create(
            cluster(&format!("file.worker.default[{i}]/spark-defaults.conf")),
            vec![
                (
                    "content",
                    Value::concat([
                        Value::text("spark.master    spark://"),
                        Value::reference(&cluster("instance.head"), "ip"),
                        Value::text(format!(":7077\n{}", lines(0..42))),
                    ]),
                ),
                ("mode", Value::text("0644")),
                ("node", Value::reference(&node, "id")),
                (
                    "url",
                    Value::concat([
                        Value::text("spark://"),
                        Value::reference(&cluster("instance.head"), "ip"),
                        Value::text(":7077"),
                    ]),
                ),
            ],
        ));
    }
    let mut plan = plan(changes);
    let kinds = ["network", "firewall", "instance", "file"];
    let of = |kind: &str| {
        let of_kind = plan.operations.iter().enumerate().filter(|(_, o)| o.address.kind() == kind);
        of_kind.map(|(i, _)| u32::try_from(i).unwrap()).collect::<Vec<_>>()
    };
    for pair in kinds.windows(2) {
        let (before, after) = (of(pair[0]), of(pair[1]));
        let edges =
            before.iter().flat_map(|from| after.iter().map(|to| Edge { from: *from, to: *to, needs: Needs::Ready }));
        plan.edges.extend(edges.collect::<Vec<_>>());
    }
    plan.estimate.milliseconds = 41_200;
    plan.estimate.critical_path = [
        "network.main",
        "instance.head",
        "artifact.head/spark",
        "service.head/spark-master",
        "service.worker.default[0]/spark-worker",
    ]
    .map(cluster)
    .to_vec();
    plan
}

/// An edit: a subnet replaced, a setting changed on every node, a worker taken away, drift.
pub(crate) fn edit() -> Plan {
    let subnet = workspace("subnet.private");
    let mut forced = diff("cidr", "10.20.1.0/24", "10.20.2.0/24");
    forced.forces_replacement = true;
    let mut changes = vec![
        change(
            subnet.clone(),
            Action::Replace,
            vec![Reason::Immutable { path: "cidr".into() }],
            vec![forced, diff("id", "br-4711", Value::Unknown)],
        ),
        change(workspace("bucket.data"), Action::Forget, vec![Reason::Retained], vec![]),
        change(workspace("network.main"), Action::Keep, vec![], vec![]),
    ];
    let (old, new) =
        (lines(0..40), lines(0..40).replace("number20    2000", "number20    4096").replace("number39    3900\n", ""));
    for node in ["head", "worker.default[0]", "worker.default[1]"] {
        changes.push(change(
            cluster(&format!("file.{node}/spark-defaults.conf")),
            Action::Update,
            vec![Reason::Changed { path: "content".into() }],
            vec![diff("content", old.as_str(), new.as_str())],
        ));
        let service = if node == "head" { "spark-history" } else { "spark-worker" };
        changes.push(change(
            cluster(&format!("service.{node}/{service}")),
            Action::Update,
            vec![Reason::Changed { path: "config.spark-defaults.conf".into() }],
            vec![diff("config.spark-defaults.conf", "0c9a6b", "77fe12")],
        ));
    }
    let gone = cluster("instance.worker.default[2]");
    changes.push(change(gone.clone(), Action::Delete, vec![Reason::Undeclared], vec![]));
    for inner in [
        "file.worker.default[2]/spark-defaults.conf",
        "file.worker.default[2]/spark-env.sh",
        "service.worker.default[2]/spark-worker",
    ] {
        changes.push(change(cluster(inner), Action::Delete, vec![Reason::GoneWith { address: gone.clone() }], vec![]));
    }
    let moved = Value::concat([Value::text("host "), Value::reference(&subnet, "gateway"), Value::text("\nport 53\n")]);
    let reasons = vec![Reason::Changed { path: "content".into() }];
    let diffs = vec![diff("content", "host 10.20.1.1\nport 53\n", moved)];
    changes.push(change(cluster("file.head/resolv.conf"), Action::Update, reasons, diffs));
    changes.push(change(
        workspace("role.nodes"),
        Action::Update,
        vec![Reason::Drifted { path: "policy".into() }],
        vec![
            diff("policy", r#"{"Allow":["read","write"],"Version":1}"#, r#"{"Allow":["read"],"Version":1}"#),
            diff("tags", Value::map([("a", "1"), ("b", "2")]), Value::map([("a", "1"), ("b", "3"), ("c", "4")])),
        ],
    ));
    changes.sort_by(|a, b| a.address.cmp(&b.address));
    let mut plan = plan(changes);
    plan.drift = vec![
        Drift {
            address: workspace("role.nodes"),
            diffs: Some(vec![diff(
                "policy",
                r#"{"Allow":["read"],"Version":1}"#,
                r#"{"Allow":["read","write"],"Version":1}"#,
            )]),
            broken: None,
        },
        Drift {
            address: cluster("service.head/spark-history"),
            diffs: Some(vec![]),
            broken: Some("port 18080 does not answer".into()),
        },
        Drift { address: cluster("instance.worker.default[2]"), diffs: None, broken: None },
    ];
    plan.estimate.milliseconds = 12_000;
    plan.estimate.critical_path = [subnet, cluster("instance.worker.default[0]")].to_vec();
    plan
}
