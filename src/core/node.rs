//! What a provider tells the rest of the program about the nodes it declares.

use crate::{
    address::Address,
    declaration::Declaration,
    diagnostic::Diagnostic,
    document::{Belonging, Cluster, Document, NodeType, Workspace},
    value::{Attrs, Value},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Head,
    Worker,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Head => "head",
            Role::Worker => "worker",
        }
    }
}

/// Whose files a node sees: what must be brought to it follows from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Files {
    /// Those of the machine that cloudtik runs on, under the same paths: what is fetched there once is there for all nodes.
    Shared,
    /// Its own.
    Own,
}

/// One declared node, for whatever runs on it. Values may be references to the instance's outputs.
#[derive(Clone, Debug)]
pub struct Node {
    /// The instance: `instance.head` or `instance.worker.default[2]`.
    pub instance: Address,
    pub role: Role,
    pub node_type: String,
    /// From 0 within the node type; 0 for the head.
    pub index: usize,
    /// The name by which other nodes reach it.
    pub host: Value,
    pub ip: Value,
    /// For [`crate::host::Connector`].
    pub connection: Value,
    pub cpus: u32,
    pub memory_mib: u64,
    /// Absolute path on the node of a folder that is the node's own and lives as long as it (files, logs, data).
    pub home: Value,
    /// A folder that all nodes of the workspace share, if there is one: event logs, small tables.
    pub shared: Option<Value>,
    pub files: Files,
    /// Variables that commands and jobs on it find: where the workspace's bucket is. Values may be references.
    pub env: Attrs,
    /// Disks beside the root disk that come blank and are to be formatted and mounted on the node.
    pub data_disks: usize,
}

/// A port on a node that users open in a browser or connect to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `spark-ui`.
    pub name: String,
    pub node: Address,
    pub port: u16,
    /// `http` makes it a link.
    pub protocol: String,
    /// The service that answers there.
    pub service: Address,
}

/// A provider's side of turning documents into declarations.
pub trait Compile: Send + Sync {
    fn workspace(&self, workspace: &Workspace) -> Result<Vec<Declaration>, Vec<Diagnostic>>;

    /// The declarations of the machines, and the nodes they become.
    fn cluster(&self, cluster: &Cluster) -> Result<(Vec<Declaration>, Vec<Node>), Vec<Diagnostic>>;

    /// A bucket beside the workspace's own.
    fn storage(&self, storage: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        Err(vec![no_such_document(storage, "storage")])
    }

    /// A database beside the workspace's own.
    fn database(&self, database: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
        Err(vec![no_such_document(database, "database")])
    }

    /// Takes note of how the document's objects are reached (account, endpoint, passwords), for runs that declare nothing.
    fn meet(&self, document: &Document) {
        let _ = document;
    }

    /// What makes an endpoint reachable for the user; empty where addresses are reachable as they are.
    fn publish(&self, cluster: &Cluster, endpoint: &Endpoint) -> Vec<Declaration>;

    /// CPUs and MiB of a node type, for sizing; an error names the place.
    fn size(&self, node_type: &NodeType, cluster: &Cluster) -> Result<(u32, u64), Box<Diagnostic>>;

    /// Sentences for the plan and `info`: how nodes are made here, and what that does not isolate or enforce.
    fn notes(&self, document: &Document) -> Vec<Diagnostic>;
}

fn no_such_document(document: &Belonging, what: &str) -> Diagnostic {
    Diagnostic::error("document-unsupported", "a document that its provider has nothing for")
        .at(&document.origin)
        .detail(format!("provider {} has no {what} documents", document.provider_type))
        .hint("use what the workspace itself has")
}
