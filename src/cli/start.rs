//! `cloudtik start`: a cluster document, applied.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::{Overrides, Program},
    plan::{Selection, Upgrade},
    undo::To,
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_engine::Options;
use std::path::PathBuf;

#[derive(Args)]
pub struct Start {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Use this name instead of the document's
    #[arg(short = 'n', long, value_name = "NAME")]
    cluster_name: Option<String>,
    /// Use this workspace instead of the document's
    #[arg(long, value_name = "NAME")]
    workspace_name: Option<String>,
    /// Start at least this many workers, instead of what the document says
    #[arg(long, value_name = "N")]
    min_workers: Option<u32>,
    #[command(flatten)]
    upgrade: Upgrade,
    #[command(flatten)]
    selection: Selection,
}

impl Start {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let mut overrides = Overrides::new();
        overrides.extend(self.cluster_name.map(|name| ("cluster_name".to_string(), name.into())));
        overrides.extend(self.workspace_name.map(|name| ("workspace_name".to_string(), name.into())));
        overrides.extend(self.min_workers.map(|n| ("min_workers".to_string(), n.into())));
        let Start { document, yes, upgrade, selection, .. } = self;
        let to = To::default();
        let creation = Creation { selection: &selection, upgrade, to, adopt: false, command: "start", yes };
        create(context, &[document], overrides, &creation).await
    }
}

/// How documents are applied, and under the name of which verb.
pub struct Creation<'a> {
    pub selection: &'a Selection,
    pub upgrade: Upgrade,
    pub to: To,
    /// Take over what was not made from this state.
    pub adopt: bool,
    pub command: &'a str,
    pub yes: bool,
}

pub async fn create(
    context: &Context,
    paths: &[PathBuf],
    overrides: Overrides,
    creation: &Creation<'_>,
) -> Result<Exit, Error> {
    let (mut program, world) = Program::load_on(context, paths, overrides, creation.upgrade.platform())?;
    let then = creation.to.take_back(&mut program, &world)?;
    let request = Request {
        back_to: then.as_ref(),
        options: Options { adopt: creation.adopt, ..creation.selection.options() },
        refresh: creation.selection.policy(),
        yes: creation.yes,
        ..Request::of(&program, creation.command)
    };
    flow::change(context, &world, &request).await
}
