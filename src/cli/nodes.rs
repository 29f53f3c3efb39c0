//! The recorded nodes of a cluster, and how to reach them.

use super::{
    context::{Context, World},
    error::Error,
    load::{self, Overrides},
};
use clap::Args;
use cloudtik_core::{
    Address, Diagnostic, Failure, FailureKind, Scope, Value,
    document::Cluster,
    host::{Command, Host},
    state::{Record, Snapshot},
};
use std::{path::PathBuf, sync::Arc};

/// The cluster that a verb is about.
#[derive(Args)]
pub struct Which {
    /// The cluster's document
    #[arg(value_name = "FILE")]
    pub document: PathBuf,
    /// Use this name instead of the document's
    #[arg(short = 'n', long, value_name = "NAME")]
    cluster_name: Option<String>,
}

impl Which {
    pub fn overrides(&self) -> Overrides {
        self.cluster_name.iter().map(|name| ("cluster_name".to_string(), name.as_str().into())).collect()
    }

    /// As a command line names it.
    pub fn arguments(&self) -> String {
        let name = self.cluster_name.iter().map(|name| format!(" -n {name}"));
        format!("{}{}", self.document.display(), name.collect::<String>())
    }
}

/// A cluster's document together with what is recorded of it.
pub struct Recorded {
    pub cluster: Cluster,
    pub world: World,
    pub scope: Scope,
    pub state: Snapshot,
}

impl Recorded {
    pub fn load(context: &Context, which: &Which) -> Result<Self, Error> {
        let (cluster, world) = load::cluster(context, &which.document, which.overrides())?;
        let scope = Scope::cluster(&cluster.workspace, &cluster.name);
        let state = world.store.read(&scope)?.here()?;
        Ok(Recorded { cluster, world, scope, state })
    }

    /// The head first, then workers in order.
    pub fn nodes(&self) -> Vec<Arc<Record>> {
        let mut nodes = instances(&self.state);
        nodes.sort_by_key(|record| record.address.name() != "head");
        nodes
    }

    pub fn head(&self) -> Result<Arc<Record>, Error> {
        self.nodes().into_iter().find(|r| r.address.name() == "head").ok_or_else(|| self.not_there("head"))
    }

    pub fn workers(&self) -> Vec<Arc<Record>> {
        self.nodes().into_iter().filter(|r| r.address.name() != "head").collect()
    }

    /// The node with this address or name.
    pub fn node(&self, ip: &str) -> Result<Arc<Record>, Error> {
        let found = self.nodes().into_iter().find(|r| output(r, "ip") == ip || output(r, "host") == ip);
        found.ok_or_else(|| {
            let known: Vec<String> = self.nodes().iter().map(|r| output(r, "ip")).collect();
            Error::request(
                Diagnostic::error("unknown-node", "the cluster has no such node")
                    .detail(format!("`{ip}` is no node of {}", self.scope))
                    .hint(format!("nodes are: {}", known.join(", "))),
            )
        })
    }

    /// What says how a machine is reached: the `connection` of its name, else the machine itself.
    pub fn access(&self, node: &Record) -> Arc<Record> {
        let address = Address::new(self.scope.clone(), cloudtik_ssh::KIND, node.address.name());
        let own = || Arc::new(node.clone());
        self.state.records.get(&address).filter(|record| !record.only_deposed).cloned().unwrap_or_else(own)
    }

    /// The folder on a machine that is the node's own.
    pub fn home(&self, node: &Record) -> String {
        output(&self.access(node), "home")
    }

    pub async fn host(&self, record: &Record) -> Result<Arc<dyn Host>, Error> {
        let access = self.access(record);
        let connection = access.outputs.get("connection").unwrap_or(&Value::Unset);
        let via = connection.at("via").and_then(Value::as_text).unwrap_or_default();
        let connector = self.world.platform.connectors.get(via).ok_or_else(|| {
            Failure::new(
                FailureKind::Environment,
                format!("reach {}", record.address.short()),
                format!("this build cannot connect by `{via}`"),
            )
        })?;
        Ok(connector.connect(connection).await?)
    }

    /// A command of the user's with what the cluster sets for it, where the provider does not do that by itself.
    pub fn within(&self, node: &Record, command: Command) -> Command {
        let name = format!("{}/{}", node.address.name(), cloudtik_runtime::ENVIRONMENT);
        match self.state.records.get(&Address::new(self.scope.clone(), "file", &name)) {
            Some(script) => after(&output(script, "path"), command),
            None => command,
        }
    }

    fn not_there(&self, what: &str) -> Error {
        Error::request(
            Diagnostic::error("not-running", "the cluster is not running")
                .detail(format!("no {what} of {} is recorded in {}", self.scope, self.world.store.place()))
                .hint("start it: `cloudtik start` with this document"),
        )
    }
}

/// A command that runs what `script` sets first; one that is not there sets nothing.
fn after(script: &str, command: Command) -> Command {
    let own = ["/bin/sh", "-c", "[ ! -f \"$0\" ] || . \"$0\"; exec \"$@\"", script].map(String::from);
    Command { argv: own.into_iter().chain(command.argv).collect(), ..command }
}

/// The machines of a scope, in address order.
pub fn instances(state: &Snapshot) -> Vec<Arc<Record>> {
    state.records.values().filter(|r| r.address.kind() == "instance" && !r.only_deposed).cloned().collect()
}

/// An output (or input) as text; empty when there is none.
pub fn output(record: &Record, name: &str) -> String {
    record.attribute(name).and_then(Value::scalar_text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_sees_what_the_script_sets_and_runs_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("environment.sh");
        let said = || {
            let command = after(
                &script.display().to_string(),
                Command::new(["sh", "-c", "echo \"${WHO:-nobody} $1\"", "sh", "a b"]),
            );
            let output = std::process::Command::new(&command.argv[0]).args(&command.argv[1..]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(said(), "nobody a b\n");
        std::fs::write(&script, "export WHO='it'\\''s me'\n").unwrap();
        assert_eq!(said(), "it's me a b\n");
    }
}
