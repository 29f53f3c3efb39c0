//! `cloudtik status`: the nodes of a cluster as they are now.

use super::{
    context::Context,
    error::Error,
    nodes::{Recorded, Which, output},
};
use crate::{
    exit::Exit,
    view::{progress::Progress, tables::Table},
};
use clap::Args;
use cloudtik_core::{
    Address,
    provider::{Health, Presence},
    state::{Record, Status as Made},
};
use cloudtik_engine::RefreshPolicy;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    which: Which,
}

impl Status {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        let recorded = Recorded::load(context, &self.which)?;
        let scopes = BTreeSet::from([recorded.scope.clone()]);
        let state = recorded.world.read(&scopes)?;
        let progress = Progress::new(&context.out);
        let engine = &recorded.world.platform.engine;
        let observed = cloudtik_engine::observe(engine, &[], &scopes, &state, RefreshPolicy::All, &progress).await?;
        progress.finish();

        let nodes = recorded.nodes();
        let rows: Vec<Row> = nodes.iter().map(|node| Row::new(node, &recorded.state.records, &observed)).collect();
        let running = rows.iter().filter(|r| r.state == "running").count();
        if context.out.is_json() {
            let rows: Vec<_> = rows.iter().map(Row::json).collect();
            let json = serde_json::json!({"scope": recorded.scope, "nodes": rows, "running": running});
            return context.event("status", json);
        }
        let mut table = Table::new(["node", "node-ip", "type", "state", "services", "cpus", "memory"])
            .or_empty("No nodes. Start the cluster: `cloudtik start` with this document.");
        for row in &rows {
            table.row([&row.node, &row.ip, &row.kind, &row.state, &row.services, &row.cpus, &row.memory]);
        }
        let count = format!("Total {} nodes. {running} nodes are running.\n", rows.len());
        context.print(&format!("{count}{}", table.render(&context.out.look())))
    }
}

struct Row {
    node: String,
    ip: String,
    kind: String,
    state: String,
    services: String,
    cpus: String,
    memory: String,
}

impl Row {
    fn new(
        node: &Record,
        records: &BTreeMap<Address, std::sync::Arc<Record>>,
        observed: &BTreeMap<Address, Presence>,
    ) -> Self {
        let on_it = |r: &&std::sync::Arc<Record>| {
            r.address.kind() == "service" && r.lifecycle.gone_with.as_ref() == Some(&node.address)
        };
        let services = records.values().filter(on_it).map(|service| {
            let name = service.address.name().rsplit('/').next().unwrap_or_default();
            match health(service, observed.get(&service.address)) {
                "running" => name.to_string(),
                other => format!("{name} ({other})"),
            }
        });
        let memory = output(node, "memory_mib");
        Row {
            node: node.address.name().to_string(),
            ip: output(node, "ip"),
            kind: if node.address.name() == "head" { "head".into() } else { "worker".into() },
            state: health(node, observed.get(&node.address)).into(),
            services: services.collect::<Vec<_>>().join(", "),
            cpus: output(node, "cpus"),
            memory: if memory.is_empty() { memory } else { format!("{memory} MiB") },
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "node": self.node, "ip": self.ip, "type": self.kind, "state": self.state,
            "services": self.services, "cpus": self.cpus, "memory": self.memory,
        })
    }
}

fn health(record: &Record, presence: Option<&Presence>) -> &'static str {
    match presence {
        Some(Presence::Absent) => "gone",
        Some(Presence::Present { healthy: Health::Broken(_), .. }) => "broken",
        _ if record.status == Made::Created => "not ready",
        _ => "running",
    }
}
