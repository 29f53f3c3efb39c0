//! The world itself: what exists, what time it is, and one life after another.

use crate::{
    bucket::Bucket,
    chance::Chance,
    clock::{self, Clock},
    conditions::{Busy, Conditions},
    crash::Crash,
    object::Object,
    outputs::Wanted,
    provider::Actor,
};
use cloudtik_core::{
    Address, Declaration, Value,
    provider::{Call, Provider, Rate},
    state::{Record, Snapshot},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::runtime::Builder;

/// After a kill the same command is run again within this time.
const RESTART: Duration = Duration::from_secs(180);

/// Shared by its providers and by who looks at it from outside.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    crash: Crash,
    conditions: Conditions,
    chance: Chance,
}

#[derive(Default)]
pub(crate) struct Inner {
    clock: Clock,
    pub objects: BTreeMap<String, Object>,
    pub made: u64,
    pub homes: BTreeMap<Address, Address>,
    pub wanted: Wanted,
    buckets: BTreeMap<&'static str, Bucket>,
    /// How often each call was made.
    attempts: BTreeMap<(&'static str, Address), u64>,
    lives: u64,
    ended: Duration,
    kills: u32,
    log: Vec<String>,
    wrongs: Vec<String>,
    calls: u64,
    called: Vec<(&'static str, Address)>,
    refused: u64,
}

impl Inner {
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    pub fn note(&mut self, what: &str) {
        let now = self.now();
        self.log.push(format!("{}.{:03} {what}", now.as_secs(), now.subsec_millis()));
    }

    /// Something that no correct program makes happen.
    pub fn wrong(&mut self, what: String) {
        self.note(&format!("wrong: {what}"));
        self.wrongs.push(what);
    }

    /// Puts there what was made elsewhere, where one id may be that of several objects.
    fn put(&mut self, deposed: &str, object: Object) {
        let taken = object.id.is_empty() || self.objects.contains_key(&object.id);
        let key = if taken { format!("{} {} {deposed}", object.id, object.address) } else { object.id.clone() };
        self.objects.insert(key, object);
    }

    /// The key of the object that a record is about.
    pub fn find(&self, record: &Record) -> Option<String> {
        let about = |o: &Object| o.id == record.id && o.address == record.address;
        if self.objects.get(&record.id).is_some_and(about) {
            return Some(record.id.clone());
        }
        self.objects.iter().find(|(_, o)| about(o)).map(|(key, _)| key.clone())
    }

    /// The object that something new at this address lives in.
    pub fn home(&self, address: &Address) -> Option<String> {
        let home = self.homes.get(address)?;
        let there = self.objects.iter().filter(|(_, o)| o.marked && o.address == *home);
        there.max_by_key(|(id, _)| (id.len(), id.as_str())).map(|(id, _)| id.clone())
    }

    /// Takes an object away, with all that lives in it.
    pub fn destroy(&mut self, id: &str) {
        self.objects.remove(id);
        let inside = self.objects.iter().filter(|(_, o)| o.home.as_deref() == Some(id));
        for inner in inside.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.destroy(&inner);
        }
    }

    /// Objects outside of it that are built on this one. What names it and can be told another name is no hindrance.
    pub fn users(&self, id: &str) -> Vec<String> {
        let built = |o: &Object| o.fixed.iter().any(|name| o.attributes.get(*name).is_some_and(|v| names(v, id)));
        self.objects.values().filter(|o| o.home.as_deref() != Some(id) && built(o)).map(|o| o.address.short()).collect()
    }
}

fn names(value: &Value, id: &str) -> bool {
    match value {
        Value::Text(text) => &**text == id,
        Value::List(items) | Value::Concat(items) => items.iter().any(|v| names(v, id)),
        Value::Map(map) => map.values().any(|v| names(v, id)),
        _ => false,
    }
}

impl World {
    pub fn new(conditions: Conditions) -> Self {
        let chance = Chance::new(conditions.seed);
        World(Arc::new(Shared { inner: Mutex::default(), crash: Crash::default(), conditions, chance }))
    }

    /// An actor that plays this provider here. Nothing of the real one is used but what it is and what it promises.
    pub fn provider(&self, real: Arc<dyn Provider>) -> Arc<dyn Provider> {
        Arc::new(Actor::new(self, real))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked while holding it has failed the run already.
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn conditions(&self) -> &Conditions {
        &self.0.conditions
    }

    /// Learns what lives in what, and which outputs others wait for.
    pub fn meet(&self, declarations: &[Declaration]) {
        let mut inner = self.lock();
        for declaration in declarations {
            inner.wanted.learn(declaration);
            if let Some(home) = &declaration.lifecycle.gone_with {
                inner.homes.insert(declaration.address.clone(), home.clone());
            }
        }
    }

    /// Puts there what a state has recorded.
    pub fn hold(&self, state: &Snapshot) {
        let mut inner = self.lock();
        for record in state.records.values() {
            if let Some(home) = &record.lifecycle.gone_with {
                inner.homes.insert(record.address.clone(), home.clone());
            }
            let object = Object::recorded(record);
            for (key, old) in &record.deposed {
                let (attributes, outputs) = (old.attributes.clone(), old.outputs.clone());
                let deposed = Object { id: old.id.clone(), attributes, outputs, ..object.clone() };
                inner.put(key, deposed);
            }
            if !record.only_deposed {
                inner.put("", object);
            }
        }
        let homes: Vec<(String, String)> =
            inner.objects.iter().filter_map(|(id, o)| Some((id.clone(), inner.home(&o.address)?))).collect();
        for (id, home) in homes {
            if let Some(object) = inner.objects.get_mut(&id) {
                object.home = Some(home);
            }
        }
    }

    /// Runs `work` as one process lives in this world: on a clock that jumps to whatever comes next, and with everything that
    /// it started gone when it ends. `None`: it was killed, at boundary `ends_at` from 0. Boundaries are before each
    /// request, between its effect and its answer, and around each write of a [`crate::Doomed`] store.
    ///
    /// The thread must not be one that runs another runtime.
    pub fn live<T>(&self, ends_at: Option<u64>, work: impl Future<Output = T>) -> Option<T> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without input and output needs nothing of the system");
        self.0.crash.start(ends_at);
        let ended = runtime.block_on(async {
            self.lock().clock.start();
            let ended = tokio::select! {
                biased;
                () = self.0.crash.killed() => None,
                ended = work => Some(ended).filter(|_| !self.0.crash.is_killed()),
            };
            self.lock().clock.stop();
            ended
        });
        drop(runtime);
        let mut inner = self.lock();
        inner.lives += 1;
        inner.ended = inner.now();
        if ended.is_none() {
            inner.kills += 1;
            inner.note("killed");
            let pause = self.0.chance.of(&["restart"], inner.lives).below(RESTART.as_millis() as u64);
            inner.clock.skip(Duration::from_millis(pause));
        }
        ended
    }

    /// Where the next life is to be killed, if it has about so many boundaries: within the bounds of [`crate::Chaos::kills`].
    pub fn fate(&self, boundaries: u64) -> Option<u64> {
        let inner = self.lock();
        let chance = self.0.chance.of(&["fate"], inner.lives);
        (inner.kills < self.conditions().chaos.kills && chance.happens(0.7)).then(|| {
            let again = self.0.chance.of(&["fate", "where"], inner.lives);
            again.below(boundaries.max(1))
        })
    }

    /// Boundaries that the present or last life has passed.
    pub fn passed(&self) -> u64 {
        self.0.crash.passed()
    }

    pub(crate) fn passes(&self) -> bool {
        self.0.crash.passes()
    }

    pub(crate) async fn boundary(&self) {
        self.0.crash.boundary().await;
    }

    /// Since the world began.
    pub fn elapsed(&self) -> Duration {
        self.lock().now()
    }

    /// When the last life ended.
    pub fn ended(&self) -> Duration {
        self.lock().ended
    }

    pub fn now(&self) -> Timestamp {
        clock::timestamp(self.elapsed())
    }

    /// What chance has for the next call of this kind on this resource.
    pub(crate) fn draw(&self, verb: &'static str, call: &Call) -> Chance {
        let mut inner = self.lock();
        let attempt = inner.attempts.entry((verb, call.address.clone())).or_default();
        *attempt += 1;
        self.0.chance.of(&[verb, &call.address.to_string()], *attempt)
    }

    /// A call that takes `millis` typically takes this now.
    pub(crate) fn takes(&self, millis: u32, chance: Chance) -> Duration {
        let factor = self.conditions().spread.powf(2.0 * chance.of(&["takes"], 0).fraction() - 1.0);
        Duration::from_millis((f64::from(millis) * factor).round() as u64)
    }

    /// Whether a request may go, and when.
    pub(crate) fn turn(&self, rate: Rate) -> Option<Duration> {
        let busy = self.conditions().busy;
        let mut inner = self.lock();
        let now = inner.now();
        let bucket = inner.buckets.entry(rate.name).or_insert_with(|| Bucket::new(rate, now));
        let turn = match busy {
            Busy::Waits => Some(bucket.queue(now)),
            Busy::Refused => bucket.take(now).then_some(Duration::ZERO),
        };
        inner.refused += u64::from(turn.is_none());
        turn
    }

    pub(crate) fn count(&self, verb: &'static str, calls: &[Call]) {
        let mut inner = self.lock();
        inner.calls += calls.len() as u64;
        inner.called.extend(calls.iter().map(|call| (verb, call.address.clone())));
    }

    /// The changes asked for since this was last asked.
    pub fn called(&self) -> Vec<(&'static str, Address)> {
        std::mem::take(&mut self.lock().called)
    }

    /// Changes that were asked for, one for each member of a request.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Requests that were one too many.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// Writes a remark of the caller's into the log.
    pub fn remark(&self, what: &str) {
        self.lock().note(what);
    }

    /// What happened, in order, each line with its second.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// What no correct program makes happen: an object made twice.
    pub fn wrongs(&self) -> Vec<String> {
        self.lock().wrongs.clone()
    }

    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.lock().objects.clone()
    }

    /// What exists, without ids and times: worlds that mean the same are equal.
    pub fn shape(&self) -> Vec<String> {
        let inner = self.lock();
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        for object in inner.objects.values() {
            known.insert(&object.id, object.address.short());
            for name in &object.own {
                let text = object.outputs.get(name).and_then(Value::as_text).filter(|text| !text.is_empty());
                text.map(|text| known.entry(text).or_insert_with(|| format!("{} {name}", object.address.short())));
            }
        }
        let plain = |value: &Value| value.as_text().and_then(|text| known.get(text).cloned());
        let one = |object: &Object| {
            let attributes: BTreeMap<&String, String> =
                object.attributes.iter().map(|(k, v)| (k, plain(v).unwrap_or_else(|| v.display()))).collect();
            format!("{} {attributes:?} marked {}", object.address, object.marked)
        };
        let mut shape: Vec<String> = inner.objects.values().map(one).collect();
        shape.sort();
        shape
    }

    /// Objects that carry, or will carry, our mark and that none of these states knows of, be it as an open intent. What lives in
    /// a home that is deposed goes with it.
    pub fn lost<'a>(&self, states: impl IntoIterator<Item = &'a Snapshot> + Clone) -> Vec<String> {
        let records = || states.clone().into_iter().flat_map(|state| state.records.values());
        let deposed: BTreeSet<&str> = records().flat_map(|r| r.deposed.values()).map(|old| old.id.as_str()).collect();
        let ids: BTreeSet<&str> = records().map(|r| r.id.as_str()).chain(deposed.iter().copied()).collect();
        let leaves = |object: &Object| object.home.as_deref().is_some_and(|home| deposed.contains(home));
        let open: Vec<_> = states.into_iter().flat_map(|state| &state.open).collect();
        let intended = |object: &Object| {
            let place = |i: &&cloudtik_core::state::Intent| i.batch.as_ref().map(|b| (b.id.clone(), b.index));
            open.iter().any(|i| i.operation == object.token || (object.launch.is_some() && object.launch == place(i)))
        };
        let inner = self.lock();
        let lost = inner.objects.values().filter(|o| !ids.contains(o.id.as_str()) && !intended(o) && !leaves(o));
        lost.map(|o| format!("{} of {}", o.id, o.address)).collect()
    }
}
