//! Nodes over SSH: the provider-independent [`Host`](cloudtik_core::host::Host) of machines in clouds and on premises, and
//! the kind `connection` that waits until one answers.
//!
//! No SSH program is needed on this side. On the other side a POSIX shell and what comes with it is: commands are run by
//! a few lines of `sh` (see [`wrapper`]), files are written by `cat`. Invariants: a machine that does not show one of its
//! pinned keys is sent nothing; a command dies with the future that runs it, or with this process.

mod apart;
mod auth;
mod client;
mod config;
mod host;
mod host_key;
mod interactive;
mod link;
mod openssh;
mod pool;
mod process;
mod provider;
mod target;
mod transport;
mod wrapper;

pub use config::SshConfig;
pub use host::SshConnector;
pub use openssh::{OpenSsh, openssh};
pub use provider::{KIND, NAME, SshProvider};
pub use target::VIA;
