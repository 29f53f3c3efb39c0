//! A full disk.

use super::*;
use cloudtik_core::state::StoreError;
use std::{path::Path, process::Command};

/// A file system of its own size, gone with the value.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(at: &Path) -> Option<SmallDisk<'_>> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

#[test]
fn a_full_disk_refuses_an_append_and_loses_nothing() {
    let (store, home) = scratch();
    let Some(disk) = SmallDisk::mount(home.path()) else {
        eprintln!("SKIPPED a_full_disk_refuses_an_append_and_loses_nothing: mounting a tmpfs needs root");
        return;
    };
    let mut lock = lock(&store);
    lock.append(&entries(1..=8)).unwrap();
    let ballast = home.path().join("ballast");
    let full = std::fs::write(&ballast, vec![0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let refused = loop {
        let next = lock.snapshot().serial + 1;
        if let Err(e) = lock.append(&entries(next..=next + 63)) {
            break e;
        }
    };
    assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
    let acknowledged = lock.snapshot().clone();
    assert_eq!(acknowledged, prefix(&acknowledged.lineage, acknowledged.serial));
    let read = store.read(&cluster()).unwrap();
    assert!([acknowledged.serial, acknowledged.serial + 64].contains(&read.serial), "{}", read.serial);
    assert_eq!(read, prefix(&acknowledged.lineage, read.serial));

    std::fs::remove_file(&ballast).unwrap();
    lock.append(&[]).unwrap();
    let next = lock.snapshot().serial + 1;
    lock.append(&entries(next..=next + 63)).expect("the same writer goes on once there is room");
    drop(lock);
    let read = store.read(&cluster()).unwrap();
    assert_eq!(read, prefix(&acknowledged.lineage, next + 63));
    store.check(&cluster()).unwrap();
    drop(disk);
}
