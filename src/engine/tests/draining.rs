//! What runs on a machine that goes is stopped in order first, where its lifecycle asks for it.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{
    Declaration, Rolling,
    plan::{Action, Mode, Plan, Reason},
};
use cloudtik_engine::Options;
use cloudtik_testkit::world::{Fault, address, thing};
use common::{Lab, Run, steps};

/// A machine with a file and a daemon on it; the daemon is drained. Machines roll one by one.
fn node(i: usize, image: &str) -> [Declaration; 3] {
    let vm = format!("@vm.w[{i}]#id");
    let mut machine = thing(&format!("vm.w[{i}]"), &[("image", image)]);
    machine.lifecycle.rolling = Some(Rolling { group: "w".into(), batch: 1 });
    let file = thing(&format!("part.w[{i}]/conf"), &[("vm", &vm), ("content", "x")]);
    let reads = format!("@part.w[{i}]/conf#digest");
    let mut daemon = thing(&format!("part.w[{i}]/worker"), &[("vm", &vm), ("reads", &reads)]);
    daemon.lifecycle.drain = true;
    [machine, file, daemon]
}

fn nodes(count: usize, image: &str) -> Vec<Declaration> {
    (0..count).flat_map(|i| node(i, image)).collect()
}

fn applied(declared: &[Declaration]) -> Lab {
    let lab = Lab::default();
    lab.apply(declared).complete();
    lab.world.forget_calls();
    lab
}

fn reasons(plan: &Plan, short: &str) -> Vec<Reason> {
    plan.changes.iter().find(|change| change.address.short() == short).unwrap().reasons.clone()
}

#[test]
fn a_machine_that_is_no_longer_declared_is_drained_before_it_goes() {
    let lab = applied(&nodes(2, "i"));
    let plan = lab.plan(&nodes(1, "i"));
    assert_eq!(steps(&plan), ["delete part.w[1]/worker", "delete vm.w[1]"]);
    let because = Reason::GoneWith { address: address("vm.w[1]") };
    assert_eq!(reasons(&plan, "part.w[1]/worker"), [Reason::Undeclared, because.clone(), Reason::Drained]);
    assert_eq!(reasons(&plan, "part.w[1]/conf"), [Reason::Undeclared, because]);
    lab.apply(&nodes(1, "i")).complete();
    assert_eq!(lab.world.calls(), ["delete part.w[1]/worker", "delete vm.w[1]"]);
    assert!(lab.plan(&nodes(1, "i")).is_empty());
}

#[test]
fn rolling_batches_drain_replace_and_wait_one_after_the_other() {
    let lab = applied(&nodes(2, "i"));
    let plan = lab.plan(&nodes(2, "j"));
    assert_eq!(plan.changes.iter().filter(|c| c.action == Action::Replace).count(), 2);
    lab.apply(&nodes(2, "j")).complete();
    let one = |i: usize| {
        let calls = ["delete part.w[#]/worker", "delete vm.w[#]", "create vm.w[#]", "create part.w[#]/conf"];
        calls.into_iter().chain(["create part.w[#]/worker"]).map(move |call| call.replace('#', &i.to_string()))
    };
    assert_eq!(lab.world.calls(), one(0).chain(one(1)).collect::<Vec<_>>());
    assert!(lab.plan(&nodes(2, "j")).is_empty());
}

#[test]
fn what_cannot_be_stopped_in_order_is_not_waited_for_and_the_plan_says_so() {
    let lab = applied(&nodes(1, "i"));
    lab.world.meddle("part.w[0]/worker", Some(&mut |o| o.broken = Some("its node cannot be reached".into())));
    let plan = lab.plan(&[]);
    assert_eq!(steps(&plan), ["delete vm.w[0]"]);
    let why = Reason::NotDrained { detail: "its node cannot be reached".into() };
    assert!(reasons(&plan, "part.w[0]/worker").contains(&why));
}

#[test]
fn a_machine_goes_even_if_stopping_what_runs_on_it_fails() {
    for replaced in [false, true] {
        let lab = applied(&nodes(1, "i"));
        lab.world.fault("delete", "part.w[0]/worker", Fault::Fail);
        let after = if replaced { nodes(1, "j") } else { Vec::new() };
        let Run::Finished(summary) = lab.apply(&after) else { panic!("the run ends by itself") };
        assert!(summary.is_complete(), "nothing is left to do");
        let forgone: Vec<_> = summary.forgone.iter().map(|(address, _, _)| address.short()).collect();
        assert_eq!(forgone, ["part.w[0]/worker"]);
        assert_eq!(lab.world.objects().len(), after.len());
        assert!(lab.plan(&after).is_empty());
    }
}

#[test]
fn nothing_is_drained_when_everything_goes() {
    let lab = applied(&nodes(2, "i"));
    let plan = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap();
    assert_eq!(steps(&plan), ["delete vm.w[0]", "delete vm.w[1]"]);
}
