use super::Free;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What runs, and how. Beside the keys below, each runtime may have a block under its name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Runtime {
    /// Names of the runtimes.
    pub types: Option<Vec<String>>,
    /// Environment of every command and service. Values may be `${env:NAME}`, `${file:path}` or `${secret:name}`.
    pub envs: Option<BTreeMap<String, String>>,
    /// How the number of workers follows the load.
    pub scaling: Option<Free>,
    /// Spark.
    pub spark: Option<Spark>,
    /// The blocks of the other runtimes.
    #[serde(flatten)]
    pub others: BTreeMap<String, serde_json::Value>,
}

/// Spark. Further keys are the runtime's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Spark {
    /// Entries of `spark-defaults.conf`; they win over what is worked out from the nodes.
    pub config: Option<Free>,
    /// Find the Hive metastore of another cluster in the workspace.
    pub metastore_service_discovery: Option<bool>,
    /// Which metastore to take, if there are several.
    pub metastore_service_selector: Option<ServiceSelector>,
    /// The metastore's address, instead of finding one.
    pub hive_metastore_uri: Option<String>,
}

/// Which services count; every given condition must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSelector {
    /// Any of these service names.
    pub services: Option<Vec<String>>,
    /// All of these tags.
    pub tags: Option<Vec<String>>,
    /// All of these labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Any of these service types.
    pub service_types: Option<Vec<String>>,
    /// Services of any of these runtimes.
    pub runtimes: Option<Vec<String>>,
    /// Services of any of these clusters.
    pub clusters: Option<Vec<String>>,
    /// None of these labels.
    pub exclude_labels: Option<BTreeMap<String, String>>,
    /// Not all labels of any of these sets.
    pub exclude_joined_labels: Option<Vec<BTreeMap<String, String>>>,
}
