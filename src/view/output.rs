//! Where output goes: results to stdout, notes to stderr, questions to the terminal.

use super::{page::Look, redact::Redactor, surroundings::Facts};
use std::{
    io::{self, BufRead, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    Yes,
    No,
    /// Nobody is there to answer.
    NotAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How and where this run writes. Made once; cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    pub format: Format,
    pub color: bool,
    /// In columns.
    pub width: usize,
    /// Whether a person can be asked.
    pub interactive: bool,
    /// Whether lines on stderr can be redrawn.
    pub live: bool,
    pub redactor: Arc<Redactor>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The reader of stdout has gone.
    closed: AtomicBool,
    /// The event stream's first line is written.
    announced: AtomicBool,
    /// Bytes of raw streams that may begin a secret.
    pending: [Mutex<Vec<u8>>; 2],
}

impl Output {
    /// Looks at the streams and at `NO_COLOR`, `CLICOLOR_FORCE`, `CI`, `COLUMNS` and `TERM`.
    pub fn detect(json: bool, no_color: bool) -> Self {
        let decision = Facts::gather().decide(no_color);
        let variables = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
        let format = if json { Format::Json } else { Format::Human };
        Output {
            format,
            color: decision.color && !json,
            width: decision.width,
            interactive: decision.interactive && !json,
            live: decision.live && !json,
            redactor: Arc::new(Redactor::of_environment(variables)),
            shared: Arc::default(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub fn look(&self) -> Look<'_> {
        Look { width: self.width, color: self.color, redactor: &self.redactor }
    }

    /// Writes a result to stdout, ending in a line feed. A reader that has gone is not an error.
    pub fn result(&self, text: &str) -> io::Result<()> {
        let clean = self.redactor.text(text);
        let end = if clean.is_empty() || clean.ends_with('\n') { "" } else { "\n" };
        let mut out = io::stdout().lock();
        self.quiet(
            out.write_all(clean.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush()),
        )
    }

    /// Writes one JSON document as a line of stdout.
    pub fn json<T: serde::Serialize>(&self, document: &T) -> io::Result<()> {
        self.result(&serde_json::to_string(document).map_err(io::Error::other)?)
    }

    /// True for the first caller of the run only: it writes the first line of the event stream.
    pub(crate) fn announces(&self) -> bool {
        !self.shared.announced.swap(true, Ordering::Relaxed)
    }

    /// Tells something about the work, on stderr.
    pub fn note(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let clean = self.redactor.text(text);
        let end = if clean.ends_with('\n') { "" } else { "\n" };
        // Nobody is left to be told that stderr is closed.
        let _ = io::stderr().lock().write_all(format!("{clean}{end}").as_bytes());
    }

    /// Passes a command's bytes on as they come, secrets replaced. `false`: the reader has gone, the sender may stop.
    pub fn raw(&self, stream: Stream, bytes: &[u8]) -> io::Result<bool> {
        self.pass(stream, bytes, false)
    }

    /// Ends raw output: writes what was held back.
    pub fn raw_end(&self) -> io::Result<()> {
        self.pass(Stream::Stdout, b"", true)?;
        self.pass(Stream::Stderr, b"", true)?;
        Ok(())
    }

    fn pass(&self, stream: Stream, bytes: &[u8], last: bool) -> io::Result<bool> {
        let pending = &self.shared.pending[stream as usize];
        let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
        let clean = self.redactor.stream(&mut pending, bytes, last);
        let written = match stream {
            Stream::Stdout => write_flush(&mut io::stdout().lock(), &clean),
            Stream::Stderr => write_flush(&mut io::stderr().lock(), &clean),
        };
        self.quiet(written)?;
        Ok(!self.closed())
    }

    /// Whether the reader of stdout has gone, as in `cloudtik plan | head`.
    pub fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    fn quiet(&self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.shared.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Asks on the terminal, whatever stdin and stdout are; only `yes` or `y` agrees.
    pub fn confirm(&self, question: &str) -> io::Result<Confirm> {
        if !self.interactive {
            return Ok(Confirm::NotAsked);
        }
        let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        write!(terminal, "{} [y/N] ", self.redactor.text(question))?;
        terminal.flush()?;
        let mut answer = String::new();
        if io::BufReader::new(&terminal).read_line(&mut answer)? == 0 {
            writeln!(terminal)?;
        }
        Ok(agrees(&answer))
    }
}

fn agrees(answer: &str) -> Confirm {
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Confirm::Yes,
        _ => Confirm::No,
    }
}

fn write_flush(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_agrees() {
        assert_eq!(["y\n", " YES \n"].map(agrees), [Confirm::Yes; 2]);
        assert_eq!(["", "\n", "n\n", "yep\n", "yes please\n"].map(agrees), [Confirm::No; 5]);
    }
}
