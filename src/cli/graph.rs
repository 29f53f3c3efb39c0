//! `cloudtik graph`: the operations of a plan, or everything declared.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::Program,
};
use crate::{exit::Exit, view::graph};
use clap::{Args, ValueEnum};
use cloudtik_core::plan::{Action, Plan};
use std::{collections::HashMap, path::PathBuf};

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Dot,
    Mermaid,
    Svg,
}

#[derive(Args)]
pub struct Graph {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// How to draw it
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Every resource, not only those that change
    #[arg(long)]
    all: bool,
}

impl Graph {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let (program, world) = Program::load(context, &self.documents, Vec::new())?;
        let planned = flow::plan(context, &world, &Request::of(&program, "graph")).await?;
        let all = self.all || planned.plan.is_empty();
        let graph = resources(&planned.plan, &program, all);
        let text = match self.format {
            Form::Text => graph::text(&graph, &context.out.look()),
            Form::Dot => graph::dot(&graph),
            Form::Mermaid => graph::mermaid(&graph),
            Form::Svg => graph::svg(&graph),
        };
        context.tell("graph", &text)
    }
}

/// Declared resources with what a plan does to them; those that go are left out, nothing new is built on them.
fn resources(plan: &Plan, program: &Program, all: bool) -> graph::Graph {
    let actions: HashMap<_, Action> = plan.changes.iter().map(|c| (&c.address, c.action)).collect();
    let mut declared: Vec<_> = program.declarations.iter().collect();
    declared.sort_by(|a, b| a.address.cmp(&b.address));
    declared.retain(|d| all || actions.get(&d.address).is_some_and(|a| a.is_change()));
    let index: HashMap<_, usize> = declared.iter().enumerate().map(|(i, d)| (&d.address, i)).collect();
    let nodes = declared
        .iter()
        .map(|d| graph::Node { address: d.address.clone(), action: actions.get(&d.address).copied() })
        .collect();
    let edges = declared
        .iter()
        .enumerate()
        .flat_map(|(to, d)| d.dependencies().into_iter().map(move |dependency| (dependency, to)))
        .filter_map(|(dependency, to)| Some((*index.get(&dependency.address)?, to, dependency.needs)))
        .collect();
    graph::Graph { nodes, edges }
}
