//! A small world with a provider in front of it: it keeps state, refuses what a real service refuses, and can be made to
//! fail, to lose answers, or to stop dead at any point of a run.
//!
//! Kinds: `net` and `sub` (replaced on `cidr`; a `sub` also on `net`), `vm` (replaced on `image` and `sub` and when its `disk`
//! shrinks, `size` in place), `image` (its output `version` is pinned to the newest at its creation),
//! `part` (lives in a `vm`, predicts the `digest` of its `content`), `lb` (replaced on `port` and `net`, created before its predecessor goes), `vault`
//! (holds data). An object whose attributes hold another's id cannot be made without it, and that one cannot go first.

use async_trait::async_trait;
use cloudtik_core::{
    Address, Attrs, Declaration, Effect, Failure, FailureKind, Lifecycle, Needs, ProviderName, Retry, Scope, Value,
    batch::{Batch, BatchKey},
    plan::OperationId,
    provider::{Call, Health, Observed, Outcome, Presence, Provider, Refresh, Settled},
    schema::{Durations, KindSchema},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// One real object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// The mark that makes it ours; `None` for a foreign one.
    pub owner: Option<Address>,
    pub kind: String,
    pub attributes: Attrs,
    pub outputs: Attrs,
    pub token: Option<OperationId>,
    /// The request of several that made it, and its place there.
    pub launch: Option<(String, u32)>,
    made: Instant,
    /// Whether it carries our mark; one that does not only has the name.
    pub marked: bool,
    pub broken: Option<String>,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call fails without effect.
    Fail,
    /// So many times without effect, and the service asks to try again.
    Throttle(u32),
    /// The call has its effect, its answer is lost.
    LoseAnswer,
    /// The call is lost on its way: no effect, and no answer.
    Drop,
    /// The call has its effect, and the provider panics with all that it was given.
    Panic,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Object>,
    next: u64,
    /// Mutating requests, each with its calls.
    requests: Vec<Vec<String>>,
    /// Whether alike calls go together.
    batching: bool,
    /// How long an object is not seen by a lookup after it was made.
    lag: Duration,
    faults: Vec<(String, String, Fault)>,
    /// Objects that `ready` refuses to call ready.
    unready: BTreeSet<Address>,
    /// The newest version of every `image`, from 0.
    newest: u32,
    /// Whether pinned images are asked to follow the newest.
    follow: bool,
}

#[derive(Default)]
struct Blade {
    passed: usize,
    falls_at: Option<usize>,
    fallen: bool,
}

/// A point at which a run can be made to stop dead, as by SIGKILL. Counts every boundary that is passed.
#[derive(Default)]
pub struct Guillotine {
    state: Mutex<Blade>,
    fell: Notify,
}

impl Guillotine {
    /// Falls at the `n`th boundary from now, counted from 0.
    pub fn set(&self, n: usize) {
        *self.lock() = Blade { falls_at: Some(n), ..Blade::default() };
    }

    pub fn lift(&self) {
        *self.lock() = Blade::default();
    }

    /// Boundaries passed since it was set or lifted.
    pub fn passed(&self) -> usize {
        self.lock().passed
    }

    /// Counts a boundary; `true` when the run ends here.
    pub fn falls(&self) -> bool {
        let mut blade = self.lock();
        let falls = blade.falls_at.is_some_and(|n| blade.passed >= n);
        blade.passed += 1;
        blade.fallen |= falls;
        if falls {
            self.fell.notify_one();
        }
        falls
    }

    /// Returns when it has fallen.
    pub async fn fallen(&self) {
        while !self.lock().fallen {
            self.fell.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Blade> {
        self.state.lock().expect("no panic holds this lock")
    }
}

/// The world, shared by its provider and the test that looks at it from outside.
#[derive(Clone, Default)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
    pub guillotine: Arc<Guillotine>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic holds this lock")
    }

    /// Everything there is, by id.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.lock().objects.clone()
    }

    /// What there is, without ids and tokens: equal worlds compare equal.
    pub fn shape(&self) -> Vec<(Option<Address>, String, String)> {
        let inner = self.lock();
        let owner_of = |text: &str| {
            let by_ip = || inner.objects.values().find(|o| o.outputs.get("ip").and_then(Value::as_text) == Some(text));
            inner.objects.get(text).or_else(by_ip).and_then(|o| o.owner.as_ref()).map(Address::short)
        };
        let mut shape: Vec<_> = inner
            .objects
            .values()
            .map(|o| {
                let attributes: BTreeMap<&String, String> = o
                    .attributes
                    .iter()
                    .map(|(k, v)| (k, v.as_text().and_then(owner_of).unwrap_or_else(|| v.display())))
                    .collect();
                (o.owner.clone(), o.kind.clone(), format!("{attributes:?} broken {:?}", o.broken))
            })
            .collect();
        shape.sort();
        shape
    }

    /// Mutating calls so far, as `create net.a`.
    pub fn calls(&self) -> Vec<String> {
        self.lock().requests.concat()
    }

    /// The same, by request.
    pub fn requests(&self) -> Vec<Vec<String>> {
        self.lock().requests.clone()
    }

    /// From now on up to three calls on one kind go in one request.
    pub fn batch(&self) {
        self.lock().batching = true;
    }

    /// From now on a lookup does not see what was made in the last `lag`.
    pub fn lag(&self, lag: Duration) {
        self.lock().lag = lag;
    }

    /// A run on a clock of its own begins: whatever is there was made before it.
    pub fn begin(&self) {
        let now = Instant::now();
        self.lock().objects.values_mut().for_each(|o| o.made = o.made.min(now));
    }

    pub fn forget_calls(&self) {
        self.lock().requests.clear();
    }

    /// Nothing that has not gone wrong yet does.
    pub fn calm(&self) {
        self.lock().faults.clear();
    }

    /// The next call `verb` on `short` goes wrong.
    pub fn fault(&self, verb: &str, short: &str, fault: Fault) {
        self.lock().faults.push((verb.into(), short.into(), fault));
    }

    pub fn never_ready(&self, address: &Address, never: bool) {
        let mut inner = self.lock();
        if never {
            inner.unready.insert(address.clone())
        } else {
            inner.unready.remove(address)
        };
    }

    /// Something that is not ours.
    pub fn foreign(&self, id: &str) {
        let object = Object {
            owner: None,
            kind: "net".into(),
            attributes: Attrs::new(),
            outputs: Attrs::new(),
            token: None,
            launch: None,
            made: Instant::now(),
            marked: false,
            broken: None,
        };
        self.lock().objects.insert(id.into(), object);
    }

    /// Changes an object behind the engine's back; `None` removes it with all that lives in it.
    pub fn meddle(&self, short: &str, change: Option<&mut dyn FnMut(&mut Object)>) {
        let mut inner = self.lock();
        let id = inner
            .objects
            .iter()
            .find(|(_, o)| o.owner.as_ref().is_some_and(|a| a.short() == short))
            .map(|(id, _)| id.clone())
            .expect("the object to meddle with exists");
        match change {
            Some(change) => change(inner.objects.get_mut(&id).expect("just found")),
            None => inner.destroy(&id),
        }
    }

    /// A newer version of every `image` comes out, and whether those that are pinned are asked to follow.
    pub fn release(&self, follow: bool) {
        let mut inner = self.lock();
        inner.newest += 1;
        inner.follow = follow;
    }

    pub fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Fake { world: self.clone(), name: "fake" })
    }

    /// The same world behind another provider, `twin`, which changes the `cidr` of a `net` in place.
    pub fn twin(&self) -> Arc<dyn Provider> {
        Arc::new(Fake { world: self.clone(), name: "twin" })
    }

    /// Counts a boundary, and stops for ever where the guillotine falls.
    async fn boundary(&self) {
        if self.guillotine.falls() {
            std::future::pending::<()>().await;
        }
    }
}

impl Inner {
    fn see(&self, id: &str, object: &Object) -> Presence {
        let newest = Value::text(format!("v{}", self.newest));
        let mut outputs = object.outputs.clone();
        let outdated = self.follow && outputs.get("version").is_some_and(|version| *version != newest);
        if outdated {
            outputs.insert("version".into(), newest.clone());
        }
        let healthy = match &object.broken {
            Some(why) => Health::Broken(why.clone()),
            None if outdated => Health::Outdated(format!("{} is out", newest.as_text().unwrap_or_default())),
            None => Health::Ok,
        };
        let (id, attributes) = (id.to_string(), object.attributes.clone());
        Presence::Present { id, attributes, outputs, healthy, owned: object.marked }
    }

    fn users(&self, id: &str) -> Vec<String> {
        let uses = |o: &Object| o.kind != "part" && o.attributes.values().any(|v| v.as_text() == Some(id));
        self.objects.iter().filter(|(_, o)| uses(o)).map(|(id, _)| id.clone()).collect()
    }

    fn make(&mut self, call: &Call, place: Option<&Batch>) -> Result<Outcome, Failure> {
        let launch = place.map(|batch| (batch.id.clone(), batch.index));
        let ours = |o: &Object| o.token.as_ref() == Some(&call.operation) || (launch.is_some() && o.launch == launch);
        if let Some((id, o)) = self.objects.iter().find(|(_, o)| ours(o)) {
            return Ok(Outcome { id: id.clone(), outputs: o.outputs.clone() });
        }
        for (name, value) in &call.attributes {
            let id = value.as_text().filter(|text| text.starts_with("id-"));
            if id.is_some_and(|id| !self.objects.contains_key(id)) {
                return Err(failure(call, "create", FailureKind::NotFound, format!("`{name}` does not exist")));
            }
        }
        let replaced: Vec<&str> = call
            .record
            .iter()
            .flat_map(|r| std::iter::once(&r.id).chain(r.deposed.values().map(|d| &d.id)).map(String::as_str))
            .collect();
        let mut others = self.objects.iter().filter(|(id, _)| !replaced.contains(&id.as_str()));
        // Parts of one name in two machines, one of them about to go, are not in each other's way.
        let elsewhere = |o: &Object| o.kind == "part" && o.attributes.get("vm") != call.attributes.get("vm");
        if others.any(|(_, o)| o.owner.as_ref() == Some(&call.address) && !elsewhere(o)) {
            let why = "it was made before, by another operation";
            return Err(failure(call, "create", FailureKind::AlreadyExists, why));
        }
        self.next += 1;
        let id = format!("id-{}", self.next);
        let mut outputs = digest(&call.attributes);
        outputs.insert("id".into(), Value::text(&id));
        outputs.insert("ip".into(), Value::text(format!("10.0.0.{}", self.next)));
        if call.kind() == "image" {
            outputs.insert("version".into(), Value::text(format!("v{}", self.newest)));
        }
        let object = Object {
            owner: None,
            kind: call.kind().into(),
            attributes: call.attributes.clone(),
            outputs: outputs.clone(),
            token: None,
            launch,
            made: Instant::now(),
            marked: false,
            broken: None,
        };
        self.objects.insert(id.clone(), object);
        if place.is_none() {
            self.mark(&id, call);
        }
        Ok(Outcome { id, outputs })
    }

    fn mark(&mut self, id: &str, call: &Call) {
        if let Some(object) = self.objects.get_mut(id) {
            object.owner = Some(call.address.clone());
            object.token = Some(call.operation.clone());
            object.marked = true;
        }
    }

    fn unmake(&mut self, call: &Call) -> Result<(), Failure> {
        let id = call.record.as_ref().map(|r| r.id.clone()).unwrap_or_default();
        let users = self.users(&id);
        if !users.is_empty() {
            return Err(failure(call, "delete", FailureKind::InUse, format!("still used by {}", users.join(", "))));
        }
        self.destroy(&id);
        Ok(())
    }

    fn destroy(&mut self, id: &str) {
        self.objects.remove(id);
        self.objects.retain(|_, o| !(o.kind == "part" && o.attributes.get("vm").and_then(Value::as_text) == Some(id)));
    }

    fn take_fault(&mut self, verb: &str, address: &Address) -> Option<Fault> {
        let at = self.faults.iter().position(|(v, short, _)| v == verb && *short == address.short())?;
        Some(self.faults.remove(at).2)
    }
}

/// How long a new object may not be seen.
pub const WINDOW: Duration = Duration::from_secs(30);

struct Fake {
    world: World,
    name: &'static str,
}

fn failure(call: &Call, verb: &str, kind: FailureKind, message: impl Into<String>) -> Failure {
    Failure::new(kind, format!("{verb} {}", call.address.short()), message)
}

impl Fake {
    /// Runs one mutating call between two boundaries, with the fault that was asked for.
    async fn call<T>(
        &self,
        verb: &str,
        call: &Call,
        effect: impl Fn(&mut Inner, &Call) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.request(verb, std::slice::from_ref(call), effect).await.remove(0)
    }

    /// The same for several calls in one request. A fault of one member is its own, but for a lost answer, which is
    /// everybody's.
    async fn request<T>(
        &self,
        verb: &str,
        calls: &[Call],
        effect: impl Fn(&mut Inner, &Call) -> Result<T, Failure>,
    ) -> Vec<Result<T, Failure>> {
        self.world.boundary().await;
        let (mut lost, mut panics) = (false, false);
        let results = {
            let mut inner = self.world.lock();
            inner.requests.push(calls.iter().map(|call| format!("{verb} {}", call.address.short())).collect());
            let mut one = |call: &Call| match inner.take_fault(verb, &call.address) {
                Some(Fault::Fail) => Err(failure(call, verb, FailureKind::Other, "the service refuses")),
                Some(Fault::Throttle(times)) => {
                    if times > 1 {
                        inner.faults.push((verb.into(), call.address.short(), Fault::Throttle(times - 1)));
                    }
                    Err(failure(call, verb, FailureKind::Throttled, "slow down").retry(Retry::Backoff))
                }
                fault => {
                    let unheard = matches!(fault, Some(Fault::Drop));
                    lost |= unheard || matches!(fault, Some(Fault::LoseAnswer));
                    panics |= matches!(fault, Some(Fault::Panic));
                    if unheard { Err(failure(call, verb, FailureKind::Timeout, "")) } else { effect(&mut inner, call) }
                }
            };
            calls.iter().map(&mut one).collect()
        };
        self.world.boundary().await;
        let given: Vec<_> = calls.iter().map(|call| &call.attributes).collect();
        assert!(!panics, "{verb}: {given:?}");
        let unknown = |call: &Call| {
            Err(failure(call, verb, FailureKind::Timeout, "no answer").effect(Effect::Unknown).retry(Retry::Backoff))
        };
        if lost { calls.iter().map(unknown).collect() } else { results }
    }
}

#[async_trait]
impl Provider for Fake {
    fn name(&self) -> ProviderName {
        self.name.into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        let slow = Durations { create: 400, ready: 200, update: 100, delete: 100 };
        let replaces_net: &[&str] = if self.name == "twin" { &[] } else { &["cidr"] };
        let kinds = vec![
            KindSchema::new("net").replace_on(replaces_net),
            KindSchema::new("image"),
            KindSchema::new("sub").replace_on(&["cidr", "net"]),
            KindSchema::new("vm")
                .replace_on(&["image", "sub"])
                .replace_if("disk", shrinks)
                .volatile(&["pid"])
                .takes(slow),
            KindSchema::new("part").replace_on(&["vm"]).volatile(&["digest"]).predicts(digest),
            KindSchema::new("lb").replace_on(&["port", "net"]).create_before_destroy(),
            KindSchema::new("vault").replace_on(&["zone"]).holds_data().rooted(),
        ];
        kinds.into_iter().map(|kind| kind.visible_within(WINDOW)).collect()
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let inner = self.world.lock();
        Ok(refresh
            .subjects
            .iter()
            .map(|subject| {
                let found = match &subject.record {
                    Some(record) => inner.objects.get_key_value(&record.id),
                    // A part is looked for where it is to be.
                    None => inner.objects.iter().find(|(_, o)| {
                        let there = o.kind != "part" || o.attributes.get("vm") == subject.declared.get("vm");
                        o.owner.as_ref() == Some(&subject.address) && there
                    }),
                };
                let found = found.filter(|(_, o)| o.made.elapsed() >= inner.lag);
                let presence = found.map_or(Presence::Absent, |(id, o)| inner.see(id, o));
                Observed { address: subject.address.clone(), presence }
            })
            .collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        self.call("create", call, |inner, call| inner.make(call, None)).await
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        self.world.lock().batching.then(|| BatchKey { alike: call.kind().into(), limit: 3 })
    }

    /// As clouds launch machines: the objects are there before each gets its own mark, and some may be missing.
    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let results = self.request("create", calls, |inner, call| inner.make(call, call.batch.as_ref())).await;
        for (call, outcome) in calls.iter().zip(&results).filter_map(|(call, r)| Some((call, r.as_ref().ok()?))) {
            self.world.lock().mark(&outcome.id, call);
            self.world.boundary().await;
        }
        results
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        self.request("delete", calls, |inner, call| inner.unmake(call)).await
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        if call.kind() == "vm" {
            tokio::task::yield_now().await;
        }
        if self.world.lock().unready.contains(&call.address) {
            return Err(failure(call, "ready", FailureKind::Timeout, "it does not answer"));
        }
        Ok(Attrs::new())
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        let id = call.record.as_ref().map(|r| r.id.clone()).unwrap_or_default();
        self.call("update", call, |inner, call| {
            let Some(object) = inner.objects.get_mut(&id) else {
                return Err(failure(call, "update", FailureKind::NotFound, "there is no such object"));
            };
            object.attributes = call.attributes.clone();
            object.outputs.extend(digest(&call.attributes));
            object.outputs.extend(call.promised.clone());
            object.broken = None;
            object.marked = true;
            Ok(Outcome { id: id.clone(), outputs: object.outputs.clone() })
        })
        .await
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.call("delete", call, |inner, call| inner.unmake(call)).await
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        let mut inner = self.world.lock();
        let place = call.batch.as_ref().map(|batch| (batch.id.clone(), batch.index));
        let ours = |o: &Object| o.token.as_ref() == Some(&call.operation) || (place.is_some() && o.launch == place);
        let visible = |o: &Object| o.made.elapsed() >= inner.lag;
        let found = inner.objects.iter().find(|(_, o)| ours(o) && visible(o)).map(|(id, _)| id.clone());
        Ok(found.map_or(Settled::Absent, |id| {
            inner.mark(&id, call);
            Settled::Found(Outcome { outputs: inner.objects[&id].outputs.clone(), id })
        }))
    }
}

/// A disk grows in place and does not shrink. Sizes are texts of equal length here.
fn shrinks(before: &Value, after: &Value) -> bool {
    after.as_text() < before.as_text()
}

/// The `digest` of a known `content`.
fn digest(attributes: &Attrs) -> Attrs {
    match attributes.get("content").filter(|v| v.is_known()) {
        Some(content) => Attrs::from([("digest".into(), Value::text(cloudtik_core::digest::of(content).short()))]),
        None => Attrs::new(),
    }
}

pub fn scope() -> Scope {
    Scope::cluster("w", "c")
}

/// `vm.a` in the test scope.
pub fn address(short: &str) -> Address {
    let (kind, name) = short.split_once('.').expect("`kind.name`");
    Address::new(scope(), kind, name)
}

/// Declares `short` with attributes; a text `@net.a#id` is a reference, `@net.a#id?created` one to an object that need
/// only exist.
pub fn thing(short: &str, attributes: &[(&str, &str)]) -> Declaration {
    let attributes = attributes.iter().map(|(name, text)| (name.to_string(), value(text))).collect();
    let mut declaration = Declaration::new(address(short), &"fake".into(), attributes);
    if declaration.address.kind() == "part" {
        let mut home = None;
        declaration
            .attributes
            .get("vm")
            .into_iter()
            .for_each(|v| v.references(&mut |r| home = Some(r.address.clone())));
        declaration.lifecycle = Lifecycle { gone_with: home, ..Lifecycle::default() };
    }
    declaration
}

fn value(text: &str) -> Value {
    let Some(reference) = text.strip_prefix('@') else { return Value::text(text) };
    let (reference, needs) = match reference.strip_suffix("?created") {
        Some(reference) => (reference, Needs::Created),
        None => (reference, Needs::Ready),
    };
    let (target, attribute) = reference.split_once('#').expect("`@kind.name#attribute`");
    match needs {
        Needs::Created => Value::reference_created(&address(target), attribute),
        Needs::Ready => Value::reference(&address(target), attribute),
    }
}
