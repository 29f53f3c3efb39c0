//! The socket of a loopback node's agent. It lies in the node's folder, which only its user may enter.
//!
//! Addressed through a descriptor of the folder: a path may be longer than a socket's name.

use crate::{helper::protocol::Work, wire};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

fn folder(path: &Path) -> io::Result<(OwnedFd, String)> {
    let folder = openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}/agent", folder.as_raw_fd());
    Ok((folder, name))
}

pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (_folder, name) = folder(path)?;
    match fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(name)
}

/// Hands one piece of work to the agent, with the sockets and streams that it needs.
pub fn pass(
    path: &Path,
    control: &UnixStream,
    work: &Work,
    payload: &[u8],
    output: &OwnedFd,
    error: &OwnedFd,
) -> io::Result<()> {
    let (_folder, name) = folder(path)?;
    let agent = UnixStream::connect(name)?;
    wire::send(&agent, work, payload)?;
    wire::send_descriptors(&agent, &[control, output, error])
}
