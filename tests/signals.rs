//! What ends a run from outside, and what does not: signals, closed pipes, the death of its parent.
//!
//! Each test holds the run at a service that waits for a file, so nothing depends on how fast this machine is.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod common;

use common::Bench;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

/// `gate` is ready once the file `go` is there, `later` starts after it.
fn runtime(bench: &Bench) -> String {
    let (waiting, go) = (bench.path("waiting"), bench.path("go"));
    format!(
        r#"
name: gate
summary: a service that waits
version: "1"
versions: {{"1": []}}
roles:
  head:
    services:
      - name: gate
        command: [sh, -c, "touch {waiting}; until [ -e {go} ]; do sleep 0.02; done; exec python3 -m http.server 8000 --bind {{{{ node.ip }}}}"]
        ports: [8000]
        ready: {{http: {{host: "{{{{ node.host }}}}", port: 8000, path: /}}}}
      - name: later
        after: [gate]
        command: [python3, -m, http.server, "8001", --bind, "{{{{ node.ip }}}}"]
        ports: [8001]
        ready: {{http: {{host: "{{{{ node.host }}}}", port: 8001, path: /}}}}
"#,
        waiting = waiting.display(),
        go = go.display()
    )
}

fn bench() -> Bench {
    let mut bench = Bench::new(Some("loopback"));
    let manifest = runtime(&bench);
    bench.runtime("gate", &manifest);
    bench.write("workspace.yaml", "workspace_name: w\nprovider:\n  type: local\n");
    bench.write(
        "cluster.yaml",
        "cluster_name: c\nworkspace_name: w\nfrom: local/small\nprovider:\n  type: local\n\
         available_node_types:\n  worker.default:\n    min_workers: 0\nruntime:\n  types: [gate]\n",
    );
    bench
}

const APPLY: [&str; 4] = ["apply", "workspace.yaml", "cluster.yaml", "--yes"];

/// The same command behind `program`, which ends by becoming it.
fn behind(bench: &Bench, program: &[&str], own: &Command) -> Command {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(own.get_program()).args(own.get_args());
    command.current_dir(own.get_current_dir().unwrap()).stdin(Stdio::null());
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bench.as_its_user(command)
}

/// Hears every signal, though these tests may have been started in the background or without a terminal.
fn hearing(bench: &Bench, args: &[&str]) -> Command {
    behind(bench, &["env", "--default-signal"], &bench.command(args))
}

/// A run that is at the gate.
struct Run {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

impl Run {
    fn at_the_gate(bench: &Bench) -> Run {
        let mut command = hearing(bench, &APPLY);
        let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut run = Run { child, events };
        run.until(|event| {
            event["event"] == "operation-started" && event["address"].as_str().unwrap().ends_with("service.head/gate")
        });
        eventually("the gate waits", || bench.path("waiting").exists());
        run
    }

    fn until(&mut self, wanted: impl Fn(&Json) -> bool) {
        let found = self.events.by_ref().any(|line| wanted(&serde_json::from_str(&line.unwrap()).unwrap()));
        assert!(found, "the run ended early: {}", self.errors());
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open(bench: &Bench) {
    fs::write(bench.path("go"), "").unwrap();
}

/// Recorded services of the cluster.
fn services(bench: &Bench) -> Vec<String> {
    let state = bench.ok(&["--json", "state", "list", "cluster/w/c"]).json();
    state["records"].as_object().unwrap().keys().filter(|address| address.contains("service.")).cloned().collect()
}

/// The next run finishes the work, and the one after has none.
fn goes_on(bench: &Bench) {
    bench.converge();
    assert_eq!(services(bench), ["cluster/w/c:service.head/gate", "cluster/w/c:service.head/later"]);
    let gates = bench.processes().iter().filter(|p| p.text.contains("http.server 8000")).count();
    assert_eq!(gates, 1, "{:?}", bench.processes());
    let traces = bench.traces();
    bench.destroy(true);
    bench.nothing_left(&traces);
}

#[test]
fn the_first_signal_lets_running_work_end_and_starts_nothing_new() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let bench = bench();
        let mut run = Run::at_the_gate(&bench);
        run.send(signal);
        run.until(|event| event["event"] == "interrupted");
        open(&bench);
        run.until(|event| event["event"] == "apply-finished" && event["failed"] == 0 && event["skipped"] == 1);
        assert_eq!(run.code(), Some(130), "{signal:?}");
        assert_eq!(services(&bench), ["cluster/w/c:service.head/gate"], "{signal:?}");
        goes_on(&bench);
    }
}

#[test]
fn the_second_signal_leaves_at_once_and_the_next_run_settles_what_was_open() {
    let bench = bench();
    let mut run = Run::at_the_gate(&bench);
    run.send(Signal::INT);
    run.until(|event| event["event"] == "interrupted");
    run.send(Signal::INT);
    assert_eq!(run.code(), Some(130));
    open(&bench);
    goes_on(&bench);
}

#[test]
fn a_summary_tells_what_is_done_what_is_not_and_what_is_next() {
    let bench = bench();
    let mut child = hearing(&bench, &APPLY).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the gate waits", || bench.path("waiting").exists());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    lines.find(|line| line.contains("nothing new is started; ")).expect("told at once");
    open(&bench);
    let rest: Vec<String> = lines.collect();
    let text = rest.join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    for words in ["Interrupted: ", " 0 failed, 1 skipped", "What is done is recorded.", "same command"] {
        assert!(text.contains(words), "`{words}` in {text}");
    }
    goes_on(&bench);
}

#[test]
fn a_run_that_was_started_to_ignore_the_end_of_its_terminal_does() {
    let bench = bench();
    let mut command = behind(&bench, &["nohup"], &bench.command(&APPLY));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the gate waits", || bench.path("waiting").exists());
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    open(&bench);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    goes_on(&bench);
}

#[test]
fn a_run_goes_on_when_nobody_reads_what_it_writes() {
    let bench = bench();
    for json in [None, Some("--json")] {
        let mut command = bench.command(&APPLY);
        let mut child = command.args(json).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        eventually("the gate waits", || bench.path("waiting").exists());
        open(&bench);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(bench.plan().changes(), [""; 0]);
        bench.destroy(true);
        for name in ["waiting", "go"] {
            fs::remove_file(bench.path(name)).unwrap();
        }
    }
}

#[test]
fn a_plan_whose_reader_has_gone_is_no_error() {
    let bench = bench();
    for args in [&["plan", "."][..], &["plan", ".", "--markdown"], &["--json", "plan", "."], &["--help"]] {
        let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {errors}");
        assert!(!errors.contains("bug") && !errors.contains("error"), "{args:?}: {errors}");
    }
}

#[test]
fn a_run_outlives_its_parent() {
    let bench = bench();
    let shell = ["sh", "-c", "\"$@\" >/dev/null 2>&1 & echo $!", "sh"];
    let mut shell = behind(&bench, &shell, &bench.command(&APPLY));
    let printed = shell.output().unwrap().stdout;
    let pid = String::from_utf8(printed).unwrap().trim().to_owned();
    eventually("the gate waits", || bench.path("waiting").exists());
    open(&bench);
    eventually("the orphan has ended", || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z")
    });
    assert_eq!(bench.plan().changes(), [""; 0]);
    goes_on(&bench);
}

mod slow {
    use super::*;

    /// A lease lasts half a minute.
    #[test]
    fn a_run_that_is_stopped_for_longer_than_its_lease_is_succeeded_and_writes_no_more() {
        let bench = bench();
        let mut run = Run::at_the_gate(&bench);
        run.send(Signal::STOP);
        open(&bench);
        let second = bench.ok(&[&APPLY[..], &["--lock-timeout", "2m"]].concat());
        assert!(second.err.contains("which gave no sign of life for 30 s"), "{}", second.err);
        assert_eq!(bench.plan().changes(), [""; 0]);
        let before = bench.ok(&["state", "export", "cluster/w/c"]).out;
        run.send(Signal::CONT);
        let rest: Vec<String> = run.events.by_ref().map(Result::unwrap).collect();
        assert_eq!(run.code(), Some(5), "{rest:?}");
        assert!(
            rest.iter().any(|line| line.contains("\"id\":\"fenced\"") && line.contains("taken cluster/w/c over")),
            "{rest:?}"
        );
        assert_eq!(bench.ok(&["state", "export", "cluster/w/c"]).out, before);
        bench.ok(&["state", "check"]);
        goes_on(&bench);
    }
}
