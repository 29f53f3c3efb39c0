//! A workspace to test on: its provider, its declarations resolved as the engine would, and what is left of it.

use cloudtik_core::{
    Address, Attrs, Origin, Scope, Tree, TreeValue, Value,
    document::{Document, Workspace},
    failure::Failure,
    host::{Connector, Host},
    node::Compile,
    plan::OperationId,
    provider::{Call, Health, Outcome, Presence, Provider, Refresh, Subject},
    state::{Record, Status},
};
use cloudtik_local::{Local, LocalConfig, LocalConnector};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
};
use tokio::runtime::Runtime;

pub struct Bench {
    pub model: String,
    pub folder: PathBuf,
    pub provider: Local,
    pub connector: LocalConnector,
    pub runtime: Runtime,
    /// What was made, in order.
    pub made: Mutex<BTreeMap<Address, Arc<Record>>>,
}

pub fn address(scope: Scope, short: &str) -> Address {
    let (kind, name) = short.split_once('.').unwrap();
    Address::new(scope, kind, name)
}

pub fn workspace(short: &str) -> Address {
    address(Scope::workspace("w"), short)
}

pub fn cluster(short: &str) -> Address {
    address(Scope::cluster("w", "etl"), short)
}

pub fn attrs<const N: usize>(entries: [(&str, Value); N]) -> Attrs {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

impl Bench {
    pub fn new(model: &str) -> Bench {
        let folder = std::env::temp_dir().join(format!("cloudtik-nodes-{}-{model}", std::process::id()));
        Bench::at(model, folder)
    }

    pub fn at(model: &str, folder: PathBuf) -> Bench {
        let config = LocalConfig::new(folder.join("state/local"), folder.join("cache")).unwrap();
        Bench {
            model: model.into(),
            folder,
            provider: Local::new(config.clone()),
            connector: LocalConnector::new(config),
            runtime: Runtime::new().unwrap(),
            made: Mutex::default(),
        }
    }

    pub fn call(&self, address: &Address, attributes: Attrs, operation: &str) -> Call {
        let record = self.made.lock().unwrap().get(address).cloned();
        Call { record, ..Call::new(OperationId(operation.into()), address.clone(), attributes) }
    }

    pub async fn create(&self, address: &Address, attributes: Attrs) -> Result<Outcome, Failure> {
        let call = self.call(address, attributes.clone(), &format!("make {address}"));
        let outcome = self.provider.create(&call).await?;
        self.note(address, attributes, &outcome);
        Ok(outcome)
    }

    pub fn note(&self, address: &Address, attributes: Attrs, outcome: &Outcome) {
        let record = Record {
            address: address.clone(),
            provider: "local".into(),
            id: outcome.id.clone(),
            status: Status::Ready,
            attributes,
            outputs: outcome.outputs.clone(),
            dependencies: Vec::new(),
            lifecycle: Default::default(),
            operation: OperationId("o".into()),
            schema: 1,
            made: None,
            deposed: BTreeMap::new(),
            only_deposed: false,
            references: None,
        };
        self.made.lock().unwrap().insert(address.clone(), Arc::new(record));
    }

    pub fn make(&self, address: &Address, attributes: Attrs) -> Outcome {
        self.runtime.block_on(self.create(address, attributes)).unwrap()
    }

    /// Network, subnets and a firewall with these rules.
    pub fn network(&self, allow_internal: bool, rules: Vec<Value>) {
        let (cidr, public, private) = match self.model.as_str() {
            "loopback" => (Value::Unset, Value::Unset, Value::Unset),
            _ => ("10.77.0.0/16".into(), "10.77.0.0/20".into(), "10.77.16.0/20".into()),
        };
        let model = Value::text(&self.model);
        self.make(&workspace("network.main"), attrs([("node_model", model), ("cidr", cidr)]));
        let subnet = |cidr, public: bool| attrs([("network", "w".into()), ("cidr", cidr), ("public", public.into())]);
        self.make(&workspace("subnet.public"), subnet(public, true));
        self.make(&workspace("subnet.private"), subnet(private, false));
        self.make(&workspace("firewall.main"), firewall(allow_internal, rules));
    }

    pub fn head(&self) -> Arc<dyn Host> {
        self.make(&cluster("instance.head"), instance("public", "head"));
        self.host(&cluster("instance.head"))
    }

    pub fn worker(&self, index: usize) -> Arc<dyn Host> {
        let address = cluster(&format!("instance.worker.default[{index}]"));
        self.make(&address, instance("private", "worker"));
        self.host(&address)
    }

    pub fn output(&self, address: &Address, path: &str) -> Value {
        self.made.lock().unwrap()[address].attribute(path).unwrap().clone()
    }

    pub fn text(&self, address: &Address, path: &str) -> String {
        self.output(address, path).as_text().unwrap().to_owned()
    }

    /// Another process's view: everything about the node comes from the recorded connection.
    pub fn host(&self, address: &Address) -> Arc<dyn Host> {
        let connection = self.output(address, "connection");
        self.runtime.block_on(self.connector.connect(&connection)).unwrap()
    }

    pub fn see(&self, address: &Address) -> Presence {
        let record = self.made.lock().unwrap().get(address).cloned();
        let subject = Subject { address: address.clone(), record, declared: Attrs::new() };
        let refresh = Refresh { kind: address.kind().into(), subjects: vec![subject] };
        self.runtime.block_on(self.provider.refresh(&refresh)).unwrap().remove(0).presence
    }

    /// `None` when it works.
    pub fn broken(&self, address: &Address) -> Option<String> {
        match self.see(address) {
            Presence::Present { healthy: Health::Ok, attributes, .. } => {
                let recorded = self.made.lock().unwrap()[address].attributes.clone();
                let pruned = cloudtik_core::value::pruned;
                assert_eq!(pruned(&attributes), pruned(&recorded), "what is observed equals what was made");
                None
            }
            Presence::Present { healthy: Health::Broken(why) | Health::Outdated(why), .. } => Some(why),
            Presence::Absent => Some("absent".into()),
        }
    }

    pub fn mend(&self, address: &Address) {
        let attributes = self.made.lock().unwrap()[address].attributes.clone();
        let call = self.call(address, attributes.clone(), "mend");
        let outcome = self.runtime.block_on(self.provider.update(&call)).unwrap();
        self.note(address, attributes, &outcome);
    }

    pub fn delete(&self, address: &Address) {
        let call = self.call(address, Attrs::new(), "delete");
        self.runtime.block_on(self.provider.delete(&call)).unwrap();
        self.made.lock().unwrap().remove(address);
    }

    /// Deletes everything, dependants first.
    pub fn destroy(&self) {
        for kind in ["endpoint", "instance", "nat", "firewall", "subnet", "bucket", "network"] {
            let all: Vec<Address> = self.made.lock().unwrap().keys().filter(|a| a.kind() == kind).cloned().collect();
            for address in all {
                self.delete(&address);
                if address.kind() != "bucket" {
                    assert!(!self.made.lock().unwrap().contains_key(&address));
                }
            }
        }
    }

    /// What is left of the bench: processes, mounts, control groups, files. Removes it, so that one failure stays one.
    pub fn is_clean(&self) -> Vec<String> {
        let mut left = Vec::new();
        let mark = format!("CLOUDTIK_LOCAL={}", self.folder.join("state/local").display());
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environ.split(|b| *b == 0).any(|e| e.starts_with(mark.as_bytes())) {
                left.push(format!("process {}", entry.file_name().to_string_lossy()));
                let pid = entry.file_name().to_string_lossy().parse().ok().and_then(rustix::process::Pid::from_raw);
                let _ = rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL);
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|l| l.contains("cloudtik-nodes")).map(|l| format!("mount {l}")));
        for group in ["/sys/fs/cgroup/memory/cloudtik", "/sys/fs/cgroup/cpu/cloudtik", "/sys/fs/cgroup/cloudtik"] {
            let ours = format!("-{:016x}", fnv(&self.folder.join("state/local/w")));
            let all = fs::read_dir(group).into_iter().flatten().flatten();
            for group in all.filter(|g| g.file_name().to_string_lossy().ends_with(&ours)) {
                left.push(format!("control group {}", group.path().display()));
                let _ = fs::remove_dir(group.path());
            }
        }
        left.extend(self.folder.join("state").exists().then(|| "files below the state home".to_owned()));
        let _ = fs::remove_dir_all(&self.folder);
        left
    }
}

pub fn firewall(allow_internal: bool, rules: Vec<Value>) -> Attrs {
    attrs([
        ("network", "w".into()),
        ("rules", Value::List(rules)),
        ("allow_internal", allow_internal.into()),
        ("ssh_sources", Value::List(vec![])),
    ])
}

pub fn rule(port: &str) -> Value {
    Value::map([("protocol", Value::text("tcp")), ("ports", Value::list([port]))])
}

pub fn instance(subnet: &str, role: &str) -> Attrs {
    attrs([
        ("network", "w".into()),
        ("subnet", subnet.into()),
        ("role", role.into()),
        ("cpus", 1.into()),
        ("memory_mib", 256.into()),
    ])
}

/// A process that makes nodes until it is killed: `victim MODEL FOLDER`.
pub fn victim(args: &[OsString]) -> ExitCode {
    let bench = Bench::at(args[0].to_str().unwrap(), PathBuf::from(&args[1]));
    bench.network(true, vec![]);
    bench.head();
    for index in 0.. {
        bench.worker(index);
    }
    ExitCode::SUCCESS
}

/// A shell on the head, on this process's terminal: `attach MODEL FOLDER`.
pub fn attach(args: &[OsString]) -> ExitCode {
    let bench = Bench::at(args[0].to_str().unwrap(), PathBuf::from(&args[1]));
    let connection =
        Value::map([("via", Value::text("local")), ("workspace", "w".into()), ("node", "etl/etl-head".into())]);
    let code = bench.runtime.block_on(async {
        let host = bench.connector.connect(&connection).await.unwrap();
        host.interactive(&cloudtik_core::host::Command::new(["/bin/sh"])).await.unwrap()
    });
    ExitCode::from(code as u8)
}

/// Prints what the provider says of an empty workspace document: `notes`.
pub fn notes() -> ExitCode {
    let origin = Origin { file: "w.yaml".into(), line: 1, column: 1, length: 0 };
    let tree = Arc::new(Tree { value: TreeValue::Map(vec![]), origin: origin.clone(), raw: None });
    let document = Document::Workspace(Workspace {
        name: "w".into(),
        provider_type: "local".into(),
        provider: tree.clone(),
        state: None,
        origin,
        tree,
    });
    let bench = Bench::new("auto");
    for note in bench.provider.notes(&document) {
        println!("{}", note.detail);
    }
    ExitCode::SUCCESS
}

/// The sum that ends the names of a workspace's control groups (FNV-1a).
fn fnv(path: &std::path::Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}
