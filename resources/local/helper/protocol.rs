//! What the provider and its helper say to each other.

use crate::{process::Process, wire::Fault, world::RuleRecord};
use cloudtik_core::cidr::Cidr;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Start a process that outlives the helper.
#[derive(Serialize, Deserialize)]
pub enum Launch {
    Router(RouterSpec),
    Node(Box<NodeSpec>),
    Agent(AgentSpec),
    Egress(EgressSpec),
    Publish(PublishSpec),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct RouterSpec {
    /// In a user namespace of its own.
    pub rootless: bool,
    pub host: String,
}

/// The namespaces that a helper enters before it works: the router's user namespace when that is needed, then its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Router {
    pub process: Process,
    pub rootless: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NodeSpec {
    pub router: Router,
    pub host: String,
    pub ip: Ipv4Addr,
    pub subnet: Cidr,
    pub bridge: String,
    pub cable: String,
    /// `None`: no firewall.
    pub rules: Option<Vec<RuleRecord>>,
    /// Folders that the node may write, at the same path as outside.
    pub writable: Vec<PathBuf>,
    /// Folders that the node may read at the same path as outside, should its own /tmp or /run hide them.
    pub visible: Vec<PathBuf>,
    /// Hidden but for what `writable` and `visible` name: other nodes' folders.
    pub hidden: PathBuf,
    pub hosts: PathBuf,
    pub tmp: PathBuf,
    pub ssh: Option<SshServer>,
}

/// A node of the loopback model.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgentSpec {
    /// The agent listens in this folder.
    pub folder: PathBuf,
    pub ssh: Option<SshServer>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SshServer {
    pub listen: SocketAddr,
    pub host_key: PathBuf,
    pub authorized_keys: PathBuf,
    pub user: String,
    pub home: PathBuf,
    pub env: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
pub struct EgressSpec {
    pub router: Router,
    pub port: u16,
    /// The caller's own `http_proxy`, `https_proxy` and `no_proxy`. May hold passwords: sent over the socket only.
    pub proxies: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct PublishSpec {
    /// Tried first; then the next free one.
    pub port: u16,
    pub target: SocketAddr,
    /// Where to connect from; `None` stays on the machine itself.
    pub from: Option<Inside>,
}

/// A node's namespaces.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inside {
    pub router: Router,
    pub init: Process,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Set up completely, and waiting to be written down.
    Born {
        pid: i32,
        port: Option<u16>,
    },
    Ready,
    Failed(Fault),
}

/// A short piece of work in the router or in nodes.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// A new bridge under this name, with those cables that exist put on it.
    AddBridge {
        router: Router,
        name: String,
        address: Ipv4Addr,
        prefix: u8,
        cables: Vec<String>,
    },
    RemoveLink {
        router: Router,
        name: String,
    },
    Links {
        router: Router,
    },
    SetRules {
        router: Router,
        nodes: BTreeMap<String, Process>,
        rules: Vec<RuleRecord>,
    },
    CheckRules {
        router: Router,
        nodes: BTreeMap<String, Process>,
        rules: Vec<RuleRecord>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Links(Vec<String>),
    /// The nodes whose rules are not the given ones, each with how they differ.
    Deviations(BTreeMap<String, String>),
    Failed(Fault),
}

/// Something to do inside a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub door: Door,
    pub work: Work,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Door {
    Namespaces {
        inside: Inside,
        cgroups: Vec<PathBuf>,
    },
    /// By the agent that listens in this folder.
    Agent {
        folder: PathBuf,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Work {
    /// The message's payload is the program's input.
    Run(Program),
    /// On a new terminal, whose other side comes back as a descriptor.
    Terminal {
        program: Program,
        rows: u16,
        columns: u16,
    },
    Upload {
        path: PathBuf,
        mode: u32,
    },
    Read {
        path: PathBuf,
    },
    Connect {
        to: SocketAddr,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    pub argv: Vec<String>,
    /// Complete: nothing else is in the environment.
    pub env: BTreeMap<String, String>,
    pub dir: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Done {
    Exit(i32),
    Uploaded,
    /// The message's payload is the content; `false` without such a file.
    Read(bool),
    /// A descriptor follows.
    Descriptor,
    Failed(Fault),
}
