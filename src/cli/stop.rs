//! `cloudtik stop`: a cluster, removed.

use super::{context::Context, destroy, error::Error, nodes::Which, plan::Selection};
use crate::exit::Exit;
use clap::Args;

#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Stop {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let all = Selection { refresh: "all".into(), ..Selection::default() };
        destroy::remove(
            context,
            std::slice::from_ref(&self.which.document),
            self.which.overrides(),
            &all,
            "stop",
            self.yes,
        )
        .await
    }
}
