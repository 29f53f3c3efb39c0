//! What was done: records, the journal entries that change them, and the contract of every state store.
//!
//! A scope's state is a pure fold of its journal over a snapshot ([`Snapshot::apply`]); stores persist, they do not interpret.

use crate::{
    address::{Address, ProviderName, Scope},
    batch::Batch,
    declaration::{Dependency, Lifecycle},
    digest::{self, Digest},
    plan::{OperationId, Verb},
    value::Attrs,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Version of the JSON that records, entries and exports are written in. Every earlier one is read too.
///
/// 2: an intent says which batch it is part of. A reader that did not know would look for its object in the wrong place.
/// 3: records and intents say what their attributes referred to. A reader that did not know would forget it in writing.
/// 4: state may have been moved to another store. A writer that did not know would go on where nobody looks.
pub const FORMAT: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Exists, not known to work yet.
    Created,
    Ready,
}

/// One real object as state knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub address: Address,
    pub provider: ProviderName,
    /// The provider's own name of the object.
    pub id: String,
    pub status: Status,
    /// Inputs as applied, references resolved.
    pub attributes: Attrs,
    pub outputs: Attrs,
    /// Attributes that were made from references, as they were declared; `None`: from before this was recorded, or built
    /// on nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Attrs>,
    /// Direct dependencies only.
    pub dependencies: Vec<Dependency>,
    pub lifecycle: Lifecycle,
    /// The operation that last changed it.
    pub operation: OperationId,
    /// The kind's version at that time.
    pub schema: u32,
    /// When it was made, where its service may not show it at once: until then "absent" is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Timestamp>,
    /// Objects that a replacement made superfluous and that are still to be deleted, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposed: BTreeMap<String, Deposed>,
    /// No current object: only deposed ones are left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_deposed: bool,
}

impl Record {
    /// Outputs over inputs: what a reference to this resource sees.
    pub fn attribute(&self, path: &str) -> Option<&crate::value::Value> {
        fn find<'a>(attributes: &'a Attrs, path: &str) -> Option<&'a crate::value::Value> {
            attributes.get(path).or_else(|| {
                let (first, rest) = path.split_once('.')?;
                attributes.get(first)?.at(rest)
            })
        }
        find(&self.outputs, path).or_else(|| find(&self.attributes, path))
    }

    pub fn digest(&self) -> Digest {
        digest::of(self)
    }
}

/// An object that was replaced before it was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deposed {
    pub id: String,
    pub attributes: Attrs,
    pub outputs: Attrs,
}

/// Written before a call, so that no effect can be without a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub operation: OperationId,
    pub address: Address,
    pub provider: ProviderName,
    pub verb: Verb,
    /// The call's inputs, references resolved.
    pub attributes: Attrs,
    /// As [`Record::references`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Attrs>,
    pub dependencies: Vec<Dependency>,
    pub lifecycle: Lifecycle,
    /// The call's place among others that went in one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    pub at: Timestamp,
}

/// How a call changed the scope's records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutation {
    Put(Box<Record>),
    Remove(Address),
}

/// One line of a scope's journal. A store appends a batch durably and as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    Intent(Intent),
    /// Closes the intent of `operation` (if one is open) and changes records.
    Result {
        operation: OperationId,
        mutations: Vec<Mutation>,
        failure: Option<String>,
        at: Timestamp,
    },
    /// Changes records outside an apply: `state mv`, `state rm`, `import`, and what refresh learnt.
    Edit {
        what: String,
        mutations: Vec<Mutation>,
        at: Timestamp,
    },
    /// Ends an apply.
    Revision(Revision),
    /// One step of a move between stores; `None`: the state is here.
    Move {
        elsewhere: Option<Elsewhere>,
        at: Timestamp,
    },
}

/// Where a scope's state is when it is not where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elsewhere {
    /// It was moved to that place; what is here is its past.
    To(String),
    /// It is being moved here from that place, which has not given it up.
    From(String),
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Elsewhere::To(place) => write!(f, "moved to {place}"),
            Elsewhere::From(place) => write!(f, "being moved here from {place}"),
        }
    }
}

impl Entry {
    /// The resources that it is about.
    fn addresses(&self) -> impl Iterator<Item = &Address> {
        let (intent, mutations): (_, &[Mutation]) = match self {
            Entry::Intent(intent) => (Some(&intent.address), &[]),
            Entry::Result { mutations, .. } | Entry::Edit { mutations, .. } => (None, mutations),
            Entry::Revision(_) | Entry::Move { .. } => (None, &[]),
        };
        intent.into_iter().chain(mutations.iter().map(|mutation| match mutation {
            Mutation::Put(record) => &record.address,
            Mutation::Remove(address) => address,
        }))
    }
}

/// State after one apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// From 1, without gaps, per scope.
    pub number: u64,
    pub at: Timestamp,
    /// `user@host`.
    pub who: String,
    /// Digest of the plan that was applied.
    pub plan: Digest,
    pub command: String,
    /// Operations done, failed and skipped in this scope.
    pub done: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Records after it.
    pub resources: usize,
}

/// A scope's whole state at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub scope: Scope,
    /// Random, fixed at the scope's first write; empty before it. Two histories never share one.
    pub lineage: String,
    /// Number of entries ever appended.
    pub serial: u64,
    pub records: BTreeMap<Address, Arc<Record>>,
    /// Intents without a result, oldest first.
    pub open: Vec<Intent>,
    pub revision: u64,
    /// `None`: here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

impl Snapshot {
    pub fn empty(scope: &Scope) -> Self {
        Snapshot {
            scope: scope.clone(),
            lineage: String::new(),
            serial: 0,
            records: BTreeMap::new(),
            open: Vec::new(),
            revision: 0,
            elsewhere: None,
        }
    }

    /// The fold of a whole history.
    pub fn fold<'a>(scope: &Scope, lineage: &str, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut snapshot = Snapshot { lineage: lineage.into(), ..Snapshot::empty(scope) };
        entries.into_iter().for_each(|entry| snapshot.apply(entry));
        snapshot
    }

    /// The same, for who is to read or change what it stands for: errors when it is elsewhere.
    pub fn here(self) -> Result<Self, StoreError> {
        match self.elsewhere {
            None => Ok(self),
            Some(elsewhere) => Err(StoreError::Elsewhere { scope: self.scope, elsewhere }),
        }
    }

    /// Whether another history may take this one's place: nothing was written, or the state is elsewhere. Errors with what
    /// is in the way.
    pub fn gives_way(&self, lineage: &str, entries: &[Entry]) -> Result<(), String> {
        if !self.lineage.is_empty() && self.elsewhere.is_none() {
            return Err(format!("{} has state there", self.scope));
        }
        if self.lineage == lineage && (entries.len() as u64) < self.serial {
            return Err(format!("{} has {} entries there, and these are {}", self.scope, self.serial, entries.len()));
        }
        Snapshot::empty(&self.scope).admits(entries)
    }

    /// Whether these entries may follow: of this scope, revisions in turn, and nothing but moves while the state is
    /// elsewhere. Errors with what is wrong.
    pub fn admits(&self, entries: &[Entry]) -> Result<(), String> {
        let mut revision = self.revision;
        let mut elsewhere = self.elsewhere.as_ref();
        for entry in entries {
            match (entry, elsewhere) {
                (Entry::Move { elsewhere: next, .. }, _) => elsewhere = next.as_ref(),
                (_, None) => {}
                (_, Some(elsewhere)) => return Err(format!("{} is not there: {elsewhere}", self.scope)),
            }
            if let Some(address) = entry.addresses().find(|address| *address.scope() != self.scope) {
                return Err(format!("{address} does not belong to {}", self.scope));
            }
            if let Entry::Revision(next) = entry {
                if next.number != revision + 1 {
                    return Err(format!("revision {} cannot follow revision {revision}", next.number));
                }
                revision = next.number;
            }
        }
        Ok(())
    }

    /// The state after one more entry.
    pub fn apply(&mut self, entry: &Entry) {
        self.serial += 1;
        match entry {
            Entry::Intent(intent) => {
                self.open.retain(|open| open.operation != intent.operation);
                self.open.push(intent.clone());
            }
            Entry::Result { operation, mutations, .. } => {
                self.open.retain(|open| open.operation != *operation);
                self.mutate(mutations);
            }
            Entry::Edit { mutations, .. } => self.mutate(mutations),
            Entry::Revision(revision) => self.revision = revision.number,
            Entry::Move { elsewhere, .. } => self.elsewhere.clone_from(elsewhere),
        }
    }

    fn mutate(&mut self, mutations: &[Mutation]) {
        for mutation in mutations {
            match mutation {
                Mutation::Put(record) => {
                    self.records.insert(record.address.clone(), Arc::new((**record).clone()));
                }
                Mutation::Remove(address) => {
                    self.records.remove(address);
                }
            }
        }
    }
}

/// Who holds, or wants, a scope's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub user: String,
    pub host: String,
    pub pid: u32,
    /// The process's start time as the system counts it, so that a reused pid is not taken for the owner.
    pub started: u64,
    pub since: Timestamp,
    /// Where `pid` means something: the machine's boot and the pid namespace. Empty when that is not known.
    #[serde(default)]
    pub machine: String,
    /// `apply`, `destroy`, ….
    pub doing: String,
}

/// `ada (pid 12 on host)`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {} on {})", self.user, self.pid, self.host)
    }
}

/// A scope's lock as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub holder: Holder,
    /// Grows with each ownership of the scope. Every write carries it, and one that is not the newest is refused.
    pub fence: u64,
    /// Signs of life so far. Whoever waits compares this number and trusts no clock but its own.
    pub beats: u64,
    /// The last of them, by the holder's clock: for people, and to tell whether waiting is worth it.
    pub beat: Timestamp,
    /// After so many seconds without a sign of life another run may take over.
    pub silence_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// How far a run has come, in operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: usize,
    pub of: usize,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Where the damaged data was put aside; `None` when there was none.
    pub aside: Option<String>,
    /// What the scope's state was made anew from, and what is missing: for people.
    pub how: String,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{scope} is locked by {}, `{}` since {}", .lease.holder, .lease.holder.doing, .lease.holder.since)]
    Locked { scope: Scope, lease: Box<Lease> },
    /// Another run took the scope over while this one was silent. Nothing of the refused write is in state.
    #[error("another run has taken {scope} over")]
    Fenced { scope: Scope, by: Option<Box<Lease>> },
    #[error("the state of {scope} is not here: {elsewhere}")]
    Elsewhere { scope: Scope, elsewhere: Elsewhere },
    #[error("cannot {operation} state at {place}")]
    Io {
        operation: &'static str,
        place: String,
        #[source]
        source: std::io::Error,
    },
    /// Names the damage and what to run.
    #[error("state at {place} is damaged: {detail}")]
    Damaged { place: String, detail: String },
    #[error("state at {place} was written by a newer version (format {found}, this binary knows {known})")]
    TooNew { place: String, found: u32, known: u32 },
    #[error("cannot {operation} state at {place}: {detail}")]
    Other { operation: &'static str, place: String, detail: String },
}

/// Where scopes' states live. Reading never blocks and is never blocked by an apply.
pub trait Store: Send + Sync {
    /// For people: where this store is.
    fn place(&self) -> String;

    /// Scopes that have state, sorted.
    fn scopes(&self) -> Result<Vec<Scope>, StoreError>;

    /// The last durable state; empty for a scope never written.
    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError>;

    /// Takes the scope's lock at once, also from a holder of this machine whose process has ended; or says who holds it.
    /// It ends with the returned value, with the process, or when somebody takes it over.
    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError>;

    /// Takes the lock from a holder that gave no sign of life: `silent` is its lease as it was seen all that time. What it
    /// still writes is refused. Errors with [`StoreError::Locked`] when the lease has moved on.
    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError>;

    /// The lock as it is now; `None` when nobody holds it.
    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError>;

    /// Newest first.
    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError>;

    /// The records as they were at the end of a revision; `None` when there was no such revision.
    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError>;

    /// Every entry that the scope ever wrote, oldest first.
    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError>;

    /// Reads everything that the scope ever wrote and checks that its journal gives its records.
    fn check(&self, scope: &Scope) -> Result<(), StoreError>;

    /// Puts damaged data aside and makes the scope's state anew from what of it is whole; does nothing when [`Store::check`]
    /// finds nothing. A store that keeps nothing to make it from gives back what was found.
    fn repair(&self, scope: &Scope, holder: &Holder) -> Result<Repaired, StoreError> {
        let _ = holder;
        self.check(scope).map(|()| Repaired { aside: None, how: "nothing is damaged".into() })
    }
}

/// The right to change one scope.
pub trait Locked: Send {
    /// The state that the next append builds on.
    fn snapshot(&self) -> &Snapshot;

    /// Tells those who wait how far this run has come.
    fn progress(&mut self, progress: Progress);

    /// Where room for state has run out; `None` while there is enough. What runs can still be recorded, and nothing new
    /// should start.
    fn short_of_room(&self) -> Option<String> {
        None
    }

    /// Appends all entries or none; durable when it returns. Errors with [`StoreError::Fenced`] when the lock was lost.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError>;

    /// Puts this history in place of the scope's own, in one durable step. Refused unless that gives way.
    fn restore(&mut self, lineage: &str, entries: &[Entry]) -> Result<(), StoreError>;

    /// Removes the scope with its history. Refused while records or open intents are left.
    fn erase(self: Box<Self>) -> Result<(), StoreError>;
}
