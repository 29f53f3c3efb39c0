use super::{CloudProvider, Credentials, Databases, Name, ProviderType};
use schemars::JsonSchema;
use serde::Deserialize;

/// A storage: a bucket of a workspace beside its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageFile {
    /// The workspace that the bucket belongs to.
    pub workspace_name: Name,
    /// Unique name of the bucket in its workspace: lower-case letters, digits and hyphens.
    pub storage_name: Name,
    /// Template that this document is laid over.
    pub from: Option<String>,
    /// The cloud that the bucket is in.
    pub provider: StorageProvider,
}

/// A database: a managed database of a workspace beside its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// The workspace that the database belongs to.
    pub workspace_name: Name,
    /// Unique name of the database in its workspace: lower-case letters, digits and hyphens.
    pub database_name: Name,
    /// Template that this document is laid over.
    pub from: Option<String>,
    /// The cloud that the database is in.
    pub provider: DatabaseProvider,
}

/// `provider` of a storage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageProvider {
    /// Which provider it is.
    #[serde(rename = "type")]
    pub kind: ProviderType,
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
    /// Region, as Azure names it.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub location: Option<String>,
    /// An existing resource group.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub resource_group: Option<String>,
    /// Subscription; else that of the login.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub subscription_id: Option<String>,
    /// Namespace for everything that is made.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub namespace: Option<String>,
    /// The cloud that the Kubernetes cluster lives in.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub cloud_provider: Option<CloudProvider>,
    /// Credentials, where the SDK's own chain is not enough.
    pub credentials: Option<Credentials>,
}

/// `provider` of a database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseProvider {
    /// Which provider it is.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// Region of the cloud.
    #[schemars(extend("x-providers" = ["aws", "gcp"]))]
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
    /// Region, as Azure names it.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub location: Option<String>,
    /// An existing resource group.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub resource_group: Option<String>,
    /// Subscription; else that of the login.
    #[schemars(extend("x-providers" = ["azure"]))]
    pub subscription_id: Option<String>,
    /// Namespace for everything that is made.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub namespace: Option<String>,
    /// The cloud that the Kubernetes cluster lives in.
    #[schemars(extend("x-providers" = ["kubernetes"]))]
    pub cloud_provider: Option<CloudProvider>,
    /// Credentials, where the SDK's own chain is not enough.
    pub credentials: Option<Credentials>,
    /// Settings of the database.
    #[schemars(extend("x-providers" = ["aws", "azure", "gcp", "kubernetes"]))]
    pub database: Option<Databases>,
}
