//! A node of the loopback model: one process that adopts everything started on the node, and starts it.
//!
//! What descends from the agent stays below it (it is the subreaper), so that ending a node finds every process.

use super::{
    enter,
    node::{open_ssh, serve_ssh},
    protocol::{AgentSpec, Work},
    space::{self, Born},
};
use crate::{
    agent_socket, sys,
    wire::{self, Fault, Step},
};
use rustix::process::{getpid, set_child_subreaper, setsid};
use std::{
    io,
    os::{
        fd::AsRawFd,
        unix::net::{UnixListener, UnixStream},
    },
};

pub fn launch(spec: &AgentSpec) -> Result<Born, Fault> {
    let listener = agent_socket::listen(&spec.folder).step("listen for work")?;
    let (link, theirs) = space::pair()?;
    let ssh = open_ssh(&spec.ssh)?;
    sys::fork(move || {
        let made = setsid()
            .map(drop)
            .step("start a session")
            .and_then(|()| set_child_subreaper(Some(getpid())).step("adopt orphans"));
        let mut keep: Vec<&dyn AsRawFd> = vec![&listener];
        keep.extend(ssh.iter().map(|(_, listener)| listener as &dyn AsRawFd));
        space::settle(&theirs, made, &keep);
        serve_ssh(ssh);
        drop(theirs);
        accept(&listener)
    })
    .step("fork the agent")?;
    space::collect(link, None)
}

fn accept(listener: &UnixListener) -> u8 {
    for connection in listener.incoming().flatten() {
        // Should the fork fail, the caller reads the end of its socket and says so.
        let _ = sys::fork(|| u8::from(session(&connection).is_err()));
    }
    1
}

/// Serves one caller, whose control socket and streams come as descriptors.
fn session(connection: &UnixStream) -> io::Result<()> {
    let (work, payload) = wire::receive::<Work>(connection)?;
    let descriptors = wire::receive_descriptors(connection)?;
    let Ok([control, output, error]) = <[_; 3]>::try_from(descriptors) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let control = UnixStream::from(control);
    enter::answer(&control, enter::work(&control, &work, &payload, output, error))
}
