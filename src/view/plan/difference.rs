//! What two revisions differ in, drawn as a plan is.

use super::{
    human::{Options, Words, Writer},
    json, meant,
    reasons::was,
};
use crate::view::page::{Line, Look, Paint};
use cloudtik_core::{
    Digest, Scope,
    plan::{Action, Change, Estimate, Mode, Plan},
};
use serde::Serialize;
use std::collections::BTreeMap;

const WERE: Words = Words { meaning: meant, why: was };

/// Two revisions of a scope; `None` is what is recorded now.
pub struct Between<'a> {
    pub scope: &'a Scope,
    pub from: u64,
    pub to: Option<u64>,
}

/// The differences as text, ending in a line feed.
pub fn difference(between: &Between<'_>, changes: Vec<Change>, look: &Look<'_>, verbose: bool) -> String {
    let plan = shell(changes);
    let options = Options { verbose, full: verbose, next: Vec::new() };
    let mut writer = Writer::new(&plan, WERE, look, &options);
    let to = between.to.map_or("now".into(), |to| format!("r{to}"));
    let span = format!("r{} to {to}:", between.from);
    if plan.changes.iter().any(|change| change.action.is_change()) {
        writer.legend();
        writer.changes();
        writer.kept();
        writer.page.blank();
        writer.in_part("What is new is shown in part; --verbose shows all of it.");
    } else {
        writer.kept();
    }
    let sum = Line::of(Paint::Bold, span).plain(format!(" {}.", counts(&plan)));
    writer.page.line(&sum, 6);
    writer.page.finish()
}

/// The same for programs.
pub fn difference_json(between: &Between<'_>, changes: &[Change]) -> serde_json::Value {
    #[derive(Serialize)]
    struct Document<'a> {
        format_version: u32,
        scope: &'a Scope,
        from: u64,
        /// `null`: now.
        to: Option<u64>,
        counts: BTreeMap<Action, usize>,
        changes: Vec<json::Change<'a>>,
    }
    let mut counts = BTreeMap::new();
    changes.iter().for_each(|change| *counts.entry(change.action).or_default() += 1);
    let changes = changes.iter().map(json::change).collect();
    let Between { scope, from, to } = *between;
    let document = Document { format_version: json::FORMAT, scope, from, to, counts, changes };
    serde_json::to_value(document).expect("a change's keys are text, so it is always JSON")
}

fn counts(plan: &Plan) -> String {
    let counted = plan.counts();
    let words = [
        (Action::Replace, "replaced"),
        (Action::Update, "changed"),
        (Action::Create, "new"),
        (Action::Delete, "gone"),
        (Action::Keep, "the same"),
    ];
    let parts: Vec<String> =
        words.iter().filter_map(|(action, word)| Some(format!("{} {word}", counted.get(action)?))).collect();
    if parts.is_empty() { "nothing in either".into() } else { parts.join(", ") }
}

/// Changes without the steps that made them.
fn shell(changes: Vec<Change>) -> Plan {
    Plan {
        format: cloudtik_core::plan::FORMAT,
        mode: Mode::Normal,
        base: BTreeMap::new(),
        documents: Digest(String::new()),
        changes,
        operations: Vec::new(),
        edges: Vec::new(),
        drift: Vec::new(),
        estimate: Estimate::default(),
        warnings: Vec::new(),
        digest: Digest(String::new()),
    }
}
