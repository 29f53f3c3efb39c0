//! Throws broken documents at the configuration crate: none may make it panic, hang, or fail without saying where.
//!
//! ```text
//! fuzz-documents [--seconds N] [--seed S] [--save FOLDER]     mutates the repository's documents for N seconds
//! fuzz-documents --replay FILE                                tries one input again
//! ```
//!
//! The same seed gives the same inputs in the same order. The input in work is always in `<FOLDER>/current`, so that even
//! one that kills the process is kept; one that fails is made smaller and saved beside it.

#![allow(clippy::print_stderr, reason = "its report is its purpose")]

mod corpus;
mod mutate;
mod target;

use mutate::Mutator;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use target::{Target, Verdict};

struct Options {
    seconds: u64,
    seed: u64,
    save: PathBuf,
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = options(std::env::args().skip(1)).and_then(|options| match &options.replay {
        Some(file) => replay(file, &options),
        None => run(&options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("fuzz-documents: {problem}");
            ExitCode::from(2)
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let save = std::env::temp_dir().join("cloudtik-fuzz");
    let mut options = Options { seconds: 10, seed: 1, save, replay: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("`{name}` needs a value"))?;
        let number = || value.parse().map_err(|_| format!("`{name}` needs a number, not `{value}`"));
        match name.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--save" => options.save = value.into(),
            "--replay" => options.replay = Some(value.into()),
            _ => return Err(format!("`{name}` is no option: --seconds N, --seed S, --save FOLDER, --replay FILE")),
        }
    }
    Ok(options)
}

fn replay(file: &Path, options: &Options) -> Result<bool, String> {
    let input = std::fs::read(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let verdict = target(options)?.try_input(&input)?;
    eprintln!("{}: {verdict}", file.display());
    Ok(matches!(verdict, Verdict::Fine { .. }))
}

fn target(options: &Options) -> Result<Target, String> {
    std::panic::set_hook(Box::new(|_| {})); // a panic is reported as the verdict
    Target::new(&options.save, target::LIMIT, target::documents)
}

/// Whether nothing failed.
fn run(options: &Options) -> Result<bool, String> {
    let corpus = corpus::documents()?;
    let mut target = target(options)?;
    eprintln!("seed {}, {} s, {} documents to mutate", options.seed, options.seconds, corpus.len());
    for document in &corpus {
        if let failed @ (Verdict::Failed(_) | Verdict::Slow(_)) = target.try_input(document)? {
            return report(&mut target, options, 0, document, failed);
        }
    }
    let mut mutator = Mutator::new(options.seed, &corpus);
    let (start, limit) = (Instant::now(), Duration::from_secs(options.seconds));
    let (mut inputs, mut accepted, mut slowest) = (0u64, 0u64, Duration::ZERO);
    while start.elapsed() < limit {
        inputs += 1;
        let input = mutator.next();
        let begun = Instant::now();
        match target.try_input(&input)? {
            Verdict::Fine { parsed } => accepted += u64::from(parsed),
            failed => return report(&mut target, options, inputs, &input, failed),
        }
        slowest = slowest.max(begun.elapsed());
    }
    eprintln!("{inputs} inputs, {accepted} of them parsed, slowest {slowest:.1?}: no failure");
    Ok(true)
}

/// Says what failed, and saves the smallest input that still does.
fn report(target: &mut Target, options: &Options, number: u64, input: &[u8], failed: Verdict) -> Result<bool, String> {
    let small = match &failed {
        Verdict::Failed(_) => {
            mutate::shrink(input, &mut |candidate| matches!(target.try_input(candidate), Ok(Verdict::Failed(_))))
        }
        _ => input.to_vec(),
    };
    let file = options.save.join(format!("failure-{}-{number}.yaml", options.seed));
    std::fs::write(&file, &small).map_err(|e| format!("cannot save {}: {e}", file.display()))?;
    eprintln!("input {number} of seed {}: {failed}", options.seed);
    eprintln!("saved: {} ({} bytes)\nagain: fuzz-documents --replay {}", file.display(), small.len(), file.display());
    Ok(false)
}
