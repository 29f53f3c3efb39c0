//! The first documents that a user of the Python tool writes, key for key.

use crate::account::Account;
use cloudtik_testkit::lab::Settings;

const WORKSPACE: &str = "\
workspace_name: example-workspace
provider:
    type: aws
    region: us-west-2
    allowed_ssh_sources:
      - 0.0.0.0/0
";

const CLUSTER: &str = "\
from: aws/standard
workspace_name: example-workspace
cluster_name: example
provider:
    type: aws
    region: us-west-2
auth:
    ssh_user: ubuntu
available_node_types:
    worker.default:
        min_workers: 3
";

/// With its default runtimes, too: planned, since nothing can be installed on instances without bodies.
#[test]
fn documents_of_the_python_tool_are_taken_as_they_are() {
    let account = Account::new(Settings::strict());
    let before = account.world();
    account.bench.write("workspace.yaml", WORKSPACE);
    account.bench.write("cluster.yaml", CLUSTER);
    account.bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    let plan = account.bench.ok(&["plan", "cluster.yaml"]).out;
    assert!(plan.contains("instance.worker.default[0..2] ×3"), "{plan}");

    account.bench.write("cluster.yaml", &format!("{CLUSTER}runtime:\n    types: []\n"));
    account.converge();
    assert_eq!(account.world().of("instance").len(), 4);
    let status = account.bench.ok(&["workspace", "status", "workspace.yaml"]);
    assert!(!status.out.is_empty(), "{}", status.err);
    account.destroy();
    account.world().nothing_left(&before);
}

/// A rehearsal asks nothing of AWS, knows its rates and times, and ends as it should in rough weather, too.
#[test]
fn documents_are_rehearsed_without_a_call() {
    let account = Account::new(Settings::strict());
    account.bench.write("workspace.yaml", WORKSPACE);
    account.bench.write("cluster.yaml", &CLUSTER.replace("min_workers: 3", "min_workers: 100"));
    let rehearse = |more: &[&str]| {
        let line = [&["apply", "workspace.yaml", "cluster.yaml", "--simulate"], more].concat();
        account.bench.ok(&line).out
    };
    let calm = rehearse(&[]);
    assert!(calm.contains("nat-gateway.main") && calm.contains("instance.worker.default[0..99] ×100"), "{calm}");
    assert_eq!(calm, rehearse(&["--seed", "1"]), "the same world once more");
    for seed in ["1", "2", "3"] {
        let rough = rehearse(&["--chaos", "--seed", seed]);
        assert!(rough.contains("Simulated: complete"), "{rough}");
    }
    assert_eq!(account.strict.calls().len(), 0);
}
