//! The planner: a pure function from declared, recorded and observed to a plan. Same inputs, same bytes.

use crate::{
    decide::{self, Decided},
    diff,
    drain::drained,
    estimate,
    graph::{Declared, Foreign},
    operations::{self, Orphan},
    targets,
};
use cloudtik_core::{
    Address, Declaration, Diagnostic, Digest, Scope, diagnostic,
    digest::of as digest_of,
    plan::{Action, Base, Change, Drift, FORMAT, Mode, Operation, Plan, Reason},
    provider::{Health, Presence},
    schema::Kinds,
    state::{Record, Snapshot, Status},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Everything a plan depends on.
pub struct Input<'a> {
    pub mode: Mode,
    /// Ignored when `mode` is destroy.
    pub declarations: &'a [Declaration],
    /// The scopes this plan may change: recorded resources of these that are not declared go.
    pub scopes: &'a BTreeSet<Scope>,
    /// State of those scopes, and of others that are read only.
    pub state: &'a BTreeMap<Scope, Snapshot>,
    /// What refresh saw. A resource that is missing here is believed to be as recorded.
    pub observed: &'a BTreeMap<Address, Presence>,
    pub kinds: &'a Kinds,
    pub options: &'a Options,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub targets: Vec<String>,
    pub excludes: Vec<String>,
    /// Replaced even if nothing changed; also lifts protection.
    pub replace: Vec<String>,
    /// Kinds that hold user data and are deleted all the same, instead of being kept.
    pub delete_data: BTreeSet<String>,
    /// Takes over what exists under a declared name without our mark, instead of refusing.
    pub adopt: bool,
}

/// Decides. Errors hold every problem found, sorted by place.
pub fn plan(input: &Input) -> Result<Plan, Vec<Diagnostic>> {
    make(input).map_err(|mut problems| {
        diagnostic::sort(&mut problems);
        problems
    })
}

fn make(input: &Input) -> Result<Plan, Vec<Diagnostic>> {
    let none = [];
    let declarations = if input.mode == Mode::Destroy { &none } else { input.declarations };
    let foreign = Foreign(input.state.iter().filter(|(scope, _)| !input.scopes.contains(scope)).collect());
    let declared = Declared::new(declarations, &foreign)?;
    let records = recorded(input);
    let mut orphans: BTreeMap<Address, Arc<Record>> = records
        .iter()
        .filter(|(address, record)| !declared.index.contains_key(address) && !record.only_deposed)
        .map(|(a, r)| (a.clone(), r.clone()))
        .collect();
    let allowed = targets::allowed(&declared, &orphans, &input.options.targets, &input.options.excludes)?;
    if let Some(allowed) = &allowed {
        orphans.retain(|address, _| allowed.contains(address));
    }

    let mut problems = Vec::new();
    let mut decided = decide::decide(input, &declared, &foreign, &records, allowed.as_ref(), &mut problems);
    let orphans = orphans_decided(input, &declared, &decided, orphans, &mut problems);
    problems.extend(kept_without_ground(input, &orphans));
    problems.extend(still_in_use(input, &declared, &decided, &orphans, &foreign));
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }

    let documents = documents_digest(&declared.items);
    let built = operations::build(input, &declared, &mut decided, &orphans, &records, allowed.as_ref(), &documents);
    let estimate = estimate::estimate(&built.operations, &built.edges)
        .map_err(|waiting| vec![cyclic(&built.operations, &waiting)])?;
    let changes = changes(&declared, decided, orphans, &records, &built);
    let mut plan = Plan {
        format: FORMAT,
        mode: input.mode,
        base: bases(input),
        documents,
        estimate,
        changes,
        operations: built.operations,
        edges: built.edges,
        drift: drift(input, &records),
        warnings: problems,
        digest: Digest(String::new()),
    };
    plan.digest = plan.compute_digest();
    Ok(plan)
}

/// The problem of a plan that would be wrong: a defect of ours.
pub const CYCLIC: &str = "cyclic-plan";

/// Carried out, such a plan would leave out what waits for itself, without a word.
fn cyclic(operations: &[Operation], waiting: &[usize]) -> Diagnostic {
    let steps = waiting.iter().map(|at| format!("{} {}", operations[*at].verb.as_str(), operations[*at].address));
    Diagnostic::error(CYCLIC, "steps of the plan would wait for each other")
        .detail(format!("among {}", steps.collect::<Vec<_>>().join(", ")))
        .hint("this is a bug in cloudtik; apply a part at a time with `--target` until it is mended")
}

fn recorded(input: &Input) -> BTreeMap<Address, Arc<Record>> {
    input
        .state
        .iter()
        .filter(|(scope, _)| input.scopes.contains(scope))
        .flat_map(|(_, snapshot)| snapshot.records.iter().map(|(a, r)| (a.clone(), r.clone())))
        .collect()
}

fn bases(input: &Input) -> BTreeMap<Scope, Base> {
    let base = |scope: &Scope| match input.state.get(scope) {
        Some(s) => Base { lineage: s.lineage.clone(), serial: s.serial, revision: s.revision },
        None => Base { lineage: String::new(), serial: 0, revision: 0 },
    };
    input.scopes.iter().map(|scope| (scope.clone(), base(scope))).collect()
}

/// Places are left out: moving a line of a document changes nothing.
fn documents_digest(sorted: &[&Declaration]) -> Digest {
    let facts: Vec<_> =
        sorted.iter().map(|d| (&d.address, &d.provider, &d.attributes, &d.depends_on, &d.lifecycle)).collect();
    digest_of(&facts)
}

/// What happens to recorded resources that are no longer declared.
fn orphans_decided(
    input: &Input,
    declared: &Declared,
    decided: &[Option<Decided>],
    orphans: BTreeMap<Address, Arc<Record>>,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<Address, Orphan> {
    let why = if input.mode == Mode::Destroy { Reason::Destroy } else { Reason::Undeclared };
    // A home that goes, or is made anew, takes with it what lives in it.
    let home_goes = |record: &Record| -> Option<Address> {
        let home = record.lifecycle.gone_with.as_ref()?;
        let made_anew = declared
            .index
            .get(home)
            .and_then(|at| decided[*at].as_ref())
            .is_some_and(|d| matches!(d.action, Action::Create | Action::Replace | Action::ReplaceCreateFirst));
        (made_anew || orphans.contains_key(home)).then(|| home.clone())
    };
    let decided_orphans: BTreeMap<Address, Orphan> = orphans
        .iter()
        .map(|(address, record)| {
            let kind = input.kinds.get(&record.provider, address.kind());
            let asked = input.options.delete_data.contains(address.kind());
            let retained = !asked && (record.lifecycle.retain || kind.is_some_and(|k| k.holds_data));
            let gone = matches!(input.observed.get(address), Some(Presence::Absent));
            let orphan = if let Some(home) = home_goes(record) {
                let taken = orphans.contains_key(&home) || !decided_anew_without_old(declared, decided, &home);
                Orphan {
                    action: if taken { Action::Delete } else { Action::Forget },
                    reasons: vec![why.clone(), Reason::GoneWith { address: home.clone() }],
                    taken_by: taken.then_some(home),
                    record: record.clone(),
                }
            } else if gone {
                Orphan {
                    action: Action::Forget,
                    reasons: vec![why.clone(), Reason::Gone],
                    taken_by: None,
                    record: record.clone(),
                }
            } else if retained {
                Orphan {
                    action: Action::Forget,
                    reasons: vec![why.clone(), Reason::Retained],
                    taken_by: None,
                    record: record.clone(),
                }
            } else {
                if record.lifecycle.prevent_destroy && !asked && input.mode != Mode::Destroy {
                    problems.push(protected_orphan(address));
                }
                let keeper = kind.and_then(|kind| kind.kept_by?(record)).filter(|keeper| !orphans.contains_key(keeper));
                let kept = keeper.map(|address| Reason::KeptBy { address });
                let reasons = [why.clone()].into_iter().chain(kept).collect();
                Orphan { action: Action::Delete, reasons, taken_by: None, record: record.clone() }
            };
            (address.clone(), orphan)
        })
        .collect();
    with_drains(input, declared, decided, decided_orphans)
}

/// What goes with a machine that is deleted or replaced says whether it is stopped in order first.
fn with_drains(
    input: &Input,
    declared: &Declared,
    decided: &[Option<Decided>],
    mut orphans: BTreeMap<Address, Orphan>,
) -> BTreeMap<Address, Orphan> {
    let deleted = |home: &Address, orphans: &BTreeMap<Address, Orphan>| match declared.index.get(home) {
        Some(at) => decided[*at].as_ref().is_some_and(|d| d.action.is_destructive()),
        None => orphans.get(home).is_some_and(|o| o.action == Action::Delete && o.taken_by.is_none()),
    };
    let drains: Vec<(Address, Reason)> = orphans
        .iter()
        .filter(|(_, orphan)| orphan.taken_by.as_ref().is_some_and(|home| deleted(home, &orphans)))
        .filter_map(|(address, o)| Some((address.clone(), drained(input, address, &o.record, &o.record.lifecycle)?)))
        .collect();
    for (address, reason) in drains {
        orphans.entry(address).and_modify(|orphan| orphan.reasons.push(reason));
    }
    orphans
}

/// A home that is created because the old one vanished has no delete operation that could take things along.
fn decided_anew_without_old(declared: &Declared, decided: &[Option<Decided>], home: &Address) -> bool {
    declared
        .index
        .get(home)
        .and_then(|at| decided[*at].as_ref())
        .is_some_and(|d| matches!(d.action, Action::Create | Action::ReplaceCreateFirst))
}

fn protected_orphan(address: &Address) -> Diagnostic {
    Diagnostic::error("protected", "a protected resource would be deleted")
        .detail(format!("`{}` is protected and no longer declared", address.short()))
        .about(address)
        .hint("put it back into the document, or remove everything with `cloudtik destroy`")
}

/// What is kept for its data and could not stay, since what it is built on would be deleted.
fn kept_without_ground(input: &Input, orphans: &BTreeMap<Address, Orphan>) -> Vec<Diagnostic> {
    let goes = |address: &Address| orphans.get(address).is_some_and(|o| o.action.is_destructive());
    let rooted = |address: &Address, orphan: &Orphan| {
        input.kinds.get(&orphan.record.provider, address.kind()).is_some_and(|kind| kind.rooted)
    };
    let kept = orphans.iter().filter(|(_, orphan)| orphan.reasons.contains(&Reason::Retained));
    let kept = kept.filter(|(address, orphan)| rooted(address, orphan));
    kept.filter_map(|(address, orphan)| {
        let ground = orphan.record.dependencies.iter().find(|d| goes(&d.address))?;
        let (kept, ground) = (address.short(), ground.address.short());
        Some(
            Diagnostic::error("kept-in-use", "something that is kept for its data is built on what would be deleted")
                .detail(format!("`{kept}` holds data and is kept; `{ground}`, which it is built on, would go"))
                .about(address)
                .hint("delete its data too: `--delete-managed-database`, or `--delete-managed-storage` for buckets")
                .hint(format!("or leave what it needs: `--exclude {ground}`")),
        )
    })
    .collect()
}

/// Other scopes' records that are built on something this plan takes away.
fn still_in_use(
    input: &Input,
    declared: &Declared,
    decided: &[Option<Decided>],
    orphans: &BTreeMap<Address, Orphan>,
    foreign: &Foreign,
) -> Vec<Diagnostic> {
    let goes = |address: &Address| match declared.index.get(address) {
        Some(at) => decided[*at].as_ref().is_some_and(|d| d.action.is_destructive()),
        None => orphans.get(address).is_some_and(|o| o.action.is_destructive()),
    };
    let mut users: BTreeMap<&Scope, Address> = BTreeMap::new();
    for record in foreign.records() {
        if let Some(used) =
            record.dependencies.iter().find(|d| input.scopes.contains(d.address.scope()) && goes(&d.address))
        {
            users.entry(record.address.scope()).or_insert_with(|| used.address.clone());
        }
    }
    users
        .into_iter()
        .map(|(scope, used)| {
            Diagnostic::error("in-use", "something that another scope uses would be deleted")
                .detail(format!("{scope} is built on `{used}`"))
                .about(&used)
                .hint(match scope.cluster_name() {
                    Some(cluster) => {
                        format!(
                            "end the cluster first: `cloudtik destroy` with the document of `{cluster}`, or `cloudtik stop` if it keeps no machines"
                        )
                    }
                    None => format!("destroy {scope} first"),
                })
        })
        .collect()
}

fn changes(
    declared: &Declared,
    decided: Vec<Option<Decided>>,
    orphans: BTreeMap<Address, Orphan>,
    records: &BTreeMap<Address, Arc<Record>>,
    built: &operations::Built,
) -> Vec<Change> {
    let mut changes = Vec::with_capacity(decided.len() + orphans.len());
    for (item, decision) in declared.items.iter().zip(decided) {
        let Some(decision) = decision else { continue };
        changes.push(Change {
            address: item.address.clone(),
            provider: item.provider.clone(),
            action: decision.action,
            reasons: decision.reasons,
            diffs: decision.diffs,
            operations: built.of(&item.address),
            origin: item.origin.clone(),
        });
    }
    for (address, orphan) in orphans {
        changes.push(Change {
            operations: built.of(&address),
            address,
            provider: orphan.record.provider.clone(),
            action: orphan.action,
            reasons: orphan.reasons,
            diffs: Vec::new(),
            origin: None,
        });
    }
    let left_over = records.iter().filter(|(address, record)| {
        record.only_deposed && !declared.index.contains_key(*address) && !built.of(address).is_empty()
    });
    changes.extend(left_over.map(|(address, record)| Change {
        address: address.clone(),
        provider: record.provider.clone(),
        action: Action::Delete,
        reasons: record.deposed.keys().map(|key| Reason::Deposed { key: key.clone() }).collect(),
        diffs: Vec::new(),
        operations: built.of(address),
        origin: None,
    }));
    changes.sort_by(|a, b| a.address.cmp(&b.address));
    changes
}

/// Where the world differs from the record.
fn drift(input: &Input, records: &BTreeMap<Address, Arc<Record>>) -> Vec<Drift> {
    let mut found = Vec::new();
    // What never became ready was not changed by anybody else.
    let settled = |record: &Record| !record.only_deposed && record.status == Status::Ready;
    for (address, record) in records.iter().filter(|(_, record)| settled(record)) {
        let Some(kind) = input.kinds.get(&record.provider, address.kind()) else { continue };
        match input.observed.get(address) {
            Some(Presence::Absent) => found.push(Drift { address: address.clone(), diffs: None, broken: None }),
            Some(Presence::Present { attributes, healthy, .. }) => {
                let mut seen = record.attributes.clone();
                seen.extend(attributes.iter().map(|(k, v)| (k.clone(), v.clone())));
                let diffs = diff::changed(kind, &record.attributes, &seen);
                let broken = match healthy {
                    Health::Ok | Health::Outdated(_) => None,
                    Health::Broken(detail) => Some(detail.clone()),
                };
                if !diffs.is_empty() || broken.is_some() {
                    found.push(Drift { address: address.clone(), diffs: Some(diffs), broken });
                }
            }
            None => {}
        }
    }
    found
}
