//! Whole workspaces and clusters on the AWS in memory, planned and applied by the real engine.

mod changes;
mod keys;
mod launches;
mod volumes;

use crate::{
    api::{Api, Filter, Item, Listing, Request},
    fake::{Fake, Fault, Logged, Settings, What},
    provider::{Account, Aws, Options},
};
use async_trait::async_trait;
use cloudtik_config::{LoadOptions, Purpose, load};
use cloudtik_core::{
    Attrs, Declaration, Diagnostic, Failure, ProviderName, Scope, Value,
    document::Document,
    event::Silent,
    node::Compile,
    plan::{Mode, Plan},
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::KindSchema,
    state::{Holder, Locked, Record, Snapshot, Store},
};
use cloudtik_engine::{
    ApplyOptions, Input, Interrupt, Options as PlanOptions, RefreshPolicy, Registry, Summary, apply, observe, plan,
    settle,
};
use cloudtik_testkit::MemoryStore;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::watch;

const WORKSPACE: &str = "workspace_name: w\nprovider: {type: aws, region: us-west-2}\n";

/// A cluster with a line or more of its own in the provider block, and its workers' type.
fn cluster(provider: &str, workers: usize, worker: &str) -> String {
    format!(
        "workspace_name: w\ncluster_name: c\nprovider:\n    type: aws\n    region: us-west-2\n{provider}\
         head_node_type: head.default\navailable_node_types:\n    head.default: {{node_config: {{InstanceType: m5.large}}}}\n    \
         worker.default: {{min_workers: {workers}, node_config: {worker}}}\nruntime: {{types: []}}\n"
    )
}

const WORKER: &str = "{InstanceType: m5.xlarge}";

/// An account, a state, and a home folder for keys.
struct Trial {
    fake: Fake,
    store: MemoryStore,
    home: tempfile::TempDir,
    upgrade_image: bool,
}

impl Trial {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Trial {
            fake: Fake::new(Settings { region: "us-west-2".into(), ..Settings::default() }),
            store: MemoryStore::new(),
            home,
            upgrade_image: false,
        }
    }

    /// The workspace and `cluster`, applied.
    async fn with(cluster: &str) -> Self {
        let trial = Trial::new();
        complete(trial.apply(cluster).await);
        trial
    }

    fn aws(&self) -> Aws {
        let options = Options { upgrade_image: self.upgrade_image, keys: self.home.path().join(".ssh") };
        Aws::new(Arc::new(self.fake.clone()), options)
    }

    fn api(&self) -> Arc<dyn Api> {
        self.fake.client(&Account { region: "us-west-2".into(), ..Account::default() })
    }

    fn compile(&self, aws: &Aws, cluster: &str) -> Vec<Declaration> {
        let folder = tempfile::tempdir().unwrap();
        let options =
            LoadOptions { providers: ["aws".to_owned()].into(), purpose: Purpose::Validate, ..LoadOptions::default() };
        let mut all = Vec::new();
        for (name, text) in [("workspace.yaml", WORKSPACE), ("cluster.yaml", cluster)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let loaded = load(&[path], &options).unwrap_or_else(|problems| panic!("{:#?}", problems.diagnostics));
            for document in loaded.documents {
                all.extend(match document {
                    Document::Workspace(workspace) => aws.workspace(&workspace).unwrap(),
                    Document::Cluster(cluster) => aws.cluster(&cluster).unwrap().0,
                    Document::Storage(_) | Document::Database(_) => panic!("a workspace or a cluster"),
                });
            }
        }
        all
    }

    async fn make(&self, aws: &Aws, cluster: &str, mode: Mode, options: &PlanOptions) -> Result<Plan, Vec<Diagnostic>> {
        let declarations = if cluster.is_empty() { Vec::new() } else { self.compile(aws, cluster) };
        let (registry, scopes, state) = (registry(aws), scopes(), self.state());
        let observed = observe(&registry, &declarations, &scopes, &state, RefreshPolicy::All, &Silent)
            .await
            .expect("refresh works");
        plan(&Input {
            mode,
            declarations: &declarations,
            scopes: &scopes,
            state: &state,
            observed: &observed,
            kinds: registry.kinds(),
            options,
        })
    }

    async fn plan(&self, cluster: &str) -> Vec<String> {
        let plan = self.make(&self.aws(), cluster, Mode::Normal, &PlanOptions::default()).await;
        steps(&plan.unwrap_or_else(|problems| panic!("{problems:#?}")))
    }

    async fn refused(&self, cluster: &str) -> Vec<String> {
        let plan = self.make(&self.aws(), cluster, Mode::Normal, &PlanOptions::default()).await;
        plan.expect_err("the plan is refused").into_iter().map(|problem| problem.id).collect()
    }

    async fn apply(&self, cluster: &str) -> Summary {
        self.run(cluster, Mode::Normal).await
    }

    /// Locks, settles, plans and applies, as a process of its own.
    async fn run(&self, cluster: &str, mode: Mode) -> Summary {
        let aws = self.aws();
        let registry = registry(&aws);
        let mut locks = BTreeMap::new();
        for scope in scopes() {
            let mut lock = self.lock(&scope);
            settle(&registry, &mut *lock, &Silent).await.unwrap();
            locks.insert(scope, lock);
        }
        // What holds data goes too.
        let options = PlanOptions {
            delete_data: (mode == Mode::Destroy).then(|| "bucket".to_owned()).into_iter().collect(),
            ..PlanOptions::default()
        };
        let plan = self.make(&aws, cluster, mode, &options).await;
        let plan = plan.unwrap_or_else(|problems| panic!("{problems:#?}"));
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "me@here".into(), command: "apply".into(), interrupt, parallelism: None };
        apply(&plan, &registry, locks, &BTreeMap::new(), options, &Silent).await.unwrap()
    }

    fn lock(&self, scope: &Scope) -> Box<dyn Locked> {
        let holder = Holder {
            user: "me".into(),
            host: "here".into(),
            pid: 1,
            started: 1,
            since: jiff::Timestamp::UNIX_EPOCH,
            machine: String::new(),
            doing: "apply".into(),
        };
        // The journal's thread lets go a moment after a run.
        loop {
            match self.store.lock(scope, &holder) {
                Ok(lock) => return lock,
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn state(&self) -> BTreeMap<Scope, Snapshot> {
        scopes().into_iter().map(|scope| (scope.clone(), self.store.read(&scope).unwrap())).collect()
    }

    fn record(&self, short: &str) -> Arc<Record> {
        let state = self.state();
        let mut records = state.values().flat_map(|snapshot| snapshot.records.values());
        records.find(|record| record.address.short() == short).unwrap_or_else(|| panic!("no {short}")).clone()
    }

    fn output(&self, short: &str, name: &str) -> String {
        self.record(short).attribute(name).and_then(Value::scalar_text).unwrap_or_default()
    }

    /// Instances that are not on their way out.
    async fn machines(&self) -> Vec<Item> {
        let states = Filter::new("instance-state-name", ["pending", "running", "stopping", "stopped"]);
        self.api().list(&Listing::Instances, &[states]).await.unwrap()
    }

    /// Until others see what was just done.
    async fn wait(&self, seconds: u64) {
        self.api().pause(std::time::Duration::from_secs(seconds)).await;
    }

    /// How often a call of that name succeeded since this was asked last.
    fn calls(&self, action: &str) -> usize {
        let done = |logged: &&Logged| logged.action == action && logged.code.is_empty();
        self.fake.take_log().iter().filter(done).count()
    }

    fn strike(&self, action: &str, what: What) {
        self.fake.fault(Fault { action: action.into(), nth: 1, what });
    }
}

fn scopes() -> BTreeSet<Scope> {
    [Scope::workspace("w"), Scope::cluster("w", "c")].into()
}

fn registry(aws: &Aws) -> Registry {
    Registry::new([Arc::new(aws.clone()) as Arc<dyn Provider>, Arc::new(Doors)])
}

/// The run's summary, when nothing failed.
fn complete(summary: Summary) -> Summary {
    let failed: Vec<String> =
        summary.failed.iter().map(|(address, _, f)| format!("{}: {f}", address.short())).collect();
    assert!(summary.is_complete(), "failed: {failed:#?}; skipped: {:?}", summary.skipped.len());
    summary
}

fn failed(summary: &Summary) -> Vec<String> {
    summary.failed.iter().map(|(address, verb, _)| format!("{verb} {}", address.short())).collect()
}

/// What a plan does, by address: `update instance.head`.
fn steps(plan: &Plan) -> Vec<String> {
    let step = |op: &cloudtik_core::plan::Operation| format!("{} {}", op.verb.as_str(), op.address.short());
    let mut steps: Vec<String> = plan.operations.iter().map(step).collect();
    steps.sort();
    steps
}

/// Provider `ssh`, whose machines always answer: it tells what it was told.
struct Doors;

#[async_trait]
impl Provider for Doors {
    fn name(&self) -> ProviderName {
        "ssh".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        vec![KindSchema::new("connection").volatile(&["connection", "ip"])]
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let presence = |record: &Option<Arc<Record>>| match record {
            Some(record) => Presence::Present {
                id: record.id.clone(),
                attributes: Attrs::new(),
                outputs: Attrs::new(),
                healthy: Health::Ok,
                owned: true,
            },
            None => Presence::Absent,
        };
        let observe = |s: &cloudtik_core::provider::Subject| Observed {
            address: s.address.clone(),
            presence: presence(&s.record),
        };
        Ok(refresh.subjects.iter().map(observe).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let host = call.attributes.get("host").cloned().unwrap_or_default();
        let outputs = [("connection".to_owned(), Value::map([("host", host)]))].into();
        Ok(Outcome { id: call.address.short(), outputs })
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
