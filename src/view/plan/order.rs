//! The order that kinds are read in: networks before the nodes in them, nodes before the files on them.

use cloudtik_core::plan::Plan;
use std::collections::HashMap;

/// Per kind, how many steps come before its first operation at least. Kinds without operations are missing.
pub(crate) fn kinds(plan: &Plan) -> HashMap<&str, usize> {
    let mut kinds = HashMap::new();
    for (operation, depth) in plan.operations.iter().zip(depths(plan)) {
        let first = kinds.entry(operation.address.kind()).or_insert(depth);
        *first = depth.min(*first);
    }
    kinds
}

/// The longest way to each operation. Edges that lead nowhere or in a circle do not count.
fn depths(plan: &Plan) -> Vec<usize> {
    let count = plan.operations.len();
    let (mut next, mut before) = (vec![Vec::new(); count], vec![0usize; count]);
    for edge in &plan.edges {
        let (from, to) = (edge.from as usize, edge.to as usize);
        if from < count && to < count {
            next[from].push(to);
            before[to] += 1;
        }
    }
    let mut depth = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|i| before[*i] == 0).collect();
    while let Some(i) = ready.pop() {
        for &n in &next[i] {
            depth[n] = depth[n].max(depth[i] + 1);
            before[n] -= 1;
            if before[n] == 0 {
                ready.push(n);
            }
        }
    }
    depth
}
