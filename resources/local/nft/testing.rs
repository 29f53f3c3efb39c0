//! Two network namespaces joined by a veth pair, for tests that need a real peer.
//!
//! [`isolated`] runs a test's body in a process of its own with fresh namespaces; there [`World`] makes the pair. A
//! machine that allows no namespaces cannot run these tests: they say so and pass.

use super::wire::{self, Attrs};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::{
    net::{self, AddressFamily, SocketType, sockopt},
    thread::{self as namespace, LinkNameSpaceType, UnshareFlags},
};
use std::{
    fs::File,
    io,
    net::IpAddr,
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::CommandExt,
    },
    process::Command,
    thread,
    time::Duration,
};

const INSIDE: &str = "CLOUDTIK_TEST_INSIDE";

/// Runs `body` in a child process with its own user and network namespaces. `test` is the path of the calling test.
pub(crate) fn isolated(module: &str, test: &str, body: fn()) {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        return body();
    }
    let (_, module) = module.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([&format!("{module}::{test}"), "--exact", "--nocapture"]).env(INSIDE, test);
    // SAFETY: only system calls and file writes happen between fork and exec.
    unsafe { child.pre_exec(enter_fresh) };
    match child.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
        Err(error) => eprintln!("not tested: this machine allows no namespaces here ({error})"),
    }
}

fn enter_fresh() -> io::Result<()> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    if user == 0 {
        return Ok(unshare(UnshareFlags::NEWNET)?);
    }
    unshare(UnshareFlags::NEWNET | UnshareFlags::NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: no shared file table is given up.
    unsafe { namespace::unshare_unsafe(flags) }
}

pub(crate) const NODE: &str = "10.9.0.1";
pub(crate) const NODE6: &str = "fd09::1";
pub(crate) const FRIEND: &str = "10.9.0.2";
pub(crate) const STRANGER: &str = "10.9.1.3";
pub(crate) const FRIEND6: &str = "fd09::2";

/// The calling thread is the node; the peer's namespace holds FRIEND and STRANGER.
pub(crate) struct World {
    pub peer: File,
}

impl World {
    pub fn new() -> World {
        let peer = thread::spawn(|| {
            unshare(UnshareFlags::NEWNET).unwrap();
            here()
        });
        let world = World { peer: peer.join().unwrap() };
        make_pair(&world.peer);
        up("lo");
        up("out");
        for (address, prefix) in [(NODE, 16), (NODE6, 64)] {
            add_address("out", address, prefix);
        }
        world.at_peer(|| {
            up("lo");
            up("in");
            for (address, prefix) in [(FRIEND, 16), (STRANGER, 16), (FRIEND6, 64)] {
                add_address("in", address, prefix);
            }
        });
        world
    }

    /// Runs on a thread in the peer's namespace.
    pub fn at_peer<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                namespace::move_into_link_name_space(self.peer.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                body()
            });
            there.join().unwrap()
        })
    }

    /// How a connection from an address of the peer to the node fares.
    pub fn knock(&self, from: &str, to: &str, port: u16) -> io::Result<()> {
        self.at_peer(|| connect(from, to, port))
    }
}

/// Connects from a given address; two seconds, so that a dropped packet is told from a refused one.
pub(crate) fn connect(from: &str, to: &str, port: u16) -> io::Result<()> {
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(Duration::from_secs(2)))?;
    net::bind(&socket, &std::net::SocketAddr::from((from, 0)))?;
    Ok(net::connect(&socket, &std::net::SocketAddr::from((to, port)))?)
}

/// The calling thread's network namespace.
pub(crate) fn here() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
/// Request, acknowledge, exclusive, create.
const FLAGS: u16 = 1 | 4 | 0x200 | 0x400;

fn make_pair(peer: &File) {
    let peer_fd = Attrs::default().text(3, "in").bytes(28, &peer.as_raw_fd().to_ne_bytes());
    let peer = [&link(0, 0)[..], peer_fd.as_bytes()].concat();
    let info = Attrs::default().text(1, "veth").nest(2, Attrs::default().bytes(1, &peer));
    route(NEW_LINK, FLAGS, &link(0, 0), Attrs::default().text(3, "out").nest(18, info));
}

/// Also makes an unused namespace usable: its loopback starts down.
pub(crate) fn up(name: &str) {
    route(NEW_LINK, 1 | 4, &link(index(name), 1), Attrs::default());
}

fn add_address(name: &str, address: &str, prefix: u8) {
    let (family, bytes) = match address.parse().unwrap() {
        IpAddr::V4(a) => (2, a.octets().to_vec()),
        IpAddr::V6(a) => (10, a.octets().to_vec()),
    };
    let no_duplicate_check = 2;
    let mut header = vec![family, prefix, no_duplicate_check, 0];
    header.extend(index(name).to_ne_bytes());
    route(NEW_ADDRESS, FLAGS, &header, Attrs::default().bytes(1, &bytes).bytes(2, &bytes));
}

/// `struct ifinfomsg`.
fn link(index: u32, flags: u32) -> Vec<u8> {
    [0, index, flags, flags].iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn index(name: &str) -> u32 {
    let socket = net::socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    net::netdevice::name_to_index(&socket, name).unwrap()
}

fn route(kind: u16, flags: u16, header: &[u8], attrs: Attrs) {
    let socket = Socket::new(NETLINK_ROUTE).unwrap();
    socket.send_to(&wire::message(kind, flags, 1, header, attrs), &SocketAddr::new(0, 0), 0).unwrap();
    let (answer, _) = socket.recv_from_full().unwrap();
    let code = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
    assert_eq!(code, 0, "message {kind}: {}", io::Error::from_raw_os_error(-code));
}
