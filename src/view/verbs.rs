//! Small pictures that single verbs show.

use super::{
    page::{Line, Look, Page, Paint},
    text::{self, plural},
};
use cloudtik_core::plan::Drift;
use std::io::Write;

/// Documents line by line, where each value came from behind it.
pub fn annotated(lines: &[(String, Option<String>)], look: &Look<'_>) -> String {
    let fitting = lines.iter().map(|(line, _)| text::width(line)).filter(|w| *w <= look.width / 2);
    let column = fitting.max().unwrap_or(0) + 2;
    let mut page = Page::new(look);
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

/// What `refresh` found.
pub fn refreshed(drift: &[Drift], noted: usize) -> String {
    let mut lines: Vec<String> = drift
        .iter()
        .map(|d| {
            let what = match (&d.diffs, &d.broken) {
                (None, _) => "is gone".to_string(),
                (_, Some(why)) => format!("does not work: {why}"),
                (Some(diffs), None) => {
                    let paths: Vec<&str> = diffs.iter().map(|d| d.path.as_str()).collect();
                    format!("was changed: {}", paths.join(", "))
                }
            };
            format!("{} {what}", d.address)
        })
        .collect();
    if noted > 0 {
        lines.push(format!("{} recorded anew.", plural(noted, "output")));
    }
    lines.push(match drift.len() {
        0 => "Everything is as recorded.".into(),
        n => format!("{} from the record. See `cloudtik plan` for what would mend it.", {
            if n == 1 { "1 resource differs".to_string() } else { format!("{n} resources differ") }
        }),
    });
    lines.join("\n")
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
