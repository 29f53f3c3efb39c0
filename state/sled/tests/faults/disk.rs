//! A full disk.

use super::*;
use cloudtik_testkit::small_disk::SmallDisk;
use std::io::ErrorKind;

#[test]
fn a_tree_that_was_opened_on_a_full_disk_opens_again_once_there_is_room() {
    let (store, home) = scratch();
    let Some(disk) = SmallDisk::mount(home.path(), "24m") else {
        eprintln!("SKIPPED a_tree_that_was_opened_on_a_full_disk…: mounting a tmpfs needs root");
        return;
    };
    lock(&store).append(&entries(1..=40)).unwrap();
    let whole = store.read(&cluster()).unwrap();
    for _ in 0..3 {
        disk.fill();
        match store.read(&cluster()) {
            Ok(read) => assert_eq!(read, whole),
            Err(StoreError::Io { source, .. }) => assert_eq!(source.kind(), ErrorKind::StorageFull),
            Err(e) => panic!("{e:?}"),
        }
        disk.free();
        assert_eq!(store.read(&cluster()).unwrap(), whole);
    }
    lock(&store).append(&entries(41..=42)).unwrap();
}

#[test]
fn a_snapshot_that_a_full_disk_cut_short_is_cured() {
    let (store, _home) = scratch();
    lock(&store).append(&entries(1..=40)).unwrap();
    let tree = store.folder(&cluster()).join("tree");
    for len in [0, 7] {
        std::fs::write(tree.join("snap.00000000000F4240.generating"), vec![0; len]).unwrap();
        assert_eq!(store.read(&cluster()).unwrap().serial, 40);
    }
    // Why that is needed.
    std::fs::write(tree.join("snap.00000000000F4240.generating"), []).unwrap();
    let bare = sled::open(&tree).map(|_| ());
    assert!(matches!(bare, Err(sled::Error::Corruption { .. })), "{bare:?}");
}

/// What runs is recorded in the room that was held back; then an append is refused and nothing is lost.
#[test]
fn a_disk_that_fills_up_while_writing_loses_nothing() {
    let (store, home) = scratch();
    let Some(disk) = SmallDisk::mount(home.path(), "32m") else {
        eprintln!("SKIPPED a_disk_that_fills_up_while_writing…: mounting a tmpfs needs root");
        return;
    };
    let mut lock = lock(&store);
    lock.append(&entries(1..=8)).unwrap();
    assert_eq!(lock.short_of_room(), None);
    disk.fill();
    let mut recorded_without_room = 0;
    let refused = loop {
        let next = lock.snapshot().serial + 1;
        match lock.append(&entries(next..=next + 63)) {
            Ok(()) => recorded_without_room += u64::from(lock.short_of_room().is_some()),
            Err(e) => break e,
        }
    };
    assert!(
        matches!(&refused, StoreError::Io { source, .. } if source.kind() == ErrorKind::StorageFull),
        "{refused:?}"
    );
    assert!(recorded_without_room > 5, "{recorded_without_room}");
    let acknowledged = lock.snapshot().clone();
    assert_eq!(acknowledged, prefix(&acknowledged.lineage, acknowledged.serial));
    disk.free();
    lock.append(&[]).unwrap();
    let next = lock.snapshot().serial + 1;
    assert!([acknowledged.serial + 1, acknowledged.serial + 65].contains(&next));
    lock.append(&entries(next..=next + 63)).expect("the same writer goes on once there is room");
    drop(lock);
    let read = store.read(&cluster()).unwrap();
    assert_eq!(read, prefix(&read.lineage, next + 63));
}
