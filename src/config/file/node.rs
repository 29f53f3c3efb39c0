use super::{Free, Runtime, Size};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One type of node: what its machines are like, and how many of them there are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeTypeFile {
    /// The machine, in the provider's own words.
    pub node_config: Free,
    /// How many workers of this type there are. The head is always one.
    pub min_workers: Option<u32>,
    /// How many there may be at most. Without it: the cluster's `max_workers`.
    pub max_workers: Option<u32>,
    /// Types of a smaller number start first.
    pub launch_priority: Option<i64>,
    /// What a node offers: `CPU` and `GPU` in units, `memory` in bytes, anything else in units of your own.
    pub resources: Option<BTreeMap<String, Resource>>,
    /// Takes the place of the cluster's `worker_initialization_commands`.
    pub worker_initialization_commands: Option<Vec<String>>,
    /// Takes the place of the cluster's `worker_setup_commands`.
    pub worker_setup_commands: Option<Vec<String>>,
    /// Takes the place of the cluster's `bootstrap_commands`.
    pub bootstrap_commands: Option<Vec<String>>,
    /// Takes the place of the cluster's `worker_start_commands`.
    pub worker_start_commands: Option<Vec<String>>,
    /// Takes the place of the cluster's `worker_stop_commands`.
    pub worker_stop_commands: Option<Vec<String>>,
    /// Written by tools; has no effect here.
    pub merged_commands: Option<Free>,
    /// What of the cluster's `runtime` this type runs, and how it differs there.
    pub runtime: Option<Runtime>,
    /// Its own container.
    pub docker: Option<NodeDocker>,
}

/// An amount of something that a node offers. `memory` may be written as a size.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Resource {
    Amount(u64),
    Size(String),
}

/// What a node type may change about its container.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeDocker {
    /// Pull the image before each start.
    pub pull_before_run: Option<bool>,
    /// Image for this type.
    pub worker_image: Option<String>,
    /// Options of `docker run` for this type.
    pub worker_run_options: Option<Vec<String>>,
}

/// `node_config` of provider `local`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalNodeConfig {
    /// A name from `provider.instance_types`, or the amounts themselves.
    pub instance_type: Option<InstanceType>,
    /// Cores of the node; wins over `instance_type`.
    #[schemars(range(min = 1), extend("x-own" = true))]
    pub cpus: Option<u32>,
    /// Memory of the node, such as `4G`; wins over `instance_type`.
    #[schemars(extend("x-own" = true))]
    pub memory: Option<Size>,
}

/// A name from `provider.instance_types`, or the amounts themselves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InstanceType {
    Name(String),
    Amounts(InstanceResources),
}

/// What a machine offers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceResources {
    /// Cores.
    #[serde(rename = "CPU")]
    #[schemars(range(min = 1))]
    pub cpu: Option<u32>,
    /// Graphics cards.
    #[serde(rename = "GPU")]
    pub gpu: Option<u32>,
    /// Memory, such as `4G`.
    pub memory: Option<Size>,
}
