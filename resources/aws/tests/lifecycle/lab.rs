//! One person's folder of documents, their account, their state; and runs of the real engine on them, which can be killed.

use crate::reach::Reach;
use cloudtik_aws::{
    Account, Aws, Options as AwsOptions,
    api::{Filter, Item, Listing, Request, Tags},
    fake::{Fake, Foreign, Picture, Settings},
};
use cloudtik_config::{LoadOptions, load};
use cloudtik_core::{
    Declaration, Scope,
    document::Document,
    event::Silent,
    node::Compile,
    plan::{Mode, Plan, Reason},
    state::{Holder, Locked, Snapshot, Store},
};
use cloudtik_engine::{
    ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, Summary, apply, observe, plan, settle,
};
use cloudtik_testkit::MemoryStore;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{runtime::Builder, sync::watch};

pub const REGION: &str = "us-west-2";

pub struct Lab {
    pub fake: Fake,
    /// What others have.
    pub foreign: Foreign,
    pub store: MemoryStore,
    folder: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
#[allow(dead_code, reason = "what ended a run is shown when a test fails")]
pub enum Run {
    Finished(Summary),
    Killed,
    /// Before anything was changed.
    Refused(String),
}

impl Run {
    /// What a run did that was to do all.
    pub fn complete(self) -> Summary {
        match self {
            Run::Finished(summary) if summary.is_complete() => summary,
            Run::Finished(summary) => {
                let failed: Vec<String> =
                    summary.failed.iter().map(|(_, _, f)| format!("{f} [{:?}]", f.effect)).collect();
                panic!("the run did not complete; failed: {failed:#?}; skipped: {:?}", summary.skipped.len())
            }
            other => panic!("the run did not complete: {other:#?}"),
        }
    }

    pub fn is_complete(&self) -> bool {
        matches!(self, Run::Finished(summary) if summary.is_complete())
    }
}

impl Lab {
    pub fn new() -> Self {
        Lab::with(Settings { region: REGION.into(), ..Settings::default() })
    }

    pub fn with(settings: Settings) -> Self {
        let fake = Fake::new(settings);
        let foreign = fake.plant_foreign();
        // Key files are written durably, which is no part of these laws: in memory where there is a folder in memory.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Lab { fake, foreign, store: MemoryStore::new(), folder: folder.unwrap() }
    }

    /// One provider a run: what a program knows dies with it.
    pub fn aws(&self) -> Aws {
        Aws::new(
            Arc::new(self.fake.clone()),
            AwsOptions { keys: self.folder.path().join("keys"), ..AwsOptions::default() },
        )
    }

    /// The declarations of documents, and the scopes they are.
    fn compile(&self, aws: &Aws, documents: &[&str]) -> (Vec<Declaration>, BTreeSet<Scope>) {
        let mut declarations = Vec::new();
        let documents = loaded(documents);
        for document in &documents {
            declarations.extend(match document {
                Document::Workspace(workspace) => aws.workspace(workspace).unwrap(),
                Document::Cluster(cluster) => aws.cluster(cluster).unwrap().0,
                Document::Storage(storage) => aws.storage(storage).unwrap(),
                Document::Database(database) => aws.database(database).unwrap(),
            });
        }
        (declarations, documents.iter().map(Document::scope).collect())
    }

    fn registry(&self, aws: &Aws) -> Registry {
        let account = Account { region: REGION.into(), ..Account::default() };
        let reach = Reach { api: self.fake.client(&account) };
        Registry::new([Arc::new(aws.clone()) as Arc<dyn cloudtik_core::provider::Provider>, Arc::new(reach)])
    }

    /// Scopes that are only read are those that are not changed.
    fn state(&self, scopes: &BTreeSet<Scope>) -> BTreeMap<Scope, Snapshot> {
        let all = self.store.scopes().unwrap().into_iter().chain(scopes.iter().cloned());
        all.map(|scope| (scope.clone(), self.store.read(&scope).unwrap())).collect()
    }

    async fn decide(&self, aws: &Aws, documents: &[&str], mode: Mode, options: &Options) -> Result<Plan, String> {
        let (declarations, scopes) = self.compile(aws, documents);
        let declarations = if mode == Mode::Destroy { Vec::new() } else { declarations };
        let (registry, state) = (self.registry(aws), self.state(&scopes));
        let observed = observe(&registry, &declarations, &scopes, &state, RefreshPolicy::All, &Silent);
        let observed = observed.await.map_err(|failure| failure.to_string())?;
        plan(&Input {
            mode,
            declarations: &declarations,
            scopes: &scopes,
            state: &state,
            observed: &observed,
            kinds: registry.kinds(),
            options,
        })
        .map_err(|problems| problems.iter().map(|p| format!("{}: {}\n{}", p.id, p.summary, p.detail)).collect())
    }

    async fn go(&self, documents: &[&str], mode: Mode, options: &Options) -> Run {
        let aws = self.aws();
        let registry = self.registry(&aws);
        let (_, scopes) = self.compile(&aws, documents);
        let mut locks: BTreeMap<Scope, Box<dyn Locked>> =
            scopes.iter().map(|scope| (scope.clone(), self.lock(scope))).collect();
        for lock in locks.values_mut() {
            if let Err(problem) = settle(&registry, &mut **lock, &Silent).await {
                return Run::Refused(problem.to_string());
            }
        }
        let plan = match self.decide(&aws, documents, mode, options).await {
            Ok(plan) => plan,
            Err(problem) => return Run::Refused(problem),
        };
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "me@lab".into(), command: "apply".into(), interrupt, parallelism: None };
        match apply(&plan, &registry, locks, &self.state(&scopes), options, &Silent).await {
            Ok(summary) => Run::Finished(summary),
            Err(error) => Run::Refused(error.to_string()),
        }
    }

    /// One run of the program: its runtime, and all that it started, ends with it.
    fn run(&self, documents: &[&str], mode: Mode, options: &Options) -> Run {
        self.block_on(async {
            tokio::select! {
                biased;
                () = self.fake.stuck() => Run::Killed,
                run = self.go(documents, mode, options) => run,
            }
        })
    }

    /// The state is lost.
    pub fn forget(&mut self) {
        self.store = MemoryStore::new();
    }

    /// A call of somebody else, or of the user in the console, in this account.
    pub fn by_hand(&self, request: Request) -> Item {
        let api = self.fake.client(&Account { region: REGION.into(), ..Account::default() });
        self.block_on(api.call(request)).unwrap().item
    }

    /// Our machines that are not ended, once everything that is ending or beginning has.
    pub fn machines(&self) -> Vec<Item> {
        self.wait(120);
        let api = self.fake.client(&Account { region: REGION.into(), ..Account::default() });
        let there = Filter::new("instance-state-name", ["pending", "running", "stopping", "stopped"]);
        let ours = Filter::is("tag-key", "cloudtik:scope");
        self.block_on(api.list(&Listing::Instances, &[there, ours])).unwrap()
    }

    /// The id of what carries a mark of ours: `vpc.main`.
    pub fn id(&self, address: &str) -> String {
        let world = self.world();
        let marked = |tags: &Tags| tags.get("cloudtik:address").is_some_and(|mark| mark == address);
        let (key, _) = world.iter().find(|(_, existing)| marked(&existing.tags)).unwrap();
        key.rsplit('/').next().unwrap().to_owned()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    pub fn apply(&self, documents: &[&str]) -> Run {
        self.run(documents, Mode::Normal, &Options::default())
    }

    /// With all that holds data.
    pub fn destroy(&self, documents: &[&str]) -> Run {
        let data = ["bucket", "database", "volume"].map(String::from);
        let delete = Options { delete_data: data.into(), ..Options::default() };
        self.run(documents, Mode::Destroy, &delete)
    }

    /// As `--replace` asks.
    pub fn replace(&self, documents: &[&str], address: &str) -> Run {
        let replace = Options { replace: vec![address.into()], ..Options::default() };
        self.run(documents, Mode::Normal, &replace)
    }

    /// But for the machines, which are kept.
    pub fn stop(&self, documents: &[&str]) -> Run {
        let stay = Options { excludes: vec!["machine-cache".into()], ..Options::default() };
        self.run(documents, Mode::Destroy, &stay)
    }

    /// But for what holds data.
    pub fn destroy_keeping(&self, documents: &[&str]) -> Run {
        self.run(documents, Mode::Destroy, &Options::default())
    }

    /// The steps of the plan for documents, sorted: `create vpc.main`.
    pub fn plan(&self, documents: &[&str]) -> Vec<String> {
        let plan = self.decided(documents, Mode::Normal, &Options::default());
        let mut steps: Vec<String> =
            plan.operations.iter().map(|op| format!("{} {}", op.verb.as_str(), op.address.short())).collect();
        steps.sort();
        assert_eq!(steps.is_empty(), plan.is_empty());
        steps
    }

    /// Where a plan leaves objects that it deletes without ending them: `instance.head to machine-cache.main`.
    pub fn left(&self, documents: &[&str], mode: Mode, excludes: &[&str]) -> Vec<String> {
        let excludes = excludes.iter().map(|pattern| (*pattern).to_owned()).collect();
        let plan = self.decided(documents, mode, &Options { excludes, ..Options::default() });
        let left = plan.changes.iter().flat_map(|change| change.reasons.iter().map(move |reason| (change, reason)));
        left.filter_map(|(change, reason)| match reason {
            Reason::KeptBy { address } => Some(format!("{} to {}", change.address.short(), address.short())),
            _ => None,
        })
        .collect()
    }

    fn decided(&self, documents: &[&str], mode: Mode, options: &Options) -> Plan {
        self.block_on(self.decide(&self.aws(), documents, mode, options)).unwrap()
    }

    pub fn wait(&self, seconds: u64) {
        self.block_on(async {
            // The world's clock has to have been looked at for time to be seen passing.
            self.fake.now();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            self.fake.now();
        });
    }

    /// What exists, once everything that is ending has ended.
    pub fn world(&self) -> Picture {
        self.wait(120);
        self.fake.world_picture()
    }

    /// How many of each kind exist beyond `before`: `2 i`.
    pub fn beyond(&self, before: &Picture) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, existing) in self.world().iter().filter(|(id, _)| !before.contains_key(*id)) {
            *counts.entry(existing.kind).or_default() += 1;
        }
        counts
    }

    fn lock(&self, scope: &Scope) -> Box<dyn Locked> {
        let holder = Holder {
            user: "me".into(),
            host: "lab".into(),
            pid: 1,
            started: 1,
            since: jiff::Timestamp::UNIX_EPOCH,
            machine: String::new(),
            doing: "apply".into(),
        };
        // A run that was killed may take a moment to let go of it.
        for _ in 0..1_000_000 {
            match self.store.lock(scope, &holder) {
                Ok(lock) => return lock,
                Err(_) => std::thread::yield_now(),
            }
        }
        panic!("the lock was never released");
    }
}

/// Documents as read and checked. Thousands of runs read the same few.
fn loaded(texts: &[&str]) -> Vec<Document> {
    static KNOWN: Mutex<BTreeMap<String, Vec<Document>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let read = || {
        let folder = tempfile::tempdir().unwrap();
        let write = |(at, text): (usize, &&str)| {
            let path = folder.path().join(format!("{at}.yaml"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths: Vec<_> = texts.iter().enumerate().map(write).collect();
        let options = LoadOptions { providers: ["aws".to_owned()].into(), ..LoadOptions::default() };
        load(&paths, &options).unwrap_or_else(|problems| panic!("{:#?}", problems.diagnostics)).documents
    };
    known.entry(texts.concat()).or_insert_with(read).clone()
}
