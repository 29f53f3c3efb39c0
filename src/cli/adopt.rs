//! `cloudtik adopt`: apply that also takes over what exists under a declared name and was not made from this state.

use super::{
    context::Context,
    error::Error,
    plan::{Selection, Upgrade},
    start::{Creation, create},
    undo::To,
};
use crate::exit::Exit;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Adopt {
    /// Documents, or folders of documents
    #[arg(required = true, value_name = "DOCS")]
    documents: Vec<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    upgrade: Upgrade,
    #[command(flatten)]
    selection: Selection,
}

impl Adopt {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let Adopt { documents, yes, upgrade, selection } = self;
        let creation =
            Creation { selection: &selection, upgrade, to: To::default(), adopt: true, command: "adopt", yes };
        create(context, &documents, Vec::new(), &creation).await
    }
}
