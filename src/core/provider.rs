//! What a provider promises: read in bulk, and create, update and delete one object at a time.

use crate::{
    address::{Address, ProviderName, Scope},
    batch::{Batch, BatchKey},
    failure::Failure,
    plan::OperationId,
    schema::KindSchema,
    state::Record,
    value::Attrs,
};
use std::sync::Arc;

/// A resource that refresh asks after.
#[derive(Clone, Debug)]
pub struct Subject {
    pub address: Address,
    /// `None` for one that is declared but not recorded: looked up by its name and ownership mark, for adoption.
    pub record: Option<Arc<Record>>,
    /// As declared, references resolved as far as the records allow; empty for a resource that is no longer declared.
    pub declared: Attrs,
}

/// Everything of one kind, read together.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub kind: String,
    pub subjects: Vec<Subject>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    Absent,
    /// `attributes` holds the inputs that can be observed; those that cannot keep their recorded value. An output of a
    /// broken object is `Unknown` when only the update that mends it will tell: the address of a machine that is stopped.
    Present {
        id: String,
        attributes: Attrs,
        outputs: Attrs,
        healthy: Health,
        /// Carries our ownership mark for this address. One that does not, and is not recorded, is taken over only
        /// when that is asked for.
        owned: bool,
    },
}

/// Whether a present object does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// Present but not working: says why. The next apply updates it in place.
    Broken(String),
    /// Present and working, but a newer version was asked for: says which. The next apply updates it in place, and what is
    /// built on it sees the refreshed outputs in the plan already.
    Outdated(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub address: Address,
    pub presence: Presence,
}

/// One call on one object.
#[derive(Clone)]
pub struct Call {
    /// Deterministic: the same step of the same plan has the same id. It is the client token.
    pub operation: OperationId,
    pub address: Address,
    /// Every reference resolved.
    pub attributes: Attrs,
    /// What state holds of the object that is updated, deleted or made ready.
    pub record: Option<Arc<Record>>,
    /// The request that this call is, or was, part of. Its objects carry the request's id, or the operation's.
    pub batch: Option<Batch>,
    /// For an update: outputs that the plan has promised to dependants and that the update must bring about.
    pub promised: Attrs,
    /// Says what a long call is waiting for: lower-case, no full stop.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Call {
    /// A call that goes alone, on nothing recorded, and whose progress nobody hears.
    pub fn new(operation: OperationId, address: Address, attributes: Attrs) -> Self {
        let progress = Arc::new(|_: &str| {});
        Call { operation, address, attributes, record: None, batch: None, promised: Attrs::new(), progress }
    }

    pub fn scope(&self) -> &Scope {
        self.address.scope()
    }

    pub fn kind(&self) -> &str {
        self.address.kind()
    }

    pub fn say(&self, what: impl AsRef<str>) {
        (self.progress)(what.as_ref());
    }
}

/// What a create or an update made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// How the provider finds the object again.
    pub id: String,
    pub outputs: Attrs,
}

/// What became of an intent whose result was never recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Settled {
    Found(Outcome),
    Absent,
    /// More than one candidate, each described for the person who decides.
    Ambiguous(Vec<String>),
}

/// How often a service lets one of its calls be made, as it publishes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Calls of one name share what is allowed.
    pub name: &'static str,
    /// That may come at once.
    pub size: f64,
    pub per_second: f64,
}

/// Creates, reads, updates and deletes resources of its kinds. Knows neither the engine nor the terminal.
///
/// Every call may be repeated: `create` with an operation id that it has seen returns the object made then, `delete` of
/// something absent succeeds.
#[async_trait::async_trait]
pub trait Provider: Send + Sync {
    fn name(&self) -> ProviderName;

    fn kinds(&self) -> Vec<KindSchema>;

    /// How many of its calls may run at once. Waiting for readiness does not count: a provider that looks often bounds that
    /// itself.
    fn concurrency(&self) -> usize {
        64
    }

    /// What is known of how often `verb` may be called on `kind`: what a rehearsal goes by. Makes no call.
    fn rate(&self, _kind: &str, _verb: &str) -> Option<Rate> {
        None
    }

    /// Observes all subjects of one kind, in as few requests as the service allows. Answers every subject exactly once.
    async fn refresh(&self, refresh: &Refresh) -> Result<Vec<Observed>, Failure>;

    async fn create(&self, call: &Call) -> Result<Outcome, Failure>;

    /// What a create or delete must share with others to go with them in one request; `None`: it goes alone.
    fn batch(&self, _call: &Call) -> Option<BatchKey> {
        None
    }

    /// Creates several objects whose keys are equal, in address order, each call with its place in the batch. Answers every
    /// call, in order: some may succeed and others fail. `call.batch.id` is the client token of the whole.
    async fn create_many(&self, calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            results.push(self.create(call).await);
        }
        results
    }

    /// Deletes several objects whose keys are equal, as [`Provider::create_many`] creates them.
    async fn delete_many(&self, calls: &[Call]) -> Vec<Result<(), Failure>> {
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            results.push(self.delete(call).await);
        }
        results
    }

    /// Waits until the object works; returns outputs that were not known before. `call.record` is the object as created.
    async fn ready(&self, call: &Call) -> Result<Attrs, Failure>;

    /// Changes the object in place to `call.attributes`: also to mend one that refresh found broken, to bring one that is
    /// outdated to `call.promised`, and to put our mark on one that was taken over.
    async fn update(&self, call: &Call) -> Result<Outcome, Failure>;

    async fn delete(&self, call: &Call) -> Result<(), Failure>;

    /// Finds what an interrupted create with `call.operation` left, by token, name or ownership mark; where `call.batch` is
    /// set, also as that member of the batch.
    async fn settle(&self, call: &Call) -> Result<Settled, Failure>;
}
