//! Credentials, storage and databases of the clouds.

use super::Free;
use schemars::JsonSchema;
use serde::Deserialize;

/// Credentials, where the SDK's own chain (environment, profile, login) is not enough.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    #[schemars(extend("x-providers" = ["aws"]))]
    pub aws_credentials: Option<AwsCredentials>,
    #[schemars(extend("x-providers" = ["gcp"]))]
    pub gcp_credentials: Option<GcpCredentials>,
    #[schemars(extend("x-providers" = ["azure"]))]
    pub azure_credentials: Option<AzureCredentials>,
    #[schemars(extend("x-providers" = ["aliyun"]))]
    pub aliyun_credentials: Option<AliyunCredentials>,
    #[schemars(extend("x-providers" = ["huaweicloud"]))]
    pub huaweicloud_credentials: Option<HuaweiCredentials>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsCredentials {
    #[schemars(extend("writeOnly" = true))]
    pub aws_access_key_id: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub aws_secret_access_key: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub aws_session_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpCredentials {
    /// `oauth_token` or `service_account`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["oauth_token", "service_account"]))]
    pub kind: String,
    /// The token's or the account's fields.
    #[schemars(extend("writeOnly" = true))]
    pub credentials: Option<Free>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureCredentials {
    /// `ClientSecret` or `ManagedIdentity`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["ClientSecret", "ManagedIdentity"]))]
    pub kind: String,
    pub credentials: Option<AzureIdentity>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureIdentity {
    pub client_id: Option<String>,
    pub tenant_id: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub client_secret: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AliyunCredentials {
    #[schemars(extend("writeOnly" = true))]
    pub aliyun_access_key_id: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub aliyun_access_key_secret: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub aliyun_security_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuaweiCredentials {
    #[schemars(extend("writeOnly" = true))]
    pub huaweicloud_access_key: String,
    #[schemars(extend("writeOnly" = true))]
    pub huaweicloud_secret_key: String,
}

/// A bucket that you manage yourself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storages {
    #[schemars(extend("x-providers" = ["aws", "kubernetes"]))]
    pub aws_s3_storage: Option<AwsStorage>,
    #[schemars(extend("x-providers" = ["gcp", "kubernetes"]))]
    pub gcp_cloud_storage: Option<GcpStorage>,
    #[schemars(extend("x-providers" = ["azure", "kubernetes"]))]
    pub azure_cloud_storage: Option<AzureStorage>,
    #[schemars(extend("x-providers" = ["aliyun"]))]
    pub aliyun_oss_storage: Option<AliyunStorage>,
    #[schemars(extend("x-providers" = ["huaweicloud"]))]
    pub huaweicloud_obs_storage: Option<HuaweiStorage>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsStorage {
    #[serde(rename = "s3.bucket")]
    pub bucket: Option<String>,
    #[serde(rename = "s3.access.key.id")]
    #[schemars(extend("writeOnly" = true))]
    pub access_key_id: Option<String>,
    #[serde(rename = "s3.secret.access.key")]
    #[schemars(extend("writeOnly" = true))]
    pub secret_access_key: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpStorage {
    #[serde(rename = "gcs.bucket")]
    pub bucket: Option<String>,
    #[serde(rename = "gcs.service.account.client.email")]
    pub client_email: Option<String>,
    #[serde(rename = "gcs.service.account.private.key.id")]
    #[schemars(extend("writeOnly" = true))]
    pub private_key_id: Option<String>,
    #[serde(rename = "gcs.service.account.private.key")]
    #[schemars(extend("writeOnly" = true))]
    pub private_key: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureStorage {
    /// `blob` or `datalake`.
    #[serde(rename = "azure.storage.type")]
    #[schemars(extend("enum" = ["blob", "datalake"]))]
    pub kind: Option<String>,
    #[serde(rename = "azure.storage.account")]
    pub account: Option<String>,
    #[serde(rename = "azure.container")]
    pub container: Option<String>,
    #[serde(rename = "azure.account.key")]
    #[schemars(extend("writeOnly" = true))]
    pub account_key: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AliyunStorage {
    #[serde(rename = "oss.bucket")]
    pub bucket: Option<String>,
    #[serde(rename = "oss.access.key.id")]
    #[schemars(extend("writeOnly" = true))]
    pub access_key_id: Option<String>,
    #[serde(rename = "oss.access.key.secret")]
    #[schemars(extend("writeOnly" = true))]
    pub access_key_secret: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HuaweiStorage {
    #[serde(rename = "obs.bucket")]
    pub bucket: Option<String>,
    #[serde(rename = "obs.access.key")]
    #[schemars(extend("writeOnly" = true))]
    pub access_key: Option<String>,
    #[serde(rename = "obs.secret.key")]
    #[schemars(extend("writeOnly" = true))]
    pub secret_key: Option<String>,
}

/// Managed databases that the workspace makes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Databases {
    #[serde(rename = "aws.database")]
    #[schemars(extend("x-providers" = ["aws", "kubernetes"]))]
    pub aws: Option<Database>,
    #[serde(rename = "azure.database")]
    #[schemars(extend("x-providers" = ["azure", "kubernetes"]))]
    pub azure: Option<Database>,
    #[serde(rename = "gcp.database")]
    #[schemars(extend("x-providers" = ["gcp", "kubernetes"]))]
    pub gcp: Option<Database>,
}

/// A managed database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `mysql` or `postgres`.
    #[schemars(extend("enum" = ["mysql", "postgres"]))]
    pub engine: Option<String>,
    /// The cloud's name for the machine.
    pub instance_type: Option<String>,
    /// The cloud's name for the kind of disk.
    pub storage_type: Option<String>,
    /// GB.
    #[schemars(range(min = 1.0))]
    pub storage_size: Option<f64>,
    /// Administrator.
    pub username: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// A standby in another zone.
    pub high_availability: Option<bool>,
}

/// Databases that exist already.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseClients {
    #[serde(rename = "aws.database")]
    #[schemars(extend("x-providers" = ["aws", "kubernetes"]))]
    pub aws: Option<DatabaseClient>,
    #[serde(rename = "azure.database")]
    #[schemars(extend("x-providers" = ["azure", "kubernetes"]))]
    pub azure: Option<DatabaseClient>,
    #[serde(rename = "gcp.database")]
    #[schemars(extend("x-providers" = ["gcp", "kubernetes"]))]
    pub gcp: Option<DatabaseClient>,
}

/// How to reach a database that exists already.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseClient {
    /// `mysql` or `postgres`.
    #[schemars(extend("enum" = ["mysql", "postgres"]))]
    pub engine: Option<String>,
    /// Host name or address.
    pub address: Option<String>,
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    pub username: Option<String>,
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
}
