//! One connection to one machine, shared by everything that is done there.

use crate::{
    auth,
    client::{Broken, Client, Facts, describe},
    config::SshConfig,
    host_key,
    target::Route,
    transport::{self, Transport, unreachable},
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::Duplex,
};
use russh::{
    Channel, ChannelOpenFailure, Preferred,
    client::{self, Handle, Msg},
    keys::PublicKey,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// OpenSSH allows ten sessions on a connection (`MaxSessions`); two are left for ending what runs in the others.
const SESSIONS: usize = 8;
/// How long a server that allows fewer is asked again, while others of ours end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Link {
    handle: Handle<Client>,
    facts: Facts,
    sessions: Arc<Semaphore>,
    pub name: String,
    pub peer: Option<IpAddr>,
}

/// A session on a link, and the right to have it.
pub(crate) struct Session {
    pub channel: Channel<Msg>,
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Link {
    /// Connects, checks the machine's key and logs in. Nothing but the protocol's greeting is sent to another machine.
    pub async fn new(
        route: &Route,
        pinned: &[PublicKey],
        via: Option<&Arc<Link>>,
        config: &SshConfig,
    ) -> Result<Link, Failure> {
        let Transport { stream, peer, complaint } = transport::open(route, via, config).await?;
        let operation = format!("connect to {}", route.name());
        let facts = Facts::default();
        let client = Client { pinned: pinned.to_vec(), facts: facts.clone() };
        let entering = async {
            let greeted = client::connect_stream(Arc::new(protocol(pinned, config)), stream, client).await;
            let mut handle = greeted.map_err(|broken| refused(&operation, &broken, pinned))?;
            auth::log_in(&mut handle, route, config.agent.as_deref()).await?;
            Ok(handle)
        };
        let entered = tokio::time::timeout(config.login, entering).await.unwrap_or_else(|_| {
            Err(unreachable(&operation, format!("no login within {} s", config.login.as_secs_f32())))
        });
        let handle = match entered {
            Ok(handle) => handle,
            Err(mut failure) => {
                if failure.kind == FailureKind::Unreachable {
                    failure.message.push_str(&complaint.text().await);
                }
                return Err(failure);
            }
        };
        Ok(Link { handle, facts, sessions: Arc::new(Semaphore::new(SESSIONS)), name: route.name(), peer })
    }

    pub fn is_alive(&self) -> bool {
        !self.handle.is_closed()
    }

    /// The key that the machine proved to hold.
    pub fn key(&self) -> Option<&PublicKey> {
        self.facts.key()
    }

    /// The connection as lost; says why, when that is known.
    pub fn lost(&self, operation: &str) -> Failure {
        let why = self.facts.end().unwrap_or_else(|| "the connection ended".into());
        unreachable(operation, format!("{} was lost: {why}", self.name))
    }

    /// A session for a command, once fewer than the allowed number run.
    pub async fn session(&self) -> Result<Session, Failure> {
        // The semaphore lives as long as the link and is never closed.
        let permit = self.sessions.clone().acquire_owned().await.ok();
        Ok(Session { channel: self.open().await?, permit })
    }

    /// A session beside those that are counted: for ending what runs in one of them.
    pub async fn extra_session(&self) -> Result<Session, Failure> {
        Ok(Session { channel: self.open().await?, permit: None })
    }

    async fn open(&self) -> Result<Channel<Msg>, Failure> {
        let operation = format!("open a session on {}", self.name);
        let asked = tokio::time::Instant::now();
        loop {
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok(channel),
                Err(russh::Error::ChannelOpenFailure(why)) => {
                    let others = self.sessions.available_permits() + 1 < SESSIONS;
                    if !others || asked.elapsed() > PATIENCE {
                        let message = format!("it allows no more sessions: {}", opening(&why));
                        return Err(Failure::new(FailureKind::Exhausted, operation, message));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(_) => return Err(self.lost(&operation)),
            }
        }
    }

    /// A TCP connection from the machine to somewhere.
    pub async fn dial(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure> {
        let operation = format!("connect from {} to {host}:{port}", self.name);
        match self.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await {
            Ok(channel) => Ok(Box::new(channel.into_stream())),
            Err(russh::Error::ChannelOpenFailure(why @ ChannelOpenFailure::AdministrativelyProhibited)) => {
                Err(Failure::new(FailureKind::Denied, operation, opening(&why))
                    .hint("its sshd_config needs `AllowTcpForwarding yes`"))
            }
            Err(russh::Error::ChannelOpenFailure(why)) => Err(unreachable(&operation, opening(&why))),
            Err(_) => Err(self.lost(&operation)),
        }
    }
}

fn opening(why: &ChannelOpenFailure) -> String {
    match why {
        ChannelOpenFailure::AdministrativelyProhibited => "it is not allowed there".into(),
        ChannelOpenFailure::ConnectFailed => "nothing answers there".into(),
        ChannelOpenFailure::UnknownChannelType => "the server does not know how".into(),
        ChannelOpenFailure::ResourceShortage => "the server is short of resources".into(),
        ChannelOpenFailure::Other { reason, .. } => reason.clone(),
    }
}

fn protocol(pinned: &[PublicKey], config: &SshConfig) -> client::Config {
    client::Config {
        keepalive_interval: Some(config.keepalive),
        keepalive_max: config.keepalives,
        preferred: Preferred { key: host_key::algorithms(pinned), ..Preferred::DEFAULT },
        ..client::Config::default()
    }
}

fn refused(operation: &str, broken: &Broken, pinned: &[PublicKey]) -> Failure {
    match broken {
        Broken::Key(key) => host_key::changed(operation.into(), &host_key::fingerprint(key), pinned),
        Broken::Protocol(russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, theirs, .. })
            if !pinned.is_empty() =>
        {
            host_key::changed(operation.into(), &format!("one of {}", theirs.join(", ")), pinned)
        }
        Broken::Certificate | Broken::Protocol(russh::Error::NoCommonAlgo { .. }) => {
            Failure::new(FailureKind::Denied, operation, describe(broken))
        }
        Broken::Protocol(_) => unreachable(operation, describe(broken)),
    }
}
