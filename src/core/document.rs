//! Documents after parsing, merging and validation: what providers and runtimes compile from.
//!
//! Values that only one provider or one runtime understands stay [`Tree`]s, with their places.

use crate::{
    address::Scope,
    origin::{Origin, Tree},
};
use std::{collections::BTreeMap, sync::Arc};

/// A workspace, or something in one.
#[derive(Clone, Debug)]
pub enum Document {
    Workspace(Workspace),
    Cluster(Box<Cluster>),
    Storage(Belonging),
    Database(Belonging),
}

impl Document {
    pub fn scope(&self) -> Scope {
        match self {
            Document::Workspace(w) => Scope::workspace(&w.name),
            Document::Cluster(c) => Scope::cluster(&c.workspace, &c.name),
            Document::Storage(s) => Scope::storage(&s.workspace, &s.name),
            Document::Database(d) => Scope::database(&d.workspace, &d.name),
        }
    }

    /// `provider.type`.
    pub fn provider(&self) -> &str {
        match self {
            Document::Workspace(w) => &w.provider_type,
            Document::Cluster(c) => &c.provider_type,
            Document::Storage(b) | Document::Database(b) => &b.provider_type,
        }
    }

    /// Where `provider.type` was written (or the template's line that set it).
    pub fn origin(&self) -> &Origin {
        match self {
            Document::Workspace(w) => &w.origin,
            Document::Cluster(c) => &c.origin,
            Document::Storage(b) | Document::Database(b) => &b.origin,
        }
    }

    /// The whole merged document.
    pub fn tree(&self) -> &Arc<Tree> {
        match self {
            Document::Workspace(w) => &w.tree,
            Document::Cluster(c) => &c.tree,
            Document::Storage(b) | Document::Database(b) => &b.tree,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Workspace {
    pub name: String,
    pub provider_type: String,
    /// The whole `provider` block, validated against the schema.
    pub provider: Arc<Tree>,
    /// `state:` — our own key: where this workspace's state lives.
    pub state: Option<String>,
    pub origin: Origin,
    /// The whole merged document.
    pub tree: Arc<Tree>,
}

/// What a workspace has beside its clusters, in a document of its own: a bucket, a database.
#[derive(Clone, Debug)]
pub struct Belonging {
    pub workspace: String,
    pub name: String,
    pub provider_type: String,
    /// The whole `provider` block, validated against the schema.
    pub provider: Arc<Tree>,
    pub origin: Origin,
    /// The whole merged document.
    pub tree: Arc<Tree>,
}

#[derive(Clone, Debug)]
pub struct Cluster {
    pub workspace: String,
    pub name: String,
    pub provider_type: String,
    pub provider: Arc<Tree>,
    pub auth: Auth,
    pub head: NodeType,
    /// Worker types, by name. `count` is the declared number of nodes (`min_workers`).
    pub workers: Vec<NodeType>,
    pub runtime: RuntimeSelection,
    /// Remote path to local path; relative local paths are resolved against the file that names them.
    pub file_mounts: BTreeMap<String, FileMount>,
    pub commands: Commands,
    pub origin: Origin,
    pub tree: Arc<Tree>,
}

#[derive(Clone, Debug, Default)]
pub struct Auth {
    pub ssh_user: Option<String>,
    pub ssh_port: Option<u16>,
    pub ssh_private_key: Option<String>,
    pub ssh_public_key: Option<String>,
    pub ssh_proxy_command: Option<String>,
}

#[derive(Clone, Debug)]
pub struct FileMount {
    pub source: std::path::PathBuf,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub struct NodeType {
    /// `head.default`, `worker.default`.
    pub name: String,
    pub count: u32,
    pub max_count: u32,
    /// `node_config`, the provider's own.
    pub config: Arc<Tree>,
    /// `resources` of the node type, as far as given.
    pub cpus: Option<u32>,
    pub memory_mib: Option<u64>,
    /// Runtime selection of this node type, already merged over the cluster's.
    pub runtime: RuntimeSelection,
    pub commands: Commands,
    pub origin: Origin,
}

/// `runtime:`.
#[derive(Clone, Debug)]
pub struct RuntimeSelection {
    /// In document order, without repeats; each with its place.
    pub types: Vec<(String, Origin)>,
    /// `envs`: exported to every command and service.
    pub envs: BTreeMap<String, String>,
    /// The block of each runtime that has one (`runtime.spark`).
    pub config: BTreeMap<String, Arc<Tree>>,
}

/// Shell lines, in the order they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commands {
    pub initialization: Vec<String>,
    pub head_initialization: Vec<String>,
    pub worker_initialization: Vec<String>,
    pub setup: Vec<String>,
    pub head_setup: Vec<String>,
    pub worker_setup: Vec<String>,
    pub bootstrap: Vec<String>,
    pub start: Vec<String>,
    pub head_start: Vec<String>,
    pub worker_start: Vec<String>,
    pub stop: Vec<String>,
    pub head_stop: Vec<String>,
    pub worker_stop: Vec<String>,
}
