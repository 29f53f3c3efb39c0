//! Provider `local` by its documents: create, edit, break, mend and remove, in each node model that this machine allows.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests, too

mod common;

use common::{Bench, http, machine, root};
use serde_json::Value as Json;
use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Command, Stdio},
    sync::{PoisonError, RwLock, mpsc},
    time::{Duration, Instant},
};

/// Pages from a folder, on every node.
const WEB: &str = r#"
name: web
summary: pages
version: "1"
versions: {"1": []}
roles:
  all:
    services:
      - name: web
        command: [python3, -m, http.server, "8000", --bind, "{{ node.ip }}"]
        dir: pages
        folders: ["{{ node.home }}/pages"]
        ports: [8000]
        ready: {http: {host: "{{ node.host }}", port: 8000, path: /}}
  head:
    endpoints:
      - {name: web, service: web, port: 8000, protocol: http}
"#;

fn workspace(name: &str, more: &str) -> String {
    format!("workspace_name: {name}\nprovider:\n  type: local\n{more}")
}

fn cluster(name: &str, workspace: &str, workers: usize, runtimes: &str, more: &str) -> String {
    format!(
        "cluster_name: {name}\nworkspace_name: {workspace}\nfrom: local/small\nprovider:\n  type: local\n\
         available_node_types:\n  worker.default:\n    min_workers: {workers}\nruntime:\n  types: [{runtimes}]\n{more}"
    )
}

/// A bench for a model; `None`, and a line that says so, when this machine does not allow it.
fn bench(model: &'static str) -> Option<Bench> {
    let bench = match (model, root()) {
        ("namespaces", true) => Bench::anybody(model, false),
        ("namespaces-root", false) => {
            println!("SKIPPED {model}: not root");
            return None;
        }
        _ => Bench::new(Some(model)),
    };
    bench.write("workspace.yaml", &workspace("w", ""));
    let probe = bench.run(&["plan", "workspace.yaml"]);
    if probe.code == 0 {
        return Some(bench);
    }
    assert!(probe.err.contains("node-model-refused"), "{}", probe.err);
    println!("SKIPPED {model}: {}", probe.err.lines().find(|l| l.contains(" = ")).unwrap_or_default());
    None
}

fn isolated(bench: &Bench) -> bool {
    bench.output("cluster/w/c:instance.head", "host") == "c-head"
}

/// Held for writing by the test that takes the time.
static MACHINE: RwLock<()> = RwLock::new(());

/// The model with most in it that this user may get.
fn best() -> &'static str {
    if root() { "namespaces-root" } else { "namespaces" }
}

/// Whether one node gets through to a port of another: the answer is at once, or never.
fn reaches(bench: &Bench, to: &str, port: u16) -> bool {
    let script = format!("python3 -c 'import socket; socket.create_connection((\"{to}\", {port}), 3)' 2>/dev/null");
    bench.exec(None, &script).0 == 0
}

/// Edits a document: the plan has `changes` then, all of them and no others, and is empty after an apply.
#[track_caller]
fn edit(bench: &Bench, file: &str, from: &str, to: &str, changes: &[&str]) {
    bench.edit(file, from, to);
    assert_eq!(bench.plan().changes(), changes);
    bench.converge();
}

fn lifecycle(model: &'static str) {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(mut bench) = bench(model) else { return };
    bench.runtime("web", WEB);
    bench.write("cluster.yaml", &cluster("c", "w", 2, "web", ""));
    let (foreign, elsewhere) = (foreign(&bench), bench.path("other-state"));
    bench.ok(&["--state", elsewhere.to_str().unwrap(), "apply", "workspace.yaml", "cluster.yaml", "--yes"]);
    let at_first = bench.processes().len();

    bench.converge();
    let isolated = isolated(&bench);
    assert_eq!(isolated, model != "loopback");
    let url = bench.ok(&["--json", "info", "cluster.yaml"]).json()["endpoints"]["web"].as_str().unwrap().to_owned();
    assert_eq!(http::get(&url).unwrap().0, 200);
    let info = bench.ok(&["info", "cluster.yaml"]).out;
    assert!(info.lines().any(|l| l.contains("node model") && l.ends_with(model)), "{info}");
    let mine = bench.processes();
    assert!(mine.len() > at_first);
    assert_eq!(machine::exposed(&mine), [""; 0]);
    files_come_and_go(&bench);
    ports_and_a_proxy_lead_in(&bench, isolated);
    workers_come_and_go(&bench);
    files_follow_their_source(&bench);
    if isolated {
        the_firewall_holds(&bench);
    }
    what_breaks_is_mended(&bench, isolated);

    let bucket = bench.state().join("local/buckets/w");
    fs::write(bucket.join("kept"), "data").unwrap();
    bench.ok(&["stop", "cluster.yaml", "--yes"]);
    bench.ok(&["workspace", "delete", "workspace.yaml", "--yes"]);
    assert!(!bench.state().join("local/w").exists());
    assert_eq!(fs::read_to_string(bucket.join("kept")).unwrap(), "data");
    bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    assert_eq!(fs::read_to_string(bucket.join("kept")).unwrap(), "data");
    bench.ok(&["workspace", "delete", "workspace.yaml", "--yes", "--delete-managed-storage"]);
    assert!(!bucket.exists());

    // What is not ours to touch is as it was.
    assert_eq!(bench.processes().len(), at_first);
    for (document, state) in [("foreign/cluster.yaml", bench.state()), ("cluster.yaml", elsewhere.clone())] {
        let status = bench.ok(&["--json", "--state", state.to_str().unwrap(), "status", document]).json();
        assert_eq!(status["nodes"].as_array().unwrap().len() as u64, status["running"].as_u64().unwrap(), "{status}");
    }
    assert_eq!(nodes(&bench, "foreign"), foreign);
    let traces = bench.traces();
    assert_eq!(traces.isolated(), isolated);
    bench.ok(&["destroy", "foreign", "--yes", "--delete-managed-storage"]);
    let elsewhere = elsewhere.to_str().unwrap();
    bench.ok(&["--state", elsewhere, "destroy", "workspace.yaml", "cluster.yaml", "-y", "--delete-managed-storage"]);
    bench.nothing_left(&traces);
    assert!(!bench.state().join("local").exists());
    assert!(!bench.path("other-state/local").exists());
}

/// A second workspace in the same state folder; what is recorded of its nodes.
fn foreign(bench: &Bench) -> Json {
    bench.write("foreign/workspace.yaml", &workspace("foreign", ""));
    bench.write("foreign/cluster.yaml", &cluster("c", "foreign", 1, "", ""));
    bench.ok(&["apply", "foreign", "--yes"]);
    nodes(bench, "foreign")
}

fn nodes(bench: &Bench, workspace: &str) -> Json {
    bench.record(workspace)["nodes"].clone()
}

fn files_come_and_go(bench: &Bench) {
    bench.write("tree/inner/a b", "sent");
    bench.ok(&["rsync-up", "cluster.yaml", "tree", "~/kept/tree", "--all-nodes"]);
    let run = bench.ok(&["exec", "cluster.yaml", "--all-nodes", "cat 'kept/tree/inner/a b'; echo"]);
    assert_eq!(run.out.matches(": sent\n").count(), 3, "{}", run.out);
    let worker = bench.ok(&["worker-ips", "cluster.yaml"]).out.lines().next().unwrap().to_owned();
    assert_eq!(bench.exec(Some(&worker), "mkdir kept/tree/more; echo own >kept/tree/more/b").0, 0);
    bench.ok(&["download", "cluster.yaml", "kept/tree", "back", "--node-ip", &worker]);
    assert_eq!(fs::read_to_string(bench.path("back/inner/a b")).unwrap(), "sent");
    assert_eq!(fs::read_to_string(bench.path("back/more/b")).unwrap(), "own\n");
    bench.ok(&["upload", "cluster.yaml", "back/more/b", "kept/"]);
    assert_eq!(bench.exec(None, "cat kept/b; rm -r kept"), (0, "own".into()));
}

fn ports_and_a_proxy_lead_in(bench: &Bench, isolated: bool) {
    let head = |name: &str| bench.output("cluster/w/c:instance.head", name).as_str().unwrap().to_owned();
    // A page that only the node itself can open, while a command runs.
    let bind = if isolated { "127.0.0.1".to_owned() } else { head("ip") };
    let free = |address: &str| TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let (near, far) = (free("127.0.0.1"), free(if isolated { "127.0.0.1" } else { &bind }));
    let serve = format!("exec python3 -m http.server {far} --bind {bind}");
    let ports = format!("{near}:{far}");
    let mut command = bench.command(&["exec", "cluster.yaml", "-p", &ports, &serve]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while http::get(&format!("http://127.0.0.1:{near}/")).is_err() {
        assert!(since.elapsed() < Duration::from_secs(30) && running.try_wait().unwrap().is_none());
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(http::get(&format!("http://127.0.0.1:{near}/")).is_err());

    let proxy = bench.ok(&["--json", "start-proxy", "cluster.yaml"]).event("proxy");
    let address = proxy["address"].as_str().unwrap();
    assert_eq!(http::through(address, &head("host"), 8000).unwrap().0, 200);
    assert!(http::through(address, &head("host"), far).is_err(), "nothing listens there any more");
    assert_eq!(bench.run(&["start-proxy", "cluster.yaml"]).code, 3, "one is enough");
    assert!(bench.ok(&["stop-proxy", "cluster.yaml"]).out.contains(address));
    assert!(http::through(address, &head("host"), 8000).is_err());
    bench.ok(&["stop-proxy", "cluster.yaml"]);
}

fn workers_come_and_go(bench: &Bench) {
    let before = nodes(bench, "w");
    bench.edit("cluster.yaml", "min_workers: 2", "min_workers: 3");
    let added = ["create instance.worker.default[2]", "create service.worker.default[2]/web"];
    assert_eq!(bench.plan().changes(), added);
    bench.converge();
    assert_eq!(bench.ok(&["worker-ips", "cluster.yaml"]).out.lines().count(), 3);
    bench.edit("cluster.yaml", "min_workers: 3", "min_workers: 2");
    let removed = ["delete instance.worker.default[2]", "delete service.worker.default[2]/web"];
    assert_eq!(bench.plan().changes(), removed);
    bench.converge();
    assert_eq!(nodes(bench, "w"), before, "the other nodes ran on");

    let own = "    node_config: {instance_type: {CPU: 1, memory: 768M}}\n    min_workers: 2";
    bench.edit("cluster.yaml", "    min_workers: 2", own);
    let plan = bench.plan().changes();
    assert!(plan.iter().any(|c| c.ends_with(" instance.worker.default[1]")), "{plan:?}");
    assert!(!plan.iter().any(|c| c.ends_with(" instance.head")), "{plan:?}");
    bench.converge();
    assert_eq!(nodes(bench, "w")["c/c-worker-1"]["memory_mib"], 768);
    assert_eq!(nodes(bench, "w")["c/c-head"], before["c/c-head"]);
}

fn files_follow_their_source(bench: &Bench) {
    bench.write("data/a.txt", "one");
    let read = || bench.exec(None, "cat ~/data/a.txt");
    let on_all =
        |verb: &str| ["head", "worker.default[0]", "worker.default[1]"].map(|n| format!("{verb} mount.{n}/~/data"));
    let text = fs::read_to_string(bench.path("cluster.yaml")).unwrap();
    bench.write("cluster.yaml", &format!("{text}file_mounts:\n  ~/data: ./data\n"));
    let created: Vec<String> = bench.plan().changes().into_iter().filter(|c| c.starts_with("create mount.")).collect();
    assert_eq!(created, on_all("create"));
    bench.converge();
    assert_eq!(read(), (0, "one".into()));
    bench.write("data/a.txt", "two");
    let updated: Vec<String> = bench.plan().changes().into_iter().filter(|c| c.contains(" mount.")).collect();
    assert_eq!(updated, on_all("update"));
    bench.converge();
    assert_eq!(read(), (0, "two".into()));
    bench.write("cluster.yaml", &text);
    bench.converge();
    assert_ne!(read().0, 0, "what is no longer declared is gone");
}

fn the_firewall_holds(bench: &Bench) {
    let worker = bench.ok(&["worker-ips", "cluster.yaml"]).out.lines().next().unwrap().to_owned();
    assert!(reaches(bench, &worker, 8000), "nodes reach each other");
    let firewall = ["update firewall.main"];
    edit(bench, "workspace.yaml", "type: local\n", "type: local\n  allow_internal: false\n", &firewall);
    assert!(!reaches(bench, &worker, 8000), "nothing is open");
    let open = "  firewall_rules:\n    - {protocol: tcp, ports: [8000], sources: [0.0.0.0/0]}\n";
    let with = format!("  allow_internal: false\n{open}");
    edit(bench, "workspace.yaml", "  allow_internal: false\n", &with, &firewall);
    assert!(reaches(bench, &worker, 8000), "the rule opens it");
    edit(bench, "workspace.yaml", "ports: [8000]", "ports: [8001-8010]", &firewall);
    assert!(!reaches(bench, &worker, 8000), "other ports are none of it");
    edit(bench, "workspace.yaml", &with.replace("8000", "8001-8010"), "", &firewall);
    assert!(reaches(bench, &worker, 8000));
}

fn what_breaks_is_mended(bench: &Bench, isolated: bool) {
    let record = bench.record("w");
    let init = record["nodes"]["c/c-worker-0"]["init"]["pid"].as_i64().unwrap();
    machine::Process { pid: init as i32, text: String::new() }.kill();
    // The kernel takes its time to end all of a node.
    while bench.plan().changes().is_empty() {}
    let drift = bench.plan().drift();
    assert!(drift.iter().any(|a| a == "instance.worker.default[0]"), "{drift:?}");
    bench.converge();

    fs::remove_dir_all(bench.state().join("local/w/nodes/c/c-worker-1/home")).unwrap();
    let drift = bench.plan().drift();
    assert!(drift.iter().any(|a| a == "instance.worker.default[1]"), "{drift:?}");
    bench.converge();

    if isolated && machine::has("nsenter") && machine::has("python3") {
        open_the_firewall(bench);
        assert_eq!(bench.plan().drift(), ["firewall.main"]);
        assert_eq!(bench.plan().changes(), ["update firewall.main"]);
        bench.converge();
    } else if isolated {
        println!("SKIPPED: without nsenter and python3 no firewall rule can be changed");
    }
}

/// Deletes the head's table of rules, as `nft delete table inet cloudtik` in its network would.
fn open_the_firewall(bench: &Bench) {
    let record = bench.record("w");
    let (node, router) = (&record["nodes"]["c/c-head"]["init"]["pid"], &record["router"]["pid"]);
    let script = "import socket,struct
s=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,12)
def message(kind,seq,flags,body): return struct.pack('=IHHII',16+len(body),kind,flags,seq,0)+body
name=struct.pack('=HH',13,1)+b'cloudtik\\0'+b'\\0'*3
batch=struct.pack('>BBH',0,0,10)
s.send(message(16,1,1,batch)+message(10<<8|2,2,5,struct.pack('>BBH',1,0,0)+name)+message(17,3,1,batch))
s.settimeout(5)
assert struct.unpack('=i',s.recv(4096)[16:20])==(0,)";
    let mut enter = bench.as_its_user(Command::new("nsenter"));
    enter.arg(format!("--net=/proc/{node}/ns/net"));
    if record["model"] == "namespaces" {
        enter.args([&format!("--user=/proc/{router}/ns/user"), "--preserve-credentials"]);
    }
    assert!(enter.args(["python3", "-c", script]).status().unwrap().success());
}

/// Kills an apply at any instant; then it is finished, or undone, and nothing was made twice.
fn killed_at_random(model: &'static str, seeds: u64) {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(bench) = bench(model) else { return };
    bench.write("cluster.yaml", &cluster("c", "w", 2, "", ""));
    // More of them, when asked for.
    let seeds = std::env::var("CLOUDTIK_TEST_SEEDS").map_or(seeds, |n| n.parse().unwrap());
    for seed in 0..seeds {
        let delay = Duration::from_micros(5_000 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 145_000);
        let apply = ["apply", "workspace.yaml", "cluster.yaml", "--yes"];
        let workers = match seed % 3 {
            // In the middle of an edit that adds a node, and one that takes two away.
            2 => {
                bench.converge();
                let document = |workers| cluster("c", "w", workers, "", "");
                bench.write("cluster.yaml", &document(3));
                killed_after(&bench, delay, &apply);
                bench.converge();
                bench.write("cluster.yaml", &document(1));
                killed_after(&bench, delay, &apply);
                1
            }
            _ => {
                killed_after(&bench, delay, &apply);
                2
            }
        };
        if seed % 3 != 1 {
            bench.converge();
            let status = bench.ok(&["--json", "status", "cluster.yaml"]).json();
            assert_eq!(status["running"], workers + 1, "seed {seed}: {status}");
            assert_eq!(nodes(&bench, "w").as_object().unwrap().len(), workers + 1, "seed {seed}");
            bench.write("cluster.yaml", &cluster("c", "w", 2, "", ""));
        }
        let traces = bench.traces();
        if seed % 4 == 0 {
            let all = ["destroy", "workspace.yaml", "cluster.yaml", "--yes", "--delete-managed-storage"];
            killed_after(&bench, delay, &all);
        }
        bench.destroy(true);
        bench.nothing_left(&traces);
    }
}

fn killed_after(bench: &Bench, delay: Duration, args: &[&str]) {
    let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Nobody sends: this waits for the time to pass.
    let (_keep, timer) = mpsc::channel::<()>();
    assert_eq!(timer.recv_timeout(delay), Err(mpsc::RecvTimeoutError::Timeout));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The checks of these tests can fail.
#[test]
fn what_should_not_be_there_would_be_seen() {
    let bench = Bench::new(None);
    let traces = bench.traces();
    assert_eq!(traces.rest(&bench.path("")), [""; 0]);
    let listen = "import socket,sys
s=socket.create_server((sys.argv[1],0)); print('up',flush=True); sys.stdin.read()";
    let start = |address: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", listen, address]).env("CLOUDTIK_LOCAL", bench.state());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        child
    };
    for (address, exposed) in [("127.0.0.7", 0), ("0.0.0.0", 1)] {
        let mut child = start(address);
        assert_eq!(machine::exposed(&bench.processes()).len(), exposed, "{address}");
        assert_eq!(traces.rest(&bench.path("")).len(), 1, "the process itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn lifecycle_in_root_namespaces() {
    lifecycle("namespaces-root");
}

#[test]
fn lifecycle_in_rootless_namespaces() {
    lifecycle("namespaces");
}

#[test]
fn lifecycle_on_loopback() {
    lifecycle("loopback");
}

/// A kill in the middle of the last delete: the workspace's record has gone, other files of its folder have not.
#[test]
fn a_removal_that_was_cut_off_is_finished_or_undone() {
    let _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(bench) = bench("loopback") else { return };
    bench.write("cluster.yaml", &cluster("c", "w", 1, "", ""));
    let (traces, record) = (bench.traces(), bench.state().join("local/w/network.json"));
    for again in [false, true] {
        bench.converge();
        bench.ok(&["stop", "cluster.yaml", "--yes"]);
        fs::remove_file(&record).unwrap();
        assert!(bench.plan().drift().iter().any(|address| address == "network.main"));
        if again {
            bench.converge();
        }
        bench.destroy(true);
        bench.nothing_left(&traces);
    }
}

#[test]
fn a_kill_at_any_instant_is_recovered_from() {
    killed_at_random(best(), 20);
}

#[test]
fn a_kill_at_any_instant_is_recovered_from_without_privileges() {
    if !root() {
        return; // that is the case above
    }
    killed_at_random("namespaces", 6);
}

#[test]
fn a_kill_at_any_instant_is_recovered_from_on_loopback() {
    killed_at_random("loopback", 6);
}

#[test]
fn the_documents_network_is_the_nodes_network() {
    let Some(bench) = bench(best()) else { return };
    bench.write("workspace.yaml", &workspace("w", "  cidr: 10.42.0.0/20\n"));
    bench.write("cluster.yaml", &cluster("c", "w", 1, "", ""));
    bench.converge();
    for ip in [bench.ok(&["head-ip", "cluster.yaml"]).out, bench.ok(&["worker-ips", "cluster.yaml"]).out] {
        assert!(ip.starts_with("10.42.") && ip.trim().split('.').nth(2).unwrap().parse::<u8>().unwrap() < 16, "{ip}");
    }
    assert_eq!(bench.exec(None, "hostname -I 2>/dev/null || echo $CLOUDTIK_NODE_IP").0, 0);
    bench.destroy(true);
}

#[test]
fn sixty_four_nodes_start_at_once() {
    let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let Some(bench) = bench(best()) else { return };
    bench.write("cluster.yaml", &cluster("c", "w", 63, "", ""));
    bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    let since = Instant::now();
    let run = bench.ok(&["--json", "apply", "cluster.yaml", "--yes"]);
    let whole = since.elapsed();
    let of_nodes = |line: &&str| line.contains("operation-finished") && line.contains(":instance.");
    assert_eq!(run.out.lines().filter(of_nodes).count(), 64);
    let phase = Duration::from_millis(run.event("apply-finished")["elapsed_ms"].as_u64().unwrap());
    println!(
        "64 nodes: {} ms, {:.1} ms each; the whole apply {} ms",
        phase.as_millis(),
        phase.as_secs_f64() * 1000.0 / 64.0,
        whole.as_millis()
    );
    assert_eq!(bench.ok(&["--json", "status", "cluster.yaml"]).json()["running"], 64);
    let traces = bench.traces();
    bench.destroy(true);
    bench.nothing_left(&traces);
}
