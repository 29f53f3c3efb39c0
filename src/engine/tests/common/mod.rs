//! A lab: the fake world, a store in memory, and runs that can be cut off at any boundary.

#[allow(dead_code, reason = "not every test file generates documents")]
pub mod sketches;

use cloudtik_core::{
    Declaration, Diagnostic, Scope,
    event::Silent,
    plan::{Mode, Plan},
    state::{Holder, Locked, Snapshot, Store},
};
use cloudtik_engine::{
    ApplyError, ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, Summary, Unsettled, apply, observe,
    plan, settle,
};
use cloudtik_testkit::{
    MemoryStore,
    world::{World, scope},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::{runtime::Builder, sync::watch};

#[derive(Default)]
pub struct Lab {
    pub world: World,
    pub store: MemoryStore,
}

/// How a run ended.
#[derive(Debug)]
#[allow(dead_code, reason = "what ended a run is shown when a test fails")]
pub enum Run {
    Finished(Summary),
    /// Cut off, as by SIGKILL.
    Killed,
    Refused(Vec<Diagnostic>),
    Error(ApplyError),
    Unsettled(Unsettled),
}

impl Run {
    pub fn complete(self) -> Summary {
        match self {
            Run::Finished(summary) if summary.is_complete() => summary,
            Run::Finished(summary) => {
                let failed: Vec<String> =
                    summary.failed.iter().map(|(_, _, f)| format!("{f} [{:?}]", f.effect)).collect();
                let skipped: Vec<String> = summary.skipped.iter().map(|(a, _)| a.short()).collect();
                panic!("the run did not complete; failed: {failed:#?}; skipped: {skipped:?}")
            }
            other => panic!("the run did not complete: {other:#?}"),
        }
    }
}

#[allow(dead_code, reason = "each test file uses its own part of the lab")]
impl Lab {
    /// A lab whose provider takes several alike calls in one request, or not.
    pub fn of(batching: bool) -> Self {
        let lab = Lab::default();
        if batching {
            lab.world.batch();
        }
        lab
    }

    pub fn registry(&self) -> Registry {
        Registry::new([self.world.provider(), self.world.twin()])
    }

    pub fn scopes(&self) -> BTreeSet<Scope> {
        BTreeSet::from([scope()])
    }

    pub fn state(&self) -> BTreeMap<Scope, Snapshot> {
        BTreeMap::from([(scope(), self.store.read(&scope()).unwrap())])
    }

    pub fn plan(&self, declarations: &[Declaration]) -> Plan {
        self.try_plan(declarations, Mode::Normal, &Options::default()).expect("the plan has no problems")
    }

    pub fn try_plan(
        &self,
        declarations: &[Declaration],
        mode: Mode,
        options: &Options,
    ) -> Result<Plan, Vec<Diagnostic>> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.world.begin();
            self.make(declarations, mode, options).await
        })
    }

    async fn make(&self, declarations: &[Declaration], mode: Mode, options: &Options) -> Result<Plan, Vec<Diagnostic>> {
        let (registry, scopes, state) = (self.registry(), self.scopes(), self.state());
        let observed = observe(&registry, declarations, &scopes, &state, RefreshPolicy::All, &Silent)
            .await
            .expect("refresh works");
        plan(&Input {
            mode,
            declarations,
            scopes: &scopes,
            state: &state,
            observed: &observed,
            kinds: registry.kinds(),
            options,
        })
    }

    pub fn apply(&self, declarations: &[Declaration]) -> Run {
        self.run(declarations, Mode::Normal, &Options::default())
    }

    pub fn destroy(&self) -> Run {
        self.run(&[], Mode::Destroy, &Options::default())
    }

    /// Locks, settles, plans and applies, on a runtime that dies with the run.
    pub fn run(&self, declarations: &[Declaration], mode: Mode, options: &Options) -> Run {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.world.begin();
            let work = async {
                let mut lock = self.lock();
                if let Err(problem) = settle(&self.registry(), &mut *lock, &Silent).await {
                    return Run::Unsettled(problem);
                }
                match self.make(declarations, mode, options).await {
                    Ok(plan) => self.carry_out(&plan, lock).await,
                    Err(problems) => Run::Refused(problems),
                }
            };
            tokio::select! {
                biased;
                () = self.world.guillotine.fallen() => Run::Killed,
                run = work => run,
            }
        })
    }

    /// Locks, settles and applies a plan that was made earlier.
    pub fn apply_plan(&self, plan: &Plan) -> Run {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            self.world.begin();
            let work = async {
                let mut lock = self.lock();
                match settle(&self.registry(), &mut *lock, &Silent).await {
                    Ok(()) => self.carry_out(plan, lock).await,
                    Err(problem) => Run::Unsettled(problem),
                }
            };
            tokio::select! {
                biased;
                () = self.world.guillotine.fallen() => Run::Killed,
                run = work => run,
            }
        })
    }

    /// The lock; a run that was cut off may take a moment to let go of it.
    pub fn lock(&self) -> Box<dyn Locked> {
        let holder = Holder {
            user: "test".into(),
            host: "lab".into(),
            pid: 1,
            started: 1,
            since: jiff::Timestamp::UNIX_EPOCH,
            machine: String::new(),
            doing: "apply".into(),
        };
        for _ in 0..1_000_000 {
            match self.store.lock(&scope(), &holder) {
                Ok(lock) => return lock,
                Err(_) => std::thread::yield_now(),
            }
        }
        panic!("the lock was never released");
    }

    async fn carry_out(&self, plan: &Plan, lock: Box<dyn Locked>) -> Run {
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "test@lab".into(), command: "apply".into(), interrupt, parallelism: None };
        let locks = BTreeMap::from([(scope(), lock)]);
        match apply(plan, &self.registry(), locks, &BTreeMap::new(), options, &Silent).await {
            Ok(summary) => Run::Finished(summary),
            Err(error) => Run::Error(error),
        }
    }
}

/// Operations in an order that respects every edge, first by index: `create net.a`.
#[allow(dead_code, reason = "each test file uses its own part of the lab")]
pub fn steps(plan: &Plan) -> Vec<String> {
    let mut open = vec![0; plan.operations.len()];
    for edge in &plan.edges {
        open[edge.to as usize] += 1;
    }
    let mut steps = Vec::new();
    let mut done = vec![false; open.len()];
    while let Some(at) = (0..open.len()).find(|at| !done[*at] && open[*at] == 0) {
        done[at] = true;
        let op = &plan.operations[at];
        let old = if matches!(op.verb, cloudtik_core::plan::Verb::DeleteDeposed { .. }) { "old " } else { "" };
        steps.push(format!("{} {old}{}", op.verb.as_str(), op.address.short()));
        for edge in plan.edges.iter().filter(|e| e.from as usize == at) {
            open[edge.to as usize] -= 1;
        }
    }
    assert_eq!(steps.len(), plan.operations.len(), "the plan's edges close a cycle");
    steps
}
