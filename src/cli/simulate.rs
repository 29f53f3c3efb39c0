//! `cloudtik apply --simulate`: the documents applied to a simulated world, on a copy of the state.
//!
//! Documents are compiled and state is read as for a plan. From there on nothing real is within reach: every provider is
//! played, and the store is in memory.

use super::{
    context::{Context, World as Real},
    error::Error,
    load::Program,
    plan::Selection,
};
use crate::{
    exit::Exit,
    registry::PlatformOptions,
    view::rehearsal::{self, End, Moment, Rehearsal, Run},
};
use cloudtik_core::{
    Diagnostic,
    event::{Event, Observer},
    plan::{Mode, Plan},
    state::Holder,
};
use cloudtik_engine::{Errand, Options, Registry, Undone};
use cloudtik_memory::MemoryStore;
use cloudtik_simulated::{Chaos, Conditions, Doomed, World};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A command that is killed or ends halfway is run again, as a user would; not for ever.
const RUNS: usize = 8;

/// What to rehearse, and in which world.
pub struct Wish<'a> {
    pub seed: u64,
    pub chaos: bool,
    pub selection: &'a Selection,
    pub platform: PlatformOptions,
}

pub fn not_with_a_plan(path: &Path) -> Error {
    Error::request(
        Diagnostic::error("cannot-rehearse", "a saved plan cannot be rehearsed")
            .detail(format!("`{}` was made for the real world", path.display()))
            .hint("give the documents that it was made from"),
    )
}

pub fn rehearse(context: &Context, paths: &[PathBuf], wish: &Wish<'_>) -> Result<Exit, Error> {
    let (program, real) = Program::load_on(context, paths, Vec::new(), wish.platform)?;
    let world = World::new(match wish.chaos {
        true => Conditions { chaos: Chaos::ROUGH, ..Conditions::fair(wish.seed) },
        false => Conditions::fair(wish.seed),
    });
    let store = MemoryStore::seeded(wish.seed);
    for state in real.read(&program.scopes)?.into_values().filter(|state| !state.lineage.is_empty()) {
        world.hold(&state);
        store.hold(state);
    }
    world.meet(&program.declarations);
    // The world's clock is that of a runtime of its own, which cannot be started in this one.
    let runs = std::thread::scope(|threads| {
        let play = threads.spawn(|| play(&program, &real, wish, &world, store));
        play.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let exit = match runs.last().map(|run| &run.end) {
        Some(End::Complete) => Exit::Ok,
        _ => Exit::Incomplete,
    };
    let rehearsal = Rehearsal { seed: wish.seed, chaos: wish.chaos, runs: &runs };
    match context.out.is_json() {
        true => context.event("rehearsal", rehearsal::json(&rehearsal))?,
        false => context.print(&rehearsal::human(&rehearsal, &context.out.look()))?,
    };
    Ok(exit)
}

fn play(program: &Program, real: &Real, wish: &Wish<'_>, world: &World, store: MemoryStore) -> Result<Vec<Run>, Error> {
    let clock = world.clone();
    let played = real.platform.engine.providers().map(|provider| world.provider(provider.clone()));
    let registry = Registry::new(played).with_clock(move || clock.now());
    let store = Doomed::new(store, world);
    let options: Options = wish.selection.options();
    // The same bytes on every machine: nobody in particular runs it.
    let (user, host) = ("rehearsal".to_owned(), "simulated".to_owned());
    let since = world.now();
    let holder = Holder { user, host, pid: 0, started: 0, since, machine: String::new(), doing: "apply".into() };
    let errand = Errand {
        registry: &registry,
        store: &store,
        holder: &holder,
        mode: Mode::Normal,
        declarations: &program.declarations,
        scopes: &program.scopes,
        options: &options,
        refresh: wish.selection.policy(),
    };
    let mut runs: Vec<Run> = Vec::new();
    while runs.len() < RUNS {
        let recorder = Recorder { world, moments: Mutex::default() };
        let began_ms = now(world);
        let mut planned: Option<Plan> = None;
        let fate = world.fate(2 * program.declarations.len() as u64 + 4);
        let ended = world.live(fate, errand.run(&recorder, |plan| planned = Some(plan.clone())));
        let end = match ended {
            None => End::Killed,
            Some(Ok(summary)) if summary.is_complete() => End::Complete,
            Some(Ok(_)) => End::Partly,
            Some(Err(undone)) => return Err(undone_as(undone, program)),
        };
        let moments = recorder.moments.into_inner().unwrap_or_else(PoisonError::into_inner);
        let over = end == End::Complete;
        let ended_ms = world.ended().as_millis() as u64;
        runs.push(Run { plan: planned, began_ms, ended_ms, moments, end });
        if over {
            break;
        }
    }
    Ok(runs)
}

fn undone_as(undone: Undone, program: &Program) -> Error {
    match undone {
        Undone::Store(error) => error.into(),
        Undone::Unsettled(unsettled) => Error::Unsettled(unsettled),
        Undone::Unseen(failure) => Error::Provider(failure),
        Undone::Refused(diagnostics) => Error::Problems { diagnostics, sources: Box::new(program.sources.clone()) },
        Undone::Apply(error) => error.into(),
    }
}

fn now(world: &World) -> u64 {
    world.elapsed().as_millis() as u64
}

/// Keeps what happens, each event with its time in the world.
struct Recorder<'a> {
    world: &'a World,
    moments: Mutex<Vec<Moment>>,
}

impl Observer for Recorder<'_> {
    fn event(&self, event: Event) {
        let moment = Moment { at_ms: now(self.world), event };
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }
}
