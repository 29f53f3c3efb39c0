//! Identical changes put together: three workers that get the same file are one entry.
//!
//! Members of a group differ in nothing but their instance number and numbers that go up with it.

use crate::view::text;
use cloudtik_core::{
    Address, Attrs, Value,
    plan::{Action, AttributeDiff, Change, Reason},
};
use std::collections::HashMap;

/// How many groups of one name are compared with before a new one is opened.
const LOOK_BACK: usize = 8;

#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// Never empty, in the order of addresses.
    pub members: Vec<&'a Change>,
    /// What goes along with it because it lives inside, by kind and name on the node, each with how often.
    pub with_it: Vec<&'a Change>,
}

impl<'a> Group<'a> {
    pub(crate) fn first(&self) -> &'a Change {
        self.members[0]
    }

    pub(crate) fn last(&self) -> &'a Change {
        self.members[self.members.len() - 1]
    }

    pub(crate) fn action(&self) -> Action {
        self.first().action
    }

    /// `instance.worker.default[0..2]`.
    pub(crate) fn label(&self) -> String {
        let addresses: Vec<&Address> = self.members.iter().map(|c| &c.address).collect();
        label(&addresses)
    }

    /// ` ×3`, or nothing for one.
    pub(crate) fn times(&self) -> String {
        times(self.members.len())
    }
}

pub(crate) fn times(count: usize) -> String {
    if count > 1 { format!(" ×{count}") } else { String::new() }
}

/// The common short address of resources that differ in their instance number only.
pub(crate) fn label(addresses: &[&Address]) -> String {
    let first = addresses[0];
    match first.instance() {
        Some((base, _, rest)) if addresses.len() > 1 => {
            let numbers: Vec<usize> = addresses.iter().filter_map(|a| a.instance().map(|i| i.1)).collect();
            format!("{}.{base}[{}]{rest}", first.kind(), text::ranges(&numbers))
        }
        _ => first.short(),
    }
}

/// Addresses as one list, those that differ in their number together: `file.worker[0..2]/a.conf ×3, service.head/x`.
pub(crate) fn names(addresses: impl Iterator<Item = Address>) -> String {
    let mut groups: Vec<Vec<Address>> = Vec::new();
    let mut places = HashMap::new();
    for address in addresses {
        let like = match address.instance() {
            Some((base, _, rest)) => format!("{}.{base}[]{rest}", address.kind()),
            None => address.short(),
        };
        let at = *places.entry((address.scope().clone(), like)).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(address);
    }
    let one = |mut group: Vec<Address>| {
        group.sort();
        format!("{}{}", label(&group.iter().collect::<Vec<_>>()), times(group.len()))
    };
    groups.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Groups in reading order: destructive first, then by scope, kind (as `order` has it) and name. Deletions of what lives inside another deleted resource
/// are attached to that one.
pub(crate) fn groups<'a>(changes: impl Iterator<Item = &'a Change>, order: &HashMap<&str, usize>) -> Vec<Group<'a>> {
    let mut changes: Vec<&Change> = changes.collect();
    let action = |c: &Change| if c.action == Action::ReplaceCreateFirst { Action::Replace } else { c.action };
    let place = |c: &Change| order.get(c.address.kind()).copied();
    changes.sort_by(|a, b| {
        (action(a), a.address.scope(), place(a), &a.address).cmp(&(action(b), b.address.scope(), place(b), &b.address))
    });
    let (inside, own) = split_inside(changes);
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
    let mut owner: HashMap<&Address, usize> = HashMap::new();
    for change in own {
        let at = join(&mut groups, &mut by_name, change);
        owner.insert(&change.address, at);
    }
    for (change, outer) in inside {
        groups[owner[outer]].with_it.push(change);
    }
    groups
}

type Name<'a> = (Action, &'a cloudtik_core::Scope, &'a str, &'a str, &'a str);

fn join<'a>(groups: &mut Vec<Group<'a>>, by_name: &mut HashMap<Name<'a>, Vec<usize>>, change: &'a Change) -> usize {
    let Some((base, _, rest)) = change.address.instance() else {
        groups.push(Group { members: vec![change], with_it: Vec::new() });
        return groups.len() - 1;
    };
    let name = (change.action, change.address.scope(), change.address.kind(), base, rest);
    let known = by_name.entry(name).or_default();
    let same = known.iter().rev().take(LOOK_BACK).find(|at| alike(groups[**at].first(), change));
    if let Some(&at) = same {
        groups[at].members.push(change);
        return at;
    }
    known.push(groups.len());
    groups.push(Group { members: vec![change], with_it: Vec::new() });
    groups.len() - 1
}

/// Deletions that happen because the outermost thing around them is deleted, with that thing.
fn split_inside(changes: Vec<&Change>) -> (Vec<(&Change, &Address)>, Vec<&Change>) {
    let outer: HashMap<&Address, Option<&Address>> = changes.iter().map(|c| (&c.address, gone_with(c))).collect();
    let (mut inside, mut own) = (Vec::new(), Vec::new());
    for change in changes {
        let mut at = &change.address;
        // Bounded, should a broken plan name a circle.
        for _ in 0..8 {
            match outer.get(at).copied().flatten().filter(|o| outer.contains_key(o)) {
                Some(next) => at = next,
                None => break,
            }
        }
        let settled = outer.get(at).copied().flatten().is_none_or(|o| !outer.contains_key(o));
        if at != &change.address && settled { inside.push((change, at)) } else { own.push(change) }
    }
    (inside, own)
}

/// The resource that takes this one along without anything else to be told of it.
fn gone_with(change: &Change) -> Option<&Address> {
    if change.reasons.iter().any(|reason| matches!(reason, Reason::Drained | Reason::NotDrained { .. })) {
        return None;
    }
    change.reasons.iter().find_map(|reason| match reason {
        Reason::GoneWith { address } if change.action == Action::Delete => Some(address),
        Reason::DependencyReplaced { address } if change.reasons.len() == 1 && moves_along(change, address) => {
            Some(address)
        }
        _ => None,
    })
}

/// Whether a replaced thing lives on the replaced node and differs only in what the new node will bring.
fn moves_along(change: &Change, node: &Address) -> bool {
    let on = change.address.name().split_once('/').map(|(on, _)| on);
    matches!(change.action, Action::Replace | Action::ReplaceCreateFirst)
        && on == Some(node.name())
        && change.address.scope() == node.scope()
        && change.diffs.iter().all(|d| !d.after.is_known())
}

/// Whether two changes are the same up to their instance number.
fn alike(a: &Change, b: &Change) -> bool {
    let number = |c: &Change| c.address.instance().map_or(0, |i| i.1);
    let by = Shift { a: number(a), b: number(b) };
    a.provider == b.provider
        && a.reasons.len() == b.reasons.len()
        && a.reasons.iter().zip(&b.reasons).all(|(x, y)| by.reasons(x, y))
        && a.diffs.len() == b.diffs.len()
        && a.diffs.iter().zip(&b.diffs).all(|(x, y)| by.diffs(x, y))
}

/// Two instance numbers; numbers at the same place are alike when equal or as far apart as these.
#[derive(Clone, Copy)]
struct Shift {
    a: usize,
    b: usize,
}

impl Shift {
    fn diffs(self, x: &AttributeDiff, y: &AttributeDiff) -> bool {
        x.path == y.path
            && x.forces_replacement == y.forces_replacement
            && self.values(&x.before, &y.before)
            && self.values(&x.after, &y.after)
    }

    fn reasons(self, x: &Reason, y: &Reason) -> bool {
        use Reason::{Broken, DependencyReplaced, Deposed, GoneWith, NotDrained, Upgrade};
        match (x, y) {
            (DependencyReplaced { address: x }, DependencyReplaced { address: y }) => self.addresses(x, y),
            (GoneWith { address: x }, GoneWith { address: y }) => self.addresses(x, y),
            (Broken { detail: x }, Broken { detail: y }) => self.texts(x, y),
            (NotDrained { detail: x }, NotDrained { detail: y }) => self.texts(x, y),
            (Upgrade { detail: x }, Upgrade { detail: y }) => self.texts(x, y),
            (Deposed { .. }, Deposed { .. }) => true,
            _ => x == y,
        }
    }

    fn values(self, x: &Value, y: &Value) -> bool {
        match (x, y) {
            (Value::Text(x), Value::Text(y)) => self.texts(x, y),
            (Value::Int(x), Value::Int(y)) => x == y || y.checked_sub(*x) == self.distance(),
            (Value::List(x), Value::List(y)) | (Value::Concat(x), Value::Concat(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| self.values(x, y))
            }
            (Value::Map(x), Value::Map(y)) => self.maps(x, y),
            (Value::Ref(x), Value::Ref(y)) => {
                x.attribute == y.attribute && x.needs == y.needs && self.addresses(&x.address, &y.address)
            }
            (Value::Secret(x), Value::Secret(y)) => x.source == y.source,
            _ => x == y,
        }
    }

    fn maps(self, x: &Attrs, y: &Attrs) -> bool {
        x.len() == y.len() && x.iter().zip(y).all(|((k, x), (l, y))| k == l && self.values(x, y))
    }

    fn addresses(self, x: &Address, y: &Address) -> bool {
        x == y || (x.scope() == y.scope() && x.kind() == y.kind() && self.texts(x.name(), y.name()))
    }

    fn texts(self, x: &str, y: &str) -> bool {
        if x == y {
            return true;
        }
        let (mut x, mut y) = (x.as_bytes(), y.as_bytes());
        while let (Some(&i), Some(&j)) = (x.first(), y.first()) {
            if i.is_ascii_digit() && j.is_ascii_digit() {
                let (m, n) = (digits(x), digits(y));
                if x[..m] != y[..n] && !self.apart(&x[..m], &y[..n]) {
                    return false;
                }
                (x, y) = (&x[m..], &y[n..]);
            } else if i != j {
                return false;
            } else {
                (x, y) = (&x[1..], &y[1..]);
            }
        }
        x.is_empty() && y.is_empty()
    }

    fn apart(self, x: &[u8], y: &[u8]) -> bool {
        let number = |d: &[u8]| std::str::from_utf8(d).ok().and_then(|d| d.parse::<i64>().ok());
        match (number(x), number(y)) {
            (Some(x), Some(y)) => y.checked_sub(x) == self.distance(),
            _ => false,
        }
    }

    fn distance(self) -> Option<i64> {
        i64::try_from(self.b).ok()?.checked_sub(i64::try_from(self.a).ok()?)
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|c| c.is_ascii_digit()).count()
}
