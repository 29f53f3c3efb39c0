//! A broken disk: every operation on the state's files fails in turn, alone or with all that follow.
//!
//! The scenarios are those of the boundaries. Reading, looking and listing count as well as writing: what cannot be read must not
//! be taken for what is not there. After every run: it did not panic; if it failed, it said what failed, where and why; the
//! state is what was acknowledged, or that and the batch that was being appended, and checks; every object is in it; the number of
//! its ownership has not gone back. Then the same run on a whole disk ends in the same world as one without faults.

use super::{
    broken,
    process::{self, Ended, How},
    run::Failpoints,
    scenario::{self, Scenario, copy, one_at_a_time, open},
    trace::{self, Blow, Watch},
    witness::{Broken, Fault},
};
use std::{collections::BTreeMap, io, path::Path};
use tokio::runtime::Handle;

/// Operations without which a run of all this has missed what it is for.
const MUST: [&str; 12] = [
    "make folder clusters",
    "create c.lock",
    "lock c.lock",
    "write c.lock",
    "look at c.redb",
    "read c.redb",
    "write c.redb",
    "sync c.redb",
    "rename c.redb.new as c.redb",
    "sync clusters",
    "write c.json.new",
    "rename c.json.new as c.json",
];

/// The operation of this number fails.
type Case = (usize, Blow);

/// Whether nothing was broken; where a program is given, under it, too.
pub fn run(every: usize, program: Option<&Path>) -> io::Result<bool> {
    let must: Vec<String> = MUST.iter().flat_map(|name| [once(name), always(name)]).collect();
    let whole = scenario::try_all(every, &must, list, meets)?;
    Ok(program.map_or(Ok(true), |program| broken::run(program, every))? && whole)
}

fn once(name: &str) -> String {
    format!("once {name}")
}

fn always(name: &str) -> String {
    format!("from {name} on")
}

/// Every case of a scenario, by the name of its operation.
fn list(scenario: &Scenario, home: &Path, runtime: &Handle) -> io::Result<BTreeMap<String, Vec<Case>>> {
    let mut found = BTreeMap::<String, Vec<Case>>::new();
    for (at, name) in scenario::operations(scenario, home, runtime, Watch::All)?.into_iter().enumerate() {
        found.entry(once(&name)).or_default().push((at, Blow::Fails));
        found.entry(always(&name)).or_default().push((at, Blow::FailsFromThere));
    }
    Ok(found)
}

/// From the start to the fault and beyond, and then to the end without one. Whether there was such an operation.
fn meets(scenario: &Scenario, case: Case, home: &Path, runtime: &Handle) -> io::Result<Result<bool, Fault>> {
    let mut stage = open(&copy(&scenario.template, home)?, runtime)?;
    stage.write(&scenario.document)?;
    let before = stage.owners()?;
    let (ended, operations) =
        trace::run(stage.command(&one_at_a_time())?, process::own, &stage.state(), Watch::All, Some(case))?;
    if let Err(fault) = bears(&ended, &stage.state()) {
        return Ok(Err(fault));
    }
    if let Err((broken, what)) = stage.left(&ended)? {
        return Ok(Err((broken, format!("{what}; it had said: {}", ended.said.trim()))));
    }
    let again = process::run(stage.command(&Failpoints::default())?, None, |_| {}, process::own)?;
    if let Err(fault) = stage.grown(before)? {
        return Ok(Err(fault));
    }
    if let Err((broken, what)) = stage.inspect(&again)? {
        return Ok(Err((broken, format!("again: {what}; it had said: {}", ended.said.trim()))));
    }
    Ok(stage.compare(scenario.since, &scenario.calm)?.map(|()| operations.len() > case.0))
}

/// Whether a run took it well: no panic, and a failure has its place and its cause.
fn bears(ended: &Ended, state: &Path) -> Result<(), Fault> {
    let said = ended.said.trim();
    let astray = |what: &str| Err((Broken::Astray, format!("{what}: {said}")));
    let cause = io::Error::from_raw_os_error(libc::EIO).to_string();
    match ended.how {
        _ if said.contains("panicked") => astray("it panicked"),
        How::Killed => astray("it was ended by a signal"),
        How::Failed if !said.contains(&*state.to_string_lossy()) => astray("it does not say where it failed"),
        How::Failed if !said.contains(&cause) => astray("it does not say why it failed"),
        How::Failed | How::Finished => Ok(()),
    }
}
