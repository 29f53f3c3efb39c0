//! Buckets: names are everybody's, contents are not.

use super::{
    network::{NOTHING, only},
    world::{Answer, Refusal, Time, Turn, refuse},
};
use crate::api::{Item, Tags};
use cloudtik_core::value::Value;

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub account: String,
    pub region: String,
    pub tags: Tags,
    pub versioned: bool,
    pub encrypted: bool,
    pub blocked: bool,
    /// Key and version; delete markers too.
    pub versions: Vec<(String, String)>,
    /// Key and upload.
    pub uploads: Vec<(String, String)>,
    pub seen: Time,
}

/// Source: S3 user guide, "General purpose bucket naming rules" (read 2026-11-25).
fn named(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.')
        && edge(name.chars().next())
        && edge(name.chars().next_back())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix))
}

fn no_such() -> Refusal {
    refuse("NoSuchBucket", "The specified bucket does not exist").status(404)
}

impl Turn<'_> {
    fn bucket(&mut self, name: &str) -> Result<&mut Bucket, Refusal> {
        let bucket = self.buckets.get_mut(name).filter(|bucket| bucket.seen <= self.now).ok_or_else(no_such)?;
        if bucket.account != self.place.account {
            return Err(refuse("AccessDenied", "Access Denied").status(403));
        }
        if bucket.region != self.place.region {
            let what = "The bucket you are attempting to access must be addressed using the specified endpoint.";
            return Err(refuse("PermanentRedirect", what).status(301));
        }
        Ok(bucket)
    }

    pub fn bucket_item(&self, name: &str, bucket: &Bucket) -> Item {
        let fields = [
            ("region", Value::text(&bucket.region)),
            ("encrypted", bucket.encrypted.into()),
            ("public_access_blocked", bucket.blocked.into()),
            ("versioned", bucket.versioned.into()),
        ];
        let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Item { id: name.into(), tags: bucket.tags.clone(), fields }
    }

    /// The bucket of a name as its own account sees it, whatever the region.
    pub fn bucket_listing(&self, name: &str) -> Result<Option<Item>, Refusal> {
        match self.buckets.get(name).filter(|bucket| bucket.seen <= self.now) {
            None => Ok(None),
            // Source: S3 API reference, HeadBucket: 403 for one that is somebody else's (read 2026-11-25).
            Some(bucket) if bucket.account != self.place.account => {
                Err(refuse("AccessDenied", "Forbidden").status(403))
            }
            Some(bucket) => Ok(Some(self.bucket_item(name, bucket))),
        }
    }

    /// Source: S3 API reference, CreateBucket: in us-east-1 making one's own bucket again succeeds; S3 user guide: new
    /// buckets are encrypted and closed to the public (read 2026-11-25).
    pub fn create_bucket(&mut self, name: &str) -> Answer {
        if !named(name) {
            return Err(refuse("InvalidBucketName", "The specified bucket is not valid."));
        }
        match self.buckets.get(name) {
            Some(bucket) if bucket.account != self.place.account => {
                let what = "The requested bucket name is not available. The bucket namespace is shared by all users of the system.";
                return Err(refuse("BucketAlreadyExists", what).status(409));
            }
            Some(bucket) if bucket.region == "us-east-1" && self.place.region == "us-east-1" => return only(name),
            Some(_) => {
                let what = "Your previous request to create the named bucket succeeded and you already own it.";
                return Err(refuse("BucketAlreadyOwnedByYou", what).status(409));
            }
            None => {}
        }
        let own = self.buckets.values().filter(|bucket| bucket.account == self.place.account).count();
        if own >= self.settings.quotas.buckets {
            return Err(refuse("TooManyBuckets", "You have attempted to create more buckets than allowed"));
        }
        let bucket = Bucket {
            account: self.place.account.clone(),
            region: self.place.region.clone(),
            tags: Tags::new(),
            versioned: false,
            encrypted: true,
            blocked: true,
            versions: Vec::new(),
            uploads: Vec::new(),
            seen: self.seen(),
        };
        self.buckets.insert(name.into(), bucket);
        only(name)
    }

    pub fn encrypt_bucket(&mut self, name: &str) -> Answer {
        self.bucket(name)?.encrypted = true;
        NOTHING
    }

    pub fn block_bucket(&mut self, name: &str) -> Answer {
        self.bucket(name)?.blocked = true;
        NOTHING
    }

    /// Source: S3 API reference, PutBucketTagging: the set replaces the one before (read 2026-11-25).
    pub fn tag_bucket(&mut self, name: &str, tags: Tags) -> Answer {
        let invalid = |refusal: Refusal| refuse("InvalidTag", refusal.message);
        super::tagging::check(&tags).map_err(invalid)?;
        self.bucket(name)?.tags = tags;
        NOTHING
    }

    pub fn bucket_versions(&mut self, name: &str) -> Result<Vec<Item>, Refusal> {
        Ok(pairs("version", &self.bucket(name)?.versions))
    }

    pub fn bucket_uploads(&mut self, name: &str) -> Result<Vec<Item>, Refusal> {
        Ok(pairs("upload", &self.bucket(name)?.uploads))
    }

    /// Source: S3 API reference, DeleteObjects: at most 1,000 keys; absent ones count as deleted (read 2026-11-25).
    pub fn delete_objects(&mut self, name: &str, objects: &[(String, String)]) -> Answer {
        if objects.is_empty() || objects.len() > 1_000 {
            let what = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(refuse("MalformedXML", what));
        }
        self.bucket(name)?.versions.retain(|version| !objects.contains(version));
        NOTHING
    }

    pub fn abort_upload(&mut self, name: &str, key: &str, upload: &str) -> Answer {
        let uploads = &mut self.bucket(name)?.uploads;
        let before = uploads.len();
        uploads.retain(|(k, u)| k != key || u != upload);
        if uploads.len() == before {
            return Err(refuse("NoSuchUpload", "The specified multipart upload does not exist.").status(404));
        }
        NOTHING
    }

    /// Source: S3 API reference, DeleteBucket: all objects, versions and delete markers must be gone (read 2026-11-25).
    /// Unfinished uploads are refused too, which the reference says of directory buckets only.
    pub fn delete_bucket(&mut self, name: &str) -> Answer {
        let bucket = self.bucket(name)?;
        if !bucket.versions.is_empty() || !bucket.uploads.is_empty() {
            return Err(refuse("BucketNotEmpty", "The bucket you tried to delete is not empty").status(409));
        }
        self.buckets.remove(name);
        NOTHING
    }
}

fn pairs(second: &str, pairs: &[(String, String)]) -> Vec<Item> {
    let item = |(key, other): &(String, String)| Item {
        id: key.clone(),
        tags: Tags::new(),
        fields: [("key".to_owned(), Value::text(key)), (second.to_owned(), Value::text(other))].into(),
    };
    pairs.iter().map(item).collect()
}
