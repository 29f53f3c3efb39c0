//! An SSH server for a node that has no OpenSSH of its own, so that the path to a node is the one that clouds use.
//!
//! Runs as the user whose commands it runs and changes no identity. Public keys from one file are the only way in; there
//! are no passwords, no certificates, no agent or X11 forwarding, no listening on a client's behalf. Terminal modes that
//! a client asks for are not applied: terminals start with the kernel's.
//!
//! Invariants: a key that is not in the file at the moment of the attempt does not get in; a connection never blocks on
//! one of its channels (see [`backlog`]); whatever a channel started is sent SIGHUP when the channel ends, and reaped.

mod backlog;
mod connection;
mod forward;
mod keys;
mod process;
mod pty;
mod session;
#[cfg(test)]
mod tests;

use crate::relay;
use connection::Connection;
pub use keys::make_key;
use russh::{MethodKind, MethodSet, server};
use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

#[derive(Clone, Debug)]
pub struct SshdOptions {
    /// Where the listener is bound; for messages.
    pub listen: SocketAddr,
    /// An ed25519 key in OpenSSH's format; made when missing.
    pub host_key: PathBuf,
    /// OpenSSH's format, read again at each attempt. Lines with options are passed over: none is implemented, and
    /// ignoring a restriction would lift it.
    pub authorized_keys: PathBuf,
    /// The only name that can log in.
    pub user: String,
    /// Where commands start.
    pub home: PathBuf,
    /// Runs every command, as `shell -c`.
    pub shell: PathBuf,
    /// What commands find in their environment, besides what a login sets.
    pub env: BTreeMap<String, String>,
}

/// A live client answers within this, even when it has nothing to say.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A mute peer is dropped after this, at whatever stage.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);
/// Slows down guessing; the first attempt of every client is a harmless "none".
const REJECTION_PAUSE: Duration = Duration::from_millis(200);

/// Serves on a socket that listens already, until SIGTERM.
///
/// Errors: the host key cannot be read or made.
pub fn serve(listener: TcpListener, options: SshdOptions) -> io::Result<()> {
    let config = config(&options)
        .map_err(|error| io::Error::new(error.kind(), format!("serve ssh on {}: {error}", options.listen)))?;
    let config = Arc::new(config);
    let options = Arc::new(options);
    relay::runtime()?.block_on(relay::serve(listener, move |stream| {
        let (config, options) = (config.clone(), options.clone());
        async move {
            let connection = Connection::new(options, stream.peer_addr().ok(), stream.local_addr().ok());
            // What ends a connection early (a port scan, a vanished client, a wrong key) is no concern of the others.
            if let Ok(running) = server::run_stream(config, stream, connection).await {
                let _ = running.await;
            }
        }
    }))
}

fn config(options: &SshdOptions) -> io::Result<server::Config> {
    Ok(server::Config {
        keys: vec![keys::host_key(&options.host_key)?],
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REJECTION_PAUSE,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 20, // an agent may hold many keys
        keepalive_interval: Some(KEEPALIVE),
        inactivity_timeout: Some(SILENCE_LIMIT),
        nodelay: true,
        ..server::Config::default()
    })
}
