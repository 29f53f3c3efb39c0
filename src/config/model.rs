//! From a checked tree to a [`Document`].
//!
//! Typed reading goes through [`crate::file`], so a key has one definition. Whatever only a provider or a runtime
//! understands stays a tree.

use crate::{
    Kind, LoadOptions,
    file::{
        ClusterFile, DatabaseFile, InstanceResources, InstanceType, LocalNodeConfig, NodeTypeFile, Resource, Runtime,
        StorageFile,
    },
    inherit::Inherited,
    merge, reference, semantic,
};
use cloudtik_core::{
    Diagnostic, Origin, Tree, TreeValue,
    document::{Auth, Belonging, Cluster, Commands, Document, FileMount, NodeType, RuntimeSelection, Workspace},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, sync::Arc};

/// The least that `max_workers` is taken for when it is not given.
const DEFAULT_MAX_WORKERS: u32 = 32;

pub(crate) fn build(kind: Kind, document: &Inherited, options: &LoadOptions) -> Result<Document, Diagnostic> {
    match kind {
        Kind::Workspace => workspace(document).map(Document::Workspace),
        Kind::Cluster => cluster(document, options).map(|c| Document::Cluster(Box::new(c))),
        Kind::Storage => belonging::<StorageFile>(document, "storage_name").map(Document::Storage),
        Kind::Database => belonging::<DatabaseFile>(document, "database_name").map(Document::Database),
    }
}

/// Validation has accepted the tree, so this fails only if schema and types disagree.
fn typed<T: DeserializeOwned>(tree: &Tree) -> Result<T, Diagnostic> {
    serde_json::from_value(tree.to_json()).map_err(|fault| bug(tree, &fault.to_string()))
}

fn bug(tree: &Tree, what: &str) -> Diagnostic {
    Diagnostic::error("internal-error", "this is a bug in cloudtik")
        .at(&tree.origin)
        .detail(format!("the document passed validation and could not be read: {what}"))
        .hint("please report it with the document")
}

fn provider(document: &Inherited) -> Result<(String, Arc<Tree>, Origin), Diagnostic> {
    let block = document.tree.get("provider").ok_or_else(|| bug(&document.tree, "no provider"))?;
    let (name, origin) = document.provider.as_ref().ok_or_else(|| bug(block, "no provider.type"))?;
    Ok((name.to_string(), block.clone(), origin.clone()))
}

fn text(tree: &Tree, key: &str) -> Result<String, Diagnostic> {
    let text = tree.get(key).and_then(|t| t.as_text());
    text.map(str::to_string).ok_or_else(|| bug(tree, &format!("no {key}")))
}

fn workspace(document: &Inherited) -> Result<Workspace, Diagnostic> {
    let (provider_type, provider, origin) = provider(document)?;
    let _: crate::file::WorkspaceFile = typed(&document.tree)?;
    Ok(Workspace {
        name: text(&document.tree, "workspace_name")?,
        provider_type,
        provider,
        state: document.tree.get("state").and_then(|s| s.as_text()).map(str::to_string),
        origin,
        tree: document.tree.clone(),
    })
}

fn belonging<T: DeserializeOwned>(document: &Inherited, name: &str) -> Result<Belonging, Diagnostic> {
    let (provider_type, provider, origin) = provider(document)?;
    let _: T = typed(&document.tree)?;
    Ok(Belonging {
        workspace: text(&document.tree, "workspace_name")?,
        name: text(&document.tree, name)?,
        provider_type,
        provider,
        origin,
        tree: document.tree.clone(),
    })
}

fn cluster(document: &Inherited, options: &LoadOptions) -> Result<Cluster, Diagnostic> {
    let tree = &document.tree;
    let (provider_type, provider, origin) = provider(document)?;
    let file: ClusterFile = typed(tree)?;
    let commands = commands(&file);
    let mut nodes = node_types(tree, &file, &provider_type, &provider, &commands, options)?;
    let head_type = file.head_node_type.as_deref().unwrap_or_default();
    let head_at = nodes.iter().position(|n| n.name == head_type).ok_or_else(|| bug(tree, "no head"))?;
    let mut head = nodes.remove(head_at);
    (head.count, head.max_count) = (1, 1);
    Ok(Cluster {
        workspace: file.workspace_name.0,
        name: file.cluster_name.0,
        provider_type,
        provider,
        auth: file.auth.map(auth).unwrap_or_default(),
        head,
        workers: nodes,
        runtime: selection(tree.get("runtime"), options)?,
        file_mounts: mounts(tree.get("file_mounts")),
        commands,
        origin,
        tree: tree.clone(),
    })
}

fn auth(file: crate::file::Auth) -> Auth {
    Auth {
        ssh_user: file.ssh_user,
        ssh_port: file.ssh_port.map(|port| port.0),
        ssh_private_key: file.ssh_private_key,
        ssh_public_key: file.ssh_public_key,
        ssh_proxy_command: file.ssh_proxy_command,
    }
}

fn commands(file: &ClusterFile) -> Commands {
    let lines = |lines: &Option<Vec<String>>| lines.clone().unwrap_or_default();
    Commands {
        initialization: lines(&file.initialization_commands),
        head_initialization: lines(&file.head_initialization_commands),
        worker_initialization: lines(&file.worker_initialization_commands),
        setup: lines(&file.setup_commands),
        head_setup: lines(&file.head_setup_commands),
        worker_setup: lines(&file.worker_setup_commands),
        bootstrap: lines(&file.bootstrap_commands),
        start: lines(&file.start_commands),
        head_start: lines(&file.head_start_commands),
        worker_start: lines(&file.worker_start_commands),
        stop: lines(&file.stop_commands),
        head_stop: lines(&file.head_stop_commands),
        worker_stop: lines(&file.worker_stop_commands),
    }
}

/// A node type's own lists take the place of the cluster's.
fn type_commands(cluster: &Commands, node: &NodeTypeFile) -> Commands {
    let own = |own: &Option<Vec<String>>, theirs: &[String]| own.clone().unwrap_or_else(|| theirs.to_vec());
    Commands {
        worker_initialization: own(&node.worker_initialization_commands, &cluster.worker_initialization),
        worker_setup: own(&node.worker_setup_commands, &cluster.worker_setup),
        bootstrap: own(&node.bootstrap_commands, &cluster.bootstrap),
        worker_start: own(&node.worker_start_commands, &cluster.worker_start),
        worker_stop: own(&node.worker_stop_commands, &cluster.worker_stop),
        ..cluster.clone()
    }
}

/// Every node type by name, with its declared count.
fn node_types(
    tree: &Tree,
    file: &ClusterFile,
    provider_type: &str,
    provider: &Tree,
    cluster_commands: &Commands,
    options: &LoadOptions,
) -> Result<Vec<NodeType>, Diagnostic> {
    let head = file.head_node_type.as_deref().unwrap_or_default();
    let is_worker = |name: &str| name != head;
    let only_worker = file.available_node_types.keys().filter(|name| is_worker(name)).count() == 1;
    let legacy = file.min_workers.filter(|_| only_worker);
    let count = |name: &str, node: &NodeTypeFile| match is_worker(name) {
        true => legacy.or(node.min_workers).unwrap_or(0),
        false => 1,
    };
    let declared = file.available_node_types.iter().filter(|(name, _)| is_worker(name));
    let sum = declared.fold(0u32, |sum, (name, node)| sum.saturating_add(count(name, node)));
    let most = file.max_workers.unwrap_or(sum.max(DEFAULT_MAX_WORKERS));
    let runtime = tree.get("runtime");
    let mut nodes = Vec::new();
    for (name, node) in &file.available_node_types {
        let own = tree.at(&["available_node_types", name]).ok_or_else(|| bug(tree, name))?;
        let config = own.get("node_config").ok_or_else(|| bug(own, "no node_config"))?;
        let (cpus, memory) = offers(node, config, provider_type, provider)?;
        nodes.push(NodeType {
            name: name.clone(),
            count: count(name, node),
            max_count: node.max_workers.unwrap_or(most),
            config: config.clone(),
            cpus,
            memory_mib: memory.map(|bytes| bytes >> 20),
            runtime: selection(merged_runtime(runtime, own.get("runtime")).as_ref(), options)?,
            commands: type_commands(cluster_commands, node),
            origin: own.origin.clone(),
        });
    }
    Ok(nodes)
}

fn merged_runtime(cluster: Option<&Arc<Tree>>, own: Option<&Arc<Tree>>) -> Option<Arc<Tree>> {
    match (cluster, own) {
        // Both are settled already: nothing can go wrong with merge keys any more.
        (Some(cluster), Some(own)) => Some(merge::merge(cluster, own, &mut Vec::new())),
        (cluster, own) => own.or(cluster).cloned(),
    }
}

/// Cores and bytes of a node: `resources`, else what `local` and `virtual` say in `node_config`.
fn offers(
    node: &NodeTypeFile,
    config: &Tree,
    provider_type: &str,
    provider: &Tree,
) -> Result<(Option<u32>, Option<u64>), Diagnostic> {
    let resource = |key: &str| node.resources.as_ref().and_then(|r| r.get(key));
    let cpus = match resource("CPU") {
        Some(Resource::Amount(cpus)) => u32::try_from(*cpus).ok(),
        _ => None,
    };
    let memory = resource("memory").and_then(semantic::resource_bytes);
    if provider_type != "local" {
        return Ok((cpus, memory));
    }
    let own: LocalNodeConfig = typed(config)?;
    let named: Option<InstanceResources> = match own.instance_type {
        Some(InstanceType::Amounts(amounts)) => Some(amounts),
        Some(InstanceType::Name(name)) => provider.at(&["instance_types", &name]).map(typed).transpose()?,
        None => None,
    };
    let named_cpus = named.as_ref().and_then(|amounts| amounts.cpu);
    let named_memory = named.as_ref().and_then(|amounts| amounts.memory);
    Ok((cpus.or(own.cpus).or(named_cpus), memory.or(own.memory.or(named_memory).map(|size| size.0))))
}

/// What `runtime` selects, less defaults that nothing here can run. Without the block: nothing.
fn selection(runtime: Option<&Arc<Tree>>, options: &LoadOptions) -> Result<RuntimeSelection, Diagnostic> {
    let mut selection = RuntimeSelection { types: Vec::new(), envs: BTreeMap::new(), config: BTreeMap::new() };
    let Some(runtime) = runtime else { return Ok(selection) };
    let file: Runtime = typed(runtime)?;
    selection.envs = file.envs.unwrap_or_default();
    if let Some(TreeValue::List(types)) = runtime.get("types").map(|t| &t.value) {
        let kept = types.iter().filter(|name| !semantic::left_out(name, options));
        for (name, origin) in kept.filter_map(|t| Some((t.as_text()?, &t.origin))) {
            if !selection.types.iter().any(|(known, _)| known == name) {
                selection.types.push((name.to_string(), origin.clone()));
            }
        }
    }
    let blocks = runtime.entries().iter().filter(|e| !matches!(&*e.key, "types" | "envs" | "scaling"));
    selection.config = blocks.map(|e| (e.key.to_string(), e.value.clone())).collect();
    Ok(selection)
}

fn mounts(mounts: Option<&Arc<Tree>>) -> BTreeMap<String, FileMount> {
    let entries = mounts.map_or(&[][..], |m| m.entries());
    entries
        .iter()
        .filter_map(|e| {
            let source = reference::local_path(e.value.as_text()?, &e.value.origin);
            Some((e.key.to_string(), FileMount { source, origin: e.value.origin.clone() }))
        })
        .collect()
}
