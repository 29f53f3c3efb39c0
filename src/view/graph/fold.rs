//! Folds what is alike into boxes: instances of one group, then things on the same nodes with the same neighbours.
//!
//! Edges of the folded graph are reduced: one that a longer way implies is left out.

use super::Graph;
use crate::view::plan::group_label;
use cloudtik_core::{Address, Needs, Scope, plan::Action};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// With more boxes than this, implied edges stay: finding them would take longer than reading them.
const REDUCED: usize = 2_000;

/// One box of the picture.
#[derive(Clone, Debug)]
pub(crate) struct Box {
    pub scope: Scope,
    pub kind: String,
    /// Without kind: `worker.default[0..2]/{a.conf, b.conf}`.
    pub name: String,
    pub action: Option<Action>,
    /// How many resources it stands for.
    pub count: usize,
}

impl Box {
    pub(crate) fn label(&self) -> String {
        format!("{}.{}", self.kind, self.name)
    }

    pub(crate) fn times(&self) -> String {
        if self.count > 1 { format!(" ×{}", self.count) } else { String::new() }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Folded {
    /// In the order of addresses.
    pub boxes: Vec<Box>,
    pub edges: BTreeMap<(usize, usize), Needs>,
}

type Edges = BTreeMap<(usize, usize), Needs>;

pub(crate) fn fold(graph: &Graph) -> Folded {
    let (groups, of) = instances(graph);
    let edges = contract(graph.edges.iter().copied(), &of);
    let (sets, of) = neighbours(graph, &groups, &edges);
    let edges = contract(edges.iter().map(|((a, b), n)| (*a, *b, *n)), &of);
    let boxes = sets.iter().map(|set| make(graph, &groups, set)).collect();
    let edges = reduced(sets.len(), edges);
    Folded { boxes, edges }
}

/// Nodes that differ in their instance number only, and for each node its group.
fn instances(graph: &Graph) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut order: Vec<usize> = (0..graph.nodes.len()).collect();
    order.sort_by(|a, b| graph.nodes[*a].address.cmp(&graph.nodes[*b].address));
    let (mut groups, mut of): (Vec<Vec<usize>>, _) = (Vec::new(), vec![0; order.len()]);
    let mut places = HashMap::new();
    for i in order {
        let node = &graph.nodes[i];
        let name = match node.address.instance() {
            Some((base, _, rest)) => (base.to_string(), rest.to_string()),
            None => (node.address.name().to_string(), String::new()),
        };
        let key = (node.address.scope(), node.address.kind(), node.action, node.address.instance().is_some(), name);
        let at = *places.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(i);
        of[i] = at;
    }
    (groups, of)
}

/// Edges between groups: each once, with the stronger need; none from a group to itself.
fn contract(edges: impl Iterator<Item = (usize, usize, Needs)>, of: &[usize]) -> Edges {
    let mut contracted = Edges::new();
    for (from, to, needs) in edges {
        let (from, to) = (of[from], of[to]);
        if from != to {
            let known = contracted.entry((from, to)).or_insert(needs);
            *known = (*known).max(needs);
        }
    }
    contracted
}

/// Groups of one kind on the same nodes with the same neighbours, together, and for each group its set.
fn neighbours(graph: &Graph, groups: &[Vec<usize>], edges: &Edges) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut around: Vec<[BTreeSet<(usize, Needs)>; 2]> = vec![Default::default(); groups.len()];
    for ((from, to), needs) in edges {
        around[*to][0].insert((*from, *needs));
        around[*from][1].insert((*to, *needs));
    }
    let (mut sets, mut of): (Vec<Vec<usize>>, _) = (Vec::new(), vec![0; groups.len()]);
    let mut places = HashMap::new();
    for (i, (group, around)) in groups.iter().zip(around).enumerate() {
        let node = &graph.nodes[group[0]];
        let address = &node.address;
        // Only what lives on a node folds; the nodes themselves and shared resources stay apart.
        let on = address.name().split_once('/').map_or_else(|| format!("{i}"), |_| place(graph, group));
        let key = (address.scope(), address.kind(), node.action, on, around);
        let at = *places.entry(key).or_insert(sets.len());
        if at == sets.len() {
            sets.push(Vec::new());
        }
        sets[at].push(i);
        of[i] = at;
    }
    (sets, of)
}

/// The nodes that a group is on: `worker.default[0..2]`.
fn place(graph: &Graph, group: &[usize]) -> String {
    let label = label(graph, group);
    label.split_once('/').map_or(String::new(), |(place, _)| place.to_string())
}

fn label(graph: &Graph, group: &[usize]) -> String {
    group_label(&group.iter().map(|i| &graph.nodes[*i].address).collect::<Vec<_>>())
}

fn make(graph: &Graph, groups: &[Vec<usize>], set: &[usize]) -> Box {
    let node = &graph.nodes[groups[set[0]][0]];
    let count = set.iter().map(|g| groups[*g].len()).sum();
    let own = |label: String| label.split_once('.').map_or(String::new(), |(_, name)| name.to_string());
    let name = if set.len() == 1 {
        own(label(graph, &groups[set[0]]))
    } else {
        let names: Vec<&str> = set.iter().map(|g| last(&graph.nodes[groups[*g][0]].address)).collect();
        format!("{}/{{{}}}", own(place(graph, &groups[set[0]])), short_list(&names))
    };
    let (scope, kind) = (node.address.scope().clone(), node.address.kind().to_string());
    Box { scope, kind, name, action: node.action, count }
}

fn last(address: &Address) -> &str {
    address.name().split_once('/').map_or(address.name(), |(_, rest)| rest)
}

fn short_list(names: &[&str]) -> String {
    match names {
        [] | [_] | [_, _] => names.join(", "),
        [first, second, ..] => format!("{first}, {second}, … {}", names.len() - 2),
    }
}

/// Without the edges that a longer way implies: who waits for a step waits for all that the step waited for, so a way
/// implies an edge when its own first edge needs as much.
fn reduced(count: usize, edges: Edges) -> Edges {
    if count > REDUCED {
        return edges;
    }
    let depth = depths(count, &edges);
    let forward = |(a, b): (usize, usize)| depth[a] < depth[b];
    let mut next: Vec<Vec<(usize, Needs)>> = vec![Vec::new(); count];
    edges.iter().filter(|(e, _)| forward(**e)).for_each(|((a, b), needs)| next[*a].push((*b, *needs)));
    let reach = reach(count, &depth, &next);
    let implied = |a: usize, b: usize, needs: Needs| {
        next[a].iter().any(|(n, first)| *n != b && *first >= needs && reach[*n][b / 64] >> (b % 64) & 1 == 1)
    };
    edges.into_iter().filter(|((a, b), needs)| !forward((*a, *b)) || !implied(*a, *b, *needs)).collect()
}

/// For each box a bit set of those that come after it.
fn reach(count: usize, depth: &[usize], next: &[Vec<(usize, Needs)>]) -> Vec<Vec<u64>> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|i| std::cmp::Reverse(depth[*i]));
    let mut reach: Vec<Vec<u64>> = vec![Vec::new(); count];
    for i in order {
        let mut mine = vec![0u64; count.div_ceil(64)];
        for (n, _) in &next[i] {
            mine[n / 64] |= 1 << (n % 64);
            mine.iter_mut().zip(&reach[*n]).for_each(|(m, r)| *m |= r);
        }
        reach[i] = mine;
    }
    reach
}

/// For each box the length of the longest way to it. In a circle, the edge that closes it does not count.
pub(crate) fn depths(count: usize, edges: &Edges) -> Vec<usize> {
    let (mut next, mut before) = (vec![Vec::new(); count], vec![0usize; count]);
    for (a, b) in edges.keys() {
        next[*a].push(*b);
        before[*b] += 1;
    }
    let mut depth = vec![0; count];
    let mut done = vec![false; count];
    let mut ready: Vec<usize> = (0..count).filter(|i| before[*i] == 0).rev().collect();
    for _ in 0..count {
        // With a circle, the first box of it begins.
        let Some(i) = ready.pop().or_else(|| done.iter().position(|d| !d)) else { break };
        done[i] = true;
        for &n in next[i].iter().filter(|n| !done[**n]) {
            depth[n] = depth[n].max(depth[i] + 1);
            before[n] -= 1;
            if before[n] == 0 {
                ready.push(n);
            }
        }
    }
    depth
}
