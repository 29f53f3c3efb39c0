//! Two runs on one scope.

use crate::bench::Bench;
use cloudtik_core::{
    Scope,
    state::{Holder, Locked, Progress, Store},
};
use cloudtik_redb::RedbStore;
use serde_json::{Value as Json, json};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

fn grace() -> Holder {
    Holder {
        user: "grace".into(),
        host: "laptop".into(),
        pid: std::process::id(),
        started: 0,
        since: "2026-01-02T03:04:05Z".parse().unwrap(),
        machine: String::new(),
        doing: "destroy".into(),
    }
}

fn locked(bench: &Bench) -> Box<dyn Locked> {
    RedbStore::new(bench.path("state")).lock(&Scope::workspace("demo"), &grace()).unwrap()
}

/// A message without its line breaks, which depend on how long numbers are, and without ages.
fn words(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    regex::Regex::new(r"\b\d+ s (ago|so far)").unwrap().replace_all(&joined, "N s $1").into_owned()
}

/// The test itself is the first run: it holds the lock for as long as the second one needs to find that out.
#[test]
fn a_second_run_is_told_who_holds_the_lock_how_far_it_is_and_what_to_do() {
    let bench = Bench::new();
    bench.must("apply . -y");
    let mut lock = locked(&bench);
    lock.progress(Progress { done: 37, of: 120 });
    for line in ["apply workspace.yaml -y", "destroy . -y", "workspace update workspace.yaml -y"] {
        let ran = bench.quiet(line);
        assert_eq!(ran.code, 5, "{line}: {}", ran.stderr);
        let expected = format!(
            "error[locked]: workspace/demo is locked by grace (pid {} on laptop), `destroy` since 2026-01-02T03:04:05Z \
             37 of 120 steps done, last sign of life N s ago \
             hint: wait for it: `--lock-timeout 10m`, or interrupt it there 1 error",
            std::process::id()
        );
        assert_eq!(words(&ran.stderr), expected, "{line}");
    }
    for line in
        ["plan .", "state list", "workspace info workspace.yaml", "history workspace.yaml", "status cluster.yaml"]
    {
        assert_eq!(bench.quiet(line).code, 0, "reading never waits: {line}");
    }
    drop(lock);
    bench.must("apply . -y");
}

#[test]
fn a_run_that_may_wait_goes_on_when_the_lock_is_free() {
    let bench = Bench::new();
    bench.must("apply . -y");
    let lock = locked(&bench);
    let mut child =
        bench.command(&["apply", ".", "-y", "--lock-timeout", "5m"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find(|line| line.contains("is locked by grace")).expect("a wait is told");
    assert!(
        words(&told).contains("waiting at most 300 s, N s so far. Ctrl-C ends the wait, nothing is touched."),
        "{told}"
    );
    drop(lock);
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
}

#[test]
fn a_run_waits_no_longer_than_it_may() {
    let bench = Bench::new();
    bench.must("apply . -y");
    let _lock = locked(&bench);
    assert_eq!(bench.quiet("apply . -y --lock-timeout 1s").code, 5);
    assert_eq!(bench.quiet("apply . -y --lock-timeout soon").code, 64);
}

/// An owner that holds its lock file and gives signs of life, or none, as a test wants: its clock is where `beat` says, and it
/// may be succeeded after a second.
struct Owner {
    file: File,
    content: Json,
}

impl Owner {
    fn new(bench: &Bench, beat: &str) -> Owner {
        let path = bench.path("state").join("demo/workspace.lock");
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        file.try_lock().unwrap();
        let mut content: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        content["holder"] = serde_json::to_value(grace()).unwrap();
        content["silence_s"] = json!(1);
        content["beat"] = json!(beat);
        let mut owner = Owner { file, content };
        owner.live();
        owner
    }

    fn live(&mut self) {
        self.content["beats"] = json!(self.content["beats"].as_u64().unwrap() + 1);
        let text = serde_json::to_vec(&self.content).unwrap();
        self.file.write_all_at(&text, 0).unwrap();
        self.file.set_len(text.len() as u64).unwrap();
    }
}

const CLOCKS: [&str; 2] = ["2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"];

#[test]
fn a_silent_owner_is_succeeded_wherever_its_clock_was() {
    for clock in CLOCKS {
        let bench = Bench::new();
        bench.must("apply . -y");
        let _owner = Owner::new(&bench, clock);
        let ran = bench.quiet("apply . -y");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let told = words(&ran.stderr);
        assert!(told.contains("if it stays so"), "{told}");
        assert!(told.contains("Took workspace/demo over from grace"), "{told}");
        bench.must("state check");
    }
}

#[test]
fn an_owner_that_lives_is_not_succeeded_wherever_its_clock_is() {
    for clock in CLOCKS {
        let bench = Bench::new();
        bench.must("apply . -y");
        let mut owner = Owner::new(&bench, clock);
        let (stop, stopped) = mpsc::channel::<()>();
        let living = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                owner.live();
            }
            owner
        });
        let ran = bench.quiet("apply . -y");
        assert_eq!(ran.code, 5, "{}", ran.stderr);
        drop(stop);
        drop(living.join().unwrap());
        bench.must("apply . -y");
    }
}

#[test]
fn an_unlocked_owner_writes_no_more() {
    let bench = Bench::new();
    bench.must("apply . -y");
    assert!(words(&bench.quiet("state unlock workspace/demo").stdout).contains("Nobody holds workspace/demo."));
    let mut lock = locked(&bench);
    assert_eq!(bench.quiet("state unlock workspace/demo").code, 7, "nobody is here to agree");
    let before = bench.quiet("state export workspace/demo").stdout;
    let ran = bench.quiet("state unlock workspace/demo -y");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(words(&ran.stderr).contains("is locked by grace"), "{}", ran.stderr);
    let edit = cloudtik_core::state::Entry::Edit { what: "late".into(), mutations: Vec::new(), at: grace().since };
    let refused = lock.append(&[edit]).unwrap_err().to_string();
    assert_eq!(refused, "another run has taken workspace/demo over");
    assert_eq!(bench.quiet("state export workspace/demo").stdout, before);
    drop(lock);
    bench.must("apply . -y");
    bench.must("state check");
}

/// Fifty runs at once on a workspace that does not exist yet: one makes it, the others find it made.
#[test]
fn fifty_runs_at_once_go_one_after_the_other() {
    let bench = Bench::new();
    let args = ["apply", "workspace.yaml", "-y", "--lock-timeout", "5m"];
    let runs: Vec<_> =
        (0..50).map(|_| bench.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let history: Json =
        serde_json::from_str(bench.quiet("--json history workspace.yaml").stdout.lines().last().unwrap()).unwrap();
    assert_eq!(history["revisions"].as_array().unwrap().len(), 1, "{history}");
    bench.must("state check");
}
