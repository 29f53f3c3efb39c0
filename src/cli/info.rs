//! `cloudtik info`: how to reach and use a cluster.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which, output},
};
use crate::{exit::Exit, view::tables::Block};
use clap::Args;
use cloudtik_core::{
    Tree, TreeValue, Value,
    document::{Document, Workspace},
    origin::Entry,
    state::Record,
};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    sync::Arc,
};

#[derive(Args)]
pub struct Info {
    #[command(flatten)]
    which: Which,
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
        let recorded = Recorded::load(context, &self.which)?;
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
        if let Some((_, value)) = one.into_iter().find(|(asked, _)| *asked && !context.out.is_json()) {
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
        let ssh = ssh_command(&recorded, &head)?;
        if context.out.is_json() {
            let endpoints: serde_json::Map<_, _> = endpoints.into_iter().map(|(k, v)| (k, v.into())).collect();
            let json = serde_json::json!({
                "scope": recorded.scope, "head_ip": output(&head, "ip"), "workers": workers.len(), "worker_cpus": cpus,
                "worker_memory_mib": memory, "runtimes": runtimes, "endpoints": endpoints, "ssh": ssh,
            });
            return context.event("info", json);
        }
        let file = self.which.arguments();
        let mut block = Block::new();
        block.heading(format!("Cluster {}", recorded.cluster.name));
        block.pair("workspace", &recorded.cluster.workspace);
        block.pair("provider", &recorded.cluster.provider_type);
        block.pair("node model", output(&head, "node_model"));
        block.pair("head", place(&head));
        block.pair("workers", format!("{} with {cpus} CPUs and {memory} MiB", workers.len()));
        block.pair("runtimes", runtimes.join(", "));
        block.heading("Endpoints");
        for (name, url) in &endpoints {
            block.pair(name, url);
        }
        block.heading("Commands");
        if !runtimes.is_empty() {
            block.command("run a job", format!("cloudtik submit {file} JOB.py"));
        }
        block.command("a shell on the head", format!("cloudtik attach {file}"));
        block.command("a command on all nodes", format!("cloudtik exec {file} --all-nodes COMMAND"));
        block.command("stop it", format!("cloudtik stop {file}"));
        if let Some(ssh) = ssh {
            block.command("by SSH", &ssh);
        }
        block.heading("Notes");
        notes(&recorded, &output(&head, "node_model")).into_iter().for_each(|note| block.text(note));
        context.print(&block.render(&context.out.look()))
    }
}

/// How OpenSSH reaches a node, for a shell; `None` where no SSH server is told of.
fn ssh_command(recorded: &Recorded, node: &Record) -> Result<Option<String>, Error> {
    let access = recorded.access(node);
    let connection = access.outputs.get("connection").unwrap_or(&Value::Unset);
    if connection.at("via").and_then(Value::as_text) != Some(cloudtik_ssh::VIA) {
        return Ok(told(node));
    }
    let folder = recorded.world.home.join("ssh").join(&recorded.cluster.workspace).join(&recorded.cluster.name);
    let path = folder.join("known_hosts");
    let ssh = cloudtik_ssh::openssh(connection, &path.to_string_lossy())?;
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // Beside it first: a client that reads it now finds the old one or the new one.
        let beside = folder.join(format!("known_hosts.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(ssh.known_hosts.as_bytes())?;
        fs::rename(&beside, &path)
    };
    write().map_err(Error::io(format!("write `{}`", path.display())))?;
    Ok(Some(ssh.command))
}

/// How OpenSSH reaches a node whose provider says so itself.
fn told(node: &Record) -> Option<String> {
    let ssh = node.outputs.get("ssh")?;
    let part = |name: &str| ssh.at(name).and_then(Value::scalar_text);
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut words = vec!["ssh".to_owned(), "-i".into(), quoted(&part("key")?), "-p".into(), part("port")?];
    if let (Some(known), Some(alias)) = (part("known_hosts"), part("host_key_alias")) {
        // A path with a space is quoted once more, for OpenSSH's own reading of its options.
        let known = quoted(&format!("UserKnownHostsFile=\"{known}\""));
        words.extend(["-o".into(), known, "-o".into(), format!("HostKeyAlias={alias}")]);
        words.extend(["-o".to_owned(), "StrictHostKeyChecking=yes".into()]);
    }
    if let Some(proxy) = part("proxy_command") {
        // OpenSSH puts words of its own in place of `%`.
        words.extend(["-o".into(), quoted(&format!("ProxyCommand={}", proxy.replace('%', "%%")))]);
    }
    words.push(format!("{}@{}", part("user")?, output(node, "host")));
    Some(words.join(" "))
}

/// A node's address, with its name where that is another.
fn place(node: &Record) -> String {
    let (ip, host) = (output(node, "ip"), output(node, "host"));
    if host.is_empty() || host == ip { ip } else { format!("{ip} {host}") }
}

/// What the provider says about how this cluster's workspace is made: its nodes' isolation above all.
fn notes(recorded: &Recorded, model: &str) -> Vec<String> {
    let cluster = &recorded.cluster;
    let about = |provider: Arc<Tree>| {
        let workspace = Workspace {
            name: cluster.workspace.clone(),
            provider_type: cluster.provider_type.clone(),
            provider,
            state: None,
            origin: cluster.origin.clone(),
            tree: cluster.tree.clone(),
        };
        recorded.world.notes(&Document::Workspace(workspace))
    };
    let notes = about(cluster.provider.clone());
    // What the cluster's document leaves open, the workspace's has said.
    let agrees = model.is_empty() || notes.iter().any(|note| note.contains(model));
    if agrees { notes } else { about(with_model(&cluster.provider, model)) }
}

fn with_model(provider: &Arc<Tree>, model: &str) -> Arc<Tree> {
    let mut entries = provider.entries().to_vec();
    let value = Tree { value: TreeValue::Text(model.into()), raw: None, origin: provider.origin.clone() };
    entries.push(Entry { key: "node_model".into(), key_origin: provider.origin.clone(), value: value.into() });
    Arc::new(Tree { value: TreeValue::Map(entries), ..(**provider).clone() })
}
