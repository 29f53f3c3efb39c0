//! Two runs on one scope.

use crate::bench::Bench;
use cloudtik_core::{
    Scope,
    state::{Holder, Store},
};
use cloudtik_redb::RedbStore;

/// The test itself is the first run: it holds the lock for as long as the second one needs to find that out.
#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let bench = Bench::new();
    bench.must("apply . -y");
    let holder = Holder {
        user: "grace".into(),
        host: "laptop".into(),
        pid: std::process::id(),
        started: 0,
        since: "2026-01-02T03:04:05Z".parse().unwrap(),
        machine: String::new(),
        doing: "destroy".into(),
    };
    let lock = RedbStore::new(bench.path("state")).lock(&Scope::workspace("demo"), &holder).unwrap();
    for line in ["apply workspace.yaml -y", "destroy . -y", "workspace update workspace.yaml -y"] {
        let ran = bench.quiet(line);
        assert_eq!(ran.code, 5, "{line}: {}", ran.stderr);
        // The owner's number is as long as it is: the message is compared without its line breaks.
        let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = format!(
            "error[locked]: workspace/demo is locked by grace (pid {} on laptop), `destroy` since 2026-01-02T03:04:05Z \
             hint: wait for it to end, or interrupt it there 1 error",
            std::process::id()
        );
        assert_eq!(said, expected, "{line}");
    }
    for line in
        ["plan .", "state list", "workspace info workspace.yaml", "history workspace.yaml", "status cluster.yaml"]
    {
        assert_eq!(bench.quiet(line).code, 0, "reading never waits: {line}");
    }
    drop(lock);
    bench.must("apply . -y");
}
