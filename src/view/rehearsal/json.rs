//! The timeline for programs. The names and fields are a published format.

use super::{
    End, Rehearsal, Run,
    timeline::{self, Bar, Outcome},
};
use serde_json::{Value, json};

pub fn json(rehearsal: &Rehearsal<'_>) -> Value {
    let runs: Vec<Value> = rehearsal.runs.iter().map(run).collect();
    let began = rehearsal.runs.first().map_or(0, |run| run.began_ms);
    let ended = rehearsal.runs.last().map_or(0, |run| run.ended_ms);
    json!({ "seed": rehearsal.seed, "chaos": rehearsal.chaos, "simulated_ms": ended - began, "runs": runs })
}

fn run(run: &Run) -> Value {
    let timeline = timeline::of(run);
    let end = match run.end {
        End::Complete => "complete",
        End::Partly => "partly",
        End::Killed => "killed",
    };
    let skipped = timeline.skipped.iter().map(|(because, all)| (because.to_string(), json!(all)));
    json!({
        "began_ms": run.began_ms,
        "ended_ms": run.ended_ms,
        "end": end,
        "settled": timeline.settled,
        "operations": timeline.bars.iter().map(bar).collect::<Vec<_>>(),
        "skipped": skipped.collect::<serde_json::Map<_, _>>(),
    })
}

fn bar(bar: &Bar) -> Value {
    let (outcome, failure) = match &bar.outcome {
        Outcome::Done => ("done", None),
        Outcome::Failed(why) => ("failed", Some(why)),
        Outcome::Cut => ("cut", None),
    };
    json!({
        "address": bar.address,
        "verb": bar.verb,
        "start_ms": bar.start_ms,
        "created_ms": bar.created_ms,
        "end_ms": bar.end_ms,
        "after": bar.after,
        "critical": bar.critical,
        "retries": bar.retries,
        "outcome": outcome,
        "failure": failure,
    })
}
