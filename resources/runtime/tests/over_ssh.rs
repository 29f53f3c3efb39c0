//! The same scripts through a real `sshd`: what comes over a connection, and what goes on when it is lost.

#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "../../ssh/tests/hosts/support.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod sshd;
mod support;

use cloudtik_core::{
    Address, Declaration, Scope, Value,
    host::Connector,
    provider::{Presence, Provider},
};
use cloudtik_runtime::Runtime;
use serde_json::json;
use sshd::Server;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};
use support::{
    World,
    own::{Web, archive, names, nowhere, sha256},
};

fn address() -> Address {
    Address::new(Scope::cluster("w", "c"), "installation", "head/p")
}

struct Node {
    server: Server,
    world: World,
}

impl Node {
    fn new(mirror: Option<&Path>) -> Self {
        let server = Server::start();
        let connectors = BTreeMap::from([("ssh".to_owned(), Arc::new(sshd::connector()) as Arc<dyn Connector>)]);
        let runtime = Runtime::new(connectors, server.path("cache"), mirror.map(|m| m.display().to_string()));
        Node { server, world: World::new(runtime) }
    }

    fn software(&self) -> PathBuf {
        self.server.path("home/software")
    }

    fn declare(&self, place: &str, bytes: &[u8]) -> Declaration {
        let attributes = json!({
            "name": "p", "version": "1", "folder": self.software().join("p-1").display().to_string(),
            "source": {"url": {"url": format!("{place}/p-1.tar.gz"), "sha256": sha256(bytes), "size": bytes.len()}},
            "unpack": [{"from": "p-1/jars", "to": "jars"}],
        });
        let mut attributes = Value::from(attributes).as_map().unwrap().clone();
        attributes.insert("connection".into(), self.server.connection());
        Declaration::new(address(), &cloudtik_runtime::name(), attributes)
    }

    fn from(&self) -> String {
        self.world.records[&address()].outputs["from"].as_text().unwrap().to_owned()
    }
}

/// Longer than a piece of an upload, and not to be made shorter.
fn package() -> Vec<u8> {
    let noise = |n: u32| char::from(b' ' + (n.wrapping_mul(2_654_435_761).rotate_left(n % 31) >> 25) as u8 % 94);
    archive(&[("p-1/jars/a.jar", &(0..5_000_000).map(noise).collect::<String>())])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fetches_or_is_sent_what_it_needs_and_a_lost_connection_leaves_nothing_that_is_used() {
    let bytes = package();
    let web = Web::serve([("/p-1.tar.gz", bytes.clone())]).await;
    let mut node = Node::new(None);
    let artifact = node.declare(&web.place, &bytes);
    web.stalls.store(true, Ordering::SeqCst);
    let call = node.world.call(&artifact.address, artifact.attributes.clone());
    tokio::select! {
        _ = node.world.runtime.create(&call) => panic!("the answer stalls"),
        () = web.halfway.notified() => {}
    }
    web.stalls.store(false, Ordering::SeqCst);
    node.world.apply(&artifact).await.unwrap();
    assert_eq!((node.from(), names(&node.software())), (web.place.clone(), vec![".p-1.lock".into(), "p-1".into()]));
    let fetched = fs::read(node.software().join("p-1/jars/a.jar")).unwrap();

    fs::remove_dir_all(node.software().join("p-1")).unwrap();
    assert_eq!(node.world.refresh(&address()).await, Presence::Absent);

    let mirror = tempfile::tempdir().unwrap();
    fs::write(mirror.path().join("p-1.tar.gz"), &bytes).unwrap();
    let mut node = Node::new(Some(mirror.path()));
    node.world.apply(&node.declare(&nowhere().await, &bytes)).await.unwrap();
    assert_eq!((node.from().as_str(), names(&node.software())), ("sent", vec![".p-1.lock".into(), "p-1".into()]));
    assert!(fs::read(node.software().join("p-1/jars/a.jar")).unwrap() == fetched);
    node.world.delete(&address()).await.unwrap();
    assert!(!node.software().exists());
}
