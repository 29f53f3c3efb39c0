//! The documents as users write them: one type per block, with every key of CloudTik's documents and our own.
//!
//! The JSON Schemas, the validation and the typed reading all come from these types. Doc comments are what editors show.
//! `x-providers` lists the providers a key means something to (all, when absent); `x-own` marks keys that the Python
//! CloudTik does not know; `x-check` names the closer look that `formats` takes; `writeOnly` marks secrets.

mod belonging;
mod cluster;
mod node;
mod provider;
mod runtime;
mod scalars;
mod services;
mod workspace;

pub use belonging::{DatabaseFile, DatabaseProvider, StorageFile, StorageProvider};
pub use cluster::{Auth, ClusterFile, Docker, Encryption, Options};
pub use node::{InstanceResources, InstanceType, LocalNodeConfig, NodeDocker, NodeTypeFile, Resource};
pub use provider::{
    CloudProvider, ClusterProvider, FirewallRule, Firewalls, KeyPair, ListedNode, NodeModel, Protocol, SecurityGroup,
    WorkspaceProvider,
};
pub use runtime::{Runtime, ServiceSelector, Spark};
pub use scalars::{Cidr, Name, Ports, ProviderType, Size, SshPort};
pub use services::{
    AliyunCredentials, AliyunStorage, AwsCredentials, AwsStorage, AzureCredentials, AzureIdentity, AzureStorage,
    Credentials, Database, DatabaseClient, DatabaseClients, Databases, GcpCredentials, GcpStorage, HuaweiCredentials,
    HuaweiStorage, Storages,
};
pub use workspace::WorkspaceFile;

/// A map whose keys and values are somebody else's.
pub type Free = std::collections::BTreeMap<String, serde_json::Value>;
