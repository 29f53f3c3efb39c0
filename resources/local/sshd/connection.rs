//! One client: who it is, and what it opens and asks for. Decides, and hands the work to tasks; nothing here waits for a
//! process or a dialled peer, because the whole connection would.

use super::{
    SshdOptions, forward, keys,
    process::{Login, Program, Running},
    pty::Terminal,
    session,
};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, Error, Pty,
    keys::PublicKey,
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::Path,
    sync::Arc,
};

/// Where distributions keep OpenSSH's server of the file protocol.
pub(super) const SFTP_SERVERS: &[&str] =
    &["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];
const NO_SFTP: &str = "no sftp-server on this node: install openssh-sftp-server, or copy with `scp -O` or `tar`\r\n";

/// A session channel on which nothing runs yet.
struct Waiting {
    channel: Channel<Msg>,
    env: BTreeMap<String, String>,
    terminal: Option<Terminal>,
}

pub(super) struct Connection {
    options: Arc<SshdOptions>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    waiting: HashMap<ChannelId, Waiting>,
}

impl Connection {
    pub fn new(options: Arc<SshdOptions>, peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        Connection { options, peer, local, waiting: HashMap::new() }
    }

    fn judge(&self, user: &str, key: &PublicKey) -> Auth {
        let known = user == self.options.user && keys::is_authorized(&self.options.authorized_keys, key);
        if known { Auth::Accept } else { Auth::reject() }
    }

    /// Starts a program on a waiting channel; the channel is used up by it.
    fn start(&mut self, id: ChannelId, program: &Program, session: &mut Session) -> Result<(), Error> {
        let Some(waiting) = self.waiting.remove(&id) else { return session.channel_failure(id) };
        let login = Login { options: &self.options, peer: self.peer, local: self.local, env: &waiting.env };
        match Running::start(program, &login, waiting.terminal.as_ref()) {
            Ok(running) => {
                session.channel_success(id)?;
                tokio::spawn(session::run(waiting.channel, session.handle(), running, waiting.terminal));
                Ok(())
            }
            Err(error) => fail(id, &format!("cannot start a process: {error}\r\n"), session),
        }
    }
}

/// Answers a request with a command that says why on its standard error and fails: clients that are refused outright
/// give up before they show what they were told.
fn fail(id: ChannelId, why: &str, session: &mut Session) -> Result<(), Error> {
    const NOT_FOUND: u32 = 127;
    session.channel_success(id)?;
    session.extended_data(id, 1, format!("cloudtik: {why}").into_bytes())?;
    session.exit_status_request(id, NOT_FOUND)?;
    session.eof(id)?;
    session.close(id)
}

impl Handler for Connection {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        Ok(self.judge(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        Ok(self.judge(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        self.waiting.insert(channel.id(), Waiting { channel, env: BTreeMap::new(), terminal: None });
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        match u16::try_from(port) {
            Ok(port) => drop(tokio::spawn(forward::run(channel, reply, host.to_string(), port))),
            Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Error> {
        self.waiting.remove(&id);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        let Some(waiting) = self.waiting.get_mut(&id) else { return session.channel_failure(id) };
        match Terminal::open(term, columns, rows) {
            Ok(terminal) => {
                waiting.terminal = Some(terminal);
                session.channel_success(id)
            }
            Err(error) => {
                session.extended_data(id, 1, format!("cloudtik: no terminal: {error}\r\n").into_bytes())?;
                session.channel_failure(id) // clients go on without one
            }
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        let language = name == "LANG" || name.starts_with("LC_");
        match self.waiting.get_mut(&id).filter(|_| language && !value.contains('\0') && !name.contains(['\0', '='])) {
            Some(waiting) => {
                waiting.env.insert(name.to_string(), value.to_string());
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        }
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Error> {
        self.start(id, &Program::Line(line.to_vec()), session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.start(id, &Program::Shell, session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        let server = SFTP_SERVERS.iter().find(|path| Path::new(path).exists());
        match (name, server) {
            ("sftp", Some(path)) => self.start(id, &Program::Server(path.into()), session),
            ("sftp", None) => fail(id, NO_SFTP, session),
            _ => session.channel_failure(id),
        }
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_failure(id)
    }
}
