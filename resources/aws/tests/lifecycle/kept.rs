//! `cache_stopped_nodes`: machines that are stopped when they are no longer needed, and start again as others.

use crate::{
    CLUSTER, WORKSPACE, edited,
    lab::{Lab, Run},
    laws::{calls_of, faults, shape},
};
use cloudtik_aws::{
    api::{Item, Request},
    fake::{Fault, What},
};
use cloudtik_core::plan::Mode;
use std::collections::BTreeSet;

/// The cluster of the other tests with so many workers, which are kept.
fn with(workers: usize) -> String {
    let cluster = edited(CLUSTER, "min_workers: 2", &format!("min_workers: {workers}"));
    edited(&cluster, "region: us-west-2", "region: us-west-2\n    cache_stopped_nodes: true")
}

/// The ids of machines in a state.
fn ids(lab: &Lab, state: &str) -> BTreeSet<String> {
    lab.machines().into_iter().filter(|machine| machine.text("state") == state).map(|machine| machine.id).collect()
}

fn running(lab: &Lab) -> BTreeSet<String> {
    ids(lab, "running")
}

/// All that are stopped are the cache's.
fn kept(lab: &Lab) -> BTreeSet<String> {
    let whose = |machine: &Item| machine.tags.get("cloudtik:address").cloned();
    let stopped = lab.machines().into_iter().filter(|machine| machine.text("state") == "stopped");
    let kept = |machine: &Item| assert_eq!(whose(machine).as_deref(), Some("machine-cache.main"));
    stopped.inspect(kept).map(|machine| machine.id).collect()
}

#[test]
fn a_worker_that_goes_is_stopped_and_is_the_next_one_that_comes() {
    let lab = Lab::new();
    let before = lab.world();
    let (three, one) = (with(3), with(1));
    lab.apply(&[WORKSPACE, &three]).complete();
    assert_eq!(lab.plan(&[WORKSPACE, &three]), [] as [&str; 0]);
    let all = running(&lab);
    lab.apply(&[&one]).complete();
    assert_eq!(lab.plan(&[&one]), [] as [&str; 0]);
    assert_eq!((running(&lab).len(), kept(&lab).len()), (2, 2));
    lab.fake.take_log();
    lab.apply(&[&three]).complete();
    assert!(lab.fake.take_log().iter().all(|call| call.action != "RunInstances"));
    assert_eq!(running(&lab), all, "the same machines");
    assert_eq!(lab.plan(&[WORKSPACE, &three]), [] as [&str; 0]);
    let five = with(5);
    lab.apply(&[&one]).complete();
    lab.apply(&[&five]).complete();
    assert!(running(&lab).is_superset(&all) && running(&lab).len() == 6, "kept ones first, then new ones");
    assert_eq!(lab.plan(&[&five]), [] as [&str; 0]);
    lab.apply(&[&one]).complete();
    lab.destroy(&[&one]).complete();
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn a_cluster_that_is_stopped_starts_with_the_machines_that_it_had() {
    let lab = Lab::new();
    let before = lab.world();
    let two = with(2);
    lab.apply(&[WORKSPACE, &two]).complete();
    let all = running(&lab);
    lab.stop(&[&two]).complete();
    assert_eq!(kept(&lab), all);
    assert!(matches!(lab.destroy(&[WORKSPACE]), Run::Refused(_)), "machines are in its network");
    lab.apply(&[&two]).complete();
    assert_eq!(running(&lab), all);
    assert_eq!(lab.plan(&[WORKSPACE, &two]), [] as [&str; 0]);
    lab.stop(&[&two]).complete();
    lab.destroy(&[&two]).complete();
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn what_was_launched_as_something_else_is_not_used_and_does_not_stay() {
    let lab = Lab::new();
    let before = lab.world();
    let (three, one) = (with(3), with(1));
    lab.apply(&[WORKSPACE, &three]).complete();
    let old = running(&lab);
    lab.apply(&[&one]).complete();
    let other = edited(&three, "InstanceType: m5.2xlarge", "InstanceType: r5.2xlarge");
    lab.apply(&[&other]).complete();
    assert_eq!(lab.plan(&[&other]), [] as [&str; 0]);
    assert_eq!(running(&lab).intersection(&old).count(), 1, "the head");
    assert_eq!(kept(&lab), BTreeSet::new(), "neither those that were kept nor those that were replaced");
    lab.destroy(&[WORKSPACE, &other]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn what_is_no_longer_to_be_kept_goes() {
    let lab = Lab::new();
    let (three, one) = (with(3), with(1));
    lab.apply(&[WORKSPACE, &three]).complete();
    lab.apply(&[&one]).complete();
    let without = edited(&with(2), "cache_stopped_nodes: true", "cache_stopped_nodes: false");
    lab.apply(&[&without]).complete();
    assert_eq!(lab.plan(&[&without]), [] as [&str; 0]);
    assert_eq!((kept(&lab).len(), running(&lab).len()), (0, 3));
}

#[test]
fn where_there_is_no_room_to_start_it_another_is_launched() {
    let lab = Lab::new();
    let before = lab.world();
    let (two, one) = (with(2), with(1));
    lab.apply(&[WORKSPACE, &two]).complete();
    lab.apply(&[&one]).complete();
    let stopped = kept(&lab);
    lab.fake.capacity("m5.2xlarge", "us-west-2a", false, 0);
    lab.apply(&[&two]).complete();
    assert_eq!(lab.plan(&[&two]), [] as [&str; 0]);
    assert_eq!((kept(&lab), running(&lab).len()), (stopped, 3));
    lab.destroy(&[WORKSPACE, &two]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn a_plan_says_what_is_kept_and_what_goes() {
    let lab = Lab::new();
    let (two, one) = (with(2), with(1));
    lab.apply(&[WORKSPACE, &two]).complete();
    assert_eq!(lab.left(&[&one], Mode::Normal, &[]), ["instance.worker.default[1] to machine-cache.main"]);
    assert_eq!(lab.left(&[&two], Mode::Destroy, &["machine-cache"]).len(), 3);
    assert_eq!(lab.left(&[&two], Mode::Destroy, &[]), [] as [&str; 0]);
}

/// Whoever asks for another machine does not get the same one.
#[test]
fn a_machine_that_is_replaced_is_not_kept() {
    let lab = Lab::new();
    let two = with(2);
    lab.apply(&[WORKSPACE, &two]).complete();
    let all = running(&lab);
    lab.replace(&[&two], "instance.worker.default[1]").complete();
    assert_eq!((running(&lab).len(), running(&lab).intersection(&all).count(), kept(&lab).len()), (3, 2, 0));
}

/// A spot machine of a one-time request.
#[test]
fn what_cannot_be_stopped_goes() {
    let lab = Lab::new();
    let spot = |workers| edited(&with(workers), "cache_stopped", "prefer_spot_node: true\n    cache_stopped");
    lab.apply(&[WORKSPACE, &spot(2)]).complete();
    lab.apply(&[&spot(1)]).complete();
    assert_eq!((running(&lab).len(), kept(&lab).len()), (2, 0));
}

#[test]
fn a_stopped_machine_that_somebody_ended_is_not_missed() {
    let lab = Lab::new();
    let before = lab.world();
    let (three, one) = (with(3), with(1));
    lab.apply(&[WORKSPACE, &three]).complete();
    lab.apply(&[&one]).complete();
    let ids = kept(&lab).into_iter().take(1).collect();
    lab.by_hand(Request::TerminateInstances { ids });
    lab.apply(&[&three]).complete();
    assert_eq!(lab.plan(&[&three]), [] as [&str; 0]);
    assert_eq!(running(&lab).len(), 4);
    lab.destroy(&[WORKSPACE, &three]).complete();
    assert_eq!(lab.world(), before);
}

type Step = fn(&Lab, &str) -> Run;

/// Every call in turn of fewer workers, then more, then none: the program dies, or an answer does not come.
#[test]
fn nothing_is_lost_or_doubled_whatever_happens() {
    let (three, one) = (with(3), with(1));
    let steps: [(&str, Step); 3] = [
        (&one, |lab, doc| lab.apply(&[doc])),
        (&three, |lab, doc| lab.apply(&[doc])),
        (&three, |lab, doc| lab.destroy(&[doc])),
    ];
    let kinds = [
        What::Stuck { done: true },
        What::LostAnswer,
        What::FailsBefore,
        What::Stuck { done: false },
        What::FailsAfter,
        What::Throttle,
    ];
    for at in 0..steps.len() {
        let begin = || {
            let lab = Lab::new();
            lab.apply(&[WORKSPACE, &three]).complete();
            steps[..at].iter().for_each(|(document, step)| drop(step(&lab, document).complete()));
            lab.wait(120);
            lab.fake.take_log();
            lab
        };
        let (document, step) = steps[at];
        let calm = begin();
        step(&calm, document).complete();
        let calls = calls_of(&calm);
        let goal = (shape(&calm.world()), running(&calm).len(), kept(&calm).len());
        for (nth, what) in faults(calls, &kinds) {
            let lab = begin();
            let had: BTreeSet<String> = lab.machines().into_iter().map(|machine| machine.id).collect();
            lab.fake.fault(Fault { action: "*".into(), nth, what: what.clone() });
            if !step(&lab, document).is_complete() {
                step(&lab, document).complete();
            }
            let told = format!("{what:?} at call {nth} of step {at}");
            assert_eq!((shape(&lab.world()), running(&lab).len(), kept(&lab).len()), goal, "{told}");
            assert!(lab.machines().iter().all(|machine| had.contains(&machine.id)), "a machine was launched: {told}");
            if at < 2 {
                assert_eq!(lab.plan(&[document]), [] as [&str; 0], "{told}");
            }
        }
    }
}
