//! Artifacts on nodes that do not see this machine's files: fetched by the node, or sent to it.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{
    Address, Declaration, Scope, Value,
    provider::{Health, Presence, Provider, Settled},
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};
use support::{
    LocalConnector, World,
    own::{Web, archive, java, java_script, names, nowhere, sha256, tools},
    runtime,
};

struct Node {
    root: tempfile::TempDir,
    world: World,
    connection: Json,
}

impl Node {
    /// `mirror`: what `CLOUDTIK_ARTIFACT_MIRROR` says.
    fn new(mirror: Option<String>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = World::new(runtime(&root.path().join("cache"), Arc::new(LocalConnector::default()), mirror));
        Node { root, world, connection: json!({"via": "own", "node": "head"}) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn software(&self) -> PathBuf {
        self.path("home/software")
    }

    /// An artifact, and the folder that its version has on the node.
    fn declare(&self, artifact: &Json) -> Declaration {
        let folder = self.software().join(format!("p-{}", artifact["version"].as_str().unwrap()));
        let mut attributes = artifact.clone();
        attributes["folder"] = json!(folder.display().to_string());
        attributes["connection"] = self.connection.clone();
        let attributes = Value::from(attributes).as_map().unwrap().clone();
        Declaration::new(address(), &cloudtik_runtime::name(), attributes)
    }

    fn output(&self, name: &str) -> String {
        self.world.records[&address()].outputs[name].as_text().unwrap().to_owned()
    }

    fn said(&self) -> String {
        self.world.said.lock().unwrap().join("\n")
    }
}

fn address() -> Address {
    Address::new(Scope::cluster("w", "c"), "installation", "head/p")
}

fn package() -> Vec<u8> {
    archive(&[("p-1/jars/a.jar", "jar"), ("p-1/data/big", "no"), ("p-1/bin/run", "#!/bin/sh\n")])
}

fn at(url: &str, bytes: &[u8]) -> Json {
    json!({
        "name": "p", "version": "1",
        "source": {"url": {"url": url, "sha256": sha256(bytes), "size": bytes.len()}},
        "unpack": [{"from": "p-1/jars", "to": "jars"}, {"from": "p-1/bin", "to": "tools/bin"}],
    })
}

fn is_whole(folder: &Path) -> bool {
    fs::read_to_string(folder.join("jars/a.jar")).is_ok_and(|text| text == "jar")
        && folder.join("tools/bin/run").is_file()
        && !folder.join("data").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fetches_by_itself_with_whatever_it_has_and_only_once() {
    let web = Web::serve([("/f/p-1.tar.gz", package())]).await;
    for program in ["curl", "wget", "python3"] {
        let mut node = Node::new(None);
        node.connection["path"] = json!(tools(&node.path("tools"), &[program]));
        let artifact = node.declare(&at(&format!("{}/f/p-1.tar.gz", web.place), &package()));
        let call = node.world.call(&artifact.address, artifact.attributes.clone());
        assert_eq!(node.world.runtime.settle(&call).await.unwrap(), Settled::Absent);
        node.world.apply(&artifact).await.unwrap();
        assert_eq!(web.asked(), ["/f/p-1.tar.gz"], "{program}");
        assert!(is_whole(Path::new(&node.output("path"))), "{program}");
        assert_eq!(node.output("from"), format!("{}/f", web.place));
        assert_eq!(names(&node.software()), [".p-1.lock", "p-1"]);
        assert!(!node.path("cache").exists(), "nothing is needed on this machine");
        assert!(node.said().contains("fetching p 1"), "{}", node.said());

        node.world.apply(&artifact).await.unwrap();
        assert!(
            matches!(node.world.runtime.settle(&call).await.unwrap(), Settled::Found(found) if found.outputs == node.world.records[&address()].outputs)
        );
        assert!(web.asked().is_empty(), "{program}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_comes_first_and_a_file_that_is_not_the_published_one_is_passed_over() {
    let good = Web::serve([("/p-1.tar.gz", package())]).await;
    let bad = Web::serve([("/p-1.tar.gz", archive(&[("p-1/jars/a.jar", "evil")]))]).await;
    let mut node = Node::new(Some(format!("{}/", bad.place)));
    let artifact = node.declare(&at(&format!("{}/p-1.tar.gz", good.place), &package()));
    node.world.apply(&artifact).await.unwrap();
    assert_eq!((bad.asked().len(), good.asked().len()), (1, 1));
    assert!(is_whole(Path::new(&node.output("path"))));

    let mut node = Node::new(None);
    let artifact = node.declare(&at(&format!("{}/p-1.tar.gz", bad.place), &package()));
    let failure = node.world.apply(&artifact).await.unwrap_err();
    // The node and this machine refuse it alike.
    assert_eq!(failure.message.matches("SHA-256").count(), 2, "{failure}");
    assert_eq!(names(&node.software()), [".p-1.lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_package_is_found_on_the_page_that_an_index_has_of_it() {
    let link = |href: &str| {
        format!(
            "<a href=\"{href}p-0.tar.gz#sha256=1\">p-0.tar.gz</a><a href=\"{href}p-1.tar.gz#sha256=2\">p-1.tar.gz</a>"
        )
    };
    let files = Web::serve([("/f/p-1.tar.gz", package())]).await;
    let whole = link(&format!("{}/f/", files.place));
    let web = Web::serve([
        ("/f/p-1.tar.gz", package()),
        ("/whole/p/", whole.into()),
        ("/site/p/", link("/f/").into()),
        ("/near/p/", link("../../f/").into()),
        ("/without/p/", link("/f/x").into()),
    ])
    .await;
    for (index, found) in [("whole", true), ("site", true), ("near", true), ("without", false), ("nowhere", false)] {
        let mut node = Node::new(None);
        // What the node does not find is sent from here.
        let mirror = node.path("mirror");
        fs::create_dir(&mirror).unwrap();
        fs::write(mirror.join("p-1.tar.gz"), package()).unwrap();
        let mirror = Some(mirror.display().to_string());
        node.world = World::new(
            runtime(&node.path("cache"), Arc::new(LocalConnector::default()), mirror)
                .index(format!("{}/{index}/", web.place)),
        );
        let pypi =
            json!({"package": "P", "version": "1", "file": "p-1.tar.gz", "size": 1, "sha256": sha256(&package())});
        let mut artifact = at("", &package());
        artifact["source"] = json!({ "pypi": pypi });
        node.world.apply(&node.declare(&artifact)).await.unwrap();
        assert_eq!(node.output("from") != "sent", found, "{index}: {}", node.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_that_was_cut_off_left_is_thrown_away_and_the_next_one_ends_the_same() {
    let web = Web::serve([("/p-1.tar.gz", package())]).await;
    web.stalls.store(true, Ordering::SeqCst);
    let mut node = Node::new(None);
    let artifact = node.declare(&at(&format!("{}/p-1.tar.gz", web.place), &package()));
    let call = node.world.call(&artifact.address, artifact.attributes.clone());
    tokio::select! {
        _ = node.world.runtime.create(&call) => panic!("the answer stalls"),
        () = web.halfway.notified() => {}
    }
    assert_eq!(names(&node.software()).len(), 2, "a lock and a folder to work in");
    // One that was killed in a way that left it no time, too; its number is another's by now.
    fs::create_dir_all(node.software().join(".p-1.1.1/tree/jars")).unwrap();
    fs::create_dir_all(node.software().join("p-1/jars")).unwrap();
    fs::write(node.software().join("p-1/jars/half.jar"), "ha").unwrap();

    web.stalls.store(false, Ordering::SeqCst);
    node.world.apply(&artifact).await.unwrap();
    assert!(is_whole(Path::new(&node.output("path"))) && !node.software().join("p-1/jars/half.jar").exists());
    assert_eq!(names(&node.software()), [".p-1.lock", "p-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_make_one() {
    let web = Web::serve([("/p-1.tar.gz", package())]).await;
    let mut node = Node::new(None);
    let artifact = node.declare(&at(&format!("{}/p-1.tar.gz", web.place), &package()));
    let calls: Vec<_> = (0..4).map(|_| node.world.call(&artifact.address, artifact.attributes.clone())).collect();
    let made = futures::future::join_all(calls.iter().map(|call| node.world.runtime.create(call))).await;
    assert!(made.iter().all(|outcome| *outcome.as_ref().unwrap() == *made[0].as_ref().unwrap()), "{made:?}");
    assert_eq!(web.asked().len(), 1);
    assert_eq!(names(&node.software()), [".p-1.lock", "p-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_way_out_is_sent_what_this_machine_has() {
    let mirror = tempfile::tempdir().unwrap();
    // Longer than a piece of an upload.
    let noise: String =
        (0..5_000_000_u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    let bytes = archive(&[("p-1/jars/a.jar", "jar"), ("p-1/bin/run", "#!/bin/sh\n"), ("p-1/bin/noise", &noise)]);
    fs::write(mirror.path().join("p-1.tar.gz"), &bytes).unwrap();
    let mut node = Node::new(Some(mirror.path().display().to_string()));
    let nowhere = nowhere().await;
    let artifact = node.declare(&at(&format!("{nowhere}/p-1.tar.gz"), &bytes));

    node.connection["spoils"] = json!(true);
    let spoiled = node.declare(&at(&format!("{nowhere}/p-1.tar.gz"), &bytes));
    let failure = node.world.apply(&spoiled).await.unwrap_err();
    assert!(failure.message.contains("SHA-256"), "{failure}");
    assert_eq!(names(&node.software()), [".p-1.lock"]);

    node.world.apply(&artifact).await.unwrap();
    let home = PathBuf::from(node.output("path"));
    assert!(is_whole(&home) && fs::read_to_string(home.join("tools/bin/noise")).unwrap() == noise);
    assert_eq!(node.output("from"), "sent");
    assert_eq!(names(&node.software()), [".p-1.lock", "p-1"]);
    assert!(node.said().contains("the node cannot fetch it") && node.said().contains("sending p 1: 5 of 5 MB"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_misses_what_is_gone_or_damaged_and_it_is_made_again() {
    let web = Web::serve([("/p-1.tar.gz", package())]).await;
    let mut node = Node::new(None);
    let artifact = node.declare(&at(&format!("{}/p-1.tar.gz", web.place), &package()));
    node.world.apply(&artifact).await.unwrap();
    let folder = node.software().join("p-1");
    let intact = node.world.refresh(&address()).await;
    assert!(
        matches!(&intact, Presence::Present { healthy: Health::Ok, outputs, .. } if *outputs == node.world.records[&address()].outputs)
    );
    for damage in [
        fs::remove_dir_all as fn(PathBuf) -> std::io::Result<()>,
        |folder| fs::remove_file(folder.join(".complete")),
        |folder| fs::write(folder.join(".complete"), "other"),
    ] {
        damage(folder.clone()).unwrap();
        assert_eq!(node.world.refresh(&address()).await, Presence::Absent);
        node.world.apply(&artifact).await.unwrap();
        assert!(is_whole(&folder));
        assert_eq!(node.world.refresh(&address()).await, intact);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_another_folder_and_what_is_deleted_is_gone() {
    let web = Web::serve([("/p-1.tar.gz", package()), ("/p-2.tar.gz", package())]).await;
    let mut node = Node::new(None);
    let first = node.declare(&at(&format!("{}/p-1.tar.gz", web.place), &package()));
    node.world.apply(&first).await.unwrap();
    let old = node.world.records[&address()].clone();
    let mut second = at(&format!("{}/p-2.tar.gz", web.place), &package());
    second["version"] = json!("2");
    // As the engine replaces it: the new one beside the old one, which goes once nothing uses it.
    node.world.records.clear();
    node.world.apply(&node.declare(&second)).await.unwrap();
    assert!(is_whole(&node.software().join("p-1")) && is_whole(&node.software().join("p-2")));
    let new = std::mem::replace(&mut node.world.records, [(address(), old)].into());
    node.world.delete(&address()).await.unwrap();
    assert_eq!(names(&node.software()), [".p-2.lock", "p-2"]);
    node.world.records = new;
    node.world.delete(&address()).await.unwrap();
    assert_eq!(names(&node.path("home")), Vec::<String>::new());
    let kinds = node.world.runtime.kinds();
    let kind = kinds.iter().find(|k| k.kind == "installation").unwrap();
    assert!(kind.create_before_destroy && kind.replaces("version", &"1".into(), &"2".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_of_the_nodes_own_is_used_when_it_fits_and_left_alone_when_it_goes() {
    let mut node = Node::new(None);
    let home = node.path("opt/java");
    java(&home, "99.0.1", "jdk.quick");
    let path = tools(&node.path("tools"), &["curl"]);
    std::os::unix::fs::symlink(home.join("bin/java"), node.path("tools/java")).unwrap();
    node.connection["path"] = json!(path);
    let nowhere = nowhere().await;
    let wanted = |at_least: u32, module: &str| {
        let mut artifact = at(&format!("{nowhere}/p-1.tar.gz"), &package());
        artifact["instead"] = json!({"java": {"at_least": at_least, "modules": [module]}});
        artifact
    };
    for (at_least, module) in [(100, "jdk.quick"), (99, "jdk.slow")] {
        let failure = node.world.apply(&node.declare(&wanted(at_least, module))).await.unwrap_err();
        assert!(failure.message.contains(&nowhere), "{failure}");
    }
    let artifact = node.declare(&wanted(99, "jdk.quick"));
    node.world.apply(&artifact).await.unwrap();
    assert_eq!((node.output("path"), node.output("from")), (home.display().to_string(), "node".into()));
    assert!(matches!(node.world.refresh(&address()).await, Presence::Present { .. }));
    fs::remove_file(home.join("bin/java")).unwrap();
    assert_eq!(node.world.refresh(&address()).await, Presence::Absent);
    java(&home, "99.0.1", "jdk.quick");
    node.world.delete(&address()).await.unwrap();
    assert!(home.join("bin/java").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_that_came_must_run_and_gets_the_authorities_that_the_node_trusts() {
    for (version, runs) in [("99.0.1", true), ("98.0.1", false)] {
        let script = java_script(version, "jdk.quick");
        let bytes = archive(&[("j/bin/java", &script), ("j/lib/security/policy", "")]);
        let web = Web::serve([("/j.tar.gz", bytes.clone())]).await;
        let mut node = Node::new(None);
        node.connection["path"] = json!(tools(&node.path("tools"), &["curl", "python3"]));
        let mut artifact = at(&format!("{}/j.tar.gz", web.place), &bytes);
        artifact["unpack"] = json!([]);
        artifact["home"] = json!("j*");
        artifact["instead"] = json!({"java": {"at_least": 99, "modules": ["jdk.quick"]}});
        let made = node.world.apply(&node.declare(&artifact)).await;
        if !runs {
            let failure = made.unwrap_err();
            assert!(failure.message.contains("does not run on this node"), "{failure}");
            assert_eq!(names(&node.software()), [".p-1.lock"]);
            continue;
        }
        made.unwrap();
        assert_eq!(node.output("path"), node.software().join("p-1/j").display().to_string());
        let store = fs::read(node.software().join("p-1/j/lib/security/cacerts")).unwrap();
        let trusted = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
        let count = u32::from_be_bytes(store[8..12].try_into().unwrap()) as usize;
        assert_eq!((&store[..4], count), (&[0xFE, 0xED, 0xFE, 0xED][..], trusted.matches("BEGIN CERTIFICATE").count()));
    }
}
