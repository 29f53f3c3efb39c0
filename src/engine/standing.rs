//! Where each operation of a plan stands against the state it meets: to be done, done by an earlier run of the same plan,
//! or refused because what it relies on has moved.

use cloudtik_core::{
    Address, Digest, Scope,
    plan::{Operation, OperationId, Plan, Verb},
    state::{Record, Snapshot, Status},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    Open,
    Done,
    /// This record is not as it was when the plan was made.
    Moved(Address),
}

/// How many operations of a plan an earlier run of it has left to do in these states; refused ones count.
pub fn left(plan: &Plan, state: &BTreeMap<Scope, Snapshot>) -> usize {
    let records = state.values().flat_map(|snapshot| snapshot.records.clone()).collect();
    standings(plan, &records).iter().filter(|standing| **standing != Standing::Done).count()
}

type Records = BTreeMap<Address, Arc<Record>>;

/// One for each operation. A record that this very plan wrote has not moved: an interrupted run is gone on with.
pub(crate) fn standings(plan: &Plan, records: &Records) -> Vec<Standing> {
    let own: HashSet<&OperationId> = plan.operations.iter().map(|op| &op.id).collect();
    let beside: HashMap<(&Address, &str), &OperationId> = plan
        .operations
        .iter()
        .filter_map(|op| match &op.verb {
            Verb::CreateBeside { key } => Some(((&op.address, key.as_str()), &op.id)),
            _ => None,
        })
        .collect();
    let gone = plan
        .operations
        .iter()
        .filter(|op| matches!(op.verb, Verb::Delete | Verb::Forget))
        .flat_map(|op| std::iter::once(&op.address).chain(&op.takes_along))
        .collect();
    let mut judge = Judge { records, own, beside, gone, digests: HashMap::new() };
    plan.operations.iter().map(|op| judge.operation(op)).collect()
}

struct Judge<'a> {
    records: &'a Records,
    own: HashSet<&'a OperationId>,
    /// What deposes an object under a key in this plan.
    beside: HashMap<(&'a Address, &'a str), &'a OperationId>,
    /// What this plan takes out of the record before anything takes its place.
    gone: HashSet<&'a Address>,
    digests: HashMap<Address, Option<Digest>>,
}

impl Judge<'_> {
    fn operation(&mut self, op: &Operation) -> Standing {
        if self.is_done(op) {
            return Standing::Done;
        }
        if !self.unmoved(&op.address, op.prior.as_ref()) {
            return Standing::Moved(op.address.clone());
        }
        let moved = op.relies_on.iter().find(|(address, digest)| !self.unmoved(address, Some(digest)));
        moved.map_or(Standing::Open, |(address, _)| Standing::Moved(address.clone()))
    }

    fn is_done(&self, op: &Operation) -> bool {
        let record = self.records.get(&op.address);
        let ready = record.is_some_and(|r| r.status == Status::Ready);
        match &op.verb {
            Verb::Create | Verb::CreateBeside { .. } | Verb::Update | Verb::Adopt => {
                ready && record.is_some_and(|r| r.operation == op.id)
            }
            Verb::AwaitReady => ready,
            // What this plan made in its place is not what it deletes.
            Verb::Delete | Verb::Forget => {
                op.prior.is_some() && record.is_none_or(|r| r.only_deposed || self.own.contains(&r.operation))
            }
            Verb::DeleteDeposed { key } => {
                let left = record.is_some_and(|r| r.deposed.contains_key(key));
                let began = self
                    .beside
                    .get(&(&op.address, key.as_str()))
                    .is_none_or(|id| record.is_some_and(|r| r.operation == **id));
                !left && began
            }
        }
    }

    fn unmoved(&mut self, address: &Address, expected: Option<&Digest>) -> bool {
        let record = self.records.get(address);
        let now = self.digests.entry(address.clone()).or_insert_with(|| record.map(|r| r.digest()));
        now.as_ref() == expected || record.map_or(self.gone.contains(address), |r| self.own.contains(&r.operation))
    }
}
