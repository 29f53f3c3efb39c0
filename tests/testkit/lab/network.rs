//! Which network a server of the laboratory is in, and how the test reaches it there.

use rustix::{
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{ffi::OsString, io, net::TcpStream, os::fd::AsFd, path::PathBuf, process::Command, thread};

/// The machine's own network, or a namespace with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    Machine,
    Namespace(String),
}

impl Network {
    /// A command that runs in this network.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        match self {
            Network::Machine => Command::new(program.into()),
            Network::Namespace(_) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", self.path().display())).arg(program.into());
                command
            }
        }
    }

    pub(super) fn connect(&self, port: u16) -> io::Result<TcpStream> {
        let dial = move || TcpStream::connect(("127.0.0.1", port));
        if *self == Network::Machine {
            return dial();
        }
        let path = self.path();
        // A socket stays in the namespace of the thread that made it; that thread is of no other use afterwards.
        let inside = thread::spawn(move || {
            let namespace = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            dial()
        });
        inside.join().expect("the thread returns its errors")
    }

    fn path(&self) -> PathBuf {
        match self {
            Network::Machine => PathBuf::from("/proc/self/ns/net"),
            Network::Namespace(name) => PathBuf::from("/run/netns").join(name),
        }
    }
}
