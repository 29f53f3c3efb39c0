//! What exists of a workspace on this machine: one record file, changed under a lock, and the folders beside it.
//!
//! Anything is written down before the first step that makes it, so that whatever an interrupted run left can be found.
//! The lock is held for reading and writing the record only, never while something is made.

use crate::{helper::protocol::Router, process::Process};
use cloudtik_core::cidr::Cidr;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, ErrorKind, Seek, Write},
    net::Ipv4Addr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Version of the record file.
pub const FORMAT: u32 = 1;

/// How nodes are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeModel {
    /// User, network, mount, PID, host name and IPC namespaces, made without privileges.
    Namespaces,
    /// The same without a user namespace, made by root.
    NamespacesRoot,
    /// Processes with an address of 127.0.0.0/8 each; nothing is isolated.
    Loopback,
}

impl NodeModel {
    pub fn as_str(self) -> &'static str {
        match self {
            NodeModel::Namespaces => "namespaces",
            NodeModel::NamespacesRoot => "namespaces-root",
            NodeModel::Loopback => "loopback",
        }
    }

    pub fn isolated(self) -> bool {
        self != NodeModel::Loopback
    }
}

impl std::str::FromStr for NodeModel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [NodeModel::Namespaces, NodeModel::NamespacesRoot, NodeModel::Loopback]
            .into_iter()
            .find(|m| m.as_str() == text)
            .ok_or(())
    }
}

/// The record of one workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    pub format: u32,
    pub workspace: String,
    pub model: NodeModel,
    pub cidr: Cidr,
    pub network: Option<Made>,
    /// The first process of the router's namespaces; with none, the loopback model.
    pub router: Option<Process>,
    #[serde(default)]
    pub subnets: BTreeMap<String, Subnet>,
    #[serde(default)]
    pub nat: Option<Nat>,
    #[serde(default)]
    pub firewall: Option<Firewall>,
    /// By `<cluster>/<host name>`.
    #[serde(default)]
    pub nodes: BTreeMap<String, NodeRecord>,
    /// By `<cluster>/<name>`.
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointRecord>,
    /// Counts what was ever made here; names that must not repeat are built on it.
    #[serde(default)]
    pub serial: u64,
}

/// By which operation an object was made; `complete` once it fully was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub operation: String,
    pub complete: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subnet {
    pub made: Made,
    pub cidr: Cidr,
    pub public: bool,
    pub bridge: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nat {
    pub made: Made,
    pub process: Option<Process>,
    /// The proxy's address as nodes reach it.
    pub address: Ipv4Addr,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    pub made: Made,
    pub rules: Vec<RuleRecord>,
    pub allow_internal: bool,
    pub ssh_sources: Vec<Cidr>,
}

/// What may reach a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleRecord {
    /// `tcp`, `udp` or `any`.
    pub protocol: String,
    /// First and last port of each range; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// Empty means any.
    pub sources: Vec<Cidr>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRecord {
    pub made: Made,
    pub serial: u64,
    pub cluster: String,
    pub host: String,
    pub role: String,
    pub subnet: String,
    pub ip: Ipv4Addr,
    pub cpus: u32,
    pub memory_mib: u64,
    /// The node's first process.
    pub init: Option<Process>,
    /// Control group folders that hold the node's processes.
    #[serde(default)]
    pub cgroups: Vec<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointRecord {
    pub made: Made,
    pub node: String,
    pub port: u16,
    pub protocol: String,
    pub host_port: u16,
    /// The node's first process, through whose namespaces it leads.
    pub through: Option<Process>,
    pub process: Option<Process>,
}

/// The folders of one workspace.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    pub workspace: String,
}

impl Place {
    pub fn new(root: &Path, workspace: &str) -> Self {
        Place { root: root.into(), workspace: workspace.into() }
    }

    /// Refuses names that would leave the root or collide with the buckets beside it.
    pub fn check_name(&self) -> io::Result<()> {
        let plain = !self.workspace.is_empty() && !self.workspace.starts_with('.') && !self.workspace.contains('/');
        if plain && self.workspace != "buckets" {
            return Ok(());
        }
        let what = format!("`{}` cannot be the name of a workspace on provider local", self.workspace);
        Err(io::Error::new(ErrorKind::InvalidInput, what))
    }

    /// Everything of the workspace but its bucket.
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.workspace)
    }

    fn record(&self) -> PathBuf {
        self.folder().join("network.json")
    }

    /// Bound over `/etc/hosts` in every node, so it is only ever rewritten in place.
    pub fn hosts(&self) -> PathBuf {
        self.folder().join("hosts")
    }

    /// The folder that all nodes share.
    pub fn shared(&self) -> PathBuf {
        self.folder().join("shared")
    }

    /// The bucket outlives the workspace.
    pub fn bucket(&self) -> PathBuf {
        self.root.join("buckets").join(&self.workspace)
    }

    pub fn node(&self, key: &str) -> PathBuf {
        self.folder().join("nodes").join(key)
    }

    pub fn home(&self, key: &str) -> PathBuf {
        self.node(key).join("home")
    }

    /// What OpenSSH is to believe of one node: its host key.
    pub fn known_hosts(&self, key: &str) -> PathBuf {
        self.node(key).join("known_hosts")
    }

    /// The private key that opens every node of the workspace over SSH.
    pub fn ssh_key(&self) -> PathBuf {
        self.folder().join("ssh").join("id_ed25519")
    }

    /// The record as it is now, `None` when the workspace has none. Needs no lock: the file is replaced as a whole.
    pub fn load(&self) -> io::Result<Option<World>> {
        match fs::read(self.record()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                io::Error::new(ErrorKind::InvalidData, format!("{} cannot be read: {e}", self.record().display()))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.folder().join("lock");
        loop {
            fs::create_dir_all(self.folder())?;
            let file = match File::options().create(true).truncate(false).write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            flock(&file, FlockOperation::LockExclusive)?;
            // The folder may have been removed, and made anew, while the lock was awaited.
            match fs::metadata(&path) {
                Ok(now) if now.ino() == file.metadata()?.ino() => return Ok(file),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Changes the record under the lock and writes it, unless `change` fails. `None` is "no record", before and after.
    pub fn change<T>(&self, change: impl FnOnce(&mut Option<World>) -> io::Result<T>) -> io::Result<T> {
        let _lock = self.lock()?;
        let mut world = self.load()?;
        let result = change(&mut world)?;
        if let Some(world) = &world {
            let new = self.folder().join("network.json.new");
            fs::write(&new, serde_json::to_vec_pretty(world)?)?;
            fs::rename(new, self.record())?;
            self.write_hosts(world)?;
        } else {
            match fs::remove_file(self.record()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(result)
    }

    /// [`Place::change`] for a workspace that must have a record.
    pub fn update<T>(&self, change: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        self.change(|world| match world {
            Some(world) => change(world),
            None => Err(io::Error::new(
                ErrorKind::NotFound,
                format!("workspace {} has no network on this machine", self.workspace),
            )),
        })
    }

    fn write_hosts(&self, world: &World) -> io::Result<()> {
        let text = world.hosts();
        if fs::read_to_string(self.hosts()).is_ok_and(|now| now == text) {
            return Ok(());
        }
        let mut file = File::options().create(true).truncate(false).write(true).open(self.hosts())?;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }

    /// Removes the workspace's folder, and the folders above it that are empty then.
    pub fn remove(&self) -> io::Result<()> {
        remove_tree(&self.folder())?;
        prune(&self.root, 2);
        Ok(())
    }
}

/// Removes a folder with all in it; nothing happens when there is none. Files may vanish or appear meanwhile.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a folder and those above it, `levels` in all, while they are empty.
pub fn prune(path: &Path, levels: usize) {
    for folder in path.ancestors().take(levels) {
        if fs::remove_dir(folder).is_err() {
            return; // not empty, or not ours to remove: both end the walk
        }
    }
}

impl World {
    /// The text of `/etc/hosts` in every node. A short name is there only while it names one node.
    pub fn hosts(&self) -> String {
        let mut count = BTreeMap::<&str, usize>::new();
        for node in self.nodes.values() {
            *count.entry(node.short()).or_default() += 1;
        }
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
        for node in self.nodes.values() {
            let short = if count[node.short()] == 1 { format!(" {}", node.short()) } else { String::new() };
            text += &format!("{} {} {}.{}.local{short}\n", node.ip, node.host, node.host, self.workspace);
        }
        text
    }

    /// The way into the router's namespaces; `None` in the loopback model.
    pub fn door(&self) -> Option<Router> {
        self.router.map(|process| Router { process, rootless: self.model == NodeModel::Namespaces })
    }

    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The lowest address of a subnet that no recorded node has.
    pub fn free_address(&self, subnet: &Subnet) -> Option<Ipv4Addr> {
        let used: BTreeSet<Ipv4Addr> = self.nodes.values().map(|n| n.ip).collect();
        subnet.cidr.nodes().find(|ip| !used.contains(ip))
    }

    pub fn subnet(&self, name: &str) -> io::Result<&Subnet> {
        self.subnets.get(name).ok_or_else(|| {
            io::Error::new(ErrorKind::NotFound, format!("workspace {} has no subnet {name}", self.workspace))
        })
    }

    pub fn head_of(&self, cluster: &str) -> Option<&NodeRecord> {
        self.nodes.values().find(|n| n.cluster == cluster && n.role == "head")
    }

    /// What may reach a node, with what `allow_internal` and `ssh_sources` mean spelled out. `None` without a firewall.
    pub fn rules(&self) -> Option<Vec<RuleRecord>> {
        let firewall = self.firewall.as_ref()?;
        let mut rules = firewall.rules.clone();
        if firewall.allow_internal {
            rules.push(RuleRecord { protocol: "any".into(), ports: Vec::new(), sources: vec![self.cidr] });
        }
        if !firewall.ssh_sources.is_empty() {
            let sources = firewall.ssh_sources.clone();
            rules.push(RuleRecord { protocol: "tcp".into(), ports: vec![(22, 22)], sources });
        }
        Some(rules)
    }
}

impl NodeRecord {
    pub fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.host)
    }

    /// The host name without the cluster's: `head`, `worker-0`.
    pub fn short(&self) -> &str {
        self.host.strip_prefix(&self.cluster).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&self.host)
    }

    pub fn alive(&self) -> bool {
        self.made.complete && self.init.is_some_and(Process::alive)
    }

    /// The name of the cable's end on the bridge: at most 15 characters, never used twice.
    pub fn cable(&self) -> String {
        format!("v{}", self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        let json = serde_json::json!({
            "format": FORMAT, "workspace": "w", "model": "namespaces", "cidr": "10.77.0.0/16", "network": null,
            "router": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn node(cluster: &str, short: &str, ip: &str) -> NodeRecord {
        NodeRecord {
            made: Made { operation: "o".into(), complete: true },
            serial: 1,
            cluster: cluster.into(),
            host: format!("{cluster}-{short}"),
            role: "head".into(),
            subnet: "public".into(),
            ip: ip.parse().unwrap(),
            cpus: 1,
            memory_mib: 1,
            init: None,
            cgroups: Vec::new(),
        }
    }

    #[test]
    fn a_short_name_is_there_while_it_names_one_node() {
        let mut world = world();
        for node in [node("a", "head", "10.77.0.2"), node("a", "worker-0", "10.77.0.3")] {
            world.nodes.insert(node.key(), node);
        }
        assert!(world.hosts().contains("10.77.0.2 a-head a-head.w.local head\n"), "{}", world.hosts());
        let other = node("b", "head", "10.77.0.4");
        world.nodes.insert(other.key(), other);
        let hosts = world.hosts();
        assert!(hosts.contains("10.77.0.2 a-head a-head.w.local\n") && hosts.contains(" worker-0\n"), "{hosts}");
    }

    #[test]
    fn an_address_is_the_lowest_free_one_and_comes_free_with_its_node() {
        let mut world = world();
        let made = Made { operation: "o".into(), complete: true };
        let cidr = "10.77.0.0/30".parse().unwrap();
        let subnet = Subnet { made, cidr, public: true, bridge: "br1".into() };
        assert_eq!(world.free_address(&subnet).unwrap().to_string(), "10.77.0.2");
        let head = node("a", "head", "10.77.0.2");
        world.nodes.insert(head.key(), head.clone());
        assert_eq!(world.free_address(&subnet), None);
        world.nodes.remove(&head.key());
        assert!(world.free_address(&subnet).is_some());
    }

    #[test]
    fn records_change_one_at_a_time_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(&folder.path().join("state/local"), "w");
        assert_eq!(place.update(|_| Ok(())).unwrap_err().kind(), ErrorKind::NotFound);
        place.change(|now| Ok(now.replace(world()).is_none())).unwrap();
        std::thread::scope(|all| {
            for _ in 0..8 {
                all.spawn(|| {
                    for _ in 0..20 {
                        place.update(|w| Ok(w.next_serial())).unwrap();
                    }
                });
            }
        });
        assert_eq!(place.load().unwrap().unwrap().serial, 160);
        place.remove().unwrap();
        assert!(!folder.path().join("state").exists());
        for name in ["", "a/b", "..", "buckets"] {
            assert!(Place::new(folder.path(), name).check_name().is_err(), "{name}");
        }
    }
}
