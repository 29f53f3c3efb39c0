//! `cloudtik worker-ips`.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which, output},
};
use crate::exit::Exit;
use clap::Args;

#[derive(Args)]
pub struct WorkerIps {
    #[command(flatten)]
    which: Which,
    /// What stands between addresses [default: a new line]
    #[arg(long, value_name = "TEXT", default_value = "\n", hide_default_value = true)]
    separator: String,
}

impl WorkerIps {
    pub fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        recorded.head()?;
        let ips: Vec<String> = recorded.workers().iter().map(|r| output(r, "ip")).collect();
        if context.out.is_json() {
            return context.event("worker-ips", serde_json::json!({ "ips": ips }));
        }
        context.print(&ips.join(&self.separator))
    }
}
