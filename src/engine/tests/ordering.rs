//! In which order things are made, changed and removed. `b` is always built on `a`.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{Declaration, plan::Mode};
use cloudtik_engine::Options;
use cloudtik_testkit::world::thing;
use common::{Lab, Run, steps};

fn net(cidr: &str) -> Declaration {
    thing("net.a", &[("cidr", cidr)])
}

fn sub(cidr: &str, tag: &str) -> Declaration {
    thing("sub.b", &[("net", "@net.a#id"), ("cidr", cidr), ("tag", tag)])
}

/// Applies `before`, then plans `after`.
fn plan(before: &[Declaration], after: &[Declaration]) -> (Lab, Vec<String>) {
    let lab = Lab::default();
    lab.apply(before).complete();
    let steps = steps(&lab.plan(after));
    // The world refuses wrong orders, so carrying the plan out is part of the proof.
    lab.apply(after).complete();
    assert!(lab.plan(after).is_empty(), "planning after apply is not empty");
    (lab, steps)
}

#[test]
fn create_both() {
    let (_, steps) = plan(&[], &[net("1"), sub("1", "x")]);
    assert_eq!(steps, ["create net.a", "create sub.b"]);
}

#[test]
fn destroy_both() {
    let lab = Lab::default();
    lab.apply(&[net("1"), sub("1", "x")]).complete();
    let destroy = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap();
    assert_eq!(steps(&destroy), ["delete sub.b", "delete net.a"]);
    lab.destroy().complete();
    assert!(lab.world.objects().is_empty());
}

#[test]
fn replace_both() {
    let (_, steps) = plan(&[net("1"), sub("1", "x")], &[net("2"), sub("1", "x")]);
    assert_eq!(steps, ["delete sub.b", "delete net.a", "create net.a", "create sub.b"]);
}

#[test]
fn replace_a_update_b() {
    // A tag refers to the net's id, so b changes in place when a is made anew.
    let b = |cidr: &str| [net(cidr), thing("vm.b", &[("image", "i"), ("size", "@net.a#cidr")])];
    let (_, steps) = plan(&b("1"), &b("2"));
    assert_eq!(steps, ["delete net.a", "create net.a", "update vm.b"]);
}

#[test]
fn destroy_b_update_a() {
    let a = |tag| thing("net.a", &[("cidr", "1"), ("tag", tag)]);
    let (_, steps) = plan(&[a("x"), sub("1", "x")], &[a("y")]);
    assert_eq!(steps, ["delete sub.b", "update net.a"]);
}

#[test]
fn destroy_a_update_b() {
    let b = |of: &str| thing("vm.b", &[("image", "i"), ("size", of)]);
    let (_, steps) = plan(&[net("1"), b("@net.a#id")], &[b("small")]);
    assert_eq!(steps, ["update vm.b", "delete net.a"]);
}

/// The image is told of the new sub only when the net is new, and that waits for what the image still names to go.
#[test]
fn what_cannot_be_told_in_time_of_a_successor_does_not_hold_up_what_keeps_that_away() {
    let image = |of: &str| thing("image.c", &[("of", of)]);
    let before = [net("1"), sub("1", "x"), thing("lb.d", &[("net", "@net.a#id"), ("port", "1")]), image("@lb.d#ip")];
    let (_, steps) = plan(&before, &[net("2"), sub("1", "x"), image("@sub.b#id")]);
    assert_eq!(
        steps,
        ["delete sub.b", "delete lb.d", "delete net.a", "create net.a", "create sub.b", "update image.c"]
    );
}

/// The old lb keeps the old net, whose successor the image needs beside the new lb: the old lb does not wait for the image.
#[test]
fn an_old_object_does_not_wait_for_who_needs_what_it_keeps_away() {
    let before = [net("1"), thing("lb.d", &[("net", "@net.a#id"), ("port", "1")])];
    let image = thing("image.c", &[("of", "@lb.d#ip"), ("on", "@net.a#id")]);
    let (_, steps) = plan(&before, &[net("2"), thing("lb.d", &[("port", "2")]), image]);
    assert_eq!(steps, ["create lb.d", "delete old lb.d", "delete net.a", "create net.a", "create image.c"]);
}

fn lb(port: &str) -> Declaration {
    thing("lb.a", &[("port", port)])
}

#[test]
fn replace_a_create_first_update_b() {
    let b = || thing("vm.b", &[("image", "i"), ("size", "@lb.a#id")]);
    let (_, steps) = plan(&[lb("1"), b()], &[lb("2"), b()]);
    assert_eq!(steps, ["create lb.a", "update vm.b", "delete old lb.a"]);
}

#[test]
fn replace_both_only_a_create_first() {
    let b = |image: &str| thing("vm.b", &[("image", image), ("size", "@lb.a#id")]);
    let (_, steps) = plan(&[lb("1"), b("i")], &[lb("2"), b("j")]);
    assert_eq!(steps, ["delete vm.b", "create lb.a", "create vm.b", "delete old lb.a"]);
}

#[test]
fn replace_both_only_b_create_first_makes_a_create_first_too() {
    let b = |port: &str| thing("lb.b", &[("port", port), ("net", "@net.a#id")]);
    let (_, steps) = plan(&[net("1"), b("1")], &[net("2"), b("2")]);
    assert_eq!(steps, ["create net.a", "create lb.b", "delete old lb.b", "delete old net.a"]);
}

#[test]
fn an_object_left_by_a_replacement_goes_in_the_next_run_whatever_is_declared() {
    let lab = Lab::default();
    lab.apply(&[lb("1")]).complete();
    lab.world.fault("delete", "lb.a", cloudtik_testkit::world::Fault::Fail);
    assert!(matches!(lab.apply(&[lb("2")]), Run::Finished(summary) if summary.failed.len() == 1));
    assert_eq!(lab.world.objects().len(), 2);
    assert_eq!(steps(&lab.plan(&[lb("2")])), ["delete old lb.a"]);
    lab.destroy().complete();
    assert!(lab.world.objects().is_empty());
}

#[test]
fn what_lives_in_a_machine_goes_with_it() {
    let part = || thing("part.b", &[("vm", "@vm.a#id"), ("content", "text")]);
    let vm = |image| thing("vm.a", &[("image", image)]);
    let (lab, first) = plan(&[vm("i"), part()], &[vm("j"), part()]);
    assert_eq!(first, ["delete vm.a", "create vm.a", "create part.b"]);
    let destroy = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap();
    assert_eq!(steps(&destroy), ["delete vm.a"], "the part needs no call of its own");
    lab.destroy().complete();
    assert!(lab.state().values().all(|s| s.records.is_empty()));
}

#[test]
fn a_dependant_may_start_before_readiness_where_it_says_so() {
    let vm = thing("vm.a", &[("image", "i")]);
    let early = thing("vm.b", &[("image", "i"), ("size", "@vm.a#id?created")]);
    let late = thing("vm.c", &[("image", "i"), ("size", "@vm.a#id")]);
    let plan = Lab::default().plan(&[vm, early, late]);
    let needs: Vec<_> = plan.edges.iter().map(|e| (e.from, e.to, e.needs)).collect();
    assert_eq!(needs, [(0, 1, cloudtik_core::Needs::Created), (0, 2, cloudtik_core::Needs::Ready)]);
}

#[test]
fn rolling_batches_follow_each_other() {
    let vm = |i: usize, image: &str| {
        let mut vm = thing(&format!("vm.w[{i}]"), &[("image", image)]);
        vm.lifecycle.rolling = Some(cloudtik_core::Rolling { group: "w".into(), batch: 2 });
        vm
    };
    let all = |image: &str| (0..4).map(|i| vm(i, image)).collect::<Vec<_>>();
    let lab = Lab::default();
    lab.apply(&all("i")).complete();
    let plan = lab.plan(&all("j"));
    let provides: Vec<u32> = (0..8).filter(|i| plan.operations[*i as usize].verb.as_str() == "create").collect();
    let first_batch = &provides[..2];
    let second_deletes: Vec<u32> = (4..8).filter(|i| plan.operations[*i as usize].verb.as_str() == "delete").collect();
    for from in first_batch {
        for to in &second_deletes {
            assert!(plan.edges.iter().any(|e| e.from == *from && e.to == *to), "{from} must come before {to}");
        }
    }
}

#[test]
fn what_goes_with_its_home_does_not_wait_for_what_is_attached_to_it() {
    // The part lives in `a` and is built on `b`, which is built on `a` too: a login of a machine that has a disk.
    let mut part = thing("part.a", &[("vm", "@net.a#id"), ("sub", "@sub.b#id")]);
    part.lifecycle.gone_with = Some(net("1").address);
    let lab = Lab::default();
    lab.apply(&[net("1"), sub("1", "x"), part]).complete();
    let destroy = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap();
    assert_eq!(steps(&destroy), ["delete sub.b", "delete net.a"]);
    lab.destroy().complete();
    assert!(lab.world.objects().is_empty());
}
