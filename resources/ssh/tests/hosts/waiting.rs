//! The kind `connection`: the wait for a machine, and what is recorded of it.

use crate::support::{Server, config, key, own_address, until, user};
use cloudtik_core::{
    Address, Attrs, Failure, FailureKind, Scope, Value,
    host::{Command, Connector},
    plan::OperationId,
    provider::{Call, Presence, Provider, Refresh, Settled, Subject},
    state::{Record, Status},
};
use cloudtik_ssh::{KIND, SshConfig, SshConnector, SshProvider};
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

fn address() -> Address {
    Address::new(Scope::cluster("w", "c"), KIND, "head")
}

struct World {
    connector: SshConnector,
    provider: SshProvider,
    said: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(config: SshConfig) -> World {
        let connector = SshConnector::new(config);
        World { provider: SshProvider::new(connector.clone()), connector, said: Arc::default() }
    }

    fn call(&self, attributes: &Attrs, record: Option<&Arc<Record>>) -> Call {
        let said = self.said.clone();
        let progress = Arc::new(move |text: &str| said.lock().unwrap().push(text.to_owned()));
        let call = Call::new(OperationId("op".into()), address(), attributes.clone());
        Call { record: record.cloned(), progress, ..call }
    }

    /// Creates, or updates what is recorded, and waits, as the engine does.
    async fn apply(&self, attributes: &Attrs, record: Option<&Arc<Record>>) -> Result<Arc<Record>, Failure> {
        let call = self.call(attributes, record);
        let made = match record {
            None => self.provider.create(&call).await?,
            Some(_) => self.provider.update(&call).await?,
        };
        let mut made = Record {
            address: address(),
            provider: "ssh".into(),
            id: made.id,
            status: Status::Created,
            attributes: attributes.clone(),
            outputs: record.map(|r| r.outputs.clone()).unwrap_or_default(),
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            operation: OperationId("op".into()),
            schema: 1,
            made: None,
            deposed: BTreeMap::new(),
            only_deposed: false,
            references: None,
        };
        let outputs = self.provider.ready(&self.call(attributes, Some(&Arc::new(made.clone())))).await?;
        made.outputs.extend(outputs);
        Ok(Arc::new(made))
    }
}

fn inputs(server: &Server) -> Attrs {
    let mut inputs = server.inputs();
    inputs.insert("home".into(), server.path("home/of it").display().to_string().into());
    inputs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_waited_for_its_key_learnt_and_its_home_made() {
    let world = World::new(config());
    let first = Server::start();
    let inputs = inputs(&first);
    let (address, port, key) = (first.address.clone(), first.port, first.host_key());
    let folder = tempfile::tempdir().unwrap();
    for name in ["host", "host.pub", "user", "user.pub", "authorized_keys"] {
        fs::copy(first.path(name), folder.path().join(name)).unwrap();
    }
    fs::copy(first.path("user"), folder.path().join("u")).unwrap();
    let mut inputs = inputs;
    inputs.insert("key".into(), folder.path().join("u").display().to_string().into());
    drop(first);
    let home = folder.path().join("home/of it");
    inputs.insert("home".into(), home.display().to_string().into());
    let started = {
        let (said, at) = (world.said.clone(), address.clone());
        async move {
            until("it waits", || said.lock().unwrap().iter().any(|s| s.contains("refused"))).await;
            Server::at(&at, port, folder, "")
        }
    };
    let (record, _server) = tokio::join!(world.apply(&inputs, None), started);
    let record = record.unwrap();
    assert!(home.is_dir());
    let outputs = &record.outputs;
    assert_eq!(outputs["home"], inputs["home"]);
    assert_eq!(outputs["ip"], Value::text(&address));
    assert_eq!(outputs["connection"].at("host_keys"), Some(&Value::list([key])));
    assert_eq!(record.id, format!("{}@{address}:{port}", user()));
    let host = world.connector.connect(&outputs["connection"]).await.unwrap();
    assert_eq!(host.run(&Command::new(["echo", "x"])).await.unwrap().text(), "x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learnt_is_pinned_until_the_machine_is_another_one() {
    let world = World::new(config());
    let server = Server::start();
    let mut attributes = inputs(&server);
    let record = world.apply(&attributes, None).await.unwrap();
    // The same place, the same key: the same outputs.
    let again = world.apply(&attributes, Some(&record)).await.unwrap();
    assert_eq!(again.outputs, record.outputs);
    // Another key at the same place is refused, at once.
    let other = Server::start();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(server.path("authorized_keys"), folder.path().join("authorized_keys")).unwrap();
    fs::copy(server.path("user"), other.path("kept")).unwrap();
    attributes.insert("key".into(), other.path("kept").display().to_string().into());
    attributes.insert("home".into(), other.path("home").display().to_string().into());
    key(folder.path(), "host", &["-t", "ed25519"], "");
    let (address, port) = (server.address.clone(), server.port);
    drop(server);
    let replaced = Server::at(&address, port, folder, "");
    let since = Instant::now();
    let failure = world.apply(&attributes, Some(&record)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
    assert!(failure.hint.unwrap().contains("--replace connection.head`"));
    assert!(since.elapsed() < Duration::from_secs(5));
    // Made anew, or moved elsewhere, it is learnt again.
    let fresh = world.apply(&attributes, None).await.unwrap();
    assert_eq!(fresh.outputs["connection"].at("host_keys"), Some(&Value::list([replaced.host_key()])));
    attributes.extend(inputs(&other));
    let moved = world.apply(&attributes, Some(&fresh)).await.unwrap();
    assert_eq!(moved.outputs["connection"].at("host_keys"), Some(&Value::list([other.host_key()])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_given_some_time_and_a_wrong_request_none() {
    let world = World::new(SshConfig { refused: Duration::from_millis(700), ..config() });
    let server = Server::start();
    let attributes = inputs(&server);
    // Keys are installed a little later than the server starts.
    let late = fs::read(server.path("authorized_keys")).unwrap();
    fs::write(server.path("authorized_keys"), "").unwrap();
    let failure = world.apply(&attributes, None).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unauthenticated);
    assert!(world.said.lock().unwrap().len() > 1);
    let patient = World::new(config());
    let installed = {
        let said = patient.said.clone();
        let path = server.path("authorized_keys");
        async move {
            until("it is refused", || said.lock().unwrap().iter().any(|s| s.contains("none of"))).await;
            fs::write(path, late).unwrap();
        }
    };
    tokio::join!(patient.apply(&attributes, None), installed).0.unwrap();
    for (name, value) in [("home", Value::text("relative")), ("port", 0.into()), ("host", "a b".into())] {
        let mut wrong = attributes.clone();
        wrong.insert(name.into(), value);
        assert_eq!(world.apply(&wrong, None).await.unwrap_err().kind, FailureKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_has_an_end() {
    let world = World::new(SshConfig { ready: Duration::from_millis(500), ..config() });
    let server = Server::start();
    let mut attributes = inputs(&server);
    attributes.insert("host".into(), own_address().into());
    let failure = world.apply(&attributes, None).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_reached_through_the_heads_connection() {
    let world = World::new(config());
    let (head, worker) = (Server::start(), Server::start());
    let made = world.apply(&inputs(&head), None).await.unwrap();
    let mut behind = inputs(&worker);
    behind.insert("jump".into(), made.outputs["connection"].clone());
    let record = world.apply(&behind, None).await.unwrap();
    let connection = &record.outputs["connection"];
    assert_eq!(connection.at("jump"), Some(&made.outputs["connection"]));
    assert_eq!(connection.at("host_keys"), Some(&Value::list([worker.host_key()])));
    assert_eq!(head.log().matches("Accepted publickey").count(), 1, "one connection to the head for all");
}

#[tokio::test]
async fn looking_at_connections_takes_no_call() {
    let world = World::new(config());
    let record = Arc::new(Record {
        address: address(),
        provider: "ssh".into(),
        id: "u@192.0.2.1:22".into(),
        status: Status::Ready,
        attributes: Attrs::new(),
        outputs: Attrs::new(),
        dependencies: Vec::new(),
        lifecycle: Default::default(),
        operation: OperationId("op".into()),
        schema: 1,
        made: None,
        deposed: BTreeMap::new(),
        only_deposed: false,
        references: None,
    });
    let subject = |record| Subject { address: address(), record, declared: Attrs::new() };
    let refresh = Refresh { kind: KIND.into(), subjects: vec![subject(Some(record)), subject(None)] };
    let seen = world.provider.refresh(&refresh).await.unwrap();
    assert!(matches!(&seen[0].presence, Presence::Present { id, .. } if id == "u@192.0.2.1:22"));
    assert_eq!(seen[1].presence, Presence::Absent);
    let attributes = [("host", "192.0.2.1"), ("user", "u"), ("home", "/h")];
    let attributes: Attrs = attributes.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let settled = world.provider.settle(&world.call(&attributes, None)).await.unwrap();
    assert!(matches!(settled, Settled::Found(made) if made.id == "u@192.0.2.1:22"));
    world.provider.delete(&world.call(&attributes, None)).await.unwrap();
}
