//! Back to an earlier revision: the world is as it was then, whatever happened in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{
    Declaration, Diagnostic, Value,
    plan::{Action, Mode, Plan, Verb},
    state::{Entry, Mutation, Snapshot, Store},
};
use cloudtik_engine::{Options, compare, undo};
use cloudtik_testkit::world::{Fault, address, scope, thing};
use common::{
    Lab, Run,
    sketches::{declare, sketch},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn at(lab: &Lab, revision: u64) -> Snapshot {
    lab.store.at_revision(&scope(), revision).unwrap().unwrap()
}

fn now(lab: &Lab) -> Snapshot {
    lab.store.read(&scope()).unwrap()
}

fn try_back(lab: &Lab, revision: u64) -> Result<undo::Undo, Vec<Diagnostic>> {
    undo::declarations(&at(lab, revision), &BTreeMap::new(), &now(lab), lab.registry().kinds())
}

fn back(lab: &Lab, revision: u64) -> Vec<Declaration> {
    try_back(lab, revision).unwrap_or_else(|problems| panic!("{problems:#?}")).declarations
}

/// What a vault holds is kept when it is dropped, so a world as it was needs its deletion to be asked for.
fn emptying() -> Options {
    Options { delete_data: ["vault".into()].into(), ..Options::default() }
}

/// Makes the records what they were before references were kept.
fn forget_references(lab: &Lab) {
    let mut lock = lab.lock();
    let plain = |record: &cloudtik_core::state::Record| {
        Mutation::Put(Box::new(cloudtik_core::state::Record { references: None, ..record.clone() }))
    };
    let mutations: Vec<Mutation> = lock.snapshot().records.values().map(|record| plain(record)).collect();
    let revision = lock.snapshot().revision;
    let at = jiff::Timestamp::UNIX_EPOCH;
    lock.append(&[Entry::Edit { what: "test".into(), mutations, at }]).unwrap();
    // A revision of its own, so that it can be gone back to.
    let mut last = lab.store.history(&scope()).unwrap().into_iter().next().unwrap();
    last.number = revision + 1;
    lock.append(&[Entry::Revision(last)]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Through all revisions and back to each of them, newest first, then to the first again.
    #[test]
    fn the_world_is_as_it_was(documents in prop::collection::vec(sketch(), 2..5), batching: bool) {
        let lab = Lab::of(batching);
        let mut shapes = BTreeMap::new();
        for document in &documents {
            lab.run(&declare(document), Mode::Normal, &emptying()).complete();
            shapes.insert(now(&lab).revision, lab.world.shape());
        }
        let latest = now(&lab).revision;
        if latest > 0 {
            prop_assert!(lab.plan(&back(&lab, latest)).is_empty(), "nothing leads to where one is");
        }
        let first = shapes.keys().copied().find(|revision| *revision > 0);
        for revision in shapes.keys().rev().copied().chain(first).filter(|revision| *revision > 0) {
            let declared = back(&lab, revision);
            lab.run(&declared, Mode::Normal, &emptying()).complete();
            prop_assert_eq!(&lab.world.shape(), &shapes[&revision], "back to r{}", revision);
            prop_assert!(lab.plan(&declared).is_empty());
            prop_assert!(lab.plan(&back(&lab, now(&lab).revision)).is_empty());
        }
    }

    /// The same for records that do not say what they were made from.
    #[test]
    fn references_are_found_again_where_they_were_not_kept(first in sketch(), second in sketch()) {
        let lab = Lab::default();
        lab.run(&declare(&first), Mode::Normal, &emptying()).complete();
        prop_assume!(now(&lab).revision == 1);
        forget_references(&lab);
        let shape = lab.world.shape();
        prop_assert!(lab.plan(&back(&lab, 2)).is_empty());
        lab.run(&declare(&second), Mode::Normal, &emptying()).complete();
        lab.run(&back(&lab, 2), Mode::Normal, &emptying()).complete();
        prop_assert_eq!(lab.world.shape(), shape);
    }

    /// What a failed or half-lost run left in between is in nobody's way.
    #[test]
    fn a_run_that_failed_is_undone(first in sketch(), second in sketch(), pick in any::<u64>()) {
        let lab = Lab::default();
        lab.run(&declare(&first), Mode::Normal, &emptying()).complete();
        prop_assume!(now(&lab).revision == 1);
        let shape = lab.world.shape();
        let planned = lab.plan(&declare(&second));
        for (at, op) in planned.operations.iter().enumerate() {
            let faults = [Fault::Fail, Fault::LoseAnswer, Fault::Drop];
            if pick >> (at % 64) & 1 == 1 {
                lab.world.fault(op.verb.as_str(), &op.address.short(), faults[at % 3].clone());
            }
        }
        let run = lab.run(&declare(&second), Mode::Normal, &emptying());
        prop_assert!(matches!(run, Run::Finished(_)), "{:?}", run);
        lab.world.calm();
        lab.run(&back(&lab, 1), Mode::Normal, &emptying()).complete();
        prop_assert_eq!(lab.world.shape(), shape);
    }

    /// What differs between two revisions is what a plan from one to the other changes.
    #[test]
    fn a_comparison_shows_what_a_plan_would_do(first in sketch(), second in sketch()) {
        let lab = Lab::default();
        lab.run(&declare(&first), Mode::Normal, &emptying()).complete();
        let before = now(&lab);
        let plan = lab.try_plan(&declare(&second), Mode::Normal, &emptying()).unwrap();
        lab.apply_plan(&plan).complete();
        let changes = compare(&before, &now(&lab), lab.registry().kinds());
        let kind = |action| if action == Action::ReplaceCreateFirst { Action::Replace } else { action };
        let told: BTreeMap<String, Action> = changes.iter().map(|c| (c.address.short(), kind(c.action))).collect();
        for change in &plan.changes {
            let short = change.address.short();
            // What comes anew with its home is one thing after another; how a thing came or went is the plan's alone.
            let expected = match (kind(change.action), before.records.contains_key(&change.address)) {
                (Action::Create, true) => Action::Replace,
                (Action::Forget, _) => Action::Delete,
                (Action::Adopt, _) => Action::Create,
                (action, _) => action,
            };
            prop_assert_eq!(told.get(&short), Some(&expected), "{}", short);
        }
        prop_assert!(compare(&before, &before, lab.registry().kinds()).iter().all(|c| c.action == Action::Keep));
    }
}

fn net(cidr: &str) -> Vec<Declaration> {
    vec![
        thing("net.n", &[("cidr", cidr)]),
        thing("sub.s", &[("net", "@net.n#id"), ("cidr", "1")]),
        thing("vm.v", &[("image", "i"), ("sub", "@sub.s#id")]),
        thing("vault.d", &[("zone", cidr)]),
    ]
}

fn ids(plan: &Plan) -> Vec<Diagnostic> {
    plan.warnings.clone()
}

#[test]
fn what_cannot_come_back_is_told() {
    let lab = Lab::default();
    lab.apply(&net("1")).complete();
    lab.run(&net("2"), Mode::Normal, &emptying()).complete();
    let plan = lab.plan(&back(&lab, 1));
    assert!(ids(&plan).is_empty());
    let told: Vec<(String, String)> =
        undo::losses(&plan, &at(&lab, 1), lab.registry().kinds()).into_iter().map(|d| (d.id, d.detail)).collect();
    let expected = [
        ("data-not-restored", "vault.d: the data that was in there is not part of state"),
        (
            "made-anew",
            "made anew: net.n (id-1, 10.0.0.1), sub.s (id-3, 10.0.0.3), vault.d (id-2, 10.0.0.2), vm.v (id-4, 10.0.0.4)",
        ),
    ];
    assert_eq!(told, expected.map(|(id, detail)| (id.to_string(), detail.to_string())));
}

/// A vault that was dropped still exists: it is taken back with all that is in it, so nothing is lost.
#[test]
fn what_was_kept_is_taken_back() {
    let lab = Lab::default();
    lab.apply(&net("1")).complete();
    let before = lab.world.objects();
    lab.apply(&net("1")[..3]).complete();
    let plan = lab.plan(&back(&lab, 1));
    assert_eq!(plan.operations.iter().map(|op| op.verb.clone()).collect::<Vec<_>>(), [Verb::Adopt]);
    assert!(undo::losses(&plan, &at(&lab, 1), lab.registry().kinds()).is_empty());
    lab.apply_plan(&plan).complete();
    assert_eq!(lab.world.objects(), before);
}

/// A stale record: its declaration stopped to name what is gone by then.
#[test]
fn what_was_not_there_is_not_referred_to() {
    let lab = Lab::default();
    let with = |sub: &str| vec![thing("net.n", &[("cidr", "1")]), thing("vm.v", &[("image", "i"), ("net", sub)])];
    lab.apply(&with("@net.n#cidr")).complete();
    lab.apply(&with("1")[1..]).complete();
    let declared = back(&lab, 2);
    assert_eq!(declared[0].attributes["net"], Value::text("1"));
    assert_eq!(declared[0].depends_on, []);
    lab.apply(&[]).complete();
    lab.apply(&declared).complete();
    assert_eq!(lab.world.objects().len(), 1);
}

#[test]
fn a_resource_with_a_new_address_is_not_made_twice() {
    let lab = Lab::default();
    lab.apply(&net("1")).complete();
    let mut lock = lab.lock();
    let record = (*lock.snapshot().records[&address("vm.v")]).clone();
    let moved = cloudtik_core::state::Record { address: address("vm.w"), ..record };
    let mutations = vec![Mutation::Remove(address("vm.v")), Mutation::Put(Box::new(moved))];
    lock.append(&[Entry::Edit { what: "mv".into(), mutations, at: jiff::Timestamp::UNIX_EPOCH }]).unwrap();
    drop(lock);
    let problems = try_back(&lab, 1).err().unwrap();
    assert_eq!(problems[0].id, "moved-since");
    assert_eq!(
        problems[0].hints,
        ["give it its old address first: `cloudtik state mv cluster/w/c:vm.w cluster/w/c:vm.v`"]
    );
}
