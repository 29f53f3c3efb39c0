//! `service`: a daemon on a node, in a session of its own. Ready means that its probe answers.
//!
//! `<run>/pid` names the process by PID and start time, `<run>/operation` the step that started it: a start that is
//! repeated finds the daemon it made. Starting ends an earlier daemon of the same service first, so there is never a second.

use super::{Looked, connection, decode, host_of, recorded_host, unless_gone};
use crate::{
    hosts::{self, Hosts},
    manifest::{Drain, Stop},
    probe::Probe,
};
use cloudtik_core::{
    Attrs, Effect, Failure, FailureKind, Value,
    host::{Command, Host},
    provider::{Call, Health, Observed, Outcome, Presence, Refresh, Settled, Subject},
    schema::{Durations, KindSchema},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

const START: &str = include_str!("../scripts/start.sh");
const CHECK: &str = concat!(include_str!("../scripts/alive.sh"), include_str!("../scripts/check.sh"));
const DRAIN: &str = concat!(include_str!("../scripts/alive.sh"), include_str!("../scripts/drain.sh"));
const STOP: &str = concat!(include_str!("../scripts/alive.sh"), include_str!("../scripts/stop.sh"));
/// Between two questions of a probe that is awaited.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at whether the awaited process still lives.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Spec {
    run: String,
    log: String,
    dir: String,
    #[serde(default)]
    folders: Vec<String>,
    command: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    probe: Probes,
    stop: Stop,
    drain: Option<Drain>,
    start_seconds: u32,
}

#[derive(Deserialize)]
struct Probes {
    ready: Probe,
    alive: Option<Probe>,
}

pub fn schema() -> KindSchema {
    KindSchema::new("service").volatile(&["pid", "started"]).takes(Durations {
        create: 100,
        ready: 4000,
        update: 1500,
        delete: 1000,
    })
}

/// What `check.sh` says of one daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    None,
    Dead,
    Alive { pid: i64, started: String, operation: String },
}

impl State {
    fn read(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["alive", pid, started, rest @ ..] => State::Alive {
                pid: pid.parse().unwrap_or_default(),
                started: (*started).into(),
                operation: rest.first().map(|s| (*s).into()).unwrap_or_default(),
            },
            ["none"] => State::None,
            _ => State::Dead,
        }
    }
}

async fn check(host: &dyn Host, runs: &[&str]) -> Result<Vec<State>, Failure> {
    let output = hosts::run(host, "look at services", &Command::sh(CHECK, runs.iter().copied())).await?;
    let states: Vec<State> = output.text().lines().map(State::read).collect();
    if states.len() == runs.len() {
        return Ok(states);
    }
    Err(Failure::new(FailureKind::Bug, "look at services", format!("{} answers for {}", states.len(), runs.len())))
}

pub async fn refresh(hosts: &Hosts, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    super::by_node(hosts, refresh, read_node).await
}

async fn read_node(host: Arc<dyn Host>, subjects: Vec<Looked<'_>>) -> Result<Vec<Presence>, Failure> {
    let specs: Vec<Option<Spec>> = subjects.iter().map(|(_, a)| decode("a service", a).ok()).collect();
    let runs: Vec<&str> = specs.iter().flatten().map(|s| s.run.as_str()).collect();
    let mut states = if runs.is_empty() { Vec::new() } else { check(&*host, &runs).await? }.into_iter();
    let looks = subjects.iter().zip(&specs).map(|((subject, _), spec)| {
        let state = spec.as_ref().and_then(|_| states.next()).unwrap_or(State::None);
        let host = host.clone();
        async move { presence(&*host, subject, spec.as_ref(), state).await }
    });
    Ok(futures::future::join_all(looks).await)
}

async fn presence(host: &dyn Host, subject: &Subject, spec: Option<&Spec>, state: State) -> Presence {
    // A daemon without a record is never taken over: how it was started is not known. A create ends it first.
    let (Some(record), Some(spec)) = (&subject.record, spec) else { return Presence::Absent };
    let (outputs, healthy) = match state {
        State::None | State::Dead => (record.outputs.clone(), Health::Broken("process is gone".into())),
        State::Alive { pid, started, .. } => {
            let probe = spec.probe.alive.as_ref().unwrap_or(&spec.probe.ready);
            let health = match probe.ask(host).await {
                Ok(()) => Health::Ok,
                Err(why) => Health::Broken(format!("probe fails: {why}")),
            };
            (outputs(spec, pid, &started), health)
        }
    };
    Presence::Present { id: record.id.clone(), attributes: Attrs::new(), outputs, healthy, owned: true }
}

fn outputs(spec: &Spec, pid: i64, started: &str) -> Attrs {
    Attrs::from([
        ("pid".to_owned(), Value::Int(pid)),
        ("started".to_owned(), Value::text(started)),
        ("log".to_owned(), Value::text(&spec.log)),
    ])
}

/// Starts the daemon, unless this very operation started one that still runs.
pub async fn create(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    let spec: Spec = decode("a service", &call.attributes)?;
    let host = host_of(hosts, call).await?;
    match check(&*host, &[&spec.run]).await?.remove(0) {
        State::Alive { pid, started, operation } if operation == call.operation.to_string() => {
            return Ok(Outcome { id: spec.run.clone(), outputs: outputs(&spec, pid, &started) });
        }
        State::None => {}
        // A dead one may have left processes in its session.
        State::Alive { .. } | State::Dead => stop(&*host, &spec, call).await?,
    }
    start(&*host, &spec, call).await
}

/// Ends what runs, without a wait for its work, and starts it as it is declared now.
pub async fn update(hosts: &Hosts, call: &Call) -> Result<Outcome, Failure> {
    if let Some(record) = &call.record
        && (connection(&record.attributes) != connection(&call.attributes)
            || record.attributes.get("run") != call.attributes.get("run"))
    {
        unless_gone(stop_recorded(hosts, call, &record.attributes).await)?;
    }
    create(hosts, call).await
}

/// Ends it for good, after what it does has moved elsewhere.
pub async fn delete(hosts: &Hosts, call: &Call) -> Result<(), Failure> {
    let Some(record) = &call.record else { return Ok(()) };
    unless_gone(drain_and_stop(hosts, call, &record.attributes).await)
}

async fn drain_and_stop(hosts: &Hosts, call: &Call, attributes: &Attrs) -> Result<(), Failure> {
    let spec: Spec = decode("a service", attributes)?;
    let Some(host) = recorded_host(hosts, attributes).await? else { return Ok(()) };
    if let Some(drain) = &spec.drain {
        call.say(format!("waiting for its work to move away (at most {} s)", drain.seconds));
        let seconds = drain.seconds.to_string();
        let command = Command::sh(DRAIN, [spec.run.as_str(), &drain.signal, &seconds, drain.until.as_str()]);
        hosts::run(&*host, &format!("drain {}", call.address.short()), &command).await?;
    }
    stop(&*host, &spec, call).await
}

async fn stop_recorded(hosts: &Hosts, call: &Call, attributes: &Attrs) -> Result<(), Failure> {
    let spec: Spec = decode("a service", attributes)?;
    let Some(host) = recorded_host(hosts, attributes).await? else { return Ok(()) };
    stop(&*host, &spec, call).await
}

async fn stop(host: &dyn Host, spec: &Spec, call: &Call) -> Result<(), Failure> {
    call.say(format!("waiting for the running process to end (at most {} s)", spec.stop.grace_seconds));
    let grace = spec.stop.grace_seconds.to_string();
    let command = Command::sh(STOP, [spec.run.as_str(), &spec.stop.signal, &grace]);
    hosts::run(host, &format!("stop {}", call.address.short()), &command).await.map(drop)
}

async fn start(host: &dyn Host, spec: &Spec, call: &Call) -> Result<Outcome, Failure> {
    let operation = call.operation.to_string();
    let count = spec.folders.len().to_string();
    let head = [&spec.run, &spec.log, &spec.dir, &operation, &count].map(String::clone);
    let arguments = head.into_iter().chain(spec.folders.iter().cloned()).chain(spec.command.iter().cloned());
    let mut command = Command::sh(START, arguments);
    command.env = spec.env.clone();
    let what = format!("start {}", call.address.short());
    let output = hosts::run(host, &what, &command).await.map_err(|f| f.effect(Effect::Unknown))?;
    let text = output.text();
    let (pid, started) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let pid = pid.parse().map_err(|_| {
        Failure::new(FailureKind::Bug, &what, format!("no process number in `{}`", text.trim())).effect(Effect::Unknown)
    })?;
    Ok(Outcome { id: spec.run.clone(), outputs: outputs(spec, pid, started) })
}

/// Waits until the probe answers; fails at once, with the end of the log, when the process dies.
pub async fn ready(hosts: &Hosts, call: &Call) -> Result<Attrs, Failure> {
    let spec: Spec = decode("a service", &call.attributes)?;
    let host = host_of(hosts, call).await?;
    let since = Instant::now();
    let mut looked = None::<Instant>;
    call.say(format!("waiting for {}", spec.probe.ready.awaits()));
    loop {
        let why = match spec.probe.ready.ask(&*host).await {
            Ok(()) if looked.is_some() => return Ok(Attrs::new()),
            Ok(()) => String::new(),
            Err(why) => why,
        };
        // What answers may be another program on the same port: the process is looked at before its probe is believed.
        if looked.is_none_or(|at| at.elapsed() > LOOK) {
            if !matches!(check(&*host, &[&spec.run]).await?[0], State::Alive { .. }) {
                return Err(dead(&*host, &spec, call).await);
            }
            looked = Some(Instant::now());
            if why.is_empty() {
                return Ok(Attrs::new());
            }
            call.say(format!("waiting for {}: {why}", spec.probe.ready.awaits()));
        }
        if since.elapsed() > Duration::from_secs(spec.start_seconds.into()) {
            let message = format!("not ready after {} s: {why}\n{}", spec.start_seconds, log_end(&*host, &spec).await);
            return Err(Failure::new(FailureKind::Timeout, format!("await {}", call.address.short()), message)
                .hint(format!("read {} on the node", spec.log)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn dead(host: &dyn Host, spec: &Spec, call: &Call) -> Failure {
    let message = format!("the process ended; its log ends with:\n{}", log_end(host, spec).await);
    Failure::new(FailureKind::Command, format!("await {}", call.address.short()), message)
        .hint(format!("read {} on the node", spec.log))
}

async fn log_end(host: &dyn Host, spec: &Spec) -> String {
    let tail = Command::new(["tail", "-n", "20", "--", spec.log.as_str()]);
    match host.run(&tail).await {
        Ok(output) => hosts::last_lines(&output.text(), 12),
        Err(failure) => format!("(the log cannot be read: {})", failure.message),
    }
}

/// The daemon that the interrupted start made says so itself.
pub async fn settle(hosts: &Hosts, call: &Call) -> Result<Settled, Failure> {
    let spec: Spec = decode("a service", &call.attributes)?;
    let Some(host) = recorded_host(hosts, &call.attributes).await? else { return Ok(Settled::Absent) };
    Ok(match check(&*host, &[&spec.run]).await?.remove(0) {
        State::Alive { pid, started, operation } if operation == call.operation.to_string() => {
            Settled::Found(Outcome { id: spec.run.clone(), outputs: outputs(&spec, pid, &started) })
        }
        _ => Settled::Absent,
    })
}
