//! A host that is this machine, nodes in folders of it, and clusters to compile.
#![allow(dead_code)] // each test file uses its part

pub mod own;

use async_trait::async_trait;
use cloudtik_core::{
    Address, Attrs, Declaration, Failure, FailureKind, Origin, Reference, Scope, Tree, Value,
    document::{Auth, Cluster, Commands, NodeType, RuntimeSelection},
    host::{Chunk, Command, Connector, Duplex, Host, Output},
    node::{Files, Node, Role},
    origin::{Entry, TreeValue},
    plan::OperationId,
    provider::{Call, Observed, Presence, Provider, Refresh, Subject},
    state::{Record, Status},
};
use cloudtik_runtime::Runtime;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Runs everything on this machine.
pub struct LocalHost;

fn failure(operation: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, operation, error.to_string())
}

#[async_trait]
impl Host for LocalHost {
    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        let mut child = tokio::process::Command::new(&command.argv[0])
            .args(&command.argv[1..])
            .envs(&command.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failure("run", e))?;
        let mut stdin = child.stdin.take().unwrap();
        // A program that reads none of it is no problem of the test.
        let _ = stdin.write_all(&command.stdin).await;
        drop(stdin);
        let output = child.wait_with_output().await.map_err(|e| failure("run", e))?;
        Ok(Output { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr: output.stderr })
    }

    async fn stream(&self, command: &Command, sink: &mut (dyn FnMut(Chunk) + Send)) -> Result<i32, Failure> {
        let output = self.run(command).await?;
        sink(Chunk::Out(output.stdout));
        sink(Chunk::Err(output.stderr));
        Ok(output.code)
    }

    async fn interactive(&self, command: &Command) -> Result<i32, Failure> {
        Ok(self.run(command).await?.code)
    }

    async fn upload(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        let path = Path::new(path);
        std::fs::create_dir_all(path.parent().unwrap()).map_err(|e| failure("upload", e))?;
        std::fs::write(path, content).map_err(|e| failure("upload", e))?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(|e| failure("upload", e))
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(std::fs::read(path).ok())
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure> {
        let stream = TcpStream::connect((host, port)).await;
        Ok(Box::new(stream.map_err(|e| Failure::new(FailureKind::Other, "connect", format!("{host}:{port}: {e}")))?))
    }
}

/// Answers every node except those that a test took away.
#[derive(Default)]
pub struct LocalConnector {
    pub gone: Mutex<Option<FailureKind>>,
}

#[async_trait]
impl Connector for LocalConnector {
    fn via(&self) -> &'static str {
        "test"
    }

    async fn connect(&self, _: &Value) -> Result<Arc<dyn Host>, Failure> {
        match *self.gone.lock().unwrap() {
            Some(kind) => Err(Failure::new(kind, "connect", "the node is away")),
            None => Ok(Arc::new(LocalHost)),
        }
    }
}

pub fn runtime(cache: &Path, connector: Arc<LocalConnector>, mirror: Option<String>) -> Runtime {
    let connectors: BTreeMap<String, Arc<dyn Connector>> =
        BTreeMap::from([("test".to_owned(), connector as _), ("own".to_owned(), Arc::new(own::OwnConnector) as _)]);
    Runtime::new(connectors, cache.to_owned(), mirror)
}

pub fn origin() -> Origin {
    Origin { file: "c.yaml".into(), line: 1, column: 1, length: 1 }
}

pub fn tree(json: &Json) -> Arc<Tree> {
    let value = match json {
        Json::Null => TreeValue::Null,
        Json::Bool(b) => TreeValue::Bool(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| TreeValue::Float(n.as_f64().unwrap()), TreeValue::Int),
        Json::String(text) => TreeValue::Text(text.as_str().into()),
        Json::Array(items) => TreeValue::List(items.iter().map(tree).collect()),
        Json::Object(map) => TreeValue::Map(
            map.iter().map(|(k, v)| Entry { key: k.as_str().into(), key_origin: origin(), value: tree(v) }).collect(),
        ),
    };
    Arc::new(Tree { value, origin: origin(), raw: None })
}

pub fn selection(types: &[&str], config: Json) -> RuntimeSelection {
    RuntimeSelection {
        types: types.iter().map(|t| ((*t).to_owned(), origin())).collect(),
        envs: BTreeMap::new(),
        config: config.as_object().unwrap().iter().map(|(k, v)| (k.clone(), tree(v))).collect(),
    }
}

pub fn node_type(name: &str, count: u32, runtime: &RuntimeSelection) -> NodeType {
    NodeType {
        name: name.into(),
        count,
        max_count: count,
        config: tree(&json!({})),
        cpus: None,
        memory_mib: None,
        runtime: runtime.clone(),
        commands: Commands::default(),
        origin: origin(),
    }
}

pub fn cluster(types: &[&str], config: Json, workers: u32) -> Cluster {
    let runtime = selection(types, config);
    Cluster {
        workspace: "w".into(),
        name: "c".into(),
        provider_type: "local".into(),
        provider: tree(&json!({})),
        auth: Auth::default(),
        head: node_type("head.default", 1, &runtime),
        workers: vec![node_type("worker.default", workers, &runtime)],
        runtime,
        file_mounts: BTreeMap::new(),
        commands: Commands::default(),
        origin: origin(),
        tree: tree(&json!({})),
    }
}

pub fn instance(name: &str) -> Address {
    Address::new(Scope::cluster("w", "c"), "instance", name)
}

/// A head and workers whose host, address and home are references, as on a cloud.
pub fn nodes(workers: usize, cpus: u32, memory_mib: u64) -> Vec<Node> {
    let node = |name: &str, role: Role, index: usize| {
        let instance = instance(name);
        let of = |attribute: &str| Value::reference(&instance, attribute);
        Node {
            role,
            node_type: if role == Role::Head { "head.default".into() } else { "worker.default".into() },
            index,
            host: of("host"),
            ip: of("ip"),
            connection: of("connection"),
            cpus,
            memory_mib,
            home: of("home"),
            shared: Some(Value::text("/shared")),
            files: Files::Shared,
            env: Attrs::new(),
            data_disks: 0,
            instance: instance.clone(),
        }
    };
    let workers = (0..workers).map(|i| node(&format!("worker.default[{i}]"), Role::Worker, i));
    std::iter::once(node("head", Role::Head, 0)).chain(workers).collect()
}

/// A small world: applies declarations in order, as the engine would, and remembers records.
pub struct World {
    pub runtime: Runtime,
    pub records: BTreeMap<Address, Arc<Record>>,
    pub said: Arc<Mutex<Vec<String>>>,
    operations: usize,
}

impl World {
    pub fn new(runtime: Runtime) -> Self {
        World { runtime, records: BTreeMap::new(), said: Arc::default(), operations: 0 }
    }

    /// Sets what references to an instance see.
    pub fn instance(&mut self, address: &Address, outputs: Attrs) {
        let record = self.record(address, "i", Attrs::new(), outputs, &OperationId("i".into()));
        self.records.insert(address.clone(), Arc::new(record));
    }

    pub fn resolve(&self, reference: &Reference) -> Option<Value> {
        self.records.get(&reference.address)?.attribute(&reference.attribute).cloned()
    }

    pub fn attributes(&self, declaration: &Declaration) -> Attrs {
        cloudtik_core::value::resolve(&declaration.attributes, &|r| self.resolve(r))
    }

    fn record(
        &self,
        address: &Address,
        id: &str,
        attributes: Attrs,
        outputs: Attrs,
        operation: &OperationId,
    ) -> Record {
        Record {
            address: address.clone(),
            provider: "runtime".into(),
            id: id.into(),
            status: Status::Ready,
            attributes,
            outputs,
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            operation: operation.clone(),
            schema: 1,
            made: None,
            deposed: BTreeMap::new(),
            only_deposed: false,
            references: None,
        }
    }

    pub fn call(&mut self, address: &Address, attributes: Attrs) -> Call {
        self.operations += 1;
        let said = self.said.clone();
        let operation = OperationId(format!("op-{}", self.operations).into());
        Call {
            record: self.records.get(address).cloned(),
            progress: Arc::new(move |what| said.lock().unwrap().push(what.to_owned())),
            ..Call::new(operation, address.clone(), attributes)
        }
    }

    /// Creates or updates one resource and waits until it is ready.
    pub async fn apply(&mut self, declaration: &Declaration) -> Result<(), Failure> {
        let call = self.call(&declaration.address, self.attributes(declaration));
        let outcome = match &call.record {
            Some(_) => self.runtime.update(&call).await?,
            None => self.runtime.create(&call).await?,
        };
        let record = self.record(&call.address, &outcome.id, call.attributes.clone(), outcome.outputs, &call.operation);
        self.records.insert(call.address.clone(), Arc::new(record.clone()));
        let call = Call { record: Some(Arc::new(record)), ..call };
        self.runtime.ready(&call).await.map(drop)
    }

    pub async fn delete(&mut self, address: &Address) -> Result<(), Failure> {
        let call = self.call(address, Attrs::new());
        self.runtime.delete(&call).await?;
        self.records.remove(address);
        Ok(())
    }

    pub async fn refresh(&self, address: &Address) -> Presence {
        let subject =
            Subject { address: address.clone(), record: self.records.get(address).cloned(), declared: Attrs::new() };
        let refresh = Refresh { kind: address.kind().to_owned(), subjects: vec![subject] };
        let observed: Vec<Observed> = self.runtime.refresh(&refresh).await.unwrap();
        assert_eq!(observed.len(), 1);
        observed.into_iter().next().unwrap().presence
    }
}
