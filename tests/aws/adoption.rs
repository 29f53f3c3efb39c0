//! A workspace that the Python tool made becomes ours, as it is.

use crate::account::Account;
use cloudtik_testkit::lab::Settings;
use std::collections::BTreeSet;

#[test]
fn a_workspace_of_the_python_tool_is_taken_over() {
    let account = Account::new(Settings::strict());
    let empty = account.world();
    account.bench.edit("workspace.yaml", "[198.51.100.0/24]", "[0.0.0.0/0]");
    account.python_tool("demo");
    let theirs = account.world();

    let refused = account.bench.run(&["workspace", "create", "workspace.yaml", "--yes"]);
    assert_eq!(refused.code, 3, "what is there already is taken over only when asked: {}{}", refused.out, refused.err);
    account.world().nothing_left(&theirs);
    account.bench.ok(&["adopt", "workspace.yaml", "--yes"]);
    let ours = account.world();
    // Nothing was made beside it but a key, which that tool has none of; nothing went, and everything has its id.
    for (kind, count) in theirs.counts() {
        let ids = |world: &cloudtik_testkit::lab::World| -> BTreeSet<String> {
            world.of(kind).into_keys().map(String::from).collect()
        };
        assert_eq!(ids(&ours), ids(&theirs), "{kind}, {count} before");
    }
    let mut counts = ours.counts();
    assert_eq!(counts.remove("key_pair"), Some(1));
    assert_eq!(counts, theirs.counts());
    let plan = account.bench.run(&["plan", "workspace.yaml", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}{}", plan.out, plan.err);

    account.bench.ok(&["workspace", "delete", "workspace.yaml", "--yes", "--delete-managed-storage"]);
    account.world().nothing_left(&empty);
}
