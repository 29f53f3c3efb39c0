//! `cloudtik info`: how to reach and use a cluster.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, output},
};
use crate::{exit::Exit, view::tables::Block};
use clap::Args;
use cloudtik_core::{Value, document::Document};
use std::path::PathBuf;

#[derive(Args)]
pub struct Info {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Print only the number of workers
    #[arg(long, group = "one")]
    total_workers: bool,
    /// Print only the workers' CPUs together
    #[arg(long, group = "one")]
    worker_cpus: bool,
    /// Print only the workers' memory together, in GB
    #[arg(long, group = "one")]
    worker_memory: bool,
}

impl Info {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.document)?;
        let head = recorded.head()?;
        let workers = recorded.workers();
        let sum =
            |name: &str| -> i64 { workers.iter().filter_map(|w| w.attribute(name).and_then(Value::as_int)).sum() };
        let (cpus, memory) = (sum("cpus"), sum("memory_mib"));
        let one = [
            (self.total_workers, workers.len().to_string()),
            (self.worker_cpus, cpus.to_string()),
            (self.worker_memory, format!("{:.1}", memory as f64 / 1024.0)),
        ];
        if let Some((_, value)) = one.into_iter().find(|(asked, _)| *asked) {
            return context.print(&value);
        }
        let endpoints: Vec<(String, String)> = recorded
            .state
            .records
            .values()
            .filter(|r| r.address.kind() == "endpoint")
            .map(|r| (r.address.name().to_string(), output(r, "url")))
            .collect();
        let runtimes: Vec<&str> = recorded.cluster.runtime.types.iter().map(|(name, _)| name.as_str()).collect();
        let ssh = head.outputs.get("connection").and_then(|c| c.at("ssh.command")).and_then(Value::as_text);
        if context.out.is_json() {
            let endpoints: serde_json::Map<_, _> = endpoints.into_iter().map(|(k, v)| (k, v.into())).collect();
            let json = serde_json::json!({
                "scope": recorded.scope, "head_ip": output(&head, "ip"), "workers": workers.len(), "worker_cpus": cpus,
                "worker_memory_mib": memory, "runtimes": runtimes, "endpoints": endpoints, "ssh": ssh,
            });
            return context.print(&json.to_string());
        }
        let file = self.document.display();
        let mut block = Block::new();
        block.heading(format!("Cluster {}", recorded.cluster.name));
        block.pair("workspace", &recorded.cluster.workspace);
        block.pair("provider", &recorded.cluster.provider_type);
        block.pair("head", format!("{} {}", output(&head, "ip"), output(&head, "host")));
        block.pair("workers", format!("{} with {cpus} CPUs and {memory} MiB", workers.len()));
        block.pair("runtimes", runtimes.join(", "));
        block.heading("Endpoints");
        for (name, url) in &endpoints {
            block.pair(name, url);
        }
        block.heading("Commands");
        block.pair("run a job", format!("cloudtik submit {file} JOB.py"));
        block.pair("a shell on the head", format!("cloudtik attach {file}"));
        block.pair("a command on all nodes", format!("cloudtik exec {file} --all-nodes COMMAND"));
        block.pair("stop it", format!("cloudtik stop {file}"));
        if let Some(ssh) = ssh {
            block.pair("by SSH", ssh);
        }
        let document = Document::Cluster(Box::new(recorded.cluster.clone()));
        if let Some(compiler) = recorded.world.platform.compilers.get(document.provider()) {
            block.heading("Notes");
            for note in compiler.notes(&document) {
                block.text(if note.detail.is_empty() {
                    note.summary
                } else {
                    format!("{}: {}", note.summary, note.detail)
                });
            }
        }
        context.print(&block.render(&context.out.look()))
    }
}
