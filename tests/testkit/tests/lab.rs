//! The laboratory itself: what the other tests of AWS rest on.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use cloudtik_testkit::lab::{Fault, Moto, Settings, Strict};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// A run of AWS's own client.
fn boto(strict: &Strict, code: &str) -> Command {
    let mut command = strict.python();
    let head = "import boto3; ec2 = boto3.client('ec2')\n";
    command.args(["-c", &format!("{head}{code}")]).envs(strict.environment()).env("AWS_DEFAULT_REGION", "us-west-2");
    command
}

#[test]
fn the_layer_does_what_aws_does() {
    let moto = Moto::start();
    let strict = Strict::in_front_of(&moto, Settings::default());
    let mut checks = strict.python();
    checks.args(["-m", "aws_lab.checks", &strict.endpoint()]);
    let output = checks.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_world_is_what_was_made_and_what_is_left() {
    let moto = Moto::start();
    let strict = Strict::in_front_of(&moto, Settings::default());
    let before = moto.world();
    assert_eq!(before.counts().len(), 0, "{before:?}");
    let made = boto(
        &strict,
        "ec2.create_vpc(CidrBlock='10.1.0.0/16', TagSpecifications=[{'ResourceType': 'vpc', 'Tags': [{'Key': 'cloudtik:address', 'Value': 'vpc.main'}]}])",
    );
    assert!({ made }.status().unwrap().success());
    let after = moto.world();
    assert_eq!(after.counts().into_iter().collect::<Vec<_>>(), [("vpc", 1)]);
    assert_eq!(after.tagged("cloudtik:address"), ["vpc.main"]);
    assert!(after.since(&before)[0].starts_with("+ vpc vpc-"), "{:?}", after.since(&before));
    assert_eq!(strict.counts().into_iter().collect::<Vec<_>>(), [("ec2:CreateVpc".to_owned(), 1)]);
    moto.reset();
    moto.world().nothing_left(&before);
}

/// A client is killed while its call is held: with `effect`, after AWS has done it.
fn killed_at_a_call(effect: bool) -> usize {
    let moto = Moto::start();
    let strict = Strict::in_front_of(&moto, Settings::strict());
    let hold = if effect { Fault::hold_after } else { Fault::hold_before };
    strict.order(&[hold("CreateVpc")]);
    let mut client = boto(&strict, "ec2.create_vpc(CidrBlock='10.1.0.0/16')").stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(strict.held(Duration::from_secs(30), || false), ["ec2:CreateVpc"]);
    client.kill().unwrap();
    client.wait().unwrap();
    strict.release(false);
    assert_eq!(strict.calls()[0].status, None);
    moto.world().of("vpc").len()
}

#[test]
fn a_client_can_be_killed_before_and_after_the_effect_of_a_call() {
    assert_eq!(killed_at_a_call(false), 0);
    assert_eq!(killed_at_a_call(true), 1);
}
