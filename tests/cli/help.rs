//! Help, usage errors, and what is made from the command line's own definition.

use crate::bench::{Bench, compare};

const VERBS: [&str; 51] = [
    "plan",
    "apply",
    "adopt",
    "destroy",
    "show",
    "refresh",
    "graph",
    "validate",
    "schema",
    "config show",
    "workspace",
    "workspace create",
    "workspace delete",
    "workspace update",
    "workspace status",
    "workspace info",
    "workspace clusters",
    "workspace storages",
    "workspace databases",
    "storage",
    "storage create",
    "storage delete",
    "storage info",
    "database",
    "database create",
    "database delete",
    "database info",
    "start",
    "stop",
    "status",
    "info",
    "head-ip",
    "worker-ips",
    "exec",
    "submit",
    "attach",
    "rsync-up",
    "rsync-down",
    "start-proxy",
    "stop-proxy",
    "history",
    "diff",
    "state",
    "state list",
    "state export",
    "state check",
    "state repair",
    "state migrate",
    "state rm",
    "completions",
    "man",
];

#[test]
fn every_verb_explains_itself() {
    let bench = Bench::new();
    let top = bench.must("--help");
    compare("help/cloudtik", &top.stdout);
    for verb in VERBS {
        let help = bench.must(&format!("{verb} --help"));
        compare(&format!("help/{}", verb.replace(' ', "-")), &help.stdout);
        assert_eq!(help.stderr, "", "{verb}");
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 80), "{verb} has a line that is too long");
    }
}

#[test]
fn the_list_of_verbs_in_these_tests_is_whole() {
    let listed = |text: &str| -> Vec<String> {
        let commands = text.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names.map(|line| line.split_whitespace().next().unwrap().to_string()).filter(|name| name != "help").collect()
    };
    let bench = Bench::new();
    for verb in listed(&bench.must("--help").stdout) {
        assert!(VERBS.iter().any(|known| known.split(' ').next() == Some(&verb)), "`{verb}` is not tested");
    }
}

#[test]
fn the_version_is_one_line() {
    let ran = Bench::new().must("--version");
    assert_eq!(ran.stdout, format!("cloudtik {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_64() {
    let mut bench = Bench::new();
    for line in [
        "",
        "paln workspace.yaml",
        "plan",
        "plan workspace.yaml --no-such",
        "schema tree",
        "state rm",
        "state list demo",
    ] {
        assert_eq!(bench.run(line).code, 64, "{line}");
    }
    bench.compare("usage");
}

#[test]
fn completions_know_every_verb() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.must(&format!("completions {shell}")).stdout;
        assert!(["workspace", "worker-ips", "detailed-exitcode"].iter().all(|word| script.contains(word)), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_where_asked() {
    let mut bench = Bench::new();
    bench.run("man pages/man1");
    bench.write("file", "");
    bench.run("man file/man1");
    bench.compare("man");
    let pages = std::fs::read_dir(bench.path("pages/man1")).unwrap().count();
    assert!(pages > VERBS.len(), "{pages} pages");
    let page = bench.read("pages/man1/cloudtik-plan.1");
    assert!(page.contains("detailed\\-exitcode"), "{page}");
}
