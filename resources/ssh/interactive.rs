//! A command on the caller's own terminal, through a terminal over there.

use crate::{
    link::{Link, Session},
    process, wrapper,
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::{Chunk, Command},
};
use cloudtik_terminal as terminal;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client::Msg};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream as Socket,
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::OwnedReadHalf},
    sync::mpsc,
};

/// Runs to the end; the exit code. Without a terminal, standard input is read to its end first.
pub(crate) async fn run(link: &Arc<Link>, session: Session, command: &Command) -> Result<i32, Failure> {
    if terminal::is_there() {
        return on_terminal(link, session, command).await;
    }
    let operation = "read standard input";
    let rest = tokio::task::spawn_blocking(|| {
        let mut all = Vec::new();
        io::stdin().lock().read_to_end(&mut all).map(|_| all)
    });
    let rest = rest.await.map_err(io::Error::other).and_then(|read| read);
    let mut command = command.clone();
    command.stdin.extend(rest.map_err(|e| Failure::new(FailureKind::Environment, operation, e.to_string()))?);
    process::run(link, session, &command, &mut |chunk| {
        // A reader that went away is no concern of the command.
        let _ = match chunk {
            Chunk::Out(bytes) => io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()),
            Chunk::Err(bytes) => io::stderr().write_all(&bytes),
        };
    })
    .await
}

async fn on_terminal(link: &Arc<Link>, session: Session, command: &Command) -> Result<i32, Failure> {
    let operation = format!("open a terminal on {}", link.name);
    let lost = || link.lost(&operation);
    let broken = |e: io::Error| Failure::new(FailureKind::Environment, &operation, e.to_string());
    let line = wrapper::line(command)?;
    let (mut from, to) = session.channel.split();
    let (rows, columns) = terminal::size();
    let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm".into());
    to.request_pty(true, &kind, columns.into(), rows.into(), 0, 0, &[]).await.map_err(|_| lost())?;
    to.exec(true, line.into_bytes()).await.map_err(|_| lost())?;

    let (near, far) = Socket::pair().map_err(broken)?;
    near.set_nonblocking(true).map_err(broken)?;
    let (typed, mut shown) = UnixStream::from_std(near).map_err(broken)?.into_split();
    let (resized, sizes) = mpsc::unbounded_channel();
    let relay = tokio::task::spawn_blocking(move || {
        terminal::relay(&far, &far, |rows, columns| {
            // Nobody listens any more when the command has ended.
            let _ = resized.send((rows, columns));
            Ok(())
        })
    });
    let mut end = None;
    {
        let sending = send(&to, typed, sizes);
        tokio::pin!(sending);
        loop {
            let message = tokio::select! {
                () = &mut sending => break,
                message = from.wait() => message,
            };
            match message {
                Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                    if shown.write_all(&data).await.is_err() {
                        break;
                    }
                }
                other => match ended(other) {
                    Told::Code(code) => end = Some(code),
                    Told::Over => break,
                    Told::Nothing => {}
                },
            }
        }
    }
    // The terminal is the caller's again before anything else is said.
    drop(shown);
    let _ = to.close().await;
    relay.await.map_err(io::Error::other).and_then(|done| done).map_err(broken)?;
    match end {
        Some(code) => Ok(code),
        None => drain(&mut from).await.ok_or_else(lost),
    }
}

enum Told {
    Code(i32),
    Over,
    Nothing,
}

fn ended(message: Option<ChannelMsg>) -> Told {
    match message {
        Some(ChannelMsg::ExitStatus { exit_status }) => Told::Code(exit_status as i32),
        Some(ChannelMsg::ExitSignal { signal_name, .. }) => Told::Code(128 + process::number(&signal_name)),
        Some(ChannelMsg::Close) | None => Told::Over,
        Some(_) => Told::Nothing,
    }
}

/// How a command ended whose terminal went away first.
async fn drain(from: &mut ChannelReadHalf) -> Option<i32> {
    loop {
        match ended(from.wait().await) {
            Told::Code(code) => return Some(code),
            Told::Over => return None,
            Told::Nothing => {}
        }
    }
}

/// Passes on what is typed and how large the window is, until the caller's terminal is at its end.
async fn send(to: &ChannelWriteHalf<Msg>, mut typed: OwnedReadHalf, mut sizes: mpsc::UnboundedReceiver<(u16, u16)>) {
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            Some((rows, columns)) = sizes.recv() => {
                if to.window_change(columns.into(), rows.into(), 0, 0).await.is_err() {
                    return;
                }
            }
            read = typed.read(&mut buffer) => match read {
                Ok(n @ 1..) if to.data_bytes(buffer[..n].to_vec()).await.is_ok() => {}
                _ => return,
            },
        }
    }
}
