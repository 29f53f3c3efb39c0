//! What goes wrong on AWS: nothing is lost, nothing is made twice, and the user reads what happened.

use crate::account::{Account, BODILESS, DOCUMENTS, looks_like, shape};
use cloudtik_testkit::lab::{Fault, Settings};
use std::time::Duration;

/// An account whose documents were never applied, and what it looks like when they are.
fn expected() -> Vec<String> {
    static SHAPE: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let made = || {
        let account = Account::new(Settings::strict());
        account.converge();
        shape(&account.world())
    };
    SHAPE.get_or_init(made).clone()
}

/// Applies with these faults, which must not keep the program from its goal.
#[track_caller]
fn overcome(faults: &[Fault]) {
    let account = Account::new(Settings::strict());
    account.strict.order(faults);
    account.converge();
    assert!(account.strict.calls().iter().any(|call| call.fault.is_some()), "no call was hit");
    looks_like(&account.world(), &expected(), "in the end");
}

/// Applies with these faults, which stop the program: it says why and in which words, keeps what it has, and goes on from
/// there when they are over.
#[track_caller]
fn stopped(faults: &[Fault], words: &[&str]) {
    let account = Account::new(Settings::strict());
    let before = account.world();
    account.strict.order(faults);
    let run = account.bench.run(&[&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat());
    assert!(matches!(run.code, 1 | 4), "exit code {}: {}{}", run.code, run.out, run.err);
    for word in words {
        assert!(run.err.contains(word), "`{word}` in {}", run.err);
    }
    assert!(!run.err.contains("panicked"), "{}", run.err);
    account.strict.order(&[]);
    account.converge();
    looks_like(&account.world(), &expected(), "in the end");
    account.destroy();
    account.world().nothing_left(&before);
}

const CREATES: &str = "ec2:(Create|Run|Allocate|Attach|Associate|Authorize)|iam:(Create|Add|Attach)|s3:(Create|Put)";

#[test]
fn throttling_is_waited_for() {
    overcome(&[Fault::throttle(CREATES).times(12)]);
}

#[test]
fn a_low_rate_is_kept_to() {
    let account = Account::new(Settings { rate: 8.0, burst: 10.0, ..Settings::strict() });
    account.converge();
    looks_like(&account.world(), &expected(), "in the end");
}

#[test]
fn errors_of_the_server_are_tried_again() {
    overcome(&[Fault::server_error("ec2:Create", 500).times(3), Fault::server_error("ec2:Create", 503).times(3)]);
}

#[test]
fn slow_answers_are_waited_for() {
    overcome(&[Fault::delay("ec2:Create(Vpc|Subnet)", Duration::from_secs(3)).times(4)]);
}

#[test]
fn cut_connections_are_made_again() {
    overcome(&[Fault::reset("ec2:(Create|Describe)").times(5)]);
}

#[test]
fn a_lost_answer_makes_nothing_twice() {
    let actions = [
        "ec2:CreateVpc$",
        "ec2:CreateSubnet",
        "ec2:CreateInternetGateway",
        "ec2:CreateRouteTable",
        "ec2:AllocateAddress",
        "ec2:CreateNatGateway",
        "ec2:CreateSecurityGroup",
        "ec2:RunInstances",
        "ec2:CreateVpcEndpoint",
        "iam:CreateRole",
        "iam:CreateInstanceProfile",
        "s3:CreateBucket",
        "ec2:ImportKeyPair|ec2:CreateKeyPair",
    ];
    // Each waits until what was made would be visible.
    std::thread::scope(|scope| {
        for some in actions.chunks(4) {
            scope.spawn(|| some.iter().for_each(|action| overcome(&[Fault::lost(action)])));
        }
    });
}

#[test]
fn what_is_not_visible_yet_is_waited_for() {
    overcome(&[Fault::hidden("ec2:(Create|Run|Allocate)", Duration::from_secs(3)).times(30)]);
}

#[test]
fn lists_may_lag() {
    let account = Account::new(Settings { list_lag: 3.0, ..Settings::strict() });
    account.converge();
    looks_like(&account.world(), &expected(), "in the end");
}

#[test]
fn a_lack_of_capacity_is_told() {
    stopped(
        &[Fault::error("ec2:RunInstances", "InsufficientInstanceCapacity").always()],
        &["InsufficientInstanceCapacity"],
    );
}

#[test]
fn fewer_machines_than_asked_for_are_completed() {
    let account = Account::new(Settings::strict());
    account.bench.edit("cluster.yaml", "min_workers: 2", "min_workers: 6");
    account.strict.order(&[Fault::partial(4).with("MaxCount", "^6$")]);
    let run = account.bench.run(&[&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat());
    assert!(matches!(run.code, 0 | 4), "exit code {}: {}{}", run.code, run.out, run.err);
    account.converge();
    assert_eq!(account.world().of("instance").len(), 7);
}

#[test]
fn expired_credentials_are_told() {
    stopped(&[Fault::expired("ec2:").after(15).always()], &["expired"]);
}

#[test]
fn a_limit_is_told() {
    stopped(&[Fault::error("ec2:CreateVpc$", "VpcLimitExceeded").always()], &["VpcLimitExceeded"]);
    stopped(&[Fault::error("ec2:AllocateAddress", "AddressLimitExceeded").always()], &["AddressLimitExceeded"]);
}

#[test]
fn a_destroy_goes_on_where_it_was_stopped() {
    let account = Account::new(Settings::strict());
    let before = account.world();
    account.converge();
    account.strict.order(&[Fault::expired("ec2:Delete(RouteTable|NatGateway|SecurityGroup)").always()]);
    let run = account.bench.run(&[&["destroy", "--yes", "--delete-managed-storage"][..], &DOCUMENTS].concat());
    assert!(matches!(run.code, 1 | 4), "exit code {}: {}{}", run.code, run.out, run.err);
    account.strict.order(&[Fault::lost("ec2:(Delete|Detach|Release|Terminate)").times(4)]);
    account.destroy();
    account.world().nothing_left(&before);
}
