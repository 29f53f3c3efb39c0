//! A command that runs over there: its input sent, its output handed out, and its end.

use crate::{
    link::{Link, Session},
    wrapper::{self, Wrapped},
};
use cloudtik_core::{
    failure::{Failure, FailureKind},
    host::{Chunk, Command, Output},
};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client::Msg};
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// SSH's number for standard error.
const STDERR: u32 = 1;
/// How long output of a command that has ended is waited for when something it started holds the streams open.
const LINGER: Duration = Duration::from_secs(1);
/// How long a command that is to be ended is waited for to say which process it is.
const FAREWELL: Duration = Duration::from_secs(5);
/// Pieces in which input is copied.
const PIECE: usize = 1 << 18;
/// What fits into a pipe over there.
const PIPE: usize = 1 << 16;

/// Runs a command to its end; its exit code, 128 + the signal's number when one ended it.
pub(crate) async fn run(
    link: &Arc<Link>,
    session: Session,
    command: &Command,
    sink: &mut (dyn FnMut(Chunk) + Send),
) -> Result<i32, Failure> {
    let operation = || format!("run {} on {}", command.argv.first().map_or("nothing", String::as_str), link.name);
    let wrapped = wrapper::wrap(command)?;
    let (from, to) = session.channel.split();
    let mut running = Running(Some(Open {
        link: link.clone(),
        from,
        to,
        permit: session.permit,
        streams: Streams::new(&wrapped.mark),
        deep: command.stdin.len() > PIPE,
    }));
    let Some(Open { from, to, streams, .. }) = &mut running.0 else { return Err(link.lost(&operation())) };
    to.exec(true, wrapped.line.as_bytes()).await.map_err(|_| link.lost(&operation()))?;
    let mut end = None;
    {
        // Input is written while output is read: either may have to wait for the other.
        let feeding = feed(to, &wrapped, &command.stdin);
        tokio::pin!(feeding);
        let mut fed = false;
        loop {
            let message = tokio::select! {
                () = &mut feeding, if !fed => { fed = true; continue }
                message = next(from, end.is_some()) => message,
            };
            match message {
                Some(ChannelMsg::Data { data }) => streams.take(false, &data, sink),
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => streams.take(true, &data, sink),
                Some(ChannelMsg::ExitStatus { exit_status }) => end = Some(exit_status as i32),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => end = Some(128 + number(&signal_name)),
                Some(ChannelMsg::Failure) => {
                    let message = "the server runs no commands for this user";
                    return Err(Failure::new(FailureKind::Denied, operation(), message));
                }
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
    }
    let (begun, said) = (streams.group.is_some(), streams.said());
    let code = end.ok_or_else(|| link.lost(&operation()))?;
    running.over().await;
    match begun {
        true => Ok(code),
        false => {
            let message = format!("the login ended before the command started{said}");
            Err(Failure::new(FailureKind::Denied, operation(), message))
        }
    }
}

/// [`run`], with all that the command prints.
pub(crate) async fn collect(link: &Arc<Link>, session: Session, command: &Command) -> Result<Output, Failure> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut sink = |chunk| match chunk {
        Chunk::Out(bytes) => stdout.extend(bytes),
        Chunk::Err(bytes) => stderr.extend(bytes),
    };
    let code = run(link, session, command, &mut sink).await?;
    Ok(Output { code, stdout, stderr })
}

/// The next message; `None` at the end, and after some silence once the command has ended.
async fn next(from: &mut ChannelReadHalf, ended: bool) -> Option<ChannelMsg> {
    if ended { tokio::time::timeout(LINGER, from.wait()).await.ok().flatten() } else { from.wait().await }
}

/// Ends quietly when nobody reads any more: how the command ended tells the rest.
async fn feed(to: &ChannelWriteHalf<Msg>, wrapped: &Wrapped, input: &[u8]) {
    let all = std::iter::once(wrapped.script.as_slice()).chain(input.chunks(PIECE)).chain([wrapped.end.as_slice()]);
    for piece in all {
        if to.data_bytes(piece.to_vec()).await.is_err() {
            return;
        }
    }
}

/// A command on its way: dropping it before its end ends it over there.
struct Running(Option<Open>);

struct Open {
    link: Arc<Link>,
    from: ChannelReadHalf,
    to: ChannelWriteHalf<Msg>,
    permit: Option<OwnedSemaphorePermit>,
    streams: Streams,
    /// More input than a pipe holds: what is unread of it may keep the watcher from seeing that the channel is closed.
    deep: bool,
}

impl Running {
    async fn over(mut self) {
        if let Some(open) = self.0.take() {
            // It may be closed already, from there.
            let _ = open.to.close().await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let (Some(open), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(open.end());
        }
    }
}

impl Open {
    async fn end(self) {
        let Open { link, from, to, permit, streams, deep } = self;
        // Output that nobody reads any more must not hold up the connection.
        let group = tokio::time::timeout(FAREWELL, group(from, streams));
        if deep
            && let Ok(Some(group)) = group.await
            && let Ok(mut session) = link.extra_session().await
            && session.channel.exec(true, wrapper::kill(group)).await.is_ok()
        {
            while session.channel.wait().await.is_some() {}
        }
        let _ = to.close().await;
        drop(permit);
    }
}

/// The command's process group, once it is told.
async fn group(mut from: ChannelReadHalf, mut streams: Streams) -> Option<u32> {
    while streams.group.is_none() {
        match from.wait().await? {
            ChannelMsg::Data { data } => streams.take(false, &data, &mut |_| {}),
            ChannelMsg::ExtendedData { data, ext: STDERR } => streams.take(true, &data, &mut |_| {}),
            _ => {}
        }
    }
    streams.group
}

/// Both output streams, from where the command's own begin.
struct Streams {
    mark: String,
    /// What came before the mark on each stream; `None` behind it.
    before: [Option<Vec<u8>>; 2],
    group: Option<u32>,
}

impl Streams {
    fn new(mark: &str) -> Self {
        Streams { mark: mark.into(), before: [Some(Vec::new()), Some(Vec::new())], group: None }
    }

    fn take(&mut self, error: bool, data: &[u8], sink: &mut (dyn FnMut(Chunk) + Send)) {
        let before = &mut self.before[usize::from(error)];
        let Some(seen) = before else { return sink(chunk(error, data.to_vec())) };
        seen.extend(data);
        let Some((group, rest)) = find(seen, &self.mark) else { return };
        let rest = rest.to_vec();
        (self.group, *before) = (Some(group), None);
        if !rest.is_empty() {
            sink(chunk(error, rest));
        }
    }

    /// `: …`, what the login said instead.
    fn said(&self) -> String {
        let all: Vec<u8> = self.before.iter().flatten().flatten().copied().collect();
        match String::from_utf8_lossy(&all).trim() {
            "" => String::new(),
            text => format!(": {text}"),
        }
    }
}

fn chunk(error: bool, bytes: Vec<u8>) -> Chunk {
    if error { Chunk::Err(bytes) } else { Chunk::Out(bytes) }
}

/// The number behind the mark, and what follows that line.
fn find<'a>(seen: &'a [u8], mark: &str) -> Option<(u32, &'a [u8])> {
    let at = seen.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    let rest = &seen[at + mark.len()..];
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.trim().parse().ok()?;
    Some((number, &rest[end + 1..]))
}

pub(crate) fn number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 127,
    }
}
