//! What the store promises when processes are killed, bytes change, trees go back in time and disks fill up.

#![allow(clippy::unwrap_used)]

mod damage;
mod disk;
mod process;

use cloudtik_core::state::{Entry, Locked, Snapshot, Store, StoreError};
use cloudtik_sled::SledStore;
use cloudtik_testkit::{
    dice::Dice,
    entries::{cluster, histories, holder},
};
use std::path::Path;
use tempfile::TempDir;

/// A store on a scratch home.
fn scratch() -> (SledStore, TempDir) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    (SledStore::new(folder.path()), folder)
}

fn lock(store: &SledStore) -> Box<dyn Locked> {
    store.lock(&cluster(), &holder("apply")).expect("the lock is free")
}

fn entries(numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    histories(&cluster(), numbers)
}

/// The state after exactly the first `serial` entries of the test history.
fn prefix(lineage: &str, serial: u64) -> Snapshot {
    Snapshot::fold(&cluster(), if serial == 0 { "" } else { lineage }, &entries(1..=serial))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).unwrap();
    }
}
