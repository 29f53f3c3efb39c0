//! State that goes to another store, history and all.

use crate::bench::{Bench, WORKSPACE};

/// State of a workspace on a cloud, in the folder `old`.
fn on_a_cloud(bench: &mut Bench) {
    bench.must("apply workspace.yaml -y");
    let export = bench.must("state export workspace/demo").stdout;
    let mut export: serde_json::Value = serde_json::from_str(&export).unwrap();
    export.as_object_mut().unwrap().remove("digest");
    for record in export["records"].as_object_mut().unwrap().values_mut() {
        record["provider"] = "elsewhere".into();
    }
    bench.write("cloud.json", &export.to_string());
    bench.must("state import cloud.json --state old");
}

#[test]
fn state_moves_and_the_old_place_says_where_it_is() {
    let mut bench = Bench::new();
    on_a_cloud(&mut bench);
    for line in [
        "state migrate old new",
        "state migrate old new -y",
        "state list --state old",
        "state list --state new",
        "state check --state old",
        "workspace info workspace.yaml --state old",
        "plan workspace.yaml --state old",
        "apply workspace.yaml -y --state old",
        "state rm workspace/demo:subnet.private --state old",
        "state migrate old new -y",
        "state migrate old third -y",
        "state migrate new old -y --json",
        "state check --state old",
    ] {
        bench.run(line);
    }
    bench.compare("state-migrate");
}

#[test]
fn state_that_cannot_move_stays_as_it_is() {
    let mut bench = Bench::new();
    on_a_cloud(&mut bench);
    bench.write("other/workspace.yaml", &WORKSPACE.replace("demo", "second"));
    for line in [
        "state migrate state other -y",
        "state migrate state ./state -y",
        "state migrate nowhere other -y",
        "state migrate old other --workspace second -y",
    ] {
        bench.run(line);
    }
    bench.must("state import cloud.json --state taken");
    bench.run("state migrate old taken -y");
    bench.compare("state-migrate-refused");
    assert_eq!(bench.must("plan workspace.yaml --detailed-exitcode").code, 0);
}
