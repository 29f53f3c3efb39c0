//! Truncated files and flipped bits: correct data or an error that says so, never anything else, never a panic.

use super::*;
use cloudtik_core::state::StoreError;
use std::path::Path;

const ENTRIES: u64 = 96;

/// A database file with the test history, and what it holds.
struct Original {
    bytes: Vec<u8>,
    snapshot: Snapshot,
    /// The lock file of that moment.
    lock: Vec<u8>,
}

impl Original {
    /// `clean`: after its writer ended; otherwise as a killed writer leaves it.
    fn new(clean: bool) -> Original {
        let (store, home) = scratch();
        let mut writer = lock(&store);
        for first in (1..=ENTRIES).step_by(4) {
            writer.append(&entries(first..=first + 3)).expect("there is room");
        }
        let (snapshot, kept) = (writer.snapshot().clone(), (!clean).then_some(writer));
        let read = |file: &str| std::fs::read(home.path().join("lake/clusters").join(file)).expect("it is there");
        let original = Original { bytes: read("etl.redb"), snapshot, lock: read("etl.lock") };
        drop(kept);
        original
    }

    /// Reads `bytes` in every way; whether they were taken for good.
    fn meets(&self, bytes: &[u8], what: &str) -> bool {
        let (store, home) = scratch();
        self.put(home.path(), bytes);
        let mut taken = true;
        let mut accept = |same: Result<bool, StoreError>, way: &str| match same {
            Ok(same) => assert!(same, "{what}: {way} gave wrong data"),
            Err(StoreError::Damaged { place, detail }) => {
                assert!(
                    place.ends_with("etl.redb") && detail.contains("`cloudtik state repair cluster/lake/etl`"),
                    "{what}: {place}: {detail}"
                );
                taken = false;
            }
            Err(e) => panic!("{what}: {way}: {e:?}"),
        };
        let scope = cluster();
        accept(store.read(&scope).map(|read| read == self.snapshot), "read");
        accept(store.history(&scope).map(|list| list.len() as u64 == ENTRIES / 16), "history");
        let old = prefix(&self.snapshot.lineage, 48);
        accept(store.at_revision(&scope, 3).map(|read| read.as_ref() == Some(&old)), "at_revision");
        accept(store.check(&scope).map(|()| true), "check");
        assert_eq!(std::fs::read(store.database(&scope)).expect("it is there"), bytes, "{what}: a reader wrote");
        let locked = store.lock(&scope, &holder("apply"));
        accept(locked.map(|lock| *lock.snapshot() == self.snapshot), "lock");
        taken
    }

    fn put(&self, home: &Path, bytes: &[u8]) {
        let folder = home.join("lake/clusters");
        std::fs::create_dir_all(&folder).expect("a scratch folder");
        std::fs::write(folder.join("etl.redb"), bytes).expect("there is room");
        std::fs::write(folder.join("etl.lock"), &self.lock).expect("there is room");
    }
}

#[test]
fn an_undamaged_file_is_taken_whether_or_not_its_writer_was_killed() {
    for clean in [true, false] {
        let original = Original::new(clean);
        assert!(original.meets(&original.bytes.clone(), "nothing"));
    }
}

#[test]
fn a_truncated_file_is_never_taken_for_a_state() {
    for clean in [true, false] {
        let original = Original::new(clean);
        let len = original.bytes.len();
        for cut in (0..len).step_by(4096).chain([1, 63, 64, 320, len - 1]) {
            let taken = original.meets(&original.bytes[..cut], &format!("clean {clean}, cut at {cut} of {len}"));
            assert!(!taken || cut > 0, "an empty file was taken");
        }
    }
}

#[test]
fn a_flipped_bit_never_gives_wrong_data() {
    let mut noticed = 0;
    for clean in [true, false] {
        let original = Original::new(clean);
        let mut dice = Dice(0xb17f11b);
        for _ in 0..50 {
            let bit = dice.below(original.bytes.len() as u64 * 8);
            let mut bytes = original.bytes.clone();
            bytes[bit as usize / 8] ^= 1 << (bit % 8);
            noticed += usize::from(!original.meets(&bytes, &format!("clean {clean}, bit {bit}")));
        }
    }
    assert!(noticed > 0, "no flip was noticed");
}

/// Every bit of the first 512 bytes, where `redb` keeps its header.
#[test]
fn a_flipped_bit_in_the_header_never_gives_wrong_data() {
    let original = Original::new(false);
    for bit in (0..512 * 8).step_by(41) {
        let mut bytes = original.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        original.meets(&bytes, &format!("header bit {bit}"));
    }
}
