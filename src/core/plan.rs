//! A plan: the complete decision. Apply carries it out or refuses; it adds nothing.

use crate::{
    address::{Address, ProviderName, Scope},
    declaration::{Dependency, Lifecycle},
    diagnostic::Diagnostic,
    digest::{self, Digest},
    origin::Origin,
    value::{Attrs, Needs, Value},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Version of the plan file. Every earlier one is read too.
///
/// 2: operations hold what they promised to dependants, and services are drained.
/// 3: operations say what their attributes were made from, so that it is recorded.
pub const FORMAT: u32 = 3;

/// Names one planned step: a digest of the plan's facts and the step, the same whenever the same plan is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Arc<str>);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Delete,
    Replace,
    /// The new object is made before the old one goes.
    ReplaceCreateFirst,
    Forget,
    Update,
    Create,
    Adopt,
    /// Nothing is changed: an object made earlier is waited for, and its outputs read.
    Read,
    Keep,
}

impl Action {
    pub fn is_change(self) -> bool {
        self != Action::Keep
    }

    /// Whether something that exists stops existing.
    pub fn is_destructive(self) -> bool {
        matches!(self, Action::Delete | Action::Replace | Action::ReplaceCreateFirst)
    }
}

/// Why, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// Declared, and state knows nothing of it.
    New,
    /// Recorded, but gone from the world.
    Gone,
    Changed {
        path: String,
    },
    /// A changed attribute that the object cannot change in place.
    Immutable {
        path: String,
    },
    /// The world differs from what was recorded.
    Drifted {
        path: String,
    },
    /// Present but not working.
    Broken {
        detail: String,
    },
    /// Works, but a newer version was asked for.
    Upgrade {
        detail: String,
    },
    /// Made, but never became ready.
    Unready,
    /// No longer declared.
    Undeclared,
    /// `destroy`.
    Destroy,
    /// `--replace`.
    Requested,
    /// A resource it is built on is replaced.
    DependencyReplaced {
        address: Address,
    },
    /// An old object that a replacement left.
    Deposed {
        key: String,
    },
    /// Holds user data, or is marked to be kept: state forgets it, the object stays.
    Retained,
    /// The object is not ended but left to this resource, for others to use, and goes with it.
    KeptBy {
        address: Address,
    },
    /// Goes together with the resource it lives in.
    GoneWith {
        address: Address,
    },
    /// Stopped in order before what it lives in goes.
    Drained,
    /// Goes without being stopped in order, because it cannot be.
    NotDrained {
        detail: String,
    },
    /// Found in the world with our mark, not yet recorded.
    Found,
    /// Found in the world without our mark; taken over because that was asked for.
    TakenOver,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeDiff {
    /// Dotted path below the resource.
    pub path: String,
    pub before: Value,
    pub after: Value,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forces_replacement: bool,
}

/// What will happen to one resource, for people and policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub address: Address,
    pub provider: ProviderName,
    pub action: Action,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// For create: every attribute with `before` unset. For delete: none. Sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<AttributeDiff>,
    /// The operations that carry it out, as indices into [`Plan::operations`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What a step does to the world or the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    Create,
    /// The current object, if any, is deposed under `key` and a new one made.
    CreateBeside {
        key: String,
    },
    Update,
    /// Waits for an object that was made earlier and is not ready yet.
    AwaitReady,
    Delete,
    /// Deletes the object that was deposed under `key`.
    DeleteDeposed {
        key: String,
    },
    /// Takes the object into state without touching it.
    Adopt,
    /// Drops it from state without touching it.
    Forget,
}

impl Verb {
    pub fn as_str(&self) -> &'static str {
        match self {
            Verb::Create | Verb::CreateBeside { .. } => "create",
            Verb::Update => "update",
            Verb::AwaitReady => "await",
            Verb::Delete | Verb::DeleteDeposed { .. } => "delete",
            Verb::Adopt => "adopt",
            Verb::Forget => "forget",
        }
    }
}

/// One step. Everything that the call needs is here, but for values that earlier steps of the same plan produce.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub id: OperationId,
    pub address: Address,
    pub provider: ProviderName,
    #[serde(flatten)]
    pub verb: Verb,
    /// Known values, and references to resources of this plan or to recorded ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: Attrs,
    /// Attributes that are made from references, as declared: values that were known to the plan are in `attributes` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Attrs>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Digest of this resource's record when planned; `None` when there was none. A record that has moved refuses the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Digest>,
    /// Digests of other records whose values are already in `attributes`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relies_on: BTreeMap<Address, Digest>,
    /// For [`Verb::Adopt`]: the object found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// For [`Verb::Update`]: outputs that the plan has already shown to dependants, which the call must bring about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promised: Attrs,
    /// What waits for this step goes on when it fails too: the machine goes, even if what runs on it could not be stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub best_effort: bool,
    /// Resources that live inside this one: their records go when it goes, without calls of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes_along: Vec<Address>,
    /// Typical milliseconds until its dependants may start.
    pub expected_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub id: String,
    pub attributes: Attrs,
    pub outputs: Attrs,
}

/// `from` before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    pub needs: Needs,
}

/// The state that a plan was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub lineage: String,
    pub serial: u64,
    pub revision: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Normal,
    Destroy,
}

/// Something in the world that differs from the record, whether or not the plan acts on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub address: Address,
    /// `None`: gone altogether.
    pub diffs: Option<Vec<AttributeDiff>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Longest path over typical durations, in milliseconds.
    pub milliseconds: u64,
    /// That path, in order.
    pub critical_path: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub mode: Mode,
    pub base: BTreeMap<Scope, Base>,
    /// Digest of the declarations.
    pub documents: Digest,
    /// One for each declared or recorded resource in scope, sorted by address.
    pub changes: Vec<Change>,
    pub operations: Vec<Operation>,
    pub edges: Vec<Edge>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    pub estimate: Estimate,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Diagnostic>,
    /// Over everything else.
    pub digest: Digest,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    pub fn compute_digest(&self) -> Digest {
        let Plan { format, mode, base, documents, changes, operations, edges, drift, estimate, warnings, digest: _ } =
            self;
        digest::of(&(format, mode, base, documents, changes, operations, edges, drift, estimate, warnings))
    }

    /// How many resources each action concerns; a replacement counts once.
    pub fn counts(&self) -> BTreeMap<Action, usize> {
        let mut counts = BTreeMap::new();
        for change in &self.changes {
            *counts.entry(change.action).or_default() += 1;
        }
        counts
    }
}
