//! How patient this side is, and where its agent listens.

use std::{path::PathBuf, time::Duration};

#[derive(Clone, Debug)]
pub struct SshConfig {
    /// For a connection to the port, and for what a jump or proxy command needs for it.
    pub connect: Duration,
    /// For keys to be exchanged and a login to be accepted.
    pub login: Duration,
    /// A peer that says nothing for this long is asked whether it lives.
    pub keepalive: Duration,
    /// It is given up when it has not answered this often.
    pub keepalives: usize,
    /// Connections that are being made at once.
    pub simultaneous: usize,
    /// The ssh-agent's socket.
    pub agent: Option<PathBuf>,
    /// How long a new machine may take until it answers.
    pub ready: Duration,
    /// How long a new machine may refuse the key: what installs keys there may still be at work.
    pub refused: Duration,
}

impl Default for SshConfig {
    fn default() -> Self {
        SshConfig {
            connect: Duration::from_secs(10),
            login: Duration::from_secs(30),
            keepalive: Duration::from_secs(4),
            keepalives: 3,
            simultaneous: 50,
            agent: std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from),
            ready: Duration::from_secs(900),
            refused: Duration::from_secs(60),
        }
    }
}
