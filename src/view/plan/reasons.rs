//! Why a change happens, in a few words, from the plan's reasons.

use cloudtik_core::{
    Address,
    plan::{Action, Change, Reason},
};

/// How many paths or addresses are named before the rest is counted.
const NAMED: usize = 3;

/// What happens and why: `must be replaced: cidr cannot change in place`. Empty for an ordinary create and in a destroy.
pub(crate) fn why(change: &Change) -> String {
    let reasons = Sorted::of(change);
    let detail = reasons.phrases(change).join("; ");
    let what = what(change, &reasons);
    match (what.is_empty(), detail.is_empty()) {
        (false, false) => format!("{what}: {detail}"),
        (false, true) => what.to_string(),
        _ => detail,
    }
}

/// What happened between two revisions: `replaced: cidr changed`.
pub(crate) fn was(change: &Change) -> String {
    let changed = Sorted::of(change).changed;
    let leaves: Vec<&str> = changed.iter().map(|path| leaf(change, path)).collect();
    let detail = if leaves.is_empty() { String::new() } else { format!("{} changed", named(&leaves)) };
    match (change.action, detail.is_empty()) {
        (Action::Replace, false) => format!("replaced: {detail}"),
        (Action::Replace, true) => "replaced by one that is alike".into(),
        _ => detail,
    }
}

fn what(change: &Change, reasons: &Sorted<'_>) -> &'static str {
    match change.action {
        Action::Replace | Action::ReplaceCreateFirst if reasons.requested => "is replaced",
        Action::Replace | Action::ReplaceCreateFirst => "must be replaced",
        Action::Update if change.address.kind() == "service" => "restarts",
        _ => "",
    }
}

/// Reasons by kind, each with what they name.
#[derive(Default)]
struct Sorted<'a> {
    changed: Vec<&'a str>,
    immutable: Vec<&'a str>,
    drifted: Vec<&'a str>,
    replaced: Vec<&'a Address>,
    requested: bool,
    other: Vec<&'a Reason>,
}

impl<'a> Sorted<'a> {
    fn of(change: &'a Change) -> Self {
        let mut sorted = Sorted::default();
        for reason in &change.reasons {
            match reason {
                Reason::Changed { path } => sorted.changed.push(path),
                Reason::Immutable { path } => sorted.immutable.push(path),
                Reason::Drifted { path } => sorted.drifted.push(path),
                Reason::DependencyReplaced { address } => sorted.replaced.push(address),
                Reason::Requested => sorted.requested = true,
                other => sorted.other.push(other),
            }
        }
        sorted
    }

    fn phrases(&self, change: &Change) -> Vec<String> {
        let mut phrases = Vec::new();
        if !self.immutable.is_empty() {
            phrases.push(format!("{} cannot change in place", named(&self.immutable)));
        }
        if !self.replaced.is_empty() {
            let addresses: Vec<String> = self.replaced.iter().map(|a| a.short()).collect();
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let verb = if addresses.len() == 1 { "is" } else { "are" };
            phrases.push(format!("{}, which it is built on, {verb} replaced", named(&addresses)));
        }
        // What else changes is told by the attributes below; only an update has no other reason to name.
        if !self.changed.is_empty() && change.action == Action::Update {
            let leaves: Vec<&str> = self.changed.iter().map(|path| leaf(change, path)).collect();
            phrases.push(format!("{} changed", named(&leaves)));
        }
        if !self.drifted.is_empty() {
            phrases.push(format!("{} was changed outside", named(&self.drifted)));
        }
        if self.requested {
            phrases.push("asked for by --replace".into());
        }
        phrases.extend(self.other.iter().filter_map(|reason| phrase(reason)));
        phrases
    }
}

fn phrase(reason: &Reason) -> Option<String> {
    Some(match reason {
        Reason::Gone => "made again, it has vanished".into(),
        Reason::Broken { detail } => format!("does not work: {detail}"),
        Reason::Upgrade { detail } => format!("a newer version was asked for: {detail}"),
        Reason::Unready => "was made, but never became ready".into(),
        Reason::Undeclared => "no longer declared".into(),
        Reason::Deposed { key } => format!("old object {key} that a replacement left behind"),
        Reason::Retained => "the object and its data stay; only the record goes".into(),
        Reason::KeptBy { address } => format!("stopped, kept for reuse by {}", address.short()),
        Reason::GoneWith { address } => format!("goes together with {}", address.short()),
        Reason::Drained => "stopped in order first".into(),
        Reason::NotDrained { detail } => format!("goes without being stopped in order: {detail}"),
        Reason::Found => "found under our name; recorded without touching it".into(),
        Reason::TakenOver => "exists and was not made from here; taken over as asked".into(),
        // Said by the mark, or above.
        Reason::New
        | Reason::Destroy
        | Reason::Changed { .. }
        | Reason::Immutable { .. }
        | Reason::Drifted { .. }
        | Reason::DependencyReplaced { .. }
        | Reason::Requested => return None,
    })
}

/// A service's `config.spark-defaults.conf` is about `spark-defaults.conf`.
fn leaf<'a>(change: &Change, path: &'a str) -> &'a str {
    match change.address.kind() {
        "service" => path.strip_prefix("config.").unwrap_or(path),
        _ => path,
    }
}

fn named(names: &[&str]) -> String {
    let mut unique: Vec<&str> = Vec::new();
    names.iter().for_each(|n| {
        if !unique.contains(n) {
            unique.push(n)
        }
    });
    if unique.len() <= NAMED + 1 {
        return unique.join(", ");
    }
    format!("{} and {} more", unique[..NAMED].join(", "), unique.len() - NAMED)
}
