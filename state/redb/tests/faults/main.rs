//! What the store promises when processes are killed, bytes change, files vanish and disks fill up.

mod damage;
mod disk;
mod files;
mod process;
mod repair;

use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Snapshot, Store, StoreError},
};
use cloudtik_redb::RedbStore;
use cloudtik_testkit::{
    dice::Dice,
    entries::{cluster, histories, holder},
};
use tempfile::TempDir;

/// A store on a scratch home.
fn scratch() -> (RedbStore, TempDir) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    (RedbStore::new(folder.path()), folder)
}

fn lock(store: &RedbStore) -> Box<dyn Locked> {
    store.lock(&cluster(), &holder("apply")).expect("the lock is free")
}

fn entries(numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    histories(&cluster(), numbers)
}

/// The state after exactly the first `serial` entries of the test history.
fn prefix(lineage: &str, serial: u64) -> Snapshot {
    Snapshot::fold(&cluster(), lineage, &entries(1..=serial))
}
