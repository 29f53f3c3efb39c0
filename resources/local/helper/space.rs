//! Namespaces: making the router's, and entering any.

use super::protocol::{Inside, Router, RouterSpec};
use crate::{
    netlink::Net,
    process::Process,
    sys,
    wire::{self, Fault, Step},
};
use cloudtik_core::cidr::Cidr;
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    process::{getegid, geteuid, setsid},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
};

/// A new process, set up: its socket, its number, and the port where it listens.
pub type Born = (UnixStream, i32, Option<u16>);

/// Everything that makes a node's (or the router's) world its own, but for users.
pub const OWN: UnshareFlags = UnshareFlags::NEWNS
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWPID)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWIPC);

pub fn unshare(what: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flag that is unsafe to unshare, the table of descriptors, is in none of our sets.
    Ok(unsafe { rustix::thread::unshare_unsafe(what) }?)
}

/// A user namespace in which `inner` stands for `outer`, and nobody else exists.
pub fn own_users(inner: (u32, u32), outer: (u32, u32)) -> Result<(), Fault> {
    unshare(UnshareFlags::NEWUSER).step("make a user namespace")?;
    match fs::write("/proc/self/setgroups", "deny") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).step("give up setgroups"),
        _ => {}
    }
    fs::write("/proc/self/uid_map", format!("{} {} 1", inner.0, outer.0)).step("map the user")?;
    fs::write("/proc/self/gid_map", format!("{} {} 1", inner.1, outer.1)).step("map the group")
}

pub fn caller() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

/// The router: namespaces that nodes are nested in, and a process that keeps them.
pub fn launch(spec: &RouterSpec) -> Result<Born, Fault> {
    let (link, theirs) = pair()?;
    if spec.rootless {
        own_users((0, 0), caller())?;
    }
    unshare(OWN).step("make namespaces")?;
    let host = spec.host.clone();
    sys::fork(move || {
        let made = set_up_router(&host);
        settle(&theirs, made, &[]);
        sys::sleep_for_ever()
    })
    .step("fork the router")?;
    collect(link, None)
}

fn set_up_router(host: &str) -> Result<(), Fault> {
    setsid().step("start a session")?;
    rustix::system::sethostname(host.as_bytes()).step("set the host name")?;
    private_mounts()?;
    own_proc()?;
    let mut net = Net::here().step("open netlink")?;
    net.take_up("lo").step("take the loopback device up")?;
    // Nothing that is addressed outside the workspace may leave.
    net.unreachable(Cidr::new([0, 0, 0, 0].into(), 0)).step("add the unreachable route")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").step("switch forwarding on")
}

pub fn private_mounts() -> Result<(), Fault> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).step("make mounts private")
}

pub fn own_proc() -> Result<(), Fault> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).step("mount /proc")
}

/// A pair of sockets of which the first learns who speaks on the second.
pub fn pair() -> Result<(UnixStream, UnixStream), Fault> {
    let (ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    rustix::net::sockopt::set_socket_passcred(&ours, true).step("ask for credentials")?;
    Ok((ours, theirs))
}

/// The launcher's half: what became of the new process.
pub fn collect(link: UnixStream, port: Option<u16>) -> Result<Born, Fault> {
    let (made, _) = wire::receive::<Result<(), Fault>>(&link).step("wait for the new process")?;
    made?;
    let pid = wire::announced(&link).step("learn the new process's number")?;
    Ok((link, pid, port))
}

/// The new process's half: tells how its making went, and returns once it has been written down. Ends otherwise.
pub fn settle(link: &UnixStream, made: Result<(), Fault>, keep: &[&dyn AsRawFd]) {
    let failed = made.is_err();
    let quiet = || -> io::Result<()> {
        silence()?;
        sys::ignore_children(true);
        let mut all: Vec<&dyn AsRawFd> = vec![link];
        all.extend(keep);
        sys::close_others(&all);
        wire::send(link, &made, b"")?;
        if failed {
            return Ok(());
        }
        wire::announce(link)?;
        wire::receive::<()>(link)?;
        wire::send(link, &(), b"")
    };
    if quiet().is_err() || failed {
        sys::leave(1);
    }
}

fn silence() -> io::Result<()> {
    let null = super::null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}

/// One namespace of a live process, opened before anything is entered.
pub fn open(process: Process, kind: &str) -> Result<File, Fault> {
    let file = File::open(format!("/proc/{}/ns/{kind}", process.pid)).step(&format!("open the {kind} namespace"))?;
    // Opened first, then checked: a number given to another process since is noticed.
    if process.alive() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "its first process is gone")).step("enter")
    }
}

pub fn join(file: impl AsFd, kind: LinkNameSpaceType) -> io::Result<()> {
    Ok(move_into_link_name_space(file.as_fd(), Some(kind))?)
}

/// Enters the router's user namespace, where there is one.
pub fn join_users(router: &Router) -> Result<(), Fault> {
    if router.rootless {
        join(open(router.process, "user")?, LinkNameSpaceType::User).step("enter the router's user namespace")?;
    }
    Ok(())
}

pub fn join_router_net(router: &Router) -> Result<(), Fault> {
    let net = open(router.process, "net")?;
    join_users(router)?;
    join(net, LinkNameSpaceType::Network).step("enter the router's network")
}

pub fn join_node_net(inside: &Inside) -> Result<(), Fault> {
    let net = open(inside.init, "net")?;
    join_users(&inside.router)?;
    join(net, LinkNameSpaceType::Network).step("enter the node's network")
}

/// Enters a node completely; processes forked from here on live in it.
pub fn join_node(inside: &Inside) -> Result<(), Fault> {
    use LinkNameSpaceType as T;
    let kinds = [
        ("ipc", T::InterProcessCommunication),
        ("uts", T::HostNameAndNISDomainName),
        ("net", T::Network),
        ("pid", T::ProcessID),
        ("mnt", T::Mount),
    ];
    let mut doors = Vec::new();
    for (name, kind) in kinds {
        doors.push((name, kind, open(inside.init, name)?));
    }
    let users = open(inside.init, "user")?;
    join_users(&inside.router)?;
    for (name, kind, door) in doors {
        join(door, kind).step(&format!("enter the node's {name} namespace"))?;
    }
    if inside.router.rootless {
        join(users, T::User).step("enter the node's user namespace")?;
    }
    Ok(())
}
