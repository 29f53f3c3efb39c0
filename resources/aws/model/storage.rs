//! Buckets: the workspace's own, and those of storage documents; and how machines learn which one is theirs.

use super::resource;
use crate::{config, names::tags, policies, tags::WORKSPACE};
use cloudtik_core::{
    Address, Attrs, Declaration, Diagnostic, Lifecycle, Origin, Scope, Tree, Value,
    document::{Belonging, Cluster},
};

/// The workspace's own bucket, as the last part of its name.
pub(crate) const OWN: &str = "default";

/// Source: S3 user guide, "Bucket naming rules" (read 2026-11-25).
const LONGEST_NAME: usize = 63;

/// `storage`: the last part of the bucket's name.
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

/// The bucket of a storage document.
pub(crate) fn document(storage: &Belonging) -> Result<Vec<Declaration>, Vec<Diagnostic>> {
    let region = config::account(&storage.provider).region;
    let bucket = policies::bucket_name(&storage.workspace, &region, &storage.name);
    let wrong = |detail: String, hint: &str| {
        let place = storage.tree.get("storage_name").map_or(&storage.origin, |name| &name.origin);
        vec![Diagnostic::error("storage-name", "not a name for a bucket on AWS").at(place).detail(detail).hint(hint)]
    };
    if storage.name == OWN {
        let detail = format!("`{bucket}` is the bucket of the workspace itself");
        return Err(wrong(detail, "choose another name, or set the workspace's `managed_cloud_storage`"));
    }
    if bucket.len() > LONGEST_NAME {
        let detail = format!("`{bucket}` has {} characters; S3 takes {LONGEST_NAME}", bucket.len());
        return Err(wrong(detail, "choose a shorter name"));
    }
    let address = Address::new(Scope::storage(&storage.workspace, &storage.name), "bucket", OWN);
    Ok(vec![declare(address, &region, &storage.name, &storage.origin)])
}

/// Where a cluster's data is, in the Python tool's variables.
///
/// By name and not by reference: a workspace that has no bucket is no error, and a job may not care. Access keys from the
/// document are left out, since these values are kept in state; machines have their role.
pub(crate) fn env(cluster: &Cluster, region: &str) -> Attrs {
    let provider = &cluster.provider;
    let text = |path: &[&str]| provider.at(path).and_then(Tree::as_text).map(String::from);
    let bucket = match config::flag(provider, "use_managed_cloud_storage", true) {
        true => {
            let named = text(&["managed_cloud_storage_name"]);
            Some(policies::bucket_name(&cluster.workspace, region, named.as_deref().unwrap_or(OWN)))
        }
        false => text(&["storage", "aws_s3_storage", "s3.bucket"]),
    };
    let variables = bucket.map(|bucket| [("AWS_CLOUD_STORAGE", "true".to_owned()), ("AWS_S3_BUCKET", bucket)]);
    variables.into_iter().flatten().map(|(name, value)| (name.to_owned(), Value::text(value))).collect()
}
