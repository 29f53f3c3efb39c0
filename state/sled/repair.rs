//! Makes a damaged scope anew from what is left of it: the journal as far as it is whole, or the export when that is newer.
//!
//! What is damaged is put aside first. What is made is another history: a plan for the damaged one is refused.

use crate::{
    export, journal,
    layout::sync_folder,
    place::{Inner, Place},
    tree::{Gate, Tree, caught},
    writer::Writer,
};
use cloudtik_core::state::{Entry, Mutation, Record, Repaired, Snapshot, StoreError};
use jiff::Timestamp;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Does nothing when nothing is damaged. Needs the scope's lock, which ends with it.
pub(crate) fn repair(place: Arc<Place>, silence: Duration) -> Result<Repaired, StoreError> {
    let mut writer = Writer::new(place.clone(), silence);
    let mut inner = place.inner();
    match place.load(&mut inner) {
        Ok(_) => return Ok(Repaired { aside: None, how: "nothing is damaged".into() }),
        Err(StoreError::Damaged { .. }) => {}
        Err(e) => return Err(e),
    }
    let (entries, how) = left(&place, &mut inner)?;
    let aside = put_aside(&place, &mut inner)?;
    drop(inner);
    writer.anew(&entries)?;
    Ok(Repaired { aside: Some(aside.display().to_string()), how })
}

fn left(place: &Place, inner: &mut Inner) -> Result<(Vec<Entry>, String), StoreError> {
    let files = &place.files;
    if inner.tree.is_none() {
        // A tree that does not open has nothing to give.
        inner.tree = Gate::enter(files, true).and_then(|gate| caught(files, || Tree::open(files, gate))).ok();
    }
    let salvage = |tree: &Tree| caught(files, || Ok(journal::salvage(files, tree.entries()).entries)).ok();
    let whole = inner.tree.as_ref().and_then(salvage).unwrap_or_default();
    Ok(match export::read(files)? {
        Some(export) if export.serial > whole.len() as u64 => {
            let how =
                format!("made anew from the export of revision {}; what came after it is missing", export.revision);
            (entries(export), how)
        }
        _ if whole.is_empty() => {
            (whole, "nothing of it can be read and it has no export: nothing is recorded any more".into())
        }
        _ => {
            let how = format!("its journal is whole up to entry {}; what came after it is missing", whole.len());
            (whole, how)
        }
    })
}

/// The entries that give an exported state: its revisions are gone.
fn entries(export: Snapshot) -> Vec<Entry> {
    let put = |record: &Arc<Record>| Mutation::Put(Box::new((**record).clone()));
    let mutations = export.records.values().map(put).collect();
    let edit = Entry::Edit { what: "repair".into(), mutations, at: Timestamp::now() };
    let moved = export.elsewhere.map(|place| Entry::Move { elsewhere: Some(place), at: Timestamp::now() });
    std::iter::once(edit).chain(export.open.into_iter().map(Entry::Intent)).chain(moved).collect()
}

/// Copies everything but the lock into a folder that says when it was found damaged. What is damaged stays where it is until
/// something takes its place, so that a repair that is interrupted can be repeated.
fn put_aside(place: &Place, inner: &mut Inner) -> Result<PathBuf, StoreError> {
    let files = &place.files;
    inner.tree = None;
    let aside = files.folder.join(format!("damaged-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ")));
    let copied = copy(&files.tree, &aside.join("tree"))
        .and_then(|()| copy(&files.guard, &aside.join("guard.json")))
        .and_then(|()| copy(&files.export, &aside.join("export.json")))
        .and_then(|()| sync_folder(&files.folder));
    copied.map(|()| aside).map_err(|e| files.io("put aside", e))
}

/// Copies a file or a folder durably, if it is there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return sync_folder(to);
    }
    if from.try_exists()? {
        to.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::copy(from, to)?;
        File::open(to)?.sync_all()?;
    }
    Ok(())
}
