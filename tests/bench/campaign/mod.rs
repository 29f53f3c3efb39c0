//! The kill campaign: real applies in processes of their own, killed at random instants, and nothing lost, nothing made twice.
//!
//! Each lane tells stories: a document of one of
//! three shapes is applied, edited a few times and destroyed. Every run of a story is a process on the real store and on a
//! service in this process ([`world`]), and is killed at a uniformly random instant of its expected life, up to a few times;
//! then one run is left to finish. After every kill, with the invariants of the fault model that each check stands for:
//!
//! - I3: state loads, its journal gives its records, and it is exactly what was acknowledged, or that and the whole batch that
//!   was being appended ([`witness`]); the lock is free for the next run;
//! - I1: every object is in state or in an open intent; I2: no two were made by one operation;
//! - I7: while the owner stands still (SIGSTOP), somebody else is refused the lock.
//!
//! After every run that finishes: the world is the one that the same change gives where nothing is killed (I4), with as many
//! creations and deletions (I2); after `destroy` it is empty (I5).

mod boundaries;
mod broken;
mod client;
mod dice;
mod document;
mod faults;
mod lane;
mod points;
mod process;
mod program;
mod run;
mod scenario;
mod service;
mod stage;
mod tally;
mod terraform;
mod trace;
mod witness;
mod world;

pub use boundaries::run as boundaries;
pub use faults::run as faults;
pub use run::child;

use dice::Dice;
use lane::Lane;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use tally::{Counted, Tally};
use witness::Broken;

pub struct Options {
    kills: usize,
    seed: u64,
    objects: usize,
    lanes: usize,
    folder: Option<PathBuf>,
    /// The real program, for its share of the kills, in percent.
    program: Option<PathBuf>,
    share: usize,
    /// Kills for `terraform`.
    terraform: usize,
    json: bool,
}

pub const USAGE: &str = "campaign [--kills N] [--seed S] [--objects N] [--lanes N] [--folder DIR] [--json] \
                         [--program CLOUDTIK [--share PERCENT]] [--terraform KILLS]";

impl Options {
    pub fn parse(args: &[&str]) -> Result<Options, String> {
        let mut options = Options {
            kills: 200,
            seed: 1,
            objects: 400,
            lanes: 6,
            folder: None,
            program: None,
            share: 25,
            terraform: 0,
            json: false,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if *name == "--json" {
                options.json = true;
                continue;
            }
            let value = *args.next().ok_or_else(|| format!("`{name}` needs a value"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("`{name}` needs a number, not `{value}`"));
            match *name {
                "--kills" => options.kills = number()?,
                "--seed" => options.seed = number()? as u64,
                "--objects" => options.objects = number()?.max(20),
                "--lanes" => options.lanes = number()?.max(1),
                "--folder" => options.folder = Some(value.into()),
                "--program" => options.program = Some(std::path::absolute(value).map_err(|e| e.to_string())?),
                "--share" => options.share = number()?.min(100),
                "--terraform" => options.terraform = number()?,
                _ => return Err(format!("`{name}` is no option: {USAGE}")),
            }
        }
        Ok(options)
    }
}

/// One line of the table.
struct Row {
    what: &'static str,
    counted: Counted,
    seconds: f64,
}

/// Whether nothing was broken.
pub fn run(options: &Options) -> std::io::Result<bool> {
    let scratch = match &options.folder {
        Some(folder) => tempfile::Builder::new().prefix("campaign-").tempdir_in(folder)?,
        None => tempfile::Builder::new().prefix("campaign-").tempdir()?,
    };
    let share = options.program.iter().map(|_| options.kills * options.share / 100).sum();
    let mut rows = Vec::new();
    if share < options.kills {
        rows.push(timed("engine", options.kills - share, |tally| engine(options, scratch.path(), tally))?);
    }
    if let Some(program) = &options.program {
        let (folder, dice) = (scratch.path().join("program"), Dice::split(options.seed, u64::MAX));
        rows.push(timed("program", share, |tally| program::work(program, &folder, dice, tally))?);
    }
    rows.iter().for_each(|row| report(options, row));
    if options.terraform > 0 {
        let (folder, dice) = (scratch.path().join("terraform"), Dice::split(options.seed, u64::MAX - 1));
        let counted = terraform::work(&folder, options.terraform, options.objects, dice)?;
        report_terraform(options, counted.as_ref());
    }
    let whole = rows.iter().all(|row| row.counted.broken.is_empty());
    if !whole {
        eprintln!("what is broken is kept in {}", scratch.keep().display());
    }
    Ok(whole)
}

fn timed(what: &'static str, kills: usize, work: impl FnOnce(&Tally) -> std::io::Result<()>) -> std::io::Result<Row> {
    let (tally, started) = (Tally::new(kills), Instant::now());
    work(&tally)?;
    Ok(Row { what, counted: tally.into_counted(), seconds: started.elapsed().as_secs_f64() })
}

fn engine(options: &Options, scratch: &Path, tally: &Tally) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..options.lanes)
            .map(|n| {
                let mut lane =
                    Lane::new(runtime.handle().clone(), Dice::split(options.seed, n as u64), options.objects);
                let folder = scratch.join(n.to_string());
                scope.spawn(move || lane.work(&folder, tally))
            })
            .collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane does not panic"))
    })
}

fn report(options: &Options, Row { what, counted, seconds }: &Row) {
    let broken = |which| counted.broken.get(&which).map_or(0, Vec::len);
    let [lost, doubled] = [Broken::Lost, Broken::Doubled].map(broken);
    let [unreadable, astray] = [Broken::Unreadable, Broken::Astray].map(broken);
    if options.json {
        let line = json!({
            "campaign": what, "seed": options.seed, "kills": counted.kills, "in_apply": counted.applies, "lost": lost,
            "doubled": doubled, "unreadable": unreadable, "astray": astray, "open_intents": counted.open,
            "rivals_refused": counted.rivals, "operations": counted.operations, "converged": counted.converged,
            "seconds": seconds,
        });
        println!("{line}");
        return;
    }
    println!(
        "{what}: {} kills, {} of them in mid-apply: {lost} lost, {doubled} doubled, {unreadable} unreadable, {astray} astray; \
         {seconds:.1} s",
        counted.kills, counted.applies
    );
    let actions: Vec<String> = counted.converged.iter().map(|(action, n)| format!("{n} {action}")).collect();
    println!(
        "  seed {}: {} operations done, {} intents left open and settled, {} rivals refused; finished: {}",
        options.seed,
        counted.operations,
        counted.open,
        counted.rivals,
        actions.join(", ")
    );
}

fn report_terraform(options: &Options, counted: Option<&terraform::Counted>) {
    let Some(terraform::Counted { kills, unreadable, lost, seconds }) = counted else {
        eprintln!("terraform is not on this machine: nothing to compare with in this run");
        return;
    };
    if options.json {
        let line = json!({
            "campaign": "terraform", "seed": options.seed, "kills": kills, "in_apply": kills, "lost": lost,
            "unreadable": unreadable, "seconds": seconds,
        });
        println!("{line}");
    } else {
        println!(
            "terraform: {kills} kills in mid-apply, after the first object: {unreadable} unreadable, {lost} without objects \
             that it had reported; {seconds:.1} s"
        );
    }
}
