//! What one process has of a scope: the tree, once, for all who read or write it here, and the lock.

use crate::{
    guard::Guard,
    journal::{self, Loaded},
    layout::Files,
    lease::Owner,
    tree::{Gate, Tree, caught},
};
use cloudtik_core::state::StoreError;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

static PLACES: Mutex<BTreeMap<PathBuf, Weak<Place>>> = Mutex::new(BTreeMap::new());

/// A scope's folder. Its tree is closed with the last value for it.
pub(crate) struct Place {
    pub files: Files,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub tree: Option<Tree>,
    pub owner: Option<Owner>,
}

impl Place {
    /// Needs the scope's folder.
    pub fn at(files: Files) -> Result<Arc<Place>, StoreError> {
        let path = files.folder.canonicalize().map_err(|e| files.io("find", e))?;
        // The map is whole whenever the mutex is free.
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| place.strong_count() > 0);
        if let Some(place) = places.get(&path).and_then(Weak::upgrade) {
            return Ok(place);
        }
        let place = Arc::new(Place { files, inner: Mutex::default() });
        places.insert(path, Arc::downgrade(&place));
        Ok(place)
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic of `sled`'s leaves a tree whose journal is checked at the next look.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scope's last durable state; `None` when it was never written.
    pub fn load(&self, inner: &mut Inner) -> Result<Option<Loaded>, StoreError> {
        let gate = match inner.tree {
            Some(_) => None,
            None => Some(Gate::enter(&self.files, inner.owner.is_some())?),
        };
        let guard = match Guard::read(&self.files)? {
            Some(guard) if guard.tip.serial > 0 => guard,
            _ => return Ok(None),
        };
        let tree = inner.tree.take();
        let (tree, loaded) = caught(&self.files, || {
            let tree = match (tree, gate) {
                (Some(tree), _) => tree,
                (None, Some(gate)) => Tree::open(&self.files, gate)?,
                (None, None) => return Ok((None, None)),
            };
            let loaded = journal::load(&self.files, tree.entries(), &guard)?;
            Ok((Some(tree), Some(loaded)))
        })?;
        inner.tree = tree;
        Ok(loaded)
    }
}
