//! Spark on real nodes: the example's documents and job, from nothing to the answer to nothing again.
//!
//! `tests/run` runs these with `--test-threads 1`: each has a cluster of JVMs.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests, too

mod common;

use common::{Bench, http, machine, root};
use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const CLUSTER: &str = "cluster/spark-example/spark";

/// The example, as it is shipped.
fn example(bench: &Bench) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/spark");
    for name in ["workspace.yaml", "cluster.yaml", "job.py"] {
        bench.write(name, &fs::read_to_string(folder.join(name)).unwrap());
    }
}

fn said<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    let line = output.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {output}"));
    line.split_ascii_whitespace().skip(1).collect()
}

/// Asks again until there is an answer: Spark tells of some things later than it does them.
#[track_caller]
fn awaited<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match ask() {
            Some(answer) => return answer,
            None => assert!(Instant::now() < deadline, "{what}: not within 30 s"),
        }
    }
}

/// The folder that Spark was unpacked into, if it was.
fn distribution(bench: &Bench) -> Option<PathBuf> {
    let all = fs::read_dir(bench.cache().join("artifacts")).into_iter().flatten().flatten();
    all.map(|e| e.path()).find(|p| p.file_name().unwrap().to_string_lossy().starts_with("spark-"))
}

/// From nothing to the answer of a job, and every promise about a running cluster.
fn from_nothing_to_an_answer(bench: &Bench, name: &str) {
    example(bench);
    let cold = distribution(bench).is_none();
    let apply = bench.apply();
    let job = bench.watched(&["submit", "cluster.yaml", "job.py", "--executors", "3"], || nothing_else_listens(bench));
    println!(
        "{name}: {} {:.1} s = apply {:.1} s + job {:.1} s",
        if cold { "cold" } else { "warm" },
        (apply.took + job.took).as_secs_f64(),
        apply.took.as_secs_f64(),
        job.took.as_secs_f64(),
    );
    the_job_ran_on_the_workers(bench, &job.out);
    spark_lists_the_job(bench);
    another_process_finds_the_nodes(bench);
    ssh_reaches_the_head(bench);
    assert_eq!(bench.plan().changes(), [""; 0]);
    assert_eq!(said_of_operations(&bench.apply().err), 0);
}

/// Steps that an apply reports.
fn said_of_operations(err: &str) -> usize {
    err.lines().filter(|l| ["create ", "update ", "delete ", "replace "].iter().any(|v| l.starts_with(v))).count()
}

fn the_job_ran_on_the_workers(bench: &Bench, output: &str) {
    let head = &bench.ok(&["--json", "status", "cluster.yaml"]).json()["nodes"][0];
    assert_eq!(head["node"], "head");
    let host = bench.output("cluster/spark-example/spark:instance.head", "host");
    assert_eq!(said(output, "master"), [format!("spark://{}:7077", host.as_str().unwrap())]);
    let workers = bench.ok(&["worker-ips", "cluster.yaml"]).out;
    let workers: BTreeSet<&str> = workers.lines().collect();
    assert_eq!(workers.len(), 3);
    assert_eq!(said(output, "executors").into_iter().collect::<BTreeSet<_>>(), workers);
    assert!(!workers.contains(head["ip"].as_str().unwrap()));
    assert!(output.contains("the answer is right"), "{output}");
}

fn endpoint(bench: &Bench, name: &str) -> String {
    let url = bench.ok(&["--json", "info", "cluster.yaml"]).json()["endpoints"][name].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    url
}

fn spark_lists_the_job(bench: &Bench) {
    let (ui, history) = (endpoint(bench, "spark-ui"), endpoint(bench, "spark-history"));
    let done = awaited("the master to list the job", || {
        let master = http::json(&format!("{ui}/json/"));
        master["completedapps"].as_array().unwrap().iter().find(|a| a["name"] == "cloudtik example").cloned()
    });
    assert_eq!(done["state"], "FINISHED");
    let url = format!("{history}/api/v1/applications?status=completed");
    awaited("the history server to list the job", || {
        http::json(&url).as_array().unwrap().iter().find(|a| a["id"] == done["id"]).cloned()
    });
    let (status, page) = http::get(&ui).unwrap();
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Spark Master at"), "{page}");
}

fn another_process_finds_the_nodes(bench: &Bench) {
    let status = bench.ok(&["--json", "status", "cluster.yaml"]).json();
    assert_eq!(status["running"], 4, "{status}");
    assert_eq!(status["nodes"].as_array().unwrap().len(), 4);
    let run = bench.ok(&["exec", "cluster.yaml", "--all-nodes", "echo $CLOUDTIK_NODE_HOST=$(hostname)"]);
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (line, expected) in run.out.lines().zip(["spark-head", "spark-worker-0", "spark-worker-1", "spark-worker-2"]) {
        let (label, answer) = line.split_once(": ").unwrap();
        let (node, host) = answer.split_once('=').unwrap();
        assert_eq!(label, node);
        // Nodes that are no more than addresses have no host name of their own.
        assert_eq!(host, if label.starts_with("127.") { own.trim() } else { expected });
    }
    assert_eq!(run.out.lines().count(), 4, "{}", run.out);
}

fn nothing_else_listens(bench: &Bench) {
    let processes = bench.processes();
    assert!(processes.iter().any(|p| p.text.contains("deploy.master.Master")));
    assert_eq!(machine::exposed(&processes), [""; 0]);
}

fn ssh_reaches_the_head(bench: &Bench) {
    let command = bench.ok(&["--json", "info", "cluster.yaml"]).json()["ssh"].clone();
    let command = command.as_str().expect("info tells how to reach the head by SSH");
    if !machine::has("ssh") {
        println!("SKIPPED: this machine has no ssh client");
        return;
    }
    let output = Command::new("sh").args(["-c", &format!("{command} 'echo $CLOUDTIK_NODE_IP'")]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), bench.output("cluster/spark-example/spark:instance.head", "ip").as_str().unwrap());
}

/// Removes it all; the bucket survives until its removal is asked for.
fn back_to_nothing(bench: &Bench, isolated: bool) {
    let traces = bench.traces();
    assert_eq!(traces.isolated(), isolated);
    let bucket = bench.state().join("local/buckets/spark-example");
    fs::write(bucket.join("kept"), "data").unwrap();
    bench.destroy(false);
    bench.nothing_left(&traces);
    assert_eq!(fs::read_to_string(bucket.join("kept")).unwrap(), "data");
    let history = bench.ok(&["history", "cluster.yaml"]).out;
    assert!(history.lines().count() > 2, "what was done is not forgotten: {history}");
    bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    assert_eq!(fs::read_to_string(bucket.join("kept")).unwrap(), "data", "the new workspace has taken the bucket over");
    bench.destroy(true);
    for scope in [CLUSTER, "workspace/spark-example"] {
        bench.ok(&["state", "rm", "--scope", scope]);
    }
    let left: Vec<_> = fs::read_dir(bench.state()).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The first process whose text has all of these.
fn process(bench: &Bench, parts: [&str; 2]) -> Option<machine::Process> {
    bench.processes().into_iter().find(|p| parts.iter().all(|part| p.text.contains(part)))
}

const WORKER: &str = "deploy.worker.Worker";

fn what_breaks_is_seen_and_mended(bench: &Bench) {
    // A whole node.
    let record = bench.record("spark-example");
    let init = record["nodes"]["spark/spark-worker-1"]["init"]["pid"].as_i64().unwrap();
    machine::Process { pid: init as i32, text: String::new() }.kill();
    let state = |node: usize| bench.ok(&["--json", "status", "cluster.yaml"]).json()["nodes"][node].clone();
    let broken = awaited("the node to be missed", || Some(state(2)).filter(|n| n["state"] == "broken"));
    assert_eq!(broken["node"], "worker.default[1]");
    let plan = bench.plan();
    let (node, service) = ("instance.worker.default[1]", "service.worker.default[1]/spark-worker");
    for address in [node, service] {
        assert!(plan.drift().iter().any(|a| a == address), "{address}: {:?}", plan.drift());
        assert!(plan.changes().contains(&format!("update {address}")), "{address}: {:?}", plan.changes());
    }
    bench.converge();
    assert_eq!(state(2)["state"], "running");

    // One process, and one file.
    process(bench, [WORKER, "nodes/spark/spark-worker-0/"]).unwrap().kill();
    let workers = bench.ok(&["worker-ips", "cluster.yaml"]).out;
    let third = workers.lines().last();
    assert_eq!(bench.exec(third, "echo spark.worker.cleanup.enabled true >> spark/conf/spark-worker.conf").0, 0);
    let services =
        awaited("the process to be missed", || Some(state(1)["services"].clone()).filter(|s| s != "spark-worker"));
    assert!(services.as_str().unwrap().starts_with("spark-worker ("), "{services}");
    let plan = bench.plan();
    let (service, file) = ("service.worker.default[0]/spark-worker", "file.worker.default[2]/spark-worker.conf");
    assert_eq!(plan.drift(), [file, service]);
    let text = bench.run(&["plan", "workspace.yaml", "cluster.yaml"]).out;
    assert!(text.contains("- spark.worker.cleanup.enabled true"), "{text}");
    bench.converge();
    assert_eq!(state(1)["services"], "spark-worker");
    assert_eq!(bench.exec(third, "grep cleanup spark/conf/spark-worker.conf"), (1, String::new()));
}

fn a_setting_changes_what_reads_it(bench: &Bench) {
    let with = |lines: &str| format!("types: [spark]\n  spark:\n    config:\n{lines}");
    let all = ["head", "worker.default[0]", "worker.default[1]", "worker.default[2]"];
    let expected = |name: &str, on: &[&str]| on.iter().map(|n| format!("update {name}").replace('@', n)).collect();
    let defaults: Vec<String> = expected("file.@/spark-defaults.conf", &all);
    let one = with("      spark.sql.shuffle.partitions: 5\n");
    bench.edit("cluster.yaml", "types: [spark]\n", &one);
    assert_eq!(bench.plan().changes(), defaults);
    let text = bench.run(&["plan", "workspace.yaml", "cluster.yaml"]).out;
    let shown =
        |t: &str| t.contains("- spark.sql.shuffle.partitions 6") && t.contains("+ spark.sql.shuffle.partitions 5");
    assert!(shown(&text), "{text}");

    let two = with("      spark.sql.shuffle.partitions: 5\n      spark.worker.cleanup.enabled: true\n");
    bench.edit("cluster.yaml", &one, &two);
    let mut wanted: BTreeSet<String> = defaults.into_iter().collect();
    wanted.extend::<Vec<_>>(expected("file.@/spark-worker.conf", &all[1..]));
    wanted.extend::<Vec<_>>(expected("service.@/spark-worker", &all[1..]));
    assert_eq!(bench.plan().changes().into_iter().collect::<BTreeSet<_>>(), wanted);
    let daemons = || {
        let pid = |parts| process(bench, parts).unwrap().pid;
        let head = [pid(["deploy.master.Master", ""]), pid(["history.HistoryServer", ""])];
        (head, pid([WORKER, "nodes/spark/spark-worker-2/"]))
    };
    let before = daemons();
    bench.converge();
    let after = daemons();
    assert_eq!(before.0, after.0, "the master and the history server ran on");
    assert_ne!(before.1, after.1, "the workers were restarted");
}

fn scripts_and_jars_run(bench: &Bench) {
    bench.write("job.sh", "#!/bin/sh\necho \"$(hostname) $1\"\nexit 3\n");
    let run = bench.run(&["submit", "cluster.yaml", "job.sh", "given"]);
    assert_eq!((run.code, run.out.trim()), (3, "spark-head given"));

    let (classes, jar) = (bench.path("classes"), bench.path("count.jar"));
    if !machine::has("javac") || !machine::has("jar") {
        println!("SKIPPED: this machine has no Java compiler, so no jar is submitted");
        return;
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/resources/runtime/tests/support/Count.java");
    let jars = distribution(bench).unwrap().join("jars/*");
    let run = |command: &mut Command| assert!(command.status().unwrap().success());
    run(Command::new("javac").arg("-cp").arg(jars).arg("-d").arg(&classes).arg(source));
    run(Command::new("jar").arg("--create").arg("--file").arg(&jar).arg("-C").arg(&classes).arg("Count.class"));
    let run = bench.ok(&["submit", "cluster.yaml", "count.jar", "--runtime-options", "--class Count"]);
    assert!(run.out.contains("count 499500 on spark://spark-head:7077"), "{}", run.out);
    println!("jar: {:.1} s", run.took.as_secs_f64());
}

/// A head and one worker, without a history server: three quarters fewer JVMs to start again and again.
fn small(bench: &Bench) {
    example(bench);
    bench.edit("cluster.yaml", "min_workers: 3", "min_workers: 1");
    bench.edit("cluster.yaml", "types: [spark]\n", "types: [spark]\n  spark:\n    history: false\n");
}

const APPLY: [&str; 4] = ["apply", "workspace.yaml", "cluster.yaml", "--yes"];
const DESTROY: [&str; 5] = ["destroy", "workspace.yaml", "cluster.yaml", "--yes", "--delete-managed-storage"];

fn at(name: &'static str, address: &'static str) -> impl Fn(&Json) -> bool {
    move |event| event["event"] == name && event["address"].as_str().is_some_and(|a| a.ends_with(address))
}

#[test]
fn the_example_is_planned_whole() {
    let bench = Bench::new(Some("loopback"));
    example(&bench);
    let changes = bench.plan().changes();
    let count = |kind: &str| changes.iter().filter(|c| c.starts_with(&format!("create {kind}."))).count();
    assert_eq!(count("instance"), 4);
    assert_eq!(count("service"), 5, "a master, a history server and three workers");
    assert_eq!(count("endpoint"), 2);
    assert!(changes.iter().all(|c| c.starts_with("create ")), "{changes:?}");
    assert!(!bench.state().exists(), "a plan makes nothing");
}

mod slow {
    use super::*;

    #[test]
    fn the_example_runs_in_the_model_of_this_machine() {
        let bench = Bench::new(None);
        from_nothing_to_an_answer(&bench, "chosen model");
        scripts_and_jars_run(&bench);
        what_breaks_is_seen_and_mended(&bench);
        a_setting_changes_what_reads_it(&bench);
        let isolated = bench.output("cluster/spark-example/spark:instance.head", "host") == "spark-head";
        back_to_nothing(&bench, isolated);
    }

    #[test]
    fn the_example_runs_on_loopback_addresses() {
        let bench = Bench::new(Some("loopback"));
        from_nothing_to_an_answer(&bench, "loopback");
        back_to_nothing(&bench, false);
    }

    #[test]
    fn the_example_runs_without_privileges() {
        if !root() {
            println!("SKIPPED: this user has none; that is the model of this machine");
            return;
        }
        let bench = Bench::anybody("namespaces", true);
        from_nothing_to_an_answer(&bench, "rootless");
        back_to_nothing(&bench, true);
    }

    #[test]
    fn an_apply_killed_anywhere_is_finished_or_undone() {
        let bench = Bench::new(None);
        small(&bench);
        for (event, address) in [
            ("operation-started", ":network.main"),
            ("operation-finished", ":instance.head"),
            ("operation-started", ":service.head/spark-master"),
            ("operation-created", ":service.head/spark-master"),
            ("operation-created", "/spark-worker"),
        ] {
            assert!(bench.kill(&APPLY, at(event, address)), "{event} {address}");
        }
        bench.converge();
        let count = |class: &str| bench.processes().iter().filter(|p| p.text.contains(class)).count();
        assert_eq!((count("deploy.master.Master"), count(WORKER)), (1, 1), "nothing was started twice");
        assert_eq!(bench.ok(&["--json", "status", "cluster.yaml"]).json()["running"], 2);

        let traces = bench.traces();
        assert!(bench.kill(&DESTROY, at("operation-finished", ":instance.head")));
        bench.destroy(true);
        bench.nothing_left(&traces);

        assert!(bench.kill(&APPLY, at("operation-created", ":service.head/spark-master")));
        let traces = bench.traces();
        bench.destroy(true);
        bench.nothing_left(&traces);
    }
}
