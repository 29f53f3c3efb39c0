//! The ready-queue: which operations may start, most urgent first. A plain data structure; it runs nothing.

use cloudtik_core::{
    Needs,
    plan::{Edge, Operation},
};
use petgraph::{Direction, graph::DiGraph, graph::NodeIndex, visit::EdgeRef};
use std::{cmp::Reverse, collections::BinaryHeap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Created,
    Done,
    Failed,
    Skipped,
}

/// Operations that share a limit: those of one provider. Lanes are numbered from 0.
pub(crate) type Lane = usize;

pub(crate) struct Queue {
    graph: DiGraph<Stage, Needs>,
    /// Unmet edges into each operation.
    open: Vec<u32>,
    /// Expected time from an operation's start to the end of everything behind it.
    urgency: Vec<u64>,
    /// The lane of each operation.
    lanes: Vec<Lane>,
    /// By lane.
    ready: Vec<BinaryHeap<(u64, Reverse<u32>)>>,
}

impl Queue {
    /// `edges` must be acyclic: a cycle would never become ready. `lanes` has one for each operation.
    pub fn new(operations: &[Operation], edges: &[Edge], lanes: Vec<Lane>) -> Self {
        let mut graph = DiGraph::with_capacity(operations.len(), edges.len());
        for _ in operations {
            graph.add_node(Stage::Waiting);
        }
        let mut open = vec![0; operations.len()];
        for edge in edges {
            graph.add_edge(NodeIndex::new(edge.from as usize), NodeIndex::new(edge.to as usize), edge.needs);
            open[edge.to as usize] += 1;
        }
        let urgency = crate::estimate::tails(operations, edges);
        let count = lanes.iter().max().map_or(0, |last| last + 1);
        let mut queue = Queue { graph, open, urgency, lanes, ready: vec![BinaryHeap::new(); count] };
        for at in 0..operations.len() {
            queue.offer(at);
        }
        queue
    }

    fn offer(&mut self, at: usize) {
        if self.open[at] == 0 && self.graph[NodeIndex::new(at)] == Stage::Waiting {
            self.ready[self.lanes[at]].push((self.urgency[at], Reverse(at as u32)));
        }
    }

    /// The next operation to start in one of the lanes that are free; it counts as running from now on.
    pub fn pop(&mut self, free: impl Fn(Lane) -> bool) -> Option<usize> {
        let free: Vec<Lane> = (0..self.ready.len()).filter(|lane| free(*lane)).collect();
        loop {
            let lane = free.iter().copied().max_by_key(|lane| self.ready[*lane].peek())?;
            let (_, Reverse(at)) = self.ready[lane].pop()?;
            let node = &mut self.graph[NodeIndex::new(at as usize)];
            if *node == Stage::Waiting {
                *node = Stage::Running;
                return Some(at as usize);
            }
        }
    }

    pub fn lane(&self, at: usize) -> Lane {
        self.lanes[at]
    }

    /// Takes back an operation that was popped and could not be started.
    pub fn put_back(&mut self, at: usize) {
        self.graph[NodeIndex::new(at)] = Stage::Waiting;
        self.offer(at);
    }

    /// The operation's object exists: dependants that need no more may start.
    pub fn created(&mut self, at: usize) {
        self.advance(at, Stage::Created, Needs::Created);
    }

    /// The operation is complete, or was before the run.
    pub fn done(&mut self, at: usize) {
        if self.graph[NodeIndex::new(at)] != Stage::Created {
            self.created(at);
        }
        self.advance(at, Stage::Done, Needs::Ready);
    }

    fn advance(&mut self, at: usize, stage: Stage, met: Needs) {
        let node = NodeIndex::new(at);
        self.graph[node] = stage;
        let freed: Vec<usize> = self
            .graph
            .edges_directed(node, Direction::Outgoing)
            .filter(|edge| *edge.weight() == met)
            .map(|edge| edge.target().index())
            .collect();
        for at in freed {
            self.open[at] -= 1;
            self.offer(at);
        }
    }

    /// The operation failed: everything behind it that has not started is skipped. Returns those, each once.
    pub fn failed(&mut self, at: usize) -> Vec<usize> {
        self.graph[NodeIndex::new(at)] = Stage::Failed;
        let mut skipped = Vec::new();
        let mut stack = vec![NodeIndex::new(at)];
        while let Some(node) = stack.pop() {
            let next: Vec<NodeIndex> = self.graph.neighbors_directed(node, Direction::Outgoing).collect();
            for node in next {
                if self.graph[node] == Stage::Waiting {
                    self.graph[node] = Stage::Skipped;
                    skipped.push(node.index());
                    stack.push(node);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    /// Operations that have not started; after a run these were never reached.
    pub fn waiting(&self) -> Vec<usize> {
        self.graph.node_indices().filter(|n| self.graph[*n] == Stage::Waiting).map(|n| n.index()).collect()
    }
}
