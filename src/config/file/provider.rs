//! The `provider` block: common keys, then those of each provider.

use super::{
    AliyunCredentials, AwsCredentials, AzureCredentials, Cidr, Credentials, DatabaseClients, Databases, Free,
    GcpCredentials, HuaweiCredentials, InstanceResources, Ports, ProviderType, Storages,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `provider` of a workspace.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceProvider {
    /// Which provider it is.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Class of an `external` provider.
    #[schemars(extend("x-providers" = ["external"]))]
    pub provider_class: Option<String>,
    /// Class of an `external` provider (older name).
    #[schemars(extend("x-providers" = ["external"]))]
    pub module: Option<String>,
    /// Nodes are reached by their private addresses; the head gets no public one.
    pub use_internal_ips: Option<bool>,
    /// Use the network of the machine that this runs on, instead of making one.
    pub use_working_vpc: Option<bool>,
    /// With a peered network of its own: let the working network in.
    pub peering_firewall_allow_working_subnet: Option<bool>,
    /// With a peered network of its own: let in SSH only.
    pub peering_firewall_allow_ssh_only: Option<bool>,
    /// Make a bucket for the workspace.
    pub managed_cloud_storage: Option<bool>,
    /// Make a database for the workspace.
    pub managed_cloud_database: Option<bool>,
    /// Networks that may reach port 22 of the head.
    pub allowed_ssh_sources: Option<Vec<Cidr>>,
    /// Mbit/s of the way out to the internet.
    #[schemars(range(min = 1), extend("x-providers" = ["aliyun", "huaweicloud"]))]
    pub public_ip_bandwidth: Option<u32>,
    /// Region of the cloud.
    #[schemars(extend("x-providers" = ["aws", "gcp", "aliyun", "huaweicloud"]))]
    pub region: Option<String>,
    /// URL that calls go to instead of the cloud's own; for private endpoints and emulators.
    #[schemars(extend("x-providers" = ["aws"], "x-own" = true))]
    pub endpoint: Option<String>,
    /// Zone of the region.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub availability_zone: Option<String>,
    /// Project; made when it is missing.
    #[schemars(extend("x-providers" = ["gcp"], "x-nullable" = true))]
    pub project_id: Option<String>,
    /// Region, as Azure names it.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub location: Option<String>,
    /// An existing resource group.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub resource_group: Option<String>,
    /// Subscription; else that of the login.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub subscription_id: Option<String>,
    /// Tags on everything that is made.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Further rules of the security group, in the cloud's own form.
    #[schemars(extend("x-providers" = ["aws", "huaweicloud"]))]
    pub security_group: Option<SecurityGroup>,
    /// Further rules of the network security group.
    #[serde(rename = "securityRules")]
    #[schemars(extend("x-providers" = ["azure"]))]
    pub security_rules: Option<Vec<Free>>,
    /// Further firewall rules.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub firewalls: Option<Firewalls>,
    /// Further rules of the security group.
    #[schemars(extend("x-providers" = ["aliyun"]))]
    pub security_group_rule: Option<Vec<Free>>,
    /// Parameters laid over those of the storage account.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub storage_account_options: Option<Free>,
    /// Namespace for everything that is made.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub namespace: Option<String>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_service_account: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_role: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_role_binding: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub worker_service_account: Option<Free>,
    /// Older name of `head_service_account`.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub scaler_service_account: Option<Free>,
    /// Older name of `head_role`.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub scaler_role: Option<Free>,
    /// Older name of `head_role_binding`.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub scaler_role_binding: Option<Free>,
    /// The cloud that the Kubernetes cluster lives in.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub cloud_provider: Option<CloudProvider>,
    /// `host:port` of the cloud simulator.
    #[schemars(extend("x-providers" = ["onpremise"]))]
    pub cloud_simulator_address: Option<String>,
    /// Credentials, where the SDK's own chain is not enough.
    pub credentials: Option<Credentials>,
    /// Older place of `credentials.aws_credentials`.
    #[schemars(extend("x-providers" = ["aws"]))]
    pub aws_credentials: Option<AwsCredentials>,
    /// Older place of `credentials.gcp_credentials`.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub gcp_credentials: Option<GcpCredentials>,
    /// Older place of `credentials.azure_credentials`.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub azure_credentials: Option<AzureCredentials>,
    /// Older place of `credentials.aliyun_credentials`.
    #[schemars(extend("x-providers" = ["aliyun"]))]
    pub aliyun_credentials: Option<AliyunCredentials>,
    /// Older place of `credentials.huaweicloud_credentials`.
    #[schemars(extend("x-providers" = ["huaweicloud"]))]
    pub huaweicloud_credentials: Option<HuaweiCredentials>,
    /// Settings of the managed database.
    #[schemars(extend("x-providers" = ["aws", "azure", "gcp", "kubernetes"]))]
    pub database: Option<Databases>,
    /// Machines that there are.
    #[schemars(extend("x-providers" = ["local"]))]
    pub nodes: Option<Vec<ListedNode>>,
    /// What machines offer, by a name that node types refer to.
    #[schemars(extend("x-providers" = ["local"]))]
    pub instance_types: Option<BTreeMap<String, InstanceResources>>,
    /// How nodes are made on this machine.
    #[schemars(extend("x-providers" = ["local"], "x-own" = true))]
    pub node_model: Option<NodeModel>,
    /// Network range of the workspace; its subnets are cut from it.
    #[schemars(extend("x-providers" = ["local"], "x-own" = true))]
    pub cidr: Option<Cidr>,
    /// Ports that are open to others than the workspace's nodes.
    #[schemars(extend("x-providers" = ["local"], "x-own" = true))]
    pub firewall_rules: Option<Vec<FirewallRule>>,
    /// Whether the workspace's nodes reach each other on every port. Without it: yes.
    #[schemars(extend("x-providers" = ["local"], "x-own" = true))]
    pub allow_internal: Option<bool>,
}

/// `provider` of a cluster.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterProvider {
    /// Which provider it is; the workspace's.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Class of an `external` provider.
    #[schemars(extend("x-providers" = ["external"]))]
    pub provider_class: Option<String>,
    /// Class of an `external` provider (older name).
    #[schemars(extend("x-providers" = ["external"]))]
    pub module: Option<String>,
    /// Nodes are reached by their private addresses; the head gets no public one.
    pub use_internal_ips: Option<bool>,
    /// The workspace uses the network of the machine that this runs on.
    pub use_working_vpc: Option<bool>,
    /// As in the workspace.
    pub peering_firewall_allow_working_subnet: Option<bool>,
    /// As in the workspace.
    pub peering_firewall_allow_ssh_only: Option<bool>,
    /// Start a proxy even though nodes are reached by their private addresses.
    pub proxy_internal_ips: Option<bool>,
    /// Stop nodes instead of deleting them, and start them again.
    #[schemars(extend("x-providers" = ["aws", "aliyun"]))]
    pub cache_stopped_nodes: Option<bool>,
    /// Spot machines for workers: yes, no, or as `node_config` says.
    pub prefer_spot_node: Option<bool>,
    /// Check that the bucket can be listed.
    pub verify_cloud_storage: Option<bool>,
    /// Use the workspace's bucket.
    pub use_managed_cloud_storage: Option<bool>,
    /// Another managed bucket of the workspace, by name.
    pub managed_cloud_storage_name: Option<String>,
    /// Workers may read and write the bucket, too.
    pub worker_role_for_cloud_storage: Option<bool>,
    /// Use the workspace's database.
    pub use_managed_cloud_database: Option<bool>,
    /// Another managed database of the workspace, by name.
    pub managed_cloud_database_name: Option<String>,
    /// Mbit/s of public addresses.
    #[schemars(range(min = 1), extend("x-providers" = ["aliyun", "huaweicloud"]))]
    pub public_ip_bandwidth: Option<u32>,
    /// Data disks belong to the node's number and outlive it.
    pub permanent_data_volumes: Option<bool>,
    /// Written by tools; has no effect here.
    pub disable_node_updaters: Option<bool>,
    /// The most nodes deleted in one call.
    pub max_terminate_nodes: Option<u32>,
    /// Region of the cloud.
    #[schemars(extend("x-providers" = ["aws", "gcp", "aliyun", "huaweicloud"]))]
    pub region: Option<String>,
    /// URL that calls go to instead of the cloud's own; for private endpoints and emulators.
    #[schemars(extend("x-providers" = ["aws"], "x-own" = true))]
    pub endpoint: Option<String>,
    /// Zone of the region.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub availability_zone: Option<String>,
    /// Project.
    #[schemars(extend("x-providers" = ["gcp"], "x-nullable" = true))]
    pub project_id: Option<String>,
    /// Disks that span the region's zones.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub default_region_disks: Option<bool>,
    /// Further rules of the security group.
    #[schemars(extend("x-providers" = ["aws", "huaweicloud"]))]
    pub security_group: Option<SecurityGroup>,
    /// SSH key pair of the account.
    #[schemars(extend("x-providers" = ["aws", "aliyun", "huaweicloud"]))]
    pub key_pair: Option<KeyPair>,
    /// Region, as Azure names it.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub location: Option<String>,
    /// The workspace's resource group, where it is not the usual one.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub resource_group: Option<String>,
    /// Subscription; else that of the login.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub subscription_id: Option<String>,
    /// Tags on everything that is made.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Written by tools: the nodes' identity.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub msi_identity_id: Option<String>,
    /// Written by tools: the nodes' identity.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub msi_identity_principal_id: Option<String>,
    /// Namespace for everything that is made.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub namespace: Option<String>,
    /// Image of the nodes' containers.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub image: Option<String>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_service_account: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_role: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_role_binding: Option<Free>,
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub worker_service_account: Option<Free>,
    /// Service in front of the head, inside.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_service: Option<Free>,
    /// Service in front of the head, for the outside.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub head_external_service: Option<Free>,
    /// Service that gives nodes their names.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub node_service: Option<Free>,
    /// The cloud that the Kubernetes cluster lives in.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub cloud_provider: Option<CloudProvider>,
    /// `host:port` of the cloud simulator.
    #[schemars(extend("x-providers" = ["onpremise"]))]
    pub cloud_simulator_address: Option<String>,
    /// Publish the head's service ports on the machine.
    #[schemars(extend("x-providers" = ["virtual"]))]
    pub enable_port_mapping: Option<bool>,
    /// What to add to a published port.
    #[schemars(extend("x-providers" = ["virtual"]))]
    pub port_mapping_base: Option<u32>,
    /// Machines that there are.
    #[schemars(extend("x-providers" = ["local"]))]
    pub nodes: Option<Vec<ListedNode>>,
    /// What machines offer, by a name that node types refer to.
    #[schemars(extend("x-providers" = ["local"]))]
    pub instance_types: Option<BTreeMap<String, InstanceResources>>,
    /// How nodes are made on this machine, as in the workspace.
    #[schemars(extend("x-providers" = ["local"], "x-own" = true))]
    pub node_model: Option<NodeModel>,
    /// Credentials, where the SDK's own chain is not enough.
    pub credentials: Option<Credentials>,
    /// Older place of `credentials.aws_credentials`.
    #[schemars(extend("x-providers" = ["aws"]))]
    pub aws_credentials: Option<AwsCredentials>,
    /// Older place of `credentials.gcp_credentials`.
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub gcp_credentials: Option<GcpCredentials>,
    /// Older place of `credentials.azure_credentials`.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub azure_credentials: Option<AzureCredentials>,
    /// Older place of `credentials.aliyun_credentials`.
    #[schemars(extend("x-providers" = ["aliyun"]))]
    pub aliyun_credentials: Option<AliyunCredentials>,
    /// Older place of `credentials.huaweicloud_credentials`.
    #[schemars(extend("x-providers" = ["huaweicloud"]))]
    pub huaweicloud_credentials: Option<HuaweiCredentials>,
    /// A bucket of your own, instead of the workspace's.
    pub storage: Option<Storages>,
    /// A database of your own, instead of the workspace's.
    #[schemars(extend("x-providers" = ["aws", "azure", "gcp", "kubernetes"]))]
    pub database: Option<DatabaseClients>,
}

/// Rules in the cloud's own form.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    #[serde(rename = "GroupName")]
    #[schemars(extend("x-providers" = ["aws"]))]
    pub group_name: Option<String>,
    #[serde(rename = "IpPermissions")]
    #[schemars(extend("x-providers" = ["aws"]))]
    pub ip_permissions: Option<Vec<Free>>,
    #[schemars(extend("x-providers" = ["huaweicloud"]))]
    pub rules: Option<Vec<Free>>,
}

/// Firewall rules in Google's own form.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Firewalls {
    pub firewall_rules: Option<Vec<Free>>,
}

/// SSH key pair of the account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    pub key_name: Option<String>,
}

/// The cloud that a Kubernetes cluster lives in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudProvider {
    /// Which cloud it is.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["aws", "azure", "gcp"]))]
    pub kind: String,
    pub region: Option<String>,
    pub availability_zone: Option<String>,
    pub project_id: Option<String>,
    pub location: Option<String>,
    pub resource_group: Option<String>,
    pub subscription_id: Option<String>,
    pub eks_cluster_name: Option<String>,
    pub aks_cluster_name: Option<String>,
    pub aks_resource_group: Option<String>,
    pub aks_vnet: Option<String>,
    pub aks_vnet_resource_group: Option<String>,
    pub gke_cluster_name: Option<String>,
    pub gke_network: Option<String>,
    /// Make a bucket for the workspace.
    pub managed_cloud_storage: Option<bool>,
    /// Make a database for the workspace.
    pub managed_cloud_database: Option<bool>,
    /// Use the workspace's bucket.
    pub use_managed_cloud_storage: Option<bool>,
    /// Another managed bucket of the workspace, by name.
    pub managed_cloud_storage_name: Option<String>,
    /// Use the workspace's database.
    pub use_managed_cloud_database: Option<bool>,
    /// Another managed database of the workspace, by name.
    pub managed_cloud_database_name: Option<String>,
    pub storage: Option<Storages>,
    /// Settings of the managed database, or how to reach one.
    pub database: Option<Free>,
    pub credentials: Option<Credentials>,
}

/// A machine that there is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedNode {
    /// Its address.
    pub ip: String,
    /// A name from `instance_types`.
    pub instance_type: Option<String>,
    /// Its address from outside.
    pub external_ip: Option<String>,
}

/// How nodes are made on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum NodeModel {
    Auto,
    Namespaces,
    NamespacesRoot,
    Loopback,
}

/// Ports that others may reach.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallRule {
    /// `tcp` or `udp`.
    pub protocol: Protocol,
    /// Ports, each a number or a range: `8080`, `"30000-30100"`.
    #[schemars(length(min = 1))]
    pub ports: Vec<Ports>,
    /// Networks that may reach them.
    #[schemars(length(min = 1))]
    pub sources: Vec<Cidr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Protocol {
    Tcp,
    Udp,
}
