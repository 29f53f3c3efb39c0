//! `cloudtik worker-ips`.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, output},
};
use crate::exit::Exit;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct WorkerIps {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// What stands between addresses [default: a new line]
    #[arg(long, value_name = "TEXT", default_value = "\n", hide_default_value = true)]
    separator: String,
}

impl WorkerIps {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.document)?;
        recorded.head()?;
        let ips: Vec<String> = recorded.workers().iter().map(|r| output(r, "ip")).collect();
        if context.out.is_json() {
            return context.event("worker-ips", serde_json::json!({ "ips": ips }));
        }
        context.print(&ips.join(&self.separator))
    }
}
