//! What happens to each declared resource, in dependency order, and what others may read from it.

use crate::{
    diff,
    drain::drained,
    graph::{Declared, Foreign},
    planner::{Input, Options},
};
use cloudtik_core::{
    Address, Attrs, Declaration, Diagnostic, ProviderName, Reference, Value,
    plan::{Action, AttributeDiff, Found, Mode, Reason},
    provider::{Health, Presence},
    schema::KindSchema,
    state::{Record, Status},
    value,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The decision on one resource.
pub(crate) struct Decided {
    pub action: Action,
    pub reasons: Vec<Reason>,
    pub diffs: Vec<AttributeDiff>,
    /// Declared attributes, references replaced by what is known now.
    pub attributes: Arc<Attrs>,
    /// Recorded resources whose values are in `attributes`.
    pub relied_on: BTreeSet<Address>,
    pub found: Option<Found>,
    /// Outputs that dependants were shown although only the update brings them about.
    pub promised: Attrs,
    /// An adopted object that must be changed as well.
    pub update_after_adopt: bool,
    /// What a reference to this resource sees.
    view: View,
}

enum View {
    /// Nothing of it will be known before apply, except what its own inputs say: inputs, then predicted outputs.
    New { inputs: Arc<Attrs>, predicted: Attrs, volatile: Vec<&'static str> },
    /// A record that stays as it is, with fresher outputs.
    Kept(Arc<Record>, Attrs),
    /// A record that is changed in place: inputs, then the outputs that survive.
    Changed { inputs: Arc<Attrs>, outputs: Attrs, volatile: Vec<&'static str> },
    /// Left out by `--target` or `--exclude`, and not recorded.
    Absent,
}

impl View {
    fn get(&self, path: &str) -> Option<Value> {
        match self {
            View::New { inputs, predicted, volatile } => {
                of(predicted, path).or_else(|| if output(volatile, path) { None } else { of(inputs, path) })
            }
            View::Kept(record, outputs) => {
                Some(of(outputs, path).or_else(|| record.attribute(path).cloned()).unwrap_or(Value::Unset))
            }
            View::Changed { inputs, outputs, volatile } => {
                if output(volatile, path) {
                    return None;
                }
                // What refresh says is unknown, the update will tell.
                of(outputs, path).or_else(|| of(inputs, path)).filter(|value| *value != Value::Unknown)
            }
            View::Absent => None,
        }
    }
}

/// Whether a path leads to an output that only the call can tell, even where an input has the same name.
fn output(volatile: &[&str], path: &str) -> bool {
    volatile.contains(&path.split('.').next().unwrap_or(path))
}

fn of(attributes: &Attrs, path: &str) -> Option<Value> {
    attributes.get(path).cloned().or_else(|| {
        let (first, rest) = path.split_once('.')?;
        attributes.get(first)?.at(rest).cloned()
    })
}

/// Decides every declared resource. The result is parallel to `declared.items`; `None` for one that is left out.
pub(crate) fn decide(
    input: &Input,
    declared: &Declared,
    foreign: &Foreign,
    records: &BTreeMap<Address, Arc<Record>>,
    allowed: Option<&BTreeSet<Address>>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Option<Decided>> {
    let mut decided: Vec<Option<Decided>> = declared.items.iter().map(|_| None).collect();
    let decider = Decider { input, declared, foreign, records };
    for &at in &declared.order {
        let item = declared.items[at];
        let decision = if allowed.is_some_and(|allowed| !allowed.contains(&item.address)) {
            decider.leave_out(item)
        } else {
            decider.resource(item, &decided, problems)
        };
        decided[at] = decision;
    }
    infect_create_first(declared, &mut decided);
    while infect_below_leftovers(declared, records, &mut decided) {
        infect_create_first(declared, &mut decided);
    }
    // Views have served: what they share can be moved from now on.
    decided.iter_mut().flatten().for_each(|decision| decision.view = View::Absent);
    decided
}

struct Decider<'a> {
    input: &'a Input<'a>,
    declared: &'a Declared<'a>,
    foreign: &'a Foreign<'a>,
    records: &'a BTreeMap<Address, Arc<Record>>,
}

impl Decider<'_> {
    fn leave_out(&self, item: &Declaration) -> Option<Decided> {
        let view = match self.current(&item.address) {
            Some(record) => View::Kept(record.clone(), Attrs::new()),
            None => View::Absent,
        };
        Some(Decided {
            action: Action::Keep,
            reasons: Vec::new(),
            diffs: Vec::new(),
            attributes: Arc::default(),
            relied_on: BTreeSet::new(),
            found: None,
            promised: Attrs::new(),
            update_after_adopt: false,
            view,
        })
    }

    fn current(&self, address: &Address) -> Option<&Arc<Record>> {
        self.records.get(address).filter(|record| !record.only_deposed)
    }

    fn resource(
        &self,
        item: &Declaration,
        decided: &[Option<Decided>],
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Decided> {
        let Some(kind) = self.input.kinds.get(&item.provider, item.address.kind()) else {
            problems.push(unknown_kind(item));
            return None;
        };
        let (attributes, relied_on) = self.resolve(item, decided);
        let mut decision = match self.current(&item.address) {
            // What is found in a home that is made anew goes with the old one.
            None if self.lost_home(item, decided).is_some() => new(kind, Action::Create, vec![Reason::New], attributes),
            None => self.unrecorded(item, kind, attributes, problems),
            Some(record) if record.provider != item.provider => self.moved(item, kind, record, attributes),
            Some(record) => self.recorded(item, kind, record, attributes, decided),
        };
        decision.relied_on = relied_on;
        self.guard(item, &decision, problems);
        Some(decision)
    }

    /// Replaces references by values that are known before apply.
    fn resolve(&self, item: &Declaration, decided: &[Option<Decided>]) -> (Attrs, BTreeSet<Address>) {
        let relied_on = std::cell::RefCell::new(BTreeSet::new());
        let attributes = value::resolve(&item.attributes, &|reference: &Reference| {
            let found = match self.declared.index.get(&reference.address) {
                Some(&at) => decided[at].as_ref()?.view.get(&reference.attribute),
                None => {
                    let record = self.foreign.get(&reference.address)?;
                    Some(record.attribute(&reference.attribute).cloned().unwrap_or(Value::Unset))
                }
            };
            if found.is_some() {
                relied_on.borrow_mut().insert(reference.address.clone());
            }
            found
        });
        (attributes, relied_on.into_inner())
    }

    fn unrecorded(
        &self,
        item: &Declaration,
        kind: &KindSchema,
        attributes: Attrs,
        problems: &mut Vec<Diagnostic>,
    ) -> Decided {
        let Some(Presence::Present { id, attributes: seen, outputs, owned, .. }) =
            self.input.observed.get(&item.address)
        else {
            return new(kind, Action::Create, vec![Reason::New], attributes);
        };
        if !owned && !self.input.options.adopt {
            problems.push(exists_already(item, id));
        }
        let diffs = diff::changed(kind, seen, &overlap(&attributes, seen));
        let attributes = Arc::new(attributes);
        let mut recorded = (*attributes).clone();
        recorded.extend(seen.iter().map(|(k, v)| (k.clone(), v.clone())));
        Decided {
            action: Action::Adopt,
            reasons: vec![if *owned { Reason::Found } else { Reason::TakenOver }],
            // One without our mark gets it.
            update_after_adopt: !diffs.is_empty() || !owned,
            diffs,
            view: View::Changed {
                inputs: attributes.clone(),
                outputs: outputs.clone(),
                volatile: kind.volatile.clone(),
            },
            promised: Attrs::new(),
            found: Some(Found { id: id.clone(), attributes: recorded, outputs: outputs.clone() }),
            attributes,
            relied_on: BTreeSet::new(),
        }
    }

    /// The documents name another provider now: what the old one made goes, and the new one makes its own.
    fn moved(&self, item: &Declaration, kind: &KindSchema, record: &Record, attributes: Attrs) -> Decided {
        if self.input.observed.get(&item.address) == Some(&Presence::Absent) {
            return new(kind, Action::Create, vec![Reason::Gone], attributes);
        }
        let mut decision = new(kind, Action::Replace, vec![Reason::Immutable { path: "provider".into() }], attributes);
        let name = |provider: &ProviderName| Value::text(&provider.0);
        decision.diffs.push(AttributeDiff {
            path: "provider".into(),
            before: name(&record.provider),
            after: name(&item.provider),
            forces_replacement: true,
        });
        decision.diffs.sort_by(|a, b| a.path.cmp(&b.path));
        decision
    }

    fn recorded(
        &self,
        item: &Declaration,
        kind: &KindSchema,
        record: &Arc<Record>,
        attributes: Attrs,
        decided: &[Option<Decided>],
    ) -> Decided {
        if let Some((home, replaced)) = self.lost_home(item, decided) {
            let mut reasons = vec![Reason::GoneWith { address: home }];
            if replaced {
                reasons.extend(drained(self.input, &item.address, record, &item.lifecycle));
            }
            return new(kind, Action::Create, reasons, attributes);
        }
        let (seen, outputs, health) = match self.input.observed.get(&item.address) {
            Some(Presence::Absent) => return new(kind, Action::Create, vec![Reason::Gone], attributes),
            Some(Presence::Present { attributes, outputs, healthy, .. }) => {
                (Some(attributes), outputs.clone(), healthy.clone())
            }
            None => (None, Attrs::new(), Health::Ok),
        };
        let mut before = std::borrow::Cow::Borrowed(&record.attributes);
        if let Some(seen) = seen.filter(|seen| !seen.is_empty()) {
            before.to_mut().extend(seen.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        let diffs = diff::changed(kind, &before, &attributes);

        let mut reasons: Vec<Reason> = Vec::new();
        if matches(self.input.options, &item.address) {
            reasons.push(Reason::Requested);
        }
        for diff in diffs.iter().filter(|d| d.forces_replacement) {
            reasons.push(self.why_replace(item, diff, decided));
        }
        if !reasons.is_empty() {
            let first = item.lifecycle.create_before_destroy.unwrap_or(kind.create_before_destroy);
            let action = if first { Action::ReplaceCreateFirst } else { Action::Replace };
            let mut decision = new(kind, action, reasons, attributes);
            decision.diffs = diffs;
            return decision;
        }

        let mut promised = Attrs::new();
        match health {
            Health::Ok => {}
            Health::Broken(detail) => reasons.push(Reason::Broken { detail }),
            Health::Outdated(detail) => {
                reasons.push(Reason::Upgrade { detail });
                promised = outputs.clone();
            }
        }
        let mut names: Vec<&str> = diffs.iter().map(|d| d.path.split('.').next().unwrap_or(&d.path)).collect();
        names.dedup();
        for name in names {
            let recorded = record.attributes.get(name).unwrap_or(&Value::Unset);
            let wanted = attributes.get(name).unwrap_or(&Value::Unset);
            let path = name.to_string();
            reasons.push(if kind.same(name, recorded, wanted) {
                Reason::Drifted { path }
            } else {
                Reason::Changed { path }
            });
        }
        let unready = record.status != Status::Ready;
        let action = match (reasons.is_empty(), unready) {
            (false, _) => Action::Update,
            (true, true) => {
                reasons.push(Reason::Unready);
                Action::Read
            }
            (true, false) => Action::Keep,
        };
        let attributes = Arc::new(attributes);
        let view = match action {
            Action::Keep => View::Kept(record.clone(), outputs),
            _ => {
                let mut kept = record.outputs.clone();
                kept.extend(outputs);
                if let Some(predict) = kind.predict {
                    kept.extend(predict(&attributes));
                }
                let volatile = kind.volatile.iter().copied().filter(|v| !predicted(kind, &attributes, v)).collect();
                View::Changed { inputs: attributes.clone(), outputs: kept, volatile }
            }
        };
        Decided {
            action,
            reasons,
            diffs,
            attributes,
            relied_on: BTreeSet::new(),
            found: None,
            promised,
            update_after_adopt: false,
            view,
        }
    }

    /// The resource that this one lives in, when that one is made anew; and whether in place of one that is there.
    fn lost_home(&self, item: &Declaration, decided: &[Option<Decided>]) -> Option<(Address, bool)> {
        let home = item.lifecycle.gone_with.as_ref()?;
        let decision = decided[*self.declared.index.get(home)?].as_ref()?;
        let replaced = matches!(decision.action, Action::Replace | Action::ReplaceCreateFirst);
        (replaced || decision.action == Action::Create).then(|| (home.clone(), replaced))
    }

    /// A replaced dependency is a better reason than the attribute that carries its name.
    fn why_replace(&self, item: &Declaration, diff: &AttributeDiff, decided: &[Option<Decided>]) -> Reason {
        let name = diff.path.split('.').next().unwrap_or(&diff.path);
        let mut cause = None;
        if let Some(value) = item.attributes.get(name) {
            value.references(&mut |reference| {
                let decision = self.declared.index.get(&reference.address).and_then(|at| decided[*at].as_ref());
                if decision.is_some_and(|d| d.action.is_destructive()) {
                    cause.get_or_insert_with(|| reference.address.clone());
                }
            });
        }
        match cause {
            Some(address) => Reason::DependencyReplaced { address },
            None => Reason::Immutable { path: diff.path.clone() },
        }
    }

    fn guard(&self, item: &Declaration, decision: &Decided, problems: &mut Vec<Diagnostic>) {
        let requested = decision.reasons.contains(&Reason::Requested) || self.input.mode == Mode::Destroy;
        if item.lifecycle.prevent_destroy && decision.action.is_destructive() && !requested {
            let paths: Vec<String> =
                decision.diffs.iter().filter(|d| d.forces_replacement).map(|d| format!("`{}`", d.path)).collect();
            problems.push(
                Diagnostic::error("protected", "a protected resource would be replaced")
                    .detail(format!(
                        "`{}` is protected, and {} cannot change in place",
                        item.address.short(),
                        paths.join(", ")
                    ))
                    .about(&item.address)
                    .maybe_at(item.origin.as_ref())
                    .hint(format!("undo the change, or allow it with `--replace {}`", item.address.short())),
            );
        }
    }
}

fn predicted(kind: &KindSchema, attributes: &Attrs, output: &str) -> bool {
    kind.predict.is_some_and(|predict| predict(attributes).contains_key(output))
}

fn matches(options: &Options, address: &Address) -> bool {
    options.replace.iter().any(|pattern| address.matches(pattern))
}

/// The declared attributes, less those that the world cannot tell us.
fn overlap(attributes: &Attrs, seen: &Attrs) -> Attrs {
    attributes.iter().filter(|(name, _)| seen.contains_key(*name)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn new(kind: &KindSchema, action: Action, reasons: Vec<Reason>, attributes: Attrs) -> Decided {
    let predicted = kind.predict.map(|predict| predict(&attributes)).unwrap_or_default();
    let attributes = Arc::new(attributes);
    Decided {
        action,
        reasons,
        diffs: diff::created(&attributes),
        attributes: attributes.clone(),
        relied_on: BTreeSet::new(),
        found: None,
        promised: Attrs::new(),
        update_after_adopt: false,
        view: View::New { inputs: attributes, predicted, volatile: kind.volatile.clone() },
    }
}

fn exists_already(item: &Declaration, id: &str) -> Diagnostic {
    let short = item.address.short();
    Diagnostic::error("exists-already", "something that was not made from this state is there already")
        .detail(format!("`{short}` exists as {id} and was not made from this state"))
        .about(&item.address)
        .maybe_at(item.origin.as_ref())
        .hint("take it over: `cloudtik adopt` with the same documents")
        .hint("or rename the document's workspace or cluster, so that the two do not meet")
}

fn unknown_kind(item: &Declaration) -> Diagnostic {
    Diagnostic::error("unknown-kind", "no provider manages this kind of resource")
        .detail(format!("`{}` is of kind `{}`", item.address, item.address.kind()))
        .about(&item.address)
        .maybe_at(item.origin.as_ref())
        .hint("build with the provider's feature, or remove the resource from the document")
}

/// Whatever a create-before-destroy replacement is built on must be replaced that way too: otherwise the old object of
/// the dependency would have to go while the old dependant still uses it.
fn infect_create_first(declared: &Declared, decided: &mut [Option<Decided>]) {
    let mut pending: Vec<usize> = (0..decided.len())
        .filter(|at| decided[*at].as_ref().is_some_and(|d| d.action == Action::ReplaceCreateFirst))
        .collect();
    let mut seen = HashMap::new();
    while let Some(at) = pending.pop() {
        for (on, _) in &declared.dependencies[at] {
            if let Some(decision) = decided[*on].as_mut().filter(|d| d.action == Action::Replace) {
                decision.action = Action::ReplaceCreateFirst;
            }
            let first = decided[*on].as_ref().is_some_and(|d| d.action == Action::ReplaceCreateFirst);
            if first && seen.insert(*on, ()).is_none() {
                pending.push(*on);
            }
        }
    }
}

/// An old object that an interrupted replacement left, and that something uses until it has moved to the new one, uses what
/// it was built on for as long: that cannot go before its own successor is there either. `true` when anything changed.
fn infect_below_leftovers(
    declared: &Declared,
    records: &BTreeMap<Address, Arc<Record>>,
    decided: &mut [Option<Decided>],
) -> bool {
    let action = |address: &Address, decided: &[Option<Decided>]| {
        declared.index.get(address).and_then(|at| decided[*at].as_ref()).map(|decision| decision.action)
    };
    let moves = |address: &Address, decided: &[Option<Decided>]| {
        matches!(action(address, decided), Some(Action::Update | Action::Read | Action::ReplaceCreateFirst))
    };
    let used: BTreeSet<&Address> = records
        .values()
        .filter(|user| moves(&user.address, decided))
        .flat_map(|user| user.dependencies.iter().map(|dependency| &dependency.address))
        .collect();
    let leftovers = records.values().filter(|record| !record.deposed.is_empty() && used.contains(&record.address));
    let mut changed = false;
    for on in leftovers.flat_map(|record| &record.dependencies) {
        let Some(at) = declared.index.get(&on.address) else { continue };
        if let Some(decision) = decided[*at].as_mut().filter(|decision| decision.action == Action::Replace) {
            decision.action = Action::ReplaceCreateFirst;
            changed = true;
        }
    }
    changed
}
