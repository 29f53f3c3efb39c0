//! Nothing to do after an apply, nothing left after a destroy, nothing lost and nothing doubled whatever happens between.

use crate::{
    CLUSTER, WORKSPACE, edited,
    lab::{Lab, Run},
};
use cloudtik_aws::fake::{Fault, Picture, What};

const BOTH: [&str; 2] = [WORKSPACE, CLUSTER];

/// Kinds and marks of what exists, without ids: the same for two worlds that were made alike.
pub fn shape(world: &Picture) -> Vec<String> {
    let told = |(key, existing): (&String, &cloudtik_aws::fake::Existing)| {
        let mut tags = existing.tags.clone();
        tags.remove("cloudtik:operation");
        let address = tags.get("cloudtik:address").cloned().unwrap_or_else(|| key.clone());
        let own = tags.contains_key("cloudtik:scope");
        // Volumes and main tables have no marks of ours.
        // A member that goes on alone is marked as itself, others by their group.
        let address = address.split('[').next().unwrap_or_default().to_owned();
        let name = if own { address } else { tags.get("Name").cloned().unwrap_or_default() };
        format!("{} {name}", existing.kind)
    };
    let mut shape: Vec<String> = world.iter().map(told).collect();
    shape.sort();
    shape
}

#[test]
fn a_plan_after_apply_is_empty_and_destroy_leaves_what_was_there() {
    let lab = Lab::new();
    let before = lab.world();
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    let made = lab.beyond(&before);
    assert_eq!((made["i"], made["vpc"], made["nat"], made["role"], made["bucket"]), (3, 1, 1, 2, 1), "{made:?}");
    lab.wait(86_400);
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0], "a day later");
    lab.destroy(&[CLUSTER]).complete();
    lab.destroy(&[WORKSPACE]).complete();
    assert_eq!(lab.world(), before);
}

#[test]
fn the_workspace_can_come_first_and_the_cluster_can_go_alone() {
    let lab = Lab::new();
    lab.apply(&[WORKSPACE]).complete();
    assert_eq!(lab.plan(&[WORKSPACE]), [] as [&str; 0]);
    let workspace = lab.world();
    lab.apply(&[CLUSTER]).complete();
    assert_eq!(lab.plan(&BOTH), [] as [&str; 0]);
    lab.destroy(&[CLUSTER]).complete();
    assert_eq!(lab.world(), workspace);
    assert_eq!(lab.plan(&[WORKSPACE]), [] as [&str; 0]);
}

#[test]
fn two_workspaces_of_one_account_do_not_meet() {
    let lab = Lab::new();
    let other = edited(WORKSPACE, "demo", "test");
    lab.apply(&[&other]).complete();
    let with_other = lab.world();
    lab.apply(&BOTH).complete();
    assert_eq!(lab.plan(&[&other]), [] as [&str; 0]);
    lab.destroy(&BOTH).complete();
    assert_eq!(lab.world(), with_other);
}

/// Everything that a plan does not need to ask again and again.
#[test]
fn a_plan_without_changes_asks_as_much_for_many_machines_as_for_few() {
    let calls = |workers: usize| {
        let lab = Lab::new();
        let cluster = edited(CLUSTER, "min_workers: 2", &format!("min_workers: {workers}"));
        let both = [WORKSPACE, cluster.as_str()];
        lab.apply(&both).complete();
        lab.fake.take_log();
        assert_eq!(lab.plan(&both), [] as [&str; 0]);
        let log = lab.fake.take_log();
        let changes: Vec<_> = log
            .iter()
            .filter(|call| !["Describe", "Get", "Head", "List"].iter().any(|read| call.action.starts_with(read)))
            .collect();
        assert!(changes.is_empty(), "{changes:?}");
        log.len()
    };
    let few = calls(2);
    assert_eq!(calls(40), few);
    assert!(few <= 30, "{few} calls");
}

#[test]
fn alike_machines_are_launched_and_ended_together() {
    let lab = Lab::new();
    lab.apply(&[WORKSPACE]).complete();
    lab.fake.take_log();
    let cluster = edited(CLUSTER, "min_workers: 2", "min_workers: 40");
    lab.apply(&[&cluster]).complete();
    let count = |action: &str| lab.fake.take_log().iter().filter(|call| call.action == action).count();
    assert_eq!(count("RunInstances"), 2, "the head and all workers");
    lab.apply(&[CLUSTER]).complete();
    assert_eq!(count("TerminateInstances"), 1);
}

/// The answer that did not come is that of one request, however many machines it made.
#[test]
fn what_became_of_a_large_launch_is_found_out_in_few_calls() {
    let many = edited(CLUSTER, "min_workers: 2", "min_workers: 90");
    let looks = |workers: &str, what: Option<What>| {
        let lab = Lab::new();
        lab.fake.set(|settings| settings.quotas.cpus = 2_000);
        lab.apply(&BOTH).complete();
        lab.fake.take_log();
        if let Some(what) = what {
            lab.fake.fault(Fault { action: "RunInstances".into(), nth: 1, what });
        }
        if matches!(lab.apply(&[WORKSPACE, workers]), Run::Killed) {
            lab.apply(&[WORKSPACE, workers]).complete();
        }
        assert_eq!(lab.plan(&[WORKSPACE, workers]), [] as [&str; 0]);
        lab.fake.take_log().iter().filter(|call| call.action == "DescribeInstances").count()
    };
    let calm = looks(&many, None);
    for what in [What::FailsAfter, What::LostAnswer, What::FailsBefore, What::Stuck { done: true }] {
        let more = looks(&many, Some(what.clone())).saturating_sub(calm);
        // A killed run is followed by a whole one, which looks at the world as every run does.
        assert!(more <= 40, "{what:?}: {more} more than {calm}, for 88 machines");
    }
}

/// The longest path is the NAT gateway; all else fits beside it.
#[test]
fn a_cluster_takes_little_longer_than_its_nat_gateway() {
    let lab = Lab::new();
    let begun = lab.fake.now();
    lab.apply(&BOTH).complete();
    let took = (lab.fake.now() - begun).as_secs();
    assert!((105..150).contains(&took), "{took} s");
}

/// Every call that changes something, in turn: the program dies before it is sent, or after it was done.
#[test]
fn a_run_killed_at_any_call_is_finished_by_the_next() {
    let calm = Lab::new();
    calm.apply(&BOTH).complete();
    let goal = shape(&calm.world());
    for (nth, what) in faults(calls_of(&calm), &[What::Stuck { done: true }, What::Stuck { done: false }]) {
        let lab = Lab::new();
        lab.fake.fault(Fault { action: "*".into(), nth, what: what.clone() });
        if !matches!(lab.apply(&BOTH), Run::Killed) {
            // The order of calls is not fixed, and this one had fewer.
            continue;
        }
        lab.apply(&BOTH).complete();
        assert_eq!(shape(&lab.world()), goal, "{what:?} at call {nth}");
        assert_eq!(lab.plan(&BOTH), [] as [&str; 0], "{what:?} at call {nth}");
    }
}

#[test]
fn a_destroy_killed_at_any_call_is_finished_by_the_next() {
    let calm = Lab::new();
    calm.apply(&BOTH).complete();
    calm.fake.take_log();
    calm.destroy(&BOTH).complete();
    for (nth, what) in faults(calls_of(&calm), &[What::Stuck { done: true }, What::Stuck { done: false }]) {
        let lab = Lab::new();
        let before = lab.world();
        lab.apply(&BOTH).complete();
        lab.fake.fault(Fault { action: "*".into(), nth, what: what.clone() });
        if !matches!(lab.destroy(&BOTH), Run::Killed) {
            continue;
        }
        lab.destroy(&BOTH).complete();
        assert_eq!(lab.world(), before, "{what:?} at call {nth}");
    }
}

/// Every call in turn: its answer is lost, or an internal error hides whether it was done, or the service is busy.
#[test]
fn a_lost_answer_makes_nothing_twice() {
    let calm = Lab::new();
    calm.apply(&BOTH).complete();
    let goal = shape(&calm.world());
    let kinds = [What::LostAnswer, What::FailsAfter, What::FailsBefore, What::Throttle, What::NeverSent];
    for (nth, what) in faults(calls_of(&calm), &kinds) {
        let lab = Lab::new();
        lab.fake.fault(Fault { action: "*".into(), nth, what: what.clone() });
        let run = lab.apply(&BOTH);
        if !run.is_complete() {
            lab.apply(&BOTH).complete();
        }
        assert_eq!(shape(&lab.world()), goal, "{what:?} at call {nth}");
        assert_eq!(lab.plan(&BOTH), [] as [&str; 0], "{what:?} at call {nth}");
    }
}

/// The first of `kinds` at every call, and one of the others; all of them with `EVERY_FAULT=1`, which takes twice as long.
pub fn faults(calls: usize, kinds: &[What]) -> Vec<(usize, What)> {
    let all = std::env::var_os("EVERY_FAULT").is_some();
    let (first, others) = kinds.split_first().unwrap();
    let mut faults = Vec::new();
    for nth in 1..=calls {
        faults.push((nth, first.clone()));
        let some = others.iter().enumerate().filter(|(at, _)| all || nth % (3 * others.len()) == 3 * at);
        faults.extend(some.map(|(_, what)| (nth, what.clone())));
    }
    faults
}

/// How many calls changed something.
pub fn calls_of(lab: &Lab) -> usize {
    let reads = ["Describe", "Get", "Head", "List"];
    lab.fake.take_log().iter().filter(|call| !reads.iter().any(|read| call.action.starts_with(read))).count()
}
