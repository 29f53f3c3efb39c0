//! `command`: the shell lines of one phase of a document, run once on a node, in order, with their output kept in a log.
//!
//! A changed list runs only the lines it has gained; changed surroundings (the node, the environment) run all of them. The
//! lines of `stop` run when the phase is removed.

use super::{Looked, connection, decode, host_of};
use crate::hosts::{self, Hosts};
use cloudtik_core::{
    Attrs, Failure, FailureKind, Value,
    host::{Command, Host},
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// `LOG LINE`: runs one line in the home folder, keeps what it prints, and shows the end of that when it fails.
const RUN: &str = "mkdir -p \"${1%/*}\"; printf -- '--- %s\\n' \"$2\" >>\"$1\"; out=$1.last; code=0
/bin/sh -c \"$2\" </dev/null >\"$out\" 2>&1 || code=$?
cat \"$out\" >>\"$1\"; [ \"$code\" = 0 ] || tail -n 12 \"$out\" >&2; rm -f \"$out\"; exit \"$code\"";

#[derive(Deserialize)]
struct Spec {
    lines: Vec<String>,
    #[serde(default)]
    stop: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    log: String,
    /// Written when all lines have run; refresh looks for it.
    done: String,
}

pub fn schema() -> KindSchema {
    KindSchema::new("command").takes(Durations { create: 5000, ready: 0, update: 5000, delete: 20 })
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    let marks: Vec<&str> =
        subjects.iter().map(|(_, a)| a.get("done").and_then(Value::as_text).unwrap_or_default()).collect();
    let script = "for mark; do if [ -f \"$mark\" ]; then echo yes; else echo no; fi; done";
    let output = hosts::run(&*host, "look at commands", &Command::sh(script, marks.iter().copied())).await?;
    let text = output.text();
    let answers = text.lines().chain(std::iter::repeat("no"));
    Ok(subjects.iter().zip(answers).map(|((subject, _), answer)| presence(subject, answer == "yes")).collect())
}

fn presence(subject: &Subject, done: bool) -> Presence {
    match &subject.record {
        Some(record) if done => Presence::Present {
            id: record.id.clone(),
            attributes: Attrs::new(),
            outputs: record.outputs.clone(),
            healthy: Health::Ok,
            owned: true,
        },
        _ => Presence::Absent,
    }
}

pub async fn create(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("a command list", &call.attributes)?;
    let lines: Vec<&String> = spec.lines.iter().collect();
    run_all(hosts, call, &spec, &lines).await
}

pub async fn update(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("a command list", &call.attributes)?;
    let mut earlier: Vec<String> = Vec::new();
    if let Some(record) = &call.record {
        let same_place = connection(&record.attributes) == connection(&call.attributes);
        let before: Spec = decode("a command list", &record.attributes)?;
        if same_place && before.env == spec.env {
            earlier = before.lines;
        }
    }
    let lines: Vec<&String> = spec.lines.iter().filter(|line| !earlier.contains(line)).collect();
    run_all(hosts, call, &spec, &lines).await
}

async fn run_all(hosts: &Hosts, call: &Call, spec: &Spec, lines: &[&String]) -> Result<Outcome, Failure> {
    let host = host_of(hosts, call).await?;
    for (at, line) in lines.iter().enumerate() {
        call.say(format!("running line {} of {}", at + 1, lines.len()));
        run_line(&*host, call, spec, line).await?;
    }
    host.upload(&spec.done, b"", 0o644).await?;
    Ok(Outcome { id: spec.done.clone(), outputs: [("log".to_owned(), Value::text(&spec.log))].into() })
}

async fn run_line(host: &dyn Host, call: &Call, spec: &Spec, line: &str) -> Result<(), Failure> {
    let mut command = Command::sh(RUN, [spec.log.as_str(), line]);
    command.env = spec.env.clone();
    let output = host.run(&command).await?;
    if output.code == 0 {
        return Ok(());
    }
    let said = hosts::last_lines(&output.error_text(), 12);
    let message = format!("`{line}` ended with exit code {}\n{said}", output.code);
    Err(Failure::new(FailureKind::Command, format!("run {}", call.address.short()), message)
        .hint(format!("the whole output is in {} on the node", spec.log)))
}

/// Runs the stop lines. A node that cannot be reached cannot run them: that never keeps a cluster from being destroyed.
pub async fn delete(hosts: &Hosts, call: &Call) -> Result<(), Failure> {
    let Some(record) = &call.record else { return Ok(()) };
    match stop(hosts, call, &record.attributes).await {
        Err(failure) if hosts::is_lost(&failure) => Ok(()),
        other => other,
    }
}

async fn stop(hosts: &Hosts, call: &Call, attributes: &Attrs) -> Result<(), Failure> {
    let spec: Spec = decode("a command list", attributes)?;
    let host = hosts.get(connection(attributes)).await?;
    for line in &spec.stop {
        run_line(&*host, call, &spec, line).await?;
    }
    let remove = Command::new(["rm", "-f", "--", spec.done.as_str()]);
    hosts::run(&*host, "forget commands", &remove).await.map(drop)
}

/// Whether all lines of an interrupted run ended is not known: they run again.
pub async fn settle(_: &Hosts, _: &Call) -> Result<Settled, Failure> {
    Ok(Settled::Absent)
}
