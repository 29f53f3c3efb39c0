//! A node's data disks, and the document's own shell commands and file mounts, as resources on each node.
//!
//! Order on a node: disks and mounts, initialization, setup, bootstrap; then the runtimes' services; then start.

use crate::{
    compile::{Compiled, on_node, placed},
    kinds::{disks, mount},
};
use cloudtik_core::{
    Address, Diagnostic, Needs, Scope, Value,
    document::{Cluster, Commands, FileMount, NodeType},
    node::{Files, Node, Role},
};
use std::collections::BTreeMap;

/// The script of [`declare_environment`], below a node's home.
pub const ENVIRONMENT: &str = "environment.sh";

/// Declares mounts and the phases before services. Returns per instance what its services must wait for.
pub fn declare(
    cluster: &Cluster,
    nodes: &[Node],
    scope: &Scope,
    compiled: &mut Compiled,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<Address, Vec<Address>> {
    let whole = Whole { cluster, scope, head: head(nodes) };
    let digests = digests(cluster, problems);
    let mut before = BTreeMap::new();
    for node in nodes {
        let mut earlier: Vec<Address> = declare_disks(cluster, node, scope, compiled).into_iter().collect();
        for (remote, (mount, digest)) in &digests {
            earlier.push(declare_mount(remote, mount, digest, node, scope, compiled));
        }
        for (phase, lines) in phases(&commands(cluster, node), node.role) {
            if !lines.is_empty() {
                let address = declare_phase(&whole, node, phase, lines, Vec::new(), &earlier, compiled);
                earlier = vec![address];
            }
        }
        before.insert(node.instance.clone(), earlier);
    }
    before
}

/// The disks that a node has beside its root disk; those of nodes that share this machine's files are not touched.
fn declare_disks(cluster: &Cluster, node: &Node, scope: &Scope, compiled: &mut Compiled) -> Option<Address> {
    let count = i64::try_from(node.data_disks).ok().filter(|count| *count > 0 && node.files == Files::Own)?;
    let attributes =
        [("connection", node.connection.clone()), ("count", Value::Int(count)), ("folder", Value::text(disks::FOLDER))];
    let address = on_node(scope, "disks", node, "data");
    compiled.declarations.push(placed(address.clone(), node, attributes, &cluster.origin));
    Some(address)
}

/// On a node of its own files, a script that sets what commands of the user's find: those of a shell on the node and of
/// `exec`, which know nothing else of the cluster. (A provider whose nodes share this machine's files sets it itself.)
pub fn declare_environment(cluster: &Cluster, nodes: &[Node], scope: &Scope, compiled: &mut Compiled) {
    let head = head(nodes);
    for node in nodes.iter().filter(|node| node.files == Files::Own) {
        let mut env = environment(cluster, node, head);
        env.extend(compiled.envs.get(&node.instance).cloned().unwrap_or_default());
        env.retain(|name, _| is_name(name));
        let lines = env
            .iter()
            .flat_map(|(name, value)| [Value::text(format!("export {name}='")), quoted(value), Value::text("'\n")]);
        let comment = Value::text("# Written by cloudtik: what runs in this cluster finds this in its environment.\n");
        let path = Value::concat([node.home.clone(), Value::text(format!("/{ENVIRONMENT}"))]);
        let attributes = [
            ("connection", node.connection.clone()),
            ("path", path),
            ("content", Value::concat([comment].into_iter().chain(lines))),
            ("mode", Value::text("0600")),
        ];
        let address = on_node(scope, "file", node, ENVIRONMENT);
        compiled.declarations.push(placed(address, node, attributes, &cluster.origin));
    }
}

/// Whether a shell can set it.
fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A value between single quotes of a shell. What is not known yet is an address or a path, without quotes.
fn quoted(value: &Value) -> Value {
    match value {
        Value::Concat(parts) => Value::concat(parts.iter().map(quoted)),
        other => other.as_text().map_or_else(|| other.clone(), |text| Value::text(text.replace('\'', "'\\''"))),
    }
}

fn head(nodes: &[Node]) -> Option<&Node> {
    nodes.iter().find(|node| node.role == Role::Head)
}

/// Declares the start phase: after every service of the node. Its stop lines run when it goes, so it never goes silently.
pub fn declare_start(cluster: &Cluster, nodes: &[Node], scope: &Scope, compiled: &mut Compiled) {
    let whole = Whole { cluster, scope, head: head(nodes) };
    for node in nodes {
        let commands = commands(cluster, node);
        let (start, stop) = match node.role {
            Role::Head => ([commands.start, commands.head_start], [commands.stop, commands.head_stop]),
            Role::Worker => ([commands.start, commands.worker_start], [commands.stop, commands.worker_stop]),
        };
        let (start, stop) = (start.concat(), stop.concat());
        if start.is_empty() && stop.is_empty() {
            continue;
        }
        let prefix = format!("{}/", node.instance.name());
        let earlier = |a: &&Address| {
            matches!(a.kind(), "service" | "command" | "mount" | "disks") && a.name().starts_with(&prefix)
        };
        let earlier: Vec<Address> = compiled.declarations.iter().map(|d| &d.address).filter(earlier).cloned().collect();
        let keeps = stop.is_empty();
        let address = declare_phase(&whole, node, "start", start, stop, &earlier, compiled);
        if let (false, Some(last)) = (keeps, compiled.declarations.iter_mut().find(|d| d.address == address)) {
            last.lifecycle.gone_with = None;
        }
    }
}

/// The lists of a node: those of its type where it has any, else the cluster's.
fn commands(cluster: &Cluster, node: &Node) -> Commands {
    let types = std::iter::once(&cluster.head).chain(&cluster.workers);
    let own = types.filter(|t| t.name == node.node_type).map(|t: &NodeType| &t.commands).next();
    let mut merged = cluster.commands.clone();
    let Some(own) = own else { return merged };
    let pairs: [(&mut Vec<String>, &Vec<String>); 13] = [
        (&mut merged.initialization, &own.initialization),
        (&mut merged.head_initialization, &own.head_initialization),
        (&mut merged.worker_initialization, &own.worker_initialization),
        (&mut merged.setup, &own.setup),
        (&mut merged.head_setup, &own.head_setup),
        (&mut merged.worker_setup, &own.worker_setup),
        (&mut merged.bootstrap, &own.bootstrap),
        (&mut merged.start, &own.start),
        (&mut merged.head_start, &own.head_start),
        (&mut merged.worker_start, &own.worker_start),
        (&mut merged.stop, &own.stop),
        (&mut merged.head_stop, &own.head_stop),
        (&mut merged.worker_stop, &own.worker_stop),
    ];
    for (list, own) in pairs {
        if !own.is_empty() {
            list.clone_from(own);
        }
    }
    merged
}

fn phases(commands: &Commands, role: Role) -> [(&'static str, Vec<String>); 3] {
    let (initialization, setup) = match role {
        Role::Head => (&commands.head_initialization, &commands.head_setup),
        Role::Worker => (&commands.worker_initialization, &commands.worker_setup),
    };
    [
        ("initialization", [commands.initialization.as_slice(), initialization].concat()),
        ("setup", [commands.setup.as_slice(), setup].concat()),
        ("bootstrap", commands.bootstrap.clone()),
    ]
}

/// The cluster that everything here is of.
struct Whole<'a> {
    cluster: &'a Cluster,
    scope: &'a Scope,
    head: Option<&'a Node>,
}

fn declare_phase(
    whole: &Whole<'_>,
    node: &Node,
    phase: &str,
    lines: Vec<String>,
    stop: Vec<String>,
    earlier: &[Address],
    compiled: &mut Compiled,
) -> Address {
    let address = on_node(whole.scope, "command", node, phase);
    let home = |path: String| Value::concat([node.home.clone(), Value::text(path)]);
    let attributes = [
        ("connection", node.connection.clone()),
        ("lines", Value::list(lines)),
        ("stop", Value::list(stop)),
        ("env", Value::Map(environment(whole.cluster, node, whole.head))),
        ("log", home(format!("/log/{phase}-commands.log"))),
        ("done", home(format!("/run/{phase}-commands.done"))),
    ];
    let mut declaration = placed(address.clone(), node, attributes, &whole.cluster.origin);
    for other in earlier {
        declaration = declaration.after(other, Needs::Ready);
    }
    compiled.declarations.push(declaration);
    address
}

/// What commands and submitted scripts find in their environment; the names are those of the Python tool, and
/// `CLOUDTIK_SHARED` for the folder that all nodes see.
pub fn environment(cluster: &Cluster, node: &Node, head: Option<&Node>) -> BTreeMap<String, Value> {
    let types: Vec<&str> = cluster.runtime.types.iter().map(|(name, _)| name.as_str()).collect();
    let mut env = BTreeMap::from([
        ("CLOUDTIK_RUNTIMES".to_owned(), Value::text(types.join(","))),
        ("CLOUDTIK_WORKSPACE".to_owned(), Value::text(&cluster.workspace)),
        ("CLOUDTIK_CLUSTER".to_owned(), Value::text(&cluster.name)),
        ("CLOUDTIK_PROVIDER_TYPE".to_owned(), Value::text(&cluster.provider_type)),
        ("CLOUDTIK_NODE_TYPE".to_owned(), Value::text(&node.node_type)),
        ("CLOUDTIK_NODE_HOST".to_owned(), node.host.clone()),
        ("CLOUDTIK_NODE_IP".to_owned(), node.ip.clone()),
    ]);
    if let (Files::Own, Some(head)) = (node.files, head) {
        env.insert("CLOUDTIK_HEAD_IP".into(), head.ip.clone());
    }
    if let Some(shared) = &node.shared {
        env.insert("CLOUDTIK_SHARED".into(), shared.clone());
    }
    env.extend(node.env.clone());
    env.extend(cluster.runtime.envs.iter().map(|(k, v)| (k.clone(), Value::text(v))));
    env
}

/// Each mount with the digest of its local content; a problem for each that cannot be copied.
fn digests<'a>(cluster: &'a Cluster, problems: &mut Vec<Diagnostic>) -> BTreeMap<&'a str, (&'a FileMount, String)> {
    let mut digests = BTreeMap::new();
    for (remote, mount) in &cluster.file_mounts {
        if matches!(remote.trim_end_matches('/'), "" | "~" | ".") || remote.split('/').any(|part| part == "..") {
            problems.push(
                Diagnostic::error("unsafe-mount", "a file mount would replace a whole home or root folder")
                    .detail(format!("`{remote}`"))
                    .at(&mount.origin)
                    .hint("name a folder or file inside it"),
            );
            continue;
        }
        match mount::digest_of(&mount.source) {
            Ok(digest) => {
                digests.insert(remote.as_str(), (mount, digest.0));
            }
            Err(error) => problems.push(
                Diagnostic::error("unreadable-mount", "a file to mount cannot be read")
                    .detail(format!("{}: {error}", mount.source.display()))
                    .at(&mount.origin)
                    .hint("correct the local path, or remove the entry"),
            ),
        }
    }
    digests
}

fn declare_mount(
    remote: &str,
    mount: &FileMount,
    digest: &str,
    node: &Node,
    scope: &Scope,
    compiled: &mut Compiled,
) -> Address {
    let path = remote.trim_end_matches('/');
    let name = path.trim_start_matches('/');
    let address = on_node(scope, "mount", node, name);
    let home = |inner: &str| Value::concat([node.home.clone(), Value::text(format!("/{inner}"))]);
    let place = match path.strip_prefix("~/") {
        Some(inner) => home(inner),
        None if path.starts_with('/') => Value::text(path),
        None => home(path),
    };
    let mark = format!("run/mounts/{}", cloudtik_core::digest::of(path).short());
    let attributes = [
        ("connection", node.connection.clone()),
        ("source", Value::text(mount.source.display().to_string())),
        ("path", place),
        ("digest", Value::text(digest)),
        ("mark", home(&mark)),
    ];
    compiled.declarations.push(placed(address.clone(), node, attributes, &mount.origin));
    address
}
