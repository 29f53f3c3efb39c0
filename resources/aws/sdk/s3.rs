//! Buckets, and what is left in them.

use super::{
    Sdk,
    item::{self, decoded, flag, item, named, text},
    malformed,
};
use crate::api::{ApiError, Cause, Filter, Item, Request, Tags};
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, Delete, EncodingType,
    ObjectIdentifier, PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tag, Tagging,
};
use futures::future::try_join4;

/// Where a bucket needs no location, and takes none.
const FIRST_REGION: &str = "us-east-1";

impl Sdk {
    pub(super) async fn buckets(&self, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let name = named(filters, "name").ok_or_else(|| malformed("HeadBucket", "buckets are listed by name"))?;
        let head = match self.read("HeadBucket", || self.s3.head_bucket().bucket(name).send()).await {
            Err(error) if is_status(&error, 404) => return Ok(Vec::new()),
            // It is ours and in another region, where its details would have to be asked for.
            Err(error) if is_status(&error, 301) => return Ok(vec![item(Some(name), Tags::new(), [])]),
            other => other?,
        };
        let region = head.bucket_region().unwrap_or(&self.region);
        let (encrypted, blocked, versioned, tags) = match try_join4(
            self.is_encrypted(name),
            self.is_closed(name),
            self.is_versioned(name),
            self.bucket_tags(name),
        )
        .await
        {
            // It went between the calls.
            Err(error) if error.code() == "NoSuchBucket" => return Ok(Vec::new()),
            answers => answers?,
        };
        let fields = [
            ("region", text(Some(region))),
            ("encrypted", flag(Some(encrypted))),
            ("public_access_blocked", flag(Some(blocked))),
            ("versioned", flag(Some(versioned))),
        ];
        Ok(vec![item(Some(name), tags, fields)])
    }

    async fn is_encrypted(&self, bucket: &str) -> Result<bool, ApiError> {
        let ask = || self.s3.get_bucket_encryption().bucket(bucket).send();
        let answer = self.read("GetBucketEncryption", ask).await;
        let answer = unless(answer, "ServerSideEncryptionConfigurationNotFoundError")?;
        let rules = answer.as_ref().and_then(|a| a.server_side_encryption_configuration()).map(|c| c.rules());
        Ok(rules.unwrap_or_default().iter().any(|r| r.apply_server_side_encryption_by_default().is_some()))
    }

    async fn is_closed(&self, bucket: &str) -> Result<bool, ApiError> {
        let ask = || self.s3.get_public_access_block().bucket(bucket).send();
        let answer = unless(self.read("GetPublicAccessBlock", ask).await, "NoSuchPublicAccessBlockConfiguration")?;
        Ok(answer.as_ref().and_then(|a| a.public_access_block_configuration()).is_some_and(|c| {
            [c.block_public_acls(), c.ignore_public_acls(), c.block_public_policy(), c.restrict_public_buckets()]
                .iter()
                .all(|set| *set == Some(true))
        }))
    }

    async fn is_versioned(&self, bucket: &str) -> Result<bool, ApiError> {
        let ask = || self.s3.get_bucket_versioning().bucket(bucket).send();
        let answer = self.read("GetBucketVersioning", ask).await?;
        Ok(answer.status() == Some(&BucketVersioningStatus::Enabled))
    }

    async fn bucket_tags(&self, bucket: &str) -> Result<Tags, ApiError> {
        let ask = || self.s3.get_bucket_tagging().bucket(bucket).send();
        let answer = unless(self.read("GetBucketTagging", ask).await, "NoSuchTagSet")?;
        let tags = answer.as_ref().map(|a| a.tag_set()).unwrap_or_default();
        Ok(item::tags(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value())))))
    }

    /// Keys come escaped: XML has no words for some of their characters.
    pub(super) async fn object_versions(&self, bucket: &str) -> Result<Vec<Item>, ApiError> {
        let (mut items, mut from) = (Vec::new(), (None, None));
        loop {
            let ask = || {
                let call = self.s3.list_object_versions().bucket(bucket).encoding_type(EncodingType::Url);
                let call = call.max_keys(self.page(1000));
                call.set_key_marker(from.0.clone()).set_version_id_marker(from.1.clone()).send()
            };
            let page = match self.read("ListObjectVersions", ask).await {
                Err(error) if error.code() == "NoSuchBucket" => return Ok(Vec::new()),
                page => page?,
            };
            let escaped = page.encoding_type() == Some(&EncodingType::Url);
            let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
            let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
            for (key, version) in versions.chain(markers) {
                let key = key.map(|key| unescaped(key, escaped));
                items.push(item(version, Tags::new(), [("key", text(key)), ("version", text(version))]));
            }
            let then = (
                page.next_key_marker().map(|key| unescaped(key, escaped)),
                page.next_version_id_marker().map(String::from),
            );
            if page.is_truncated() != Some(true) || then.0.is_none() {
                return Ok(items);
            }
            if then == from {
                return Err(malformed("ListObjectVersions", "the same page follows itself"));
            }
            from = then;
        }
    }

    pub(super) async fn uploads(&self, bucket: &str) -> Result<Vec<Item>, ApiError> {
        let (mut items, mut from) = (Vec::new(), (None, None));
        loop {
            let ask = || {
                let call = self.s3.list_multipart_uploads().bucket(bucket).encoding_type(EncodingType::Url);
                let call = call.max_uploads(self.page(1000));
                call.set_key_marker(from.0.clone()).set_upload_id_marker(from.1.clone()).send()
            };
            let page = match self.read("ListMultipartUploads", ask).await {
                Err(error) if error.code() == "NoSuchBucket" => return Ok(Vec::new()),
                page => page?,
            };
            let escaped = page.encoding_type() == Some(&EncodingType::Url);
            for upload in page.uploads() {
                let key = upload.key().map(|key| unescaped(key, escaped));
                let fields = [("key", text(key)), ("upload", text(upload.upload_id()))];
                items.push(item(upload.upload_id(), Tags::new(), fields));
            }
            let then = (
                page.next_key_marker().map(|key| unescaped(key, escaped)),
                page.next_upload_id_marker().map(String::from),
            );
            if page.is_truncated() != Some(true) || then.0.is_none() {
                return Ok(items);
            }
            if then == from {
                return Err(malformed("ListMultipartUploads", "the same page follows itself"));
            }
            from = then;
        }
    }

    pub(super) async fn call_s3(&self, request: Request) -> Result<Item, ApiError> {
        use Request::*;
        let (s3, action) = (&self.s3, request.action());
        let done = Ok(Item::default());
        macro_rules! send {
            ($call:expr) => {
                self.change(action, || $call.send()).await?
            };
        }
        match request {
            CreateBucket { name } => {
                let location = (self.region != FIRST_REGION).then(|| {
                    let region = BucketLocationConstraint::from(self.region.as_str());
                    CreateBucketConfiguration::builder().location_constraint(region).build()
                });
                send!(s3.create_bucket().bucket(&name).set_create_bucket_configuration(location.clone()));
                done
            }
            EncryptBucket { name } => {
                let rule = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build();
                let rule = rule.map_err(|e| malformed(action, e.to_string()))?;
                let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(rule).build();
                let rules = ServerSideEncryptionConfiguration::builder().rules(rule).build();
                let rules = rules.map_err(|e| malformed(action, e.to_string()))?;
                send!(s3.put_bucket_encryption().bucket(&name).server_side_encryption_configuration(rules.clone()));
                done
            }
            BlockPublicAccess { name } => {
                let all = PublicAccessBlockConfiguration::builder()
                    .block_public_acls(true)
                    .ignore_public_acls(true)
                    .block_public_policy(true)
                    .restrict_public_buckets(true)
                    .build();
                send!(s3.put_public_access_block().bucket(&name).public_access_block_configuration(all.clone()));
                done
            }
            TagBucket { name, tags } => {
                let tag = |(key, value)| Tag::builder().key(key).value(value).build();
                let tags: Result<Vec<Tag>, _> = tags.into_iter().map(tag).collect();
                let tags = tags.and_then(|tags| Tagging::builder().set_tag_set(Some(tags)).build());
                let tags = tags.map_err(|e| malformed(action, e.to_string()))?;
                send!(s3.put_bucket_tagging().bucket(&name).tagging(tags.clone()));
                done
            }
            DeleteObjects { bucket, objects } => {
                let object = |(key, version): (String, String)| {
                    let version = Some(version).filter(|v| !v.is_empty());
                    ObjectIdentifier::builder().key(key).set_version_id(version).build()
                };
                let objects: Result<Vec<_>, _> = objects.into_iter().map(object).collect();
                let all = objects.and_then(|all| Delete::builder().set_objects(Some(all)).quiet(true).build());
                let all = all.map_err(|e| malformed(action, e.to_string()))?;
                let answer = send!(s3.delete_objects().bucket(&bucket).delete(all.clone()));
                refused(action, answer.errors())
            }
            AbortUpload { bucket, key, upload } => {
                send!(s3.abort_multipart_upload().bucket(&bucket).key(&key).upload_id(&upload));
                done
            }
            DeleteBucket { name } => {
                send!(s3.delete_bucket().bucket(&name));
                done
            }
            other => Err(malformed(other.action(), "no call of S3")),
        }
    }
}

/// `None` where the error only says that there is nothing set.
fn unless<T>(answer: Result<T, ApiError>, code: &str) -> Result<Option<T>, ApiError> {
    match answer {
        Err(error) if error.code() == code => Ok(None),
        other => other.map(Some),
    }
}

fn unescaped(key: &str, escaped: bool) -> String {
    if escaped { decoded(key, true) } else { key.into() }
}

fn is_status(error: &ApiError, wanted: u16) -> bool {
    matches!(error.cause, Cause::Service { status, .. } if status == wanted)
}

/// The call succeeds as a whole and names the objects that it did not delete.
fn refused(action: &str, errors: &[aws_sdk_s3::types::Error]) -> Result<Item, ApiError> {
    let Some(first) = errors.first() else { return Ok(Item::default()) };
    let message = format!(
        "{}: {} ({} of the objects stay)",
        first.key().unwrap_or_default(),
        first.message().unwrap_or_default(),
        errors.len()
    );
    let cause = Cause::Service { code: first.code().unwrap_or_default().into(), message, status: 200 };
    Err(ApiError { action: action.into(), cause, request_id: None })
}
