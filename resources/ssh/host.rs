//! Working on a machine over SSH.

use crate::{
    apart::Apart,
    config::SshConfig,
    interactive,
    link::{Link, Session},
    pool::Pool,
    process,
    target::{Target, VIA},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::{Chunk, Command, Connector, Duplex, Host, Output},
    value::Value,
};
use std::sync::{Arc, Mutex, PoisonError};

/// `PATH MODE`: replaces a file by what is on standard input. The shell's own redirection makes the file, readable for
/// its owner alone until it is whole.
const UPLOAD: &str = "case $1 in */*) d=${1%/*} ;; *) d=. ;; esac
mkdir -p -- \"${d:-/}\"
if [ -d \"$1\" ]; then echo 'it is a folder' >&2; exit 1; fi
umask 077; t=$(mktemp \"$d/.cloudtik-XXXXXX\"); trap 'rm -f -- \"$t\"' EXIT
cat >\"$t\"; chmod \"$2\" \"$t\"; mv -f -- \"$t\" \"$1\"";

/// Reaches machines over SSH; all that it reached share one connection each.
#[derive(Clone)]
pub struct SshConnector {
    pub(crate) pool: Arc<Pool>,
}

impl SshConnector {
    pub fn new(config: SshConfig) -> Self {
        SshConnector { pool: Arc::new(Pool::new(config)) }
    }
}

#[async_trait]
impl Connector for SshConnector {
    fn via(&self) -> &'static str {
        VIA
    }

    async fn connect(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure> {
        let host = SshHost { pool: self.pool.clone(), target: Mutex::new(Target::of(connection)?) };
        host.link().await?;
        Ok(Arc::new(host))
    }
}

struct SshHost {
    pool: Arc<Pool>,
    /// A key that is learnt at the first contact is pinned here, for as long as this lives.
    target: Mutex<Target>,
}

impl SshHost {
    async fn link(&self) -> Result<Arc<Link>, Failure> {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let link = self.pool.link(&target).await?;
        if target.host_keys.is_empty() {
            let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
            target.host_keys.extend(link.key().cloned());
        }
        Ok(link)
    }

    /// A session on a live connection: one that was lost since its last use is made again.
    async fn session(&self) -> Result<(Arc<Link>, Session), Failure> {
        let link = self.link().await?;
        match link.session().await {
            Ok(session) => Ok((link, session)),
            Err(_) if !link.is_alive() => {
                let link = self.link().await?;
                let session = link.session().await?;
                Ok((link, session))
            }
            Err(failure) => Err(failure),
        }
    }

    /// A small command of ours, whose messages are read by us.
    async fn ours(&self, command: Command) -> Result<Output, Failure> {
        self.run(&command.env("LC_ALL", "C")).await
    }
}

#[async_trait]
impl Host for SshHost {
    async fn run(&self, command: &Command) -> Result<Output, Failure> {
        let (link, session) = self.session().await?;
        process::collect(&link, session, command).await
    }

    async fn stream(&self, command: &Command, sink: &mut (dyn FnMut(Chunk) + Send)) -> Result<i32, Failure> {
        let (link, session) = self.session().await?;
        process::run(&link, session, command, sink).await
    }

    async fn interactive(&self, command: &Command) -> Result<i32, Failure> {
        let (link, session) = self.session().await?;
        interactive::run(&link, session, command).await
    }

    async fn upload(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Failure> {
        let mode = format!("{mode:o}");
        let output = self.ours(Command::sh(UPLOAD, [path, &mode]).stdin(content)).await?;
        match output.code {
            0 => Ok(()),
            _ => Err(failed(format!("write {path}"), &output)),
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let output = self.ours(Command::new(["cat", "--", path])).await?;
        let said = output.error_text();
        match output.code {
            0 => Ok(Some(output.stdout)),
            _ if said.contains("No such file or directory") || said.contains("Not a directory") => Ok(None),
            _ => Err(failed(format!("read {path}"), &output)),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure> {
        // Other machines' connections are always read; what a user forwards may not be.
        Ok(Box::new(Apart::new(self.link().await?.dial(host, port).await?)))
    }
}

/// What went wrong with a file, by what the C library calls it.
pub(crate) fn failed(operation: String, output: &Output) -> Failure {
    let said = output.error_text();
    let said = said.trim();
    let kind = match said {
        _ if said.contains("Permission denied") || said.contains("Read-only file system") => FailureKind::Denied,
        _ if said.contains("No space left") || said.contains("quota exceeded") => FailureKind::Exhausted,
        _ => FailureKind::Command,
    };
    let message = if said.is_empty() { format!("exit code {}", output.code) } else { said.to_owned() };
    Failure::new(kind, operation, message)
}
