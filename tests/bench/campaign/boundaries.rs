//! A crash at every boundary in turn, and every call made twice.
//!
//! Each scenario is run once to list its points: those before and after every append and every call, by name ([`points`]), and
//! those before and after every operation on the state's files ([`trace`]). Then, for each point, the scenario starts again
//! from a copy of the same state and world, ends at that point, and is finished by another run. The checks are those of the
//! campaign. One call is made at a time, so a point nearly always has the same number in every run; what is not reached is not
//! counted as tried.
//!
//! [`points`]: super::points
//! [`trace`]: super::trace

use super::{
    process::{self, How},
    run::Failpoints,
    scenario::{self, Scenario, copy, named, one_at_a_time, open, points},
    trace::{self, Blow, Side, Watch},
    witness::Fault,
};
use std::{collections::BTreeMap, io, path::Path};
use tokio::runtime::Handle;

/// Names without which a run of all this has missed what it is for.
const MUST: [&str; 22] = [
    "append intent create",
    "append intent delete",
    "append result + intent update",
    "append result",
    "append failure",
    "append revision",
    "call create",
    "call create_many",
    "call delete",
    "call delete_many",
    "call ready",
    "call refresh",
    "call settle",
    "call update",
    "make folder clusters",
    "write c.redb",
    "sync c.redb",
    "rename c.redb.new as c.redb",
    "sync clusters",
    "write c.json.new",
    "rename c.json.new as c.json",
    "write c.lock",
];

#[derive(Clone, Copy, Debug)]
enum Case {
    /// Ends at the named point of this number.
    Named(usize),
    /// Ends at one side of the file operation of this number.
    File(usize, Side),
    /// Makes the call of this number twice.
    Twice(usize),
}

/// Whether nothing was broken.
pub fn run(every: usize) -> io::Result<bool> {
    let must: Vec<String> = MUST.iter().flat_map(|name| [format!("before {name}"), format!("after {name}")]).collect();
    scenario::try_all(every, &must, list, meets)
}

/// Every case of a scenario, by the name of its point.
fn list(scenario: &Scenario, home: &Path, runtime: &Handle) -> io::Result<BTreeMap<String, Vec<Case>>> {
    let mut found = BTreeMap::<String, Vec<Case>>::new();
    let stage = open(&copy(&scenario.template, home)?, runtime)?;
    let mut calls = 0;
    for (at, name) in points(&named(&stage, &scenario.document, Failpoints::default())?).into_iter().enumerate() {
        if let Some(call) = name.strip_prefix("after call ") {
            found.entry(format!("twice {call}")).or_default().push(Case::Twice(calls));
            calls += 1;
        }
        found.entry(name).or_default().push(Case::Named(at));
    }
    drop(stage);
    for (at, name) in scenario::operations(scenario, home, runtime, Watch::Changes)?.into_iter().enumerate() {
        found.entry(format!("before {name}")).or_default().push(Case::File(at, Side::Before));
        found.entry(format!("after {name}")).or_default().push(Case::File(at, Side::After));
    }
    Ok(found)
}

/// From the start to the case's point, and from there to the end. Whether there was such a point: members of a launch
/// become ready in any order, and may share an append or not.
fn meets(scenario: &Scenario, case: Case, home: &Path, runtime: &Handle) -> io::Result<Result<bool, Fault>> {
    let mut stage = open(&copy(&scenario.template, home)?, runtime)?;
    stage.write(&scenario.document)?;
    let owners = stage.owners()?;
    let ended = match case {
        Case::Named(at) => named(&stage, &scenario.document, Failpoints { die: Some(at), ..Failpoints::default() })?,
        Case::Twice(at) => named(&stage, &scenario.document, Failpoints { twice: Some(at), ..Failpoints::default() })?,
        Case::File(at, side) => {
            let blow = Some((at, Blow::Dies(side)));
            trace::run(stage.command(&one_at_a_time())?, process::own, &stage.state(), Watch::Changes, blow)?.0
        }
    };
    if let Err(fault) = stage.inspect(&ended)? {
        return Ok(Err(fault));
    }
    let reached = ended.how == How::Killed || matches!(case, Case::Twice(_));
    if ended.how == How::Killed {
        let resumed = process::run(stage.command(&Failpoints::default())?, None, |_| {}, process::own)?;
        if let Err(fault) = stage.inspect(&resumed)? {
            return Ok(Err(fault));
        }
    }
    if let Err(fault) = stage.grown(owners)? {
        return Ok(Err(fault));
    }
    Ok(stage.compare(scenario.since, &scenario.calm)?.map(|()| reached))
}
