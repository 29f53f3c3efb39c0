//! What is tried on an input, in a thread of its own so that a hang is seen, and what must hold of the answer.

use cloudtik_config::{LoadOptions, Purpose, load, parse_bytes};
use cloudtik_core::{Diagnostic, Severity};
use std::{
    any::Any,
    fmt,
    fs::File,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::Duration,
};
use tempfile::TempDir;

/// Processor time: longer than any document that a person waits for may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// How much longer than its processor time a trial may take before it is given up: machines are busy.
const BUSY: u32 = 15;

/// Tries an input; may write it to the path.
pub type Trial = fn(&[u8], &Path) -> Result<bool, String>;

pub enum Verdict {
    /// `parsed`: the input was a document tree, whatever it says.
    Fine {
        parsed: bool,
    },
    Failed(String),
    Slow(Duration),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Fine { parsed: true } => f.write_str("fine, it parses"),
            Verdict::Fine { parsed: false } => f.write_str("fine, it is refused"),
            Verdict::Failed(what) => f.write_str(what),
            Verdict::Slow(limit) => write!(f, "no answer in {limit:?}"),
        }
    }
}

pub struct Target {
    /// The input in work, kept for the case that it ends the process.
    current: File,
    inputs: Sender<Vec<u8>>,
    verdicts: Receiver<Verdict>,
    limit: Duration,
    #[expect(dead_code, reason = "the folder that inputs are loaded from; it goes with the value")]
    folder: TempDir,
}

impl Target {
    pub fn new(save: &Path, limit: Duration, trial: Trial) -> Result<Target, String> {
        let cannot = |e: std::io::Error| format!("cannot write in {}: {e}", save.display());
        std::fs::create_dir_all(save).map_err(cannot)?;
        let current = File::create(save.join("current")).map_err(cannot)?;
        let folder = tempfile::tempdir().map_err(cannot)?;
        let (inputs, taken) = channel::<Vec<u8>>();
        let (answer, verdicts) = channel();
        let file = folder.path().join("document.yaml");
        std::thread::spawn(move || {
            for input in taken {
                let before = processor_time();
                let verdict = match judge(trial, &input, &file) {
                    Verdict::Fine { .. } if processor_time().saturating_sub(before) > limit => Verdict::Slow(limit),
                    verdict => verdict,
                };
                if answer.send(verdict).is_err() {
                    return;
                }
            }
        });
        Ok(Target { current, inputs, verdicts, limit, folder })
    }

    pub fn try_input(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let kept = self.current.set_len(0).and_then(|()| self.current.write_all_at(input, 0));
        kept.map_err(|e| format!("cannot keep the input: {e}"))?;
        let gone = || "the thread that tries inputs ended".to_owned();
        self.inputs.send(input.to_vec()).map_err(|_| gone())?;
        match self.verdicts.recv_timeout(self.limit * BUSY) {
            Ok(verdict) => Ok(verdict),
            Err(RecvTimeoutError::Timeout) => Ok(Verdict::Slow(self.limit)),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }
}

/// What this thread has used so far; zero where the system does not tell.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn judge(trial: Trial, input: &[u8], file: &Path) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| trial(input, file))) {
        Ok(Ok(parsed)) => Verdict::Fine { parsed },
        Ok(Err(broken)) => Verdict::Failed(broken),
        Err(panic) => Verdict::Failed(format!("panicked: {}", message(&*panic))),
    }
}

/// Parses the document, and loads it for both purposes; says whether it parses, or which promise does not hold.
pub fn documents(input: &[u8], file: &Path) -> Result<bool, String> {
    let parsed = parse(input)?;
    for purpose in [Purpose::Plan, Purpose::Validate] {
        load_whole(input, file, purpose)?;
    }
    Ok(parsed)
}

fn parse(input: &[u8]) -> Result<bool, String> {
    match parse_bytes("document.yaml", input) {
        Ok((_, warnings)) => placed(&warnings, input).map(|()| true),
        Err(problems) => refused(&problems, input).map(|()| false),
    }
}

fn load_whole(input: &[u8], file: &Path, purpose: Purpose) -> Result<(), String> {
    std::fs::write(file, input).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let options = LoadOptions {
        providers: ["local".to_owned()].into(),
        runtimes: ["spark".to_owned()].into(),
        purpose,
        ..LoadOptions::default()
    };
    match load(&[PathBuf::from(file)], &options) {
        Ok(loaded) => placed(&loaded.warnings, input),
        Err(problems) => refused(&problems.diagnostics, input),
    }
}

/// A refusal says why.
fn refused(problems: &[Diagnostic], input: &[u8]) -> Result<(), String> {
    match problems.iter().any(|problem| problem.severity == Severity::Error) {
        true => placed(problems, input),
        false => Err("refused without an error".into()),
    }
}

/// Every problem has a place, and one in the document is inside it.
fn placed(problems: &[Diagnostic], input: &[u8]) -> Result<(), String> {
    let breaks = |byte: &&u8| matches!(byte, b'\n' | b'\r');
    let lines = input.iter().filter(breaks).count() as u32 + 2;
    for problem in problems {
        let Some(origin) = &problem.origin else {
            return Err(format!("`{}` has no place: {}", problem.id, problem.detail));
        };
        let inside = origin.line >= 1 && origin.column >= 1 && origin.line <= lines;
        if origin.file.ends_with("document.yaml") && !inside {
            return Err(format!("`{}` is placed outside of the document: {origin}", problem.id));
        }
    }
    Ok(())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(limit: u64, trial: Trial) -> String {
        let save = tempfile::tempdir().unwrap();
        let mut target = Target::new(save.path(), Duration::from_millis(limit), trial).unwrap();
        let verdict = target.try_input(b"a: 1").unwrap();
        assert_eq!(std::fs::read(save.path().join("current")).unwrap(), b"a: 1");
        verdict.to_string()
    }

    #[test]
    fn a_panic_a_hang_and_a_broken_promise_are_seen() {
        assert_eq!(verdict(60_000, |_, _| Ok(true)), "fine, it parses");
        assert_eq!(verdict(60_000, |_, _| Err("refused without an error".into())), "refused without an error");
        assert_eq!(verdict(60_000, |input, _| panic!("{} bytes", input.len())), "panicked: 4 bytes");
        assert_eq!(
            verdict(50, |_, _| loop {
                std::thread::park()
            }),
            "no answer in 50ms"
        );
    }

    #[test]
    fn a_trial_that_works_too_long_is_slow_although_it_ends() {
        let busy = |_: &[u8], _: &Path| {
            let start = processor_time();
            while processor_time().saturating_sub(start) < Duration::from_millis(60) {
                std::hint::spin_loop();
            }
            Ok(true)
        };
        assert_eq!(verdict(50, busy), "no answer in 50ms");
        assert_eq!(verdict(60_000, busy), "fine, it parses");
    }

    #[test]
    fn a_problem_without_a_place_in_the_document_is_a_broken_promise() {
        let at = |line| cloudtik_core::Origin { file: "document.yaml".into(), line, column: 1, length: 0 };
        let problem = Diagnostic::error("x", "summary");
        assert!(placed(&[problem.clone().at(&at(2))], b"a\nb\n").is_ok());
        assert!(placed(&[problem.clone().at(&at(0))], b"a\nb\n").is_err());
        assert!(placed(&[problem.clone().at(&at(9))], b"a\nb\n").is_err());
        assert!(placed(std::slice::from_ref(&problem), b"a\nb\n").is_err());
        assert!(refused(&[Diagnostic::warning("x", "summary").at(&at(1))], b"a").is_err());
    }
}
