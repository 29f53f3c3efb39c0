//! Processes beside the nodes: the proxy to the outside, and the ports published on 127.0.0.1.
//!
//! A socket belongs for life to the network namespace in which it was made: that is all that either needs.

use super::{
    protocol::{EgressSpec, PublishSpec},
    space::{self, Born},
};
use crate::{
    egress::EgressPolicy,
    sys,
    wire::{self, Fault, Step},
};
use rustix::process::setsid;
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixStream,
};

/// Listens in the router and dials from the machine.
pub fn egress(spec: &EgressSpec) -> Result<Born, Fault> {
    let (ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let inside = sys::fork(move || {
        let listen = || -> Result<(), Fault> {
            space::join_router_net(&spec.router)?;
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, spec.port)).step("listen in the router")?;
            wire::send(&theirs, &Ok::<(), Fault>(()), b"").step("pass the listener")?;
            wire::send_descriptors(&theirs, &[&listener]).step("pass the listener")
        };
        match listen() {
            Ok(()) => 0,
            Err(fault) => wire::send(&theirs, &Err::<(), Fault>(fault), b"").map_or(2, |()| 1),
        }
    })
    .step("fork into the router")?;
    wire::receive::<Result<(), Fault>>(&ours).step("wait for the listener")?.0?;
    let listener = wire::receive_descriptors(&ours).step("take the listener")?.pop();
    sys::reap(inside).step("wait for the fork")?;
    let listener = listener.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof)).step("take the listener")?;
    let listener = TcpListener::from(listener);
    let policy =
        EgressPolicy::from_variables(|name| spec.proxies.get(name).cloned()).step("read the proxy settings")?;
    daemon(listener, Some(spec.port), |listener| crate::egress::run(listener, policy))
}

/// Listens on the machine and dials from the node.
pub fn publish(spec: &PublishSpec) -> Result<Born, Fault> {
    let listener = first_free(spec.port).step("listen on 127.0.0.1")?;
    let port = listener.local_addr().step("learn the port")?.port();
    let (from, target) = (spec.from.clone(), spec.target);
    daemon(listener, Some(port), move |listener| {
        let enter = || match &from {
            Some(inside) => space::join_node_net(inside).map_err(|fault| io::Error::other(fault.to_string())),
            None => Ok(()),
        };
        crate::publish::run(listener, enter, target)
    })
}

/// The wanted port or the next free one above; any port when there is none.
fn first_free(wanted: u16) -> io::Result<TcpListener> {
    for port in wanted.max(1024)..wanted.max(1024).saturating_add(200) {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

fn daemon(
    listener: TcpListener,
    port: Option<u16>,
    serve: impl FnOnce(TcpListener) -> io::Result<()>,
) -> Result<Born, Fault> {
    let (link, theirs) = space::pair()?;
    sys::fork(move || {
        let ready = setsid().map(drop).step("start a session");
        space::settle(&theirs, ready, &[&listener]);
        drop(theirs);
        sys::ignore_children(false);
        u8::from(serve(listener).is_err())
    })
    .step("fork")?;
    space::collect(link, port)
}
