//! Runs one program where the calling process has already entered, and watches it until one of both sides ends.

use super::protocol::{Done, Program};
use crate::{
    sys,
    wire::{self, Fault, Step},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::MemfdFlags,
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, setsid, waitpid},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::{self, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
};

/// Where a program reads and writes.
pub struct Streams {
    pub input: OwnedFd,
    pub output: OwnedFd,
    pub error: OwnedFd,
    /// All three are a terminal, to be the program's own.
    pub terminal: bool,
}

/// Bytes as a file that is read to its end.
pub fn input(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// A new terminal: our side, and the program's streams.
pub fn terminal(rows: u16, columns: u16) -> io::Result<(OwnedFd, Streams)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    tcsetwinsize(&ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    let (input, output) = (theirs.try_clone()?, theirs.try_clone()?);
    Ok((ours, Streams { input, output, error: theirs, terminal: true }))
}

/// Runs `program` to its end; its exit code, 128 + the signal's number when one ended it.
///
/// When the other side of `control` goes away, the program's process group is killed.
pub fn run(control: &UnixStream, program: &Program, streams: Streams) -> Result<Done, Fault> {
    sys::ignore_children(false);
    let child = sys::fork(|| become_program(program, &streams)).step("fork the command")?;
    drop(streams);
    let pid = Pid::from_raw(child).expect("fork returns a positive number");
    let watch = pidfd_open(pid, PidfdFlags::empty()).step("watch the command")?;
    let abandoned = watch_both(&watch, control).step("wait for the command")?;
    if abandoned {
        match kill_process_group(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error).step("end the command"),
        }
    }
    let status = loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).step("wait for the command"),
        }
    };
    let code = status.exit_status().or(status.terminating_signal().map(|s| 128 + s)).unwrap_or(255);
    Ok(Done::Exit(code))
}

/// Waits for either to end; whether it was the control socket.
fn watch_both(program: impl AsFd, control: &UnixStream) -> io::Result<bool> {
    loop {
        let mut both = [PollFd::new(&program, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
        match poll(&mut both, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            // Nothing is ever sent on the control socket after the request: to be readable is to be at its end.
            Ok(_) if !both[0].revents().is_empty() => return Ok(false),
            Ok(_) => return Ok(true),
        }
    }
}

/// In the forked child: never returns when the program could be started.
fn become_program(program: &Program, streams: &Streams) -> u8 {
    let prepared = || -> io::Result<()> {
        setsid()?;
        if streams.terminal {
            sys::take_terminal(&streams.input)?;
        }
        rustix::stdio::dup2_stdin(&streams.input)?;
        rustix::stdio::dup2_stdout(&streams.output)?;
        rustix::stdio::dup2_stderr(&streams.error)?;
        sys::default_signals();
        std::env::set_current_dir(&program.dir)
    };
    let failed = |what: &str, error: &io::Error| {
        // The program's own standard error, which is all that there is to say it on.
        let _ = writeln!(io::stderr(), "{what}: {error}");
    };
    if let Err(error) = prepared() {
        failed(&program.dir.to_string_lossy(), &error);
        return 126;
    }
    let Some((name, args)) = program.argv.split_first() else { return 127 };
    let error = Command::new(name).args(args).env_clear().envs(&program.env).exec();
    failed(name, &error);
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Hands a descriptor to the other side.
pub fn hand_over(control: &UnixStream, descriptor: &dyn AsFd) -> Result<(), Fault> {
    wire::send(control, &Done::Descriptor, b"").step("answer")?;
    wire::send_descriptors(control, &[descriptor]).step("pass the descriptor")
}
