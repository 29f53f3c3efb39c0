use super::{ClusterProvider, Free, Name, NodeTypeFile, Runtime, SshPort};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A cluster: one head and its workers, in a workspace.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Template that this document is laid over, such as `local/small`.
    pub from: Option<String>,
    /// The workspace that the cluster lives in.
    pub workspace_name: Name,
    /// Unique name of the cluster in its workspace: lower-case letters, digits and hyphens.
    pub cluster_name: Name,
    /// Old form of `available_node_types.<type>.min_workers`, where there is one worker type.
    pub min_workers: Option<u32>,
    /// The most workers of all types together. Without it: the declared workers, and at least 32.
    pub max_workers: Option<u32>,
    /// Where nodes install the Python CloudTik from. Has no effect here.
    pub cloudtik_wheel_url: Option<String>,
    /// Python version of the nodes' environment, in quotes: "3.10".
    pub python_version: Option<String>,
    /// Encryption of what nodes share.
    pub encryption: Option<Encryption>,
    /// Scaling, retries and names.
    pub options: Option<Options>,
    /// Old place of `options.upscaling_speed`.
    #[schemars(range(min = 0.0))]
    pub upscaling_speed: Option<f64>,
    /// Old place of `options.idle_timeout_minutes`.
    #[schemars(range(min = 0.0))]
    pub idle_timeout_minutes: Option<f64>,
    /// The cloud, or the machine, that the cluster lives in.
    pub provider: ClusterProvider,
    /// How nodes are reached.
    pub auth: Option<Auth>,
    /// Containers that the runtimes live in.
    pub docker: Option<Docker>,
    /// Which of `available_node_types` is the head.
    pub head_node_type: Option<String>,
    /// Fields of the provider for the head alone. Written by tools.
    pub head_node: Option<Free>,
    /// Node types by name: the head's and those of the workers.
    pub available_node_types: BTreeMap<String, NodeTypeFile>,
    /// Files and folders to put on every node: remote path to local path.
    pub file_mounts: Option<BTreeMap<String, String>>,
    /// Paths on the head that every worker gets as well.
    pub cluster_synced_files: Option<Vec<String>>,
    /// Whether changed mounts reach the nodes without another start.
    pub file_mounts_sync_continuously: Option<bool>,
    /// Patterns that are left out when files are synchronised.
    pub rsync_exclude: Option<Vec<String>>,
    /// Names of files that hold such patterns, folder by folder (`.gitignore`).
    pub rsync_filter: Option<Vec<String>>,
    /// Your own data; nothing reads it.
    pub metadata: Option<Free>,
    /// Shell lines for every node before anything else, outside of its container.
    pub initialization_commands: Option<Vec<String>>,
    /// The same, for the head.
    pub head_initialization_commands: Option<Vec<String>>,
    /// The same, for workers.
    pub worker_initialization_commands: Option<Vec<String>>,
    /// Shell lines that set a node up.
    pub setup_commands: Option<Vec<String>>,
    /// The same, for the head.
    pub head_setup_commands: Option<Vec<String>>,
    /// The same, for workers.
    pub worker_setup_commands: Option<Vec<String>>,
    /// Shell lines after all set-up.
    pub bootstrap_commands: Option<Vec<String>>,
    /// Shell lines after the services have started.
    pub start_commands: Option<Vec<String>>,
    /// The same, for the head.
    pub head_start_commands: Option<Vec<String>>,
    /// The same, for workers.
    pub worker_start_commands: Option<Vec<String>>,
    /// Shell lines before the services stop.
    pub stop_commands: Option<Vec<String>>,
    /// The same, for the head.
    pub head_stop_commands: Option<Vec<String>>,
    /// The same, for workers.
    pub worker_stop_commands: Option<Vec<String>>,
    /// What the cluster runs.
    pub runtime: Option<Runtime>,
    /// Written by tools; has no effect here.
    pub bootstrapped: Option<bool>,
    /// Written by tools; has no effect here.
    pub no_restart: Option<bool>,
    /// Written by tools; has no effect here.
    pub merged_commands: Option<Free>,
    /// Written by tools; has no effect here.
    pub no_controller_on_head: Option<bool>,
}

/// Encryption of what nodes share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// 32 bytes in hexadecimal.
    #[schemars(extend("writeOnly" = true))]
    pub key: Option<String>,
}

/// Scaling, retries and names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Add at most this many times the running workers in one step.
    #[schemars(range(min = 0.0))]
    pub upscaling_speed: Option<f64>,
    /// Workers that idle for so long may be taken away; 0 keeps them.
    #[schemars(range(min = 0.0))]
    pub idle_timeout_minutes: Option<f64>,
    /// Workers of a later launch priority wait for those before them to be ready.
    pub launch_with_strong_priority: Option<bool>,
    /// A replacement takes the number of the node that it replaces.
    pub stable_node_seq_id: Option<bool>,
    /// Try set-up commands again when they fail.
    pub retry_setup_command: Option<bool>,
    /// Try start commands again when they fail.
    pub retry_start_command: Option<bool>,
    /// How often.
    pub number_of_retries: Option<u32>,
    /// Seconds between tries.
    pub retry_interval: Option<u32>,
    /// Address nodes by host name.
    pub use_hostname: Option<bool>,
    /// Address nodes by full name.
    pub use_fqdn: Option<bool>,
    /// Whether idle workers may be taken away at all.
    pub terminate_idle: Option<bool>,
}

/// How nodes are reached.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Login on the nodes.
    pub ssh_user: Option<String>,
    /// Port of the nodes' SSH server.
    pub ssh_port: Option<SshPort>,
    /// Path of the public key.
    pub ssh_public_key: Option<String>,
    /// Path of the private key.
    pub ssh_private_key: Option<String>,
    /// Command through which SSH reaches the head, as OpenSSH's ProxyCommand.
    pub ssh_proxy_command: Option<String>,
}

/// Containers that the runtimes live in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Docker {
    /// Whether there are containers at all.
    pub enabled: Option<bool>,
    /// Image for every node.
    pub image: Option<String>,
    /// Name of the container on a node.
    pub container_name: Option<String>,
    /// Pull the image before each start.
    pub pull_before_run: Option<bool>,
    /// Options of `docker run`.
    pub run_options: Option<Vec<String>>,
    /// Image for the head.
    pub head_image: Option<String>,
    /// Options of `docker run` on the head.
    pub head_run_options: Option<Vec<String>>,
    /// Image for workers.
    pub worker_image: Option<String>,
    /// Options of `docker run` on workers.
    pub worker_run_options: Option<Vec<String>>,
    /// Do not look for a GPU runtime.
    pub disable_automatic_runtime_detection: Option<bool>,
    /// The same, for the head.
    pub disable_head_automatic_runtime_detection: Option<bool>,
    /// Do not size shared memory by the runtimes' needs.
    pub disable_shm_size_detection: Option<bool>,
    /// Use podman.
    pub use_podman: Option<bool>,
    /// Shell lines on the machine that make containers possible.
    pub initialization_commands: Option<Vec<String>>,
    /// The same, for the head.
    pub head_initialization_commands: Option<Vec<String>>,
    /// The same, for workers.
    pub worker_initialization_commands: Option<Vec<String>>,
}
