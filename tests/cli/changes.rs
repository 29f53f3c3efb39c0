//! From nothing to a running cluster and back, on documents that change in between.

use crate::bench::{Bench, EDITED, WORKSPACE};

#[test]
fn nobody_to_ask_means_that_nothing_is_changed() {
    let mut bench = Bench::new();
    assert_eq!(bench.run("apply workspace.yaml").code, 7);
    assert_eq!(bench.run("destroy workspace.yaml").code, 0);
    bench.run("state list");
    bench.compare("apply-unasked");
    bench.must("apply workspace.yaml -y");
    assert_eq!(bench.quiet("destroy workspace.yaml").code, 7);
    assert_eq!(bench.quiet("stop cluster.yaml").code, 0, "nothing to agree to");
    assert_eq!(bench.quiet("plan workspace.yaml --detailed-exitcode").code, 0);
}

#[test]
fn apply_edit_apply_destroy() {
    let mut bench = Bench::new();
    bench.run("apply workspace.yaml -y");
    bench.run("apply workspace.yaml -y");
    bench.remark("allow_internal and a firewall rule are edited");
    bench.write("workspace.yaml", EDITED);
    bench.run("plan workspace.yaml");
    bench.run("apply workspace.yaml -y");
    bench.run("plan workspace.yaml");
    bench.run("history workspace.yaml");
    bench.run("history workspace.yaml --at r1");
    bench.run("history workspace.yaml --at 9");
    bench.compare("workspace-edited");
}

#[test]
fn a_cluster_comes_changes_and_goes() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    bench.run("start cluster.yaml -y");
    bench.run("plan cluster.yaml");
    bench.run("start cluster.yaml -y --min-workers 1");
    bench.run("status cluster.yaml");
    bench.run("info cluster.yaml");
    bench.run("info cluster.yaml --total-workers");
    bench.run("head-ip cluster.yaml");
    bench.run("worker-ips cluster.yaml");
    bench.run("exec cluster.yaml --all-nodes echo $((6*7))");
    bench.run("exec cluster.yaml exit 9");
    bench.run("exec cluster.yaml --node-ip 10.1.1.1 true");
    bench.run("submit cluster.yaml missing.py");
    bench.run("stop cluster.yaml -y");
    bench.run("status cluster.yaml");
    bench.run("head-ip cluster.yaml");
    bench.compare("cluster");
}

#[test]
fn one_document_makes_clusters_of_several_names() {
    let bench = Bench::new();
    bench.must("apply . -y");
    bench.write("job.sh", "#!/bin/sh\nprintf '%s\\n' \"$*\"\n");
    bench.must("start cluster.yaml -n other --min-workers 0 -y");
    let clusters = bench.must("workspace clusters workspace.yaml").stdout;
    assert!(clusters.contains("bare ") && clusters.contains("other "), "{clusters}");
    assert!(bench.must("status cluster.yaml -n other").stdout.starts_with("Total 1 nodes."));
    assert_ne!(bench.must("head-ip cluster.yaml -n other").stdout, bench.must("head-ip cluster.yaml").stdout);
    assert_eq!(bench.must("exec cluster.yaml -n other echo -n hello").stdout, "hello");
    assert_eq!(bench.must("submit cluster.yaml -n other job.sh one -n").stdout, "one -n\n");
    assert!(bench.must("info cluster.yaml -n other").stdout.contains("cloudtik stop cluster.yaml -n other\n"));
    bench.must("stop cluster.yaml -n other -y");
    assert_eq!(bench.quiet("head-ip cluster.yaml -n other").code, 3);
    assert!(bench.must("status cluster.yaml").stdout.starts_with("Total 3 nodes."));
}

#[test]
fn what_is_destroyed_leaves_only_history() {
    let mut bench = Bench::new();
    bench.must("apply . -y");
    bench.run("destroy . -y --delete-managed-storage");
    bench.run("state list");
    bench.run("history workspace.yaml");
    bench.compare("destroyed");
    for scope in ["cluster/demo/bare", "workspace/demo"] {
        bench.must(&format!("state rm --scope {scope}"));
    }
    assert_eq!(left(&bench.path("state")), Vec::<String>::new());
    assert!(!bench.path("home").exists() || left(&bench.path("home")).is_empty());
}

/// Files below a folder.
fn left(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(left(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[test]
fn a_folder_that_vanished_is_drift_and_is_mended() {
    let mut bench = Bench::new();
    bench.write("workspace.yaml", WORKSPACE);
    bench.must("apply workspace.yaml -y");
    std::fs::remove_dir_all(bench.path("state/local/buckets/demo")).unwrap();
    bench.remark("the bucket's folder is removed");
    bench.run("refresh workspace.yaml");
    bench.run("plan workspace.yaml");
    bench.run("apply workspace.yaml -y");
    bench.run("refresh workspace.yaml");
    bench.compare("drift");
}
