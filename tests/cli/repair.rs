//! Recorded state looked at and mended by hand.

use crate::bench::{Bench, ran};

#[test]
fn state_is_listed_and_shown() {
    let mut bench = Bench::new();
    bench.run("state list");
    bench.must("apply . -y");
    bench.run("state list");
    bench.run("state list workspace/demo");
    bench.run("state show subnet.private");
    bench.run("state show workspace/demo:bucket.default");
    bench.run("state show subnet.secret");
    bench.run("state check");
    bench.run("state check workspace/other");
    bench.run("show");
    bench.compare("state");
}

#[test]
fn state_moves_to_another_folder_by_export_and_import() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    let export = bench.must("state export workspace/demo").stdout;
    bench.write("demo.json", &export);
    bench.run("state import demo.json");
    bench.run("state import demo.json --state other");
    assert_eq!(bench.must("state export workspace/demo --state other").code, 0);
    bench.write("no.json", "[]");
    bench.run("state import no.json --state third");
    bench.run("state import missing.json");
    bench.run("state export workspace/nobody");
    bench.compare("state-import");
    let exported = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["records"].clone();
    assert_eq!(exported(&export).as_object().unwrap().len(), 6);
    assert_eq!(exported(&bench.must("state export workspace/demo --state other").stdout), exported(&export));
}

#[test]
fn records_are_renamed_and_forgotten_without_touching_the_world() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    bench.run("state mv workspace/demo:subnet.private workspace/demo:subnet.inner");
    bench.run("state mv workspace/demo:subnet.inner workspace/demo:subnet.public");
    bench.run("state mv workspace/demo:subnet.none workspace/demo:subnet.inner");
    bench.run("state mv workspace/demo:subnet.inner workspace/demo:bucket.inner");
    bench.run("state mv workspace/demo:subnet.inner workspace/demo:subnet.private");
    bench.run("plan workspace.yaml");
    bench.run("state rm workspace/demo:bucket.default");
    bench.run("state rm workspace/demo:bucket.default");
    bench.run("state rm --scope workspace/demo");
    assert!(bench.path("state/local/buckets/demo").is_dir());
    bench.run("plan workspace.yaml");
    bench.compare("state-repair");
}

#[test]
fn state_is_where_the_nearest_says() {
    let bench = Bench::new();
    let documented = format!("{}state: ../kept\n", crate::bench::WORKSPACE);
    bench.write("documents/workspace.yaml", &documented);
    let place = |args: &[&str], variable: Option<&str>| {
        let mut command = bench.command(&["workspace", "info"]);
        command.args(args).env_remove("CLOUDTIK_STATE").envs(variable.map(|folder| ("CLOUDTIK_STATE", folder)));
        let shown = ran(command.output().unwrap()).stdout;
        let line = shown.lines().find_map(|line| line.strip_prefix("  state ")).unwrap_or(&shown).trim().to_string();
        line.replace(bench.path("").to_str().unwrap(), "")
    };
    let document = "documents/workspace.yaml";
    assert_eq!(place(&[document, "--state", "flag"], Some("variable")), "flag");
    assert_eq!(place(&[document], Some("variable")), "variable");
    assert_eq!(place(&[document], None), "documents/../kept");
    assert_eq!(place(&["workspace.yaml"], None), "home/.local/state/cloudtik");
    bench.write("elsewhere.yaml", &format!("{}state: ftp://bucket/state\n", crate::bench::WORKSPACE));
    let mut command = bench.command(&["workspace", "info", "elsewhere.yaml"]);
    let ran = ran(command.env_remove("CLOUDTIK_STATE").output().unwrap());
    assert!(ran.code != 0 && ran.stderr.contains("ftp://bucket/state"), "{}", ran.stderr);
}

#[test]
fn damage_is_found() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    let file = bench.must("state list --json");
    assert!(file.stdout.contains("workspace/demo"));
    let database = database(&bench.path("state")).expect("a state file");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(&database, bytes).unwrap();
    let ran = bench.run("state check");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("error[state]"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("bug"), "{}", ran.stderr);
    let words = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("`cloudtik state repair workspace/demo`"), "{}", ran.stderr);
}

/// The damage message names the repair; after it nothing is made twice and nothing is forgotten.
#[test]
fn damage_is_repaired_by_what_the_message_says() {
    let mut bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    let before = bench.must("state export workspace/demo").stdout;
    bench.run("state repair workspace/demo");
    let file = database(&bench.path("state")).expect("a state file");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..4096].fill(0x5a);
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(bench.quiet("apply workspace.yaml -y").code, 1);
    let repaired = bench.run("state repair workspace/demo").stdout;
    let all = serde_json::from_str::<serde_json::Value>(&before).unwrap()["serial"].clone();
    assert!(repaired.contains(&format!("whole up to entry {all};")), "{repaired} of {all}");
    let exported = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["records"].clone();
    assert_eq!(exported(&bench.must("state export workspace/demo").stdout), exported(&before));
    bench.run("plan workspace.yaml");
    bench.must("state check");
    let kept = repaired.split_whitespace().find(|word| word.contains(".damaged-")).expect("it says where");
    assert_eq!(std::fs::read(kept.trim_end_matches('.')).unwrap(), bytes);
    bench.compare("state-damaged");
}

fn database(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|e| e.path()).collect();
    let found = entries.iter().find(|path| path.extension().is_some_and(|e| e == "redb"));
    found.cloned().or_else(|| entries.iter().filter(|p| p.is_dir()).find_map(|p| database(p)))
}
