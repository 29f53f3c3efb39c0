//! `cloudtik attach`: a shell on a node.

use super::{
    context::Context,
    error::Error,
    exec,
    nodes::{Recorded, Which},
    ports::Ports,
};
use crate::exit::Exit;
use clap::Args;
use cloudtik_core::host::Command;

#[derive(Args)]
pub struct Attach {
    #[command(flatten)]
    which: Which,
    /// Attach to the node with this address
    #[arg(long, value_name = "IP")]
    node_ip: Option<String>,
    #[command(flatten)]
    ports: Ports,
}

impl Attach {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let node = match &self.node_ip {
            Some(ip) => recorded.node(ip)?,
            None => recorded.head()?,
        };
        let host = recorded.host(&node).await?;
        let _forwarding = self.ports.open(context, &host, true).await?;
        let shell =
            Command::sh("if [ -x /bin/bash ]; then exec /bin/bash -i; else exec /bin/sh -i; fi", Vec::<String>::new());
        Ok(exec::exit(host.interactive(&recorded.within(&node, shell)).await?))
    }
}
