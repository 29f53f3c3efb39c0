//! The one way from documents to a changed world: lock, settle, observe, plan, show, ask, apply, tell.

use super::{
    context::{Context, World, who},
    error::Error,
    interrupt,
    load::Program,
    lock::{Locks, lock},
};
use crate::{
    exit::Exit,
    view::{self, progress::Progress},
};
use cloudtik_core::{
    Address, Declaration, Diagnostic, FailureKind, Scope, Sources,
    plan::{Change, Mode, Plan},
    provider::Presence,
    state::{Snapshot, StoreError},
};
use cloudtik_engine::{ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Summary};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch::Receiver;

/// What to plan for.
pub struct Request<'a> {
    pub mode: Mode,
    pub declarations: &'a [Declaration],
    pub scopes: &'a BTreeSet<Scope>,
    pub options: Options,
    pub refresh: RefreshPolicy,
    /// The declarations are what this earlier state recorded.
    pub back_to: Option<&'a Snapshot>,
    pub notes: &'a [Diagnostic],
    pub sources: &'a Sources,
    /// For the revision and the lock.
    pub command: &'a str,
    /// Apply without asking.
    pub yes: bool,
}

impl<'a> Request<'a> {
    /// What documents ask for, after a look at the world, with everything else as it is without flags.
    pub fn of(program: &'a Program, command: &'a str) -> Self {
        Request {
            mode: Mode::Normal,
            declarations: &program.declarations,
            scopes: &program.scopes,
            options: Options::default(),
            refresh: RefreshPolicy::All,
            back_to: None,
            notes: &program.notes,
            sources: &program.sources,
            command,
            yes: false,
        }
    }
}

pub struct Planned {
    pub plan: Plan,
    pub state: BTreeMap<Scope, Snapshot>,
    pub observed: BTreeMap<Address, Presence>,
}

/// Plans without changing anything but what interrupted runs left open, which is settled first if nobody else is at it.
pub async fn plan(context: &Context, world: &World, request: &Request<'_>) -> Result<Planned, Error> {
    let progress = Progress::new(&context.out);
    let state = world.read(request.scopes)?;
    let open = state.values().any(|s| request.scopes.contains(&s.scope) && !s.open.is_empty());
    let state = match busy(world, request.scopes)? {
        Some(locked) => {
            context.out.note(&format!("{locked}; what follows is planned against what it has recorded so far."));
            state
        }
        None if open => {
            let mut locks = world.lock(request.scopes, request.command)?;
            settle(world, &mut locks, &progress).await?;
            world.read(request.scopes)?
        }
        None => state,
    };
    let planned = decide(world, request, state, &progress).await;
    progress.finish();
    planned
}

/// Another run that is changing one of the scopes right now.
fn busy(world: &World, scopes: &BTreeSet<Scope>) -> Result<Option<StoreError>, Error> {
    for scope in scopes {
        if let Some(lease) = world.store.lease(scope)? {
            return Ok(Some(StoreError::Locked { scope: scope.clone(), lease: Box::new(lease) }));
        }
    }
    Ok(None)
}

/// The same, until the user stops it; `false` then. What is still open is settled by the next run.
async fn settle_or_stop(
    world: &World,
    locks: &mut Locks,
    progress: &Progress,
    interrupt: &mut Receiver<Interrupt>,
) -> Result<bool, Error> {
    tokio::select! {
        settled = settle(world, locks, progress) => settled.map(|()| true),
        _ = interrupt.wait_for(|asked| *asked != Interrupt::No) => Ok(false),
    }
}

fn stopped(context: &Context) -> Exit {
    context.out.note("Interrupted before anything was changed; the next run finds out what an earlier one left.");
    Exit::Interrupted
}

async fn settle(world: &World, locks: &mut Locks, progress: &Progress) -> Result<(), Error> {
    for lock in locks.values_mut() {
        cloudtik_engine::settle(&world.platform.engine, &mut **lock, progress).await?;
    }
    Ok(())
}

async fn decide(
    world: &World,
    request: &Request<'_>,
    state: BTreeMap<Scope, Snapshot>,
    progress: &Progress,
) -> Result<Planned, Error> {
    let declarations: &[Declaration] = if request.mode == Mode::Destroy { &[] } else { request.declarations };
    let engine = &world.platform.engine;
    let observed =
        cloudtik_engine::observe(engine, declarations, request.scopes, &state, request.refresh, progress).await?;
    let mut plan = cloudtik_engine::plan(&Input {
        mode: request.mode,
        declarations,
        scopes: request.scopes,
        state: &state,
        observed: &observed,
        kinds: engine.kinds(),
        options: &request.options,
    })
    .map_err(|diagnostics| advised(world, request, diagnostics))?;
    if request.mode == Mode::Normal && !plan.is_empty() {
        let losses = request.back_to.map(|then| cloudtik_engine::undo::losses(&plan, then, engine.kinds()));
        plan.warnings.splice(0..0, losses.into_iter().flatten().chain(request.notes.iter().cloned()));
        plan.digest = plan.compute_digest();
    }
    Ok(Planned { plan, state, observed })
}

/// Problems of a plan, with what only the command line can advise.
fn advised(world: &World, request: &Request<'_>, mut diagnostics: Vec<Diagnostic>) -> Error {
    for missing in diagnostics.iter_mut().filter(|d| d.id == "scope-not-applied") {
        missing
            .hints
            .push(format!("or name the folder that its state is in: `--state DIR`; now it is {}", world.store.place()));
    }
    Error::Problems { diagnostics, sources: Box::new(request.sources.clone()) }
}

/// Plans under lock, shows, asks and applies.
pub async fn change(context: &Context, world: &World, request: &Request<'_>) -> Result<Exit, Error> {
    let mut interrupt = interrupt::listen().map_err(Error::io("listen for signals"))?;
    // Reading tells of damage that the right to write would repair.
    world.read(request.scopes)?;
    let Some(mut locks) = lock(context, world, request.scopes, request.command, &mut interrupt).await? else {
        return Ok(stopped(context));
    };
    let progress = Progress::new(&context.out);
    if !settle_or_stop(world, &mut locks, &progress, &mut interrupt).await? {
        progress.finish();
        return Ok(stopped(context));
    }
    let state = world.read(request.scopes)?;
    let planned = decide(world, request, state, &progress).await?;
    progress.finish();
    show(context, &planned.plan, request.sources)?;
    if planned.plan.is_empty() {
        return Ok(Exit::Ok);
    }
    if let Some(exit) = ask(context, world, &planned.plan, request.yes)? {
        return Ok(exit);
    }
    carry_out(context, world, &planned.plan, locks, &planned.state, request.command, interrupt).await
}

/// Applies a plan that was made and saved earlier.
pub async fn change_by(context: &Context, world: &World, plan: &Plan, yes: bool) -> Result<Exit, Error> {
    let mut interrupt = interrupt::listen().map_err(Error::io("listen for signals"))?;
    let scopes: BTreeSet<Scope> = plan.base.keys().cloned().collect();
    world.read(&scopes)?;
    let Some(mut locks) = lock(context, world, &scopes, "apply", &mut interrupt).await? else {
        return Ok(stopped(context));
    };
    let progress = Progress::new(&context.out);
    let settled = settle_or_stop(world, &mut locks, &progress, &mut interrupt).await?;
    progress.finish();
    if !settled {
        return Ok(stopped(context));
    }
    let state = world.read(&scopes)?;
    // Told here, it is told before anybody is asked.
    cloudtik_engine::check(plan, &state)?;
    let (left, all) = (cloudtik_engine::left(plan, &state), plan.operations.len());
    if left == 0 && all > 0 {
        context.out.note("This plan was applied before: nothing of it is left to do.");
        return Ok(Exit::Ok);
    }
    show(context, plan, &Sources::default())?;
    if plan.is_empty() {
        return Ok(Exit::Ok);
    }
    if left < all {
        context.out.note(&format!("Of its {all} steps, {} were done before.", all - left));
    }
    if let Some(exit) = ask(context, world, plan, yes)? {
        return Ok(exit);
    }
    carry_out(context, world, plan, locks, &state, "apply", interrupt).await
}

fn show(context: &Context, plan: &Plan, sources: &Sources) -> Result<(), Error> {
    if context.out.is_json() {
        return context.out.result(&view::plan::json(plan)).map_err(Error::io("write to standard output"));
    }
    let options =
        view::plan::Options { verbose: context.global.verbose, full: context.global.verbose, next: Vec::new() };
    context.out.note(&view::plan::human(plan, sources, &context.out.look(), &options));
    Ok(())
}

/// `None`: go on.
fn ask(context: &Context, world: &World, plan: &Plan, yes: bool) -> Result<Option<Exit>, Error> {
    if yes {
        return Ok(None);
    }
    let kinds = world.platform.engine.kinds();
    let holds_data =
        |change: &&Change| kinds.get(&change.provider, change.address.kind()).is_some_and(|k| k.holds_data);
    let lost: Vec<String> = plan
        .changes
        .iter()
        .filter(|change| change.action.is_destructive())
        .filter(holds_data)
        .map(|change| format!("`{}`", change.address.short()))
        .collect();
    let question = if plan.mode == Mode::Destroy { "Remove all of this?" } else { "Apply this plan?" };
    let question = match lost.is_empty() {
        true => question.to_owned(),
        false => format!("The data in {} will be lost for good. {question}", lost.join(", ")),
    };
    context.agree(&question, false)
}

async fn carry_out(
    context: &Context,
    world: &World,
    plan: &Plan,
    locks: Locks,
    state: &BTreeMap<Scope, Snapshot>,
    command: &str,
    interrupt: Receiver<Interrupt>,
) -> Result<Exit, Error> {
    let progress = Progress::new(&context.out);
    let options = ApplyOptions { who: who(), command: command.into(), interrupt, parallelism: None };
    let summary = cloudtik_engine::apply(plan, &world.platform.engine, locks, state, options, &progress).await;
    progress.finish();
    Ok(outcome(context, &summary?))
}

fn outcome(context: &Context, summary: &Summary) -> Exit {
    if let (Some(place), false) = (&summary.short_of_room, summary.is_complete()) {
        let full = Diagnostic::error("disk-full", "there is no room to record more work")
            .detail(format!("{place}: what ran is recorded, and nothing new was started"))
            .hint("free some megabytes there, then run the same command again");
        view::diagnostics::show(&context.out, &[full], &Sources::default());
    }
    if summary.interrupted {
        if !summary.unsettled.is_empty() && !context.out.is_json() {
            let names: Vec<String> = summary.unsettled.iter().map(Address::short).collect();
            context
                .out
                .note(&format!("Not waited for: {}. The next run finds out what became of them.", names.join(", ")));
        }
        return Exit::Interrupted;
    }
    match summary.failed.iter().any(|(_, _, failure)| failure.kind == FailureKind::Bug) {
        true => Exit::Bug,
        false if summary.is_complete() => Exit::Ok,
        false => Exit::Incomplete,
    }
}
