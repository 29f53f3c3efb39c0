//! `instance`: one node.

use super::{Worlds, attrs, inputs, network::END, present, typed};
use crate::{
    error::Error,
    helper::{
        self,
        protocol::{AgentSpec, Launch, NodeSpec, Question, SshServer},
    },
    keys,
    launcher::MARK,
    limits,
    process::{self, Process},
    provider::{At, Kind, Local},
    world::{Made, NodeRecord, Place, World, remove_tree},
};
use cloudtik_core::{
    address::Address,
    provider::{Outcome, Presence, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use rustix::process::Signal;
use serde::Deserialize;
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt};

pub struct Instance;

#[derive(Deserialize)]
struct Inputs {
    subnet: String,
    role: String,
    cpus: u32,
    memory_mib: u64,
}

/// `etl-head`, `etl-worker-0`, `etl-gpu-2`: unique in the workspace, and valid as a host name.
pub fn host_name(address: &Address) -> String {
    let cluster = address.scope().cluster_name().unwrap_or("cluster");
    let short = match address.instance() {
        Some((group, index, _)) => {
            let group = group.strip_prefix("worker.").filter(|g| *g != "default").unwrap_or("worker");
            format!("{group}-{index}")
        }
        None => address.name().to_owned(),
    };
    let name = format!("{cluster}-{short}").to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let from = name.len().saturating_sub(63);
    name[from..].trim_start_matches('-').to_owned()
}

pub fn key(address: &Address) -> String {
    format!("{}/{}", address.scope().cluster_name().unwrap_or("cluster"), host_name(address))
}

impl Kind for Instance {
    fn schema(&self) -> KindSchema {
        KindSchema::new("instance")
            .replace_on(&["network", "subnet", "host", "role", "node_model"])
            .volatile(&["pid", "limits"])
            .takes(Durations { create: 60, ready: 0, update: 60, delete: 60 })
    }

    fn create(&self, at: &At, attributes: &Attrs, operation: &str) -> Result<Outcome, Error> {
        let key = key(&at.address);
        let before = super::world(at)?.nodes.get(&key).cloned();
        if let Some(old) = &before {
            end(at, old)?;
            remove_tree(&at.place.node(&key))?;
        }
        let inputs: Inputs = typed(attributes)?;
        at.place.update(|world| reserve(world, &at.address, &inputs, operation))?;
        start(at)
    }

    /// Changes limits; starts the node anew, with its home, when it is gone.
    fn update(&self, at: &At, attributes: &Attrs, _: &str) -> Result<Outcome, Error> {
        let inputs: Inputs = typed(attributes)?;
        let key = key(&at.address);
        let (world, node) = at.place.update(|world| {
            if let Some(node) = world.nodes.get_mut(&key) {
                (node.cpus, node.memory_mib) = (inputs.cpus, inputs.memory_mib);
            }
            Ok((world.clone(), world.nodes.get(&key).cloned()))
        })?;
        let node = node.ok_or_else(|| Error::Invalid(format!("node {key} is not recorded")))?;
        if problem(&at.place, &node).is_some() {
            end(at, &node)?;
            return start(at);
        }
        for folder in &node.cgroups {
            limits::set(folder, node.cpus, node.memory_mib)?;
        }
        Ok(outcome(&at.local, &at.place, &world, &node))
    }

    fn delete(&self, at: &At) -> Result<(), Error> {
        let key = key(&at.address);
        let Some(node) = at.place.load()?.and_then(|w| w.nodes.get(&key).cloned()) else { return Ok(()) };
        if at.id.as_ref().is_some_and(|id| *id != identity(&at.place, &node)) {
            return Ok(()); // the recorded one is gone; this is its successor
        }
        end(at, &node)?;
        remove_tree(&at.place.node(&key))?;
        at.place.update(|world| {
            world.nodes.remove(&key);
            Ok(())
        })?;
        if let Some(cluster) = at.place.node(&key).parent() {
            crate::world::prune(cluster, 2);
        }
        Ok(())
    }

    fn find(&self, at: &At) -> Result<Option<(Outcome, String)>, Error> {
        let Some(world) = at.place.load()? else { return Ok(None) };
        let node = world.nodes.get(&key(&at.address)).filter(|n| problem(&at.place, n).is_none());
        Ok(node.map(|n| (outcome(&at.local, &at.place, &world, n), n.made.operation.clone())))
    }

    fn unfinished(&self, at: &At, operation: &str) -> Result<bool, Error> {
        Ok(at.place.load()?.and_then(|w| Some(w.nodes.get(&key(&at.address))?.made.operation == operation))
            == Some(true))
    }

    fn observe(&self, local: &Local, subjects: &[Subject]) -> Result<Vec<Presence>, Error> {
        let worlds = Worlds::read(local, subjects)?;
        let seen = subjects.iter().map(|subject| {
            let found = worlds.of(subject).and_then(|(p, w)| Some((p, w, w.nodes.get(&key(&subject.address))?)));
            let Some((place, world, node)) = found else { return Presence::Absent };
            let Outcome { id, outputs } = outcome(local, place, world, node);
            let mut attributes = inputs(subject);
            attributes.insert("cpus".into(), node.cpus.into());
            attributes.insert("memory_mib".into(), (node.memory_mib as i64).into());
            present(id, attributes, outputs, problem(place, node))
        });
        Ok(seen.collect())
    }
}

/// Writes the node down with an address of its own, before anything of it is made.
fn reserve(world: &mut World, address: &Address, inputs: &Inputs, operation: &str) -> std::io::Result<()> {
    let key = key(address);
    let subnet = world.subnet(&inputs.subnet)?;
    let before = world.nodes.get(&key).map(|n| n.ip).filter(|ip| subnet.cidr.contains(*ip));
    let full = || std::io::Error::other(format!("subnet {} has no free address ({})", inputs.subnet, subnet.cidr));
    let ip = before.or_else(|| world.free_address(subnet)).ok_or_else(full)?;
    let node = NodeRecord {
        made: Made { operation: operation.into(), complete: false },
        serial: world.next_serial(),
        cluster: address.scope().cluster_name().unwrap_or("cluster").into(),
        host: host_name(address),
        role: inputs.role.clone(),
        subnet: inputs.subnet.clone(),
        ip,
        cpus: inputs.cpus,
        memory_mib: inputs.memory_mib,
        init: None,
        cgroups: Vec::new(),
    };
    world.nodes.insert(key, node);
    Ok(())
}

/// What keeps a recorded node from working.
pub fn problem(place: &Place, node: &NodeRecord) -> Option<String> {
    if !node.made.complete {
        return Some("it was never finished".into());
    }
    if !node.init.is_some_and(Process::alive) {
        return Some("its first process is gone".into());
    }
    (!place.home(&node.key()).is_dir()).then(|| "its home folder is gone".into())
}

pub fn mark(place: &Place, key: &str) -> String {
    place.node(key).to_string_lossy().into_owned()
}

/// Names the node's control group: no other node of this machine, whoever's, has it.
fn leaf(place: &Place, node: &NodeRecord) -> String {
    let folder = place.folder();
    let sum = folder.as_os_str().as_encoded_bytes().iter();
    let sum = sum.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    format!("{}-{}-{sum:016x}", node.host, node.serial)
}

/// Ends everything that runs on the node, and takes its cable and control groups away.
fn end(at: &At, node: &NodeRecord) -> Result<(), Error> {
    let world = super::world(at)?;
    if let Some(init) = node.init {
        if world.model.isolated() {
            init.end(END)?;
        } else {
            init.signal(Signal::STOP)?; // it must not start anything more
            process::end_all(|| if init.alive() { process::descendants(init.pid) } else { Vec::new() }, END)?;
            init.end(END)?;
        }
    }
    let mark = mark(&at.place, &node.key());
    process::end_all(|| process::marked(MARK, &mark, false), END)?;
    if let Some(router) = world.door().filter(|r| r.process.alive()) {
        at.local.config.helper().ask(&Question::RemoveLink { router, name: node.cable() })?;
    }
    Ok(limits::remove(&leaf(&at.place, node))?)
}

fn start(at: &At) -> Result<Outcome, Error> {
    let key = key(&at.address);
    let world = super::world(at)?;
    let node = world.nodes.get(&key).cloned();
    let node = node.ok_or_else(|| Error::Invalid(format!("node {key} was deleted meanwhile")))?;
    let folder = at.place.node(&key);
    for part in ["home", "tmp"] {
        fs::create_dir_all(folder.join(part))?;
        fs::set_permissions(folder.join(part), fs::Permissions::from_mode(0o700))?;
    }
    let cgroups = if world.model.isolated() {
        limits::make(&leaf(&at.place, &node), node.cpus, node.memory_mib)
    } else {
        Vec::new()
    };
    let launch = launch_spec(at, &world, &node)?;
    at.local.config.helper().launch(&launch, &mark(&at.place, &key), |init, _| {
        limits::join(&cgroups, init)?;
        at.place.update(|world| {
            let node = world.nodes.get_mut(&key).ok_or_else(|| std::io::Error::other("deleted meanwhile"))?;
            // Until it is released, it ends with us.
            (node.init, node.cgroups, node.made.complete) = (Some(init), cgroups, false);
            Ok(())
        })
    })?;
    let world = at.place.update(|world| {
        if let Some(node) = world.nodes.get_mut(&key) {
            node.made.complete = true;
        }
        Ok(world.clone())
    })?;
    let node = world.nodes.get(&key).ok_or_else(|| Error::Invalid(format!("node {key} was deleted meanwhile")))?;
    Ok(outcome(&at.local, &at.place, &world, node))
}

fn launch_spec(at: &At, world: &World, node: &NodeRecord) -> Result<Launch, Error> {
    let place = &at.place;
    let folder = place.node(&node.key());
    let server = ssh_server(&at.local, place, world, node);
    keys::know(&server.host_key, &node.host, &place.known_hosts(&node.key()))?;
    let ssh = Some(server);
    let Some(router) = world.door() else {
        return Ok(Launch::Agent(AgentSpec { folder, ssh }));
    };
    let subnet = world.subnet(&node.subnet)?;
    let mut writable = vec![place.home(&node.key()), place.shared()];
    writable.extend(Some(place.bucket()).filter(|b| b.is_dir()));
    let cache = &at.local.config.cache;
    fs::create_dir_all(cache)?;
    writable.push(cache.clone());
    Ok(Launch::Node(Box::new(NodeSpec {
        router,
        host: node.host.clone(),
        ip: node.ip,
        subnet: subnet.cidr,
        bridge: subnet.bridge.clone(),
        cable: node.cable(),
        rules: world.rules(),
        writable,
        visible: vec![place.folder().join("ssh")],
        hidden: at.local.config.root.clone(),
        hosts: place.hosts(),
        tmp: folder.join("tmp"),
        ssh,
    })))
}

/// The port of nodes' SSH servers where the machine's own may have port 22.
pub const LOOPBACK_SSH: u16 = 2222;

fn ssh_port(world: &World) -> u16 {
    if world.model.isolated() { 22 } else { LOOPBACK_SSH }
}

fn ssh_server(local: &Local, place: &Place, world: &World, node: &NodeRecord) -> SshServer {
    let key = place.ssh_key();
    SshServer {
        listen: SocketAddr::new(node.ip.into(), ssh_port(world)),
        host_key: place.home(&node.key()).join(".ssh_host_key"),
        authorized_keys: keys::public(&key),
        user: local.config.user.clone(),
        home: place.home(&node.key()),
        env: crate::environment::of(local, place, world, node),
    }
}

fn identity(place: &Place, node: &NodeRecord) -> String {
    format!("{}/{}@{}", place.workspace, node.key(), node.serial)
}

/// The command that turns standard input and output into a connection to the node's SSH server.
fn proxy_command(local: &Local, place: &Place, key: &str, port: u16) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let words = [
        quoted(&local.config.helper.to_string_lossy()),
        helper::CONNECT.into(),
        quoted(&local.config.root.to_string_lossy()),
        quoted(&place.workspace),
        quoted(key),
        port.to_string(),
    ];
    words.join(" ")
}

fn outcome(local: &Local, place: &Place, world: &World, node: &NodeRecord) -> Outcome {
    let key = node.key();
    let text = |t: &str| Value::text(t);
    let host = if world.model.isolated() { node.host.clone() } else { node.ip.to_string() };
    let limits = if node.cgroups.is_empty() { "declared" } else { "enforced" };
    let connection = [("via", text("local")), ("workspace", text(&place.workspace)), ("node", text(&key))];
    let port = ssh_port(world);
    let ssh = [
        ("user", text(&local.config.user)),
        ("port", port.into()),
        ("key", place.ssh_key().to_string_lossy().as_ref().into()),
        ("proxy_command", proxy_command(local, place, &key, port).into()),
        // Holds the node's own key, under the node's name.
        ("known_hosts", place.known_hosts(&key).to_string_lossy().as_ref().into()),
        ("host_key_alias", text(&node.host)),
    ];
    let id = identity(place, node);
    let outputs = attrs([
        ("id", text(&id)),
        ("name", text(&key)),
        ("ip", node.ip.to_string().into()),
        ("host", host.into()),
        ("connection", Value::map(connection)),
        ("home", place.home(&key).to_string_lossy().as_ref().into()),
        ("ssh", Value::map(ssh)),
        ("limits", limits.into()),
        ("pid", node.init.map(|p| p.pid).into()),
    ]);
    Outcome { id, outputs: cloudtik_core::value::pruned(&outputs) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::Scope;

    #[test]
    fn host_names_are_unique_in_the_workspace_and_fit_the_kernel() {
        let name = |cluster: &str, name: &str| host_name(&Address::new(Scope::cluster("w", cluster), "instance", name));
        assert_eq!(name("etl", "head"), "etl-head");
        assert_eq!(name("etl", "worker.default[2]"), "etl-worker-2");
        assert_eq!(name("etl", "worker.gpu[0]"), "etl-gpu-0");
        assert_eq!(name("My_ETL", "head"), "my-etl-head");
        let long = name(&"x".repeat(80), "worker.default[10]");
        assert!(long.len() <= 63 && long.ends_with("-worker-10"), "{long}");
    }
}
