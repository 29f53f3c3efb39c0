//! A channel's process: started as the leader of a session of its own, hung up with all its offspring.

use super::{SshdOptions, pty::Terminal};
use russh::Sig;
use rustix::process::{Pid, Signal, ioctl_tiocsctty, kill_process_group, setsid};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    net::SocketAddr,
    os::{
        fd::BorrowedFd,
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::Path,
    process::{ExitStatus, Stdio},
};
use tokio::process::{Child, Command};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a client asks to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A login shell.
    Shell,
    /// A line for the shell.
    Line(Vec<u8>),
    /// A program by itself.
    Server(OsString),
}

/// What a process is told about its login.
pub(super) struct Login<'a> {
    pub options: &'a SshdOptions,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// What the client was allowed to set.
    pub env: &'a BTreeMap<String, String>,
}

/// A process group that gets SIGHUP when this is dropped, unless its leader was seen to end.
pub(super) struct Running {
    pub child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::HUP);
    }
}

impl Running {
    pub fn start(program: &Program, login: &Login<'_>, terminal: Option<&Terminal>) -> io::Result<Running> {
        let mut command = command(program, &login.options.shell);
        command.env_clear().envs(environment(login, terminal));
        let home = &login.options.home;
        command.current_dir(if home.is_dir() { home } else { Path::new("/") });
        attach(&mut command, terminal)?;
        let child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        Ok(Running { child, group })
    }

    /// Waits for the leader's end. The rest of its group is left alone, as after any logout.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group = None; // the number may now be another's
        Ok(status)
    }

    /// Sends a signal to the whole group. Whoever is gone already needs none.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

fn command(program: &Program, shell: &Path) -> Command {
    let mut command;
    match program {
        Program::Shell => {
            command = Command::new(shell);
            let name = shell.file_name().unwrap_or(OsStr::new("sh"));
            command.arg0([OsStr::new("-"), name].into_iter().collect::<OsString>()); // a login shell, by custom
        }
        Program::Line(line) => {
            command = Command::new(shell);
            command.arg("-c").arg(OsStr::from_bytes(line));
        }
        Program::Server(path) => command = Command::new(path),
    }
    command
}

fn environment(login: &Login<'_>, terminal: Option<&Terminal>) -> BTreeMap<String, String> {
    let options = login.options;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut env = BTreeMap::from([("PATH".to_string(), PATH.to_string())]);
    env.extend(options.env.clone());
    env.extend(login.env.clone());
    env.extend([("HOME", text(&options.home)), ("SHELL", text(&options.shell))].map(own));
    env.extend([("USER", options.user.clone()), ("LOGNAME", options.user.clone())].map(own));
    if let (Some(peer), Some(local)) = (login.peer, login.local) {
        let connection = format!("{} {} {} {}", peer.ip(), peer.port(), local.ip(), local.port());
        env.extend([("SSH_CONNECTION", connection)].map(own));
    }
    if let Some(terminal) = terminal {
        env.extend([("TERM", terminal.term.clone()), ("SSH_TTY", terminal.name.clone())].map(own));
    }
    env
}

fn own((name, value): (&str, String)) -> (String, String) {
    (name.to_string(), value)
}

fn attach(command: &mut Command, terminal: Option<&Terminal>) -> io::Result<()> {
    let Some(terminal) = terminal else {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let lead = || {
            heed_signals();
            Ok(setsid().map(drop)?)
        };
        // SAFETY: only system calls between fork and exec.
        unsafe { command.pre_exec(lead) };
        return Ok(());
    };
    let slave = terminal.slave()?;
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    let take_terminal = || {
        heed_signals();
        setsid()?;
        // SAFETY: standard input was just made from the slave side.
        let input = unsafe { BorrowedFd::borrow_raw(0) };
        Ok(ioctl_tiocsctty(input)?)
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(take_terminal) };
    Ok(())
}

/// Takes every signal's default again: a server that was started in the background ignores Ctrl-C, its shells must not.
fn heed_signals() {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: sets no handler. It fails for the two signals that are never ignored and those that the C library
        // keeps to itself.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// The signal that a client means; none that SSH does not name.
pub(super) fn number(sig: &Sig) -> Option<Signal> {
    Some(match sig {
        Sig::ABRT => Signal::ABORT,
        Sig::ALRM => Signal::ALARM,
        Sig::FPE => Signal::FPE,
        Sig::HUP => Signal::HUP,
        Sig::ILL => Signal::ILL,
        Sig::INT => Signal::INT,
        Sig::KILL => Signal::KILL,
        Sig::PIPE => Signal::PIPE,
        Sig::QUIT => Signal::QUIT,
        Sig::SEGV => Signal::SEGV,
        Sig::TERM => Signal::TERM,
        Sig::USR1 => Signal::USR1,
        Sig::Custom(name) if name == "USR2" => Signal::USR2,
        Sig::Custom(_) => return None,
    })
}

/// How SSH names a signal's number; RFC 4254 has a form for names of our own.
fn name(raw: i32) -> Sig {
    use Sig::*;
    let named = [ABRT, ALRM, FPE, HUP, ILL, INT, KILL, PIPE, QUIT, SEGV, TERM, USR1, Custom("USR2".to_string())];
    let mut named = named.into_iter();
    let found = named.find(|sig| number(sig).is_some_and(|signal| signal.as_raw() == raw));
    found.unwrap_or_else(|| Custom(format!("{raw}@cloudtik")))
}

/// The signal that ended a process, and whether it left a core.
pub(super) fn fatal_signal(status: ExitStatus) -> Option<(Sig, bool)> {
    status.signal().map(|number| (name(number), status.core_dumped()))
}
