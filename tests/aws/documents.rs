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
