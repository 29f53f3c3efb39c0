//! One world: documents applied one after the other and destroyed in the end, once on a calm day and once on a bad one.
//!
//! What must hold: (1) whatever exists and is ours is recorded or openly intended, at whatever point a run ended; (2) nothing
//! is made twice; (3) the journal's fold is the state; (4) a bad day ends in the world of a calm one; (5) destroy leaves
//! nothing; (6) a plan whose facts have moved changes nothing that they concern. And a plan after an apply is empty.

use crate::{
    kinds,
    sketch::{Sketch, scope},
};
use cloudtik_core::{
    Address, Declaration, digest,
    event::Silent,
    plan::{Mode, Plan, Verb},
    state::{Holder, Snapshot, Store},
};
use cloudtik_engine::{ApplyError, ApplyOptions, Errand, Interrupt, Options, RefreshPolicy, Registry, Undone, apply};
use cloudtik_memory::MemoryStore;
use cloudtik_simulated::{Chance, Chaos, Conditions, Doomed, World};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// More lives than these for one document mean that it never ends.
const LIVES: usize = 60;

#[derive(Default)]
pub struct Report {
    pub operations: u64,
    lives: u64,
    kills: u64,
    stale: u64,
    replayed: u64,
    /// Over all that happened.
    digest: u64,
}

impl Report {
    pub fn add(&mut self, other: &Report) {
        self.operations += other.operations;
        self.lives += other.lives;
        self.kills += other.kills;
        self.stale += other.stale;
        self.replayed += other.replayed;
        self.digest = self.digest.rotate_left(1) ^ other.digest;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { operations, lives, kills, stale, replayed, digest } = self;
        write!(f, "{operations} operations, {lives} runs, {kills} killed, {stale} stale plans, {replayed} replayed, ")?;
        write!(f, "digest {digest:016x}")
    }
}

/// What happens in a world, and what is wrong with it. One in sixteen is played twice, which must be the same to the byte.
pub fn trial(world: u64, log: bool) -> (Vec<String>, Result<Report, String>) {
    let (lines, result) = play(world);
    let result = result.and_then(|mut report| {
        let digest = digest::of(&lines);
        report.digest = u64::from_str_radix(digest.0.get(..16).unwrap_or("0"), 16).unwrap_or(0);
        if log || world.is_multiple_of(16) {
            report.replayed = 1;
            let again = play(world).0;
            if let Some(at) = (0..lines.len().max(again.len())).find(|at| lines.get(*at) != again.get(*at)) {
                return Err(format!("it went another way: {:?} and {:?}", lines.get(at), again.get(at)));
            }
        }
        Ok(report)
    });
    (lines, result)
}

fn play(world: u64) -> (Vec<String>, Result<Report, String>) {
    let mut lines = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| Trial::new(world).run(&mut lines)));
    let panicked = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    };
    let result = result.unwrap_or_else(|panic| Err(format!("a panic: {}", panicked(panic))));
    (lines, result)
}

/// A world with its state.
struct Side {
    world: World,
    store: Doomed<MemoryStore>,
    memory: MemoryStore,
    registry: Registry,
    holder: Holder,
    scopes: BTreeSet<cloudtik_core::Scope>,
    lives: u64,
    kills: u64,
}

/// How a life ended.
#[derive(Debug, PartialEq)]
enum End {
    Complete,
    /// Something is left to do.
    Partly,
    Killed,
    Refused(String),
}

impl Side {
    fn new(conditions: Conditions) -> Self {
        let memory = MemoryStore::seeded(conditions.seed);
        let world = World::new(conditions);
        let clock = world.clone();
        let played = kinds::providers().map(|kinds| world.provider(kinds));
        let registry = Registry::new(played).with_clock(move || clock.now());
        let holder = Holder {
            user: "trial".into(),
            host: "world".into(),
            pid: 1,
            started: 1,
            machine: String::new(),
            since: world.now(),
            doing: "apply".into(),
        };
        let (store, scopes) = (Doomed::new(memory.clone(), &world), BTreeSet::from([scope()]));
        Side { world, store, memory, registry, holder, scopes, lives: 0, kills: 0 }
    }

    fn errand<'a>(&'a self, mode: Mode, declarations: &'a [Declaration], options: &'a Options) -> Errand<'a> {
        Errand {
            registry: &self.registry,
            store: &self.store,
            holder: &self.holder,
            mode,
            declarations,
            scopes: &self.scopes,
            options,
            refresh: RefreshPolicy::All,
        }
    }

    fn state(&self) -> Result<Snapshot, String> {
        self.memory.read(&scope()).map_err(|e| e.to_string())
    }

    /// One run, from lock to end.
    fn live(
        &mut self,
        ends_at: Option<u64>,
        mode: Mode,
        declared: &[Declaration],
        options: &Options,
    ) -> Result<End, String> {
        self.world.meet(declared);
        let errand = self.errand(mode, declared, options);
        let ended = self.world.live(ends_at, errand.run(&Silent, |plan| self.remark(plan)));
        if let Some(Ok(summary)) = &ended {
            for (_, verb, failure) in &summary.failed {
                self.world.remark(&format!("failed to {verb}: {failure}"));
            }
            for (skipped, because) in &summary.skipped {
                self.world.remark(&format!("skipped {} because of {}", skipped.short(), because.short()));
            }
            for unsettled in &summary.unsettled {
                self.world.remark(&format!("not known what became of {}", unsettled.short()));
            }
        }
        self.lives += 1;
        let end = match ended {
            None => {
                self.kills += 1;
                End::Killed
            }
            Some(Ok(summary)) if summary.is_complete() => End::Complete,
            Some(Ok(_)) => End::Partly,
            Some(Err(Undone::Refused(problems))) => {
                End::Refused(problems.iter().map(|p| p.id.to_string()).collect::<Vec<_>>().join(" "))
            }
            Some(Err(other)) => return Err(format!("a run ended with {other:?}")),
        };
        self.check()?;
        Ok(end)
    }

    /// Writes a plan's operations into the log, each with what it waits for.
    fn remark(&self, plan: &Plan) {
        let name = |at: u32| {
            let op = &plan.operations[at as usize];
            format!("{} {}", op.verb.as_str(), op.address.short())
        };
        for at in 0..plan.operations.len() as u32 {
            let after: Vec<String> = plan.edges.iter().filter(|e| e.to == at).map(|e| name(e.from)).collect();
            self.world.remark(&format!("plan: {} after [{}]", name(at), after.join(", ")));
        }
    }

    /// Runs until nothing is left to do.
    fn finish(
        &mut self,
        boundaries: u64,
        mode: Mode,
        declared: &[Declaration],
        options: &Options,
    ) -> Result<End, String> {
        for _ in 0..LIVES {
            let fate = self.world.fate(boundaries);
            match self.live(fate, mode, declared, options)? {
                End::Killed | End::Partly => {}
                end => return Ok(end),
            }
        }
        Err(format!("not done after {LIVES} runs"))
    }

    fn check(&self) -> Result<(), String> {
        let state = self.state()?;
        let lost = self.world.lost([&state]);
        if !lost.is_empty() {
            return Err(format!("lost: {}", lost.join(", ")));
        }
        if let Some(wrong) = self.world.wrongs().first() {
            return Err(format!("made twice: {wrong}"));
        }
        let journal = self.memory.journal(&scope()).map_err(|e| e.to_string())?;
        if Snapshot::fold(&scope(), &state.lineage, &journal) != state {
            Err("the state is not the fold of its journal".into())
        } else {
            Ok(())
        }
    }

    fn plan(&self, declared: &[Declaration], options: &Options) -> Result<Plan, Undone> {
        self.world.meet(declared);
        let errand = self.errand(Mode::Normal, declared, options);
        let state = errand.state().map_err(Undone::Store)?;
        self.world.live(None, errand.plan(&state, &Silent)).expect("nothing kills a life without an end")
    }

    /// Applies a plan that was made before; what it may not touch stays untouched.
    fn apply_stale(&mut self, plan: &Plan) -> Result<(), String> {
        let state = self.state()?;
        let moved: BTreeSet<&Address> = plan
            .operations
            .iter()
            .filter(|op| match state.records.get(&op.address) {
                Some(record) => Some(record.digest()) != op.prior,
                // What a plan replaces and is gone already is made as planned: a first run of it leaves the same.
                None => op.prior.is_some() && op.verb == Verb::Update,
            })
            .map(|op| &op.address)
            .collect();
        self.world.called();
        let lock = self.store.lock(&scope(), &self.holder).map_err(|e| e.to_string())?;
        let (_keep, interrupt) = tokio::sync::watch::channel(Interrupt::No);
        let options = ApplyOptions { who: "trial".into(), command: "apply".into(), interrupt, parallelism: None };
        let locks = BTreeMap::from([(scope(), lock)]);
        let nothing = BTreeMap::new();
        let applied = apply(plan, &self.registry, locks, &nothing, options, &Silent);
        match self.world.live(None, applied).expect("nothing kills it") {
            Ok(_) | Err(ApplyError::OtherHistory { .. }) => {}
            Err(other) => return Err(format!("a stale plan: {other}")),
        }
        let touched: Vec<String> = self
            .world
            .called()
            .into_iter()
            .filter(|(_, a)| moved.contains(a))
            .map(|(v, a)| format!("{v} {a}"))
            .collect();
        if touched.is_empty() { self.check() } else { Err(format!("a stale plan did {}", touched.join(", "))) }
    }
}

struct Trial {
    chance: Chance,
    calm: Side,
    bad: Side,
    report: Report,
}

impl Trial {
    fn new(world: u64) -> Self {
        let chance = Chance::new(world);
        let batching = chance.of(&["batching"], 0).happens(0.5);
        let days = [
            Chaos::default(),
            Chaos { kills: 12, ..Chaos::default() },
            Chaos { kills: 6, ..Chaos::ROUGH },
            Chaos { unheard: 0.2, dropped: 0.1, kills: 12, ..Chaos::ROUGH },
        ];
        let chaos = days[chance.of(&["day"], 0).below(4) as usize];
        let calm = Conditions { batching, ..Conditions::calm(world) };
        let bad = Conditions { batching, chaos, ..Conditions::fair(world) };
        Trial { chance, calm: Side::new(calm), bad: Side::new(bad), report: Report::default() }
    }

    fn run(mut self, lines: &mut Vec<String>) -> Result<Report, String> {
        let result = self.documents();
        for side in [&self.calm, &self.bad] {
            lines.extend(side.world.log());
            let journal = side.memory.journal(&scope()).map_err(|e| e.to_string())?;
            lines.extend(journal.iter().map(|entry| serde_json::to_string(entry).expect("an entry is always JSON")));
            self.report.operations += side.world.calls();
            self.report.lives += side.lives;
            self.report.kills += side.kills;
        }
        result.map(|()| self.report)
    }

    fn documents(&mut self) -> Result<(), String> {
        let options = Options { delete_data: ["bucket".into(), "database".into()].into(), ..Options::default() };
        let mut sketch = Sketch::generate(self.chance.of(&["sketch"], 0));
        for n in 0..2 + self.chance.of(&["documents"], 0).below(3) {
            let declared = sketch.declarations();
            let boundaries = match self.calm.live(None, Mode::Normal, &declared, &options)? {
                End::Complete => self.calm.world.passed(),
                refused @ End::Refused(_) => {
                    let bad = self.bad.finish(1, Mode::Normal, &declared, &options)?;
                    if bad != refused {
                        return Err(format!("a calm day ends with {refused:?}, a bad one with {bad:?}"));
                    }
                    sketch = sketch.edit(self.chance.of(&["edit"], n));
                    continue;
                }
                other => return Err(format!("a calm day ends with {other:?}")),
            };
            let stale = match self.chance.of(&["stale"], n).happens(0.25) {
                true => self.bad.plan(&sketch.edit(self.chance.of(&["other"], n)).declarations(), &options).ok(),
                false => None,
            };
            if let End::Refused(why) = self.bad.finish(boundaries, Mode::Normal, &declared, &options)? {
                return Err(format!("refused on a bad day only: {why}"));
            }
            self.same("after an apply")?;
            let after = self.bad.plan(&declared, &options).map_err(|e| format!("no plan after an apply: {e:?}"))?;
            if !after.is_empty() {
                let first: Vec<_> = after.changes.iter().filter(|c| c.action.is_change()).take(3).collect();
                return Err(format!("a plan after an apply is not empty: {first:?}"));
            }
            if let Some(plan) = stale {
                self.report.stale += 1;
                self.bad.apply_stale(&plan)?;
                self.bad.finish(1, Mode::Normal, &declared, &options)?;
                self.same("after a stale plan")?;
            }
            sketch = sketch.edit(self.chance.of(&["edit"], n));
        }
        self.calm.finish(1, Mode::Destroy, &[], &options)?;
        self.bad.finish(self.calm.world.passed(), Mode::Destroy, &[], &options)?;
        let left = self.bad.world.shape();
        if !left.is_empty() || !self.bad.state()?.records.is_empty() {
            return Err(format!("destroy left {left:?}"));
        }
        Ok(())
    }

    fn same(&self, when: &str) -> Result<(), String> {
        let (calm, bad) = (self.calm.world.shape(), self.bad.world.shape());
        let apart = (0..calm.len().max(bad.len())).find(|at| calm.get(*at) != bad.get(*at));
        match apart {
            None => Ok(()),
            Some(at) => Err(format!("{when} a calm day has {:?}, a bad one {:?}", calm.get(at), bad.get(at))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::Digest;

    /// Every byte that a world's number leads to: what happens, when, and what is written down.
    #[test]
    fn a_world_is_the_same_whenever_it_is_played() {
        for world in 0..8 {
            let (first, again) = (play(world), play(world));
            assert_eq!(first.0, again.0);
            assert!(!first.0.is_empty());
        }
        assert_ne!(digest_of(1), digest_of(2));
    }

    fn digest_of(world: u64) -> Digest {
        digest::of(&play(world).0)
    }
}
