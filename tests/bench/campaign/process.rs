//! One child: started, killed at its instant unless it ends before, and what it said.

use super::run::Line;
use serde_json::Value as Json;
use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub struct Ended {
    pub lines: Vec<Line>,
    pub took: Duration,
    pub how: How,
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote for people.
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Killed,
    Finished,
    Failed,
}

impl Ended {
    /// Operations that it set out to carry out.
    pub fn planned(&self) -> Option<usize> {
        self.lines.iter().find_map(|line| if let Line::Plan(n) = line { Some(*n) } else { None })
    }

    /// Whether it was between its plan and its end.
    pub fn hit_an_apply(&self) -> bool {
        self.how == How::Killed && self.planned().is_some() && !self.lines.contains(&Line::Done)
    }
}

/// What a line of a child's output means.
pub type Understand = fn(&[u8]) -> serde_json::Result<Option<Line>>;

/// Runs a command to its end, or kills it when it has lasted `limit`; `before_kill` sees it still alive. Each whole line of
/// its output goes through `understand`.
pub fn run(
    mut command: Command,
    limit: Option<Duration>,
    mut before_kill: impl FnMut(&Child),
    understand: Understand,
) -> std::io::Result<Ended> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let listening = listen(&mut child, understand);
    if limit.is_some_and(|limit| listening.goes_on(limit)) {
        before_kill(&child);
        child.kill()?;
    }
    let status = child.wait()?;
    let how = match (status.signal(), status.success()) {
        (_, true) => How::Finished,
        (Some(libc::SIGKILL), _) => How::Killed,
        _ => How::Failed,
    };
    let took = started.elapsed();
    let (lines, said) = listening.heard()?;
    Ok(Ended { lines, took, how, code: status.code(), said })
}

/// Threads that hear a child to its end.
pub struct Listening {
    lines: JoinHandle<std::io::Result<Vec<Line>>>,
    said: JoinHandle<std::io::Result<String>>,
    ended: Receiver<()>,
}

pub fn listen(child: &mut Child, understand: Understand) -> Listening {
    let out = child.stdout.take().expect("it is piped");
    let mut err = child.stderr.take().expect("it is piped");
    let (ending, ended) = channel();
    let listening = std::thread::spawn(move || {
        let _ending = ending; // dropped at the end of the output
        lines(BufReader::new(out), understand)
    });
    let complaining = std::thread::spawn(move || {
        let mut said = Vec::new();
        err.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
    });
    Listening { lines: listening, said: complaining, ended }
}

impl Listening {
    /// Whether it is still there after this time.
    fn goes_on(&self, limit: Duration) -> bool {
        self.ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
    }

    pub fn heard(self) -> std::io::Result<(Vec<Line>, String)> {
        let lines = self.lines.join().expect("it reads to the end")?;
        Ok((lines, self.said.join().expect("it reads to the end")?))
    }
}

/// A last line without an end was never said.
fn lines(mut from: impl BufRead, understand: Understand) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut text = Vec::new();
    while from.read_until(b'\n', &mut text)? > 0 {
        if text.ends_with(b"\n") {
            lines.extend(understand(&text)?);
        }
        text.clear();
    }
    Ok(lines)
}

/// Output that is for people.
pub fn nothing(_text: &[u8]) -> serde_json::Result<Option<Line>> {
    Ok(None)
}

/// The lines of this program's own child.
pub fn own(text: &[u8]) -> serde_json::Result<Option<Line>> {
    serde_json::from_slice(text).map(Some)
}

/// Where an apply begins and ends, in the events of the real program.
pub fn applies(text: &[u8]) -> serde_json::Result<Option<Line>> {
    let event: Json = serde_json::from_slice(text)?;
    Ok(match event["event"].as_str() {
        Some("apply-started") => Some(Line::Plan(event["operations"].as_u64().unwrap_or(0) as usize)),
        Some("operation-finished") => Some(Line::Result),
        Some("apply-finished") => Some(Line::Done),
        _ => None,
    })
}
