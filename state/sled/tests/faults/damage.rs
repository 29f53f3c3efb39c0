//! Truncated files, flipped bits and trees from the past: correct data or an error that says so, never anything else.

use super::*;
use cloudtik_testkit::entries::{edit, put, record};
use std::path::PathBuf;

const ENTRIES: u64 = 96;

/// A store in memory where there is a file system for that: nothing here is about what a disk has.
fn scratch() -> (SledStore, TempDir) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    (SledStore::new(folder.path()), folder)
}

/// A scope's folder with the test history, and what it holds.
struct Original {
    folder: TempDir,
    snapshot: Snapshot,
}

impl Original {
    /// `clean`: after its writer ended; otherwise as a killed writer leaves it.
    fn new(clean: bool) -> Original {
        let (store, home) = scratch();
        let mut writer = lock(&store);
        // More than one of the segments that `sled` divides its file into.
        let long =
            |n| cloudtik_core::state::Record { id: "x".repeat(100_000), ..record(&cluster(), &format!("n{n}"), 1) };
        (0..6).for_each(|n| writer.append(&[edit(vec![put(long(n))])]).unwrap());
        for first in (1..=ENTRIES).step_by(4) {
            writer.append(&entries(first..=first + 3)).unwrap();
        }
        let (snapshot, kept) = (writer.snapshot().clone(), (!clean).then_some(writer));
        let folder = tempfile::tempdir().unwrap();
        copy(&store.folder(&cluster()), folder.path());
        drop((kept, home));
        Original { folder, snapshot }
    }

    /// Every file that `sled` wrote, and the guard.
    fn files(&self) -> Vec<PathBuf> {
        let tree = std::fs::read_dir(self.folder.path().join("tree")).unwrap().map(|entry| entry.unwrap());
        let tree = tree.filter(|entry| entry.file_type().unwrap().is_file());
        let names = tree.map(|entry| Path::new("tree").join(entry.file_name()));
        names.chain([PathBuf::from("guard.json")]).collect()
    }

    /// Reads the folder after a change of one file in every way; whether it was taken for good.
    fn meets(&self, file: &Path, change: impl FnOnce(&mut Vec<u8>), what: &str) -> bool {
        let (store, _home) = scratch();
        let folder = store.folder(&cluster());
        copy(self.folder.path(), &folder);
        let mut bytes = std::fs::read(folder.join(file)).unwrap();
        change(&mut bytes);
        std::fs::write(folder.join(file), bytes).unwrap();
        let what = format!("{} {what}", file.display());
        let mut taken = true;
        let mut accept = |same: Result<bool, StoreError>, way: &str| match same {
            Ok(same) => assert!(same, "{what}: {way} gave wrong data"),
            Err(StoreError::Damaged { detail, .. }) => {
                assert!(detail.contains("`cloudtik state repair cluster/lake/etl`"), "{what}: {detail}");
                taken = false;
            }
            Err(e) => panic!("{what}: {way}: {e:?}"),
        };
        let scope = cluster();
        accept(store.read(&scope).map(|read| read == self.snapshot), "read");
        accept(store.history(&scope).map(|list| list.len() as u64 == ENTRIES / 16), "history");
        accept(store.check(&scope).map(|()| true), "check");
        accept(store.lock(&scope, &holder("apply")).map(|lock| *lock.snapshot() == self.snapshot), "lock");
        if !taken {
            // Nothing was exported after revision 6, which the last entry is: all of it comes back, or a prefix.
            store.repair(&scope, &holder("repair")).unwrap();
            let back = store.read(&scope).unwrap();
            assert!(back.records == self.snapshot.records, "{what}: repaired");
            lock(&store).append(&entries(1..=1)).unwrap();
        }
        taken
    }
}

#[test]
fn an_undamaged_folder_is_taken_whether_or_not_its_writer_was_killed() {
    for clean in [true, false] {
        let original = Original::new(clean);
        assert!(original.meets(Path::new("guard.json"), |_| {}, "as it is"));
    }
}

#[test]
fn a_truncated_file_is_never_taken_for_another_state() {
    let mut noticed = 0;
    for clean in [true, false] {
        let original = Original::new(clean);
        let mut dice = Dice(0x7247c);
        for file in original.files() {
            let len = std::fs::metadata(original.folder.path().join(&file)).unwrap().len();
            for cut in [0, len / 2, len - 1, dice.below(len)] {
                let what = format!("clean {clean}, cut at {cut} of {len}");
                noticed += usize::from(!original.meets(&file, |bytes| bytes.truncate(cut as usize), &what));
            }
        }
    }
    assert!(noticed > 10, "{noticed} were noticed");
}

#[test]
fn a_flipped_bit_never_gives_wrong_data() {
    let mut noticed = 0;
    for clean in [true, false] {
        let original = Original::new(clean);
        let mut dice = Dice(0xb17f11b);
        for file in original.files() {
            let len = std::fs::metadata(original.folder.path().join(&file)).unwrap().len();
            let flips = if file.ends_with("db") { 20 } else { 3 };
            for _ in 0..flips {
                let bit = dice.below(len * 8);
                let flip = |bytes: &mut Vec<u8>| bytes[bit as usize / 8] ^= 1 << (bit % 8);
                noticed += usize::from(!original.meets(&file, flip, &format!("clean {clean}, bit {bit}")));
            }
        }
    }
    assert!(noticed > 10, "{noticed} were noticed");
}

/// The whole tree from an earlier moment: each batch in it is right, and it is damage.
#[test]
fn a_tree_that_went_back_in_time_is_damage() {
    let (store, _home) = scratch();
    let (folder, old) = (store.folder(&cluster()), tempfile::tempdir().unwrap());
    lock(&store).append(&entries(1..=5)).unwrap();
    copy(&folder, old.path());
    lock(&store).append(&entries(6..=9)).unwrap();
    std::fs::remove_dir_all(folder.join("tree")).unwrap();
    copy(&old.path().join("tree"), &folder.join("tree"));
    let error = store.read(&cluster()).unwrap_err().to_string();
    assert!(error.contains("ends at entry 5 and does not have entry 9"), "{error}");
    let repaired = store.repair(&cluster(), &holder("repair")).unwrap();
    assert!(repaired.how.contains("whole up to entry 5"), "{}", repaired.how);
    let back = store.read(&cluster()).unwrap();
    assert_eq!(back, prefix(&back.lineage, 5));
}

/// What `sled`'s own checksums cannot see: a value that `sled` itself was given.
#[test]
fn a_value_that_was_put_by_another_hand_is_damage() {
    let (store, _home) = scratch();
    for range in [1..=5, 6..=9, 10..=12] {
        lock(&store).append(&entries(range)).unwrap();
    }
    let tree = sled::open(store.folder(&cluster()).join("tree")).unwrap();
    let (key, value) = tree.iter().map(Result::unwrap).find(|(key, _)| key.starts_with(&6u64.to_be_bytes())).unwrap();
    let mut altered = value.to_vec();
    *altered.last_mut().unwrap() = b' ';
    tree.insert(key, altered).unwrap();
    tree.flush().unwrap();
    drop(tree);
    let error = store.read(&cluster()).unwrap_err().to_string();
    assert!(error.contains("entry 6 of its journal has a wrong checksum"), "{error}");
    store.repair(&cluster(), &holder("repair")).unwrap();
    assert_eq!(store.read(&cluster()).unwrap().serial, 5);
}

/// A crash between the tree and its guard leaves an older guard: the batch that was not acknowledged is there.
#[test]
fn a_tree_that_is_ahead_of_its_guard_is_none() {
    let (store, _home) = scratch();
    let guard = store.folder(&cluster()).join("guard.json");
    lock(&store).append(&entries(1..=5)).unwrap();
    let before = std::fs::read(&guard).unwrap();
    lock(&store).append(&entries(6..=9)).unwrap();
    std::fs::write(&guard, before).unwrap();
    let read = store.read(&cluster()).unwrap();
    assert_eq!(read, prefix(&read.lineage, 9));
    lock(&store).append(&entries(10..=12)).unwrap();
    assert_eq!(store.read(&cluster()).unwrap().serial, 12);
}

#[test]
fn what_is_gone_is_damage_and_not_an_empty_state() {
    for gone in ["guard.json", "tree", "tree/db", "tree/conf"] {
        let (store, _home) = scratch();
        let path = store.folder(&cluster()).join(gone);
        lock(&store).append(&entries(1..=16)).unwrap();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        let damaged = store.read(&cluster());
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{gone}: {damaged:?}");
        assert_eq!(store.scopes().unwrap(), [cluster()], "{gone}");
        store.repair(&cluster(), &holder("repair")).unwrap();
        assert_eq!(store.read(&cluster()).unwrap().records, prefix("x", 16).records, "{gone}");
    }
}

/// The history of another scope is whole and in the wrong place.
#[test]
fn the_tree_of_another_scope_is_damage() {
    let (store, _home) = scratch();
    lock(&store).append(&entries(1..=5)).unwrap();
    let other = cloudtik_core::Scope::cluster("lake", "other");
    copy(&store.folder(&cluster()), &store.folder(&other));
    let damaged = store.read(&other);
    assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
}

/// `sled` writes values that are too long into files that it never syncs.
#[test]
fn nothing_is_written_beside_the_synced_files() {
    let (store, _home) = scratch();
    let mut writer = lock(&store);
    for n in 0..20 {
        let mut long = record(&cluster(), &format!("n{n}"), 1);
        long.id = "x".repeat(n * 40_000);
        writer.append(&[edit(vec![put(long)])]).unwrap();
    }
    let blobs = store.folder(&cluster()).join("tree/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
    assert_eq!(store.read(&cluster()).unwrap(), *writer.snapshot());
}

/// Not to know whether there is state is not to know that there is none.
#[test]
fn a_folder_that_cannot_be_looked_at_is_not_taken_for_one_that_is_not_there() {
    let (store, _home) = scratch();
    let folder = store.folder(&cluster());
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&folder, &folder).unwrap();
    let error = store.read(&cluster()).unwrap_err();
    assert!(matches!(error, StoreError::Io { operation: "look at", .. }), "{error:?}");
}
