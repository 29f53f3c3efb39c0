//! Small pictures that single verbs show.

use super::{
    output::Output,
    page::{Line, Look, Page, Paint},
    progress,
    text::{self, plural},
};
use cloudtik_core::plan::Drift;
use std::io::Write;

/// Writes a verb's result as an event: the stream's first line, if that is still to come, then the document with its name.
pub fn event(output: &Output, name: &str, mut document: serde_json::Value) -> std::io::Result<()> {
    progress::announce(output);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("event".into(), name.into());
    }
    output.json(&document)
}

/// Documents line by line, where each value came from behind it. Lines are never broken: the text is YAML, to be read back.
pub fn annotated(lines: &[(String, Option<String>)], look: &Look<'_>) -> String {
    let unbroken = Look { width: usize::MAX, ..*look };
    let fitting = lines.iter().map(|(line, _)| text::width(line)).filter(|w| *w <= look.width / 2);
    let column = fitting.max().unwrap_or(0) + 2;
    let mut page = Page::new(&unbroken);
    for (line, origin) in lines {
        let mut shown = Line::new().plain(look.clean(line).into_owned());
        if let Some(origin) = origin {
            let gap = column.saturating_sub(text::width(line)).max(2);
            shown.0.push((Paint::Dim, format!("{}# {origin}", " ".repeat(gap))));
        }
        page.line(&shown, 0);
    }
    page.finish()
}

/// What `refresh` found: what differs as a plan shows it, then what that adds up to.
pub fn refreshed(drift: &[Drift], noted: usize, look: &Look<'_>, verbose: bool) -> String {
    let mut page = Page::new(look);
    super::plan::drift(&mut page, drift, look, verbose, verbose);
    if noted > 0 {
        page.line(&Line::new().plain(format!("Recorded anew: {}.", plural(noted, "resource"))), 0);
    }
    let sum = match drift.len() {
        0 => "Everything is as recorded.".into(),
        1 => "1 resource differs from the record. `cloudtik plan` shows what would mend it.".into(),
        n => format!("{n} resources differ from the record. `cloudtik plan` shows what would mend them."),
    };
    page.line(&Line::new().plain(sum), 0);
    page.finish()
}

/// The panic hook: a defect of ours says so. Panic texts may hold anything, so only the place is shown.
pub fn bug(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    // Nobody is left to be told that stderr is closed.
    let _ = writeln!(
        std::io::stderr(),
        "cloudtik met a bug of its own at {place}. What was done is in the journal: running the same command again is safe."
    );
}
