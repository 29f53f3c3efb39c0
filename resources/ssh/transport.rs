//! What a connection runs over: TCP, the standard streams of a proxy command, or a channel of another connection.

use crate::{config::SshConfig, link::Link, target::Route};
use cloudtik_core::{
    failure::{Failure, FailureKind, Retry},
    host::Duplex,
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io,
    net::IpAddr,
    pin::Pin,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::watch,
};

/// How much of what a proxy command complains about is kept.
const COMPLAINT: usize = 2000;
/// How long one that failed is listened to.
const HEARING: Duration = Duration::from_secs(1);

pub(crate) struct Transport {
    pub stream: Box<dyn Duplex>,
    /// Where the machine answered, when it was asked directly.
    pub peer: Option<IpAddr>,
    /// What the proxy command says on its standard error.
    pub complaint: Complaint,
}

#[derive(Default)]
pub(crate) struct Complaint {
    said: Arc<Mutex<Vec<u8>>>,
    /// Closed once everything was said.
    listening: Option<watch::Receiver<()>>,
}

impl Complaint {
    /// `; the proxy command says: …`, or nothing.
    pub async fn text(&self) -> String {
        if let Some(mut listening) = self.listening.clone() {
            // It may go on running, with nothing to say.
            let _ = tokio::time::timeout(HEARING, listening.changed()).await;
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match String::from_utf8_lossy(&said).trim() {
            "" => String::new(),
            text => format!("; the proxy command says: {text}"),
        }
    }
}

/// Opens the way to the machine at the end of `route`. `via` is the connection to its jump machine.
pub(crate) async fn open(route: &Route, via: Option<&Arc<Link>>, config: &SshConfig) -> Result<Transport, Failure> {
    let operation = format!("connect to {}", route.name());
    let opening = async {
        match (via, &route.proxy_command) {
            (Some(jump), _) => {
                let stream = jump.dial(&route.host, route.port).await?;
                Ok(Transport { stream, peer: None, complaint: Complaint::default() })
            }
            (None, Some(command)) => proxy(command, route).map_err(|e| {
                Failure::new(FailureKind::Environment, &operation, format!("cannot start the proxy command: {e}"))
            }),
            (None, None) => tcp(route).await.map_err(|e| unreachable(&operation, e.to_string())),
        }
    };
    match tokio::time::timeout(config.connect, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(unreachable(&operation, format!("no answer within {} s", config.connect.as_secs_f32()))),
    }
}

pub(crate) fn unreachable(operation: &str, message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Unreachable, operation, message).retry(Retry::Backoff)
}

async fn tcp(route: &Route) -> io::Result<Transport> {
    let stream = TcpStream::connect((route.host.as_str(), route.port)).await?;
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr().ok().map(|address| address.ip());
    Ok(Transport { stream: Box::new(stream), peer, complaint: Complaint::default() })
}

fn proxy(command: &str, route: &Route) -> io::Result<Transport> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("exec {}", expand(command, route))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Of its own: Ctrl-C at the terminal is for us, who still have to finish what runs over it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("it has no standard streams");
    let (input, output) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
    let mut complaint = Complaint::default();
    if let Some(from) = child.stderr.take() {
        let (open, listening) = watch::channel(());
        complaint.listening = Some(listening);
        let said = complaint.said.clone();
        tokio::spawn(async move {
            listen(from, &said).await;
            drop(open);
        });
    }
    Ok(Transport { stream: Box::new(Piped { child, input, output }), peer: None, complaint })
}

/// `%h`, `%p` and `%r` by the host, port and user; `%%` by `%`.
fn expand(command: &str, route: &Route) -> String {
    let mut text = String::new();
    let mut rest = command.chars();
    while let Some(c) = rest.next() {
        match (c, c == '%').1.then(|| rest.next()).flatten() {
            None => text.push(c),
            Some('h' | 'n') => text.push_str(&route.host),
            Some('p') => text.push_str(&route.port.to_string()),
            Some('r') => text.push_str(&route.user),
            Some('%') => text.push('%'),
            Some(other) => text.extend(['%', other]),
        }
    }
    text
}

async fn listen(mut from: ChildStderr, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 512];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let mut kept = said.lock().unwrap_or_else(PoisonError::into_inner);
        let room = COMPLAINT.saturating_sub(kept.len());
        kept.extend(&buffer[..n.min(room)]);
    }
}

/// A proxy command's standard streams; it ends with them.
struct Piped {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Drop for Piped {
    fn drop(&mut self) {
        // The shell is killed on drop; what it started is in its group.
        if let Some(group) = self.child.id().and_then(|id| Pid::from_raw(id as i32)) {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, to)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_command_is_filled_in_as_openssh_does() {
        let route = Route {
            host: "10.0.0.4".into(),
            port: 2222,
            user: "ubuntu".into(),
            key: None,
            proxy_command: None,
            jump: None,
        };
        assert_eq!(expand("nc -x p:1 %h %p # %r 100%% %q %", &route), "nc -x p:1 10.0.0.4 2222 # ubuntu 100% %q %");
    }
}
