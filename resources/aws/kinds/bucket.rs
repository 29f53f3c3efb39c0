//! `bucket`: where a workspace keeps its data; it outlives the workspace unless its deletion is asked for.
//!
//! Names are unique among all accounts, and the service makes no difference between a bucket that a lost create made and
//! one that was there: tags, put on right after the create, make it.

use super::{
    Kind,
    find::{self, Seen, attrs},
    named,
};
use crate::{
    api::{Api, ApiError, Cause, Item, Listing, Request, Tags},
    error::is_absent,
    provider::{At, Options},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind, Retry},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::time::Duration;

pub(crate) struct Bucket;

/// Objects that one call deletes.
/// Source: S3 API reference, "DeleteObjects" (read 2026-11-25).
const PAGE: usize = 1000;
/// Calls that empty a bucket at the same time.
const AT_ONCE: usize = 8;
/// How often a bucket that is written to while it is emptied is emptied again.
const ROUNDS: usize = 3;

fn outcome(name: &str) -> Outcome {
    Outcome { id: name.into(), outputs: attrs([("id", name.into()), ("uri", format!("s3a://{name}").into())]) }
}

#[async_trait]
impl Kind for Bucket {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("bucket").replace_on(&["region", "name"]).holds_data().takes(Durations {
            create: 1500,
            ready: 0,
            update: 800,
            delete: 3000,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let found = named::find(api, &Listing::Buckets, subjects).await.map_err(foreign)?;
        Ok(find::observed(subjects, found, |subject, item| {
            let seen = ["encrypted", "public_access_blocked"].map(|name| (name, item.flag(name).into()));
            Seen {
                attributes: named::spoken_of(subject, attrs(seen)),
                outputs: outcome(&item.id).outputs,
                healthy: Health::Ok,
            }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let name = at.text("name")?;
        let awaits = "an earlier bucket of this name to be gone";
        let made = at.patiently(Request::CreateBucket { name: name.into() }, awaits, is_pending).await;
        let item = match (made, look(at, name).await?) {
            (Err(failure), Some(item)) if failure.kind == FailureKind::AlreadyExists => item,
            // Made a moment ago by a call whose answer was lost, and not shown yet.
            (Err(failure), None) if failure.kind == FailureKind::AlreadyExists => {
                return Err(failure.retry(Retry::Backoff));
            }
            (Err(failure), _) => return Err(failure),
            // Reads lag behind.
            (Ok(_), item) => item.unwrap_or_default(),
        };
        if let Some(owner) = stranger(at, &item) {
            return Err(taken(at, name, &owner));
        }
        converge(at, name, &item, tags::on_create(at.call)).await?;
        Ok(outcome(name))
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = look(at, at.id()).await?;
        let gone = || Failure::new(FailureKind::NotFound, &at.operation, format!("bucket {} is gone", at.id()));
        let item = item.ok_or_else(gone)?;
        converge(at, at.id(), &item, named::missing_tags(at.call, &item)).await?;
        Ok(Outcome::default())
    }

    /// Only ever called when the loss of the data was asked for.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let bucket = at.id();
        for _ in 0..ROUNDS {
            if look(at, bucket).await?.is_none() {
                return Ok(());
            }
            empty(at, bucket).await?;
            let awaits = "S3 to finish what it is doing with the bucket";
            match at.patiently(Request::DeleteBucket { name: bucket.into() }, awaits, is_pending).await {
                Err(failure) if failure.kind == FailureKind::NotFound => return Ok(()),
                // Somebody wrote to it meanwhile.
                Err(failure) if failure.kind == FailureKind::InUse => {}
                other => return other.map(drop),
            }
        }
        let what = format!("something goes on writing to bucket {bucket}");
        Err(Failure::new(FailureKind::InUse, &at.operation, what).hint("stop what writes to it, then run it again"))
    }

    /// The create has put no mark on it if it was cut off right after its first call, and a bucket without any tags is
    /// then ours: the plan was made when there was none of this name.
    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        let name = at.text("name")?;
        Ok(match look(at, name).await? {
            Some(item) if item.tags.is_empty() || tags::is_address(&item, &at.call.address) => {
                Settled::Found(outcome(name))
            }
            _ => Settled::Absent,
        })
    }
}

/// S3 answers so for a while after a bucket was deleted or made.
fn is_pending(error: &ApiError) -> bool {
    error.code() == "OperationAborted"
}

/// The owner of a bucket that is neither unmarked nor this resource's.
fn stranger(at: &At<'_>, item: &Item) -> Option<String> {
    let ours = item.tags.is_empty() || tags::is_address(item, &at.call.address);
    (!ours).then(|| match item.tags.get(tags::SCOPE) {
        Some(scope) => format!("belongs to {scope}"),
        None => "has tags of others".into(),
    })
}

fn taken(at: &At<'_>, name: &str, owner: &str) -> Failure {
    let what = format!("bucket {name} is in this account already and {owner}");
    Failure::new(FailureKind::AlreadyExists, &at.operation, what)
        .hint("take it over: `cloudtik adopt` with the same documents, or choose another workspace name")
}

/// A bucket of another account answers every question with 403, as does one whose policy shuts the caller out.
fn foreign(error: ApiError) -> ApiError {
    match error.cause {
        Cause::Service { status: 403, .. } => {
            let message = "a bucket of this name belongs to another account, or this caller may not read it".to_owned();
            let cause = Cause::Service { code: "BucketAlreadyExists".into(), message, status: 403 };
            ApiError { cause, ..error }
        }
        _ => error,
    }
}

async fn look(at: &At<'_>, name: &str) -> Result<Option<Item>, Failure> {
    let items = at.api.list(&Listing::Buckets, &named::by_name(name)).await;
    Ok(items.map_err(|e| at.fail(&foreign(e)))?.into_iter().next())
}

/// Closes it to the public and encrypts it where it is not, and adds tags to those it has.
async fn converge(at: &At<'_>, name: &str, item: &Item, missing: Tags) -> Result<(), Failure> {
    let awaits = "the bucket to become visible";
    let passing = |error: &ApiError| is_pending(error) || is_absent(error);
    // The mark first: what comes after it may be cut off.
    if !missing.is_empty() {
        let mut tags = item.tags.clone();
        tags.extend(missing);
        at.patiently(Request::TagBucket { name: name.into(), tags }, awaits, passing).await?;
    }
    if !item.flag("public_access_blocked") {
        at.patiently(Request::BlockPublicAccess { name: name.into() }, awaits, passing).await?;
    }
    if !item.flag("encrypted") {
        at.patiently(Request::EncryptBucket { name: name.into() }, awaits, passing).await?;
    }
    Ok(())
}

/// Deletes every version, delete marker and unfinished upload.
async fn empty(at: &At<'_>, bucket: &str) -> Result<(), Failure> {
    let versions = at.list(Listing::ObjectVersions { bucket: bucket.into() }, &[]).await?;
    let total = versions.len();
    let key = |item: &Item| (item.text("key").to_owned(), item.text("version").to_owned());
    let pages: Vec<Vec<(String, String)>> = versions.chunks(PAGE).map(|page| page.iter().map(key).collect()).collect();
    let mut done = 0;
    let mut calls = stream::iter(pages.into_iter().map(|objects| async move {
        let count = objects.len();
        at.remove(Request::DeleteObjects { bucket: bucket.into(), objects }).await.map(|()| count)
    }))
    .buffer_unordered(AT_ONCE);
    while let Some(count) = calls.try_next().await? {
        done += count;
        at.call.say(format!("deleted {done} of {total} objects"));
    }
    let uploads = at.list(Listing::Uploads { bucket: bucket.into() }, &[]).await?;
    let aborts = uploads.into_iter().map(|item| async move {
        let (key, upload) = (item.text("key").into(), item.text("upload").into());
        at.remove(Request::AbortUpload { bucket: bucket.into(), key, upload }).await
    });
    stream::iter(aborts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
}
