//! How much is asked of AWS.

use crate::account::{Account, BODILESS, DOCUMENTS};
use cloudtik_testkit::lab::Settings;

/// AWS refuses users who ask often, and a large cluster must not ask more often than a small one.
const AT_MOST: usize = 50;

#[test]
fn looking_at_a_thousand_nodes_takes_few_calls() {
    let account = Account::new(Settings { rules: true, ..Settings::default() });
    let bench = &account.bench;
    bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    bench.edit("cluster.yaml", "min_workers: 2\n", "min_workers: 999\n");
    bench.edit("cluster.yaml", "runtime:", "max_workers: 999\nruntime:");
    bench.ok(&[&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat());
    assert_eq!(account.world().of("instance").len(), 1000);
    let launches = account.strict.counts()["ec2:RunInstances"];
    assert!(launches <= 20, "{launches} launches for 1,000 machines");

    let before = account.strict.calls().len();
    account.settled();
    let calls = account.strict.calls_since(before);
    let names: Vec<String> = calls.iter().map(|call| call.name()).collect();
    assert!(names.len() <= AT_MOST, "{}: {names:?}", names.len());
    assert!(!calls.iter().any(|call| call.changes), "{names:?}");
}
