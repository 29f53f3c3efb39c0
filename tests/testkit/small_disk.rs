//! A file system of its own size, for tests of what a full disk does.

use std::{io::ErrorKind, path::Path, process::Command};

/// In memory, over a folder; gone with the value.
pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Of so many bytes, as `mount` reads them (`12m`); `None` without the right to mount.
    pub fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(at))
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let full = std::fs::write(self.0.join("ballast"), vec![0; 64 << 20]).expect_err("it is smaller than that");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("it was filled");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
