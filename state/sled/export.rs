//! The state as readable JSON beside its tree, for the day when no `sled` reads the tree any more.

use crate::layout::{self, Files};
use cloudtik_core::{
    export,
    state::{Snapshot, StoreError},
};

/// Replaces the export, durably and as a whole.
pub(crate) fn write(files: &Files, snapshot: &Snapshot) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(&export::document(snapshot)).expect("state types are always JSON");
    text.push(b'\n');
    layout::replace(&files.export, &text).map_err(|e| files.io("export", e))
}

/// The state in the export; `None` where there is none that is whole.
pub(crate) fn read(files: &Files) -> Result<Option<Snapshot>, StoreError> {
    let text = layout::read(&files.export).map_err(|e| files.io("read", e))?.unwrap_or_default();
    let snapshot = serde_json::from_slice(&text).ok().and_then(|json| export::import(json).ok());
    Ok(snapshot.filter(|snapshot| snapshot.scope == files.scope))
}
