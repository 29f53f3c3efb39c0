//! Our side of the node helper: starts it, speaks with it, and waits until it is done.

use crate::{
    helper::{
        self,
        protocol::{Answer, Done, Entry, Launch, Question, Reply},
    },
    process::Process,
    wire::{self, Fault, Step},
};
use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// In the environment of everything that a workspace starts: its folder, or the node's folder in it.
///
/// It finds processes whose record is lost.
pub const MARK: &str = "CLOUDTIK_LOCAL";

/// The program that serves hidden subcommands.
#[derive(Clone, Debug)]
pub struct Helper {
    pub program: PathBuf,
}

/// A helper at work; its socket is its lifeline.
struct Running {
    child: Child,
    control: UnixStream,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A helper whose socket is closed ends by itself; not waiting here would leave a zombie behind.
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

impl Helper {
    /// The command that starts the helper with `theirs` as its lifeline.
    pub fn command(&self, verb: &str, mark: Option<&str>, theirs: OwnedFd) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).env_clear().envs(mark.map(|m| (MARK, m))).current_dir("/");
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
    }

    fn start(&self, verb: &str, mark: Option<&str>) -> Result<Running, Fault> {
        let (control, theirs) = UnixStream::pair().step("make a socket pair")?;
        let child = self.command(verb, mark, theirs.into()).spawn();
        let child = child.step(&format!("start the node helper {}", self.program.display()))?;
        Ok(Running { child, control })
    }

    /// Makes a lasting process. `born` writes it down; the process ends by itself unless that succeeds.
    pub fn launch(
        &self,
        launch: &Launch,
        mark: &str,
        born: impl FnOnce(Process, Option<u16>) -> io::Result<()>,
    ) -> Result<Process, Fault> {
        let running = self.start(helper::LAUNCH, Some(mark))?;
        let (process, port) = running.launched(launch)?;
        born(process, port).step("write the new process down")?;
        wire::send(&running.control, &(), b"").step("release the new process")?;
        match running.reply()? {
            Reply::Ready => Ok(process),
            Reply::Failed(fault) => Err(fault),
            Reply::Born { .. } => Err(io::Error::from(io::ErrorKind::InvalidData)).step("release the new process"),
        }
    }

    /// Makes a process and keeps it only as long as the returned guard lives.
    pub fn rehearse(&self, launch: &Launch, mark: &str) -> Result<Rehearsal, Fault> {
        let running = self.start(helper::LAUNCH, Some(mark))?;
        let (process, _) = running.launched(launch)?;
        Ok(Rehearsal { process, _running: running })
    }

    pub fn ask(&self, question: &Question) -> Result<Answer, Fault> {
        let running = self.start(helper::ASK, None)?;
        wire::send(&running.control, question, b"").step("ask the node helper")?;
        match wire::receive(&running.control).step("wait for the node helper")?.0 {
            Answer::Failed(fault) => Err(fault),
            answer => Ok(answer),
        }
    }

    /// Work in a node that hands a descriptor back; the socket is the lifeline of what goes on behind it.
    pub fn open(&self, entry: &Entry, mark: &str) -> Result<(OwnedFd, Lifeline), Fault> {
        let running = self.start(helper::ENTER, Some(mark))?;
        wire::send(&running.control, entry, b"").step("ask the node helper")?;
        match done(&running.control)?.0 {
            Done::Descriptor => {}
            _ => return Err(io::Error::from(io::ErrorKind::InvalidData)).step("wait for the descriptor"),
        }
        let descriptor = wire::receive_descriptors(&running.control).step("take the descriptor")?.pop();
        let descriptor = descriptor.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof)).step("take the descriptor")?;
        Ok((descriptor, Lifeline(running)))
    }
}

/// A process that ends when this is dropped.
pub struct Rehearsal {
    pub process: Process,
    _running: Running,
}

/// Keeps the work behind a descriptor alive.
pub struct Lifeline(Running);

impl Lifeline {
    /// How the work ended.
    pub fn wait(&self) -> Result<Done, Fault> {
        done(&self.0.control).map(|(done, _)| done)
    }

    pub fn socket(&self) -> &UnixStream {
        &self.0.control
    }
}

/// The helper's answer; its own failure is an error.
pub fn done(control: &UnixStream) -> Result<(Done, Vec<u8>), Fault> {
    match wire::receive(control).step("wait for the node helper")? {
        (Done::Failed(fault), _) => Err(fault),
        answer => Ok(answer),
    }
}

impl Running {
    fn launched(&self, launch: &Launch) -> Result<(Process, Option<u16>), Fault> {
        wire::send(&self.control, launch, b"").step("ask the node helper")?;
        match self.reply()? {
            Reply::Born { pid, port } => Ok((Process::of(pid).step("look at the new process")?, port)),
            Reply::Failed(fault) => Err(fault),
            Reply::Ready => Err(io::Error::from(io::ErrorKind::InvalidData)).step("wait for the new process"),
        }
    }

    fn reply(&self) -> Result<Reply, Fault> {
        Ok(wire::receive(&self.control).step("wait for the node helper")?.0)
    }
}
