//! The verbs of workspaces, and what ties clusters to them.

use crate::bench::Bench;

#[test]
fn a_workspace_by_its_own_verbs() {
    let mut bench = Bench::new();
    bench.run("workspace status workspace.yaml");
    bench.run("workspace create workspace.yaml -y");
    bench.run("workspace status workspace.yaml");
    bench.run("workspace info workspace.yaml");
    bench.run("workspace clusters workspace.yaml");
    bench.run("workspace update workspace.yaml -y");
    bench.run("workspace info cluster.yaml");
    bench.run("status workspace.yaml");
    bench.compare("workspace");
}

#[test]
fn the_bucket_survives_unless_asked_otherwise() {
    let mut bench = Bench::new();
    bench.must("workspace create workspace.yaml -y");
    bench.write("state/local/buckets/demo/precious", "data");
    bench.run("workspace delete workspace.yaml -y");
    assert_eq!(bench.read("state/local/buckets/demo/precious"), "data");
    bench.run("workspace status workspace.yaml");
    bench.run("workspace create workspace.yaml -y");
    assert_eq!(bench.read("state/local/buckets/demo/precious"), "data");
    bench.run("workspace delete workspace.yaml -y --delete-managed-storage");
    assert!(!bench.path("state/local/buckets/demo").exists());
    bench.compare("bucket");
}

#[test]
fn a_workspace_in_use_is_not_destroyed() {
    let mut bench = Bench::new();
    bench.must("apply . -y");
    let ran = bench.run("workspace delete workspace.yaml -y");
    assert_ne!(ran.code, 0);
    bench.run("workspace clusters workspace.yaml");
    bench.run("plan .");
    bench.must("stop cluster.yaml -y");
    bench.must("workspace delete workspace.yaml -y");
    bench.compare("in-use");
}

#[test]
fn a_cluster_needs_its_workspace() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("plan cluster.yaml").code, 3);
    assert_eq!(bench.run("start cluster.yaml -y").code, 3);
    bench.run("stop cluster.yaml -y");
    bench.compare("no-workspace");
}

#[test]
fn what_a_workspace_has_beside_its_clusters() {
    let mut bench = Bench::new();
    bench.write("storage.yaml", "workspace_name: demo\nstorage_name: raw\nprovider: {type: local}\n");
    bench.must("workspace create workspace.yaml -y");
    bench.run("workspace storages workspace.yaml");
    bench.run("workspace list-databases workspace.yaml");
    assert_eq!(bench.run("storage create storage.yaml -y").code, 3);
    bench.run("storage info storage.yaml -n other");
    bench.run("storage delete storage.yaml -y");
    assert_eq!(bench.run("database create storage.yaml").code, 3);
    assert_eq!(bench.run("storage create workspace.yaml").code, 3);
    bench.compare("belongings");
}
