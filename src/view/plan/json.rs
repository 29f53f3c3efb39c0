//! The plan for programs: one versioned JSON document. Secret values are not in it, only where they come from.

use super::counts;
use cloudtik_core::{
    Address, ProviderName, Scope, Value,
    plan::{Action, AttributeDiff, Base, Edge, Estimate, Mode, Plan, Reason, Verb},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// Raised when a field changes its meaning or goes; new fields do not raise it.
pub(super) const FORMAT: u32 = 1;

/// The document; also the last line of `plan --json`, where `event` tells it from the lines before.
#[derive(Serialize)]
struct Document<'a> {
    event: &'static str,
    format_version: u32,
    mode: Mode,
    /// Over the whole plan: what an approval names.
    digest: &'a str,
    documents_digest: &'a str,
    summary: String,
    counts: BTreeMap<Action, usize>,
    empty: bool,
    base: &'a BTreeMap<Scope, Base>,
    changes: Vec<Change<'a>>,
    drift: Vec<Drift<'a>>,
    operations: Vec<Operation<'a>>,
    edges: &'a [Edge],
    estimate: &'a Estimate,
    warnings: &'a [cloudtik_core::Diagnostic],
}

#[derive(Serialize)]
pub(super) struct Change<'a> {
    address: &'a Address,
    kind: &'a str,
    provider: &'a ProviderName,
    action: Action,
    destructive: bool,
    reasons: &'a [Reason],
    diffs: Vec<Diff<'a>>,
    operations: &'a [u32],
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a cloudtik_core::Origin>,
}

#[derive(Serialize)]
struct Diff<'a> {
    path: &'a str,
    before: Shown<'a>,
    after: Shown<'a>,
    forces_replacement: bool,
}

#[derive(Serialize)]
struct Drift<'a> {
    address: &'a Address,
    gone: bool,
    diffs: Vec<Diff<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a str>,
}

#[derive(Serialize)]
struct Operation<'a> {
    id: &'a str,
    address: &'a Address,
    #[serde(flatten)]
    verb: &'a Verb,
    expected_ms: u64,
}

/// The plan as one line of JSON, without the line feed.
pub fn json(plan: &Plan) -> String {
    let document = Document {
        event: "plan",
        format_version: FORMAT,
        mode: plan.mode,
        digest: &plan.digest.0,
        documents_digest: &plan.documents.0,
        summary: counts(plan),
        counts: plan.counts(),
        empty: plan.is_empty(),
        base: &plan.base,
        changes: plan.changes.iter().map(change).collect(),
        drift: plan.drift.iter().map(drift).collect(),
        operations: plan.operations.iter().map(operation).collect(),
        edges: &plan.edges,
        estimate: &plan.estimate,
        warnings: &plan.warnings,
    };
    serde_json::to_string(&document).expect("a plan's keys are text, so it is always JSON")
}

pub(super) fn change(change: &cloudtik_core::plan::Change) -> Change<'_> {
    Change {
        address: &change.address,
        kind: change.address.kind(),
        provider: &change.provider,
        action: change.action,
        destructive: change.action.is_destructive(),
        reasons: &change.reasons,
        diffs: change.diffs.iter().map(diff).collect(),
        operations: &change.operations,
        origin: change.origin.as_ref(),
    }
}

fn diff(diff: &AttributeDiff) -> Diff<'_> {
    Diff {
        path: &diff.path,
        before: Shown(&diff.before),
        after: Shown(&diff.after),
        forces_replacement: diff.forces_replacement,
    }
}

fn drift(drift: &cloudtik_core::plan::Drift) -> Drift<'_> {
    Drift {
        address: &drift.address,
        gone: drift.diffs.is_none(),
        diffs: drift.diffs.iter().flatten().map(diff).collect(),
        broken: drift.broken.as_deref(),
    }
}

fn operation(operation: &cloudtik_core::plan::Operation) -> Operation<'_> {
    Operation {
        id: &operation.id.0,
        address: &operation.address,
        verb: &operation.verb,
        expected_ms: operation.expected_ms,
    }
}

/// A value as the core writes it, but a secret without its fingerprint, which would let guesses be checked.
pub(crate) struct Shown<'a>(pub &'a Value);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Secret(secret) => one(s, "$secret", &BTreeMap::from([("source", &*secret.source)])),
            Value::List(items) => s.collect_seq(items.iter().map(Shown)),
            Value::Concat(parts) => one(s, "$concat", &parts.iter().map(Shown).collect::<Vec<_>>()),
            Value::Map(entries) if entries.len() == 1 && entries.keys().all(|k| k.starts_with('$')) => {
                one(s, "$map", &entries.iter().map(|(k, v)| (k, Shown(v))).collect::<BTreeMap<_, _>>())
            }
            Value::Map(entries) => s.collect_map(entries.iter().map(|(k, v)| (k, Shown(v)))),
            other => other.serialize(s),
        }
    }
}

fn one<S: Serializer, T: Serialize>(s: S, key: &str, value: &T) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}
