//! The few system calls that rustix leaves to libc. Everything unsafe of the node helper is here.

use rustix::fd::{AsFd, AsRawFd};
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether this process was found to have one thread only, when it was asked.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Looks that this is the process's only thread, which [`fork`] demands.
///
/// Asked once, at the start: a helper makes no thread before its last fork, and inside a node `/proc` may not show it.
pub fn alone() -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads must not fork"));
    }
    ALONE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Runs `body` in a forked child, which ends with the code it returns; the child's number, as this process sees it.
///
/// Refused unless [`alone`] has agreed: with more threads, a fork could leave locks held for ever.
pub fn fork(body: impl FnOnce() -> u8) -> io::Result<i32> {
    if !ALONE.load(Ordering::Relaxed) {
        return Err(io::Error::other("a process that may have several threads must not fork"));
    }
    // SAFETY: `alone` has seen that this is the only thread, so the child may run any code.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => leave(std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(70)),
        pid => Ok(pid),
    }
}

/// Waits for a forked child to end. A zombie in a PID namespace keeps the whole namespace from ending.
pub fn reap(pid: i32) -> io::Result<()> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    loop {
        match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends the process at once: a forked child must not run its parent's exit handlers.
pub fn leave(code: u8) -> ! {
    // SAFETY: `_exit` is safe to call at any time and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// Lets the kernel reap this process's children, adopted ones too; `false` goes back to the default.
pub fn ignore_children(ignore: bool) {
    let action = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: both dispositions are plain constants; no handler of ours runs.
    unsafe { libc::signal(libc::SIGCHLD, action) };
}

/// Gives every signal its default action and an empty mask, as a program that a user starts expects.
pub fn default_signals() {
    // SAFETY: the set is initialised by `sigemptyset` before use; only default dispositions are installed.
    unsafe {
        for signal in 1..=31 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Sleeps until a signal ends the process.
pub fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: `pause` has no preconditions.
        unsafe { libc::pause() };
    }
}

/// Makes the mount at `path` and all below it read-only for this mount namespace.
pub fn read_only(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: an all-zero `mount_attr` is valid; it means "change nothing".
    let mut attributes = unsafe { std::mem::zeroed::<libc::mount_attr>() };
    attributes.attr_set = libc::MOUNT_ATTR_RDONLY;
    // SAFETY: the path is a terminated string and the structure lives through the call, with its true size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `terminal` the controlling terminal of this session leader.
pub fn take_terminal(terminal: impl AsFd) -> io::Result<()> {
    rustix::process::ioctl_tiocsctty(terminal.as_fd()).map_err(io::Error::from)
}

/// Closes every descriptor above standard error but `keep`: those that a fork inherited from frames it never returns to.
///
/// Whatever the caller itself still owns must be in `keep`.
pub fn close_others(keep: &[&dyn AsRawFd]) {
    let keep: Vec<i32> = keep.iter().map(|fd| fd.as_raw_fd()).collect();
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .map(|all| all.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !keep.contains(fd)) {
        // SAFETY: called between fork and the life of a pause process, which uses none of these descriptors again;
        // closing a number that is not open only fails.
        unsafe { libc::close(fd) };
    }
}
