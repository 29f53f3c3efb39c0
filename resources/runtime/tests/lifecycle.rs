//! A runtime on nodes of their own files through the engine: made, changed, damaged and taken away; and nothing to do after
//! each.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use async_trait::async_trait;
use cloudtik_core::{
    Address, Attrs, Declaration, Failure, ProviderName, Scope, Value,
    event::Silent,
    node::{Files, Node},
    plan::{Mode, Plan},
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
    state::{Holder, Store},
};
use cloudtik_engine::{ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, apply, observe, plan};
use cloudtik_runtime::{Catalog, declare, manifest::Manifest};
use cloudtik_testkit::MemoryStore;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
};
use support::{
    LocalConnector, cluster, nodes,
    own::{Web, archive, names, sha256},
    runtime,
};
use tokio::{net::TcpListener, sync::watch};

/// Makes machines that are folders of this one.
struct Machines(PathBuf);

#[async_trait]
impl Provider for Machines {
    fn name(&self) -> ProviderName {
        "machines".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        vec![KindSchema::new("instance")]
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let presence = |subject: &cloudtik_core::provider::Subject| match &subject.record {
            Some(record) => Presence::Present {
                id: record.id.clone(),
                attributes: Attrs::new(),
                outputs: record.outputs.clone(),
                healthy: Health::Ok,
                owned: true,
            },
            None => Presence::Absent,
        };
        Ok(refresh.subjects.iter().map(|s| Observed { address: s.address.clone(), presence: presence(s) }).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let name = call.address.name();
        let home = self.0.join(name).display().to_string();
        let connection = json!({"via": "own", "node": name});
        let outputs = json!({"host": "127.0.0.1", "ip": "127.0.0.1", "home": home, "connection": connection});
        Ok(Outcome { id: name.into(), outputs: Value::from(outputs).as_map().unwrap().clone() })
    }

    async fn ready(&self, _: &Call) -> Result<Attrs, Failure> {
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.create(call).await
    }

    async fn delete(&self, _: &Call) -> Result<(), Failure> {
        Ok(())
    }

    async fn settle(&self, _: &Call) -> Result<Settled, Failure> {
        Ok(Settled::Absent)
    }
}

struct Lab {
    root: tempfile::TempDir,
    registry: Registry,
    store: MemoryStore,
    catalog: Catalog,
    /// What the daemons' probe asks.
    _listener: TcpListener,
}

fn scope() -> Scope {
    Scope::cluster("w", "c")
}

fn package() -> Vec<u8> {
    archive(&[("p/bin/run", "#!/bin/sh\nexec sleep 1000\n")])
}

impl Lab {
    async fn new(web: &Web) -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let artifact = |name: &str, version: &str| {
            json!({
                "name": name, "version": version,
                "source": {"url": {"url": format!("{}/{name}-{version}.tar.gz", web.place), "sha256": sha256(&package())}},
            })
        };
        let port = listener.local_addr().unwrap().port();
        let service = |name: &str| {
            json!({
                "name": name, "command": [format!("{{{{ artifact.{name} }}}}/p/bin/run")],
                "ready": {"tcp": {"host": "127.0.0.1", "port": port}}, "stop": {"grace_seconds": 1},
            })
        };
        let manifest = json!({
            "name": "pair", "summary": "two daemons of two artifacts", "version": "1",
            "versions": {
                "1": [artifact("left", "1"), artifact("right", "1")],
                "2": [artifact("left", "2"), artifact("right", "1")],
            },
            "roles": {"all": {"services": [service("left"), service("right")]}},
        });
        let mut catalog = Catalog::default();
        catalog.insert(Manifest::read(&manifest.to_string()).unwrap(), BTreeMap::new());
        let runtime = runtime(&root.path().join("cache"), Arc::new(LocalConnector::default()), None);
        let machines = Machines(root.path().join("nodes"));
        let registry = Registry::new([Arc::new(runtime) as Arc<dyn Provider>, Arc::new(machines)]);
        Lab { root, registry, store: MemoryStore::default(), catalog, _listener: listener }
    }

    fn home(&self, node: &str) -> PathBuf {
        self.root.path().join("nodes").join(node)
    }

    /// Names of what is installed on a node.
    fn installed(&self, node: &str) -> Vec<String> {
        names(&self.home(node).join("software")).into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    fn declare(&self, version: &str) -> Vec<Declaration> {
        let mut nodes: Vec<Node> = nodes(1, 1, 512);
        for node in &mut nodes {
            (node.files, node.shared) = (Files::Own, None);
        }
        let cluster = cluster(&["pair"], json!({"pair": {"version": version}}), 1);
        let mut declarations = declare(&cluster, &nodes, &self.catalog).unwrap().declarations;
        let machine = |n: &Node| Declaration::new(n.instance.clone(), &"machines".into(), Attrs::new());
        declarations.extend(nodes.iter().map(machine));
        declarations
    }

    async fn plan(&self, declarations: &[Declaration], mode: Mode) -> Plan {
        let (scopes, state) =
            (BTreeSet::from([scope()]), BTreeMap::from([(scope(), self.store.read(&scope()).unwrap())]));
        let observed =
            observe(&self.registry, declarations, &scopes, &state, RefreshPolicy::All, &Silent).await.unwrap();
        let options = Options::default();
        let kinds = self.registry.kinds();
        plan(&Input {
            mode,
            declarations,
            scopes: &scopes,
            state: &state,
            observed: &observed,
            kinds,
            options: &options,
        })
        .unwrap()
    }

    /// Carries out a plan; what it did, sorted.
    async fn apply(&self, plan: &Plan) -> Vec<String> {
        let holder = Holder {
            user: "test".into(),
            host: "lab".into(),
            pid: 1,
            started: 1,
            since: "1970-01-01T00:00:00Z".parse().unwrap(),
            machine: String::new(),
            doing: "apply".into(),
        };
        let locks = BTreeMap::from([(scope(), self.store.lock(&scope(), &holder).unwrap())]);
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "test@lab".into(), command: "apply".into(), interrupt, parallelism: None };
        let summary = apply(plan, &self.registry, locks, &BTreeMap::new(), options, &Silent).await.unwrap();
        assert!(summary.is_complete(), "{summary:?}");
        let mut steps: Vec<String> =
            plan.operations.iter().map(|op| format!("{} {}", op.verb.as_str(), op.address.short())).collect();
        steps.sort();
        steps
    }

    async fn make(&self, version: &str) -> Vec<String> {
        let declarations = self.declare(version);
        let steps = self.apply(&self.plan(&declarations, Mode::Normal).await).await;
        let after = self.plan(&declarations, Mode::Normal).await;
        assert!(after.operations.is_empty(), "a plan after an apply is empty: {:?}", after.operations);
        steps
    }
}

fn pid(lab: &Lab, node: &str, service: &str) -> i64 {
    let address = Address::new(scope(), "service", &format!("{node}/{service}"));
    lab.store.read(&scope()).unwrap().records[&address].outputs["pid"].as_int().unwrap()
}

fn alive(pid: i64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_replaced_and_what_uses_it_restarts() {
    let web =
        Web::serve([("/left-1.tar.gz", package()), ("/left-2.tar.gz", package()), ("/right-1.tar.gz", package())])
            .await;
    let lab = Lab::new(&web).await;
    let steps = lab.make("1").await;
    assert_eq!(steps.len(), 2 * (1 + 2 + 2 + 1), "per node itself, installations, daemons and environment: {steps:?}");
    assert_eq!(web.asked().len(), 4);
    for node in ["head", "worker.default[0]"] {
        assert_eq!(lab.installed(node).len(), 2);
    }
    let right = pid(&lab, "head", "right");

    let steps = lab.make("2").await;
    let mut expected: Vec<String> = ["head", "worker.default[0]"]
        .iter()
        .flat_map(|node| {
            ["create installation", "delete installation", "update service"].map(|step| format!("{step}.{node}/left"))
        })
        .collect();
    expected.sort();
    assert_eq!(steps, expected);
    assert_eq!(web.asked(), ["/left-2.tar.gz", "/left-2.tar.gz"]);
    assert!(lab.installed("head")[0].starts_with("left-2-"), "{:?}", lab.installed("head"));
    assert_eq!((lab.installed("head").len(), pid(&lab, "head", "right")), (2, right));

    fs::remove_dir_all(lab.home("head").join("software")).unwrap();
    let steps = lab.make("2").await;
    let expected = [
        "create installation.head/left",
        "create installation.head/right",
        "update service.head/left",
        "update service.head/right",
    ];
    assert_eq!(steps, expected);

    let daemons: Vec<i64> = ["left", "right"].map(|service| pid(&lab, "head", service)).into();
    assert!(daemons.iter().all(|pid| alive(*pid)));
    let without: Vec<Declaration> = lab.declare("2").into_iter().filter(|d| d.address.kind() == "instance").collect();
    lab.apply(&lab.plan(&without, Mode::Normal).await).await;
    assert!(daemons.iter().all(|pid| !alive(*pid)));
    assert_eq!(names(&lab.home("head")), ["log", "run"], "what was installed is gone with its folder");
    lab.apply(&lab.plan(&[], Mode::Destroy).await).await;
    assert!(lab.store.read(&scope()).unwrap().records.is_empty());
}
