//! Memory and CPU share of a node by control groups, where this user may make them (root, in general).
//!
//! Memory is a hard bound. CPU is a share, as between virtual machines on a busy host: an idle machine may be used fully.
//! Where no group can be made, limits are declared only, and the node's outputs say so.

use crate::process;
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const ROOT: &str = "/sys/fs/cgroup";
const PARENT: &str = "cloudtik";

/// How long the kernel may take to see that a group is empty after its last process died.
const EMPTY: Duration = Duration::from_secs(3);

/// Makes the node's groups, as far as that is allowed; `leaf` must name no other node of this machine.
pub fn make(leaf: &str, cpus: u32, memory_mib: u64) -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let folders = if root.join("cgroup.controllers").exists() {
        unified(root, leaf).into_iter().collect()
    } else {
        ["memory", "cpu"].map(|controller| root.join(controller).join(PARENT).join(leaf)).to_vec()
    };
    let mut made = Vec::new();
    for folder in folders {
        if fs::create_dir_all(&folder).and_then(|()| set(&folder, cpus, memory_mib)).is_ok() {
            made.push(folder);
        } else {
            remove_folder(&folder);
        }
    }
    made
}

/// The one group of a version 2 hierarchy, with both controllers passed down to it.
fn unified(root: &Path, leaf: &str) -> io::Result<PathBuf> {
    let parent = root.join(PARENT);
    fs::create_dir_all(&parent)?;
    for level in [root, &parent] {
        fs::write(level.join("cgroup.subtree_control"), "+memory +cpu")?;
    }
    Ok(parent.join(leaf))
}

/// Writes the limits that a group's controllers know; an error when there is none of them.
pub fn set(folder: &Path, cpus: u32, memory_mib: u64) -> io::Result<()> {
    let bytes = memory_mib.saturating_mul(1 << 20).to_string();
    let cpus = u64::from(cpus.max(1));
    let known: Vec<(&str, String)> = [
        ("memory.max", bytes.clone()),
        ("memory.limit_in_bytes", bytes),
        ("cpu.weight", (cpus * 100).min(10_000).to_string()),
        ("cpu.shares", (cpus * 1024).to_string()),
    ]
    .into_iter()
    .filter(|(name, _)| folder.join(name).exists())
    .collect();
    if known.is_empty() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    known.into_iter().try_for_each(|(name, value)| fs::write(folder.join(name), value))
}

/// Puts a process in; what it starts later is in too.
pub fn join(folders: &[PathBuf], process: process::Process) -> io::Result<()> {
    folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), process.pid.to_string()))
}

/// Removes whatever groups of this name there are; their processes are gone.
pub fn remove(leaf: &str) -> io::Result<()> {
    let deadline = Instant::now() + EMPTY;
    let root = Path::new(ROOT);
    for above in [root.to_owned(), root.join("memory"), root.join("cpu")] {
        let folder = above.join(PARENT).join(leaf);
        loop {
            match fs::remove_dir(&folder) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(5)), // still holds a process that is being taken apart
            }
        }
        remove_folder(&folder);
    }
    Ok(())
}

/// Removes a group and, when it was the last, the one above it.
fn remove_folder(folder: &Path) {
    for folder in folder.ancestors().take(2) {
        if fs::remove_dir(folder).is_err() && folder.exists() {
            return; // in use by other nodes
        }
    }
}
