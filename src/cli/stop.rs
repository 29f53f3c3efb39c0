//! `cloudtik stop`: a cluster, removed; but for the machines that its document says to keep for reuse.
//!
//! What keeps them, and what that needs, stays recorded: the next start uses it, and `destroy` removes it.

use super::{
    context::Context,
    destroy,
    error::Error,
    nodes::{Recorded, Which},
    plan::Selection,
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_core::state::Record;
use std::sync::Arc;

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
        let keepers = keepers(&Recorded::load(context, &self.which)?);
        let all = Selection { refresh: "all".into(), exclude: keepers, ..Selection::default() };
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

/// The resources that others' objects are left to when they are deleted.
fn keepers(cluster: &Recorded) -> Vec<String> {
    let kinds = cluster.world.platform.engine.kinds();
    let keeps = |record: &&Arc<Record>| kinds.get(&record.provider, record.address.kind()).is_some_and(|k| k.keeper);
    cluster.state.records.values().filter(keeps).map(|record| record.address.to_string()).collect()
}
