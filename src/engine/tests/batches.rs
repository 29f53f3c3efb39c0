//! Calls that go together, calls that are tried again, and objects that are not visible at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{
    Declaration, FailureKind,
    event::{Event, Observer},
    plan::{Mode, Verb},
    state::{Entry, Store},
};
use cloudtik_engine::{ApplyOptions, Interrupt, Options, apply};
use cloudtik_testkit::world::{Fault, WINDOW, address, scope, thing};
use common::{Lab, Run, steps};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{runtime::Builder, sync::watch};

fn vms(names: &[&str]) -> Vec<Declaration> {
    names.iter().map(|name| thing(&format!("vm.{name}"), &[("image", "i")])).collect()
}

/// What is asked of the world when three machines are made and `faults` happen.
fn requests(faults: &[(&str, Fault)]) -> (Lab, Vec<String>) {
    let lab = Lab::of(true);
    for (name, fault) in faults {
        lab.world.fault("create", name, fault.clone());
    }
    lab.apply(&vms(&["a", "b", "c"])).complete();
    assert_eq!(lab.world.objects().len(), 3, "each is made once");
    let owners: BTreeSet<_> = lab.world.objects().into_values().map(|o| o.owner).collect();
    assert_eq!(owners.len(), 3, "and each has its own mark");
    let requests = lab.world.requests().iter().map(|calls| calls.join(", ")).collect();
    (lab, requests)
}

const ALL: &str = "create vm.a, create vm.b, create vm.c";

#[test]
fn alike_calls_that_are_ready_together_go_in_one_request_up_to_its_limit() {
    let lab = Lab::of(true);
    let mut declared = vms(&["a", "b", "c", "d"]);
    declared.push(thing("net.n", &[("cidr", "1")]));
    declared.push(thing("sub.s[0]", &[("net", "@net.n#id")]));
    declared.push(thing("sub.s[1]", &[("net", "@net.n#id")]));
    lab.apply(&declared).complete();
    let mut requests: Vec<String> = lab.world.requests().iter().map(|calls| calls.join(", ")).collect();
    requests.sort();
    let together = "create sub.s[0], create sub.s[1]";
    assert_eq!(requests, ["create net.n", together, ALL, "create vm.d"]);

    lab.world.forget_calls();
    lab.destroy().complete();
    let sizes: Vec<usize> = lab.world.requests().iter().map(Vec::len).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (4, 7), "deletes too: {:?}", lab.world.requests());
}

#[test]
fn a_member_that_is_refused_is_tried_again_alone() {
    assert_eq!(requests(&[("vm.b", Fault::Throttle(2))]).1, [ALL, "create vm.b", "create vm.b"]);
}

#[test]
fn a_request_that_is_refused_as_a_whole_is_repeated_as_a_whole() {
    let every = ["vm.a", "vm.b", "vm.c"].map(|name| (name, Fault::Throttle(2)));
    assert_eq!(requests(&every).1, [ALL, ALL, ALL]);
}

#[test]
fn after_a_lost_answer_every_member_finds_its_own_object() {
    assert_eq!(requests(&[("vm.b", Fault::LoseAnswer)]).1, [ALL]);
}

#[test]
fn after_a_lost_request_every_member_is_made_alone() {
    // A dropped request has no effect on any member.
    let every = ["vm.a", "vm.b", "vm.c"].map(|name| (name, Fault::Drop));
    let mut requests = requests(&every).1;
    requests[1..].sort();
    assert_eq!(requests, [ALL, "create vm.a", "create vm.b", "create vm.c"]);
}

#[test]
fn a_members_failure_is_its_own() {
    let lab = Lab::of(true);
    lab.world.fault("create", "vm.b", Fault::Fail);
    let Run::Finished(summary) = lab.apply(&vms(&["a", "b", "c"])) else { panic!("the run ends by itself") };
    let failed: Vec<_> = summary.failed.iter().map(|(address, _, _)| address.short()).collect();
    assert_eq!((failed, summary.done.len()), (vec!["vm.b".to_string()], 2));
}

#[test]
fn the_journal_says_which_place_each_member_has() {
    let (lab, _) = requests(&[("vm.b", Fault::Throttle(1))]);
    let intents: Vec<_> = lab
        .store
        .journal(&scope())
        .unwrap()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Intent(intent) => Some((intent.address.short(), intent.batch)),
            _ => None,
        })
        .collect();
    let places: Vec<_> = intents.iter().map(|(a, b)| (a.as_str(), b.as_ref().map(|b| (b.index, b.count)))).collect();
    let expected = [("vm.a", Some((0, 3))), ("vm.b", Some((1, 3))), ("vm.c", Some((2, 3))), ("vm.b", None)];
    assert_eq!(places, expected);
    let ids: BTreeSet<_> = intents.iter().filter_map(|(_, batch)| Some(&batch.as_ref()?.id)).collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn what_is_not_visible_yet_is_not_made_again() {
    for batching in [false, true] {
        let lab = Lab::of(batching);
        lab.world.lag(WINDOW - Duration::from_secs(2));
        lab.world.fault("create", "vm.a", Fault::LoseAnswer);
        lab.apply(&vms(&["a", "b"])).complete();
        assert_eq!(lab.world.objects().len(), 2, "batching {batching}");
    }
}

#[test]
fn what_an_interrupted_run_made_is_not_made_again_while_it_is_not_visible() {
    for batching in [false, true] {
        let lab = Lab::of(batching);
        lab.world.lag(WINDOW - Duration::from_secs(2));
        // The first boundary is before the effect, the second after it.
        lab.world.guillotine.set(if batching { 1 } else { 2 });
        assert!(matches!(lab.apply(&vms(&["a", "b"])), Run::Killed));
        lab.world.guillotine.lift();
        assert!(!lab.world.objects().is_empty(), "the call had its effect");
        // As when the call had waited an hour for its turn.
        let mut state = lab.store.read(&scope()).unwrap();
        state.open.iter_mut().for_each(|intent| intent.at -= SignedDuration::from_hours(1));
        lab.store.hold(state);
        lab.apply(&vms(&["a", "b"])).complete();
        assert_eq!(lab.world.objects().len(), 2, "batching {batching}");
    }
}

#[test]
fn what_was_made_moments_ago_is_not_planned_again_while_it_is_not_visible() {
    let lab = Lab::default();
    lab.world.lag(WINDOW - Duration::from_secs(2));
    lab.apply(&vms(&["a", "b"])).complete();
    assert_eq!(steps(&lab.plan(&vms(&["a", "b"]))), [""; 0]);
}

#[test]
fn what_is_gone_is_believed_to_be_gone_once_it_would_be_visible() {
    let lab = Lab::default();
    lab.apply(&vms(&["a", "b"])).complete();
    lab.world.meddle("vm.a", None);
    assert_eq!(steps(&lab.plan(&vms(&["a", "b"]))), ["create vm.a"]);
}

/// Interrupts the run as soon as a call is to be tried again.
struct Impatient(watch::Sender<Interrupt>);

impl Observer for Impatient {
    fn event(&self, event: Event) {
        if matches!(event, Event::OperationRetrying { .. }) {
            self.0.send_replace(Interrupt::Finish);
        }
    }
}

#[test]
fn an_interrupt_ends_the_wait_for_another_try() {
    for (batching, verb) in [(false, "create"), (true, "create"), (false, "delete"), (true, "delete")] {
        let lab = Lab::of(batching);
        let declared = vms(&["a", "b"]);
        let mode = if verb == "create" { Mode::Normal } else { Mode::Destroy };
        if verb == "delete" {
            lab.apply(&declared).complete();
        }
        let plan = lab.try_plan(&declared, mode, &Options::default()).unwrap();
        ["vm.a", "vm.b"].iter().for_each(|name| lab.world.fault(verb, name, Fault::Throttle(9)));
        lab.world.forget_calls();
        let (interrupt, asked) = watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "t@lab".into(), command: "t".into(), interrupt: asked, parallelism: None };
        let locks = BTreeMap::from([(scope(), lab.lock())]);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let impatient = Impatient(interrupt);
        let summary =
            runtime.block_on(apply(&plan, &lab.registry(), locks, &BTreeMap::new(), options, &impatient)).unwrap();
        assert!(summary.interrupted && summary.unsettled.is_empty());
        assert!(summary.failed.iter().all(|(_, _, failure)| failure.kind == FailureKind::Throttled));
        assert_eq!((summary.failed.len(), lab.world.calls().len()), (2, 2), "{batching} {verb}: tried once");
        assert!(lab.store.read(&scope()).unwrap().open.is_empty(), "what failed is known to have failed");
    }
}

#[test]
fn a_throttled_call_is_tried_again_for_minutes_and_not_for_ever() {
    let lab = Lab::default();
    lab.world.fault("create", "vm.a", Fault::Throttle(12));
    lab.apply(&vms(&["a"])).complete();
    lab.world.fault("create", "vm.b", Fault::Throttle(1000));
    let Run::Finished(summary) = lab.apply(&vms(&["a", "b"])) else { panic!("the run ends by itself") };
    assert_eq!(summary.failed[0].0, address("vm.b"));
}

/// Two waves of machines with subnets under them.
fn fleet(size: &[u8]) -> Vec<Declaration> {
    let mut all = vec![thing("net.n", &[("cidr", "1")])];
    for (i, image) in size.iter().enumerate().map(|(i, n)| (i, ["0", "1"][usize::from(n % 2)])) {
        all.push(thing(&format!("sub.s[{i}]"), &[("net", "@net.n#id")]));
        all.push(thing(&format!("vm.v[{i}]"), &[("image", image), ("sub", &format!("@sub.s[{i}]#id?created"))]));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Requests of several calls whose answers or members are lost, cut off at every boundary in turn.
    #[test]
    fn a_batching_run_full_of_faults_and_killed_anywhere_is_finished_by_the_next(
        before in prop::collection::vec(0..2u8, 0..4),
        after in prop::collection::vec(0..2u8, 1..5),
        faults in prop::collection::vec(0..4usize, 8),
        lag in 0..29u64,
    ) {
        let calm = Lab::of(true);
        calm.apply(&fleet(&before)).complete();
        let plan = calm.plan(&fleet(&after));
        calm.apply(&fleet(&after)).complete();
        let spoil = |lab: &Lab| {
            let makes = plan.operations.iter().filter(|op| matches!(op.verb, Verb::Create | Verb::Delete));
            for (op, pick) in makes.zip(faults.iter().cycle()) {
                let fault = [None, Some(Fault::Throttle(2)), Some(Fault::LoseAnswer), Some(Fault::Drop)][*pick].clone();
                fault.into_iter().for_each(|fault| lab.world.fault(op.verb.as_str(), &op.address.short(), fault));
            }
        };
        for cut in 0.. {
            let lab = Lab::of(true);
            lab.apply(&fleet(&before)).complete();
            lab.world.lag(Duration::from_secs(lag));
            spoil(&lab);
            lab.world.guillotine.set(cut);
            let run = lab.apply(&fleet(&after));
            lab.world.guillotine.lift();
            let whole = !matches!(run, Run::Killed);
            lab.apply(&fleet(&after)).complete();
            prop_assert_eq!(lab.world.shape(), calm.world.shape(), "killed at boundary {}", cut);
            prop_assert!(lab.plan(&fleet(&after)).is_empty());
            if whole {
                break;
            }
        }
    }
}

/// The run would else wait for an answer that never comes; what was made before the panic is found again.
#[test]
fn a_provider_that_panics_fails_its_calls_and_the_next_run_finds_what_they_made() {
    for (batching, panicked) in [(false, vec!["vm.b"]), (true, vec!["vm.a", "vm.b", "vm.c"])] {
        let lab = Lab::of(batching);
        lab.world.fault("create", "vm.b", Fault::Panic);
        let Run::Finished(summary) = lab.apply(&vms(&["a", "b", "c"])) else { panic!("the run ends by itself") };
        let failed = summary.failed.iter().inspect(|(_, _, failure)| assert_eq!(failure.kind, FailureKind::Bug));
        let mut failed: Vec<String> = failed.map(|(address, _, _)| address.short()).collect();
        failed.sort();
        assert_eq!(failed, panicked);
        let open = lab.store.read(&scope()).unwrap().open;
        assert_eq!(open.len(), panicked.len(), "what became of them is not known");

        lab.apply(&vms(&["a", "b", "c"])).complete();
        assert_eq!(lab.world.objects().len(), 3, "each is made once");
    }
}
