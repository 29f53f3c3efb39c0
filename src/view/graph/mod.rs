//! The graph of a plan or of declarations: as layers of text, DOT, Mermaid, and SVG drawn without another program.
//!
//! What is alike is folded into one box first ([`fold`]), so that a cluster of a hundred workers reads like one of three.

mod dot;
mod fold;
mod layers;
mod svg;

pub use dot::{dot, mermaid};
pub use layers::text;
pub use svg::svg;

use cloudtik_core::{
    Address, Needs,
    plan::{Action, Plan},
};
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub address: Address,
    /// `None` where nothing is planned: a graph of declarations.
    pub action: Option<Action>,
}

/// `edges` are (from, to): `from` comes first. Circles are drawn, not refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<(usize, usize, Needs)>,
}

impl Graph {
    /// What the plan does, in its order. Resources that are kept are left out.
    pub fn of_plan(plan: &Plan) -> Graph {
        let acting = plan.changes.iter().filter(|c| c.action.is_change());
        let nodes: Vec<Node> = acting.map(|c| Node { address: c.address.clone(), action: Some(c.action) }).collect();
        let at: HashMap<&Address, usize> = nodes.iter().enumerate().map(|(i, n)| (&n.address, i)).collect();
        let node = |operation: u32| at.get(&plan.operations.get(operation as usize)?.address).copied();
        let mut edges: BTreeMap<(usize, usize), Needs> = BTreeMap::new();
        for edge in &plan.edges {
            if let (Some(from), Some(to)) = (node(edge.from), node(edge.to))
                && from != to
            {
                let needs = edges.entry((from, to)).or_insert(edge.needs);
                *needs = (*needs).max(edge.needs);
            }
        }
        let edges = edges.into_iter().map(|((from, to), needs)| (from, to, needs)).collect();
        Graph { nodes, edges }
    }
}

#[cfg(test)]
mod tests;
