//! `cloudtik rsync-down`: a file or folder of the head or of another node, fetched.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which},
};
use crate::{
    exit::Exit,
    view::transfer::{self, Transfer},
};
use clap::Args;
use cloudtik_access::Moved;
use std::path::PathBuf;

#[derive(Args)]
pub struct RsyncDown {
    #[command(flatten)]
    which: Which,
    /// A file or folder on the node, relative to the home folder there; of a folder, what is in it
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Where it goes on this machine
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// Fetch from the node with this address
    #[arg(long, value_name = "IP")]
    node_ip: Option<String>,
}

impl RsyncDown {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let node = match &self.node_ip {
            Some(ip) => recorded.node(ip)?,
            None => recorded.head()?,
        };
        let host = recorded.host(&node).await?;
        let view = Transfer::new(&context.out, 1);
        let shown = view.clone();
        let mut progress = move |now: &Moved| shown.is_at(0, now.bytes, None);
        let moved = cloudtik_access::download(&*host, &self.source, &self.target, &mut progress).await;
        view.finish();
        let moved = moved?;
        if context.out.is_json() {
            let json = serde_json::json!({"files": moved.files, "bytes": moved.bytes, "skipped": moved.skipped});
            return context.event("rsync-down", json);
        }
        context.print(&format!("Fetched {}.", transfer::summary(moved.files, moved.bytes, moved.skipped)))
    }
}
