//! Objects below one prefix of a bucket, with waiting calls.

use crate::{
    failure::{is_conflict, is_refusal, told},
    head::{Head, Piece, damage, digest, open, seal},
    layout, worker,
};
use cloudtik_core::{Scope, state::StoreError};
use futures::{StreamExt, TryStreamExt, future::try_join_all};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion, path::Path};
use serde::de::DeserializeOwned;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// So long a write without an answer is repeated. Shorter than a lease, so that its owner can still say what happened.
const PATIENCE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub objects: Arc<dyn ObjectStore>,
    /// Prefix of every key; empty for none.
    pub prefix: String,
    /// For people: the URL.
    pub place: String,
}

/// A head and the version by which it can be replaced; a version of `None` replaces nothing.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub head: Head,
    pub version: Option<UpdateVersion>,
}

/// An object's content and version.
type Got = Result<(Vec<u8>, UpdateVersion), Error>;

/// How a conditional write ended.
pub(crate) enum Swap {
    Won(Found),
    /// Another write was first.
    Lost(Found),
}

impl Bucket {
    pub fn place_of(&self, key: &str) -> String {
        format!("{}/{key}", self.place.trim_end_matches('/'))
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        let whole = if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(&whole).map_err(|e| self.failed("name", key, &e.into()))
    }

    fn failed(&self, operation: &'static str, key: &str, error: &Error) -> StoreError {
        told(operation, &self.place_of(key), error)
    }

    /// The content and version of objects, in the order of their keys, some at a time.
    fn get(&self, keys: &[String]) -> Result<Vec<Got>, StoreError> {
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>, _>>()?;
        let objects = self.objects.clone();
        let gets = paths.into_iter().map(move |path| {
            let objects = objects.clone();
            async move {
                let found = objects.get(&path).await?;
                let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
                Ok((found.bytes().await?.to_vec(), version))
            }
        });
        Ok(worker::run(futures::stream::iter(gets).buffered(8).collect()))
    }

    /// A scope's head; an empty one where there is none.
    pub fn head(&self, scope: &Scope) -> Result<Found, StoreError> {
        let mut found = self.heads(std::slice::from_ref(scope))?;
        Ok(found.pop().expect("one was asked for"))
    }

    /// The heads of scopes, in their order.
    pub fn heads(&self, scopes: &[Scope]) -> Result<Vec<Found>, StoreError> {
        let keys: Vec<String> = scopes.iter().map(layout::head).collect();
        let found = self.get(&keys)?.into_iter();
        scopes.iter().zip(&keys).zip(found).map(|((scope, key), found)| self.read_head(scope, key, found)).collect()
    }

    fn read_head(&self, scope: &Scope, key: &str, found: Got) -> Result<Found, StoreError> {
        let (bytes, version) = match found {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Found { head: Head::empty(scope), version: None }),
            Err(error) => return Err(self.failed("read", key, &error)),
        };
        let place = self.place_of(key);
        let head: Head = open(&place, &bytes)?;
        match head.scope == *scope {
            true => Ok(Found { head, version: Some(version) }),
            false => Err(damage(&place, &format!("it is of {}", head.scope))),
        }
    }

    /// Replaces a head by the next one, which has a fresh `write`, or says who was first.
    ///
    /// A write without an answer may have been done, and may still be done: it is repeated as it was, and known by its `write`.
    pub fn swap(&self, before: &Found, next: Head) -> Result<Swap, StoreError> {
        let key = layout::head(&next.scope);
        let path = self.path(&key)?;
        let payload = object_store::PutPayload::from(seal(&next));
        let mode = || match &before.version {
            Some(version) => PutMode::Update(version.clone()),
            None => PutMode::Create,
        };
        let start = Instant::now();
        loop {
            let (objects, path, payload, mode) = (self.objects.clone(), path.clone(), payload.clone(), mode());
            let error = match worker::run(async move { objects.put_opts(&path, payload, mode.into()).await }) {
                Ok(put) => return Ok(Swap::Won(Found { head: next, version: Some(put.into()) })),
                Err(error) if is_refusal(&error) => return Err(self.failed("write", &key, &error)),
                Err(error) => error,
            };
            match self.head(&next.scope) {
                Ok(now) if now.head.write == next.write => return Ok(Swap::Won(now)),
                Ok(now) if now.head.write != before.head.write => return Ok(Swap::Lost(now)),
                // The version may have changed though the content has not: a bucket that was copied. Or nothing was written.
                Ok(now) if is_conflict(&error) && before.version != now.version => return Ok(Swap::Lost(now)),
                _ if start.elapsed() > PATIENCE => return Err(self.failed("write", &key, &error)),
                _ if matches!(error, Error::NotFound { .. }) => return Err(self.failed("write", &key, &error)),
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Writes objects under names that nobody else uses.
    pub fn put_new(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        let puts = objects.into_iter().map(|(key, bytes)| Ok((self.objects.clone(), self.path(&key)?, key, bytes)));
        let puts = puts.collect::<Result<Vec<_>, StoreError>>()?;
        let done = worker::run(try_join_all(puts.into_iter().map(|(objects, path, key, bytes)| async move {
            match objects.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
                // An earlier try of this same put, whose answer was lost.
                Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
                Err(error) => Err((key, error)),
            }
        })));
        done.map(drop).map_err(|(key, error)| self.failed("write", &key, &error))
    }

    /// The content of pieces, in their order, each compared with its checksums.
    pub fn pieces<T: DeserializeOwned>(
        &self,
        scope: &Scope,
        lineage: &str,
        pieces: &[Piece],
    ) -> Result<Vec<T>, StoreError> {
        let keys: Vec<String> = pieces.iter().map(|piece| layout::piece(scope, lineage, &piece.name)).collect();
        let found = self.get(&keys)?.into_iter();
        let read = |((piece, key), found): ((&Piece, &String), Got)| {
            let place = self.place_of(key);
            let (bytes, _) = found.map_err(|error| match is_absent(&error) {
                true => damage(&place, "it is missing"),
                false => told("read", &place, &error),
            })?;
            match digest(&bytes) == piece.digest {
                true => open(&place, &bytes),
                false => Err(damage(&place, "it is not the object that was written")),
            }
        };
        pieces.iter().zip(&keys).zip(found).map(read).collect()
    }

    /// Keys below a folder, without our prefix.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let (objects, path) = (self.objects.clone(), self.path(folder)?);
        let found = worker::run(async move { objects.list(Some(&path)).try_collect::<Vec<_>>().await });
        let found = found.map_err(|error| self.failed("list", folder, &error))?;
        let ours = |path: Path| {
            let key = path.as_ref().strip_prefix(&*self.prefix)?;
            Some(key.trim_start_matches('/').to_owned())
        };
        Ok(found.into_iter().filter_map(|meta| ours(meta.location)).collect())
    }

    pub fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        let Some(first) = keys.first().cloned() else { return Ok(()) };
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>, _>>()?;
        let objects = self.objects.clone();
        let done = worker::run(async move {
            for path in paths {
                match objects.delete(&path).await {
                    Ok(()) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        done.map_err(|error| self.failed("delete from", &first, &error))
    }
}

/// Whether the object is not there, in a bucket that is.
fn is_absent(error: &Error) -> bool {
    let text = || format!("{error:?}");
    matches!(error, Error::NotFound { .. })
        && !["NoSuchBucket", "ContainerNotFound"].iter().any(|no| text().contains(no))
}
