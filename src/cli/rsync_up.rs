//! `cloudtik rsync-up`: a file or folder of this machine, sent to the head, to one node, or to all.

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
use cloudtik_core::{Diagnostic, state::Record};
use futures::{StreamExt, TryStreamExt, stream};
use std::{path::PathBuf, sync::Arc};

/// Nodes that are sent to at once: each holds some megabytes of what it is sent.
const AT_ONCE: usize = 16;

#[derive(Args)]
pub struct RsyncUp {
    #[command(flatten)]
    which: Which,
    /// A file or folder on this machine; of a folder, what is in it
    #[arg(value_name = "SOURCE", requires = "target")]
    source: Option<PathBuf>,
    /// Where it goes on the node; relative to the home folder there
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Send to the node with this address
    #[arg(long, value_name = "IP")]
    node_ip: Option<String>,
    /// Send to every node
    #[arg(long, conflicts_with = "node_ip")]
    all_nodes: bool,
}

impl RsyncUp {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let (Some(source), Some(target)) = (&self.source, &self.target) else {
            return Err(Error::request(
                Diagnostic::error("nothing-to-send", "name what to send and where to")
                    .detail("without a source, the Python CloudTik sends the document's `file_mounts` again")
                    .hint("`cloudtik apply` sends file mounts that have changed"),
            ));
        };
        let recorded = Recorded::load(context, &self.which)?;
        let head = recorded.head()?;
        let nodes = match &self.node_ip {
            Some(ip) => vec![recorded.node(ip)?],
            None if self.all_nodes => recorded.nodes(),
            None => vec![head],
        };
        let view = Transfer::new(&context.out, nodes.len());
        let recorded = &recorded;
        let send = |(at, node): (usize, Arc<Record>)| {
            let view = view.clone();
            async move {
                let host = recorded.host(&node).await?;
                let mut progress = move |now: &Moved, total: &Moved| view.is_at(at, now.bytes, Some(total.bytes));
                Ok::<_, Error>(cloudtik_access::upload(&*host, source, target, &mut progress).await?)
            }
        };
        let count = nodes.len();
        let sent =
            stream::iter(nodes.into_iter().enumerate()).map(send).buffered(AT_ONCE).try_collect::<Vec<_>>().await;
        view.finish();
        let moved = sent?.into_iter().next().unwrap_or_default();
        if context.out.is_json() {
            let json = serde_json::json!({"files": moved.files, "bytes": moved.bytes, "skipped": moved.skipped, "nodes": count});
            return context.event("rsync-up", json);
        }
        let nodes = if count == 1 { String::new() } else { format!(" to {count} nodes") };
        context.print(&format!("Sent {}{nodes}.", transfer::summary(moved.files, moved.bytes, moved.skipped)))
    }
}
