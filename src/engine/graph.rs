//! The graph of declared resources: every reference leads somewhere, no address is declared twice, nothing waits for itself.

use cloudtik_core::{
    Address, Declaration, Diagnostic, Needs, Scope,
    state::{Record, Snapshot},
};
use petgraph::{algo, graph::DiGraph};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Declarations in dependency order, with their dependencies inside the plan as indices.
pub(crate) struct Declared<'a> {
    /// Sorted by address.
    pub items: Vec<&'a Declaration>,
    pub index: HashMap<&'a Address, usize>,
    /// Per item, the items it depends on.
    pub dependencies: Vec<Vec<(usize, Needs)>>,
    /// Dependencies before dependants.
    pub order: Vec<usize>,
}

impl<'a> Declared<'a> {
    /// Checks and orders declarations. `foreign` holds the records of scopes that this plan does not change.
    ///
    /// Errors: `declared-twice`, `unknown-reference`, `dependency-cycle`; all of them at once.
    pub fn new(declarations: &'a [Declaration], foreign: &Foreign) -> Result<Self, Vec<Diagnostic>> {
        let mut items: Vec<&Declaration> = declarations.iter().collect();
        items.sort_by(|a, b| a.address.cmp(&b.address));
        let mut problems = repeats(&items);
        let index: HashMap<&Address, usize> = items.iter().enumerate().map(|(i, d)| (&d.address, i)).collect();

        let mut dependencies = vec![Vec::new(); items.len()];
        let mut missing_scopes: BTreeSet<(&Scope, Scope)> = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            for dependency in item.dependencies() {
                match index.get(&dependency.address) {
                    Some(&on) => dependencies[at].push((on, dependency.needs)),
                    None if foreign.get(&dependency.address).is_some() => {}
                    None if foreign.knows(dependency.address.scope())
                        || dependency.address.scope() == item.address.scope() =>
                    {
                        problems.push(unknown_reference(item, &dependency.address));
                    }
                    None => {
                        missing_scopes.insert((item.address.scope(), dependency.address.scope().clone()));
                    }
                }
            }
        }
        problems.extend(missing_scopes.iter().map(|(scope, missing)| scope_not_applied(scope, missing)));
        if !problems.is_empty() {
            return Err(problems);
        }
        let order = order(&items, &dependencies)?;
        Ok(Declared { items, index, dependencies, order })
    }
}

fn repeats(items: &[&Declaration]) -> Vec<Diagnostic> {
    items
        .windows(2)
        .filter(|pair| pair[0].address == pair[1].address)
        .map(|pair| {
            let mut problem = Diagnostic::error("declared-twice", "one resource is declared twice")
                .detail(format!("`{}` is declared more than once", pair[0].address))
                .about(&pair[0].address)
                .maybe_at(pair[1].origin.as_ref())
                .hint("rename or remove one of the two");
            if let Some(first) = &pair[0].origin {
                problem = problem.related(first, "first declared here");
            }
            problem
        })
        .collect()
}

fn unknown_reference(item: &Declaration, missing: &Address) -> Diagnostic {
    Diagnostic::error("unknown-reference", "a resource refers to one that does not exist")
        .detail(format!("`{}` needs `{missing}`, which is neither declared nor recorded", item.address.short()))
        .about(&item.address)
        .maybe_at(item.origin.as_ref())
        .hint(format!("apply {} again: it is incomplete", missing.scope()))
}

/// Said once for a whole scope, not for each of its resources.
fn scope_not_applied(scope: &Scope, missing: &Scope) -> Diagnostic {
    Diagnostic::error("scope-not-applied", "what this is built on does not exist yet")
        .detail(format!("{scope} is built on {missing}, of which nothing is recorded"))
        .hint(match missing.cluster_name() {
            None => {
                "create the workspace first, `cloudtik workspace create`, or give its document together with this one"
            }
            Some(_) => "start that cluster first, or give its document together with this one",
        })
}

fn order(items: &[&Declaration], dependencies: &[Vec<(usize, Needs)>]) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let mut graph = DiGraph::<(), (), u32>::with_capacity(items.len(), items.len() * 2);
    let nodes: Vec<_> = items.iter().map(|_| graph.add_node(())).collect();
    for (at, on) in dependencies.iter().enumerate() {
        for (on, _) in on {
            graph.add_edge(nodes[*on], nodes[at], ());
        }
    }
    match algo::toposort(&graph, None) {
        Ok(order) => Ok(order.into_iter().map(|n| n.index()).collect()),
        Err(_) => Err(algo::tarjan_scc(&graph)
            .into_iter()
            .filter(|component| component.len() > 1 || graph.contains_edge(component[0], component[0]))
            .map(|component| cycle(items, dependencies, component.into_iter().map(|n| n.index()).collect()))
            .collect()),
    }
}

/// Describes one strongly connected component by a shortest way around it from its first member.
fn cycle(items: &[&Declaration], dependencies: &[Vec<(usize, Needs)>], mut members: Vec<usize>) -> Diagnostic {
    members.sort_unstable();
    let start = members[0];
    let mut came_from = HashMap::from([(start, start)]);
    let mut queue = std::collections::VecDeque::from([start]);
    let mut last = start;
    'search: while let Some(at) = queue.pop_front() {
        for (on, _) in &dependencies[at] {
            if *on == start {
                last = at;
                break 'search;
            }
            if members.binary_search(on).is_ok() && !came_from.contains_key(on) {
                came_from.insert(*on, at);
                queue.push_back(*on);
            }
        }
    }
    let mut way = vec![start, last];
    while way[way.len() - 1] != start {
        way.push(came_from[&way[way.len() - 1]]);
    }
    way.reverse(); // start -> … -> last -> start, each depending on the next
    way.push(start);
    way.dedup();
    let names: Vec<String> = way.iter().map(|i| items[*i].address.short()).collect();
    let first = items[start];
    let mut problem = Diagnostic::error("dependency-cycle", "resources wait for each other")
        .detail(format!("{} cannot start before itself", names.join(" -> ")))
        .about(&first.address)
        .maybe_at(first.origin.as_ref())
        .hint("remove one of these references");
    for item in way.iter().skip(1).map(|i| items[*i]) {
        if let Some(origin) = item.origin.as_ref().filter(|o| Some(*o) != first.origin.as_ref()) {
            problem = problem.related(origin, format!("`{}` is part of it", item.address.short()));
        }
    }
    problem
}

/// Records of scopes that a plan reads but does not change.
pub(crate) struct Foreign<'a>(pub BTreeMap<&'a Scope, &'a Snapshot>);

impl<'a> Foreign<'a> {
    pub fn get(&self, address: &Address) -> Option<&'a Arc<Record>> {
        self.0.get(address.scope())?.records.get(address).filter(|r| !r.only_deposed)
    }

    fn knows(&self, scope: &Scope) -> bool {
        self.0.get(scope).is_some_and(|s| !s.records.is_empty())
    }

    pub fn records(&self) -> impl Iterator<Item = &'a Arc<Record>> {
        self.0.values().flat_map(|snapshot| snapshot.records.values())
    }
}
