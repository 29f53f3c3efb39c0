//! A node of the namespace models: its mounts, its cable to the router, its users, and its first process.

use super::{
    protocol::{NodeSpec, SshServer},
    space::{self, Born},
};
use crate::{
    firewall,
    netlink::Net,
    sys,
    wire::{Fault, Step},
};
use rustix::{
    fs::CWD,
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, move_mount, open_tree},
    process::setsid,
};
use std::{
    fs::{self, File},
    io,
    net::TcpListener,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub fn launch(spec: &NodeSpec) -> Result<Born, Fault> {
    let caller = space::caller();
    let (link, theirs) = space::pair()?;
    let pids = space::open(spec.router.process, "pid")?;
    let net = space::open(spec.router.process, "net")?;
    space::join_users(&spec.router)?;
    use rustix::thread::LinkNameSpaceType as T;
    // A joined PID namespace counts for children only, and no further one can be made before a fork.
    space::join(pids, T::ProcessID).step("enter the router's processes")?;
    space::join(net, T::Network).step("enter the router's network")?;
    let router = Net::here().step("open netlink in the router")?;
    let nested = move || {
        let made = space::unshare(space::OWN).step("make the node's namespaces");
        match made.and_then(|()| sys::fork(|| first(spec, router, caller, &theirs)).step("fork the node")) {
            Ok(_) => 0,
            Err(fault) => {
                space::settle(&theirs, Err(fault), &[]);
                1
            }
        }
    };
    let between = sys::fork(nested).step("fork into the router")?;
    sys::reap(between).step("wait for the fork")?;
    space::collect(link, None)
}

/// The life of the node's first process.
fn first(spec: &NodeSpec, router: Net, caller: (u32, u32), link: &UnixStream) -> u8 {
    match set_up(spec, router, caller) {
        Ok(ssh) => {
            let keep: Vec<&dyn AsRawFd> = ssh.iter().map(|(_, listener)| listener as &dyn AsRawFd).collect();
            space::settle(link, Ok(()), &keep);
            serve_ssh(ssh);
        }
        Err(fault) => space::settle(link, Err(fault), &[]),
    }
    sys::sleep_for_ever()
}

/// A server to be started on a port that is open already.
pub type Ssh = Option<(SshServer, TcpListener)>;

/// Opens the port of the node's SSH server: clients wait from here on, none is refused.
pub fn open_ssh(server: &Option<SshServer>) -> Result<Ssh, Fault> {
    let Some(server) = server else { return Ok(None) };
    let listener = TcpListener::bind(server.listen).step(&format!("listen on {}", server.listen))?;
    Ok(Some((server.clone(), listener)))
}

/// Starts the SSH server as a program of its own, so that it holds no capabilities of the pause process.
pub fn serve_ssh(ssh: Ssh) {
    let Some((server, listener)) = ssh else { return };
    let start = || -> io::Result<()> {
        let json = serde_json::to_string(&server)?;
        let mut command = Command::new("/proc/self/exe");
        command.args([super::SSHD, &json]).stdin(OwnedFd::from(listener));
        command.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").spawn().map(drop)
    };
    // A node without SSH still works, and there is nobody left to tell: a client finds the port closed.
    let _ = start();
}

fn set_up(spec: &NodeSpec, router: Net, caller: (u32, u32)) -> Result<Ssh, Fault> {
    setsid().step("start a session")?;
    rustix::system::sethostname(spec.host.as_bytes()).step("set the host name")?;
    mounts(spec)?;
    network(spec, router)?;
    if let Some(rules) = &spec.rules {
        firewall::apply(rules).step("set the firewall rules")?;
    }
    let ssh = open_ssh(&spec.ssh)?;
    if spec.router.rootless {
        // Not root but the caller himself: sshd and databases refuse a root that is none.
        space::own_users(caller, (0, 0))?;
    }
    Ok(ssh)
}

fn network(spec: &NodeSpec, mut router: Net) -> Result<(), Fault> {
    let here = File::open("/proc/self/ns/net").step("open the node's network")?;
    router.add_cable(&spec.cable, &spec.bridge, "eth0", &here).step("lay the cable to the router")?;
    let mut net = Net::here().step("open netlink")?;
    net.take_up("lo").step("take the loopback device up")?;
    net.add_address("eth0", spec.ip, spec.subnet.prefix).step("set the node's address")?;
    net.take_up("eth0").step("take the node's end of the cable up")?;
    net.default_route(spec.subnet.gateway()).step("add the default route")?;
    // Any port may be listened on without privileges: the node is its user's own.
    fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0").step("open the low ports")
}

fn mounts(spec: &NodeSpec) -> Result<(), Fault> {
    space::private_mounts()?;
    let keep = |path: &Path| -> Result<OwnedFd, Fault> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        open_tree(CWD, path, flags).step(&format!("keep {}", path.display()))
    };
    let kept = |paths: &[PathBuf]| -> Result<Vec<(PathBuf, OwnedFd)>, Fault> {
        paths.iter().map(|p| Ok((p.clone(), keep(p)?))).collect()
    };
    let (writable, visible, hosts) = (kept(&spec.writable)?, kept(&spec.visible)?, keep(&spec.hosts)?);
    let tmp = keep(&spec.tmp)?;
    sys::read_only(Path::new("/")).step("make the machine's files read-only")?;
    space::own_proc()?;
    let own = MountFlags::NOSUID | MountFlags::NODEV;
    attach(&tmp, Path::new("/tmp"))?;
    mount_bind("/tmp", "/var/tmp").step("mount /var/tmp")?;
    mount("tmpfs", "/run", "tmpfs", own, Some(c"mode=755")).step("mount /run")?;
    mount("tmpfs", "/dev/shm", "tmpfs", own, Some(c"mode=1777")).step("mount /dev/shm")?;
    if spec.hidden.exists() {
        mount("tmpfs", &spec.hidden, "tmpfs", own, Some(c"mode=755")).step("hide the other nodes' folders")?;
    }
    for (path, tree) in &visible {
        place(tree, path)?;
        sys::read_only(path).step(&format!("make {} read-only", path.display()))?;
    }
    for (path, tree) in &writable {
        place(tree, path)?;
    }
    attach(&hosts, Path::new("/etc/hosts"))
}

fn place(tree: &OwnedFd, path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).step(&format!("make {}", path.display()))?;
    attach(tree, path)
}

fn attach(tree: &OwnedFd, path: &Path) -> Result<(), Fault> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", CWD, path, flags).step(&format!("mount {}", path.display()))
}
