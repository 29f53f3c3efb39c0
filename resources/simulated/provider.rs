//! The actor: a provider's calls, played in a world.
//!
//! It is as hard to use right as the hardest real service: a create that is repeated before the first one's object can be
//! seen makes a second object, members of a request get their marks one by one, and answers are lost.

use crate::{
    chance::Chance,
    conditions::Chaos,
    object::Object,
    world::{Inner, World},
};
use async_trait::async_trait;
use cloudtik_core::{
    Attrs, Effect, Failure, FailureKind, ProviderName, Retry, Value,
    batch::BatchKey,
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Rate, Refresh, Settled, Subject},
    schema::{Durations, KindSchema, OnChange},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// What a list or a lookup takes, in milliseconds.
const READ: u32 = 200;
/// What a refusal takes.
const REFUSAL: u32 = 100;
/// After this time without an answer nobody waits for one any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until there is stock again.
const RESTOCK: Duration = Duration::from_secs(20);
/// Kinds of which a cloud may have none left.
const FROM_STOCK: [&str; 2] = ["instance", "database"];

pub(crate) struct Actor {
    world: World,
    real: Arc<dyn Provider>,
    kinds: BTreeMap<&'static str, KindSchema>,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fortune {
    Fine,
    Throttled,
    Unavailable,
    Unheard,
    Dropped,
}

impl Fortune {
    fn of(chance: Chance, chaos: &Chaos) -> Self {
        let mut at = chance.of(&["fortune"], 0).fraction();
        let fortunes = [
            (chaos.throttled, Fortune::Throttled),
            (chaos.unavailable, Fortune::Unavailable),
            (chaos.unheard, Fortune::Unheard),
            (chaos.dropped, Fortune::Dropped),
        ];
        for (probability, fortune) in fortunes {
            if at < probability {
                return fortune;
            }
            at -= probability;
        }
        Fortune::Fine
    }
}

/// What an object has, and that it has no more of what is recorded: leaving it out would mean that it cannot be seen.
fn with_unset(attributes: &Attrs, subject: &Subject) -> Attrs {
    let recorded = subject.record.iter().flat_map(|record| record.attributes.keys());
    let mut seen: Attrs = recorded.map(|name| (name.clone(), Value::Unset)).collect();
    seen.extend(attributes.clone());
    seen
}

/// The part of a call's time that is left when it has had its effect.
fn rest(takes: Duration) -> Duration {
    Duration::from_millis(takes.as_millis() as u64 * 3 / 10)
}

fn failure(verb: &str, call: &Call, kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure::new(kind, format!("{verb} {}", call.address.short()), message)
}

fn throttled(verb: &str, call: &Call) -> Failure {
    failure(verb, call, FailureKind::Throttled, "too many requests").retry(Retry::Backoff)
}

fn unheard(verb: &str, call: &Call) -> Failure {
    failure(verb, call, FailureKind::Timeout, "no answer came").retry(Retry::Backoff).effect(Effect::Unknown)
}

impl Actor {
    pub fn new(world: &World, real: Arc<dyn Provider>) -> Self {
        let kinds = real.kinds().into_iter().map(|kind| (kind.kind, kind)).collect();
        Actor { world: world.clone(), real, kinds }
    }

    fn kind(&self, call: &Call) -> Result<&KindSchema, Failure> {
        let unknown = || failure("find", call, FailureKind::Bug, "its provider has no such kind");
        self.kinds.get(call.kind()).ok_or_else(unknown)
    }

    async fn read(&self) {
        self.world.boundary().await;
        sleep(Duration::from_millis(READ.into())).await;
    }

    /// Makes one request of all calls. Answers every call, in order.
    async fn request<T>(
        &self,
        verb: &'static str,
        takes: fn(&Durations) -> u32,
        calls: &[Call],
        effect: impl Fn(&mut Inner, &Call, Chance) -> Result<T, Failure>,
    ) -> Vec<Result<T, Failure>> {
        let Some(first) = calls.first() else { return Vec::new() };
        let all = |failure: fn(&str, &Call) -> Failure| calls.iter().map(|call| Err(failure(verb, call))).collect();
        let kind = match self.kind(first) {
            Ok(kind) => kind,
            Err(bug) => return calls.iter().map(|_| Err(bug.clone())).collect(),
        };
        self.world.boundary().await;
        let refusal = Duration::from_millis(REFUSAL.into());
        if let Some(rate) = self.real.rate(kind.kind, verb) {
            let Some(turn) = self.world.turn(rate) else {
                sleep(refusal).await;
                return all(throttled);
            };
            if !turn.is_zero() {
                first.say(format!("waits for its turn: {} may come {} times a second", rate.name, rate.per_second));
                sleep(turn).await;
            }
        }
        self.world.count(verb, calls);
        let chance = self.world.draw(verb, first);
        let takes = self.world.takes(takes(&kind.durations), chance);
        let fortune = Fortune::of(chance, &self.world.conditions().chaos);
        self.say(verb, calls, &format!("{fortune:?}"));
        match fortune {
            Fortune::Throttled => {
                sleep(refusal).await;
                return all(throttled);
            }
            Fortune::Unavailable => {
                sleep(refusal).await;
                return all(|verb, call| {
                    let why = "the service is not available for now";
                    failure(verb, call, FailureKind::Other, why).retry(Retry::Backoff)
                });
            }
            Fortune::Dropped => {
                sleep(PATIENCE).await;
                return all(unheard);
            }
            Fortune::Fine | Fortune::Unheard => {}
        }
        let before = takes - rest(takes);
        sleep(before).await;
        let results: Vec<Result<T, Failure>> = {
            let mut inner = self.world.lock();
            calls.iter().map(|call| effect(&mut inner, call, chance)).collect()
        };
        self.world.boundary().await;
        if fortune == Fortune::Unheard {
            sleep(PATIENCE.saturating_sub(before)).await;
            return all(unheard);
        }
        sleep(rest(takes)).await;
        results
    }

    async fn one<T>(
        &self,
        verb: &'static str,
        takes: fn(&Durations) -> u32,
        call: &Call,
        effect: impl Fn(&mut Inner, &Call, Chance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.request(verb, takes, std::slice::from_ref(call), effect).await.remove(0)
    }

    fn say(&self, verb: &str, calls: &[Call], how: &str) {
        let names: Vec<String> = calls.iter().map(|call| call.address.short()).collect();
        self.world.lock().note(&format!("{verb} {}: {how}", names.join(" ")));
    }

    /// Makes an object, unless this call is seen to have made it before.
    fn make(&self, inner: &mut Inner, call: &Call, chance: Chance) -> Result<Outcome, Failure> {
        let (now, kind, conditions) = (inner.now(), self.kind(call)?, self.world.conditions());
        let own = chance.of(&[&call.address.short()], 0);
        let twin = inner.objects.iter().find(|(_, o)| o.made_by(call)).map(|(id, o)| (id.clone(), o.clone()));
        match twin {
            Some((id, object)) if object.visible <= now => return Ok(Outcome { id, outputs: object.outputs }),
            Some((id, _)) => inner.wrong(format!("{} is made again while {id} cannot be seen yet", call.address)),
            None => self.refuse_second(inner, call)?,
        }
        if FROM_STOCK.contains(&kind.kind) && own.of(&["stock"], 0).happens(conditions.chaos.exhausted) {
            let none = failure("create", call, FailureKind::Exhausted, "there is no capacity left for now");
            return Err(match own.of(&["restock"], 0).happens(0.5) {
                true => none.retry(Retry::After(RESTOCK)),
                false => none.hint("ask for another type or zone, or run the same command again later"),
            });
        }
        // Readiness counts from the answer.
        let answer = rest(self.world.takes(kind.durations.create, chance));
        inner.made += 1;
        let id = format!("simulated-{}", inner.made);
        let lag = match conditions.lag {
            true => kind.consistency_window.mul_f64(own.of(&["lag"], 0).fraction()),
            false => Duration::ZERO,
        };
        let outputs = inner.wanted.outputs(&call.address, &id, inner.made, &call.attributes, kind);
        let follows = kind.predict.map(|predict| predict(&call.attributes)).unwrap_or_default();
        let object = Object {
            id: id.clone(),
            own: outputs.keys().filter(|name| !follows.contains_key(*name)).cloned().collect(),
            provider: self.real.name(),
            address: call.address.clone(),
            attributes: call.attributes.clone(),
            outputs,
            fixed: kind
                .attributes
                .iter()
                .filter(|a| matches!(a.on_change, OnChange::Replace))
                .map(|a| a.name)
                .collect(),
            token: call.operation.clone(),
            launch: call.batch.as_ref().map(|batch| (batch.id.clone(), batch.index)),
            marked: call.batch.is_none(),
            home: inner.home(&call.address),
            visible: now + Duration::from_millis(lag.as_millis() as u64),
            ready: now + answer + self.world.takes(kind.durations.ready, own.of(&["ready"], 0)),
        };
        inner.note(&format!("  {id} is {}", call.address.short()));
        let outcome = Outcome { id: id.clone(), outputs: object.outputs.clone() };
        inner.objects.insert(id, object);
        Ok(outcome)
    }

    /// A second object of one address is there only while the first is being replaced.
    fn refuse_second(&self, inner: &mut Inner, call: &Call) -> Result<(), Failure> {
        let known = |id: &str| {
            call.record.iter().any(|record| record.id == id || record.deposed.values().any(|old| old.id == id))
        };
        let second =
            inner.objects.iter().find(|(id, o)| o.address == call.address && !known(id)).map(|(id, _)| id.clone());
        let Some(id) = second else { return Ok(()) };
        inner.wrong(format!("{} is made while {id} is there and forgotten", call.address));
        Err(failure("create", call, FailureKind::AlreadyExists, "another operation made it before"))
    }

    fn change(&self, inner: &mut Inner, call: &Call) -> Result<Outcome, Failure> {
        let kind = self.kind(call)?;
        let key = call.record.as_ref().and_then(|record| inner.find(record));
        let Some(object) = key.and_then(|key| inner.objects.get_mut(&key)) else {
            return Err(failure("update", call, FailureKind::NotFound, "there is no such object"));
        };
        object.attributes = call.attributes.clone();
        object.outputs.extend(kind.predict.map(|predict| predict(&call.attributes)).unwrap_or_default());
        object.outputs.extend(call.promised.clone());
        object.marked = true;
        Ok(Outcome { id: object.id.clone(), outputs: object.outputs.clone() })
    }

    fn remove(&self, inner: &mut Inner, call: &Call) -> Result<(), Failure> {
        let Some(id) = call.record.as_ref().and_then(|record| inner.find(record)) else { return Ok(()) };
        // Of what was there before only its provider knows what its id means elsewhere.
        let users = if id.starts_with("simulated-") { inner.users(&id) } else { Vec::new() };
        if !users.is_empty() {
            let users = users.join(", ");
            return Err(failure("delete", call, FailureKind::InUse, format!("still used by {users}")));
        }
        inner.destroy(&id);
        Ok(())
    }

    fn observe(&self, inner: &Inner, subject: &Subject) -> Observed {
        let now = inner.now();
        let found = match &subject.record {
            Some(record) => inner.find(record).and_then(|key| inner.objects.get(&key)),
            None => inner.objects.values().find(|o| o.marked && o.address == subject.address),
        };
        let presence = match found.filter(|o| o.visible <= now) {
            None => Presence::Absent,
            Some(o) => Presence::Present {
                id: o.id.clone(),
                attributes: with_unset(&o.attributes, subject),
                outputs: o.outputs.clone(),
                healthy: Health::Ok,
                owned: o.marked,
            },
        };
        Observed { address: subject.address.clone(), presence }
    }
}

#[async_trait]
impl Provider for Actor {
    fn name(&self) -> ProviderName {
        self.real.name()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        self.real.kinds()
    }

    fn concurrency(&self) -> usize {
        self.real.concurrency()
    }

    fn rate(&self, kind: &str, verb: &str) -> Option<Rate> {
        self.real.rate(kind, verb)
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        self.real.batch(call).filter(|_| self.world.conditions().batching)
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        self.read().await;
        let inner = self.world.lock();
        Ok(refresh.subjects.iter().map(|subject| self.observe(&inner, subject)).collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.one("create", |d| d.create, call, |inner, call, chance| self.make(inner, call, chance)).await
    }

    /// As clouds launch machines: they are there before each gets its mark, and some may be missing.
    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let effect = |inner: &mut Inner, call: &Call, chance| self.make(inner, call, chance);
        let results = self.request("create", |d| d.create, calls, effect).await;
        for outcome in results.iter().flatten() {
            if let Some(object) = self.world.lock().objects.get_mut(&outcome.id) {
                object.marked = true;
            }
            self.world.boundary().await;
        }
        results
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        self.one("update", |d| d.update, call, |inner, call, _| self.change(inner, call)).await
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.one("delete", |d| d.delete, call, |inner, call, _| self.remove(inner, call)).await
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        self.request("delete", |d| d.delete, calls, |inner, call, _| self.remove(inner, call)).await
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let ready = {
            let inner = self.world.lock();
            let key = call.record.as_ref().and_then(|record| inner.find(record));
            key.and_then(|key| inner.objects.get(&key)).map(|o| o.ready)
        };
        let Some(ready) = ready else {
            return Err(failure("await", call, FailureKind::NotFound, "there is no such object"));
        };
        let ready = ready.max(self.booted(call));
        let left = ready.saturating_sub(self.world.elapsed());
        if left.is_zero() {
            return Ok(Attrs::new());
        }
        sleep(left).await;
        if self.world.draw("await", call).happens(self.world.conditions().chaos.unready) {
            self.say("await", std::slice::from_ref(call), "not ready");
            let hint = "run the same command again: it waits on";
            return Err(
                failure("await", call, FailureKind::Timeout, "it is there and does not become ready").hint(hint)
            );
        }
        Ok(Attrs::new())
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        self.read().await;
        let mut inner = self.world.lock();
        let now = inner.now();
        let found = inner.objects.iter_mut().find(|(_, o)| o.made_by(call) && o.visible <= now);
        Ok(found.map_or(Settled::Absent, |(id, object)| {
            object.marked = true;
            Settled::Found(Outcome { id: id.clone(), outputs: object.outputs.clone() })
        }))
    }
}

impl Actor {
    /// When the machine that this one waits for lets anybody in, and this is ready behind it.
    fn booted(&self, call: &Call) -> Duration {
        let boot = self.world.conditions().boot.filter(|boot| boot.kind == call.kind());
        let machine = boot.and_then(|boot| Some((boot, call.attributes.get(boot.machine)?.as_text()?)));
        let Some((boot, id)) = machine else { return Duration::ZERO };
        let own = self.kinds.get(call.kind()).map_or(0, |kind| kind.durations.ready);
        let machine = self.world.lock().objects.get(id).map(|o| o.ready).unwrap_or_default();
        machine + boot.takes + Duration::from_millis(own.into())
    }
}
