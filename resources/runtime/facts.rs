//! What templates of one runtime see: the cluster, its nodes and their sizes.
//!
//! Sizes come from the manifest's expressions over a node's CPUs and memory; a node that is too small is a problem that
//! names the smallest memory that would do.

use crate::{
    kinds::disks,
    manifest::{Manifest, Named},
    render::{self, Facts, RenderError, Renderer, Tokens, fact},
};
use cloudtik_core::{
    Diagnostic, Origin, Value,
    document::Cluster,
    node::{Files, Node, Role},
};
use serde_json::{Map, Value as Json, json};

/// MiB between the sizes that the search for a fitting one tries.
const STEP: u64 = 64;
const LARGEST: u64 = 1 << 20;

/// The size of a node, and what a manifest's expressions make of it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub role: Role,
    pub cpus: u32,
    pub memory_mib: u64,
}

/// Facts that all nodes of a runtime share.
pub struct Shared<'a> {
    pub manifest: &'a Manifest,
    pub renderer: &'a Renderer,
    pub worker_count: usize,
}

impl Shared<'_> {
    /// The manifest's sizes of a node.
    pub fn sizes(&self, size: Size, settings: &Map<String, Json>) -> Result<Map<String, Json>, RenderError> {
        let mut facts = self.size_facts(size, settings);
        self.evaluate(&self.manifest.sizing.node, &mut facts)
    }

    /// What the node is too small for; `None` when everything fits.
    fn misfit(&self, size: Size, settings: &Map<String, Json>) -> Result<Option<&str>, RenderError> {
        let mut facts = self.size_facts(size, settings);
        self.evaluate(&self.manifest.sizing.node, &mut facts)?;
        for require in &self.manifest.sizing.require {
            if self.renderer.eval("sizing.require", &require.that, &facts)? != Json::Bool(true) {
                return Ok(Some(&require.fits));
            }
        }
        Ok(None)
    }

    /// A problem when the node is too small, with the smallest memory that fits.
    pub fn check(
        &self,
        size: Size,
        settings: &Map<String, Json>,
        node_type: &str,
        origin: Option<&Origin>,
    ) -> Result<Option<Diagnostic>, RenderError> {
        let Some(what) = self.misfit(size, settings)? else { return Ok(None) };
        let diagnostic = Diagnostic::error("node-too-small", "a node has too little memory for what runs on it")
            .detail(format!("`{node_type}` has {} MiB; {what} do not fit", size.memory_mib))
            .maybe_at(origin);
        let mut memory_mib = size.memory_mib / STEP * STEP + STEP;
        while memory_mib <= LARGEST {
            if self.misfit(Size { memory_mib, ..size }, settings)?.is_none() {
                let hint = format!("give `{node_type}` at least {memory_mib} MiB of memory");
                return Ok(Some(diagnostic.hint(hint)));
            }
            memory_mib += STEP;
        }
        Ok(Some(diagnostic.hint(format!("change `runtime.{}`: no size fits it", self.manifest.name))))
    }

    /// Sizes that follow from all nodes together.
    pub fn cluster_sizes(&self, facts: &Facts) -> Result<Map<String, Json>, RenderError> {
        self.evaluate(&self.manifest.sizing.cluster, &mut facts.clone())
    }

    fn size_facts(&self, size: Size, settings: &Map<String, Json>) -> Facts {
        render::facts(&into_map(json!({
            "role": size.role.as_str(),
            "cpus": size.cpus,
            "memory_mib": size.memory_mib,
            "worker_count": self.worker_count,
            "settings": settings,
        })))
    }

    fn evaluate(&self, named: &[Named], facts: &mut Facts) -> Result<Map<String, Json>, RenderError> {
        let mut results = Map::new();
        for Named { name, value } in named {
            let what = format!("runtime {}, size {name}", self.manifest.name);
            let result = self.renderer.eval(&what, value, facts)?;
            facts.insert(name.clone(), fact(&result));
            results.insert(name.clone(), result);
        }
        Ok(results)
    }
}

/// What templates see of one node.
pub fn node(node: &Node, sizes: &Map<String, Json>, tokens: &mut Tokens) -> Json {
    json!({
        "name": node.instance.name(),
        "role": node.role.as_str(),
        "type": node.node_type,
        "index": node.index,
        "host": tokens.hide(&node.host),
        "ip": tokens.hide(&node.ip),
        "home": tokens.hide(&node.home),
        "cpus": node.cpus,
        "memory_mib": node.memory_mib,
        "size": sizes,
        "shares": node.shared.is_some() || node.role == Role::Head,
        "disks": disks(node),
    })
}

/// Where its data disks are mounted; empty when it has none.
fn disks(node: &Node) -> Vec<String> {
    match node.files {
        Files::Own => disks::places(node.data_disks),
        Files::Shared => Vec::new(),
    }
}

/// What templates see of the cluster, without any node.
pub fn cluster(cluster: &Cluster) -> Map<String, Json> {
    into_map(json!({
        "workspace": cluster.workspace,
        "cluster": cluster.name,
        "provider": cluster.provider_type,
    }))
}

/// The folder that all nodes share, or one of the head's where they share none.
pub fn shared_folder(head: &Node) -> Value {
    head.shared.clone().unwrap_or_else(|| Value::concat([head.home.clone(), Value::text("/shared")]))
}

pub fn into_map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
