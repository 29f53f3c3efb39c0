//! The program's second life: pause process, launcher and door-opener for nodes, behind hidden subcommands.
//!
//! `main` hands over before it starts any thread: user namespaces and forks demand a single one. A helper gets its
//! request over a socket on standard input, and that socket is its lifeline: until a process that it makes is written
//! down by the caller, it ends with the caller.

mod agent;
mod ask;
mod daemons;
mod enter;
mod node;
pub(crate) mod protocol;
mod run;
mod space;

use crate::{sys, wire};
use protocol::{Entry, Launch, Reply, SshServer};
use std::{
    ffi::OsString,
    io,
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
};

pub(crate) const LAUNCH: &str = "__node-launch";
pub(crate) const ASK: &str = "__node-ask";
pub(crate) const ENTER: &str = "__node-enter";
pub(crate) const CONNECT: &str = "__node-connect";
pub(crate) const SSHD: &str = "__node-sshd";

/// Serves a hidden subcommand, and returns the exit code then; `None` when `args` (the program's name first) name none.
///
/// To be called first in `main`, before any thread exists.
pub fn hidden(args: &[OsString]) -> Option<u8> {
    let rest: Vec<&str> = args.iter().skip(2).filter_map(|a| a.to_str()).collect();
    let served = match args.get(1)?.to_str()? {
        LAUNCH => sys::alone().and_then(|()| launch(&control()?)),
        ASK => control().and_then(|control| {
            let (question, _) = wire::receive(&control)?;
            wire::send(&control, &ask::answer(&question), b"")
        }),
        ENTER => sys::alone().and_then(|()| control()).and_then(|control| {
            let (entry, payload): (Entry, _) = wire::receive(&control)?;
            enter::serve(control, &entry, &payload)
        }),
        CONNECT => enter::pipe(&rest),
        SSHD => sshd(&rest),
        _ => return None,
    };
    Some(if served.is_ok() { 0 } else { 1 })
}

/// The socket to whoever asked, taken off standard input.
fn control() -> io::Result<UnixStream> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    silence_input()?;
    Ok(UnixStream::from(control))
}

fn null() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}

fn silence_input() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdin(null()?)?)
}

fn launch(control: &UnixStream) -> io::Result<()> {
    let (request, _) = wire::receive::<Launch>(control)?;
    let born = match &request {
        Launch::Router(spec) => space::launch(spec),
        Launch::Node(spec) => node::launch(spec),
        Launch::Agent(spec) => agent::launch(spec),
        Launch::Egress(spec) => daemons::egress(spec),
        Launch::Publish(spec) => daemons::publish(spec),
    };
    let (link, pid, port) = match born {
        Ok(born) => born,
        Err(fault) => return wire::send(control, &Reply::Failed(fault), b""),
    };
    wire::send(control, &Reply::Born { pid, port }, b"")?;
    // Ends here when the caller is gone: the new process then reads the end of its own socket and ends too.
    wire::receive::<()>(control)?;
    wire::send(&link, &(), b"")?;
    wire::receive::<()>(&link)?;
    wire::send(control, &Reply::Ready, b"")
}

fn sshd(args: &[&str]) -> io::Result<()> {
    let [json] = args else { return Err(io::ErrorKind::InvalidInput.into()) };
    let server: SshServer = serde_json::from_str(json)?;
    sys::ignore_children(false); // as its parent does; here exit codes are wanted
    // The node's first process has opened the port already, and passes it as standard input.
    let listener = TcpListener::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    silence_input()?;
    let options = crate::sshd::SshdOptions {
        listen: server.listen,
        host_key: server.host_key,
        authorized_keys: server.authorized_keys,
        user: server.user,
        home: server.home,
        shell: "/bin/sh".into(),
        env: server.env,
    };
    crate::sshd::serve(listener, options)
}
