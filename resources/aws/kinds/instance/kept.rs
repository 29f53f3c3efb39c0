//! Machines that are stopped instead of ended, and start again as others.
//!
//! A machine that is kept carries the mark of its cluster's cache in the place of its resource's, with what it was launched
//! as. One call puts these marks on, after the stop; one call puts those of another resource and its create on, before the
//! start. So whenever a run is cut off the machine is its old resource's, the cache's or its new resource's, and the marks
//! say whose. What this run put into a cache does not leave it in this run, so that nothing is given away twice.

use super::{PATIENCE, STATES};
use crate::{
    api::{Filter, Item, Listing, Request, Tags},
    kinds::machine_cache,
    provider::{At, Pace},
    tags::{self, ADDRESS, OPERATION},
};
use cloudtik_core::{
    address::Address,
    digest,
    failure::{Effect, Failure, FailureKind, Retry},
    plan::OperationId,
    state::{Record, Status},
    value::{Attrs, Value},
};
use futures::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// On a machine that is kept: a digest of the attributes that another must ask for to get it.
const LAUNCHED_AS: &str = "cloudtik:launched-as";
/// On a machine that is kept: its host key. Consoles tell keys at the first boot only.
const HOST_KEY: &str = "cloudtik:host-key";
/// Source: EC2 user guide, "Tag your Amazon EC2 resources": at most 256 characters (read 2026-11-25).
const LONGEST: usize = 256;
const CAP: Duration = Duration::from_secs(5);

/// What this run did with the caches of all clusters.
#[derive(Default)]
pub(crate) struct Pool {
    moves: Mutex<Moves>,
    /// Held by who chooses.
    choice: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Moves {
    /// Machines that were put into a cache, and what they were.
    put: BTreeMap<String, Address>,
    /// Machines that records still speak of.
    recorded: BTreeSet<String>,
    /// Machines that were chosen, and for which create: one that failed may choose its own again.
    taken: BTreeMap<String, OperationId>,
}

/// The cache that a machine is left to when it is deleted. Spot machines cannot be stopped, and what never worked is not kept.
pub(super) fn keeper(record: &Record) -> Option<Address> {
    let on_demand = record.outputs.get("market").and_then(Value::as_text) != Some("spot");
    let mut needs = record.dependencies.iter().map(|dependency| &dependency.address);
    let cache = needs.find(|address| address.kind() == machine_cache::KIND);
    cache.filter(|_| on_demand && record.status == Status::Ready && record.attributes.contains_key("cache")).cloned()
}

/// Whether a machine is a cache's.
pub(super) fn is_kept(item: &Item) -> bool {
    let kind = item.tags.get(ADDRESS).and_then(|mark| mark.split('.').next());
    kind == Some(machine_cache::KIND)
}

/// The host keys that a kept machine brings along.
pub(super) fn host_keys(item: &Item) -> Option<Value> {
    item.tags.get(HOST_KEY).map(|key| Value::list([key.as_str()]))
}

/// What two machines must have in common to be used in each other's place: all but their names and who they belong to.
fn launched_as(attributes: &Attrs) -> String {
    let launch: BTreeMap<&String, &Value> =
        attributes.iter().filter(|(name, _)| !matches!(name.as_str(), "tags" | "cache")).collect();
    digest::of(&launch).0
}

impl Pool {
    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are kept, and records have not heard of it yet: they are nobody else's in this run.
    pub(super) fn still_recorded(&self, ids: impl Iterator<Item = String>) {
        self.moves().recorded.extend(ids);
    }

    /// What this run put into the cache of a cluster, listed there already or not.
    pub(crate) fn put_for(&self, cache: &Address) -> Vec<String> {
        let moves = self.moves();
        let of_scope = |(_, from): &(&String, &Address)| from.scope() == cache.scope();
        moves.put.iter().filter(of_scope).map(|(id, _)| id.clone()).collect()
    }

    /// Stops machines and leaves them to their caches. Answers in order.
    pub(super) async fn put(&self, all: &[&At<'_>]) -> Vec<Result<(), Failure>> {
        match self.put_together(all).await {
            Ok(()) => all.iter().map(|_| Ok(())).collect(),
            // One that is gone, or cannot be stopped, makes the service refuse all: each answers for itself.
            Err(failure) if failure.retry == Retry::Never => join_all(all.iter().map(|at| self.put_alone(at))).await,
            Err(failure) => {
                all.iter().map(|at| Err(Failure { operation: at.operation.clone(), ..failure.clone() })).collect()
            }
        }
    }

    async fn put_alone(&self, at: &At<'_>) -> Result<(), Failure> {
        match self.put_together(&[at]).await {
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
            // Its root disk is its host's.
            Err(failure) if failure.message.starts_with("UnsupportedOperation") => {
                at.remove(Request::TerminateInstances { ids: vec![at.id().into()] }).await
            }
            other => other,
        }
    }

    async fn put_together(&self, all: &[&At<'_>]) -> Result<(), Failure> {
        let Some(first) = all.first() else { return Ok(()) };
        let ids = all.iter().map(|at| at.id());
        let filters = [Filter::new("instance-state-name", STATES), Filter::new("instance-id", ids)];
        let there = first.list(Listing::Instances, &filters).await?;
        // Those that are kept already were put there before an answer was lost.
        let item = |at: &&At<'_>| there.iter().find(|item| item.id == at.id() && !is_kept(item));
        let going: Vec<(&At<'_>, &Item)> = all.iter().filter_map(|at| Some((*at, item(at)?))).collect();
        let runs = |(_, item): &&(&At<'_>, &Item)| matches!(item.text("state"), "pending" | "running");
        let running: Vec<String> = going.iter().filter(runs).map(|(_, item)| item.id.clone()).collect();
        if !running.is_empty() {
            first.send(Request::StopInstances { ids: running }).await?;
        }
        let mut alike: Vec<(Tags, Vec<String>)> = Vec::new();
        for (at, item) in going {
            let marks = marks(at);
            self.moves().put.insert(item.id.clone(), at.call.address.clone());
            match alike.iter_mut().find(|(tags, _)| *tags == marks) {
                Some((_, ids)) => ids.push(item.id.clone()),
                None => alike.push((marks, vec![item.id.clone()])),
            }
        }
        let tag = |(tags, ids)| first.send(Request::CreateTags { ids, tags });
        join_all(alike.into_iter().map(tag)).await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }

    /// Gives kept machines to the last of `all`, which are alike, and starts them: `None` for one that cannot be started now.
    /// As many as the answer is long; the others get none.
    pub(super) async fn take(&self, all: &[At<'_>]) -> Result<Vec<Result<Option<Item>, Failure>>, Failure> {
        let Some(first) = all.first() else { return Ok(Vec::new()) };
        let Some(cache) = first.attribute("cache").as_text() else { return Ok(Vec::new()) };
        let fitting = {
            let _alone = self.choice.lock().await;
            self.choose(first, cache, all).await?
        };
        let takers = &all[all.len() - fitting.len()..];
        let claims = takers.iter().zip(&fitting).map(|(at, item)| {
            let tags = tags::on_create(at.call);
            at.send(Request::CreateTags { ids: vec![item.id.clone()], tags })
        });
        let claimed = join_all(claims).await;
        let ids: Vec<String> =
            fitting.iter().zip(&claimed).filter(|(_, claim)| claim.is_ok()).map(|(item, _)| item.id.clone()).collect();
        let started = self.start(first, &ids).await;
        let mut answers = Vec::new();
        for ((at, item), claim) in takers.iter().zip(fitting).zip(claimed) {
            answers.push(match (claim, &started) {
                (Err(failure), _) => Err(failure),
                (_, Ok(items)) => Ok(Some(items.iter().find(|started| started.id == item.id).cloned().unwrap_or(item))),
                (_, Err(failure)) if failure.retry == Retry::Never || failure.kind == FailureKind::Exhausted => {
                    self.start_alone(at, cache, item).await.map_err(claimed_already)
                }
                (_, Err(failure)) => {
                    Err(claimed_already(Failure { operation: at.operation.clone(), ..failure.clone() }))
                }
            });
        }
        Ok(answers)
    }

    /// The kept machines that fit, at most as many as are asked for. Those of the same type that do not fit any more, and
    /// those that are being replaced by these, are ended: nobody will ask for them.
    async fn choose(&self, first: &At<'_>, cache: &str, all: &[At<'_>]) -> Result<Vec<Item>, Failure> {
        let scope = first.call.scope().to_string();
        let filters = [
            Filter::new("instance-state-name", ["stopping", "stopped"]),
            Filter::tag(tags::SCOPE, scope),
            Filter::tag(ADDRESS, cache),
        ];
        let kept = first.list(Listing::Instances, &filters).await?;
        let wanted = launched_as(&first.call.attributes);
        let ours = tags::declared(&first.call.attributes);
        let (stale, mut fitting): (Vec<Item>, Vec<Item>) = {
            let moves = self.moves();
            let replaced = |id: &str| moves.put.get(id).is_some_and(|a| all.iter().any(|at| at.call.address == *a));
            let of_type = |item: &Item| item.tags.get(tags::NODE_TYPE) == ours.get(tags::NODE_TYPE);
            let fits = |item: &Item| item.tags.get(LAUNCHED_AS) == Some(&wanted);
            let here = |by: &OperationId| all.iter().any(|at| at.call.operation == *by);
            let free = |id: &String| {
                !moves.put.contains_key(id) && !moves.recorded.contains(id) && moves.taken.get(id).is_none_or(here)
            };
            let (stale, rest): (Vec<Item>, Vec<Item>) =
                kept.into_iter().partition(|item| replaced(&item.id) || of_type(item) && !fits(item));
            (stale, rest.into_iter().filter(|item| fits(item) && free(&item.id)).collect())
        };
        if !stale.is_empty() {
            let ids = stale.into_iter().map(|item| item.id).collect();
            first.remove(Request::TerminateInstances { ids }).await?;
        }
        fitting.sort_by(|a, b| (a.text("state") == "stopping", &a.id).cmp(&(b.text("state") == "stopping", &b.id)));
        fitting.truncate(all.len());
        let takers = all.iter().skip(all.len() - fitting.len());
        let taken = fitting.iter().zip(takers).map(|(item, at)| (item.id.clone(), at.call.operation.clone()));
        self.moves().taken.extend(taken);
        Ok(fitting)
    }

    /// Machines once they are starting.
    async fn start(&self, at: &At<'_>, ids: &[String]) -> Result<Vec<Item>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        until(at, ids, "kept machines to stop before they start", |state| state != "stopping").await?;
        at.send(Request::StartInstances { ids: ids.to_vec() }).await?;
        until(at, ids, "kept machines to start", |state| state != "stopped").await
    }

    /// One of several that were refused together. Where there is no room for it now, it is the cache's again.
    async fn start_alone(&self, at: &At<'_>, cache: &str, item: Item) -> Result<Option<Item>, Failure> {
        match self.start(at, std::slice::from_ref(&item.id)).await {
            Err(failure) if failure.kind == FailureKind::Exhausted => {
                let tags = [(ADDRESS, cache), (OPERATION, "")].map(|(key, value)| (key.into(), value.into())).into();
                at.send(Request::CreateTags { ids: vec![item.id], tags }).await?;
                Ok(None)
            }
            started => Ok(Some(started?.pop().unwrap_or(item))),
        }
    }
}

/// A create that has its machine and failed to start it: who looks for what it left finds the machine.
fn claimed_already(failure: Failure) -> Failure {
    failure.effect(Effect::Unknown)
}

/// The marks of a machine that is kept.
fn marks(at: &At<'_>) -> Tags {
    let recorded = at.call.record.as_ref().map(|record| launched_as(&record.attributes)).unwrap_or_default();
    let cache = at.recorded("cache").as_text().unwrap_or_default();
    let mut marks =
        Tags::from([(ADDRESS.into(), cache.into()), (OPERATION.into(), String::new()), (LAUNCHED_AS.into(), recorded)]);
    let keys = at.recorded("host_keys").as_list().into_iter().flatten().filter_map(Value::as_text);
    let key = keys.filter(|key| key.len() <= LONGEST).max_by_key(|key| key.starts_with("ssh-ed25519 "));
    marks.extend(key.map(|key| (HOST_KEY.into(), key.into())));
    marks
}

async fn until(at: &At<'_>, ids: &[String], awaits: &str, done: fn(&str) -> bool) -> Result<Vec<Item>, Failure> {
    let mut pace = Pace::new(CAP);
    loop {
        let items = at.list(Listing::Instances, &[Filter::new("instance-id", ids)]).await?;
        if items.iter().all(|item| done(item.text("state"))) || pace.waited > PATIENCE {
            return Ok(items);
        }
        at.call.say(format!("waiting for {awaits}"));
        pace.pause(&*at.api).await;
    }
}
