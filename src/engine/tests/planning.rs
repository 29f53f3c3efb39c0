//! What is decided, and why.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod common;

use cloudtik_core::{
    Declaration, Lifecycle, Origin, Value,
    plan::{Action, Mode, Plan, Reason},
};
use cloudtik_engine::Options;
use cloudtik_testkit::world::{address, thing};
use common::{Lab, Run, steps};

fn action(plan: &Plan, short: &str) -> (Action, Vec<Reason>) {
    let change = plan.changes.iter().find(|c| c.address.short() == short).expect("the change is in the plan");
    (change.action, change.reasons.clone())
}

fn vm(image: &str, size: &str) -> Declaration {
    thing("vm.a", &[("image", image), ("size", size)])
}

fn applied(declarations: &[Declaration]) -> Lab {
    let lab = Lab::default();
    lab.apply(declarations).complete();
    lab
}

#[test]
fn an_attribute_that_can_change_in_place_is_updated() {
    let plan = applied(&[vm("i", "s")]).plan(&[vm("i", "m")]);
    assert_eq!(action(&plan, "vm.a"), (Action::Update, vec![Reason::Changed { path: "size".into() }]));
    assert_eq!(plan.changes[0].diffs[0].before, Value::text("s"));
    assert_eq!(plan.changes[0].diffs[0].after, Value::text("m"));
}

#[test]
fn an_attribute_that_cannot_forces_replacement_and_is_named() {
    let plan = applied(&[vm("i", "s")]).plan(&[vm("j", "m")]);
    assert_eq!(action(&plan, "vm.a"), (Action::Replace, vec![Reason::Immutable { path: "image".into() }]));
    let forced: Vec<_> = plan.changes[0].diffs.iter().filter(|d| d.forces_replacement).map(|d| &d.path).collect();
    assert_eq!(forced, ["image"]);
}

#[test]
fn a_replaced_dependency_is_the_reason_of_its_dependants() {
    let all = |cidr| [thing("net.a", &[("cidr", cidr)]), thing("sub.b", &[("net", "@net.a#id"), ("cidr", "9")])];
    let plan = applied(&all("1")).plan(&all("2"));
    let expected = (Action::Replace, vec![Reason::DependencyReplaced { address: address("net.a") }]);
    assert_eq!(action(&plan, "sub.b"), expected);
}

#[test]
fn what_vanished_is_made_again_and_what_changed_behind_our_back_is_set_right() {
    let lab = applied(&[vm("i", "s"), thing("net.n", &[("cidr", "1")])]);
    lab.world.meddle("net.n", None);
    lab.world.meddle("vm.a", Some(&mut |o| drop(o.attributes.insert("size".into(), Value::text("xl")))));
    let plan = lab.plan(&[vm("i", "s"), thing("net.n", &[("cidr", "1")])]);
    assert_eq!(action(&plan, "net.n"), (Action::Create, vec![Reason::Gone]));
    assert_eq!(action(&plan, "vm.a"), (Action::Update, vec![Reason::Drifted { path: "size".into() }]));
    assert_eq!(plan.drift.len(), 2);
}

#[test]
fn what_is_broken_is_updated_in_place() {
    let lab = applied(&[vm("i", "s")]);
    lab.world.meddle("vm.a", Some(&mut |o| o.broken = Some("no answer".into())));
    let plan = lab.plan(&[vm("i", "s")]);
    assert_eq!(action(&plan, "vm.a"), (Action::Update, vec![Reason::Broken { detail: "no answer".into() }]));
    lab.apply(&[vm("i", "s")]).complete();
    assert!(lab.plan(&[vm("i", "s")]).is_empty());
}

#[test]
fn what_never_became_ready_is_waited_for_again() {
    let lab = Lab::default();
    lab.world.never_ready(&address("vm.a"), true);
    assert!(matches!(lab.apply(&[vm("i", "s")]), Run::Finished(s) if s.failed.len() == 1));
    lab.world.never_ready(&address("vm.a"), false);
    let plan = lab.plan(&[vm("i", "s")]);
    assert_eq!(action(&plan, "vm.a"), (Action::Read, vec![Reason::Unready]));
    assert_eq!(steps(&plan), ["await vm.a"]);
    lab.apply(&[vm("i", "s")]).complete();
    assert!(lab.plan(&[vm("i", "s")]).is_empty());
    assert_eq!(lab.world.objects().len(), 1);
}

#[test]
fn something_found_under_our_name_is_adopted_and_set_right() {
    let lab = applied(&[vm("i", "s")]);
    let fresh = Lab { world: lab.world.clone(), store: Default::default() };
    let plan = fresh.plan(&[vm("i", "m")]);
    assert_eq!(action(&plan, "vm.a").0, Action::Adopt);
    assert_eq!(steps(&plan), ["adopt vm.a", "update vm.a"]);
    fresh.apply(&[vm("i", "m")]).complete();
    assert!(fresh.plan(&[vm("i", "m")]).is_empty());
    assert_eq!(fresh.world.objects().len(), 1);
}

#[test]
fn something_without_our_mark_is_taken_over_only_when_that_is_asked_for() {
    let lab = applied(&[vm("i", "s")]);
    let fresh = Lab { world: lab.world.clone(), store: Default::default() };
    fresh.world.meddle("vm.a", Some(&mut |o| o.marked = false));
    let at = Origin { file: "cluster.yaml".into(), line: 4, column: 3, length: 2 };
    let declared = [vm("i", "s").written_at(Some(&at))];
    let problems = fresh.try_plan(&declared, Mode::Normal, &Options::default()).unwrap_err();
    assert_eq!(problems[0].id, "exists-already");
    assert_eq!(problems[0].detail, "`vm.a` exists as id-1 and was not made from this state");
    assert_eq!(problems[0].origin, Some(at));

    let adopt = Options { adopt: true, ..Options::default() };
    let plan = fresh.try_plan(&declared, Mode::Normal, &adopt).unwrap();
    assert_eq!(action(&plan, "vm.a"), (Action::Adopt, vec![Reason::TakenOver]));
    assert_eq!(steps(&plan), ["adopt vm.a", "update vm.a"], "the update leaves our mark");
    fresh.run(&declared, Mode::Normal, &adopt).complete();
    assert!(fresh.plan(&declared).is_empty());
    let again = Lab { world: lab.world.clone(), store: Default::default() };
    assert_eq!(steps(&again.plan(&declared)), ["adopt vm.a"], "it is ours from now on");
}

#[test]
fn an_attribute_may_change_in_place_one_way_and_replace_the_other_way() {
    let disk = |size| [thing("vm.a", &[("image", "i"), ("disk", size)])];
    let lab = applied(&disk("20"));
    assert_eq!(action(&lab.plan(&disk("30")), "vm.a"), (Action::Update, vec![Reason::Changed { path: "disk".into() }]));
    let plan = lab.plan(&disk("10"));
    assert_eq!(action(&plan, "vm.a"), (Action::Replace, vec![Reason::Immutable { path: "disk".into() }]));
    assert!(plan.changes[0].diffs[0].forces_replacement);
}

#[test]
fn a_newer_image_replaces_what_is_built_from_it_and_shows_both_versions() {
    let all = [thing("image.base", &[("family", "debian")]), thing("vm.a", &[("image", "@image.base#version")])];
    let lab = applied(&all);
    lab.world.release(false);
    assert!(lab.plan(&all).is_empty(), "a pinned image stays until it is asked to follow");
    lab.world.release(true);
    let plan = lab.plan(&all);
    assert_eq!(action(&plan, "image.base"), (Action::Update, vec![Reason::Upgrade { detail: "v2 is out".into() }]));
    let forced = &plan.changes.iter().find(|c| c.address.short() == "vm.a").unwrap().diffs;
    let image = forced.iter().find(|d| d.path == "image").unwrap();
    assert_eq!((&image.before, &image.after), (&Value::text("v0"), &Value::text("v2")));
    assert_eq!(action(&plan, "vm.a"), (Action::Replace, vec![Reason::Immutable { path: "image".into() }]));

    lab.world.release(true); // what was planned is applied, not what came out meanwhile
    lab.apply_plan(&plan);
    let versions = |kind: &str, name: &str| {
        let of_kind = lab.world.objects().into_values().find(|o| o.kind == kind).unwrap();
        of_kind.outputs.get(name).or(of_kind.attributes.get(name)).cloned()
    };
    assert_eq!((versions("image", "version"), versions("vm", "image")), (Some("v2".into()), Some("v2".into())));
}

#[test]
fn kinds_of_one_name_follow_the_rules_of_their_own_provider() {
    let net = |provider: &str, cidr| Declaration { provider: provider.into(), ..thing("net.n", &[("cidr", cidr)]) };
    let lab = applied(&[net("fake", "1")]);
    assert_eq!(action(&lab.plan(&[net("fake", "2")]), "net.n").0, Action::Replace);
    let plan = lab.plan(&[net("twin", "1")]);
    assert_eq!(action(&plan, "net.n"), (Action::Replace, vec![Reason::Immutable { path: "provider".into() }]));
    let by: Vec<_> = plan.operations.iter().map(|op| (op.verb.as_str(), op.provider.to_string())).collect();
    assert_eq!(by, [("delete", "fake".into()), ("create", "twin".into())], "who made it removes it");
    lab.apply(&[net("twin", "1")]).complete();
    assert!(lab.plan(&[net("twin", "1")]).is_empty());
    assert_eq!(action(&lab.plan(&[net("twin", "2")]), "net.n").0, Action::Update);
}

#[test]
fn data_is_kept_unless_its_deletion_is_asked_for() {
    let vault = [thing("vault.v", &[("zone", "z")])];
    let lab = applied(&vault);
    let plan = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap();
    assert_eq!(action(&plan, "vault.v"), (Action::Forget, vec![Reason::Destroy, Reason::Retained]));
    let delete = Options { delete_data: ["vault".into()].into(), ..Options::default() };
    let plan = lab.try_plan(&[], Mode::Destroy, &delete).unwrap();
    assert_eq!(action(&plan, "vault.v"), (Action::Delete, vec![Reason::Destroy]));
    lab.destroy().complete();
    assert_eq!(lab.world.objects().len(), 1, "the data is still there");
    assert_eq!(steps(&lab.plan(&vault)), ["adopt vault.v"], "and is found again");
}

#[test]
fn data_is_not_kept_on_ground_that_goes() {
    let lab = applied(&[thing("net.n", &[("cidr", "1")]), thing("vault.v", &[("net", "@net.n#id")])]);
    let problems = lab.try_plan(&[], Mode::Destroy, &Options::default()).unwrap_err();
    assert_eq!(problems[0].id, "kept-in-use");
    let left = Options { excludes: vec!["net.n".into()], ..Options::default() };
    assert_eq!(steps(&lab.try_plan(&[], Mode::Destroy, &left).unwrap()), ["forget vault.v"]);
    let delete = Options { delete_data: ["vault".into()].into(), ..Options::default() };
    assert_eq!(steps(&lab.try_plan(&[], Mode::Destroy, &delete).unwrap()), ["delete vault.v", "delete net.n"]);
}

#[test]
fn a_protected_resource_is_not_replaced_unless_named() {
    let head = |image| vm(image, "s").lifecycle(Lifecycle { prevent_destroy: true, ..Lifecycle::default() });
    let lab = applied(&[head("i")]);
    let problems = lab.try_plan(&[head("j")], Mode::Normal, &Options::default()).unwrap_err();
    assert_eq!(problems[0].id, "protected");
    assert!(problems[0].detail.contains("`image`"), "{}", problems[0].detail);
    let named = Options { replace: vec!["vm.a".into()], ..Options::default() };
    assert_eq!(action(&lab.try_plan(&[head("j")], Mode::Normal, &named).unwrap(), "vm.a").0, Action::Replace);
    let problems = lab.try_plan(&[], Mode::Normal, &Options::default()).unwrap_err();
    assert_eq!(problems[0].id, "protected", "nor deleted by removing it from the document");
    assert!(lab.try_plan(&[], Mode::Destroy, &Options::default()).is_ok(), "destroy says what it wants");
}

#[test]
fn a_cycle_is_reported_with_the_places_that_make_it() {
    let at = |line| Origin { file: "cluster.yaml".into(), line, column: 1, length: 1 };
    let a = thing("net.a", &[("cidr", "@sub.b#id")]).written_at(Some(&at(3)));
    let b = thing("sub.b", &[("net", "@vm.c#id")]).written_at(Some(&at(7)));
    let c = thing("vm.c", &[("image", "@net.a#id")]).written_at(Some(&at(9)));
    let problems = Lab::default().try_plan(&[a, b, c], Mode::Normal, &Options::default()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].id, "dependency-cycle");
    assert_eq!(problems[0].detail, "net.a -> sub.b -> vm.c -> net.a cannot start before itself");
    let places: Vec<u32> = problems[0].related.iter().map(|(o, _)| o.line).collect();
    assert_eq!((problems[0].origin.as_ref().map(|o| o.line), places), (Some(3), vec![7, 9]));
}

#[test]
fn every_wrong_reference_and_repeat_is_reported_at_once() {
    let all = [
        thing("net.a", &[("cidr", "1")]),
        thing("net.a", &[("cidr", "2")]),
        thing("sub.b", &[("net", "@net.x#id")]),
        thing("sub.c", &[("net", "@net.y#id")]),
    ];
    let problems = Lab::default().try_plan(&all, Mode::Normal, &Options::default()).unwrap_err();
    let ids: Vec<&str> = problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["declared-twice", "unknown-reference", "unknown-reference"]);
}

#[test]
fn a_target_brings_what_it_needs_and_an_exclusion_takes_what_needs_it() {
    let all = [
        thing("net.a", &[("cidr", "1")]),
        thing("sub.b", &[("net", "@net.a#id")]),
        thing("vm.c", &[("image", "i"), ("sub", "@sub.b#id")]),
        thing("lb.d", &[("port", "1")]),
    ];
    let lab = Lab::default();
    let only = |targets: &[&str], excludes: &[&str]| {
        let strings = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect();
        let options = Options { targets: strings(targets), excludes: strings(excludes), ..Options::default() };
        lab.try_plan(&all, Mode::Normal, &options).map(|plan| steps(&plan))
    };
    assert_eq!(only(&["sub.b"], &[]).unwrap(), ["create net.a", "create sub.b"]);
    assert_eq!(only(&[], &["sub.b"]).unwrap(), ["create lb.d", "create net.a"]);
    assert_eq!(only(&["vm.nothing"], &[]).unwrap_err()[0].id, "unknown-target");
}

#[test]
fn a_predicted_output_is_known_in_the_plan() {
    let all = |content| {
        [
            thing("vm.a", &[("image", "i")]),
            thing("part.f", &[("vm", "@vm.a#id"), ("content", content)]),
            thing("part.s", &[("vm", "@vm.a#id"), ("reads", "@part.f#digest")]),
        ]
    };
    let lab = applied(&all("one"));
    let plan = lab.plan(&all("two"));
    assert_eq!(steps(&plan), ["update part.f", "update part.s"]);
    let diff = &plan.changes.iter().find(|c| c.address.short() == "part.s").unwrap().diffs[0];
    assert!(diff.after.is_known(), "{:?}", diff.after);
    lab.apply(&all("two")).complete();
    assert!(lab.plan(&all("two")).is_empty());
}

#[test]
fn an_output_that_only_the_call_can_tell_is_not_read_from_an_input_of_that_name() {
    let all =
        [thing("vm.a", &[("image", "i"), ("pid", "wanted")]), thing("vm.b", &[("image", "i"), ("size", "@vm.a#pid")])];
    let plan = Lab::default().plan(&all);
    assert!(!plan.operations[1].attributes["size"].is_known());
}

#[test]
fn a_scope_that_was_never_applied_is_reported_once() {
    let of_workspace = |name: &str| {
        let missing = cloudtik_core::Address::new(cloudtik_core::Scope::workspace("w"), "net", name);
        let mut vm = thing(&format!("vm.{name}"), &[("image", "i")]);
        vm.attributes.insert("net".into(), Value::reference(&missing, "id"));
        vm
    };
    let all = [of_workspace("a"), of_workspace("b")];
    let problems = Lab::default().try_plan(&all, Mode::Normal, &Options::default()).unwrap_err();
    let ids: Vec<&str> = problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["scope-not-applied"]);
}
