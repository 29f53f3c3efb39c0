//! The one way from documents to a changed world: lock, settle, observe, plan, show, ask, apply, tell.

use super::{
    context::{Context, World, who},
    error::Error,
    interrupt,
    load::Program,
};
use crate::{
    exit::Exit,
    view::{self, Confirm, progress::Progress},
};
use cloudtik_core::{
    Address, Declaration, Diagnostic, Scope, Sources,
    plan::{Mode, Plan},
    provider::Presence,
    state::{Locked, Snapshot, StoreError},
};
use cloudtik_engine::{ApplyError, ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Summary};
use std::collections::{BTreeMap, BTreeSet};

/// What to plan for.
pub struct Request<'a> {
    pub mode: Mode,
    pub declarations: &'a [Declaration],
    pub scopes: &'a BTreeSet<Scope>,
    pub options: Options,
    pub refresh: RefreshPolicy,
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

type Locks = BTreeMap<Scope, Box<dyn Locked>>;

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
        if let Some(holder) = world.store.holder(scope)? {
            return Ok(Some(StoreError::Locked { scope: scope.clone(), holder: Box::new(holder) }));
        }
    }
    Ok(None)
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
    workspaces_exist(world, request, declarations, &state)?;
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
    .map_err(|diagnostics| Error::Problems { diagnostics, sources: Box::new(request.sources.clone()) })?;
    if request.mode == Mode::Normal && !plan.is_empty() {
        plan.warnings.splice(0..0, request.notes.iter().cloned());
        plan.digest = plan.compute_digest();
    }
    Ok(Planned { plan, state, observed })
}

/// A cluster whose workspace is neither recorded nor given along: one problem, instead of one for each reference to it.
fn workspaces_exist(
    world: &World,
    request: &Request<'_>,
    declarations: &[Declaration],
    state: &BTreeMap<Scope, Snapshot>,
) -> Result<(), Error> {
    let missing = |scope: &Scope| {
        !request.scopes.contains(scope) && state.get(scope).is_none_or(|snapshot| snapshot.records.is_empty())
    };
    let mut diagnostics = Vec::new();
    for cluster in request.scopes.iter().filter(|scope| scope.cluster_name().is_some()) {
        let workspace = Scope::workspace(cluster.workspace_name());
        let needs_it = |d: &&Declaration| {
            d.address.scope() == cluster && d.dependencies().iter().any(|need| *need.address.scope() == workspace)
        };
        if missing(&workspace) && declarations.iter().any(|d| needs_it(&d)) {
            let problem = Diagnostic::error("unknown-reference", "the cluster's workspace does not exist")
                .detail(format!(
                    "{cluster} is built on {workspace}, of which nothing is recorded in {}",
                    world.store.place()
                ))
                .hint("create it: `cloudtik workspace create` with its document")
                .hint("or give its document together with this one")
                .hint("or name the folder that its state is in: `--state DIR`");
            diagnostics.push(problem);
        }
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(Error::Problems { diagnostics, sources: Box::new(request.sources.clone()) }),
    }
}

/// Plans under lock, shows, asks and applies.
pub async fn change(context: &Context, world: &World, request: &Request<'_>) -> Result<Exit, Error> {
    let interrupt = interrupt::listen().map_err(Error::io("listen for signals"))?;
    // Reading tells of damage that the right to write would repair.
    world.read(request.scopes)?;
    let mut locks = world.lock(request.scopes, request.command)?;
    let progress = Progress::new(&context.out);
    settle(world, &mut locks, &progress).await?;
    let state = world.read(request.scopes)?;
    let planned = decide(world, request, state, &progress).await?;
    progress.finish();
    show(context, &planned.plan, request.sources)?;
    if planned.plan.is_empty() {
        return Ok(Exit::Ok);
    }
    if let Some(exit) = ask(context, &planned.plan, request.yes)? {
        return Ok(exit);
    }
    carry_out(context, world, &planned.plan, locks, &planned.state, request.command, interrupt).await
}

/// Applies a plan that was made and saved earlier.
pub async fn change_by(context: &Context, world: &World, plan: &Plan, yes: bool) -> Result<Exit, Error> {
    let interrupt = interrupt::listen().map_err(Error::io("listen for signals"))?;
    let scopes: BTreeSet<Scope> = plan.base.keys().cloned().collect();
    world.read(&scopes)?;
    let mut locks = world.lock(&scopes, "apply")?;
    let progress = Progress::new(&context.out);
    settle(world, &mut locks, &progress).await?;
    progress.finish();
    let state = world.read(&scopes)?;
    same_history(plan, &state)?;
    show(context, plan, &Sources::default())?;
    if plan.is_empty() {
        return Ok(Exit::Ok);
    }
    if let Some(exit) = ask(context, plan, yes)? {
        return Ok(exit);
    }
    carry_out(context, world, plan, locks, &state, "apply", interrupt).await
}

/// The engine refuses such a plan too; told here, it is told before anybody is asked.
fn same_history(plan: &Plan, state: &BTreeMap<Scope, Snapshot>) -> Result<(), Error> {
    for (scope, base) in &plan.base {
        let moved =
            |now: &&Snapshot| now.lineage != base.lineage && !(base.lineage.is_empty() && now.records.is_empty());
        if state.get(scope).filter(moved).is_some() {
            return Err(ApplyError::OtherHistory { scope: scope.clone() }.into());
        }
    }
    Ok(())
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
fn ask(context: &Context, plan: &Plan, yes: bool) -> Result<Option<Exit>, Error> {
    if yes {
        return Ok(None);
    }
    let question = if plan.mode == Mode::Destroy { "Remove all of this?" } else { "Apply this plan?" };
    match context.out.confirm(question).map_err(Error::io("ask on the terminal"))? {
        Confirm::Yes => Ok(None),
        Confirm::No => {
            context.out.note("Nothing was changed.");
            Ok(Some(Exit::Declined))
        }
        Confirm::NotAsked => {
            context.out.note("Nothing was changed: nobody is here to agree. Run it again with `-y`.");
            Ok(Some(Exit::Declined))
        }
    }
}

async fn carry_out(
    context: &Context,
    world: &World,
    plan: &Plan,
    locks: Locks,
    state: &BTreeMap<Scope, Snapshot>,
    command: &str,
    interrupt: tokio::sync::watch::Receiver<Interrupt>,
) -> Result<Exit, Error> {
    let progress = Progress::new(&context.out);
    let options = ApplyOptions { who: who(), command: command.into(), interrupt, parallelism: None };
    let summary = cloudtik_engine::apply(plan, &world.platform.engine, locks, state, options, &progress).await;
    progress.finish();
    Ok(outcome(context, &summary?))
}

fn outcome(context: &Context, summary: &Summary) -> Exit {
    if summary.interrupted {
        if !summary.unsettled.is_empty() && !context.out.is_json() {
            let names: Vec<String> = summary.unsettled.iter().map(Address::short).collect();
            context
                .out
                .note(&format!("Not waited for: {}. The next run finds out what became of them.", names.join(", ")));
        }
        return Exit::Interrupted;
    }
    if summary.is_complete() { Exit::Ok } else { Exit::Incomplete }
}
