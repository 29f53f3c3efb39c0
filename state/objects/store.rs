//! [`Store`] over a bucket.

use crate::{
    alive,
    bucket::{Bucket, Found, Swap},
    check::check,
    head::{Head, random},
    layout,
    load::{Loaded, at_serial, load},
    place,
    seat::{lease, locked},
    writer::Writer,
};
use cloudtik_core::{
    Scope,
    state::{Entry, Holder, Lease, Locked, Revision, Snapshot, Store, StoreError},
};
use object_store::ObjectStore;
use std::{sync::Arc, time::Duration};

/// How often a lock is tried, or a scope read, that others change under way.
const TRIES: usize = 20;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of entries in a head. Beyond them they go into a segment: an append is one request, and now and then two.
    pub tail: usize,
    /// Segments after a snapshot, until the next one: what a reader has to fetch.
    pub segments: usize,
    /// After so long without a sign of life an owner may be succeeded.
    pub silence: Duration,
}

const LIMITS: Limits = Limits { tail: 64 << 10, segments: 8, silence: Duration::from_secs(60) };

/// A state home that many machines share. Opening it sends nothing.
#[derive(Clone, Debug)]
pub struct ObjectsStore {
    bucket: Bucket,
    limits: Limits,
}

impl ObjectsStore {
    /// At `s3://bucket/prefix`, `gs://bucket/prefix` or `az://account/container/prefix`, with the environment's credentials.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::open_with(place, variables)
    }

    /// The same with other settings than the environment's, by the names of its variables.
    pub fn open_with(place: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        Ok(Self { bucket: place::open(place, &variables.into_iter().collect())?, limits: LIMITS })
    }

    /// Over any service that has conditional puts.
    pub fn over(objects: Arc<dyn ObjectStore>, place: &str) -> Self {
        let bucket = Bucket { objects, prefix: String::new(), place: place.into() };
        Self { bucket, limits: LIMITS }
    }

    /// The same place, with other limits of what a head holds and what follows a snapshot.
    pub fn with_limits(self, tail: usize, segments: usize) -> Self {
        Self { limits: Limits { tail, segments, ..self.limits }, ..self }
    }

    /// The same place, whose owners may be succeeded after another time without a sign of life.
    pub fn with_silence(self, silence: Duration) -> Self {
        Self { limits: Limits { silence, ..self.limits }, ..self }
    }

    fn own(&self, scope: &Scope, holder: &Holder, silent: Option<&Lease>) -> Result<Box<dyn Locked>, StoreError> {
        for _ in 0..TRIES {
            let before = self.bucket.head(scope)?;
            let same = |lease: &Lease| silent.is_some_and(|s| (s.fence, s.beats) == (lease.fence, lease.beats));
            if let Some(lease) = &before.head.lease
                && !same(lease)
                && !alive::is_gone(&lease.holder, &holder.machine)
            {
                return Err(locked(scope, lease.clone()));
            }
            let fence = before.head.fence + 1;
            let lease = Some(lease(holder, fence, self.limits.silence));
            let next = Head { fence, lease, write: random()?, ..before.head.clone() };
            if let Swap::Won(now) = self.bucket.swap(&before, next)? {
                let successor = before.head.lease.is_some();
                return Ok(Box::new(Writer::open(self.bucket.clone(), now, self.limits, successor)?));
            }
        }
        Err(StoreError::Other {
            operation: "lock",
            place: self.bucket.place_of(&layout::head(scope)),
            detail: "many runs come and go there: run the same command again".into(),
        })
    }

    /// Reads by `look`. A scope that is erased meanwhile loses its pieces, and is read again.
    fn look<T>(&self, scope: &Scope, look: impl Fn(&Head) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        let mut found = self.bucket.head(scope)?;
        for _ in 0..TRIES {
            if !found.head.is_state() {
                return Ok(None);
            }
            match look(&found.head) {
                Ok(seen) => return Ok(Some(seen)),
                Err(error) => {
                    let now: Found = self.bucket.head(scope)?;
                    if now.head.lineage == found.head.lineage {
                        return Err(error);
                    }
                    found = now;
                }
            }
        }
        Ok(None)
    }

    fn load(&self, head: &Head) -> Result<Loaded, StoreError> {
        load(&self.bucket, head)
    }
}

impl Store for ObjectsStore {
    fn place(&self) -> String {
        self.bucket.place.clone()
    }

    fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        let keys = self.bucket.list(layout::HEADS)?;
        let scopes: Vec<Scope> = keys.iter().filter_map(|key| layout::scope(key)).collect();
        let heads = self.bucket.heads(&scopes)?.into_iter();
        let mut scopes: Vec<Scope> =
            heads.map(|found| found.head).filter(Head::is_state).map(|head| head.scope).collect();
        scopes.sort();
        Ok(scopes)
    }

    fn read(&self, scope: &Scope) -> Result<Snapshot, StoreError> {
        let loaded = self.look(scope, |head| Ok(self.load(head)?.snapshot))?;
        Ok(loaded.unwrap_or_else(|| Snapshot::empty(scope)))
    }

    fn lock(&self, scope: &Scope, holder: &Holder) -> Result<Box<dyn Locked>, StoreError> {
        self.own(scope, holder, None)
    }

    fn take_over(&self, scope: &Scope, holder: &Holder, silent: &Lease) -> Result<Box<dyn Locked>, StoreError> {
        self.own(scope, holder, Some(silent))
    }

    fn lease(&self, scope: &Scope) -> Result<Option<Lease>, StoreError> {
        let lease = self.bucket.head(scope)?.head.lease;
        Ok(lease.filter(|lease| !alive::is_gone(&lease.holder, &alive::machine())))
    }

    fn history(&self, scope: &Scope) -> Result<Vec<Revision>, StoreError> {
        let revisions = self.look(scope, |head| Ok(self.load(head)?.revisions))?.unwrap_or_default();
        Ok(revisions.into_iter().rev().map(|marked| marked.revision).collect())
    }

    fn at_revision(&self, scope: &Scope, number: u64) -> Result<Option<Snapshot>, StoreError> {
        let found = self.look(scope, |head| {
            let now = self.load(head)?;
            let marked = now.revisions.iter().find(|marked| marked.revision.number == number);
            marked.map(|marked| at_serial(&self.bucket, head, &now, marked.serial)).transpose()
        })?;
        Ok(found.flatten())
    }

    fn journal(&self, scope: &Scope) -> Result<Vec<Entry>, StoreError> {
        let found = self.look(scope, |head| {
            let segments = self.load(head)?.segments;
            let stored = self.bucket.pieces::<Vec<Entry>>(scope, &head.lineage, &segments)?;
            Ok(stored.into_iter().flatten().chain(head.tail.iter().cloned()).collect())
        })?;
        Ok(found.unwrap_or_default())
    }

    fn check(&self, scope: &Scope) -> Result<(), StoreError> {
        self.look(scope, |head| check(&self.bucket, head)).map(Option::unwrap_or_default)
    }
}
