//! A whole run with nobody to ask: lock, settle, observe, plan, apply. What rehearsals and tests do over and over; the
//! program itself shows the plan in between.

use crate::{
    ApplyError, ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, Summary, Unsettled, apply, observe,
    plan, settle,
};
use cloudtik_core::{
    Declaration, Diagnostic, Failure, Scope,
    event::Observer,
    plan::{Mode, Plan},
    state::{Holder, Snapshot, Store, StoreError},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

pub struct Errand<'a> {
    pub registry: &'a Registry,
    pub store: &'a dyn Store,
    pub holder: &'a Holder,
    pub mode: Mode,
    /// Ignored when `mode` is destroy.
    pub declarations: &'a [Declaration],
    pub scopes: &'a BTreeSet<Scope>,
    pub options: &'a Options,
    pub refresh: RefreshPolicy,
}

/// Why a run ended before it could apply, or while it did.
#[derive(Debug)]
pub enum Undone {
    Store(StoreError),
    Unsettled(Box<Unsettled>),
    /// The world could not be read.
    Unseen(Box<Failure>),
    Refused(Vec<Diagnostic>),
    Apply(ApplyError),
}

impl Errand<'_> {
    /// Runs it. `planned` gets the plan before anything of it is done; an empty one is applied, too, and does nothing.
    ///
    /// Dropped at any point it is as if the process had been killed there, once the runtime that it ran on is gone as well.
    pub async fn run(&self, observer: &dyn Observer, planned: impl FnOnce(&Plan)) -> Result<Summary, Undone> {
        let mut locks = BTreeMap::new();
        for scope in self.scopes {
            locks.insert(scope.clone(), self.store.lock(scope, self.holder).map_err(Undone::Store)?);
        }
        for lock in locks.values_mut() {
            settle(self.registry, &mut **lock, observer).await.map_err(|e| Undone::Unsettled(Box::new(e)))?;
        }
        let state = self.state().map_err(Undone::Store)?;
        let plan = self.plan(&state, observer).await?;
        planned(&plan);
        if plan.is_empty() {
            return Ok(Summary::default());
        }
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let who = format!("{}@{}", self.holder.user, self.holder.host);
        let options = ApplyOptions { who, command: self.holder.doing.clone(), interrupt, parallelism: None };
        apply(&plan, self.registry, locks, &state, options, observer).await.map_err(Undone::Apply)
    }

    /// What is planned from a look at the world, without a lock.
    pub async fn plan(&self, state: &BTreeMap<Scope, Snapshot>, observer: &dyn Observer) -> Result<Plan, Undone> {
        let declarations = if self.mode == Mode::Destroy { &[] } else { self.declarations };
        let observed = observe(self.registry, declarations, self.scopes, state, self.refresh, observer)
            .await
            .map_err(|e| Undone::Unseen(Box::new(e)))?;
        let input = Input {
            mode: self.mode,
            declarations,
            scopes: self.scopes,
            state,
            observed: &observed,
            kinds: self.registry.kinds(),
            options: self.options,
        };
        plan(&input).map_err(Undone::Refused)
    }

    /// The states of all scopes that are to be changed, or that these may refer to.
    pub fn state(&self) -> Result<BTreeMap<Scope, Snapshot>, StoreError> {
        let scopes = self.scopes.iter().cloned().chain(self.store.scopes()?).collect::<BTreeSet<_>>();
        scopes.into_iter().map(|scope| Ok((scope.clone(), self.store.read(&scope)?.here()?))).collect()
    }
}
