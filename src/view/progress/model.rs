//! The run as the watcher understands it: what runs since when and waits for what, what is done, failed and skipped.
//!
//! Times are milliseconds since the model began, given by the caller.

use crate::view::{
    diagnostics,
    page::{Line, Look, Paint},
    plan::{group_label, group_names},
    text::{about, elapsed, fit, plural},
};
use cloudtik_core::{Address, FailureKind, Sources, event::Event, plan::OperationId};
use std::collections::BTreeMap;

/// Finished steps of one kind are gathered this long into one line.
const BURST: u64 = 250;
/// A step that runs longer is announced where nothing can be redrawn.
const ANNOUNCE: u64 = 2_000;
/// How often a long wait is told again there.
const HEARTBEAT: u64 = 10_000;
/// Running steps that are listed.
const LISTED: usize = 8;

#[derive(Debug)]
struct Running {
    address: Address,
    verb: &'static str,
    since: u64,
    waits_for: String,
    announced: bool,
}

#[derive(Debug)]
struct Finished {
    address: Address,
    verb: &'static str,
    elapsed_ms: u64,
}

#[derive(Debug)]
struct Failed {
    address: Address,
    verb: &'static str,
    message: String,
    hint: Option<String>,
    /// Refused: the plan is no longer right about it.
    stale: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Whether a frame is redrawn below the lines.
    live: bool,
    reading: Option<(u64, usize)>,
    apply: Option<Apply>,
    running: BTreeMap<OperationId, Running>,
    burst: Vec<Finished>,
    burst_since: u64,
    failed: Vec<Failed>,
    skipped: BTreeMap<Address, Vec<Address>>,
    done: usize,
    interrupted: bool,
    told: u64,
}

#[derive(Debug)]
struct Apply {
    since: u64,
    operations: usize,
    expected_ms: u64,
}

impl Model {
    pub(crate) fn new(live: bool) -> Self {
        Model { live, ..Model::default() }
    }

    /// Takes an event; returns the lines to print now.
    pub(crate) fn event(&mut self, event: Event, now: u64, look: &Look<'_>) -> Vec<Line> {
        match event {
            Event::RefreshStarted { total } => self.reading = Some((now, total)),
            Event::RefreshFinished { elapsed_ms, drifted } => return self.read(elapsed_ms, drifted),
            Event::Settling { address, wait_ms, .. } => return vec![settling(&address, wait_ms)],
            Event::Settled { address, how, .. } => return vec![settled(&address, how)],
            Event::ApplyStarted { operations, expected_ms } => {
                self.apply = Some(Apply { since: now, operations, expected_ms });
                self.told = now;
            }
            Event::OperationStarted { operation, address, verb } => {
                let running = Running { address, verb, since: now, waits_for: String::new(), announced: false };
                self.running.insert(operation, running);
            }
            Event::OperationProgress { operation, message, .. } => self.waits(&operation, message),
            Event::OperationCreated { operation, .. } => self.waits(&operation, "exists, not ready yet".into()),
            Event::OperationFinished { operation, address, verb, elapsed_ms } => {
                return self.finished(&operation, Finished { address, verb, elapsed_ms }, now);
            }
            Event::OperationRetrying { operation, address, message, after_ms } => {
                return self.retrying(&operation, &address, message, after_ms);
            }
            Event::OperationFailed { operation, address, kind, message, hint, elapsed_ms } => {
                let stale = kind == FailureKind::Stale;
                let verb = self.running.remove(&operation).map_or("", |r| r.verb);
                return self.fails(Failed { address, verb, message, hint, stale }, elapsed_ms);
            }
            Event::OperationForgone { operation, address, verb, message, elapsed_ms } => {
                self.running.remove(&operation);
                let mut lines = self.flush();
                let line = Line::of(Paint::Edit, "forgone").plain(format!(" {verb} {}", address.short()));
                lines.push(line.add(Paint::Dim, took(elapsed_ms)));
                lines.extend(explained(&message, None));
                lines.push(Line::new().plain("       what waits for it goes on all the same"));
                return lines;
            }
            Event::OperationSkipped { address, because_of, .. } => {
                self.skipped.entry(because_of).or_default().push(address);
            }
            Event::Interrupted { running } => return self.interrupt(running),
            Event::ApplyFinished { done, failed, skipped, elapsed_ms } => {
                return self.summary(done, failed, skipped, elapsed_ms);
            }
            Event::Diagnostic(diagnostic) => {
                let mut lines = self.flush();
                let plain = Look { color: false, ..*look };
                let text = diagnostics::render(&[diagnostic], &Sources::default(), &plain);
                lines.extend(text.trim_end().lines().map(|l| Line::new().plain(l)));
                return lines;
            }
        }
        Vec::new()
    }

    fn waits(&mut self, operation: &OperationId, message: String) {
        if let Some(running) = self.running.get_mut(operation) {
            running.waits_for = message;
        }
    }

    fn read(&mut self, elapsed_ms: u64, drifted: usize) -> Vec<Line> {
        let total = self.reading.take().map_or(0, |(_, total)| total);
        if drifted == 0 && elapsed_ms < 1_000 {
            return Vec::new();
        }
        let differ = match drifted {
            0 => String::new(),
            1 => ", 1 differs from what was recorded".into(),
            n => format!(", {n} differ from what was recorded"),
        };
        vec![
            Line::new()
                .plain(format!("read   {}{differ}", plural(total, "resource")))
                .add(Paint::Dim, took(elapsed_ms)),
        ]
    }

    fn finished(&mut self, operation: &OperationId, finished: Finished, now: u64) -> Vec<Line> {
        self.running.remove(operation);
        self.done += 1;
        if self.burst.is_empty() {
            self.burst_since = now;
        }
        self.burst.push(finished);
        if self.burst.len() < 256 { Vec::new() } else { self.flush() }
    }

    fn retrying(&mut self, operation: &OperationId, address: &Address, message: String, after_ms: u64) -> Vec<Line> {
        let mut lines = self.flush();
        let line = Line::of(Paint::Edit, "retry  ").plain(address.short());
        lines.push(line.plain(format!(" in {}: {message}", elapsed(after_ms))));
        self.waits(operation, format!("tries again: {message}"));
        lines
    }

    fn fails(&mut self, failed: Failed, elapsed_ms: u64) -> Vec<Line> {
        let mut lines = self.flush();
        let what = format!("{} {}", failed.verb, failed.address.short());
        let line = Line::of(Paint::Bad, "failed ").plain(what.trim_start());
        lines.push(line.add(Paint::Dim, took(elapsed_ms)));
        lines.extend(explained(&failed.message, failed.hint.as_deref()));
        self.failed.push(failed);
        lines
    }

    fn interrupt(&mut self, running: usize) -> Vec<Line> {
        self.interrupted = true;
        let mut lines = self.flush();
        let what = match running {
            0 => "Interrupted: nothing new is started.".to_string(),
            n => format!(
                "Interrupted: nothing new is started; {} is finished and recorded. Ctrl-C again leaves it to the next run.",
                plural(n, "running step")
            ),
        };
        lines.push(Line::of(Paint::Edit, what));
        lines
    }

    /// What is due by now: gathered lines, and where nothing is redrawn, long waits.
    pub(crate) fn tick(&mut self, now: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        if !self.burst.is_empty() && now >= self.burst_since + BURST {
            lines = self.flush();
        }
        if !self.live {
            lines.extend(self.announce(now));
            lines.extend(self.heartbeat(now));
        }
        lines
    }

    /// Finished steps, those alike in one line.
    pub(crate) fn flush(&mut self) -> Vec<Line> {
        let mut groups: Vec<(&'static str, u64, Vec<Address>)> = Vec::new();
        let mut places = BTreeMap::new();
        for finished in std::mem::take(&mut self.burst) {
            let name = (finished.verb, finished.address.scope().clone(), like(&finished.address));
            let at = *places.entry(name).or_insert(groups.len());
            if at == groups.len() {
                groups.push((finished.verb, 0, Vec::new()));
            }
            groups[at].1 = groups[at].1.max(finished.elapsed_ms);
            groups[at].2.push(finished.address);
        }
        groups.into_iter().map(|(verb, ms, addresses)| done(verb, ms, addresses)).collect()
    }

    fn announce(&mut self, now: u64) -> Vec<Line> {
        let due = self.running.values_mut().filter(|r| !r.announced && now >= r.since + ANNOUNCE);
        let mut by_verb: BTreeMap<&'static str, Vec<Address>> = BTreeMap::new();
        for running in due {
            running.announced = true;
            by_verb.entry(running.verb).or_default().push(running.address.clone());
        }
        let line = |(verb, addresses): (&str, Vec<Address>)| {
            let names = group_names(addresses.into_iter());
            Line::of(Paint::Dim, "start  ").plain(format!("{verb} {}", fit(&names, 200)))
        };
        by_verb.into_iter().map(line).collect()
    }

    fn heartbeat(&mut self, now: u64) -> Vec<Line> {
        if now < self.told + HEARTBEAT || (self.running.is_empty() && self.reading.is_none()) {
            return Vec::new();
        }
        self.told = now;
        let mut lines = vec![Line::of(Paint::Dim, "wait   ").plain(self.standing(now))];
        for running in self.longest() {
            lines.push(waiting(running, now, "         "));
        }
        lines
    }

    fn longest(&self) -> Vec<&Running> {
        let mut running: Vec<&Running> = self.running.values().collect();
        running.sort_by_key(|r| r.since);
        running.truncate(LISTED);
        running
    }

    /// The lines below everything printed, each at most `width` wide. Empty when nothing runs.
    pub(crate) fn frame(&self, now: u64, width: usize) -> Vec<Line> {
        if self.running.is_empty() && self.reading.is_none() {
            return Vec::new();
        }
        let spin = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        let turn = usize::try_from(now / 120).unwrap_or(0) % spin.len();
        let mut lines =
            vec![Line::of(Paint::Info, spin[turn]).plain(" ").plain(fit(&self.standing(now), width.saturating_sub(2)))];
        for running in self.longest() {
            let line = waiting(running, now, "    ");
            lines.push(if line.width() > width { Line::new().plain(fit(&line.text(), width)) } else { line });
        }
        if self.running.len() > LISTED {
            lines.push(Line::of(Paint::Dim, format!("    … {} more", self.running.len() - LISTED)));
        }
        let ctrl_c = match (self.interrupted, self.running.is_empty()) {
            (true, _) => "  Ctrl-C again: leave what runs to the next run",
            (false, true) => "  Ctrl-C: stop; nothing has been changed",
            (false, false) => "  Ctrl-C: finish what runs, start nothing new",
        };
        lines.push(Line::of(Paint::Dim, fit(ctrl_c, width)));
        lines
    }

    /// `12 of 40 done, 4 running, 12.0s so far, about 25 s left`.
    fn standing(&self, now: u64) -> String {
        let Some(apply) = &self.apply else {
            let (since, total) = self.reading.unwrap_or((now, 0));
            return format!("reading {}  {}", plural(total, "resource"), elapsed(now - since));
        };
        let so_far = now.saturating_sub(apply.since);
        let left = match apply.expected_ms.checked_sub(so_far) {
            Some(left) => format!("{} left", about(left)),
            None => format!("longer than expected ({})", about(apply.expected_ms)),
        };
        let running = if self.running.is_empty() { String::new() } else { format!("{} running, ", self.running.len()) };
        format!("{} of {} done, {running}{} so far, {left}", self.done, apply.operations, elapsed(so_far))
    }

    fn summary(&mut self, done: usize, failed: usize, skipped: usize, elapsed_ms: u64) -> Vec<Line> {
        let mut lines = self.flush();
        self.running.clear();
        self.apply = None;
        if failed == 0 && skipped == 0 && !self.interrupted {
            let line = Line::of(Paint::Good, "Done:").plain(format!(" {}", plural(done, "step")));
            lines.push(line.plain(format!(" in {}.", elapsed(elapsed_ms))));
            return lines;
        }
        let stopped = if self.interrupted { "Interrupted:" } else { "Not finished:" };
        let counts = format!(" {done} done, {failed} failed, {skipped} skipped in {}.", elapsed(elapsed_ms));
        lines.push(Line::new());
        lines.push(Line::of(Paint::Bad, stopped).plain(counts));
        let next = next(&self.failed, self.interrupted);
        for failed in std::mem::take(&mut self.failed) {
            let what = format!("{} {}", failed.verb, failed.address.short());
            lines.push(Line::of(Paint::Bad, "failed ").plain(what.trim_start()));
            lines.extend(explained(&failed.message, failed.hint.as_deref()));
        }
        for (because, skipped) in std::mem::take(&mut self.skipped) {
            let names = group_names(skipped.into_iter());
            let line = Line::of(Paint::Edit, "skipped").plain(format!(
                " because of {}: {}",
                because.short(),
                fit(&names, 300)
            ));
            lines.push(line);
        }
        lines.push(Line::new().plain(format!("What is done is recorded. {next}")));
        lines
    }
}

/// How to go on after a run that did not do everything. A refused step is refused again by the same plan.
fn next(failed: &[Failed], interrupted: bool) -> &'static str {
    let refused = failed.iter().filter(|failed| failed.stale).count();
    match refused {
        0 => "Run the same command again to go on from here.",
        n if n == failed.len() && !interrupted => "Make a new plan for the rest.",
        _ => "Run the same command again to go on from here; for what was refused, make a new plan.",
    }
}

fn done(verb: &str, ms: u64, mut addresses: Vec<Address>) -> Line {
    addresses.sort();
    let label = group_label(&addresses.iter().collect::<Vec<_>>());
    let times = if addresses.len() > 1 { format!(" ×{}", addresses.len()) } else { String::new() };
    let paint = match verb {
        "create" => Paint::Good,
        "delete" => Paint::Bad,
        "update" => Paint::Edit,
        _ => Paint::Info,
    };
    Line::of(paint, format!("{verb:<6}")).plain(format!(" {label}{times}")).add(Paint::Dim, took(ms))
}

fn waiting(running: &Running, now: u64, indent: &str) -> Line {
    let line = Line::new().plain(indent).plain(format!("{} {}", running.verb, running.address.short()));
    let line = line.add(Paint::Dim, took(now.saturating_sub(running.since)));
    if running.waits_for.is_empty() { line } else { line.add(Paint::Dim, format!("  {}", running.waits_for)) }
}

fn settling(address: &Address, wait_ms: u64) -> Line {
    let seconds = wait_ms.div_ceil(1000);
    let what = format!("may have been made by the interrupted run; looked for, {seconds} s at most");
    Line::of(Paint::Info, "settle ").plain(format!("{}  {what}", address.short()))
}

fn settled(address: &Address, how: &str) -> Line {
    let what = match how {
        "found" => "was made by the interrupted run; taken over",
        "absent" => "was not made by the interrupted run; planned again",
        _ => "has several candidates; nothing is done to it",
    };
    Line::of(Paint::Info, "settle ").plain(format!("{}  {what}", address.short()))
}

fn explained(message: &str, hint: Option<&str>) -> Vec<Line> {
    let lines = message.lines().map(|l| Line::new().plain(format!("       {l}")));
    let hint = hint.map(|h| Line::new().plain("       ").add(Paint::Info, "hint: ").plain(h));
    lines.chain(hint).collect()
}

fn took(ms: u64) -> String {
    format!("  {}", elapsed(ms))
}

/// Equal for addresses that differ in their instance number only.
fn like(address: &Address) -> String {
    match address.instance() {
        Some((base, _, rest)) => format!("{}.{base}[]{rest}", address.kind()),
        None => address.short(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
