//! Plans: shown, saved, applied as they were saved, refused when they no longer fit.

use crate::bench::Bench;

#[test]
fn a_first_plan_in_every_form() {
    let mut bench = Bench::new();
    bench.run("plan workspace.yaml cluster.yaml");
    bench.run("plan workspace.yaml --markdown");
    bench.compare("plan-first");
    let json: serde_json::Value =
        serde_json::from_str(bench.must("plan workspace.yaml --json").stdout.lines().last().unwrap()).unwrap();
    assert_eq!(json["counts"]["create"], 6);
    assert!(!bench.path("state/workspace").exists(), "a plan writes no state");
}

#[test]
fn the_plan_of_the_spark_example_is_short() {
    let mut bench = Bench::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/spark");
    for name in ["workspace.yaml", "cluster.yaml"] {
        bench.write(&format!("spark/{name}"), &std::fs::read_to_string(format!("{example}/{name}")).unwrap());
    }
    let plan = bench.run("plan spark").stdout;
    assert!(plan.lines().count() <= 115, "{} lines", plan.lines().count());
    bench.compare("plan-spark");
    let whole = bench.must("plan spark --verbose").stdout;
    assert!(whole.lines().count() > 250 && whole.contains("start_seconds"), "{whole}");
}

#[test]
fn a_saved_plan_is_shown_and_applied_as_it_is() {
    let mut bench = Bench::new();
    bench.run("plan workspace.yaml -o first.plan");
    bench.run("show first.plan");
    bench.run("apply first.plan");
    bench.run("apply first.plan -y");
    bench.run("plan workspace.yaml");
    bench.compare("plan-saved");
}

#[test]
fn a_plan_that_was_applied_already_touches_nothing() {
    let mut bench = Bench::new();
    bench.must("plan workspace.yaml -o first.plan");
    bench.must("apply first.plan -y");
    bench.run("apply first.plan -y");
    bench.run("plan workspace.yaml");
    bench.compare("plan-stale");
}

/// A bucket that cannot be made ends the first run in part; the plan, whose scope had no history, is gone on with.
#[test]
fn a_first_plan_that_was_cut_off_is_gone_on_with() {
    let mut bench = Bench::new();
    bench.must("plan workspace.yaml -o first.plan");
    bench.write("state/local/buckets", "in the way");
    assert_eq!(bench.run("apply first.plan -y").code, 4);
    std::fs::remove_file(bench.path("state/local/buckets")).unwrap();
    assert_eq!(bench.run("apply first.plan -y").code, 0);
    bench.run("plan workspace.yaml");
    bench.compare("plan-cut-off");
}

#[test]
fn a_plan_of_another_history_is_refused() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    bench.write("workspace.yaml", "workspace_name: demo\nprovider:\n  type: local\n  allow_internal: false\n");
    bench.must("plan workspace.yaml -o edit.plan");
    bench.must("destroy workspace.yaml -y --delete-managed-storage");
    bench.must("state rm --scope workspace/demo");
    bench.must("apply workspace.yaml -y");
    assert_eq!(bench.run("apply edit.plan -y").code, 6);
    bench.compare("plan-other-history");
}

#[test]
fn a_step_whose_facts_moved_is_refused_and_the_others_are_done() {
    let bench = Bench::new();
    let edited = |allow: bool, port: u16| {
        let rule = format!("    - {{protocol: tcp, ports: [{port}], sources: [127.0.0.0/8]}}\n");
        format!("{}  allow_internal: {allow}\n  firewall_rules:\n{rule}", crate::bench::WORKSPACE)
    };
    bench.must("apply workspace.yaml -y");
    std::fs::remove_dir_all(bench.path("state/local/buckets/demo")).unwrap();
    bench.write("workspace.yaml", &edited(false, 8088));
    bench.must("plan workspace.yaml -o edit.plan");
    bench.write("workspace.yaml", &edited(true, 9099));
    bench.must("apply workspace.yaml --target firewall.main -y");
    let ran = bench.quiet("apply edit.plan -y");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("`workspace/demo:firewall.main` has changed since"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Not finished: 1 done, 1 failed, 0 skipped"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("What is done is recorded. Make a new plan for the rest.\n"), "{}", ran.stderr);
    assert!(bench.path("state/local/buckets/demo").is_dir());
    assert_eq!(bench.quiet("plan workspace.yaml --detailed-exitcode").code, 0, "the later rule stays");
}

#[test]
fn a_tampered_plan_is_refused() {
    let mut bench = Bench::new();
    bench.must("plan workspace.yaml -o first.plan");
    let tampered = bench.read("first.plan").replace("\"allow_internal\":true", "\"allow_internal\":false");
    assert_ne!(tampered, bench.read("first.plan"));
    bench.write("first.plan", &tampered);
    assert_eq!(bench.run("apply first.plan -y").code, 6);
    bench.write("newer.plan", "{\"format\": 99}");
    bench.write("other.json", "{\"a\": 1}");
    bench.write("broken.json", "{\"format\": 1, ");
    for name in ["newer.plan", "other.json", "broken.json"] {
        assert_eq!(bench.run(&format!("apply {name} -y")).code, 3, "{name}");
    }
    assert_eq!(bench.run("show workspace.yaml").code, 3);
    assert_eq!(bench.run("show missing.plan").code, 3);
    bench.compare("plan-tampered");
    assert_eq!(bench.must("state list").stdout, "Nothing is recorded.\n");
}

#[test]
fn exit_codes_tell_whether_there_are_changes() {
    let bench = Bench::new();
    assert_eq!(bench.quiet("plan workspace.yaml --detailed-exitcode").code, 2);
    bench.must("apply workspace.yaml -y");
    assert_eq!(bench.quiet("plan workspace.yaml --detailed-exitcode").code, 0);
    assert_eq!(bench.quiet("plan workspace.yaml --destroy --detailed-exitcode").code, 2);
}

#[test]
fn a_selection_narrows_a_plan() {
    let mut bench = Bench::new();
    bench.run("plan workspace.yaml --target subnet.private");
    bench.run("plan workspace.yaml --exclude subnet.public");
    bench.run("plan workspace.yaml --target subnet.secret");
    bench.must("apply workspace.yaml -y");
    bench.run("plan workspace.yaml --replace nat.main");
    bench.run("plan workspace.yaml --refresh none");
    bench.run("plan workspace.yaml --destroy");
    bench.compare("plan-selection");
}
