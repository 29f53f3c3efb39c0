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

use cloudtik_core::{Address, Needs, plan::Action};

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

#[cfg(test)]
mod tests;
