use super::{Name, WorkspaceProvider};
use schemars::JsonSchema;
use serde::Deserialize;

/// A workspace: what many clusters share (network, firewall, identities, bucket).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceFile {
    /// Unique name of the workspace: lower-case letters, digits and hyphens.
    pub workspace_name: Name,
    /// Template that this document is laid over, such as `mine/workspace`.
    pub from: Option<String>,
    /// Where state is kept, when neither `--state` nor CLOUDTIK_STATE says so: a folder or a store's address.
    #[schemars(extend("x-own" = true))]
    pub state: Option<String>,
    /// The cloud, or the machine, that the workspace lives in.
    pub provider: WorkspaceProvider,
}
