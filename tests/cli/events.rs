//! The event stream: a published format.

use crate::bench::Bench;
use std::collections::BTreeSet;

/// Every line is an object with an `event` field; returns the names in the order of their first appearance.
fn names(stdout: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for line in stdout.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let name = json["event"].as_str().unwrap_or_else(|| panic!("no event: {line}")).to_string();
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

#[test]
fn each_line_is_an_event() {
    let bench = Bench::new();
    let apply = bench.must("apply . -y --json");
    assert_eq!(apply.stderr, "");
    let order = ["version", "refresh-started", "refresh-finished", "plan", "apply-started"];
    let names = names(&apply.stdout);
    assert_eq!(names[..order.len()], order, "{names:?}");
    assert_eq!(names.last().map(String::as_str), Some("apply-finished"));
}

#[test]
fn names_of_events_are_stable() {
    let bench = Bench::new();
    let mut all = BTreeSet::new();
    for line in ["apply . -y --json", "apply . -y --json", "destroy . -y --json", "plan missing.yaml --json"] {
        all.extend(names(&bench.quiet(line).stdout));
    }
    let known = [
        "apply-finished",
        "apply-started",
        "diagnostic",
        "operation-created",
        "operation-finished",
        "operation-started",
        "plan",
        "refresh-finished",
        "refresh-started",
        "version",
    ];
    assert_eq!(all.iter().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn what_verbs_find_is_the_last_event() {
    let bench = Bench::new();
    bench.must("apply . -y");
    bench.must("plan . --destroy -o down.plan");
    for (line, event) in [
        ("plan .", "plan"),
        ("show down.plan", "plan"),
        ("show", "state"),
        ("refresh .", "refreshed"),
        ("graph .", "graph"),
        ("validate .", "valid"),
        ("config show workspace.yaml", "document"),
        ("workspace status workspace.yaml", "workspace-status"),
        ("workspace info workspace.yaml", "state"),
        ("workspace clusters workspace.yaml", "clusters"),
        ("status cluster.yaml", "status"),
        ("info cluster.yaml", "info"),
        ("head-ip cluster.yaml", "head-ip"),
        ("worker-ips cluster.yaml", "worker-ips"),
        ("history cluster.yaml", "history"),
        ("history cluster.yaml --at r1", "state"),
        ("state list", "state"),
        ("state show subnet.public", "resource"),
        ("state check", "checked"),
        ("state mv workspace/demo:subnet.public workspace/demo:subnet.other", "state-changed"),
    ] {
        let ran = bench.must(&format!("{line} --json"));
        let names = names(&ran.stdout);
        assert_eq!((names[0].as_str(), names.last().unwrap().as_str()), ("version", event), "{line}");
        assert_eq!(ran.stderr, "", "{line}");
    }
    bench.must("state mv workspace/demo:subnet.other workspace/demo:subnet.public");
}
