//! Processes that outlive us: recognised by number and start time, ended and waited for.
//!
//! A zombie counts as dead: what adopts orphans may take seconds to reap them. The kernel turns the first process of a
//! PID namespace into a zombie only when everything else in the namespace is gone.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// A process by number and start time: a number alone may have been given to another since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Clock ticks after boot.
    pub start: u64,
}

struct Stat {
    dead: bool,
    parent: i32,
    start: u64,
}

fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok());
    match (fields.first(), number(1), number(19)) {
        (Some(state), Some(parent), Some(start)) => {
            Ok(Stat { dead: matches!(*state, "Z" | "X" | "x"), parent: parent as i32, start })
        }
        _ => Err(io::Error::other(format!("/proc/{pid}/stat reads `{text}`"))),
    }
}

impl Process {
    pub fn of(pid: i32) -> io::Result<Process> {
        Ok(Process { pid, start: stat(pid)?.start })
    }

    pub fn alive(self) -> bool {
        stat(self.pid).is_ok_and(|s| s.start == self.start && !s.dead)
    }

    /// A descriptor that means this very process, `None` when it is gone.
    fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(self.alive().then_some(fd)),
            Err(Errno::SRCH | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn signal(self, signal: Signal) -> io::Result<()> {
        match self.open()? {
            Some(fd) => match pidfd_send_signal(fd, signal) {
                Ok(()) | Err(Errno::SRCH) => Ok(()),
                Err(error) => Err(error.into()),
            },
            None => Ok(()),
        }
    }

    /// Ends it and waits until it is gone; an error when that takes longer than `limit`.
    pub fn end(self, limit: Duration) -> io::Result<()> {
        let Some(fd) = self.open()? else { return Ok(()) };
        match pidfd_send_signal(&fd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {} lives on", self.pid))),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn numbers() -> Vec<i32> {
    fs::read_dir("/proc")
        .map(|all| all.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default()
}

/// Every live process whose environment at its start held `name=value`, or, with `below`, a value under that folder.
///
/// Processes of other users, which cannot be read, are never ours.
pub fn marked(name: &str, value: &str, below: bool) -> Vec<Process> {
    let exact = format!("{name}={value}");
    let folder = format!("{exact}/");
    let own = std::process::id() as i32;
    let held = |pid: i32| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|b| *b == 0)
                .any(|entry| entry == exact.as_bytes() || below && entry.starts_with(folder.as_bytes()))
        })
    };
    let found = numbers().into_iter().filter(|pid| *pid != own && held(*pid));
    found.filter_map(|pid| Process::of(pid).ok()).filter(|p| p.alive()).collect()
}

/// Every live process that descends from `root`, which is not among them.
pub fn descendants(root: i32) -> Vec<Process> {
    let mut children = BTreeMap::<i32, Vec<Process>>::new();
    for pid in numbers() {
        if let Ok(stat) = stat(pid)
            && !stat.dead
        {
            children.entry(stat.parent).or_default().push(Process { pid, start: stat.start });
        }
    }
    let (mut found, mut seen, mut todo) = (Vec::new(), BTreeSet::from([root]), vec![root]);
    while let Some(parent) = todo.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push(*child);
                todo.push(child.pid);
            }
        }
    }
    found
}

/// Ends what `find` finds until it finds nothing more: a process may fork while it is being looked for.
pub fn end_all(find: impl Fn() -> Vec<Process>, limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let found = find();
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            process.signal(Signal::KILL)?;
        }
        for process in found {
            process.end(deadline.saturating_duration_since(Instant::now()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_known_by_number_and_start_and_a_zombie_is_dead() {
        let mut child = Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let process = Process::of(child.id() as i32).unwrap();
        assert!(process.alive());
        assert!(!Process { start: process.start + 1, ..process }.alive());
        process.end(Duration::from_secs(5)).unwrap();
        assert!(!process.alive(), "not reaped yet, but dead");
        child.wait().unwrap();
        process.end(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn marked_processes_and_what_they_forked_are_found_and_ended() {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sleep 100 & wait"])
            .env("CLOUDTIK_TEST_MARK", "/a/b")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let find = |value: &str, below| marked("CLOUDTIK_TEST_MARK", value, below);
        while find("/a/b", false).len() < 2 {
            std::thread::yield_now();
        }
        assert_eq!(descendants(shell.id() as i32).len(), 1);
        assert!(find("/a", false).is_empty());
        assert_eq!(find("/a", true).len(), 2);
        assert!(find("/a/", true).is_empty());
        end_all(|| find("/a", true), Duration::from_secs(5)).unwrap();
        assert!(find("/a/b", false).is_empty());
        shell.wait().unwrap();
    }
}
