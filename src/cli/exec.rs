//! `cloudtik exec`: a command on the head, on one node, or on all.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which, output},
    ports::Ports,
};
use crate::{
    exit::Exit,
    view::{Output, Stream},
};
use clap::Args;
use cloudtik_core::{
    host::{Chunk, Command, Host},
    state::Record,
};
use std::sync::Arc;

#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    which: Which,
    /// The command, for a shell
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Run on the node with this address
    #[arg(long, value_name = "IP")]
    node_ip: Option<String>,
    /// Run on every node at once
    #[arg(long, conflicts_with_all = ["node_ip", "ports"])]
    all_nodes: bool,
    #[command(flatten)]
    ports: Ports,
}

impl Exec {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let head = recorded.head()?;
        let command = Command::new(["/bin/sh", "-c", &self.command.join(" ")]);
        if self.all_nodes {
            return everywhere(context, &recorded, &command).await;
        }
        let node = match &self.node_ip {
            Some(ip) => recorded.node(ip)?,
            None => head,
        };
        let host = recorded.host(&node).await?;
        let _forwarding = self.ports.open(context, &host, false).await?;
        let code = stream(&context.out, &*host, &recorded.within(&node, command)).await?;
        Ok(exit(code))
    }
}

/// Runs a command and passes on what it prints as it comes. Returns its exit code.
pub async fn stream(out: &Output, host: &dyn Host, command: &Command) -> Result<i32, Error> {
    let mut broken = None;
    let code = host
        .stream(command, &mut |chunk| {
            let written = match &chunk {
                Chunk::Out(bytes) => out.raw(Stream::Stdout, bytes),
                Chunk::Err(bytes) => out.raw(Stream::Stderr, bytes),
            };
            if let Err(error) = written {
                broken.get_or_insert(error);
            }
        })
        .await?;
    out.raw_end().map_err(Error::io("write output"))?;
    match broken {
        Some(source) => Err(Error::Io { what: "write output".into(), source }),
        None => Ok(code),
    }
}

pub fn exit(code: i32) -> Exit {
    Exit::Job(u8::try_from(code).unwrap_or(u8::MAX))
}

/// All nodes in parallel; each node's output in one piece, with its name before each line. The worst code is returned, or
/// the first failure to run the command at all, once the others are told.
async fn everywhere(context: &Context, recorded: &Recorded, command: &Command) -> Result<Exit, Error> {
    let run = async |node: Arc<Record>| {
        let output = async {
            let command = recorded.within(&node, command.clone());
            Ok::<_, Error>(recorded.host(&node).await?.run(&command).await?)
        };
        (output.await, node)
    };
    let results = futures::future::join_all(recorded.nodes().into_iter().map(run)).await;
    let (mut worst, mut failed) = (0, None);
    for (result, node) in results {
        let named = label(&node);
        let output = match result {
            Ok(output) => output,
            Err(error) => {
                context.out.note(&format!("{named}: {error}"));
                failed.get_or_insert(error);
                continue;
            }
        };
        worst = worst.max(output.code);
        for (stream, bytes) in [(Stream::Stdout, &output.stdout), (Stream::Stderr, &output.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let lines: String = text.lines().map(|line| format!("{named}: {line}\n")).collect();
            context.out.raw(stream, lines.as_bytes()).map_err(Error::io("write output"))?;
        }
        if output.code != 0 {
            context.out.note(&format!("{named}: exit code {}", output.code));
        }
    }
    context.out.raw_end().map_err(Error::io("write output"))?;
    failed.map_or(Ok(exit(worst)), Err)
}

fn label(node: &Arc<Record>) -> String {
    let host = output(node, "host");
    if host.is_empty() { output(node, "ip") } else { host }
}
