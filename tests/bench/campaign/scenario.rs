//! What is tried again and again, each time with one thing going wrong: where it starts, and what it comes to.

use super::{
    dice::Dice,
    document::{Document, Shape},
    process::{self, Ended, How},
    run::{Failpoints, Line},
    stage::{Calm, Outcome, Stage},
    trace::{self, Watch},
    witness::Fault,
    world::Counts,
};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

const LANES: usize = 4;

pub struct Scenario {
    name: &'static str,
    /// Where it starts.
    pub template: PathBuf,
    /// What had been made when the last change before this one was complete.
    pub since: Counts,
    pub document: Document,
    pub calm: Outcome,
}

/// Points by name: how many there are, and how many were tried.
#[derive(Default)]
pub struct Table(BTreeMap<String, (usize, usize)>);

/// The operations on the state's files in a run of a scenario that nothing disturbs.
pub fn operations(scenario: &Scenario, home: &Path, runtime: &Handle, watch: Watch) -> io::Result<Vec<String>> {
    let stage = open(&copy(&scenario.template, home)?, runtime)?;
    stage.write(&scenario.document)?;
    let (ended, operations) = trace::run(stage.command(&one_at_a_time())?, process::own, &stage.state(), watch, None)?;
    if ended.how != How::Finished {
        return Err(io::Error::other(ended.said));
    }
    if operations.is_empty() {
        return Err(io::Error::other("no operation on a file was seen: this system does not let processes be traced"));
    }
    Ok(operations)
}

/// Tries the cases that `list` finds in each scenario, by the name of what goes wrong: each so many of one name, and the first
/// of each name always. `meet` says whether the case was met. Whether nothing was broken and no name was missed, of those
/// that there are and those that there `must` be.
pub fn try_all<C: Copy + fmt::Debug + Sync>(
    every: usize,
    must: &[String],
    list: impl Fn(&Scenario, &Path, &Handle) -> io::Result<BTreeMap<String, Vec<C>>>,
    meet: impl Fn(&Scenario, C, &Path, &Handle) -> io::Result<Result<bool, Fault>> + Sync,
) -> io::Result<bool> {
    let started = Instant::now();
    let scratch = tempfile::Builder::new().prefix("boundaries-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let scenarios = scenarios(scratch.path(), runtime.handle())?;
    let (mut table, mut cases) = (Table::default(), Vec::new());
    for scenario in &scenarios {
        for (name, of_name) in list(scenario, &scratch.path().join("list"), runtime.handle())? {
            table.listed(&name, of_name.len());
            let chosen = of_name.into_iter().enumerate().filter(|(n, _)| n % every == 0);
            cases.extend(chosen.map(|(_, case)| (scenario, name.clone(), case)));
        }
    }
    let (next, table, broken) = (AtomicUsize::new(0), Mutex::new(table), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let lane = |n: usize| {
            let (next, table, broken, cases, meet) = (&next, &table, &broken, &cases, &meet);
            let (home, handle) = (scratch.path().join(n.to_string()), runtime.handle());
            move || -> io::Result<()> {
                while let Some((scenario, name, case)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let told =
                        |e: io::Error| io::Error::new(e.kind(), format!("{}, {name} ({case:?}): {e}", scenario.name));
                    match meet(scenario, *case, &home, handle).map_err(told)? {
                        Ok(true) => table.lock().expect("no panic holds this lock").tried(name),
                        Ok(false) => {}
                        Err((kind, what)) => {
                            broken.fetch_add(1, Ordering::SeqCst);
                            eprintln!("{kind:?}: {}, {name} ({case:?}): {what}", scenario.name);
                        }
                    }
                }
                Ok(())
            }
        };
        let lanes: Vec<_> = (0..LANES).map(|n| scope.spawn(lane(n))).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane does not panic"))
    })?;
    let table = table.into_inner().expect("no panic held this lock");
    table.print();
    let ((points, tried), broken) = (table.sum(), broken.into_inner());
    println!("{points} points, {tried} tried, {broken} broken; {:.1} s", started.elapsed().as_secs_f64());
    let missed = table.missed(must);
    missed.iter().for_each(|name| eprintln!("{name} was not tried"));
    Ok(broken == 0 && missed.is_empty())
}
impl Table {
    /// There are so many more points of this name.
    pub fn listed(&mut self, name: &str, points: usize) {
        self.0.entry(name.into()).or_default().0 += points;
    }

    pub fn tried(&mut self, name: &str) {
        self.0.entry(name.into()).or_default().1 += 1;
    }

    pub fn sum(&self) -> (usize, usize) {
        self.0.values().fold((0, 0), |(points, tried), (p, t)| (points + p, tried + t))
    }

    /// Names that were not tried, of those that there are and those that there must be.
    pub fn missed(&self, must: &[String]) -> Vec<String> {
        let untried = self.0.iter().filter(|(_, (_, tried))| *tried == 0).map(|(name, _)| name.clone());
        must.iter().filter(|name| !self.0.contains_key(*name)).cloned().chain(untried).collect()
    }

    fn print(&self) {
        let width = self.0.keys().map(String::len).max().unwrap_or(0);
        for (name, (points, tried)) in &self.0 {
            println!("{name:<width$} {points:>5} points {tried:>5} tried");
        }
    }
}

/// A scenario's name, what was complete before it, the call after which an earlier run of it ended, and what it brings about.
type Setting<'a> = (&'static str, Option<&'a Document>, Option<&'a str>, &'a Document);

/// What is done, each from where it starts: made, changed in every way, destroyed; launched together and removed together;
/// and the same resumed after a crash in the middle.
fn scenarios(scratch: &Path, runtime: &Handle) -> io::Result<Vec<Scenario>> {
    let (tree, wide) = (Document::new(Shape::Tree, 5), Document::new(Shape::Wide, 5));
    let (changed, gone) = (tree.changed(), tree.emptied());
    let all = [
        ("create", None, None, &tree),
        ("change", Some(&tree), None, &changed),
        ("destroy", Some(&changed), None, &gone),
        ("launch", None, None, &wide),
        ("remove", Some(&wide), None, &gone),
        ("resume a create", None, Some("create"), &tree),
        ("resume a change", Some(&tree), Some("update"), &changed),
        ("resume a launch", None, Some("create_many"), &wide),
    ];
    let make = |(n, (name, from, crash, document)): (usize, Setting)| {
        let folder = scratch.join(format!("scenario-{n}"));
        let (template, calm) = (folder.join("template"), Calm::new(&folder.join("calm"), runtime)?);
        let mut stage = open(&template, runtime)?;
        if let Some(from) = from {
            calm.change(from)?;
            let ended = named(&stage, from, Failpoints::default())?;
            stage.inspect(&ended)?.map_err(|(_, what)| io::Error::other(what))?;
        }
        let since = stage.world.counts()?;
        if let Some(call) = crash {
            let trial = copy(&template, &folder.join("trial"))?;
            let points = points(&named(&open(&trial, runtime)?, document, Failpoints::default())?);
            let die = points.iter().position(|point| *point == format!("after call {call}"));
            let ended = named(&stage, document, Failpoints { die, ..Failpoints::default() })?;
            if ended.how != How::Killed {
                return Err(io::Error::other(format!("{name}: there is no call {call} to crash after")));
            }
            stage.inspect(&ended)?.map_err(|(_, what)| io::Error::other(what))?;
        }
        Ok(Scenario { name, template, since, document: document.clone(), calm: calm.change(document)? })
    };
    all.into_iter().enumerate().map(make).collect()
}

pub fn one_at_a_time() -> Failpoints {
    Failpoints { named: true, ..Failpoints::default() }
}

/// A run that says its points.
pub fn named(stage: &Stage, document: &Document, failpoints: Failpoints) -> io::Result<Ended> {
    stage.write(document)?;
    let ended = process::run(stage.command(&Failpoints { named: true, ..failpoints })?, None, |_| {}, process::own)?;
    match ended.how {
        How::Failed => Err(io::Error::other(ended.said)),
        _ => Ok(ended),
    }
}

pub fn points(ended: &Ended) -> Vec<String> {
    ended.lines.iter().filter_map(|line| if let Line::Point(name) = line { Some(name.clone()) } else { None }).collect()
}

/// A stage without delays.
pub fn open(folder: &Path, runtime: &Handle) -> io::Result<Stage> {
    Stage::open(folder, runtime, Duration::ZERO, Duration::ZERO, Dice::new(0))
}

/// A folder of its own for a copy of the state and the world in another one.
pub fn copy(from: &Path, to: &Path) -> io::Result<PathBuf> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for part in ["state", "world"].map(|part| from.join(part)).iter().filter(|part| part.exists()) {
        copy_folder(part, &to.join(part.file_name().expect("it was joined")))?;
    }
    Ok(to.into())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
