//! Runs the engine through generated worlds × documents × faults × kills, and checks after every run what must never happen.
//!
//! ```text
//! worlds [--operations N] [--seed S] [--threads T]     world after world until N changes were asked of them
//! worlds --replay WORLD                                one world again, with all that happens in it
//! ```
//!
//! A world follows from its number alone. The last line holds a digest over all that happened: the same options give the same.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its report is its purpose")]

mod kinds;
mod sketch;
mod trial;

use cloudtik_simulated::Chance;
use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};
use trial::{Report, trial};

struct Options {
    operations: u64,
    seed: u64,
    threads: usize,
    replay: Option<u64>,
}

fn main() -> ExitCode {
    let done = options(std::env::args().skip(1)).map(|options| match options.replay {
        Some(world) => replay(world),
        None => run(&options),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("worlds: {problem}");
            ExitCode::from(64)
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { operations: 100_000, seed: 1, threads, replay: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("`{name}` needs a value"))?;
        let number: u64 = value.parse().map_err(|_| format!("`{name}` needs a number, not `{value}`"))?;
        match name.as_str() {
            "--operations" => options.operations = number,
            "--seed" => options.seed = number,
            "--threads" => options.threads = (number as usize).max(1),
            "--replay" => options.replay = Some(number),
            _ => return Err(format!("`{name}` is no option: --operations N, --seed S, --threads T, --replay WORLD")),
        }
    }
    Ok(options)
}

fn replay(world: u64) -> bool {
    let (log, result) = trial(world, true);
    log.iter().for_each(|line| println!("{line}"));
    match &result {
        Ok(report) => println!("world {world}: nothing is wrong, {report}"),
        Err(wrong) => println!("world {world}: {wrong}"),
    }
    result.is_ok()
}

/// Results of worlds by number, counted in order so that threads do not matter.
#[derive(Default)]
struct Board {
    next: u64,
    done: BTreeMap<u64, Report>,
    total: Report,
    counted: u64,
    failed: Option<(u64, String)>,
}

impl Board {
    fn count(&mut self, operations: u64) {
        while self.total.operations < operations
            && let Some(report) = self.done.remove(&self.counted)
        {
            self.total.add(&report);
            self.counted += 1;
        }
    }
}

/// Whether nothing was wrong in any world.
fn run(options: &Options) -> bool {
    let began = Instant::now();
    // A panic is reported as what is wrong with its world.
    std::panic::set_hook(Box::new(|_| {}));
    let board = Mutex::new(Board::default());
    let lock = || board.lock().unwrap_or_else(PoisonError::into_inner);
    let chance = Chance::new(options.seed);
    let work = || {
        loop {
            let number = {
                let mut board = lock();
                if board.failed.is_some() || board.total.operations >= options.operations {
                    return;
                }
                board.next += 1;
                board.next - 1
            };
            let world = chance.of(&["world"], number).below(u64::MAX);
            let result = trial(world, false).1;
            let mut board = lock();
            match result {
                Ok(report) => drop(board.done.insert(number, report)),
                Err(wrong) => board.failed = Some((world, wrong)),
            }
            board.count(options.operations);
        }
    };
    std::thread::scope(|threads| (0..options.threads).for_each(|_| drop(threads.spawn(work))));
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64();
    println!("seed {}: {} worlds in {seconds:.1} s: {}", options.seed, board.counted, board.total);
    if let Some((world, wrong)) = &board.failed {
        println!("world {world}: {wrong}\nsee it again: worlds --replay {world}");
    }
    board.failed.is_none()
}
