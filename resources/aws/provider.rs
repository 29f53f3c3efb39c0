//! The provider: every kind's calls, over one client per region.

use crate::{
    api::{Api, ApiError, Cause, Filter, Item, Listing, Password, Reply, Request},
    error,
    kinds::{self, Kind},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    address::{Address, ProviderName},
    batch::BatchKey,
    failure::{Effect, Failure, FailureKind},
    plan::OperationId,
    provider::{Call, Observed, Outcome, Provider, Rate, Refresh, Settled},
    schema::KindSchema,
    value::{Attrs, Value},
};
use futures::future::try_join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What a run asks of this provider beyond the documents.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Pinned images follow the newest one.
    pub upgrade_image: bool,
    /// Where generated private keys are kept; the user's `.ssh` folder.
    pub keys: PathBuf,
}

/// Where a document's calls go and as whom. Equal ones share a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    pub region: String,
    /// `provider.endpoint`; the SDK's own variables (`AWS_ENDPOINT_URL`) apply without.
    pub endpoint: Option<String>,
    /// Credentials that the document holds itself.
    pub keys: Option<Keys>,
}

/// Access keys from a document. Never shown.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Attribute `credentials` of what was made with keys that the document holds. The keys are in no attribute.
pub(crate) const FROM_DOCUMENT: &str = "from the document";

/// Where calls go: what tells the clients of one workspace apart.
const PLACE: [&str; 3] = ["region", "endpoint", "credentials"];

/// Makes the client of an account.
#[async_trait]
pub trait Connect: Send + Sync {
    async fn connect(&self, account: &Account) -> Result<Arc<dyn Api>, ApiError>;
}

/// Provider `aws`.
#[derive(Clone)]
pub struct Aws {
    pub(crate) options: Arc<Options>,
    connect: Arc<dyn Connect>,
    clients: Arc<tokio::sync::Mutex<BTreeMap<Account, Arc<dyn Api>>>>,
    /// The accounts of the documents of this run, by workspace: state knows the region, never the keys.
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
    /// Passwords that the documents of this run hold, by database.
    passwords: Arc<Mutex<BTreeMap<Address, Password>>>,
    /// Operations of this run whose create or update went all its way. What was found instead, after an answer was lost or
    /// a run was killed, may lack what its create did after the first call.
    finished: Arc<Mutex<BTreeSet<OperationId>>>,
    kinds: Arc<BTreeMap<&'static str, Box<dyn Kind>>>,
}

impl Aws {
    pub fn new(connect: Arc<dyn Connect>, options: Options) -> Self {
        let kinds = kinds::all().into_iter().map(|kind| (kind.schema().kind, kind)).collect();
        Aws {
            options: Arc::new(options),
            connect,
            clients: Arc::default(),
            accounts: Arc::default(),
            passwords: Arc::default(),
            finished: Arc::default(),
            kinds: Arc::new(kinds),
        }
    }

    pub(crate) fn remember(&self, workspace: &str, account: Account) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).insert(workspace.into(), account);
    }

    /// Passwords go from the document to the call that needs them, and into no attribute.
    pub(crate) fn remember_password(&self, database: &Address, password: Password) {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).insert(database.clone(), password);
    }

    fn finish<T>(&self, call: &Call, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.is_ok() {
            self.finished.lock().unwrap_or_else(PoisonError::into_inner).insert(call.operation.clone());
        }
        result
    }

    fn is_finished(&self, call: &Call) -> bool {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).contains(&call.operation)
    }

    /// What the documents of this run say of a workspace's account.
    pub(crate) fn account(&self, workspace: &str) -> Account {
        let known = self.accounts.lock().unwrap_or_else(PoisonError::into_inner).get(workspace).cloned();
        known.unwrap_or_default()
    }

    /// The client for an object: that of its region and endpoint, with the keys of the workspace's documents.
    async fn client(&self, workspace: &str, attributes: &Attrs) -> Result<Arc<dyn Api>, ApiError> {
        let text = |name: &str| attributes.get(name).and_then(Value::as_text);
        let mut account = self.account(workspace);
        if let Some(region) = text("region") {
            account.region = region.into();
        }
        account.endpoint = text("endpoint").map(String::from).or(account.endpoint);
        if text("credentials") == Some(FROM_DOCUMENT) && account.keys.is_none() {
            let message =
                "they are in the document, which is not at hand here: give the documents instead of a saved plan";
            return Err(ApiError {
                action: "connect".into(),
                cause: Cause::Credentials(message.into()),
                request_id: None,
            });
        }
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&account) {
            return Ok(client.clone());
        }
        let client = self.connect.connect(&account).await?;
        clients.insert(account, client.clone());
        Ok(client)
    }

    fn kind(&self, name: &str) -> Result<&dyn Kind, Failure> {
        let unknown = || Failure::new(FailureKind::Bug, format!("handle a {name}"), "provider aws has no such kind");
        self.kinds.get(name).map(|kind| &**kind).ok_or_else(unknown)
    }

    async fn at<'a>(&'a self, verb: &'a str, call: &'a Call) -> Result<At<'a>, Failure> {
        let recorded = call.record.as_ref().map(|record| &record.attributes);
        let attributes =
            if call.attributes.is_empty() { recorded.unwrap_or(&call.attributes) } else { &call.attributes };
        let operation = format!("{verb} {}", call.address.short());
        let api = self.client(call.scope().workspace_name(), attributes).await;
        let api = api.map_err(|e| error::failure(&operation, &e))?;
        let password = self.passwords.lock().unwrap_or_else(PoisonError::into_inner).get(&call.address).cloned();
        Ok(At { options: &self.options, api, call, operation, password, made: AtomicBool::new(false) })
    }
}

impl Aws {
    /// The kind and the clients of calls that go in one request.
    async fn together<'a>(&'a self, verb: &'a str, calls: &'a [Call]) -> Result<(&'a dyn Kind, Vec<At<'a>>), Failure> {
        let kind = self.kind(calls.first().map_or("", |call| call.kind()))?;
        Ok((kind, try_join_all(calls.iter().map(|call| self.at(verb, call))).await?))
    }
}

/// One call on one object, and the client for it.
pub(crate) struct At<'a> {
    pub options: &'a Options,
    pub api: Arc<dyn Api>,
    pub call: &'a Call,
    /// `create vpc.main`.
    pub operation: String,
    /// What the document gives a database.
    pub password: Option<Password>,
    /// Whether something exists now that was not there before.
    made: AtomicBool,
}

impl At<'_> {
    pub fn attribute(&self, name: &str) -> &Value {
        self.call.attributes.get(name).unwrap_or(&Value::Unset)
    }

    /// An attribute that the model always declares as text.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        self.attribute(name).as_text().ok_or_else(|| {
            let what = format!("attribute `{name}` is {}, not text", self.attribute(name).display());
            Failure::new(FailureKind::Bug, &self.operation, what)
        })
    }

    /// A list of texts; empty when unset.
    pub fn texts(&self, name: &str) -> Vec<String> {
        texts(self.attribute(name))
    }

    /// The id of the recorded object; empty when there is none.
    pub fn id(&self) -> &str {
        self.call.record.as_ref().map(|record| record.id.as_str()).unwrap_or_default()
    }

    pub fn recorded(&self, name: &str) -> &Value {
        self.call.record.as_ref().and_then(|record| record.attribute(name)).unwrap_or(&Value::Unset)
    }

    pub fn fail(&self, error: &ApiError) -> Failure {
        error::failure(&self.operation, error)
    }

    pub async fn send(&self, request: Request) -> Result<Reply, Failure> {
        self.call(request).await.map_err(|e| self.fail(&e))
    }

    async fn call(&self, request: Request) -> Result<Reply, ApiError> {
        let makes = !request.repeatable();
        let reply = self.api.call(request).await;
        if makes && reply.is_ok() {
            self.made.store(true, Ordering::Relaxed);
        }
        reply
    }

    /// Sends a change to an object that was made moments ago: "not found" is not believed for a while.
    /// Source: EC2 developer guide, "Eventual consistency in the Amazon EC2 API" (read 2026-11-25).
    pub async fn send_to_new(&self, request: Request) -> Result<Reply, Failure> {
        self.patiently(request, "it to become visible", error::is_absent).await
    }

    /// Repeats a call while `passing` says that its error will pass, for at most [`PATIENCE`].
    pub async fn patiently(
        &self,
        request: Request,
        awaits: &str,
        passing: impl Fn(&ApiError) -> bool,
    ) -> Result<Reply, Failure> {
        let mut pace = Pace::new(Duration::from_secs(5));
        loop {
            match self.call(request.clone()).await {
                Err(error) if passing(&error) && pace.waited < PATIENCE => {
                    self.call.say(format!("waiting for {awaits}: {}", error.code()));
                    pace.pause(&*self.api).await;
                }
                other => return other.map_err(|e| self.fail(&e)),
            }
        }
    }

    /// Sends a delete: something absent counts as deleted, something in use is waited for.
    pub async fn remove(&self, request: Request) -> Result<(), Failure> {
        let awaits = "what uses it to go";
        let passing = |e: &ApiError| {
            matches!(
                e.code(),
                "DependencyViolation"
                    | "DeleteConflict"
                    | "InvalidIPAddress.InUse"
                    | "VolumeInUse"
                    | "IncorrectState"
                    | "InvalidDBInstanceState"
                    | "InvalidDBSubnetGroupStateFault"
            )
        };
        match self.patiently(request, awaits, passing).await {
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    pub async fn list(&self, listing: Listing, filters: &[Filter]) -> Result<Vec<Item>, Failure> {
        self.api.list(&listing, filters).await.map_err(|e| self.fail(&e))
    }

    /// The one object that `filters` find.
    pub async fn one(&self, listing: Listing, filters: &[Filter]) -> Result<Option<Item>, Failure> {
        Ok(self.list(listing, filters).await?.into_iter().next())
    }

    /// Polls until `done` says so; `awaits` is told while waiting. `cap`: the longest pause between two looks.
    pub async fn poll(
        &self,
        listing: Listing,
        filters: &[Filter],
        awaits: &str,
        cap: Duration,
        limit: Duration,
        mut done: impl FnMut(Option<&Item>) -> Result<bool, Failure>,
    ) -> Result<Option<Item>, Failure> {
        let mut pace = Pace::new(cap);
        loop {
            let item = self.one(listing.clone(), filters).await?;
            if done(item.as_ref())? {
                return Ok(item);
            }
            if pace.waited > limit {
                let what = format!("still waiting for {awaits} after {} s", limit.as_secs());
                return Err(Failure::new(FailureKind::Timeout, &self.operation, what)
                    .hint("run the same command again: it goes on waiting"));
            }
            self.call.say(format!("waiting for {awaits}"));
            pace.pause(&*self.api).await;
        }
    }

    /// Makes the object's tags those of the call.
    pub async fn retag(&self, id: &str) -> Result<(), Failure> {
        for request in tags::changes(id, self.call) {
            self.send_to_new(request).await?;
        }
        Ok(())
    }
}

/// How long a call is repeated against an error that passes by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Pauses of 200 ms, doubling up to a cap.
pub(crate) struct Pace {
    next: Duration,
    cap: Duration,
    pub waited: Duration,
}

impl Pace {
    pub fn new(cap: Duration) -> Self {
        Pace { next: Duration::from_millis(200), cap, waited: Duration::ZERO }
    }

    pub async fn pause(&mut self, api: &dyn Api) {
        api.pause(self.next).await;
        self.waited += self.next;
        self.next = (self.next * 2).min(self.cap);
    }
}

pub(crate) fn texts(value: &Value) -> Vec<String> {
    value.as_list().into_iter().flatten().filter_map(|v| v.as_text().map(String::from)).collect()
}

#[async_trait]
impl Provider for Aws {
    fn name(&self) -> ProviderName {
        "aws".into()
    }

    fn kinds(&self) -> Vec<KindSchema> {
        self.kinds.values().map(|kind| kind.schema()).collect()
    }

    fn rate(&self, kind: &str, verb: &str) -> Option<Rate> {
        crate::rate::published(kind, verb)
    }

    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
        let kind = self.kind(&refresh.kind)?;
        let operation = format!("list {}s", refresh.kind);
        // One client per workspace and place: most runs have one.
        let mut groups: BTreeMap<(String, Vec<Option<String>>), Vec<usize>> = BTreeMap::new();
        for (at, subject) in refresh.subjects.iter().enumerate() {
            let attributes = subject.record.as_ref().map_or(&subject.declared, |record| &record.attributes);
            let text = |name: &str| attributes.get(name).and_then(Value::as_text).map(String::from);
            let place = PLACE.map(text).to_vec();
            groups.entry((subject.address.scope().workspace_name().into(), place)).or_default().push(at);
        }
        let answers = try_join_all(groups.into_iter().map(|((workspace, place), members)| {
            let operation = &operation;
            async move {
                let known = PLACE.into_iter().zip(place).filter_map(|(name, value)| Some((name, value?)));
                let attributes = known.map(|(name, value)| (name.to_owned(), Value::text(value))).collect();
                let subjects: Vec<_> = members.iter().map(|at| refresh.subjects[*at].clone()).collect();
                let observe = async {
                    let api = self.client(&workspace, &attributes).await?;
                    kind.observe(&self.options, &*api, &subjects).await
                };
                observe.await.map_err(|e| error::failure(operation, &e))
            }
        }))
        .await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn create(&self, call: &Call) -> Result<Outcome, Failure> {
        let at = self.at("create", call).await?;
        let created = self.kind(call.kind())?.create(&at).await;
        // What a later call of a create failed at is there all the same: made again, it would be there twice.
        let made = at.made.into_inner();
        self.finish(call, created.map_err(|failure| if made { failure.effect(Effect::Unknown) } else { failure }))
    }

    fn batch(&self, call: &Call) -> Option<BatchKey> {
        self.kinds.get(call.kind())?.batch(call)
    }

    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        match self.together("create", calls).await {
            Ok((kind, all)) => {
                let created = kind.create_many(&all).await;
                calls.iter().zip(created).map(|(call, created)| self.finish(call, created)).collect()
            }
            Err(failure) => calls.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        match self.together("delete", calls).await {
            Ok((kind, all)) => kind.delete_many(&all).await,
            Err(failure) => calls.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn ready(&self, call: &Call) -> Result<Attrs, Failure> {
        let (kind, at) = (self.kind(call.kind())?, self.at("await", call).await?);
        if !self.is_finished(call) {
            self.finish(call, kind.update(&at).await)?;
        }
        kind.ready(&at).await
    }

    async fn update(&self, call: &Call) -> Result<Outcome, Failure> {
        let updated = self.kind(call.kind())?.update(&self.at("update", call).await?).await;
        self.finish(call, updated)
    }

    async fn delete(&self, call: &Call) -> Result<(), Failure> {
        self.kind(call.kind())?.delete(&self.at("delete", call).await?).await
    }

    async fn settle(&self, call: &Call) -> Result<Settled, Failure> {
        self.kind(call.kind())?.settle(&self.at("look for", call).await?).await
    }
}
