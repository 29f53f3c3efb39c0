//! What a workspace and a cluster of 1 + 100 cost on AWS, in calls and in seconds, against moto on this machine.
//!
//! Nodes have no body here, so nothing is set up on them: `--exclude connection`. Seconds are those of the program, of
//! moto (about 12 ms a call) and of the counting layer between them, without AWS's own latencies.

use cloudtik_testkit::lab::{Moto, Settings, Strict};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const WORKSPACE: &str =
    "workspace_name: bench\nprovider:\n  type: aws\n  region: us-west-2\n  allowed_ssh_sources: [0.0.0.0/0]\n";

fn cluster(workers: usize) -> String {
    format!(
        "cluster_name: bench\nworkspace_name: bench\nfrom: aws/standard\nprovider:\n  type: aws\n  region: us-west-2\n\
         max_workers: {workers}\navailable_node_types:\n  worker.default:\n    min_workers: {workers}\n    max_workers: {workers}\n\
         runtime:\n  types: []\n"
    )
}

struct Bench<'a> {
    program: &'a str,
    folder: &'a Path,
    strict: Strict,
}

struct Cost {
    time: Duration,
    calls: Vec<String>,
}

impl Bench<'_> {
    fn run(&self, what: &str, args: &[&str]) -> Cost {
        let before = self.strict.calls().len();
        let began = Instant::now();
        let mut command = Command::new(self.program);
        command.args(args).args(["--state", "state"]).current_dir(self.folder).envs(self.strict.environment());
        let output = command.env("HOME", self.folder).output().expect("the program runs");
        let time = began.elapsed();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let cost = Cost { time, calls: self.strict.calls_since(before).iter().map(|call| call.name()).collect() };
        println!("{what:<36} {:>8} {:>9.2}", cost.calls.len(), cost.time.as_secs_f64());
        cost
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("the folder can be written to");
    }
}

/// Runs the whole life of a workspace and a cluster and prints a table.
pub fn run(program: &str) {
    let program = std::fs::canonicalize(program).expect("the program is there");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let moto = Moto::start();
    let strict = Strict::in_front_of(&moto, Settings::default());
    let bench = Bench { program: program.to_str().expect("a plain path"), folder: folder.path(), strict };
    bench.write("workspace.yaml", WORKSPACE);
    bench.write("cluster.yaml", &cluster(100));
    println!("{:<36} {:>8} {:>9}", "on AWS (moto)", "calls", "wall s");
    let both = ["workspace.yaml", "cluster.yaml"];
    let bodiless = ["--exclude", "connection"];
    bench.run("workspace create", &["apply", "-y", "workspace.yaml"]);
    bench.run("cluster of 1 + 100", &[&["apply", "-y", "cluster.yaml"][..], &bodiless].concat());
    bench.run("plan, nothing changed", &[&["plan"][..], &both, &bodiless].concat());
    bench.run("destroy", &[&["destroy", "-y", "--delete-managed-storage"][..], &both].concat());
    bench.write("cluster.yaml", &cluster(1000));
    bench.run("workspace again", &["apply", "-y", "workspace.yaml"]);
    bench.run("cluster of 1 + 1,000", &[&["apply", "-y", "cluster.yaml"][..], &bodiless].concat());
    bench.run("plan, nothing changed, 1 + 1,000", &[&["plan"][..], &both, &bodiless].concat());
}
