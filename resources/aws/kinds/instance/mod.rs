//! `instance`: one machine. Those that are alike are launched and terminated together.
//!
//! A machine is found by its id. Before that is recorded, by the mark of the operation or request that made it, and, within
//! a request, by its place in the order of launch.

mod console;
mod disks;
mod kept;
mod launch;
mod lookups;
mod watch;

pub(super) use disks::{can_become, modify};
pub(super) use kept::Pool;

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    provider::{At, Options, Pace, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    batch::BatchKey,
    digest,
    failure::{Failure, FailureKind, Retry},
    provider::{Call, Health, Observed, Outcome, Settled, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::{Attrs, Value},
};
use futures::future::{join, join_all};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

#[derive(Default)]
pub(crate) struct Instance {
    watch: watch::Watch,
    lookups: lookups::Lookups,
    pool: Arc<Pool>,
}

/// Machines in these states are there; those that shut down or are terminated are not.
pub(super) const STATES: [&str; 4] = ["pending", "running", "stopping", "stopped"];
/// Source: EC2 API reference, RunInstances: larger requests are better split into such of at most 100 (read 2026-11-25).
pub(super) const TOGETHER: usize = 100;
const CAP: Duration = Duration::from_secs(5);
/// How long a machine may take until it runs, or stops.
const PATIENCE: Duration = Duration::from_secs(600);

fn lookup() -> Lookup<'static> {
    let always = vec![Filter::new("instance-state-name", STATES)];
    Lookup { listing: Listing::Instances, id: "instance-id", always, by_name: false }
}

/// What is known of a machine before it runs, and later more of it.
fn outputs(item: &Item) -> Attrs {
    let text = |name: &str| Some(item.text(name)).filter(|text| !text.is_empty());
    let mut outputs = attrs([
        ("id", item.id.as_str().into()),
        ("ip", text("private_ip").into()),
        ("public_ip", text("public_ip").into()),
        ("zone", text("zone").into()),
        ("subnet", text("subnet").into()),
        ("market", if item.flag("spot") { "spot" } else { "on-demand" }.into()),
    ]);
    if let Some(volumes) = item.fields.get("volumes") {
        outputs.insert("volumes".into(), volumes.clone());
    }
    outputs.retain(|_, value| *value != Value::Unset);
    outputs
}

/// Members of a launch in the order in which their places are given out.
fn launch_order(item: &Item) -> (&str, &str, i64, &str) {
    let index = item.fields.get("launch_index").and_then(Value::as_int).unwrap_or(0);
    (item.text("launched"), item.text("token"), index, &item.id)
}

#[async_trait]
impl Kind for Instance {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("instance")
            .replace_on(&[
                "region",
                "type",
                "image",
                "key",
                "subnets",
                "profile",
                "market_options",
                "interface_groups",
                "user_data",
                "launch_template",
                "launch",
            ])
            .replace_if("disks", disks::replaces)
            .canonical(Canonical::Set, &["groups"])
            .takes(Durations { create: 2500, ready: 25_000, update: 3000, delete: 1500 });
        schema.consistency_window = Duration::from_secs(20);
        schema.kept_by = Some(kept::keeper);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let (kept, there): (BTreeMap<String, Item>, BTreeMap<String, Item>) =
            find::all(api, &lookup(), subjects).await?.into_iter().partition(|(_, item)| kept::is_kept(item));
        self.pool.still_recorded(subjects.iter().filter_map(|subject| {
            let id = &subject.record.as_ref()?.id;
            kept.contains_key(id).then(|| id.clone())
        }));
        let found = assign(there, subjects);
        let compared = subjects.iter().zip(&found).filter(|(subject, _)| disks::is_comparable(asked(subject, "disks")));
        let volumes = disks::volumes(api, compared.filter_map(|(_, item)| item.as_ref())).await?;
        Ok(find::observed(subjects, found, |subject, item| see(subject, item, &volumes)))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        match self.pool.take(std::slice::from_ref(at)).await?.pop() {
            Some(Ok(Some(item))) => Ok(reused(&item)),
            Some(Err(failure)) => Err(failure),
            _ => launch_alone(at).await,
        }
    }

    /// Workers of one type that are declared alike; machines of one region when they go.
    fn batch(&self, call: &Call) -> Option<BatchKey> {
        let region = |attributes: &Attrs| attributes.get("region").and_then(Value::as_text).map(String::from);
        if call.attributes.is_empty() {
            let workspace = call.scope().workspace_name();
            let region = call.record.as_ref().and_then(|record| region(&record.attributes));
            return Some(BatchKey { alike: format!("{workspace} {region:?}"), limit: TOGETHER });
        }
        let group = tags::group(&call.address)?;
        let alike = digest::of(&(call.scope(), group, &call.attributes)).0;
        Some(BatchKey { alike, limit: TOGETHER })
    }

    async fn create_many(&self, all: &[At<'_>]) -> Vec<Result<Outcome, Failure>> {
        // The last of them, so that the launched ones have the first places: by these they are found.
        let taken = match self.pool.take(all).await {
            Ok(taken) => taken,
            Err(failure) => return all_fail(all, &failure),
        };
        let (launching, taking) = all.split_at(all.len() - taken.len());
        let mut results = launch_together(launching).await;
        for (at, taken) in taking.iter().zip(taken) {
            results.push(match taken {
                Ok(Some(item)) => Ok(reused(&item)),
                Ok(None) => launch_alone(at).await,
                Err(failure) => Err(failure),
            });
        }
        results
    }

    /// Waits until it runs, then reads the keys that it shows on its console.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let item = self.running(at).await?;
        let mut outputs = outputs(&item);
        let known = at.call.record.as_ref().is_some_and(|record| record.outputs.contains_key("host_keys"));
        if !known {
            outputs.insert("host_keys".into(), console::host_keys(at, &item.id).await);
        }
        Ok(outputs)
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = self.lookups.machine(&at.api, at.id()).await.map_err(|e| at.fail(&e))?;
        let gone = || Failure::new(FailureKind::NotFound, &at.operation, "the machine is gone");
        let item = item.filter(|item| STATES.contains(&item.text("state"))).ok_or_else(gone)?;
        let (mut groups, mut there) = (at.texts("groups"), texts(item.fields.get("groups").unwrap_or(&Value::Unset)));
        groups.sort();
        there.sort();
        if !groups.is_empty() && groups != there {
            at.send_to_new(Request::ModifyInstanceGroups { instance: item.id.clone(), groups }).await?;
        }
        if disks::is_comparable(at.attribute("disks")) {
            let volumes = self.lookups.volumes(&at.api, &item.id).await.map_err(|e| at.fail(&e))?;
            disks::converge(at, &item, &volumes).await?;
        }
        for request in tags::differences(&item, at.call) {
            at.send_to_new(request).await?;
        }
        start(at, &item).await?;
        Ok(Outcome { id: item.id.clone(), outputs: Attrs::new() })
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        if is_to_be_kept(at) {
            return self.pool.put(&[at]).await.pop().unwrap_or(Ok(()));
        }
        end(at).await
    }

    async fn delete_many(&self, all: &[At<'_>]) -> Vec<Result<(), Failure>> {
        let (kept, ended): (Vec<&At<'_>>, Vec<&At<'_>>) = all.iter().partition(|at| is_to_be_kept(at));
        let (put, gone) = join(self.pool.put(&kept), end_together(&ended)).await;
        let (mut put, mut gone) = (put.into_iter(), gone.into_iter());
        let answers = all.iter().map(|at| if is_to_be_kept(at) { put.next() } else { gone.next() });
        answers.map(|answer| answer.unwrap_or(Ok(()))).collect()
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        let mut made = self.lookups.made(&at.api, at.call).await.map_err(|e| at.fail(&e))?;
        Ok(match (made.pop(), made.len()) {
            (None, _) => Settled::Absent,
            (Some(item), 0) => Settled::Found(outcome(&item)),
            (Some(item), _) => Settled::Ambiguous(made.into_iter().chain([item]).map(|item| item.id).collect()),
        })
    }
}

impl Instance {
    pub fn with(pool: Arc<Pool>) -> Self {
        Instance { pool, ..Instance::default() }
    }

    /// The machine once it runs. One that stops instead fails at once, with the service's reason.
    async fn running(&self, at: &At<'_>) -> Result<Item, Failure> {
        let mut waiter = self.watch.join(&at.api, at.id());
        let mut pace = Pace::new(CAP);
        loop {
            let item = waiter.look(&*at.api).await.map_err(|e| at.fail(&e))?;
            match item.as_ref().map(|item| item.text("state")) {
                Some("running") => return Ok(item.unwrap_or_default()),
                // Not listed yet, a moment after it was launched.
                None | Some("pending") if pace.waited <= PATIENCE => {}
                None | Some("pending") => {
                    let what = format!("{} does not run after {} s", at.id(), PATIENCE.as_secs());
                    return Err(Failure::new(FailureKind::Timeout, &at.operation, what)
                        .hint("run the same command again: it goes on waiting"));
                }
                Some(state) => return Err(ended(at, state, item.as_ref().map_or("", |i| i.text("state_reason")))),
            }
            at.call.say("waiting for the machine to run");
            pace.pause(&*at.api).await;
        }
    }
}

fn is_to_be_kept(at: &At<'_>) -> bool {
    at.call.record.as_ref().is_some_and(|record| kept::keeper(record).is_some())
}

async fn end(at: &At<'_>) -> Result<(), Failure> {
    at.remove(Request::TerminateInstances { ids: vec![at.id().into()] }).await
}

async fn end_together(all: &[&At<'_>]) -> Vec<Result<(), Failure>> {
    let Some(first) = all.first() else { return Vec::new() };
    let ids = all.iter().map(|at| at.id().to_owned()).collect();
    let Err(error) = first.api.call(Request::TerminateInstances { ids }).await else {
        return all.iter().map(|_| Ok(())).collect();
    };
    match first.fail(&error).retry {
        // One that is gone, or may not go, makes the service refuse all: each answers for itself.
        Retry::Never => join_all(all.iter().map(|at| end(at))).await,
        _ => all.iter().map(|at| Err(at.fail(&error))).collect(),
    }
}

async fn launch_alone(at: &At<'_>) -> Result<Outcome, Failure> {
    let launched = launch::launch(at, 1, &tags::on_create(at.call), &at.call.operation.0).await?;
    let none = || Failure::new(FailureKind::Other, &at.operation, "AWS answered without a machine");
    launched.items.first().map(outcome).ok_or_else(none)
}

async fn launch_together(all: &[At<'_>]) -> Vec<Result<Outcome, Failure>> {
    let Some(first) = all.first() else { return Vec::new() };
    let Some(batch) = &first.call.batch else { return join_all(all.iter().map(launch_alone)).await };
    let tags = tags::on_create_many(first.call, &batch.id);
    match launch::launch(first, all.len(), &tags, &batch.id).await {
        Ok(launched) => {
            let mut items = launched.items;
            items.sort_by(|a, b| launch_order(a).cmp(&launch_order(b)));
            let member = |(place, at): (usize, &At<'_>)| match items.get(place) {
                Some(item) => Ok(outcome(item)),
                None => Err(fewer(at, items.len(), all.len(), launched.short.as_ref())),
            };
            all.iter().enumerate().map(member).collect()
        }
        Err(failure) => all_fail(all, &failure),
    }
}

fn all_fail(all: &[At<'_>], failure: &Failure) -> Vec<Result<Outcome, Failure>> {
    all.iter().map(|at| Err(Failure { operation: at.operation.clone(), ..failure.clone() })).collect()
}

fn ended(at: &At<'_>, state: &str, reason: &str) -> Failure {
    let full = reason.contains("Insufficient") || reason.contains("LimitExceeded") || reason.contains("NoCapacity");
    let kind = if full { FailureKind::Exhausted } else { FailureKind::Other };
    let reason = if reason.is_empty() { "AWS tells no reason" } else { reason.trim_end_matches('.') };
    Failure::new(kind, &at.operation, format!("{} is {state} instead of running: {reason}", at.id()))
        .hint("run the same command again: it makes a new one")
}

/// Why a member of a request has no machine.
fn fewer(at: &At<'_>, got: usize, asked: usize, why: Option<&Failure>) -> Failure {
    let told = why.map(|failure| format!(": {}", failure.message)).unwrap_or_default();
    let failure = Failure::new(
        FailureKind::Exhausted,
        &at.operation,
        format!("AWS had room for {got} of {asked} machines{told}"),
    );
    match why.and_then(|failure| failure.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure.hint("run the same command again later: it launches the rest"),
    }
}

fn outcome(item: &Item) -> Outcome {
    Outcome { id: item.id.clone(), outputs: outputs(item) }
}

/// A machine that was kept has its host keys already.
fn reused(item: &Item) -> Outcome {
    let mut outcome = outcome(item);
    outcome.outputs.extend(kept::host_keys(item).map(|keys| ("host_keys".into(), keys)));
    outcome
}

/// A stopped machine starts again; one that is still stopping is waited for first.
async fn start(at: &At<'_>, item: &Item) -> Result<(), Failure> {
    let filters = [Filter::is("instance-id", &item.id)];
    let poll = |awaits, done: fn(&str) -> bool| {
        let filters = filters.clone();
        async move {
            let done = |item: Option<&Item>| Ok(item.is_none_or(|item| done(item.text("state"))));
            at.poll(Listing::Instances, &filters, awaits, CAP, PATIENCE, done).await
        }
    };
    match item.text("state") {
        "stopping" => drop(poll("the machine to stop before it is started", |state| state != "stopping").await?),
        "stopped" => {}
        _ => return Ok(()),
    }
    at.send(Request::StartInstances { ids: vec![item.id.clone()] }).await?;
    poll("the machine to start", |state| state != "stopped").await.map(drop)
}

/// An attribute as declared, else as recorded.
fn asked<'a>(subject: &'a Subject, name: &str) -> &'a Value {
    let recorded = subject.record.as_ref().and_then(|record| record.attributes.get(name));
    subject.declared.get(name).or(recorded).unwrap_or(&Value::Unset)
}

/// Gives machines out: to records by id, to the rest by their own mark, then by their group's in launch order.
fn assign(mut items: BTreeMap<String, Item>, subjects: &[Subject]) -> Vec<Option<Item>> {
    let by_id = |subject: &Subject| subject.record.as_ref().and_then(|record| items.remove(&record.id));
    let mut found: Vec<Option<Item>> = subjects.iter().map(by_id).collect();
    let mut free: Vec<Item> = items.into_values().collect();
    free.sort_by(|a, b| launch_order(a).cmp(&launch_order(b)));
    for (subject, found) in subjects.iter().zip(&mut found).filter(|(subject, _)| subject.record.is_none()) {
        let exactly = |item: &Item| item.tags.get(tags::ADDRESS) == Some(&subject.address.short());
        let place = free
            .iter()
            .position(|item| exactly(item) && tags::is_address(item, &subject.address))
            .or_else(|| free.iter().position(|item| tags::is_address(item, &subject.address)));
        *found = place.map(|place| free.remove(place));
    }
    found
}

/// What of the declared attributes a machine tells, and whether it runs.
fn see(subject: &Subject, item: &Item, volumes: &BTreeMap<String, Item>) -> Seen {
    let state = item.text("state");
    let mut attributes = Attrs::new();
    let mut tell = |name: &str, value: Value| {
        if *asked(subject, name) != Value::Unset && value != Value::text("") {
            attributes.insert(name.into(), value);
        }
    };
    for name in ["type", "image", "key", "profile"] {
        tell(name, Value::text(item.text(name)));
    }
    if let Some(groups) = item.fields.get("groups") {
        tell("groups", groups.clone());
    }
    let subnets = asked(subject, "subnets");
    let there = texts(subnets).iter().any(|subnet| subnet == item.text("subnet"));
    tell("subnets", if there { subnets.clone() } else { Value::list([item.text("subnet")]) });
    let disks = asked(subject, "disks");
    // Until it runs, it tells of no disks.
    if disks::is_comparable(disks) && matches!(state, "running" | "stopped") {
        tell("disks", disks::seen(disks, item, volumes));
    }
    let mut outputs = outputs(item);
    let healthy = match state {
        "stopping" | "stopped" => {
            // It gets another one when it starts. Nobody asks for one where there was none.
            if subject.record.as_ref().is_some_and(|record| record.outputs.contains_key("public_ip")) {
                outputs.insert("public_ip".into(), Value::Unknown);
            }
            Health::Broken(format!("the machine is {state}"))
        }
        _ => Health::Ok,
    };
    Seen { attributes, outputs, healthy }
}
