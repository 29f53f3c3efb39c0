//! Makes a damaged scope anew from what is left of it.
//!
//! The damaged file is kept under another name before anything takes its place, so a repair can lose nothing that it did not
//! find. What it makes is another history: a plan that was made for the damaged one is refused.

use crate::{
    database,
    layout::{Files, io_error, sync_folder},
    load::{View, gone},
    lock::{self, Content, Lock},
    salvage::{self, Found},
    writer::Writer,
};
use cloudtik_core::{
    Scope,
    export::{self, ImportError},
    state::{Entry, Mutation, Repaired, Snapshot, StoreError},
};
use jiff::Timestamp;
use redb::ReadableDatabase;
use std::{io::ErrorKind, path::Path};

/// Does nothing when nothing is damaged.
pub(crate) fn repair(files: &Files, scope: &Scope, lock: Lock) -> Result<Repaired, StoreError> {
    let witness = lock.content();
    let bytes = database::copy(files)?;
    let damage = match sound(files, scope, &witness, bytes.clone()) {
        Ok(()) => {
            drop(Writer::open(files.clone(), scope, lock)?);
            return Ok(Repaired { aside: None, how: "nothing is damaged".into() });
        }
        Err(StoreError::Damaged { .. }) => Timestamp::now(),
        Err(e) => return Err(e),
    };
    let found = bytes.map(|bytes| salvage::entries(bytes, files)).unwrap_or_default();
    let backup = backup(files, scope)?;
    let rest = Rest::of(&witness, backup.as_ref(), &found);
    let aside = keep(files, &lock, scope, &files.database, damage)?;
    let how = rest.how(&witness, &found);
    if rest.until == 0 {
        // Whatever stands in the backup's place is none.
        keep(files, &lock, scope, &files.backup, damage)?;
        clear(files, &lock, scope)?;
    } else {
        Writer::anew(files.clone(), scope, lock, &rest.entries)?;
    }
    Ok(Repaired { aside: aside.map(|path| path.display().to_string()), how })
}

/// The scope's whole check, by its owner.
fn sound(files: &Files, scope: &Scope, witness: &Content, bytes: Option<Vec<u8>>) -> Result<(), StoreError> {
    let Some(bytes) = bytes else { return gone::<()>(files).map(drop) };
    let copy = database::open_copy(bytes, files)?;
    let transaction = copy.begin_read().map_err(|e| database::failure("read", files, e))?;
    View { transaction: &transaction, files, scope, witness: Some(witness.clone()) }.check()
}

/// The state in the backup; `None` where there is none that is whole.
fn backup(files: &Files, scope: &Scope) -> Result<Option<Snapshot>, StoreError> {
    let text = match std::fs::read(&files.backup) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", &files.backup, e)),
    };
    match serde_json::from_slice(&text).ok().map(export::import) {
        Some(Ok(snapshot)) if snapshot.scope == *scope => Ok(Some(snapshot)),
        Some(Err(ImportError::TooNew { found, known })) => Err(StoreError::TooNew {
            place: files.backup.display().to_string(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
            known,
        }),
        _ => Ok(None),
    }
}

/// What is left of a scope's history.
struct Rest {
    /// The journal to write.
    entries: Vec<Entry>,
    /// The revision and entry of the backup that it begins with.
    backup: Option<(u64, u64)>,
    /// The last of the old journal's entries whose effect is in it.
    until: u64,
}

impl Rest {
    /// The longest history without a gap: the journal from its first entry, or the backup and the journal from there.
    fn of(witness: &Content, backup: Option<&Snapshot>, found: &Found) -> Rest {
        let whole = run(found, 0);
        let until = whole.len() as u64;
        let related = |backup: &&Snapshot| witness.lineage.is_empty() || witness.lineage == backup.lineage;
        match backup {
            Some(backup) if related(&backup) && backup.serial > until => {
                let later = run(found, backup.serial);
                Rest::from_backup(backup, later)
            }
            Some(backup) if whole.is_empty() => Rest::from_backup(backup, Vec::new()),
            _ => Rest { entries: whole, backup: None, until },
        }
    }

    fn from_backup(backup: &Snapshot, mut later: Vec<Entry>) -> Rest {
        let until = backup.serial + later.len() as u64;
        // The revisions before the backup are gone, and numbers have no gaps.
        let mut revision = 0;
        for entry in &mut later {
            if let Entry::Revision(next) = entry {
                revision += 1;
                next.number = revision;
            }
        }
        let put = backup.records.values().map(|record| Mutation::Put(Box::new((**record).clone())));
        let mut entries = vec![Entry::Edit { what: "repair".into(), mutations: put.collect(), at: Timestamp::now() }];
        entries.extend(backup.open.iter().cloned().map(Entry::Intent));
        entries.append(&mut later);
        Rest { entries, backup: Some((backup.revision, backup.serial)), until }
    }

    fn how(&self, witness: &Content, found: &Found) -> String {
        let known = found.keys().next_back().copied().unwrap_or(0).max(witness.serial);
        let made = match (self.backup, self.until) {
            (None, 0) => return "nothing of it can be read and it has no backup: nothing is recorded any more".into(),
            (None, until) => format!("its journal is whole up to entry {until}"),
            (Some((revision, serial)), until) if until > serial => {
                format!(
                    "made anew from the backup of revision {revision} and the {} entries after it; the revisions before are gone",
                    until - serial
                )
            }
            (Some((revision, _)), _) => {
                format!("made anew from the backup of revision {revision}; the revisions before are gone")
            }
        };
        match known.saturating_sub(self.until) {
            0 => format!("{made}; nothing else is known to be missing"),
            1 => format!("{made}; entry {known} is missing"),
            _ => format!("{made}; entries {} to {known} are missing", self.until + 1),
        }
    }
}

/// Entries that follow each other, the first after `serial`.
fn run(found: &Found, serial: u64) -> Vec<Entry> {
    let follows = |(at, (key, entry)): (u64, (&u64, &Entry))| (*key == at).then(|| entry.clone());
    (serial + 1..).zip(found.range(serial + 1..)).map_while(follows).collect()
}

/// Gives a file a second name that says when it was found damaged; `None` when there is no such file.
fn keep(
    files: &Files,
    lock: &Lock,
    scope: &Scope,
    file: &Path,
    when: Timestamp,
) -> Result<Option<std::path::PathBuf>, StoreError> {
    let mut aside = file.to_path_buf().into_os_string();
    aside.push(format!(".damaged-{}", when.strftime("%Y%m%dT%H%M%S%3fZ")));
    let aside = std::path::PathBuf::from(aside);
    let failed = |e| io_error("put aside", &aside, e);
    let _guard = lock::guard(files)?;
    lock.check(files, scope)?;
    match std::fs::hard_link(file, &aside) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        // Not every file system has second names.
        Err(_) => {
            std::fs::copy(file, &aside).and_then(|_| std::fs::File::open(&aside)?.sync_all()).map_err(failed)?;
        }
    }
    sync_folder(&files.folder).map_err(failed)?;
    Ok(Some(aside))
}

/// Takes the names of files from which nothing could be made.
fn clear(files: &Files, lock: &Lock, scope: &Scope) -> Result<(), StoreError> {
    let _guard = lock::guard(files)?;
    lock.check(files, scope)?;
    for file in [&files.database, &files.backup] {
        match std::fs::remove_file(file) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io_error("put aside", file, e)),
            _ => {}
        }
    }
    sync_folder(&files.folder).map_err(|e| io_error("put aside", &files.folder, e))?;
    lock.witness("", 0).and_then(|()| lock.release()).map_err(|e| io_error("put aside", &files.lock, e))
}
