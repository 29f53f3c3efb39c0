//! How long a plan should take: the longest path over typical durations.

use cloudtik_core::plan::{Edge, Estimate, Operation};

/// The estimate of a plan. Errors with those that wait for each other, and for whom others wait, where `edges` close a cycle.
pub(crate) fn estimate(operations: &[Operation], edges: &[Edge]) -> Result<Estimate, Vec<usize>> {
    let Tails { tails: ends, open } = walk(operations, edges);
    if open.iter().any(|open| *open > 0) {
        return Err((0..operations.len()).filter(|at| open[*at] > 0).collect());
    }
    let Some(mut at) = (0..operations.len()).max_by_key(|i| (ends[*i], std::cmp::Reverse(*i))) else {
        return Ok(Estimate::default());
    };
    let mut estimate = Estimate { milliseconds: ends[at], critical_path: Vec::new() };
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); operations.len()];
    for edge in edges {
        after[edge.from as usize].push(edge.to as usize);
    }
    loop {
        estimate.critical_path.push(operations[at].address.clone());
        let Some(next) = after[at].iter().copied().max_by_key(|i| (ends[*i], std::cmp::Reverse(*i))) else { break };
        at = next;
    }
    estimate.critical_path.dedup();
    Ok(estimate)
}

/// For each operation the expected time from its start to the end of everything behind it, in milliseconds.
pub(crate) fn tails(operations: &[Operation], edges: &[Edge]) -> Vec<u64> {
    walk(operations, edges).tails
}

struct Tails {
    tails: Vec<u64>,
    /// How many of those behind each operation were never reached: none, unless there is a cycle.
    open: Vec<usize>,
}

fn walk(operations: &[Operation], edges: &[Edge]) -> Tails {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); operations.len()];
    let mut open = vec![0usize; operations.len()];
    for edge in edges {
        before[edge.to as usize].push(edge.from as usize);
        open[edge.from as usize] += 1;
    }
    let mut tails: Vec<u64> = vec![0; operations.len()];
    let mut done: Vec<usize> = (0..operations.len()).filter(|i| open[*i] == 0).collect();
    while let Some(at) = done.pop() {
        tails[at] += operations[at].expected_ms;
        for &from in &before[at] {
            tails[from] = tails[from].max(tails[at]);
            open[from] -= 1;
            if open[from] == 0 {
                done.push(from);
            }
        }
    }
    Tails { tails, open }
}
