//! Files, services, commands and mounts on a real machine, in a temporary folder.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{
    Address, Declaration, FailureKind, Scope, Value,
    provider::{Health, Presence, Provider, Refresh, Settled, Subject},
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use support::{LocalConnector, World, runtime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

struct Node {
    root: tempfile::TempDir,
    connector: Arc<LocalConnector>,
    world: World,
}

impl Node {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let connector = Arc::new(LocalConnector::default());
        let world = World::new(runtime(&root.path().join("cache"), connector.clone(), None));
        Node { root, connector, world }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn service(&self, command: &[&str], ready: Json, stop: Json) -> Declaration {
        declaration(
            "service",
            json!({
                "run": self.text("run/s"), "log": self.text("log/s.log"), "dir": self.text("work"),
                "folders": [self.text("work/data")], "command": command, "env": {"GREETING": "hello"},
                "ports": [], "probe": {"ready": ready}, "stop": stop, "start_seconds": 20, "config": {},
            }),
        )
    }

    fn file(&self, content: &str) -> Declaration {
        declaration("file", json!({"path": self.text("conf/a.conf"), "content": content, "mode": "0640"}))
    }
}

fn address(kind: &str) -> Address {
    Address::new(Scope::cluster("w", "c"), kind, "head/x")
}

fn declaration(kind: &str, mut attributes: Json) -> Declaration {
    attributes["connection"] = json!({"via": "test", "node": "head"});
    let attributes = Value::from(attributes).as_map().unwrap().clone();
    Declaration::new(address(kind), &cloudtik_runtime::name(), attributes)
}

fn alive(pid: i64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn pid(node: &Node) -> i64 {
    node.world.records[&address("service")].outputs["pid"].as_int().unwrap()
}

fn broken(presence: Presence) -> Option<String> {
    match presence {
        Presence::Present { healthy: Health::Broken(why) | Health::Outdated(why), .. } => Some(why),
        Presence::Present { healthy: Health::Ok, .. } => None,
        Presence::Absent => panic!("absent"),
    }
}

/// A port that answers every request with `body`.
async fn server(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn tcp(port: u16) -> Json {
    json!({"tcp": {"host": "127.0.0.1", "port": port}})
}

#[tokio::test]
async fn a_file_is_written_seen_to_drift_mended_moved_and_removed() {
    let mut node = Node::new();
    let file = node.file("a = 1\n");
    node.world.apply(&file).await.unwrap();
    assert_eq!(node.read("conf/a.conf"), "a = 1\n");
    let predicted = node.world.runtime.kinds().iter().find(|k| k.kind == "file").unwrap().predict.unwrap();
    assert_eq!(predicted(&file.attributes), node.world.records[&address("file")].outputs);

    fs::write(node.path("conf/a.conf"), "a = 2\n").unwrap();
    let Presence::Present { attributes, .. } = node.world.refresh(&address("file")).await else { panic!("absent") };
    assert_eq!(attributes["content"], Value::text("a = 2\n"));
    assert_eq!(attributes["mode"], Value::text("0640"));

    let mut moved = node.file("a = 1\n");
    moved.attributes.insert("path".into(), Value::text(node.text("conf/b.conf")));
    node.world.apply(&moved).await.unwrap();
    assert!(node.path("conf/b.conf").is_file() && !node.path("conf/a.conf").exists());

    node.world.delete(&address("file")).await.unwrap();
    assert!(!node.path("conf/b.conf").exists());
}

#[tokio::test]
async fn what_is_declared_is_adopted_only_when_it_is_exactly_there() {
    let node = Node::new();
    fs::create_dir(node.path("conf")).unwrap();
    for (there, adopted) in [("a = 1\n", true), ("a = 2\n", false)] {
        fs::write(node.path("conf/a.conf"), there).unwrap();
        let declared = node.file("a = 1\n").attributes;
        let subject = Subject { address: address("file"), record: None, declared };
        let refresh = Refresh { kind: "file".into(), subjects: vec![subject] };
        let observed = node.world.runtime.refresh(&refresh).await.unwrap();
        assert_eq!(observed[0].presence != Presence::Absent, adopted, "{there}");
    }
}

#[tokio::test]
async fn a_service_starts_restarts_is_found_dead_and_ends_with_all_it_started() {
    let mut node = Node::new();
    let port = server("{}").await;
    // A child in a process group of its own, as Python workers are: only the session binds it.
    let script = "echo $GREETING; set -m; sleep 1000 & echo $! >child; wait";
    let service = node.service(&["/bin/sh", "-c", script], tcp(port), json!({}));
    node.world.apply(&service).await.unwrap();
    let first = pid(&node);
    assert!(alive(first));
    assert!(node.path("work/data").is_dir());
    assert!(node.read("log/s.log").contains("hello"));
    assert_eq!(broken(node.world.refresh(&address("service")).await), None);

    node.world.apply(&service).await.unwrap();
    assert!(!alive(first) && alive(pid(&node)));

    let child = node.read("work/child").trim().parse().unwrap();
    let victim = pid(&node);
    let killed = std::process::Command::new("kill").args(["-9", &victim.to_string()]).status().unwrap();
    assert!(killed.success() && alive(child));
    // The signal is on its way when `kill` returns.
    while alive(victim) {
        tokio::task::yield_now().await;
    }
    assert_eq!(broken(node.world.refresh(&address("service")).await).as_deref(), Some("process is gone"));
    node.world.apply(&service).await.unwrap();
    assert!(!alive(child), "what the dead one left is ended before the next start");

    let (last, child) = (pid(&node), node.read("work/child").trim().parse().unwrap());
    node.world.delete(&address("service")).await.unwrap();
    assert!(!alive(last) && !alive(child));
    node.world.delete(&address("service")).await.unwrap();
}

#[tokio::test]
async fn a_start_that_is_repeated_finds_the_daemon_it_made() {
    let mut node = Node::new();
    let port = server("{}").await;
    let service = node.service(&["sleep", "1000"], tcp(port), json!({}));
    let call = node.world.call(&service.address, service.attributes.clone());
    assert_eq!(node.world.runtime.settle(&call).await.unwrap(), Settled::Absent);
    let first = node.world.runtime.create(&call).await.unwrap();
    assert_eq!(node.world.runtime.create(&call).await.unwrap(), first);
    assert_eq!(node.world.runtime.settle(&call).await.unwrap(), Settled::Found(first.clone()));
    let other = node.world.call(&service.address, service.attributes.clone());
    assert_eq!(node.world.runtime.settle(&other).await.unwrap(), Settled::Absent);
    // Another step ends it first: there is never a second daemon.
    node.world.apply(&service).await.unwrap();
    assert!(!alive(first.outputs["pid"].as_int().unwrap()));
    node.world.delete(&address("service")).await.unwrap();
}

#[tokio::test]
async fn a_service_that_dies_fails_at_once_with_the_end_of_its_log() {
    let mut node = Node::new();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let service = node.service(&["/bin/sh", "-c", "echo no such class; exit 3"], tcp(nobody), json!({}));
    let failure = node.world.apply(&service).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Command);
    assert!(failure.message.contains("no such class"), "{failure}");
    assert!(node.world.said.lock().unwrap()[0].contains("to listen"));
}

#[tokio::test]
async fn whoever_has_a_reused_process_number_is_left_alone() {
    let mut node = Node::new();
    let port = server("{}").await;
    let service = node.service(&["sleep", "1000"], tcp(port), json!({}));
    node.world.apply(&service).await.unwrap();
    // As if our daemon had ended long ago and another session had got its number.
    let (other, own) = (pid(&node), node.read("run/s/pid"));
    fs::write(node.path("run/s/pid"), format!("{other} 1\n")).unwrap();
    assert_eq!(broken(node.world.refresh(&address("service")).await).as_deref(), Some("process is gone"));
    let call = node.world.call(&address("service"), service.attributes.clone());
    node.world.runtime.delete(&call).await.unwrap();
    assert!(alive(other));
    fs::write(node.path("run/s/pid"), own).unwrap();
    node.world.delete(&address("service")).await.unwrap();
    assert!(!alive(other));
}

#[tokio::test]
async fn one_that_ignores_the_signal_is_killed_after_its_grace() {
    let mut node = Node::new();
    let port = server("{}").await;
    let script = "trap '' TERM; while :; do sleep 0.1; done";
    let stop = json!({"signal": "TERM", "grace_seconds": 0});
    let service = node.service(&["/bin/sh", "-c", script], tcp(port), stop);
    node.world.apply(&service).await.unwrap();
    let first = pid(&node);
    node.world.delete(&address("service")).await.unwrap();
    assert!(!alive(first));
}

#[tokio::test]
async fn what_a_daemon_does_moves_away_before_it_is_stopped_for_good() {
    let mut node = Node::new();
    let port = server("{}").await;
    // Told to hand over, the daemon lets its task finish; the task would never end by itself.
    let script = "\
        cd $HERE; mkfifo wake; exec 3<>wake; : >out
        trap 'echo told >>out' PWR; trap 'echo stopped >>out; exit' TERM
        (until grep -q told out; do :; done; echo moved >>out) &
        while :; do read -r _ <&3; done";
    let mut service = node.service(&["/bin/sh", "-c", script], tcp(port), json!({"grace_seconds": 20}));
    let env = json!({"HERE": node.root.path().display().to_string()});
    service.attributes.insert("env".into(), Value::from(env));
    let drain = json!({"signal": "PWR", "seconds": 60, "until": "childless"});
    service.attributes.insert("drain".into(), Value::from(drain));
    node.world.apply(&service).await.unwrap();
    let first = pid(&node);
    node.world.delete(&address("service")).await.unwrap();
    assert!(!alive(first));
    assert_eq!(node.read("out"), "told\nmoved\nstopped\n");
    assert!(node.world.said.lock().unwrap().iter().any(|said| said.contains("its work to move away")));
}

#[tokio::test]
async fn a_probe_reads_the_answer_and_refresh_says_what_is_wrong_with_it() {
    let mut node = Node::new();
    let port = server(r#"{"workers": [{"host": "w0", "state": "ALIVE"}]}"#).await;
    let probe = |host: &str| {
        let json = json!({"at": "/workers", "has": {"host": host, "state": "ALIVE"}});
        json!({"http": {"host": "127.0.0.1", "port": port, "path": "/json/", "json": json, "awaits": "the worker"}})
    };
    let mut service = node.service(&["sleep", "1000"], probe("w0"), json!({}));
    node.world.apply(&service).await.unwrap();
    assert_eq!(broken(node.world.refresh(&address("service")).await), None);

    service.attributes.insert("probe".into(), Value::from(json!({"ready": probe("w0"), "alive": probe("w1")})));
    node.world.apply(&service).await.unwrap();
    let why = broken(node.world.refresh(&address("service")).await).unwrap();
    assert!(why.contains("no item with host w1"), "{why}");

    service.attributes.insert("probe".into(), Value::from(json!({"ready": probe("w1")})));
    service.attributes.insert("start_seconds".into(), Value::Int(0));
    let failure = node.world.apply(&service).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout);
    node.world.delete(&address("service")).await.unwrap();
}

#[tokio::test]
async fn commands_run_in_order_and_only_new_lines_run_again() {
    let mut node = Node::new();
    let list = |node: &Node, lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|l| l.replace("OUT", &node.text("out"))).collect();
        let stop = [format!("echo bye >>{}", node.text("out"))];
        let env = json!({"WHO": "me"});
        declaration(
            "command",
            json!({"lines": lines, "stop": stop, "env": env, "log": node.text("log/c.log"), "done": node.text("run/c")}),
        )
    };
    let first = list(&node, &["echo one $WHO >>OUT", "echo two >>OUT"]);
    node.world.apply(&first).await.unwrap();
    assert_eq!(node.read("out"), "one me\ntwo\n");
    let second = list(&node, &["echo one $WHO >>OUT", "echo three >>OUT"]);
    node.world.apply(&second).await.unwrap();
    assert_eq!(node.read("out"), "one me\ntwo\nthree\n");
    assert!(node.world.refresh(&address("command")).await != Presence::Absent);

    let bad = list(&node, &["echo one $WHO >>OUT", "echo why it failed; exit 4", "echo never >>OUT"]);
    let failure = node.world.apply(&bad).await.unwrap_err();
    assert!(failure.message.contains("exit code 4") && failure.message.contains("why it failed"), "{failure}");
    assert!(!node.read("out").contains("never"));
    assert!(node.read("log/c.log").contains("why it failed"));

    node.world.delete(&address("command")).await.unwrap();
    assert!(node.read("out").ends_with("bye\n"));
    assert_eq!(fs::read_dir(node.path("run")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mounted_folder_follows_its_source() {
    let mut node = Node::new();
    let source = node.path("source");
    fs::create_dir_all(source.join("inner")).unwrap();
    fs::write(source.join("inner/a"), "1").unwrap();
    let mount = |node: &Node, source: &Path| {
        let mut cluster = support::cluster(&[], json!({}), 0);
        let mount = cloudtik_core::document::FileMount { source: source.to_owned(), origin: support::origin() };
        cluster.file_mounts.insert("~/data/".into(), mount);
        let compiled = cloudtik_runtime::declare(&cluster, &support::nodes(0, 1, 512), &Default::default()).unwrap();
        let declaration = compiled.declarations.into_iter().find(|d| d.address.kind() == "mount").unwrap();
        assert_eq!(declaration.address.short(), "mount.head/~/data");
        let home = Value::text(node.text("home"));
        let connection = Value::from(json!({"via": "test"}));
        let lookup = |r: &cloudtik_core::Reference| {
            Some(if &*r.attribute == "home" { home.clone() } else { connection.clone() })
        };
        Declaration { attributes: cloudtik_core::value::resolve(&declaration.attributes, &lookup), ..declaration }
    };
    let first = mount(&node, &source);
    node.world.apply(&first).await.unwrap();
    assert_eq!(node.read("home/data/inner/a"), "1");

    fs::write(source.join("inner/b"), "2").unwrap();
    fs::remove_file(source.join("inner/a")).unwrap();
    let stale = node.world.apply(&first).await.unwrap_err();
    assert!(stale.message.contains("changed since the plan"), "{stale}");
    let second = mount(&node, &source);
    assert_ne!(first.attributes["digest"], second.attributes["digest"]);
    node.world.apply(&second).await.unwrap();
    assert!(node.path("home/data/inner/b").is_file() && !node.path("home/data/inner/a").exists());

    fs::remove_dir_all(node.path("home/data")).unwrap();
    assert_eq!(node.world.refresh(&second.address).await, Presence::Absent);
    node.world.apply(&second).await.unwrap();
    node.world.delete(&second.address).await.unwrap();
    assert!(!node.path("home/data").exists());
}

#[tokio::test]
async fn a_node_that_is_gone_has_nothing_and_one_that_is_silent_is_broken() {
    let mut node = Node::new();
    node.world.apply(&node.file("a\n")).await.unwrap();
    for (kind, expected) in [(FailureKind::NotFound, None), (FailureKind::Unreachable, Some("cannot be reached"))] {
        // A new runtime: hosts that were reached stay open.
        *node.connector.gone.lock().unwrap() = Some(kind);
        let mut world = World::new(runtime(&node.path("cache"), node.connector.clone(), None));
        world.records = node.world.records.clone();
        match (world.refresh(&address("file")).await, expected) {
            (Presence::Absent, None) => world.delete(&address("file")).await.unwrap(),
            (presence, Some(why)) => assert!(broken(presence).unwrap().contains(why)),
            (presence, None) => panic!("{presence:?}"),
        }
    }
}
