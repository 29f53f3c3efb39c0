//! The timeline for people: alike operations on one line, the longest chain marked.

use super::{
    End, Rehearsal,
    timeline::{self, Bar, Outcome, Timeline},
};
use crate::view::{
    page::{Line, Look, Page, Paint},
    plan::{group_label, group_names},
    text,
};
use cloudtik_core::Address;
use std::collections::BTreeMap;

/// Column where what is said of an operation goes on.
const HANG: usize = 23;

pub fn human(rehearsal: &Rehearsal<'_>, look: &Look<'_>) -> String {
    let mut page = Page::new(look);
    let chaos = if rehearsal.chaos { " with chaos" } else { "" };
    page.line(&Line::of(Paint::Bold, format!("Rehearsal{chaos}, seed {}", rehearsal.seed)), 0);
    page.line(&Line::new().plain("Nothing real is touched and no state is changed; times are typical ones."), 0);
    if rehearsal.runs.iter().all(|run| run.plan.as_ref().is_none_or(|plan| plan.is_empty())) {
        page.blank();
        page.line(&Line::new().plain("Nothing to do."), 0);
        return page.finish();
    }
    for (number, run) in rehearsal.runs.iter().enumerate() {
        let timeline = timeline::of(run);
        page.blank();
        if number > 0 {
            let again = format!("{:>9}  the same command is run again (run {})", clock(run.began_ms), number + 1);
            page.line(&Line::of(Paint::Bold, again), HANG);
        }
        settled(&mut page, &timeline, look);
        if !timeline.bars.is_empty() {
            page.line(&Line::of(Paint::Dim, format!("{:>9} {:>8}", "START", "TOOK")), HANG);
        }
        for group in groups(&timeline.bars) {
            bars(&mut page, &group, look);
        }
        for (because, skipped) in &timeline.skipped {
            let names = group_names(skipped.iter().cloned());
            let line = Line::of(Paint::Edit, format!("skipped because of {}: ", because.short()));
            page.line(&line.plain(look.clean(&names)), 4);
        }
        if run.end == End::Killed {
            page.line(&Line::of(Paint::Bad, format!("{:>9}  the program is killed", clock(run.ended_ms))), HANG);
        }
    }
    page.blank();
    summary(&mut page, rehearsal, look);
    page.finish()
}

fn clock(ms: u64) -> String {
    text::elapsed(ms)
}

/// What is too short for a clock is told all the same.
fn took(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { text::elapsed(ms) }
}

/// What was found out of an earlier run's open calls.
fn settled(page: &mut Page, timeline: &Timeline, look: &Look<'_>) {
    for (how, addresses) in &timeline.settled {
        let meaning = match *how {
            "found" => "made by the run before, and taken into the record",
            "absent" => "not made by the run before",
            other => other,
        };
        let names = group_names(addresses.iter().cloned());
        page.line(&Line::new().plain(format!("{:>9}  {meaning}: {}", "", look.clean(&names))), HANG);
    }
}

/// Bars that differ in their instance number only, and went the same way, in order of their first start.
fn groups(bars: &[Bar]) -> Vec<Vec<&Bar>> {
    let mut groups: Vec<Vec<&Bar>> = Vec::new();
    let mut places = BTreeMap::new();
    for bar in bars {
        let name = match bar.address.instance() {
            Some((base, _, rest)) => (base.to_owned(), rest.to_owned(), None),
            None => (String::new(), String::new(), Some(&bar.address)),
        };
        let key = (bar.address.scope(), bar.address.kind(), name, bar.verb, &bar.outcome);
        let at = *places.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(bar);
    }
    groups
}

fn bars(page: &mut Page, group: &[&Bar], look: &Look<'_>) {
    let first = group[0];
    let start = group.iter().map(|bar| bar.start_ms).min().unwrap_or_default();
    let end = group.iter().map(|bar| bar.end_ms).max().unwrap_or_default();
    let (mark, paint) = match first.verb {
        "create" => ("+", Paint::Good),
        "delete" => ("-", Paint::Bad),
        "update" => ("~", Paint::Edit),
        _ => ("=", Paint::Plain),
    };
    let mut addresses: Vec<&Address> = group.iter().map(|bar| &bar.address).collect();
    addresses.sort();
    let times = if group.len() > 1 { format!(" ×{}", group.len()) } else { String::new() };
    let chain = if group.iter().any(|bar| bar.critical) { "*" } else { " " };
    let mut line = Line::new()
        .plain(format!("{:>9} {:>8} ", clock(start), took(end - start)))
        .add(Paint::Bold, chain)
        .add(paint, format!(" {mark} "))
        .plain(format!("{}{times}", look.clean(&group_label(&addresses))));
    let after: Vec<Address> = group.iter().filter_map(|bar| bar.after.clone()).collect();
    if !after.is_empty() {
        let mut after = after;
        after.sort();
        after.dedup();
        line = line.add(Paint::Dim, format!("  after {}", look.clean(&group_names(after.into_iter()))));
    }
    page.line(&line, HANG);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    group.iter().flat_map(|bar| &bar.retries).for_each(|why| *reasons.entry(why).or_default() += 1);
    if !reasons.is_empty() {
        let each: Vec<String> = reasons.iter().map(|(why, count)| format!("{why} (×{count})")).collect();
        let tried = format!("{}tried again: {}", " ".repeat(HANG), look.clean(&each.join(", ")));
        page.line(&Line::of(Paint::Edit, tried), HANG);
    }
    match &first.outcome {
        Outcome::Done => {}
        Outcome::Failed(why) => {
            page.line(&Line::of(Paint::Bad, format!("{}failed: {}", " ".repeat(HANG), look.clean(why))), HANG);
        }
        Outcome::Cut => {
            let cut = format!("{}under way when the program is killed", " ".repeat(HANG));
            page.line(&Line::of(Paint::Bad, cut), HANG);
        }
    }
}

fn summary(page: &mut Page, rehearsal: &Rehearsal<'_>, look: &Look<'_>) {
    let timelines: Vec<Timeline> = rehearsal.runs.iter().map(timeline::of).collect();
    let all = || timelines.iter().flat_map(|timeline| &timeline.bars);
    let done = all().filter(|bar| bar.outcome == Outcome::Done).count();
    let retries: usize = all().map(|bar| bar.retries.len()).sum();
    let failed = all().filter(|bar| matches!(bar.outcome, Outcome::Failed(_))).count();
    let kills = rehearsal.runs.iter().filter(|run| run.end == End::Killed).count();
    let mut chain: Vec<&Bar> = timelines.last().into_iter().flat_map(|t| &t.bars).filter(|bar| bar.critical).collect();
    chain.sort_by_key(|bar| bar.start_ms);
    if !chain.is_empty() {
        let names: Vec<String> = chain.iter().map(|bar| bar.address.short()).collect();
        page.line(&Line::of(Paint::Bold, "* longest chain: ").plain(look.clean(&names.join(" -> "))), 4);
    }
    let (Some(first), Some(last)) = (rehearsal.runs.first(), rehearsal.runs.last()) else { return };
    let took = text::elapsed(last.ended_ms - first.began_ms);
    let counts = [
        text::plural(done, "operation"),
        format!("{retries} tried again"),
        format!("{failed} failed"),
        format!("{kills} killed"),
        text::plural(rehearsal.runs.len(), "run"),
    ];
    let end = match last.end {
        End::Complete => Line::of(Paint::Good, "Simulated: complete"),
        End::Partly | End::Killed => Line::of(Paint::Bad, "Simulated: not complete"),
    };
    page.line(&end.plain(format!(" after {took}; {}.", counts.join(", "))), 4);
}
