//! What goes wrong on AWS's side, and what others do to what is ours.

use crate::{CLUSTER, WORKSPACE, lab::Lab, lab::Run};
use cloudtik_aws::fake::{Fault, What};
use cloudtik_core::FailureKind;

const BOTH: [&str; 2] = [WORKSPACE, CLUSTER];

fn fault(lab: &Lab, action: &str, what: What) {
    lab.fake.fault(Fault { action: action.into(), nth: 1, what });
}

fn failures(run: Run) -> Vec<(String, FailureKind)> {
    match run {
        Run::Finished(summary) => summary.failed.iter().map(|(a, _, f)| (a.short(), f.kind)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_zone_is_left_for_the_next_one() {
    let lab = Lab::new();
    lab.fake.capacity("m5.2xlarge", "us-west-2a", false, 1);
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
}

#[test]
fn what_there_is_no_room_for_is_told_and_made_later() {
    let lab = Lab::new();
    for zone in ["us-west-2a", "us-west-2b"] {
        lab.fake.capacity("m5.2xlarge", zone, false, 0);
    }
    let failed = failures(lab.apply(&BOTH));
    let workers = ["instance.worker.default[0]", "instance.worker.default[1]"];
    assert_eq!(failed, workers.map(|worker| (worker.to_owned(), FailureKind::Exhausted)));
    lab.fake.capacity("m5.2xlarge", "us-west-2b", false, 5);
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
}

#[test]
fn a_quota_stops_what_needs_it_and_no_more() {
    let lab = Lab::new();
    lab.fake.set(|settings| settings.quotas.addresses = 0);
    let failed = failures(lab.apply(&[WORKSPACE]));
    assert_eq!(failed, [("elastic-ip.nat".to_owned(), FailureKind::Exhausted)]);
    lab.fake.set(|settings| settings.quotas.addresses = 5);
    lab.apply(&[WORKSPACE]).complete();
    assert_eq!(lab.plan(&[WORKSPACE]), [] as [&str; 0]);
}

#[test]
fn expired_credentials_are_told_and_the_next_run_goes_on() {
    let lab = Lab::new();
    let before = lab.world();
    fault(&lab, "CreateNatGateway", What::Expired);
    let failed = failures(lab.apply(&BOTH));
    assert!(failed.iter().any(|(_, kind)| *kind == FailureKind::Unauthenticated), "{failed:?}");
    lab.fake.renew();
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    lab.destroy(&BOTH).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn what_is_born_dead_is_made_anew() {
    for action in ["RunInstances", "CreateNatGateway"] {
        let lab = Lab::new();
        let before = lab.world();
        fault(&lab, action, What::Stillborn);
        assert!(!failures(lab.apply(&BOTH)).is_empty(), "{action}");
        lab.apply(&BOTH).complete();
        assert_eq!(lab.plan(&BOTH), [] as [&str; 0], "{action}");
        let made = lab.beyond(&before);
        assert_eq!((made["i"], made["nat"]), (3, 1), "{action}");
    }
}

#[test]
fn a_machine_that_died_is_made_anew() {
    let lab = Lab::new();
    lab.apply(&BOTH).complete();
    let world = lab.world();
    let worker = world.iter().find(|(_, e)| e.tags.get("Name").is_some_and(|name| name == "cloudtik-etl-worker"));
    let id = worker.unwrap().0.rsplit('/').next().unwrap().to_owned();
    lab.fake.kill_instance(&id);
    let plan = lab.plan(&BOTH);
    assert_eq!(plan.len(), 2, "{plan:?}");
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    assert_eq!(lab.world().len(), world.len());
}

#[test]
fn others_names_are_not_taken() {
    use cloudtik_aws::{Account, api::Request};
    let lab = Lab::new();
    let api = lab.fake.client(&Account::default());
    let name = "cloudtik-demo-head-role";
    let trust = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}}"#;
    let request = Request::CreateRole {
        name: name.into(),
        trust: trust.into(),
        description: "ours".into(),
        tags: Default::default(),
    };
    lab.block_on(api.call(request)).unwrap();
    let before = lab.world();
    assert!(!lab.apply(&[WORKSPACE]).is_complete());
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}
