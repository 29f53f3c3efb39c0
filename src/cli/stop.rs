//! `cloudtik stop`: a cluster, removed.

use super::{context::Context, destroy, error::Error, plan::Selection};
use crate::exit::Exit;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Stop {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Stop {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let all = Selection { refresh: "all".into(), ..Selection::default() };
        destroy::remove(context, &[self.document], false, &all, "stop", self.yes).await
    }
}
