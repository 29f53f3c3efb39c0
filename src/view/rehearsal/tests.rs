use super::{End, Moment, Rehearsal, Run, human, json};
use crate::view::{Look, Redactor};
use cloudtik_core::{Address, Scope, event::Event, plan::OperationId};

fn address(short: &str) -> Address {
    let (kind, name) = short.split_once('.').expect("`kind.name`");
    Address::new(Scope::cluster("demo", "spark"), kind, name)
}

fn at(at_ms: u64, event: Event) -> Moment {
    Moment { at_ms, event }
}

fn started(at_ms: u64, short: &str) -> Moment {
    let operation = OperationId(short.into());
    at(at_ms, Event::OperationStarted { operation, address: address(short), verb: "create" })
}

fn finished(at_ms: u64, short: &str) -> Moment {
    let operation = OperationId(short.into());
    at(at_ms, Event::OperationFinished { operation, address: address(short), verb: "create", elapsed_ms: 0 })
}

/// A run that is killed, and the one that goes on.
fn runs() -> [Run; 2] {
    let workers = ["instance.worker.default[0]", "instance.worker.default[1]", "instance.worker.default[2]"];
    let mut moments: Vec<Moment> = workers.iter().map(|worker| started(200, worker)).collect();
    let retrying = Event::OperationRetrying {
        operation: OperationId(workers[0].into()),
        address: address(workers[0]),
        message: format!("create {}: too many requests", workers[0]),
        after_ms: 200,
    };
    moments.push(at(300, retrying));
    let first = Run { plan: None, began_ms: 0, ended_ms: 2_400, moments, end: End::Killed };
    let found = |worker: &str, how| {
        at(60_000, Event::Settled { address: address(worker), operation: OperationId(worker.into()), how })
    };
    let mut moments = vec![found(workers[0], "found"), found(workers[1], "found"), found(workers[2], "absent")];
    moments.extend([started(60_400, workers[2]), finished(63_000, workers[2])]);
    let second = Run { plan: None, began_ms: 59_800, ended_ms: 63_000, moments, end: End::Complete };
    [first, second]
}

#[test]
fn a_kill_and_what_the_next_run_makes_of_it_are_told() {
    let (none, runs) = (Redactor::default(), runs());
    // Without plans nothing is drawn: what is there must be seen to be missing.
    let empty = Rehearsal { seed: 7, chaos: true, runs: &runs };
    assert!(human(&empty, &Look { width: 80, color: false, redactor: &none }).contains("Nothing to do."));
    let json = json(&empty);
    assert_eq!(json["simulated_ms"], 63_000);
    assert_eq!(json["runs"][0]["operations"][0]["outcome"], "cut");
    assert_eq!(json["runs"][0]["operations"][0]["retries"][0], "too many requests");
    assert_eq!(json["runs"][1]["settled"]["found"].as_array().map(Vec::len), Some(2));
}
