//! What a bench has on this machine: processes, namespaces, mounts, control groups, listening sockets.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A live process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    /// Arguments and environment, as far as they can be read.
    pub text: String,
}

impl Process {
    pub fn kill(&self) {
        // It may be gone already, which is as good.
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), Signal::KILL);
    }
}

fn numbers() -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| *pid != std::process::id() as i32).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Processes that mention `folder` in their arguments or in the environment that they were started with.
pub fn processes(folder: &Path) -> Vec<Process> {
    let wanted = folder.as_os_str().as_bytes();
    let found = numbers().into_iter().filter_map(|pid| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let bytes = [read("cmdline"), read("environ")].concat();
        let ours = contains(&bytes, wanted) && started(pid).is_some();
        ours.then(|| Process { pid, text: String::from_utf8_lossy(&bytes).replace('\0', " ") })
    });
    found.collect()
}

/// When a process was started, in clock ticks after boot; `None` when it is gone, or dead and not reaped yet.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    if fields[0] == "Z" { None } else { fields[19].parse().ok() }
}

fn namespaces(pid: i32) -> BTreeSet<PathBuf> {
    let kinds = ["net", "mnt", "pid", "uts", "ipc", "user"];
    kinds.iter().filter_map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()).collect()
}

fn groups(pid: &str) -> BTreeSet<PathBuf> {
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    lines.lines().filter_map(|line| line.rsplit(':').next()).map(PathBuf::from).collect()
}

/// What a running cluster has, to look for when it is gone.
pub struct Traces {
    /// Every process that keeps a namespace of the cluster alive, with its start: numbers are given out again. So are
    /// those of namespaces, which is why they are not looked for themselves.
    inside: BTreeSet<(i32, u64)>,
    groups: BTreeSet<PathBuf>,
}

impl Traces {
    pub fn of(folder: &Path) -> Self {
        let own = namespaces(std::process::id() as i32);
        let ours = processes(folder);
        let theirs: BTreeSet<PathBuf> =
            ours.iter().flat_map(|p| namespaces(p.pid)).filter(|n| !own.contains(n)).collect();
        let inside = numbers().into_iter().filter(|pid| !namespaces(*pid).is_disjoint(&theirs));
        let home = groups("self");
        Traces {
            inside: inside.filter_map(|pid| Some((pid, started(pid)?))).collect(),
            groups: ours.iter().flat_map(|p| groups(&p.pid.to_string())).filter(|g| !home.contains(g)).collect(),
        }
    }

    /// Whether there are namespaces beside those of the machine.
    pub fn isolated(&self) -> bool {
        !self.inside.is_empty()
    }

    /// What of it is still there: processes, and with them namespaces; mounts; control groups.
    pub fn rest(&self, folder: &Path) -> Vec<String> {
        let mut rest: Vec<String> = processes(folder).iter().map(|p| format!("process {} {}", p.pid, p.text)).collect();
        let kept = self.inside.iter().filter(|(pid, start)| started(*pid) == Some(*start));
        rest.extend(kept.map(|(pid, _)| format!("process {pid} in a namespace")));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = folder.to_string_lossy();
        rest.extend(mounts.lines().filter(|line| line.contains(&*ours)).map(|line| format!("mount {line}")));
        let controllers = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
        for base in controllers.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let groups = self.groups.iter().filter_map(|g| Some(base.join(g.strip_prefix("/").ok()?)));
            rest.extend(groups.filter(|g| *g != base && g.is_dir()).map(|g| format!("control group {}", g.display())));
        }
        rest
    }
}

/// Addresses, other than those of 127.0.0.0/8 and ::1, on which these processes listen on the machine's own network.
pub fn exposed(processes: &[Process]) -> Vec<String> {
    let sockets: BTreeSet<String> = processes.iter().flat_map(|p| sockets(p.pid)).collect();
    let mut found = Vec::new();
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (address, state, inode) = (fields[1], fields[3], fields[9]);
            if state == "0A" && sockets.contains(inode) && !is_loopback(address) {
                found.push(address.to_owned());
            }
        }
    }
    found
}

fn sockets(pid: i32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = all.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|l| Some(l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// Of an address as the kernel prints it: 32-bit words in the machine's byte order, in hexadecimal.
fn is_loopback(address: &str) -> bool {
    let ip = address.split(':').next().unwrap_or_default();
    match ip.len() {
        8 => ip.ends_with("7F"),
        _ => {
            ip.starts_with("0000000000000000FFFF0000") && ip.ends_with("7F") || ip == "00000000000000000000000001000000"
        }
    }
}

/// Whether a program is on this machine.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|p| p.join(program).is_file()))
}
