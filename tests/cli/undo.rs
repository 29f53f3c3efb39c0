//! Revisions: compared, and gone back to.

use crate::bench::{Bench, EDITED, WORKSPACE};

#[test]
fn a_workspace_goes_back() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    bench.write("workspace.yaml", EDITED);
    bench.must("apply workspace.yaml -y");
    bench.run("diff workspace.yaml r1..r2");
    assert_eq!(bench.quiet("diff workspace.yaml r1..r2 --detailed-exitcode").code, 2);
    assert_eq!(
        bench.quiet("diff workspace.yaml r1").stdout.lines().count(),
        bench.quiet("diff workspace.yaml r1..2").stdout.lines().count()
    );
    bench.run("diff workspace.yaml r2..r2 --detailed-exitcode");
    bench.run("plan workspace.yaml --to r2");
    bench.run("plan workspace.yaml --to r1 -o back.plan");
    bench.run("apply back.plan -y");
    bench.run("diff workspace.yaml r1");
    bench.remark("the document says what it said");
    bench.run("plan workspace.yaml --detailed-exitcode");
    bench.run("apply workspace.yaml --to 2 -y");
    bench.run("plan workspace.yaml --detailed-exitcode");
    bench.run("history workspace.yaml");
    bench.compare("undo-workspace");
}

#[test]
fn what_has_no_revision_to_go_to_is_refused() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    bench.must("plan workspace.yaml -o any.plan");
    bench.run("diff workspace.yaml r7");
    bench.run("plan workspace.yaml --to yesterday");
    bench.run("plan . --to r1");
    bench.run("apply any.plan --to r1 -y");
    assert_eq!(bench.run("plan workspace.yaml --to r1 --destroy").code, 64);
    bench.compare("undo-refused");
}

/// What the document says today has no part in it, and nothing is left of the nodes.
#[test]
fn a_cluster_and_what_is_on_it_go_back() {
    let mut bench = Bench::new();
    bench.write("workspace.yaml", WORKSPACE);
    bench.must("apply . -y");
    let nodes = bench.must("worker-ips cluster.yaml").stdout.lines().count();
    bench.must("start cluster.yaml --min-workers 0 -y");
    bench.must("stop cluster.yaml -y");
    bench.run("diff cluster.yaml r1..r2");
    let json: serde_json::Value =
        serde_json::from_str(bench.must("diff cluster.yaml r2..r1 --json").stdout.lines().last().unwrap()).unwrap();
    assert_eq!(json["counts"]["create"], 2, "{json}");
    bench.run("plan cluster.yaml --to r1");
    bench.must("apply cluster.yaml --to r1 -y");
    assert_eq!(bench.must("worker-ips cluster.yaml").stdout.lines().count(), nodes);
    assert_eq!(bench.quiet("plan cluster.yaml --detailed-exitcode").code, 0, "the document says the same");
    bench.must("stop cluster.yaml -y");
    bench.compare("undo-cluster");
}
