//! Turns decisions into operations and orders them.
//!
//! Order follows five rules, for a resource B that depends on A:
//! 1. what provides A comes before what provides B;
//! 2. what removes B comes before what removes A;
//! 3. a destroy-first replacement removes before it provides, a create-first one provides before it removes;
//! 4. an old A goes only after B stopped using it, unless A is replaced destroy-first;
//! 5. B goes before A changes.
//!
//! Rule 5, rolling batches, and rule 2 for what goes with its home are wishes: where they would close a cycle they give way.
//! So does, after them, what makes an old A wait for a B that can let go of it only when something is there that A itself
//! keeps away: rule 4, and rule 2 for a B that is replaced create-first.

use crate::{decide::Decided, graph::Declared, planner::Input};
use cloudtik_core::{
    Address, Attrs, Declaration, Dependency, Digest, Lifecycle, Needs, ProviderName,
    digest::of as digest_of,
    plan::{Action, Edge, Found, Operation, OperationId, Reason, Verb},
    schema::KindSchema,
    state::Record,
};
use petgraph::{algo, graph::DiGraph};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The decision on a recorded resource that is not declared.
pub(crate) struct Orphan {
    pub action: Action,
    pub reasons: Vec<Reason>,
    /// Goes together with this resource, without an operation of its own.
    pub taken_by: Option<Address>,
    pub record: Arc<Record>,
}

pub(crate) struct Built {
    pub operations: Vec<Operation>,
    pub edges: Vec<Edge>,
    by_address: HashMap<Address, Vec<u32>>,
}

impl Built {
    /// The operations on one resource, in index order.
    pub fn of(&self, address: &Address) -> Vec<u32> {
        self.by_address.get(address).cloned().unwrap_or_default()
    }
}

/// How a resource's old object goes.
#[derive(Clone, Copy, PartialEq)]
enum Removal {
    BeforeNew,
    AfterNew,
    Plain,
}

#[derive(Default, Clone)]
struct Steps {
    provide: Option<u32>,
    remove: Option<(u32, Option<Removal>)>,
}

impl Steps {
    fn removal(&self) -> Option<(u32, Removal)> {
        self.remove.and_then(|(op, how)| Some((op, how?)))
    }

    fn first(&self) -> Option<u32> {
        match self.removal() {
            Some((op, Removal::BeforeNew)) => Some(op),
            _ => self.provide,
        }
    }
}

struct Builder<'a> {
    input: &'a Input<'a>,
    records: &'a BTreeMap<Address, Arc<Record>>,
    documents: &'a Digest,
    /// What lives in each resource.
    inside: HashMap<&'a Address, Vec<Address>>,
    digests: HashMap<Address, Digest>,
    operations: Vec<Operation>,
    edges: Vec<Edge>,
    wishes: BTreeSet<(u32, u32)>,
    /// Wishes that give way last.
    firm: BTreeSet<(u32, u32)>,
    steps: HashMap<Address, Steps>,
    /// What is stopped in order before each resource goes.
    drains: HashMap<Address, Vec<u32>>,
    /// Records of what goes with the old object of its home, each with that home.
    forgotten: Vec<(Address, u32)>,
    /// Deletions of objects that earlier runs deposed.
    leftovers: HashMap<&'a Address, Vec<u32>>,
}

pub(crate) fn build<'a>(
    input: &'a Input<'a>,
    declared: &Declared,
    decided: &mut [Option<Decided>],
    orphans: &BTreeMap<Address, Orphan>,
    records: &'a BTreeMap<Address, Arc<Record>>,
    allowed: Option<&BTreeSet<Address>>,
    documents: &'a Digest,
) -> Built {
    let mut inside: HashMap<&Address, Vec<Address>> = HashMap::new();
    for (address, record) in records {
        if let Some(home) = &record.lifecycle.gone_with {
            inside.entry(home).or_default().push(address.clone());
        }
    }
    let mut builder = Builder {
        input,
        records,
        documents,
        inside,
        digests: HashMap::new(),
        operations: Vec::new(),
        edges: Vec::new(),
        wishes: BTreeSet::new(),
        firm: BTreeSet::new(),
        steps: HashMap::new(),
        drains: HashMap::new(),
        forgotten: Vec::new(),
        leftovers: HashMap::new(),
    };
    for (item, decision) in declared.items.iter().zip(decided) {
        if let Some(decision) = decision {
            builder.declared(item, decision);
        }
    }
    for (address, orphan) in orphans {
        builder.orphan(address, orphan);
    }
    for (address, orphan) in orphans {
        if let Some(home) = &orphan.taken_by {
            let home = builder.steps.get(home).and_then(|s| s.remove);
            let drain = builder.drain(address, &orphan.record, &orphan.reasons);
            let remove = drain.map(|op| (op, Some(Removal::Plain))).or(home);
            builder.steps.insert(address.clone(), Steps { provide: None, remove });
        }
    }
    builder.order_drains();
    builder.order_forgotten();
    builder.deposed(allowed);
    builder.order_provides(declared);
    builder.order_removals(declared);
    builder.order_leftovers();
    builder.roll(declared);
    builder.finish()
}

impl<'a> Builder<'a> {
    fn declared(&mut self, item: &Declaration, decision: &mut Decided) {
        let address = &item.address;
        match decision.action {
            Action::Keep | Action::Delete | Action::Forget => {}
            Action::Create => {
                let record = self.records.get(address).cloned();
                let drain = record.and_then(|record| self.drain(address, &record, &decision.reasons));
                let op = self.provide(item, decision, Verb::Create);
                if let Some(drain) = drain {
                    self.edge(drain, op, Needs::Ready);
                }
                let remove = drain.map(|drain| (drain, Some(Removal::BeforeNew)));
                self.steps.insert(address.clone(), Steps { provide: Some(op), remove });
            }
            Action::Update | Action::Read => {
                let verb = if decision.action == Action::Read { Verb::AwaitReady } else { Verb::Update };
                let op = self.provide(item, decision, verb);
                self.operations[op as usize].promised = std::mem::take(&mut decision.promised);
                self.steps.insert(address.clone(), Steps { provide: Some(op), remove: None });
            }
            Action::Adopt => {
                let attributes = decision.attributes.clone();
                let adopt = self.provide(item, decision, Verb::Adopt);
                self.operations[adopt as usize].found = decision.found.take();
                decision.attributes = attributes;
                let mut last = adopt;
                if decision.update_after_adopt {
                    last = self.provide(item, decision, Verb::Update);
                    self.edge(adopt, last, Needs::Ready);
                }
                self.steps.insert(address.clone(), Steps { provide: Some(last), remove: None });
            }
            Action::Replace => {
                let record = self.records.get(address).cloned();
                let remove = self.remove(address, record.as_deref(), Verb::Delete);
                let provide = self.provide(item, decision, Verb::Create);
                self.edge(remove, provide, Needs::Ready);
                let remove = Some((remove, Some(Removal::BeforeNew)));
                self.steps.insert(address.clone(), Steps { provide: Some(provide), remove });
            }
            Action::ReplaceCreateFirst => {
                let record = self.records.get(address).cloned();
                let key = self.deposed_key(address);
                let provide = self.provide(item, decision, Verb::CreateBeside { key: key.clone() });
                let remove = self.remove(address, record.as_deref(), Verb::DeleteDeposed { key });
                self.operations[remove as usize].takes_along.clear();
                self.edge(provide, remove, Needs::Ready);
                let remove = Some((remove, Some(Removal::AfterNew)));
                self.steps.insert(address.clone(), Steps { provide: Some(provide), remove });
            }
        }
    }

    /// The step that stops something in order before what it lives in goes, where the decision says so.
    fn drain(&mut self, address: &Address, record: &Record, reasons: &[Reason]) -> Option<u32> {
        let home = record.lifecycle.gone_with.clone()?;
        if !reasons.contains(&Reason::Drained) {
            return None;
        }
        let op = self.remove(address, Some(record), Verb::Delete);
        self.operations[op as usize].best_effort = true;
        self.drains.entry(home).or_default().push(op);
        Some(op)
    }

    fn order_drains(&mut self) {
        for (home, drains) in self.drains.clone() {
            if let Some((remove, _)) = self.steps.get(&home).and_then(|steps| steps.remove) {
                drains.iter().for_each(|drain| self.edge(*drain, remove, Needs::Ready));
            }
        }
    }

    fn orphan(&mut self, address: &Address, orphan: &Orphan) {
        if orphan.taken_by.is_some() {
            return;
        }
        let verb = if orphan.action == Action::Forget { Verb::Forget } else { Verb::Delete };
        let op = self.remove(address, Some(&orphan.record), verb);
        let home = orphan.reasons.iter().find_map(|reason| match reason {
            Reason::GoneWith { address } => Some(address),
            _ => None,
        });
        // What goes with its home's old object is there, and ours, until that has gone.
        let order = match home.filter(|_| orphan.action == Action::Forget) {
            Some(home) => {
                self.forgotten.push((home.clone(), op));
                None
            }
            None => Some(Removal::Plain),
        };
        self.steps.insert(address.clone(), Steps { provide: None, remove: Some((op, order)) });
    }

    fn order_forgotten(&mut self) {
        for (home, op) in std::mem::take(&mut self.forgotten) {
            if let Some((remove, _)) = self.steps.get(&home).and_then(|steps| steps.remove) {
                self.edge(remove, op, Needs::Ready);
            }
        }
    }

    /// Old objects that earlier replacements left go now, whatever the documents say.
    fn deposed(&mut self, allowed: Option<&BTreeSet<Address>>) {
        let records = self.records;
        for (address, record) in records {
            if allowed.is_some_and(|allowed| !allowed.contains(address) && !record.only_deposed) {
                continue;
            }
            for key in record.deposed.keys() {
                let op = self.remove(address, Some(record), Verb::DeleteDeposed { key: key.clone() });
                self.operations[op as usize].takes_along.clear();
                self.leftovers.entry(address).or_default().push(op);
            }
        }
    }

    /// A left-over object goes once nothing is built on it any more, and before what it is built on.
    fn order_leftovers(&mut self) {
        let records = self.records;
        for (address, record) in records {
            let user = self.steps.get(address).cloned().unwrap_or_default();
            let own = self.leftovers.get(address).cloned().unwrap_or_default();
            for dependency in &record.dependencies {
                let removal = self.steps.get(&dependency.address).and_then(|s| s.remove).map(|(op, _)| op);
                for to in self.leftovers.get(&dependency.address).cloned().unwrap_or_default() {
                    // Whoever goes before its successor comes has stopped using it by then.
                    let moves = user.provide.filter(|_| !matches!(user.removal(), Some((_, Removal::BeforeNew))));
                    let before = moves.into_iter().chain(user.remove.map(|(op, _)| op)).chain(own.iter().copied());
                    before.for_each(|from| self.edge(from, to, Needs::Ready));
                }
                if let Some(to) = removal {
                    own.iter().for_each(|from| self.edge(*from, to, Needs::Ready));
                }
            }
        }
    }

    fn deposed_key(&self, address: &Address) -> String {
        let used = self.records.get(address).map_or(0, |r| r.deposed.len());
        let fresh = digest_of(&(self.documents, self.records.get(address).map(|r| &r.operation), used));
        fresh.0.chars().take(8).collect()
    }

    fn provide(&mut self, item: &Declaration, decision: &mut Decided, verb: Verb) -> u32 {
        let expected = self.kind(&item.provider, &item.address).map_or(0, |k| match verb {
            Verb::Update => k.durations.update + k.durations.ready,
            Verb::AwaitReady => k.durations.ready,
            Verb::Adopt => 0,
            _ => k.durations.create + k.durations.ready,
        });
        let relies_on =
            decision.relied_on.iter().filter_map(|a| Some((a.clone(), self.digest(a)?))).collect::<BTreeMap<_, _>>();
        let prior = self.digest(&item.address);
        self.push(Draft {
            address: &item.address,
            provider: &item.provider,
            verb,
            attributes: Arc::unwrap_or_clone(std::mem::take(&mut decision.attributes)),
            references: item.references(),
            dependencies: item.dependencies(),
            lifecycle: item.lifecycle.clone(),
            prior,
            relies_on,
            takes_along: Vec::new(),
            expected,
        })
    }

    fn remove(&mut self, address: &Address, record: Option<&Record>, verb: Verb) -> u32 {
        let provider = record.map(|r| r.provider.clone()).expect("only recorded resources are removed");
        let expected = match verb {
            Verb::Forget => 0,
            _ => self.kind(&provider, address).map_or(0, |k| k.durations.delete),
        };
        let prior = self.digest(address);
        self.push(Draft {
            address,
            provider: &provider,
            verb,
            attributes: Attrs::new(),
            references: None,
            dependencies: record.map(|r| r.dependencies.clone()).unwrap_or_default(),
            lifecycle: record.map(|r| r.lifecycle.clone()).unwrap_or_default(),
            prior,
            relies_on: BTreeMap::new(),
            takes_along: self.inside.get(address).cloned().unwrap_or_default(),
            expected,
        })
    }

    fn push(&mut self, draft: Draft) -> u32 {
        let index = u32::try_from(self.operations.len()).expect("fewer than 2^32 operations");
        let base = self.input.state.get(draft.address.scope());
        let facts = (self.documents, base.map(|s| (&s.lineage, s.serial)), draft.address, &draft.verb);
        let id = digest_of(&facts).0.chars().take(20).collect::<String>();
        self.operations.push(Operation {
            id: OperationId(id.into()),
            address: draft.address.clone(),
            provider: draft.provider.clone(),
            verb: draft.verb,
            attributes: draft.attributes,
            references: draft.references,
            dependencies: draft.dependencies,
            lifecycle: draft.lifecycle,
            prior: draft.prior,
            relies_on: draft.relies_on,
            found: None::<Found>,
            promised: Attrs::new(),
            best_effort: false,
            takes_along: draft.takes_along,
            expected_ms: draft.expected.into(),
        });
        index
    }

    fn kind(&self, provider: &ProviderName, address: &Address) -> Option<&'a KindSchema> {
        self.input.kinds.get(provider, address.kind())
    }

    /// The digest of a resource's record, in whichever scope it is; `None` when there is none.
    fn digest(&mut self, address: &Address) -> Option<Digest> {
        if let Some(digest) = self.digests.get(address) {
            return Some(digest.clone());
        }
        let digest = self.input.state.get(address.scope())?.records.get(address)?.digest();
        self.digests.insert(address.clone(), digest.clone());
        Some(digest)
    }

    fn edge(&mut self, from: u32, to: u32, needs: Needs) {
        if from != to {
            self.edges.push(Edge { from, to, needs });
        }
    }

    fn order_provides(&mut self, declared: &Declared) {
        for (at, dependencies) in declared.dependencies.iter().enumerate() {
            let Some(to) = self.steps.get(&declared.items[at].address).and_then(|s| s.provide) else { continue };
            for (on, needs) in dependencies {
                if let Some(from) = self.steps.get(&declared.items[*on].address).and_then(|s| s.provide) {
                    self.edge(from, to, *needs);
                }
            }
        }
    }

    fn order_removals(&mut self, declared: &Declared) {
        let records = self.records;
        for (address, record) in records {
            let user = self.steps.get(address).cloned().unwrap_or_default();
            // What goes with its home cannot wait for what is built on that home itself.
            let taken = user.removal().is_some_and(|(op, _)| self.operations[op as usize].address != *address);
            for dependency in &record.dependencies {
                if let Some(used) = self.steps.get(&dependency.address).cloned() {
                    self.order_removal(&user, &used, taken);
                }
            }
        }
        // A create-first replacement's old object also waits for those that only now begin to depend on the resource, unless
        // they need what it keeps away.
        for (at, dependencies) in declared.dependencies.iter().enumerate() {
            let Some(provide) = self.steps.get(&declared.items[at].address).and_then(|s| s.provide) else { continue };
            for (on, _) in dependencies {
                let used = self.steps.get(&declared.items[*on].address).and_then(Steps::removal);
                if let Some((remove, Removal::AfterNew)) = used {
                    self.firm.insert((provide, remove));
                }
            }
        }
    }

    fn order_removal(&mut self, user: &Steps, used: &Steps, taken: bool) {
        match (user.removal(), used.removal()) {
            (Some((user_op, goes)), Some((used_op, how))) => {
                match (taken, goes, how) {
                    (true, ..) => drop(self.wishes.insert((user_op, used_op))),
                    // Its successor may need what only comes when the used one is out of the way.
                    (false, Removal::AfterNew, Removal::Plain) => drop(self.firm.insert((user_op, used_op))),
                    (false, ..) => self.edge(user_op, used_op, Needs::Ready),
                }
                if let (Removal::AfterNew, Some(provide)) = (how, used.provide)
                    && user.removal().is_some_and(|(_, how)| how != Removal::AfterNew)
                {
                    self.wishes.insert((user_op, provide));
                }
            }
            (None, Some((used_op, Removal::Plain | Removal::AfterNew))) => {
                self.firm.extend(user.provide.map(|provide| (provide, used_op)));
            }
            (Some((user_op, Removal::Plain | Removal::BeforeNew)), None) => {
                if let Some(provide) = used.provide {
                    self.wishes.insert((user_op, provide));
                }
            }
            _ => {}
        }
    }

    /// Batches of a rolling group follow each other: a batch starts when the one before, with all that lives in its
    /// members, is ready.
    fn roll(&mut self, declared: &Declared) {
        let mut groups: BTreeMap<(&str, usize), Vec<usize>> = BTreeMap::new();
        let mut inside: HashMap<&Address, Vec<u32>> = HashMap::new();
        for (at, item) in declared.items.iter().enumerate() {
            let Some(steps) = self.steps.get(&item.address) else { continue };
            if let (Some(home), Some(provide)) = (&item.lifecycle.gone_with, steps.provide) {
                inside.entry(home).or_default().push(provide);
            }
            let disrupts = steps.remove.is_some() || self.operations_update(steps);
            if let (Some(rolling), true) = (&item.lifecycle.rolling, disrupts) {
                groups.entry((&rolling.group, rolling.batch.max(1))).or_default().push(at);
            }
        }
        for ((_, batch), members) in groups {
            let batches: Vec<&[usize]> = members.chunks(batch).collect();
            for pair in batches.windows(2) {
                let ends: Vec<u32> = pair[0]
                    .iter()
                    .flat_map(|at| {
                        let address = &declared.items[*at].address;
                        let own = self.steps[address].provide;
                        own.into_iter().chain(inside.get(address).into_iter().flatten().copied())
                    })
                    .collect();
                for address in pair[1].iter().map(|at| &declared.items[*at].address) {
                    let drains = self.drains.get(address).into_iter().flatten().copied();
                    for to in self.steps[address].first().into_iter().chain(drains) {
                        self.wishes.extend(ends.iter().map(|from| (*from, to)));
                    }
                }
            }
        }
    }

    fn operations_update(&self, steps: &Steps) -> bool {
        steps.provide.is_some_and(|op| self.operations[op as usize].verb == Verb::Update)
    }

    fn finish(mut self) -> Built {
        for wishes in [std::mem::take(&mut self.firm), std::mem::take(&mut self.wishes)] {
            self.grant(wishes);
        }
        let mut by_address: HashMap<Address, Vec<u32>> = HashMap::with_capacity(self.operations.len());
        for (index, operation) in self.operations.iter().enumerate() {
            by_address.entry(operation.address.clone()).or_default().push(index as u32);
        }
        Built { operations: self.operations, edges: each_once(self.edges), by_address }
    }

    /// Adds what closes no cycle, not even together with the others.
    fn grant(&mut self, mut wishes: BTreeSet<(u32, u32)>) {
        wishes.retain(|edge| edge.0 != edge.1);
        if wishes.is_empty() {
            return;
        }
        let mut graph = DiGraph::<(), ()>::new();
        let nodes: Vec<_> = self.operations.iter().map(|_| graph.add_node(())).collect();
        let certain = self.edges.iter().map(|edge| (edge.from, edge.to));
        for (from, to) in certain.chain(wishes.iter().copied()) {
            graph.add_edge(nodes[from as usize], nodes[to as usize], ());
        }
        let mut component = vec![0; nodes.len()];
        for (number, members) in algo::tarjan_scc(&graph).into_iter().enumerate() {
            for member in members {
                component[member.index()] = number;
            }
        }
        for (from, to) in wishes {
            if component[from as usize] != component[to as usize] {
                self.edge(from, to, Needs::Ready);
            }
        }
    }
}

/// Sorted, and of repeated edges only the one with the stronger need.
fn each_once(mut edges: Vec<Edge>) -> Vec<Edge> {
    edges.sort_unstable_by_key(|edge| (edge.from, edge.to, std::cmp::Reverse(edge.needs)));
    edges.dedup_by_key(|edge| (edge.from, edge.to));
    edges
}

struct Draft<'a> {
    address: &'a Address,
    provider: &'a ProviderName,
    verb: Verb,
    attributes: Attrs,
    references: Option<Attrs>,
    dependencies: Vec<Dependency>,
    lifecycle: Lifecycle,
    prior: Option<Digest>,
    relies_on: BTreeMap<Address, Digest>,
    takes_along: Vec<Address>,
    expected: u32,
}
