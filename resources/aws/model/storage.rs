//! Buckets: the workspace's own, and those of storage documents.

use super::resource;
use crate::{names::tags, policies, tags::WORKSPACE};
use cloudtik_core::{Address, Declaration, Lifecycle, Origin, Value};

/// `storage`: the last part of the bucket's name; `default` for the workspace's own.
pub(crate) fn declare(address: Address, region: &str, storage: &str, origin: &Origin) -> Declaration {
    let scope = address.scope().clone();
    let workspace = scope.workspace_name();
    let attributes = [
        ("name", Value::text(policies::bucket_name(workspace, region, storage))),
        ("encrypted", true.into()),
        ("public_access_blocked", true.into()),
        ("tags", tags(&scope, [(WORKSPACE, workspace)])),
    ];
    // Replacing it would lose what is in it.
    let lifecycle = Lifecycle { prevent_destroy: true, ..Lifecycle::default() };
    resource(address, region, origin, attributes).lifecycle(lifecycle)
}
