//! Documents looked at without touching anything: validate, schema, config show.

use crate::bench::Bench;

#[test]
fn good_documents_are_valid() {
    let mut bench = Bench::new();
    bench.run("validate workspace.yaml cluster.yaml");
    bench.run("validate .");
    bench.run("validate workspace.yaml --json");
    bench.compare("validate-good");
}

#[test]
fn every_problem_is_told_in_one_run() {
    let mut bench = Bench::new();
    bench.write(
        "bad.yaml",
        "\
cluster_name: bad name
workspace_name: demo
provider:
  type: local
  allowed_ssh_source: [10.0.0.0/8]
from: local/smal
available_node_types:
  worker.default:
    min_workers: three
    resorces: {CPU: 2}
runtime:
  types: [sparc]
",
    );
    bench.write("twice.yaml", "workspace_name: demo\nprovider:\n  type: local\nworkspace_name: other\n");
    bench.write("worse.yaml", "provider: [local\n");
    bench.write("empty.yaml", "");
    let ran = bench.run("validate bad.yaml twice.yaml worse.yaml empty.yaml missing.yaml");
    assert_eq!(ran.code, 3);
    let json = bench.quiet("validate twice.yaml worse.yaml --json");
    assert_eq!(json.code, 3);
    assert_eq!(json.stdout.lines().count(), 3, "{}", json.stdout);
    bench.compare("validate-bad");
}

#[test]
fn a_provider_that_this_build_lacks_says_how_to_get_it() {
    let mut bench = Bench::new();
    bench.write("gcp.yaml", "workspace_name: demo\nprovider:\n  type: gcp\n  region: us-west1\n  project_id: p\n");
    assert_eq!(bench.run("plan gcp.yaml").code, 3);
    assert_eq!(bench.run("apply gcp.yaml -y").code, 3);
    assert_eq!(bench.run("validate gcp.yaml").code, 0);
    bench.run("config show gcp.yaml");
    bench.compare("provider-lacking");
}

#[test]
fn schemas_are_json() {
    let bench = Bench::new();
    for kind in ["workspace", "cluster"] {
        let schema: serde_json::Value = serde_json::from_str(&bench.must(&format!("schema {kind}")).stdout).unwrap();
        assert!(schema["properties"]["provider"].is_object(), "{kind}");
    }
}

#[test]
fn a_resolved_document_says_where_each_value_came_from() {
    let mut bench = Bench::new();
    bench.run("config show workspace.yaml");
    bench.run("config show cluster.yaml --resolved");
    bench.compare("config-show");
}

#[test]
fn a_resolved_document_reads_back() {
    let bench = Bench::new();
    let long = format!(
        "# {}\nprovider:\n  type: local\nworkspace_name: demo\nstate: {}\n",
        "x".repeat(90),
        "/long".repeat(40)
    );
    bench.write("long.yaml", &long);
    let shown = bench.must("config show long.yaml").stdout;
    assert!(shown.contains(&format!("state: {}\n", "/long".repeat(40))), "{shown}");
    bench.write("again.yaml", &shown);
    assert_eq!(bench.must("config show again.yaml").stdout, shown);
}

#[test]
fn templates_of_the_user_come_first() {
    let bench = Bench::new();
    bench.write(
        "own/local/small.yaml",
        "provider:\n  type: local\navailable_node_types:\n  worker.default:\n    min_workers: 7\n",
    );
    bench.write("cluster.yaml", "cluster_name: c\nworkspace_name: demo\nfrom: local/small\n");
    let shipped = bench.must("config show cluster.yaml").stdout;
    let own = bench.must("config show cluster.yaml --template-dir own").stdout;
    assert!(own.contains("min_workers: 7") && !shipped.contains("min_workers: 7"), "{own}");
    let mut by_variable = bench.command(&["config", "show", "cluster.yaml"]);
    let by_variable = by_variable.env("CLOUDTIK_USER_TEMPLATES", "none,own").output().unwrap();
    assert_eq!(String::from_utf8(by_variable.stdout).unwrap(), own);
}

#[test]
fn a_secret_in_a_document_is_never_shown() {
    let bench = Bench::new();
    let secret = "hunter2hunter2";
    bench.write(
        "cluster.yaml",
        &crate::bench::CLUSTER.replace("runtime:", &format!("auth:\n  ssh_private_key_content: {secret}\nruntime:")),
    );
    for line in
        ["validate cluster.yaml", "config show cluster.yaml --resolved", "plan workspace.yaml cluster.yaml --json"]
    {
        let ran = bench.quiet(line);
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{line}\n{}{}", ran.stdout, ran.stderr);
    }
}
