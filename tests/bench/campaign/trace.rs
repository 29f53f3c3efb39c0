//! Runs a process and stops it dead before or after the n-th operation on files below a folder, or has that operation fail.
//!
//! The operations are system calls, seen through `ptrace`: so every step of the store is a point, those of the database library
//! included, and no product code knows of it. A wrapper of the library's storage would see its file only, not the lock file,
//! the renames and the backup; `strace -e inject` counts per thread and would have to be installed.

use super::process::{self, Ended, How, Understand};
use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Where the process does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// What befalls an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The process ends at this side of it.
    Dies(Side),
    /// It does nothing and answers EIO, as over a broken disk.
    Fails,
    /// So does every operation after it.
    FailsFromThere,
}

/// Operations that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Those that change something.
    Changes,
    /// Those that look at something, too.
    All,
}

/// Runs it to its end, with a blow at the operation of this number, from 0. Names all operations that it began.
///
/// Errors with `PermissionDenied` where processes may not be traced.
pub fn run(
    mut command: Command,
    understand: Understand,
    folder: &Path,
    watch: Watch,
    blow: Option<(usize, Blow)>,
) -> io::Result<(Ended, Vec<String>)> {
    let started = Instant::now();
    // SAFETY: the only call between fork and exec is a system call, which is safe there.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let listening = process::listen(&mut child, understand);
    let pid = i32::try_from(child.id()).expect("a process id");
    let mut tracer = Tracer {
        pid,
        folder: folder.into(),
        watch,
        blow,
        names: Vec::new(),
        within: HashMap::new(),
        failing: HashSet::new(),
    };
    let (how, code) = tracer.follow()?;
    let (lines, said) = listening.heard()?;
    Ok((Ended { lines, took: started.elapsed(), how, code, said }, tracer.names))
}

struct Tracer {
    pid: libc::pid_t,
    folder: PathBuf,
    watch: Watch,
    blow: Option<(usize, Blow)>,
    names: Vec<String>,
    /// The operation that a thread is in.
    within: HashMap<libc::pid_t, usize>,
    /// Threads whose operation is made to fail.
    failing: HashSet<libc::pid_t>,
}

impl Tracer {
    fn follow(&mut self) -> io::Result<(How, Option<i32>)> {
        let mut fresh = true;
        loop {
            let mut status = 0;
            // SAFETY: writes one integer that lives longer than the call.
            let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL | libc::__WNOTHREAD) };
            if tid == -1 {
                return Err(io::Error::last_os_error());
            }
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                if tid == self.pid {
                    return Ok(match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                        (true, 0) => (How::Finished, Some(0)),
                        (true, code) => (How::Failed, Some(code)),
                        _ => (How::Killed, None),
                    });
                }
                continue;
            }
            if fresh {
                fresh = false;
                let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
                ptrace(libc::PTRACE_SETOPTIONS, tid, 0, options as usize)?;
            }
            let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
            let pass = match signal {
                s if s == libc::SIGTRAP | 0x80 => {
                    self.system_call(tid)?;
                    0
                }
                // Events of tracing itself, and the first stop of a new thread.
                libc::SIGTRAP | libc::SIGSTOP => 0,
                _ if event != 0 => 0,
                other => other,
            };
            // A thread that was killed meanwhile cannot go on, and says so by its end.
            let _ = ptrace(libc::PTRACE_SYSCALL, tid, 0, pass as usize);
        }
    }

    fn system_call(&mut self, tid: libc::pid_t) -> io::Result<()> {
        // SAFETY: all bytes zero is a value of this plain structure.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        let size = std::mem::size_of_val(&info);
        if ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, &raw mut info as usize).is_err() {
            return Ok(()); // it was killed meanwhile
        }
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            // SAFETY: `op` says that this member of the union was filled.
            let entry = unsafe { info.u.entry };
            if let Some(name) = self.name(tid, entry.nr as i64, &entry.args) {
                let at = self.names.len();
                self.within.insert(tid, at);
                self.names.push(name);
                self.end(at, Side::Before);
                if self.fails(at) {
                    self.failing.insert(tid);
                    // No system call has this number, so nothing is done.
                    registers(tid, |registers| registers.orig_rax = u64::MAX)?;
                }
            }
        } else if let Some(at) = self.within.remove(&tid) {
            if self.failing.remove(&tid) {
                registers(tid, |registers| registers.rax = i64::from(-libc::EIO) as u64)?;
            }
            self.end(at, Side::After);
        }
        Ok(())
    }

    fn fails(&self, at: usize) -> bool {
        match self.blow {
            Some((n, Blow::Fails)) => at == n,
            Some((n, Blow::FailsFromThere)) => at >= n,
            _ => false,
        }
    }

    fn end(&self, at: usize, side: Side) {
        if self.blow == Some((at, Blow::Dies(side))) {
            // SAFETY: the process is our child and was not waited for, so the id is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }

    /// `write etl.redb`, for an operation that counts on something below the folder.
    fn name(&self, tid: libc::pid_t, number: i64, args: &[u64; 6]) -> Option<String> {
        let open = |at: u64| std::fs::read_link(format!("/proc/{tid}/fd/{}", at as i32)).ok();
        let path = |at: u64| Some(PathBuf::from(text(tid, at)?));
        let (verb, paths) = match number {
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev => {
                ("write", vec![open(args[0])])
            }
            libc::SYS_ftruncate => ("truncate", vec![open(args[0])]),
            libc::SYS_fallocate => ("allocate", vec![open(args[0])]),
            libc::SYS_fsync | libc::SYS_fdatasync => ("sync", vec![open(args[0])]),
            libc::SYS_flock => ("lock", vec![open(args[0])]),
            libc::SYS_rename => ("rename", vec![path(args[0]), path(args[1])]),
            libc::SYS_renameat | libc::SYS_renameat2 => ("rename", vec![path(args[1]), path(args[3])]),
            libc::SYS_unlink => ("remove", vec![path(args[0])]),
            libc::SYS_unlinkat => ("remove", vec![path(args[1])]),
            libc::SYS_rmdir => ("remove", vec![path(args[0])]),
            libc::SYS_mkdir => ("make folder", vec![path(args[0])]),
            libc::SYS_mkdirat => ("make folder", vec![path(args[1])]),
            libc::SYS_openat if args[2] as i32 & libc::O_CREAT != 0 => ("create", vec![path(args[1])]),
            _ if self.watch == Watch::Changes => return None,
            libc::SYS_openat => ("open", vec![path(args[1])]),
            libc::SYS_read | libc::SYS_pread64 | libc::SYS_readv => ("read", vec![open(args[0])]),
            libc::SYS_getdents64 => ("list", vec![open(args[0])]),
            libc::SYS_stat | libc::SYS_lstat => ("look at", vec![path(args[0])]),
            libc::SYS_fstat => ("look at", vec![open(args[0])]),
            libc::SYS_statx | libc::SYS_newfstatat => {
                let path = path(args[1]).filter(|path| !path.as_os_str().is_empty());
                ("look at", vec![path.or_else(|| open(args[0]))])
            }
            _ => return None,
        };
        let names: Vec<String> = paths.into_iter().map(|path| self.below(&path?)).collect::<Option<_>>()?;
        Some(format!("{verb} {}", names.join(" as ")))
    }

    fn below(&self, path: &Path) -> Option<String> {
        let rest = path.strip_prefix(&self.folder).ok()?;
        Some(rest.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned()))
    }
}

/// Text in another process's memory.
fn text(tid: libc::pid_t, at: u64) -> Option<String> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{tid}/mem")).ok()?;
    let mut bytes = [0; libc::PATH_MAX as usize];
    let got = memory.read_at(&mut bytes, at).ok()?;
    CStr::from_bytes_until_nul(&bytes[..got]).ok()?.to_str().ok().map(str::to_owned)
}

/// Changes the registers of a thread that stands at a system call.
fn registers(tid: libc::pid_t, change: impl FnOnce(&mut libc::user_regs_struct)) -> io::Result<()> {
    // SAFETY: all bytes zero is a value of this plain structure.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS, tid, 0, &raw mut registers as usize)?;
    change(&mut registers);
    ptrace(libc::PTRACE_SETREGS, tid, 0, &raw mut registers as usize)
}

fn ptrace(request: libc::c_uint, tid: libc::pid_t, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: `data` is a number, or points to a structure that the caller keeps and whose size `address` says.
    match unsafe { libc::ptrace(request, tid, address, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
