//! Damaged files, repaired: a state that once was, the damaged file kept, what is missing said.

use super::*;
use cloudtik_testkit::entries::revision;
use std::{fs, path::PathBuf, sync::OnceLock};

const ENTRIES: u64 = 90;
/// The backup is of the last revision.
const BACKUP: u64 = 80;

/// The files of a scope with the test history: database, lock, backup.
fn original() -> &'static [(&'static str, Vec<u8>); 3] {
    static FILES: OnceLock<[(&str, Vec<u8>); 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        let (store, home) = scratch();
        let mut writer = lock(&store);
        // Revision entries are the multiples of 16.
        for first in (1..=ENTRIES).step_by(5) {
            writer.append(&entries(first..=first + 4)).expect("there is room");
        }
        drop(writer);
        let read = |file| (file, fs::read(home.path().join("lake/clusters").join(file)).expect("it was written"));
        ["etl.redb", "etl.lock", "etl.json"].map(read)
    })
}

/// A scope with the test history and a damaged database, whose bytes it gives.
fn damaged(damage: impl FnOnce(&mut Vec<u8>), backup: bool) -> (RedbStore, TempDir, Vec<u8>) {
    let (store, home) = scratch();
    let folder = home.path().join("lake/clusters");
    fs::create_dir_all(&folder).expect("a scratch folder");
    for (file, bytes) in original().iter().filter(|(file, _)| backup || *file != "etl.json") {
        fs::write(folder.join(file), bytes).expect("there is room");
    }
    let mut bytes = original()[0].1.clone();
    damage(&mut bytes);
    fs::write(store.database(&cluster()), &bytes).expect("there is room");
    (store, home, bytes)
}

/// The entry up to which the scope's state is that of the test history.
fn reaches(store: &RedbStore) -> u64 {
    let read = store.read(&cluster()).expect("it was repaired");
    store.check(&cluster()).expect("it was repaired");
    let reached = (0..=ENTRIES).rev().find(|serial| {
        let then = prefix("", *serial);
        (then.records == read.records) && then.open == read.open
    });
    reached.unwrap_or_else(|| panic!("no state that ever was: {read:#?}"))
}

fn repair(store: &RedbStore) -> (Option<PathBuf>, String) {
    let repaired = store.repair(&cluster(), &holder("state repair")).expect("repairable");
    (repaired.aside.map(PathBuf::from), repaired.how)
}

#[test]
fn what_is_whole_is_left_alone() {
    let (store, _home, bytes) = damaged(|_| {}, true);
    let before = store.read(&cluster()).unwrap();
    assert_eq!(repair(&store), (None, "nothing is damaged".into()));
    assert_eq!(store.read(&cluster()).unwrap(), before);
    assert_eq!(store.lease(&cluster()).unwrap(), None);
    assert!(!bytes.is_empty());
    let (empty, home) = scratch();
    assert_eq!(repair(&empty), (None, "nothing is damaged".into()));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "it left something behind");
}

/// Whatever is damaged, the result is a state that once was and not older than the backup, and the damaged file is kept.
#[test]
fn a_repair_gives_a_state_that_once_was_and_keeps_the_damaged_file() {
    let mut dice = Dice(0x2e9a12);
    let mut beyond = 0;
    for round in 0..60 {
        let backup = round % 2 == 0;
        let (store, _home, bytes) = damaged(
            |bytes| {
                let at = dice.below(bytes.len() as u64) as usize;
                match dice.below(3) {
                    0 => bytes.truncate(at),
                    1 => bytes.iter_mut().skip(at).take(4096).for_each(|byte| *byte = 0x5a),
                    _ => bytes[at] ^= 1 << dice.below(8),
                }
            },
            backup,
        );
        let was_whole = store.check(&cluster()).is_ok();
        let (aside, how) = repair(&store);
        assert_eq!(aside.is_none(), was_whole, "round {round}: {how}");
        if let Some(aside) = aside {
            assert_eq!(fs::read(aside).unwrap(), bytes, "round {round}: {how}");
        }
        let reached = reaches(&store);
        assert!(!backup || reached >= BACKUP, "round {round}: {reached}: {how}");
        assert_eq!(
            reached < ENTRIES,
            how.contains("missing") && !how.contains("known to be missing") || how.contains("nothing is recorded"),
            "round {round}: {reached}: {how}"
        );
        beyond += u64::from(!was_whole && reached > if backup { BACKUP } else { 0 });
        let next = store.read(&cluster()).unwrap().revision + 1;
        lock(&store).append(&[revision(next, 0)]).expect("a repaired scope is written on");
    }
    assert!(beyond > 20, "the journal was of use in {beyond} repairs only");
}

/// `redb`'s own header is lost: the journal alone gives everything, and revisions stay.
#[test]
fn a_journal_that_is_whole_gives_everything_back() {
    let (store, _home, _) = damaged(|bytes| bytes[..4096].fill(0), false);
    let lineage = "0".repeat(32);
    let (_, how) = repair(&store);
    assert_eq!(how, "its journal is whole up to entry 90; nothing else is known to be missing");
    assert_eq!(reaches(&store), ENTRIES);
    assert_eq!(store.history(&cluster()).unwrap().len(), 5);
    let third = store.at_revision(&cluster(), 3).unwrap().unwrap();
    assert_eq!(third.records, prefix(&lineage, 48).records);
}

#[test]
fn a_backup_is_what_is_left_when_nothing_can_be_read() {
    let (store, _home, _) = damaged(|bytes| bytes.fill(7), true);
    let (_, how) = repair(&store);
    assert_eq!(
        how,
        "made anew from the backup of revision 5; the revisions before are gone; entries 81 to 90 are missing"
    );
    assert_eq!(reaches(&store), BACKUP);
    // The repaired scope's own backup counts from now on, not the one of the history before.
    let mut writer = lock(&store);
    let first = writer.snapshot().serial + 1;
    assert!(first < BACKUP, "{first}");
    let fresh = cloudtik_testkit::entries::record(&cluster(), "made-after-the-repair", 1);
    writer.append(&[cloudtik_testkit::entries::edit(vec![cloudtik_testkit::entries::put(fresh)])]).unwrap();
    let after = writer.snapshot().records.clone();
    drop(writer);
    let file = store.database(&cluster());
    let mut bytes = fs::read(&file).unwrap();
    bytes[..4096].fill(0);
    fs::write(&file, bytes).unwrap();
    repair(&store);
    assert_eq!(store.read(&cluster()).unwrap().records, after);
}

#[test]
fn a_database_that_vanished_comes_back_from_its_backup() {
    let (store, _home, _) = damaged(|_| {}, true);
    fs::remove_file(store.database(&cluster())).unwrap();
    let error = store.read(&cluster()).unwrap_err().to_string();
    assert!(
        error.contains("the file is gone") && error.contains("`cloudtik state repair cluster/lake/etl`"),
        "{error}"
    );
    let (aside, how) = repair(&store);
    assert_eq!(aside, None);
    assert!(how.contains("backup of revision 5") && how.contains("entries 81 to 90 are missing"), "{how}");
    assert_eq!(reaches(&store), BACKUP);
}

#[test]
fn nothing_left_at_all_is_said_and_everything_is_kept() {
    let (store, _home, bytes) = damaged(|bytes| bytes.fill(7), true);
    fs::write(store.backup(&cluster()), "half of a ba").unwrap();
    let (aside, how) = repair(&store);
    assert_eq!(how, "nothing of it can be read and it has no backup: nothing is recorded any more");
    assert_eq!(fs::read(aside.unwrap()).unwrap(), bytes);
    assert_eq!(store.read(&cluster()).unwrap(), Snapshot::empty(&cluster()));
    lock(&store).append(&entries(1..=3)).expect("the scope can be made again");
}

#[test]
fn an_old_copy_in_its_place_gives_way_to_the_newer_backup() {
    let (store, _home) = scratch();
    let file = store.database(&cluster());
    lock(&store).append(&entries(1..=20)).unwrap();
    let old = fs::read(&file).unwrap();
    lock(&store).append(&entries(21..=48)).unwrap();
    lock(&store).append(&entries(49..=50)).unwrap();
    fs::write(&file, old).unwrap();
    let (_, how) = repair(&store);
    assert!(how.contains("backup of revision 3") && how.contains("entries 49 to 50 are missing"), "{how}");
    assert_eq!(reaches(&store), 48);
}

#[test]
fn a_held_scope_is_not_repaired() {
    let (store, _home, _) = damaged(|_| {}, true);
    let held = lock(&store);
    let refused = store.repair(&cluster(), &holder("state repair"));
    assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
    drop(held);
}
