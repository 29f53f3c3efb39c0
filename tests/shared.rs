//! The program with its state in a bucket: two machines, each with a folder of its own, and moto's S3 between them.

#![allow(clippy::unwrap_used)]

use cloudtik_testkit::lab::{Moto, Settings, Strict, create_s3};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const WORKSPACE: &str = "workspace_name: shared\nprovider:\n  type: local\n";

/// Somebody's machine: a home and a cache of its own.
struct Machine {
    home: TempDir,
    endpoint: String,
}

impl Machine {
    fn new(moto: &Moto) -> Self {
        let home = tempfile::Builder::new().prefix("ctk-").tempdir_in("/tmp").unwrap();
        std::fs::write(home.path().join("workspace.yaml"), WORKSPACE).unwrap();
        Machine { home, endpoint: moto.endpoint() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtik"));
        command.args(line.split_whitespace()).current_dir(self.home.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.home.path()).env("USER", "ada");
        command.env("CLOUDTIK_STATE", "s3://states/team").env("CLOUDTIK_NODE_MODEL", "loopback");
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    #[track_caller]
    fn must(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.command(line).output().unwrap();
        assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}

#[test]
fn what_one_machine_applied_the_other_sees() {
    let moto = Moto::start();
    create_s3(&moto, "states");
    let (one, two) = (Machine::new(&moto), Machine::new(&moto));

    one.must("apply workspace.yaml -y");
    let list = one.must("state list");
    assert!(list.contains("network.main"), "{list}");
    assert_eq!(two.must("state list"), list);
    assert!(two.must("history workspace.yaml").contains("apply"));
    assert!(two.must("workspace info workspace.yaml").contains("s3://states/team"));
    assert!(two.must("state check").contains("Whole: workspace/shared"));
    assert!(!databases(one.home.path()), "nothing of the state is on the machine itself");

    two.must("destroy workspace.yaml -y --delete-managed-storage");
    assert_eq!(one.must("state list").trim(), "workspace/shared holds no resources.");
}

/// From the machine's own folder to a bucket and back, both ways with an empty plan after it.
#[test]
fn state_moves_to_a_bucket_and_back() {
    let moto = Moto::start();
    create_s3(&moto, "states");
    let (one, two) = (Machine::new(&moto), Machine::new(&moto));
    let (own, bucket) = (".local/state/cloudtik", "s3://states/team");
    one.must(&format!("apply workspace.yaml -y --state {own}"));
    let history = one.must(&format!("history workspace.yaml --state {own}"));

    let said = one.must(&format!("state migrate {own} {bucket} -y"));
    assert!(said.contains("workspace/shared: 6 resources, 1 revision"), "{said}");
    one.must("plan workspace.yaml --detailed-exitcode");
    assert_eq!(two.must("history workspace.yaml"), history);
    let refused = one.command(&format!("plan workspace.yaml --state {own}")).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&format!("`--state {bucket}`")));

    std::fs::write(one.home.path().join("workspace.yaml"), format!("{WORKSPACE}  allow_internal: false\n")).unwrap();
    one.must("apply workspace.yaml -y");
    one.must(&format!("state migrate {bucket} {own} -y"));
    one.must(&format!("plan workspace.yaml --detailed-exitcode --state {own}"));
    assert_eq!(two.command("plan workspace.yaml").output().unwrap().status.code(), Some(3));
    one.must(&format!("destroy workspace.yaml -y --delete-managed-storage --state {own}"));
}

/// Four runs at once, each wanting another firewall: each waits for its turn, plans on what the one before left, and is recorded.
#[test]
fn runs_that_come_together_are_one_after_the_other() {
    let moto = Moto::start();
    create_s3(&moto, "states");
    let machine = Machine::new(&moto);
    let name = |port: u16| format!("with-{port}.yaml");
    let ports = [8001, 8002, 8003, 8004];
    for port in ports {
        let rules = format!("  firewall_rules:\n    - {{protocol: tcp, ports: [{port}], sources: [127.0.0.0/8]}}\n");
        std::fs::write(machine.home.path().join(name(port)), format!("{WORKSPACE}{rules}")).unwrap();
    }
    let apply = |port: u16| machine.command(&format!("apply {} -y --lock-timeout 2m", name(port)));
    let runs: Vec<_> = ports.map(|port| apply(port).stdout(Stdio::null()).spawn().unwrap()).into();
    for run in runs {
        assert!(run.wait_with_output().unwrap().status.success());
    }
    let history = machine.must("history workspace.yaml --json");
    assert_eq!(history.matches("\"command\":\"apply\"").count(), ports.len(), "{history}");
    machine.must("state check");
    // The last of them is what is there.
    let empty = |port: &u16| machine.command(&format!("plan {} --detailed-exitcode", name(*port))).output().unwrap();
    assert_eq!(ports.iter().filter(|port| empty(port).status.success()).count(), 1);
    machine.must("destroy workspace.yaml -y --delete-managed-storage");
}

/// What README says that an apply costs, counted between the program and the bucket.
#[test]
fn an_apply_costs_few_requests() {
    let moto = Moto::start();
    create_s3(&moto, "states");
    let strict = Strict::in_front_of(&moto, Settings::default());
    let machine = Machine { endpoint: strict.endpoint(), ..Machine::new(&moto) };
    let cost = |line: &str| {
        let before = strict.calls().len();
        machine.must(line);
        let calls = strict.calls_since(before);
        (calls.iter().filter(|call| call.changes).count(), calls.len())
    };
    // Six resources. Steps that end together share a write: 10 of 16, none of 4, 2 of 9 and 9 of 16 on a quiet machine. Where no
    // two do, each step has one for its intent, one for what was made and one for its being ready.
    for (line, writes, all) in [
        ("apply workspace.yaml -y", 4 + 3 * 6, 10 + 3 * 6),
        ("plan workspace.yaml", 0, 6),
        ("apply workspace.yaml -y", 4, 14),
        ("destroy workspace.yaml -y --delete-managed-storage", 4 + 3 * 6, 10 + 3 * 6),
    ] {
        let found = cost(line);
        assert!(found.0 <= writes && found.1 <= all, "{line}: {} writes of {} requests", found.0, found.1);
    }
}

fn databases(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| e.path())
        .any(|path| path.extension().is_some_and(|e| e == "redb") || path.is_dir() && databases(&path))
}

/// A bucket that is not there, and one that nobody answers for, are said so.
#[test]
fn a_store_that_cannot_be_had_is_named_with_a_way_out() {
    let moto = Moto::start();
    let machine = Machine::new(&moto);
    let failed = |line: &str| {
        let output = machine.command(line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let said = failed("state list");
    assert!(said.contains("s3://states/team") && said.contains("there is no such bucket"), "{said}");
    let said = failed("state list --state ftp://states");
    assert!(said.contains("`s3://BUCKET/PREFIX`"), "{said}");
}
