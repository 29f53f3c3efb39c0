//! Clusters whose nodes are reached over SSH, as users work with them: real servers of OpenSSH on this machine, behind
//! recorded machines.

#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "common/mod.rs"]
mod common;
#[path = "../resources/ssh/tests/hosts/support.rs"]
#[allow(dead_code, reason = "these tests use their part")]
mod support;

use cloudtik_core::{
    Address, Attrs, Declaration, Needs, Scope, Value,
    event::Silent,
    export,
    plan::{Mode, OperationId, Plan},
    state::{Holder, Record, Snapshot, Status, Store},
};
use cloudtik_engine::{ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, apply, observe, plan};
use cloudtik_ssh::{KIND, NAME, SshConnector, SshProvider};
use cloudtik_testkit::MemoryStore;
use common::{Bench, http};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::Arc,
};
use support::Server;
use tokio::sync::watch;

fn scope() -> Scope {
    Scope::cluster("w", "c")
}

fn record(kind: &str, name: &str, provider: &str, outputs: Value) -> Arc<Record> {
    Arc::new(Record {
        address: Address::new(scope(), kind, name),
        provider: provider.into(),
        id: name.into(),
        status: Status::Ready,
        attributes: Attrs::new(),
        outputs: outputs.as_map().unwrap().clone(),
        dependencies: Vec::new(),
        lifecycle: Default::default(),
        operation: OperationId("made".into()),
        schema: 1,
        made: None,
        deposed: BTreeMap::new(),
        only_deposed: false,
        references: None,
    })
}

/// A state folder that knows a head and workers behind it, as a cloud's would.
fn recorded(head: &Server, workers: &[Server]) -> Bench {
    let bench = Bench::new(Some("loopback"));
    bench.write("workspace.yaml", "workspace_name: w\nprovider:\n  type: local\n");
    bench.write("cluster.yaml", "cluster_name: c\nworkspace_name: w\nfrom: local/small\nprovider:\n  type: local\n");
    let machine = |ip: &str| Value::map([("ip", Value::text(ip)), ("host", ip.into()), ("cpus", 1.into())]);
    let home = |server: &Server| server.path("home").display().to_string();
    let connection = |server: &Server, value: Value| {
        Value::map([("connection", value), ("home", home(server).into()), ("ip", server.address.as_str().into())])
    };
    let mut all = vec![
        record("instance", "head", "local", machine("10.0.0.1")),
        record(KIND, "head", NAME, connection(head, head.connection())),
    ];
    for (i, worker) in workers.iter().enumerate() {
        let name = format!("worker.default[{i}]");
        let pins = Value::list([worker.host_key()]);
        let behind = worker.connection_with([("jump", head.connection()), ("host_keys", pins)]);
        all.push(record("instance", &name, "local", machine(&format!("10.0.1.{i}"))));
        all.push(record(KIND, &name, NAME, connection(worker, behind)));
    }
    let records = all.into_iter().map(|record| (record.address.clone(), record)).collect();
    let snapshot = Snapshot { records, lineage: "l".into(), serial: 1, ..Snapshot::empty(&scope()) };
    bench.write("state.json", &export::export(&snapshot).to_string());
    bench.ok(&["state", "import", "state.json"]);
    bench
}

#[test]
fn commands_files_and_proxies_go_over_connections() {
    let (head, workers) = (Server::start(), [Server::start(), Server::start()]);
    let bench = recorded(&head, &workers);
    assert_eq!(bench.exec(None, "echo at $((1 + 1)); exit 3"), (3, "at 2".into()));
    let run = bench.ok(&["exec", "cluster.yaml", "--all-nodes", "echo $SSH_CONNECTION | cut -d ' ' -f 3"]);
    let expected: String = std::iter::once(("10.0.0.1".to_owned(), &head.address))
        .chain(workers.iter().enumerate().map(|(i, w)| (format!("10.0.1.{i}"), &w.address)))
        .map(|(ip, answers)| format!("{ip}: {answers}\n"))
        .collect();
    assert_eq!(run.out, expected);
    assert_eq!(head.log().matches("Accepted publickey").count(), 2, "one connection for each run");

    bench.write("tree/a", "sent");
    for server in [&head, &workers[0], &workers[1]] {
        fs::create_dir(server.path("home")).unwrap();
    }
    let to = |server: &Server| server.path("home/tree").display().to_string();
    let sent = bench.ok(&["rsync-up", "cluster.yaml", "tree", &to(&workers[1]), "--node-ip", "10.0.1.1"]);
    assert_eq!(sent.out, "Sent 1 file, 4 B.\n");
    assert_eq!(fs::read_to_string(workers[1].path("home/tree/a")).unwrap(), "sent");
    bench.ok(&["rsync-down", "cluster.yaml", &to(&workers[1]), "back", "--node-ip", "10.0.1.1"]);
    assert_eq!(fs::read_to_string(bench.path("back/a")).unwrap(), "sent");

    let port = support::free_port("127.0.0.1");
    let mut page = Command::new("python3")
        .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"])
        .current_dir(bench.path("tree"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let proxy = bench.ok(&["--json", "start-proxy", "cluster.yaml"]).event("proxy");
    let address = proxy["address"].as_str().unwrap().to_owned();
    while http::get(&format!("http://127.0.0.1:{port}/a")).is_err() {}
    assert_eq!(http::through(&address, "localhost", port).unwrap().0, 200);
    bench.ok(&["stop-proxy", "cluster.yaml"]);
    assert!(http::through(&address, "localhost", port).is_err());
    page.kill().unwrap();
    page.wait().unwrap();

    // A node that does not answer does not hide the others.
    drop(workers);
    let run = bench.run(&["exec", "cluster.yaml", "--all-nodes", "echo here"]);
    assert_eq!((run.code, run.out.as_str()), (1, "10.0.0.1: here\n"));
    assert_eq!(run.err.matches("nothing answers there").count(), 3, "each is told, and one ends the run: {}", run.err);
}

#[test]
fn the_line_that_info_prints_reaches_the_head_by_openssh() {
    let head = Server::start();
    let bench = recorded(&head, &[]);
    let line = bench.ok(&["--json", "info", "cluster.yaml"]).json()["ssh"].as_str().unwrap().to_owned();
    let ssh = |line: &str| Command::new("/bin/sh").args(["-c", &format!("{line} -F none echo here")]).output().unwrap();
    let output = ssh(&line);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "here\n", "{}", String::from_utf8_lossy(&output.stderr));
    let known = bench.state().join("ssh/w/c/known_hosts");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&known).unwrap().permissions()) & 0o777, 0o600);
    // The key that is pinned there is the only one.
    let other = support::public(&support::key(head.folder.path(), "other", &["-t", "ed25519"], ""));
    let text = fs::read_to_string(&known).unwrap();
    fs::write(&known, text.replace(&head.host_key(), &other)).unwrap();
    assert!(!ssh(&line).status.success());
}

/// A terminal: our side, and the side that a program gets.
fn terminal() -> (File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
    (ours.into(), theirs)
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).unwrap();
}

#[test]
fn a_shell_has_the_size_of_the_window_and_hears_of_changes() {
    let head = Server::start();
    let bench = recorded(&head, &[]);
    let (mut ours, theirs) = terminal();
    resize(&ours, 24, 80);
    let streams = || Stdio::from(theirs.try_clone().unwrap());
    let mut command = bench.command(&["attach", "cluster.yaml"]);
    let mut child = command.stdin(streams()).stdout(streams()).stderr(streams()).spawn().unwrap();
    drop((command, theirs));
    let mut seen = String::new();
    let until = |ours: &mut File, seen: &mut String, text: &str| {
        while !seen.contains(text) {
            let mut buffer = [0; 1024];
            let n = ours.read(&mut buffer).unwrap_or_else(|e| panic!("no {text}: {e}: {seen}"));
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    ours.write_all(b"echo size $(stty size)\n").unwrap();
    until(&mut ours, &mut seen, "size 24 80");
    resize(&ours, 50, 132);
    ours.write_all(b"until [ \"$(stty size)\" = '50 132' ]; do :; done; echo now $(stty size)\n").unwrap();
    until(&mut ours, &mut seen, "now 50 132");
    // Ctrl-C is the remote program's, once it is there to hear it.
    let program = "trap 'echo caught $((40 + 2)); exit' INT; echo begun $((40 + 1)); while :; do sleep 0.1; done";
    ours.write_all(format!("sh -c \"{}\"\n", program.replace('$', "\\$")).as_bytes()).unwrap();
    until(&mut ours, &mut seen, "begun 41");
    ours.write_all(b"\x03").unwrap();
    until(&mut ours, &mut seen, "caught 42");
    ours.write_all(b"exit 7\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7), "{seen}");
}

/// A head and two workers behind it, as a provider of machines declares their connections.
fn declarations(head: &Server, workers: &[Server]) -> Vec<Declaration> {
    let declare = |name: &str, server: &Server, jump: Option<Value>| {
        let mut inputs = server.inputs();
        inputs.insert("home".into(), server.path("home").display().to_string().into());
        inputs.extend(jump.map(|jump| ("jump".to_owned(), jump)));
        Declaration::new(Address::new(scope(), KIND, name), &NAME.into(), inputs)
    };
    let first = declare("head", head, None);
    let way = Value::reference(&first.address, "connection");
    let behind = workers.iter().enumerate().map(|(i, worker)| {
        declare(&format!("worker.default[{i}]"), worker, Some(way.clone())).after(&first.address, Needs::Ready)
    });
    std::iter::once(first.clone()).chain(behind).collect()
}

async fn planned(registry: &Registry, store: &MemoryStore, declarations: &[Declaration]) -> Plan {
    let scopes = BTreeSet::from([scope()]);
    let state = BTreeMap::from([(scope(), store.read(&scope()).unwrap())]);
    let observed = observe(registry, declarations, &scopes, &state, RefreshPolicy::All, &Silent).await.unwrap();
    let kinds = registry.kinds();
    let options = Options::default();
    let input = Input {
        mode: Mode::Normal,
        declarations,
        scopes: &scopes,
        state: &state,
        observed: &observed,
        kinds,
        options: &options,
    };
    plan(&input).unwrap()
}

async fn applied(registry: &Registry, store: &MemoryStore, declarations: &[Declaration]) -> Vec<String> {
    let plan = planned(registry, store, declarations).await;
    let holder = Holder {
        user: "u".into(),
        host: "h".into(),
        pid: 1,
        started: 1,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        machine: String::new(),
        doing: "apply".into(),
    };
    let locks = BTreeMap::from([(scope(), store.lock(&scope(), &holder).unwrap())]);
    let (_tell, interrupt) = watch::channel(Interrupt::No);
    let options = ApplyOptions { who: "u@h".into(), command: "apply".into(), interrupt, parallelism: None };
    let summary = apply(&plan, registry, locks, &BTreeMap::new(), options, &Silent).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let mut done: Vec<String> = summary.done.iter().map(|(a, verb)| format!("{verb} {}", a.short())).collect();
    done.sort();
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_after_the_wait_is_empty_and_a_moved_head_moves_the_way_to_its_workers() {
    let (head, workers) = (Server::start(), [Server::start(), Server::start()]);
    let registry =
        Registry::new([Arc::new(SshProvider::new(SshConnector::new(support::config())))
            as Arc<dyn cloudtik_core::provider::Provider>]);
    let store = MemoryStore::new();
    let mut declared = declarations(&head, &workers);
    let all = ["create connection.head", "create connection.worker.default[0]", "create connection.worker.default[1]"];
    assert_eq!(applied(&registry, &store, &declared).await, all);
    assert!(planned(&registry, &store, &declared).await.is_empty());
    let keys = |name: &str| {
        let state = store.read(&scope()).unwrap();
        let record = &state.records[&Address::new(scope(), KIND, name)];
        record.outputs["connection"].at("host_keys").cloned()
    };
    assert_eq!(keys("worker.default[1]"), Some(Value::list([workers[1].host_key()])));

    // Another head is another way for all; its workers keep the keys that were learnt.
    let other = Server::start();
    fs::copy(head.path("authorized_keys"), other.path("authorized_keys")).unwrap();
    declared[0].attributes.insert("host".into(), other.address.as_str().into());
    let all = all.map(|line| line.replace("create", "update"));
    assert_eq!(applied(&registry, &store, &declared).await, all);
    assert!(planned(&registry, &store, &declared).await.is_empty());
    assert_eq!(keys("head"), Some(Value::list([other.host_key()])));
    assert_eq!(keys("worker.default[1]"), Some(Value::list([workers[1].host_key()])));
    assert_eq!(other.log().matches("ctype direct-tcpip").count(), 2);
}
