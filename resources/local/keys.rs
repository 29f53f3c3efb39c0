//! The key pair that opens a workspace's nodes over SSH, in files of mode 0600.

use crate::sshd;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Beside the private key. One line, which is also the form of a list of those who may log in.
pub fn public(private: &Path) -> PathBuf {
    private.with_extension("pub")
}

/// Makes a node's host key where it is missing, and writes `list`, by which OpenSSH tells it from any other's.
pub fn know(host_key: &Path, name: &str, list: &Path) -> io::Result<()> {
    let line = sshd::make_key(host_key, "host")?;
    let new = list.with_extension("new");
    fs::write(&new, format!("{name} {line}\n"))?;
    fs::rename(new, list)
}

/// Makes what is missing of the pair.
pub fn make(private: &Path) -> io::Result<()> {
    if let Some(folder) = private.parent() {
        fs::create_dir_all(folder)?;
    }
    let line = sshd::make_key(private, "cloudtik")?;
    let new = private.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    writeln!(file, "{line}")?;
    fs::rename(new, public(private))
}
