//! Laws over generated worlds: determinism, order, idempotence, nothing lost and nothing made twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{
    plan::{Mode, Plan, Verb},
    state::Store,
};
use cloudtik_engine::Options;
use cloudtik_testkit::{
    Fault as StoreFault,
    world::{Fault, address, scope, thing},
};
use common::{
    Lab, Run,
    sketches::{declare, sketch},
    steps,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Edges run forward, dependencies come first and deletes run in reverse.
fn check_order(plan: &Plan) {
    let order = steps(plan); // panics on a cycle
    assert_eq!(order.len(), plan.operations.len());
    let provides: BTreeMap<_, _> = plan
        .operations
        .iter()
        .enumerate()
        .filter(|(_, op)| !matches!(op.verb, Verb::Delete | Verb::DeleteDeposed { .. } | Verb::Forget))
        .map(|(at, op)| (&op.address, at as u32))
        .collect();
    for (at, op) in plan.operations.iter().enumerate() {
        let at = at as u32;
        for dependency in &op.dependencies {
            let before = |from: u32, to: u32| reaches(plan, from, to);
            match op.verb {
                Verb::Delete => {
                    let same = |o: &&(usize, _)| matches!(plan.operations[o.0].verb, Verb::Delete);
                    let deletes: Vec<_> = plan.operations.iter().enumerate().collect();
                    if let Some((to, _)) =
                        deletes.iter().filter(same).find(|(_, other)| other.address == dependency.address)
                    {
                        assert!(before(at, *to as u32), "{} must go before {}", op.address, dependency.address);
                    }
                }
                Verb::DeleteDeposed { .. } | Verb::Forget => {}
                _ => {
                    if let Some(from) = provides.get(&dependency.address) {
                        assert!(before(*from, at), "{} must come before {}", dependency.address, op.address);
                    }
                }
            }
        }
    }
}

fn reaches(plan: &Plan, from: u32, to: u32) -> bool {
    let mut stack = vec![from];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(at) = stack.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            stack.extend(plan.edges.iter().filter(|e| e.from == at).map(|e| e.to));
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_after_apply_is_empty_and_orders_hold(first in sketch(), second in sketch(), batching: bool) {
        let lab = Lab::of(batching);
        lab.world.foreign("id-foreign");
        for document in [first, second] {
            let declared = declare(&document);
            check_order(&lab.plan(&declared));
            lab.apply(&declared).complete();
            prop_assert!(lab.plan(&declared).is_empty());
        }
        check_order(&lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap());
        let delete = Options { delete_data: ["vault".into()].into(), ..Options::default() };
        lab.run(&[], Mode::Destroy, &delete).complete();
        // A vault that a document dropped was kept on purpose; everything else of ours is gone.
        let left: Vec<_> = lab.world.objects().into_values().filter(|o| o.kind != "vault").collect();
        prop_assert_eq!(left.len(), 1, "only the foreign object is left: {:?}", left);
        prop_assert!(lab.store.read(&scope()).unwrap().records.is_empty());
    }

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_its_inputs(before in sketch(), after in sketch(), seed in any::<u64>(), batching: bool) {
        let lab = Lab::of(batching);
        lab.apply(&declare(&before)).complete();
        let mut declared = declare(&after);
        let plan = serde_json::to_vec(&lab.plan(&declared)).unwrap();
        let n = declared.len().max(1);
        declared.rotate_left(seed as usize % n);
        declared.reverse();
        prop_assert_eq!(plan, serde_json::to_vec(&lab.plan(&declared)).unwrap());
    }

    #[test]
    fn a_saved_plan_reads_back_equal_and_does_what_was_planned(before in sketch(), after in sketch(), batching: bool) {
        let lab = Lab::of(batching);
        lab.apply(&declare(&before)).complete();
        let plan = lab.plan(&declare(&after));
        let text = serde_json::to_string(&plan).unwrap();
        let back: Plan = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &plan);
        lab.world.forget_calls();
        match lab.apply_plan(&back) { Run::Finished(s) => prop_assert!(s.is_complete()), other => panic!("{other:?}") }
        let mut done = lab.world.calls();
        let mut planned: Vec<String> = plan.operations.iter()
            .filter(|op| matches!(op.verb, Verb::Create | Verb::CreateBeside { .. } | Verb::Update | Verb::Delete | Verb::DeleteDeposed { .. }))
            .map(|op| format!("{} {}", op.verb.as_str(), op.address.short())).collect();
        done.sort();
        planned.sort();
        prop_assert_eq!(done, planned);
        prop_assert!(lab.plan(&declare(&after)).is_empty());
    }

    #[test]
    fn lost_answers_and_refusals_end_in_the_same_world(before in sketch(), after in sketch(), pick in any::<u64>(), batching: bool) {
        let calm = Lab::of(batching);
        calm.apply(&declare(&before)).complete();
        let planned = calm.plan(&declare(&after));
        calm.apply(&declare(&after)).complete();

        let lab = Lab::of(batching);
        lab.apply(&declare(&before)).complete();
        for (at, op) in planned.operations.iter().enumerate() {
            let faults = [Fault::Fail, Fault::Throttle(1), Fault::LoseAnswer, Fault::Drop];
            let fault = faults[(pick as usize >> (at % 32)) % faults.len()].clone();
            lab.world.fault(op.verb.as_str(), &op.address.short(), fault);
        }
        for _ in 0..=planned.operations.len() {
            if let Run::Finished(summary) = lab.apply(&declare(&after)) && summary.is_complete() { break }
        }
        lab.apply(&declare(&after)).complete();
        prop_assert_eq!(lab.world.shape(), calm.world.shape());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cuts a run off at every boundary of every provider call in turn; the next apply reaches the goal.
    #[test]
    fn a_run_killed_at_any_call_boundary_is_finished_by_the_next(before in sketch(), after in sketch(), batching: bool) {
        let calm = Lab::of(batching);
        calm.apply(&declare(&before)).complete();
        calm.world.guillotine.lift();
        calm.apply(&declare(&after)).complete();
        for cut in 0..calm.world.guillotine.passed() {
            let lab = Lab::of(batching);
            lab.apply(&declare(&before)).complete();
            lab.world.guillotine.set(cut);
            let run = lab.apply(&declare(&after));
            prop_assert!(matches!(run, Run::Killed), "boundary {} was not reached: {:?}", cut, run);
            lab.world.guillotine.lift();
            lab.apply(&declare(&after)).complete();
            prop_assert_eq!(lab.world.shape(), calm.world.shape(), "killed at boundary {}", cut);
            prop_assert!(lab.plan(&declare(&after)).is_empty());
        }
    }

    /// The same saved plan, applied again, goes on where its first run was cut off.
    #[test]
    fn a_saved_plan_is_finished_by_applying_it_again(before in sketch(), after in sketch(), batching: bool) {
        let calm = Lab::of(batching);
        calm.apply(&declare(&before)).complete();
        let plan = calm.plan(&declare(&after));
        calm.world.guillotine.lift();
        calm.apply_plan(&plan).complete();
        for cut in 0..calm.world.guillotine.passed() {
            let lab = Lab::of(batching);
            lab.apply(&declare(&before)).complete();
            let plan = lab.plan(&declare(&after));
            lab.world.guillotine.set(cut);
            prop_assert!(matches!(lab.apply_plan(&plan), Run::Killed));
            lab.world.guillotine.lift();
            lab.apply_plan(&plan).complete();
            prop_assert_eq!(lab.world.shape(), calm.world.shape(), "killed at boundary {}", cut);
            prop_assert!(lab.plan(&declare(&after)).is_empty());
            lab.world.forget_calls();
            lab.apply_plan(&plan).complete();
            prop_assert!(lab.world.calls().is_empty(), "a plan that is done is done again");
        }
    }

    /// The same for every append to the journal, with the batch lost and with it stored.
    #[test]
    fn a_run_killed_at_any_append_is_finished_by_the_next(before in sketch(), after in sketch(), batching: bool) {
        let calm = Lab::of(batching);
        calm.apply(&declare(&before)).complete();
        let first = calm.store.appends();
        calm.apply(&declare(&after)).complete();
        for append in first + 1..=calm.store.appends() {
            for durable in [false, true] {
                let lab = Lab::of(batching);
                lab.apply(&declare(&before)).complete();
                lab.store.fail(Some(StoreFault { append, durable }));
                let run = lab.apply(&declare(&after));
                prop_assert!(!matches!(run, Run::Finished(_)), "append {} was not reached", append);
                lab.store.fail(None);
                lab.apply(&declare(&after)).complete();
                prop_assert_eq!(lab.world.shape(), calm.world.shape(), "killed at append {} ({})", append, durable);
                prop_assert!(lab.plan(&declare(&after)).is_empty());
            }
        }
    }
}

#[test]
fn a_tampered_or_stale_plan_changes_nothing() {
    let lab = Lab::default();
    let declared = [thing("net.n", &[("cidr", "1")]), thing("sub.s", &[("net", "@net.n#id"), ("cidr", "1")])];
    lab.apply(&declared[..1]).complete();
    let mut tampered = lab.plan(&declared);
    let stale = tampered.clone();
    tampered.operations[0].attributes.insert("cidr".into(), "evil".into());
    assert!(matches!(lab.apply_plan(&tampered), Run::Error(cloudtik_engine::ApplyError::Tampered)));
    assert_eq!(lab.world.objects().len(), 1);

    lab.apply(&[thing("net.n", &[("cidr", "1"), ("tag", "new")])]).complete();
    let Run::Finished(summary) = lab.apply_plan(&stale) else { panic!("a stale plan is refused step by step") };
    assert_eq!(summary.failed.len(), 1);
    assert!(summary.failed[0].2.message.contains("has changed since the plan was made"));
    assert_eq!(lab.world.objects().len(), 1);
    assert_eq!(summary.failed[0].0, address("sub.s"));
}

/// What the first format lacks is left out where it says nothing, so that its plans are read, and are what they say.
#[test]
fn a_plan_of_the_first_format_is_read_and_applied() {
    let lab = Lab::default();
    let mut plan = lab.plan(&[thing("net.n", &[("cidr", "1")]), thing("vm.v", &[("image", "i")])]);
    plan.format = 1;
    plan.digest = plan.compute_digest();
    let text = serde_json::to_string(&plan).unwrap();
    for new in ["promised", "best_effort", "drain", "references"] {
        assert!(!text.contains(new), "{new} in {text}");
    }
    lab.apply_plan(&serde_json::from_str(&text).unwrap()).complete();
    assert_eq!(lab.world.objects().len(), 2);
}

#[test]
fn a_failure_stops_only_what_depends_on_it() {
    let lab = Lab::default();
    lab.world.fault("create", "sub.bad", Fault::Fail);
    let declared = [
        thing("net.n", &[("cidr", "1")]),
        thing("sub.bad", &[("net", "@net.n#id"), ("cidr", "1")]),
        thing("sub.good", &[("net", "@net.n#id"), ("cidr", "2")]),
        thing("vm.v", &[("image", "i"), ("sub", "@sub.bad#id")]),
        thing("vm.w", &[("image", "i"), ("sub", "@sub.good#id")]),
    ];
    let Run::Finished(summary) = lab.apply(&declared) else { panic!("the run ends by itself") };
    let done: Vec<String> = summary.done.iter().map(|(a, _)| a.short()).collect();
    assert_eq!(done, ["net.n", "sub.good", "vm.w"]);
    assert_eq!(summary.skipped, [(address("vm.v"), address("sub.bad"))]);
    lab.apply(&declared).complete();
    assert_eq!(lab.world.objects().len(), 5);
}
