//! What changed outside since the last apply.

use super::{
    INDENT,
    groups::{self, times},
    rows::{self, write_row},
};
use crate::view::page::{Line, Look, Page, Paint};
use cloudtik_core::plan::{Action, Change, Drift, Reason};
use std::collections::HashMap;

/// How many drifted things are listed before the rest is counted.
const LISTED: usize = 10;

/// The section of a plan; nothing when nothing has drifted.
pub(crate) fn write(page: &mut Page, drift: &[Drift], look: &Look<'_>, all: bool, full: bool) {
    if drift.is_empty() {
        return;
    }
    let changes: Vec<Change> = drift.iter().map(as_change).collect();
    let groups = groups::groups(changes.iter(), &HashMap::new());
    page.line(&Line::of(Paint::Bold, "Changed outside cloudtik since the last apply"), 0);
    let shown = if all { groups.len() } else { LISTED.min(groups.len()) };
    for group in &groups[..shown] {
        let first = group.first();
        let line = Line::of(Paint::Edit, "  ! ").plain(format!("{}{}", group.label(), times(group.members.len())));
        page.line(&line.add(Paint::Dim, format!("  {}", look.clean(&what(first)))), INDENT);
        rows::changed(&first.diffs, look, full).iter().for_each(|row| write_row(page, row));
    }
    if shown < groups.len() {
        let rest = format!("      … {} more (--verbose lists them)", groups.len() - shown);
        page.line(&Line::of(Paint::Dim, rest), INDENT);
    }
    page.blank();
}

/// A drifted thing in the shape that grouping takes.
fn as_change(drift: &Drift) -> Change {
    let reasons = match (&drift.diffs, &drift.broken) {
        (None, _) => vec![Reason::Gone],
        (_, Some(detail)) => vec![Reason::Broken { detail: detail.clone() }],
        _ => Vec::new(),
    };
    Change {
        address: drift.address.clone(),
        provider: "".into(),
        action: Action::Update,
        reasons,
        diffs: drift.diffs.clone().unwrap_or_default(),
        operations: Vec::new(),
        origin: None,
    }
}

fn what(change: &Change) -> String {
    match change.reasons.first() {
        Some(Reason::Gone) => "has vanished".into(),
        Some(Reason::Broken { detail }) => format!("does not work: {detail}"),
        _ => String::new(),
    }
}
