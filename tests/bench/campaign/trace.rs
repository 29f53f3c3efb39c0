//! Runs a process and stops it dead before or after the n-th operation on files below a folder.
//!
//! The operations are system calls, seen through `ptrace`: so every step of the store is a point, those of the database library
//! included, and no product code knows of it. A wrapper of the library's storage would see its file only, not the lock file,
//! the renames and the backup; `strace -e inject` counts per thread and would have to be installed.

use super::process::{self, Ended, How};
use std::{
    collections::HashMap,
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

/// Runs it to its end, or to one side of the operation of this number, from 0. Names all operations that it began.
///
/// Errors with `PermissionDenied` where processes may not be traced.
pub fn run(mut command: Command, folder: &Path, stop: Option<(usize, Side)>) -> io::Result<(Ended, Vec<String>)> {
    let started = Instant::now();
    // SAFETY: the only call between fork and exec is a system call, which is safe there.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let listening = process::listen(&mut child, process::own);
    let pid = i32::try_from(child.id()).expect("a process id");
    let mut tracer = Tracer { pid, folder: folder.into(), stop, names: Vec::new(), within: HashMap::new() };
    let how = tracer.follow()?;
    let (lines, said) = listening.heard()?;
    Ok((Ended { lines, took: started.elapsed(), how, said }, tracer.names))
}

struct Tracer {
    pid: libc::pid_t,
    folder: PathBuf,
    stop: Option<(usize, Side)>,
    names: Vec<String>,
    /// The operation that a thread is in.
    within: HashMap<libc::pid_t, usize>,
}

impl Tracer {
    fn follow(&mut self) -> io::Result<How> {
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
                        (true, 0) => How::Finished,
                        (true, _) => How::Failed,
                        _ => How::Killed,
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
                self.within.insert(tid, self.names.len());
                self.names.push(name);
                self.end(self.names.len() - 1, Side::Before);
            }
        } else if let Some(at) = self.within.remove(&tid) {
            self.end(at, Side::After);
        }
        Ok(())
    }

    fn end(&self, at: usize, side: Side) {
        if self.stop == Some((at, side)) {
            // SAFETY: the process is our child and was not waited for, so the id is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }

    /// `write etl.redb`, for an operation that changes something below the folder.
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
            libc::SYS_mkdir => ("make folder", vec![path(args[0])]),
            libc::SYS_mkdirat => ("make folder", vec![path(args[1])]),
            libc::SYS_openat if args[2] as i32 & libc::O_CREAT != 0 => ("create", vec![path(args[1])]),
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

fn ptrace(request: libc::c_uint, tid: libc::pid_t, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: `data` is a number, or points to a structure that the caller keeps and whose size `address` says.
    match unsafe { libc::ptrace(request, tid, address, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
