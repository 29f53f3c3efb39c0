//! One way to reach a node, whatever it is: a namespace, a machine over SSH, a pod.

use crate::{
    failure::{Failure, FailureKind},
    value::Value,
};
use std::{collections::BTreeMap, pin::Pin, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that [`Host::upload_from`] holds and sends at once.
const PIECE: usize = 4 << 20;

/// A program to run on a node. Nothing is interpreted by a shell unless `argv` names one.
#[derive(Clone, Debug, Default)]
pub struct Command {
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// The user's home when unset.
    pub dir: Option<String>,
    /// Written to standard input, which is then closed.
    pub stdin: Vec<u8>,
}

impl Command {
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() }
    }

    /// `script` under `/bin/sh -euc`, with `args` as `$1`, `$2`, ….
    pub fn sh<S: Into<String>>(script: &str, args: impl IntoIterator<Item = S>) -> Self {
        let fixed = ["/bin/sh", "-euc", script, "sh"].map(String::from);
        Command { argv: fixed.into_iter().chain(args.into_iter().map(Into::into)).collect(), ..Command::default() }
    }

    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(key.into(), value.into());
        self
    }

    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    /// The exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A piece of what a running command prints.
#[derive(Clone, Debug)]
pub enum Chunk {
    Out(Vec<u8>),
    Err(Vec<u8>),
}

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A node that can be worked on. Implementations are cheap to share and safe to use from many tasks at once.
#[async_trait::async_trait]
pub trait Host: Send + Sync {
    /// Runs to the end and collects what it prints. An exit code other than 0 is no failure of this call.
    async fn run(&self, command: &Command) -> Result<Output, Failure>;

    /// Runs to the end, handing out output as it comes. Dropping the future ends the command.
    async fn stream(&self, command: &Command, sink: &mut (dyn FnMut(Chunk) + Send)) -> Result<i32, Failure>;

    /// Runs on the caller's own terminal (input, output, size changes); returns the exit code.
    async fn interactive(&self, command: &Command) -> Result<i32, Failure>;

    /// Replaces a file's content at once (write beside it, then rename), making folders as needed. `mode` is octal, as `0o644`.
    async fn upload(&self, path: &str, content: &[u8], mode: u32) -> Result<(), Failure>;

    /// [`Host::upload`] of what `content` yields, however long it is: never more than a piece of it is held.
    ///
    /// Two uploads to one path must not run at once.
    async fn upload_from(
        &self,
        path: &str,
        content: &mut (dyn AsyncRead + Send + Unpin),
        mode: u32,
    ) -> Result<(), Failure> {
        let operation = format!("upload {path}");
        let beside = format!("{path}.uploading");
        let begin = "case $1 in */*) mkdir -p \"${1%/*}\";; esac; : >\"$1\"";
        succeed(&operation, self.run(&Command::sh(begin, [&beside])).await?)?;
        loop {
            let piece = piece(content).await.map_err(|e| {
                Failure::new(FailureKind::Environment, &operation, format!("cannot read what to send: {e}"))
            })?;
            if piece.is_empty() {
                break;
            }
            let append = Command::sh("cat >>\"$1\"", [&beside]).stdin(piece);
            succeed(&operation, self.run(&append).await?)?;
        }
        let publish = "chmod \"$3\" \"$1\"; mv -f \"$1\" \"$2\"";
        let publish = Command::sh(publish, [beside.as_str(), path, &format!("{mode:o}")]);
        succeed(&operation, self.run(&publish).await?)
    }

    /// The content of a file, `None` when there is none.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure>;

    /// A TCP connection made from inside the node.
    async fn connect(&self, host: &str, port: u16) -> Result<Box<dyn Duplex>, Failure>;
}

/// The next bytes of a stream, as many as a piece has; fewer at its end, none after it.
async fn piece(content: &mut (dyn AsyncRead + Send + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; PIECE];
    let mut buffer = ReadBuf::new(&mut bytes);
    while buffer.remaining() > 0 {
        let before = buffer.filled().len();
        std::future::poll_fn(|context| Pin::new(&mut *content).poll_read(context, &mut buffer)).await?;
        if buffer.filled().len() == before {
            break;
        }
    }
    let count = buffer.filled().len();
    bytes.truncate(count);
    Ok(bytes)
}

fn succeed(operation: &str, output: Output) -> Result<(), Failure> {
    match output.code {
        0 => Ok(()),
        code => {
            let said = format!("exit code {code}: {}", output.error_text().trim_end());
            Err(Failure::new(FailureKind::Command, operation, said))
        }
    }
}

/// Turns an instance's recorded `connection` into a [`Host`].
///
/// A connection is a map with a `via` key that names the connector (`local`, `ssh`); the rest is the connector's own.
#[async_trait::async_trait]
pub trait Connector: Send + Sync {
    fn via(&self) -> &'static str;

    async fn connect(&self, connection: &Value) -> Result<Arc<dyn Host>, Failure>;
}
