//! `cloudtik start`: a cluster document, applied.

use super::{
    context::Context,
    error::Error,
    flow::{self, Request},
    load::{Overrides, Program},
    plan::Selection,
};
use crate::exit::Exit;
use clap::Args;
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
    selection: Selection,
}

impl Start {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let mut overrides = Overrides::new();
        overrides.extend(self.cluster_name.map(|name| ("cluster_name".to_string(), name.into())));
        overrides.extend(self.workspace_name.map(|name| ("workspace_name".to_string(), name.into())));
        overrides.extend(self.min_workers.map(|n| ("min_workers".to_string(), n.into())));
        create(context, &[self.document], overrides, &self.selection, "start", self.yes).await
    }
}

/// Applies documents under the name of a verb.
pub async fn create(
    context: &Context,
    paths: &[PathBuf],
    overrides: Overrides,
    selection: &Selection,
    command: &str,
    yes: bool,
) -> Result<Exit, Error> {
    let (program, world) = Program::load(context, paths, overrides)?;
    let request = Request {
        options: selection.options(false),
        refresh: selection.policy(),
        yes,
        ..Request::of(&program, command)
    };
    flow::change(context, &world, &request).await
}
