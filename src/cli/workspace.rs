//! `cloudtik workspace`: thin verbs over plan and apply, and what is recorded of a workspace.

use super::{
    belonging::{self, What},
    context::{Context, World},
    destroy,
    error::Error,
    flow::{self, Request},
    load::{self, Overrides, Program},
    nodes::{instances, output},
    plan::{DeleteData, Selection, Upgrade},
    start::{Creation, create},
    undo::To,
};
use crate::{
    exit::Exit,
    view::tables::{Block, Table},
};
use clap::{Args, Subcommand};
use cloudtik_core::{
    Scope,
    document::{self, Document},
    plan::Action,
    state::{Snapshot, Store},
};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Workspace {
    /// Create a workspace
    Create(Change),
    /// Remove a workspace
    Delete(Delete),
    /// Change a workspace to what its document says
    Update(Change),
    /// Tell whether a workspace is complete
    Status(Look),
    /// Tell what a workspace has
    Info(Look),
    /// List the clusters of a workspace
    #[command(alias = "list-clusters")]
    Clusters(Look),
    /// List the managed buckets of a workspace
    #[command(alias = "list-storages")]
    Storages(Look),
    /// List the managed databases of a workspace
    #[command(alias = "list-databases")]
    Databases(Look),
}

/// The workspace that a verb is about.
#[derive(Args)]
struct Which {
    /// The workspace's document
    #[arg(value_name = "FILE")]
    document: PathBuf,
    /// Use this name instead of the document's
    #[arg(short = 'n', long, value_name = "NAME")]
    workspace_name: Option<String>,
}

impl Which {
    fn overrides(&self) -> Overrides {
        self.workspace_name.iter().map(|name| ("workspace_name".to_string(), name.as_str().into())).collect()
    }
}

#[derive(Args)]
pub struct Change {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    delete: DeleteData,
}

#[derive(Args)]
pub struct Look {
    #[command(flatten)]
    which: Which,
}

impl Workspace {
    pub async fn run(self, context: &Context) -> Result<Exit, Error> {
        match self {
            Workspace::Create(change) => change.run(context, "workspace create").await,
            Workspace::Update(change) => change.run(context, "workspace update").await,
            Workspace::Delete(delete) => delete.run(context).await,
            Workspace::Status(look) => look.status(context).await,
            Workspace::Info(look) => look.info(context),
            Workspace::Clusters(look) => look.clusters(context),
            Workspace::Storages(look) => look.owned(context, &belonging::STORAGE),
            Workspace::Databases(look) => look.owned(context, &belonging::DATABASE),
        }
    }
}

impl Change {
    async fn run(self, context: &Context, command: &str) -> Result<Exit, Error> {
        let overrides = self.which.overrides();
        let Change { which, yes, selection } = self;
        let creation = Creation {
            selection: &selection,
            upgrade: Upgrade::default(),
            to: To::default(),
            adopt: false,
            command,
            yes,
        };
        create(context, &[which.document], overrides, &creation).await
    }
}

impl Delete {
    async fn run(self, context: &Context) -> Result<Exit, Error> {
        let all = Selection { refresh: "all".into(), delete: self.delete, ..Selection::default() };
        let overrides = self.which.overrides();
        destroy::remove(context, &[self.which.document], overrides, &all, "workspace delete", self.yes).await
    }
}

impl Look {
    fn load(&self, context: &Context) -> Result<(document::Workspace, World), Error> {
        let (document, world) = load::one(context, &self.which.document, self.which.overrides())?;
        match document {
            Document::Workspace(workspace) => Ok((workspace, world)),
            other => Err(load::wrong_kind("workspace", &self.which.document, &other)),
        }
    }

    /// The upstream's words for a workspace's existence, decided by a plan instead of by counting.
    async fn status(self, context: &Context) -> Result<Exit, Error> {
        let (program, world) =
            Program::load(context, std::slice::from_ref(&self.which.document), self.which.overrides())?;
        let planned = flow::plan(context, &world, &Request::of(&program, "workspace status")).await?;
        let missing = planned.plan.changes.iter().filter(|c| c.action == Action::Create).count();
        let stored = planned.plan.changes.iter().any(|c| c.address.kind() == "bucket" && c.action != Action::Create);
        let declared = program.declarations.len();
        let (word, detail) = match missing {
            0 if planned.plan.is_empty() => ("COMPLETED", String::new()),
            0 => ("COMPLETED", "differs from its document: see `cloudtik plan`".into()),
            n if n == declared => ("NOT EXIST", String::new()),
            n if stored && n == declared - 1 => ("STORAGE_ONLY", String::new()),
            n => ("IN_COMPLETED", format!("{n} of {declared} resources are missing: see `cloudtik plan`")),
        };
        let scope = program.scopes.iter().next().map(ToString::to_string).unwrap_or_default();
        if context.out.is_json() {
            let json = serde_json::json!({"scope": scope, "status": word, "missing": missing, "declared": declared});
            return context.event("workspace-status", json);
        }
        let text = if detail.is_empty() { format!("{scope}: {word}") } else { format!("{scope}: {word} ({detail})") };
        context.print(&text)
    }

    fn info(self, context: &Context) -> Result<Exit, Error> {
        let (workspace, world) = self.load(context)?;
        let store = &*world.store;
        let scope = Scope::workspace(&workspace.name);
        let state = store.read(&scope)?.here()?;
        if context.out.is_json() {
            return context.event("state", cloudtik_core::export::export(&state));
        }
        let mut block = Block::new();
        block.heading(format!("Workspace {}", workspace.name));
        block.pair("provider", &workspace.provider_type);
        block.pair("state", store.place());
        block.pair("resources", state.records.len().to_string());
        block.pair("revision", state.revision.to_string());
        for record in state.records.values() {
            let shown: Vec<String> = ["uri", "cidr", "node_model", "gateway", "proxy", "mode"]
                .iter()
                .map(|name| (name, output(record, name)))
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            block.pair(record.address.short(), if shown.is_empty() { "ready".into() } else { shown.join(", ") });
        }
        let clusters: Vec<String> =
            clusters(store, &workspace.name)?.iter().filter_map(|s| s.scope.cluster_name().map(String::from)).collect();
        block.pair("clusters", clusters.join(", "));
        block.heading("Notes");
        world.notes(&Document::Workspace(workspace)).into_iter().for_each(|note| block.text(note));
        context.print(&block.render(&context.out.look()))
    }

    /// What the workspace has of a kind, in its own scope and in those of documents.
    fn owned(self, context: &Context, what: &What) -> Result<Exit, Error> {
        let (workspace, world) = self.load(context)?;
        let records = belonging::records(&*world.store, &workspace.name, what)?;
        let rows: Vec<_> = records.iter().map(|record| what.columns(record)).collect();
        if context.out.is_json() {
            let rows: Vec<_> = rows.iter().map(|row| what.json(row)).collect();
            let json = serde_json::json!({"workspace": workspace.name, (what.plural): rows});
            return context.event(what.plural, json);
        }
        let mut table = Table::new(what.headings.iter().copied()).or_empty(what.none);
        rows.into_iter().for_each(|row| table.row(row));
        context.print(&table.render(&context.out.look()))
    }

    fn clusters(self, context: &Context) -> Result<Exit, Error> {
        let (workspace, world) = self.load(context)?;
        let clusters = clusters(&*world.store, &workspace.name)?;
        let mut table = Table::new(["cluster", "head-ip", "workers", "resources", "revision"]).or_empty("No clusters.");
        let mut rows = Vec::new();
        for state in &clusters {
            let nodes = instances(state);
            let head = nodes.iter().find(|r| r.address.name() == "head");
            let head_ip = head.map(|r| output(r, "ip")).unwrap_or_default();
            let workers = nodes.iter().filter(|r| r.address.name() != "head").count();
            let name = state.scope.cluster_name().unwrap_or_default().to_string();
            rows.push(serde_json::json!({"cluster": name, "head_ip": head_ip, "workers": workers}));
            table.row([
                name,
                head_ip,
                workers.to_string(),
                state.records.len().to_string(),
                state.revision.to_string(),
            ]);
        }
        if context.out.is_json() {
            return context.event("clusters", serde_json::json!({"workspace": workspace.name, "clusters": rows}));
        }
        context.print(&table.render(&context.out.look()))
    }
}

/// Clusters of a workspace that own anything, in name order.
fn clusters(store: &dyn Store, workspace: &str) -> Result<Vec<Snapshot>, Error> {
    let mut found = Vec::new();
    for scope in store.scopes()? {
        if scope.workspace_name() == workspace && scope.cluster_name().is_some() {
            let snapshot = store.read(&scope)?.here()?;
            if !snapshot.records.is_empty() {
                found.push(snapshot);
            }
        }
    }
    Ok(found)
}
