use super::*;
use crate::view::{
    Look, Redactor,
    samples::{assert_case, change, cluster, create, diff, edit, first, look, plan, workspace},
};
use cloudtik_core::{
    Sources, Value,
    plan::{Action, Plan, Reason},
};
use proptest::prelude::*;

fn show(plan: &Plan, options: &Options) -> String {
    human(plan, &Sources::default(), &look(), options)
}

#[test]
fn a_first_plan_groups_what_is_alike() {
    let next = vec![("cloudtik apply workspace.yaml cluster.yaml".to_string(), "to make it so".to_string())];
    assert_case("first", &show(&first(), &Options { next, ..Options::default() }));
}

#[test]
fn an_edit_shows_what_is_lost_first_and_why() {
    assert_case("edit", &show(&edit(), &Options::default()));
}

#[test]
fn a_narrow_terminal_loses_nothing() {
    let none = Redactor::default();
    let narrow = Look { width: 48, color: false, redactor: &none };
    assert_case("edit-narrow", &human(&edit(), &Sources::default(), &narrow, &Options::default()));
}

#[test]
fn verbose_shows_what_is_kept() {
    let text = show(&edit(), &Options { verbose: true, ..Options::default() });
    assert!(text.contains("  = network.main"), "{text}");
}

#[test]
fn an_empty_plan_is_one_line() {
    let keep = |name: &str| change(workspace(name), Action::Keep, vec![], vec![]);
    let text = show(&plan(vec![keep("network.main"), keep("subnet.a")]), &Options::default());
    assert_eq!(text, "No changes. 2 resources are as declared.\n");
}

#[test]
fn instances_that_differ_in_more_than_their_number_stand_alone() {
    let node = |i: usize, cpus: i64| {
        create(
            cluster(&format!("instance.worker[{i}]")),
            vec![("cpus", Value::Int(cpus)), ("ip", Value::text(format!("10.0.0.{}", 11 + i)))],
        )
    };
    let text = show(&plan(vec![node(0, 2), node(1, 2), node(2, 8), node(3, 2)]), &Options::default());
    assert!(text.contains("instance.worker[0,1,3] ×3"), "{text}");
    assert!(text.contains("instance.worker[2]  cpus = 8, ip"), "{text}");
    assert!(text.contains("\"10.0.0.11\" … \"10.0.0.14\""), "{text}");
}

#[test]
fn a_new_resource_shows_the_most_telling_and_says_that_there_is_more() {
    let long = || Value::list((0..30).map(|i| format!("--option-{i}")));
    let paths = ["dir", "log", "run"].map(|name| (name, Value::text(format!("/nodes/head/{name}"))));
    let mut told = vec![("command", long()), ("config", long()), ("ports", Value::list([Value::Int(7077)]))];
    told.extend([("network", Value::reference(&workspace("network.main"), "id")), ("seconds", Value::Int(120))]);
    told.extend(paths);
    let content = (0..30).map(|i| format!("setting{i} {}\n", "x".repeat(80))).collect::<String>();
    let file = |node: &str| create(cluster(&format!("file.{node}/a.conf")), vec![("content", content.as_str())]);
    let all = plan(vec![create(cluster("service.head/master"), told), file("head"), file("other")]);
    assert_case("created", &show(&all, &Options::default()));
    let whole = show(&all, &Options { full: true, ..Options::default() });
    assert!(whole.contains("run ") && whole.contains("setting29") && !whole.contains("in part"), "{whole}");
}

#[test]
fn what_moves_with_a_replaced_node_is_named_under_it() {
    let node = cluster("instance.head");
    let because = || vec![Reason::DependencyReplaced { address: node.clone() }];
    let moved = diff("node", "ns-1", Value::Unknown);
    let changes = vec![
        change(cluster("file.head/a.conf"), Action::Replace, because(), vec![moved.clone()]),
        change(cluster("file.head/b.conf"), Action::Replace, because(), vec![moved, diff("content", "x", "y")]),
        change(node.clone(), Action::Replace, vec![Reason::Requested], vec![]),
        change(cluster("volume.data"), Action::Replace, because(), vec![]),
    ];
    let text = show(&plan(changes), &Options::default());
    assert!(text.contains("with it (1 in all): file a.conf\n"), "{text}");
    assert!(text.contains("-/+ file.head/b.conf  must be replaced: instance.head, which it is built on,"), "{text}");
    assert!(text.contains("-/+ volume.data "), "{text}");
}

#[test]
fn an_upgrade_and_its_consequences_are_told_in_every_view() {
    let mut image = diff("image", "ami-old", Value::text("ami-new"));
    image.forces_replacement = true;
    let upgrade = Reason::Upgrade { detail: "ami-new of 2026-11-20".into() };
    let replaced = vec![Reason::Immutable { path: "image".into() }];
    let plan = plan(vec![
        change(cluster("image.default"), Action::Update, vec![upgrade], vec![]),
        change(cluster("instance.worker.default[0]"), Action::Replace, replaced, vec![image]),
        change(cluster("vpc.main"), Action::Adopt, vec![Reason::TakenOver], vec![]),
    ]);
    let text = show(&plan, &Options::default());
    assert!(text.contains("~ image.default  a newer version was asked for: ami-new of 2026-11-20\n"), "{text}");
    assert!(text.contains("image = \"ami-old\" -> \"ami-new\""), "{text}");
    assert!(text.contains("vpc.main  exists and was not made from here; taken over as asked\n"), "{text}");
    let comment = unescaped(&markdown(&plan, "demo/etl", 10_000, &look()));
    assert!(comment.contains("a newer version was asked for: ami-new of 2026-11-20"), "{comment}");
    let json: serde_json::Value = serde_json::from_str(&super::json(&plan)).unwrap();
    assert_eq!(json["changes"][0]["reasons"][0]["why"], "upgrade");
    assert_eq!(json["changes"][2]["reasons"][0]["why"], "taken-over");
}

#[test]
fn long_lists_and_rewritten_texts_are_shortened_and_say_so() {
    let many = |from: usize| Value::list((from..from + 40).map(|i| format!("item number {i} of a long list")));
    let lines = |word: &str| (0..300).map(|i| format!("{word} {i}\n")).collect::<String>();
    let diffs = vec![diff("list", many(0), many(100)), diff("text", lines("old"), lines("new"))];
    let all = plan(vec![change(cluster("file.head/a"), Action::Update, vec![], diffs)]);
    let short = show(&all, &Options::default());
    assert!(short.contains("… 34 more added") && short.contains("… 500 more changed lines"), "{short}");
    let full = show(&all, &Options { full: true, ..Options::default() });
    assert!(!full.contains("more") && full.contains("+ new 299"), "{full}");
}

#[test]
fn values_that_go_up_with_the_instance_show_their_range() {
    let node = |i: usize| {
        let folders = Value::list([
            format!("/nodes/worker-{i}/a"),
            "/shared/with/a/long/name/so/that/it/does/not/fit/one/line".into(),
        ]);
        let twice = Value::text(format!("{i} of {i}"));
        let from = Value::reference(&cluster(&format!("subnet.s[{i}]")), "id");
        create(cluster(&format!("instance.worker[{i}]")), vec![("folders", folders), ("from", from), ("twice", twice)])
    };
    let text = show(&plan((8..12).map(node).collect()), &Options { full: true, ..Options::default() });
    assert!(text.contains("- \"/nodes/worker-[8..11]/a\"\n"), "{text}");
    assert!(text.contains("from  = subnet.s[8..11].id (known after apply)\n"), "{text}");
    assert!(text.contains("twice = \"8 of 8\" … \"11 of 11\"\n"), "{text}");
}

#[test]
fn the_same_text_diff_is_shown_once() {
    let text = show(&edit(), &Options::default());
    assert_eq!(text.matches("+ spark.property.number20    4096").count(), 1, "{text}");
    assert!(text.contains("same as in file.head/spark-defaults.conf above"), "{text}");
}

#[test]
fn the_review_comment_of_an_edit() {
    assert_case("edit.md", &markdown(&edit(), "demo/etl", MARKDOWN_LIMIT, &look()));
}

#[test]
fn text_of_the_user_cannot_leave_its_place_in_a_comment() {
    let evil = "```\n</details><img src=x>| [a](b) @team\n";
    let changes = vec![create(cluster("file.head/a`|<b>.conf"), vec![("content", evil)])];
    let text = markdown(&plan(changes), "x --> y", MARKDOWN_LIMIT, &look());
    assert!(text.starts_with("<!-- cloudtik-plan:x--y -->") || text.starts_with("<!-- cloudtik-plan:xy -->"), "{text}");
    assert!(text.contains("a&#96;&#124;&#60;b&#62;.conf"), "{text}");
    assert!(text.contains("````diff\n"), "{text}");
}

#[test]
fn json_names_its_version_and_holds_no_fingerprint() {
    let document: serde_json::Value = serde_json::from_str(&json(&first())).unwrap();
    assert_eq!(document["format_version"], 1);
    assert_eq!(document["counts"]["create"], 9);
    let text = document.to_string();
    assert!(text.contains("env:PASSWORD") && !text.contains("f00d"), "{text}");
    let file = &document["changes"].as_array().unwrap().iter().find(|c| c["kind"] == "file").unwrap()["diffs"];
    assert!(file.to_string().contains(r#"{"$ref":"cluster/demo/etl:instance.head#ip"}"#), "{file}");
}

#[test]
fn a_secret_in_a_value_is_not_shown_however_the_line_breaks() {
    let redactor = Redactor::new(["correct horse battery staple and many more words"]);
    let text = format!("{} correct horse battery staple and many more words", "x".repeat(50));
    let plan = plan(vec![create(
        cluster("file.head/a"),
        vec![("a", text.as_str()), ("b", "line\ncorrect horse battery staple and many more words\n")],
    )]);
    for color in [false, true] {
        let look = Look { width: 40, color, redactor: &redactor };
        let shown = human(&plan, &Sources::default(), &look, &Options::default());
        assert!(!shown.contains("horse") && !shown.contains("staple"), "{shown}");
        assert!(!markdown(&plan, "k", MARKDOWN_LIMIT, &look).contains("horse"));
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Unset),
        Just(Value::Unknown),
        any::<i64>().prop_map(Value::Int),
        "\\PC{0,120}".prop_map(Value::text),
        "[a-z\t\n日 ]{0,200}".prop_map(Value::text),
        Just(Value::reference(&cluster("instance.head"), "ip")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..9).prop_map(Value::List),
            prop::collection::btree_map("[a-z.]{1,30}", inner, 0..5).prop_map(Value::Map),
        ]
    })
}

fn actions() -> impl Strategy<Value = Action> {
    use Action::*;
    prop::sample::select(vec![Delete, Replace, ReplaceCreateFirst, Forget, Update, Create, Adopt, Keep])
}

fn plans(size: usize) -> impl Strategy<Value = Plan> {
    let one = (actions(), "[a-z]{1,8}", 0..4usize, values(), values(), any::<bool>());
    prop::collection::vec(one, 0..size).prop_map(|all| {
        let changes = all.into_iter().enumerate().map(|(n, (action, name, i, before, after, forces))| {
            let mut diff = diff("some.path", before, after);
            diff.forces_replacement = forces;
            let reasons = vec![Reason::Broken { detail: format!("{name} {}", "why ".repeat(i * 9)) }];
            change(cluster(&format!("{name}.{name}-{n}[{i}]/x")), action, reasons, vec![diff])
        });
        let mut plan = plan(changes.collect());
        plan.changes.sort_by(|a, b| a.address.cmp(&b.address));
        plan.estimate.critical_path = plan.changes.iter().map(|c| c.address.clone()).collect();
        plan
    })
}

/// Entities as a browser shows them.
fn unescaped(text: &str) -> String {
    let mut parts = text.split("&#");
    let mut out = parts.next().unwrap().to_string();
    for part in parts {
        let entity = part.split_once(';').and_then(|(n, tail)| Some((char::from_u32(n.parse().ok()?)?, tail)));
        match entity {
            Some((c, tail)) => out.extend([c.to_string().as_str(), tail]),
            None => out.extend(["&#", part]),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_wider_than_the_terminal(plan in plans(8), width in 20..120usize, color: bool, full: bool) {
        let none = Redactor::default();
        let options = Options { verbose: true, full, next: vec![("cloudtik apply a.yaml".into(), "to make it so".into())] };
        let text = human(&plan, &Sources::default(), &Look { width, color, redactor: &none }, &options);
        for line in anstream::adapter::strip_str(&text).to_string().lines() {
            prop_assert!(crate::view::text::width(line) <= width, "{} > {width}: {line}", crate::view::text::width(line));
        }
    }

    #[test]
    fn a_comment_keeps_its_limit_and_every_destructive_change(plan in plans(24), limit in 2_000..70_000usize) {
        let text = markdown(&plan, "demo/etl", limit, &look());
        prop_assert!(text.len() <= limit, "{} > {limit}", text.len());
        let shown = unescaped(&text);
        for change in plan.changes.iter().filter(|c| c.action.is_destructive()) {
            prop_assert!(shown.contains(change.address.name()), "{} is missing in\n{shown}", change.address);
        }
    }
}
