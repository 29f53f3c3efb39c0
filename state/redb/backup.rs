//! The readable copy of a scope's state beside its database, as `state export` would write it.

use crate::{
    layout::{Files, io_error, sync_folder},
    lock::guard,
};
use cloudtik_core::{
    export::document,
    state::{Snapshot, StoreError},
};
use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Result, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Replaces the backup, durably and as a whole, if it is `ours` to replace.
pub(crate) fn write(
    files: &Files,
    snapshot: &Snapshot,
    ours: impl FnOnce() -> std::result::Result<(), StoreError>,
) -> std::result::Result<(), StoreError> {
    let mut fresh = files.backup.clone().into_os_string();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    let failed = |e| io_error("back up", &files.backup, e);
    write_new(fresh, snapshot).map_err(failed)?;
    let _guard = guard(files)?;
    ours()?;
    std::fs::rename(fresh, &files.backup).and_then(|()| sync_folder(&files.folder)).map_err(failed)
}

fn write_new(path: &Path, snapshot: &Snapshot) -> Result<()> {
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, &document(snapshot))?;
    out.write_all(b"\n")?;
    out.into_inner()?.sync_all()
}
