//! One session channel with its process: bytes both ways, signals, sizes, and how it ended.

use super::{
    backlog::{Backlog, Outlet, backlog},
    process::{Running, fatal_signal, number},
    pty::Terminal,
};
use russh::{
    Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf,
    server::{Handle, Msg},
};
use rustix::process::Signal;
use std::{io, process::ExitStatus};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};

/// SSH's number for standard error.
const STDERR: u32 = 1;
/// Ctrl-D: how a terminal is told that no more will come.
const END_OF_INPUT: &[u8] = &[4];

/// Carries everything between client and process until both are done, or the client hangs up.
pub(super) async fn run(channel: Channel<Msg>, client: Handle, mut running: Running, terminal: Option<Terminal>) {
    let id = channel.id();
    let (from_client, to_client) = channel.split();
    match converse(from_client, &to_client, &mut running, terminal).await {
        Some(status) => finish(&client, id, &to_client, status).await,
        None => {
            running.signal(Signal::HUP);
            // Pipes and terminal are closed by now; only the reaping is left, of whatever outlives a hang-up too.
            let _ = running.wait().await;
        }
    }
}

/// How the process ended; `None` when the client hung up before.
async fn converse(
    from_client: ChannelReadHalf,
    to_client: &ChannelWriteHalf<Msg>,
    running: &mut Running,
    terminal: Option<Terminal>,
) -> Option<io::Result<ExitStatus>> {
    let (backlog, outlet) = backlog();
    let output = output(running, to_client, terminal.clone());
    let input = input(running, outlet, terminal.clone());
    tokio::pin!(input, output);
    let mut events = Events { from_client, backlog, terminal };
    let (mut written, mut drained) = (false, false);
    loop {
        tokio::select! {
            () = &mut input, if !written => written = true,
            () = &mut output, if !drained => drained = true,
            status = running.wait(), if drained => return Some(status),
            event = events.next() => match event {
                Event::Signal(signal) => running.signal(signal),
                Event::Nothing => {}
                Event::HungUp => return None,
            },
        }
    }
}

enum Event {
    Nothing,
    Signal(Signal),
    HungUp,
}

/// What the client says.
struct Events {
    from_client: ChannelReadHalf,
    backlog: Backlog,
    terminal: Option<Terminal>,
}

impl Events {
    /// Safe to drop half-way: it waits for two things, and neither takes anything before it is there.
    async fn next(&mut self) -> Event {
        self.backlog.room().await;
        match self.from_client.wait().await {
            Some(ChannelMsg::Data { data }) => self.backlog.push(data.into()),
            Some(ChannelMsg::Eof) => self.backlog.end(),
            Some(ChannelMsg::Signal { signal }) => return number(&signal).map_or(Event::Nothing, Event::Signal),
            Some(ChannelMsg::WindowChange { col_width, row_height, .. }) => {
                // A terminal that is gone has no size.
                let _ = self.terminal.as_ref().map(|terminal| terminal.resize(col_width, row_height));
            }
            Some(ChannelMsg::Close) | None => return Event::HungUp,
            Some(_) => {}
        }
        Event::Nothing
    }
}

/// Standard input. Ends early, and quietly, when the process stops reading.
fn input(running: &mut Running, mut outlet: Outlet, terminal: Option<Terminal>) -> impl Future<Output = ()> + use<> {
    let pipe = running.child.stdin.take();
    async move {
        if let Some(mut terminal) = terminal {
            if outlet.drain(&mut terminal).await.is_ok() {
                let _ = terminal.write_all(END_OF_INPUT).await;
            }
        } else if let Some(mut pipe) = pipe {
            let _ = outlet.drain(&mut pipe).await;
        }
    }
}

/// Standard output and error, up to the end of both.
fn output<'a>(
    running: &mut Running,
    to_client: &'a ChannelWriteHalf<Msg>,
    terminal: Option<Terminal>,
) -> impl Future<Output = ()> + use<'a> {
    let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
    let (out, err) = (to_client.make_writer(), to_client.make_writer_ext(Some(STDERR)));
    async move {
        match terminal {
            Some(terminal) => carry(Some(terminal), out).await,
            None => drop(tokio::join!(carry(stdout, out), carry(stderr, err))),
        }
    }
}

async fn carry(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) {
    if let Some(mut from) = from {
        // A client that left is noticed by `Events`.
        let _ = copy(&mut from, &mut to).await;
    }
}

async fn finish(client: &Handle, id: ChannelId, channel: &ChannelWriteHalf<Msg>, status: io::Result<ExitStatus>) {
    // If the client is gone, nobody is left to tell.
    let _ = match status.as_ref().map(|status| (status.code(), fatal_signal(*status))) {
        Ok((Some(code), _)) => channel.exit_status(code as u32).await.map_err(drop),
        Ok((None, Some((signal, core)))) => {
            client.exit_signal_request(id, signal, core, String::new(), String::new()).await
        }
        _ => channel.exit_status(255).await.map_err(drop),
    };
    let _ = channel.eof().await;
    let _ = channel.close().await;
}
