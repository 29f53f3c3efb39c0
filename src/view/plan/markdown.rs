//! The plan as a review comment. Destructive changes come first and are never left out; when the limit is tight, details
//! go first, then the lists of what is created, and the comment says what was left out.

use super::{
    counts,
    groups::{self, Group},
    meaning, order,
    reasons::why,
    rows::{self, Mark, Row},
    symbol,
};
use crate::view::{page::Look, text};
use cloudtik_core::plan::{Action, Plan};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

/// Below what code hosts accept (GitHub: 65,536 characters, its REST documentation of issue comments, read 2026-11).
pub const LIMIT: usize = 65_000;

/// Kept free for what is said about shortening.
const RESERVE: usize = 220;

/// One entry of the comment.
struct Item {
    line: String,
    detail: String,
    destructive: bool,
}

/// A comment of at most `limit` bytes. `key` names the comment in its hidden first line, so that a later run replaces it.
pub fn markdown(plan: &Plan, key: &str, limit: usize, look: &Look<'_>) -> String {
    let head = head(plan, key);
    let groups = groups::groups(plan.changes.iter().filter(|c| c.action.is_change()), &order::kinds(plan));
    let mut items: Vec<Item> = groups.iter().map(|g| item(g, look)).collect();
    refer_back(&mut items, &groups);
    let foot = foot(plan, look);
    let mut room = limit.saturating_sub(head.len() + RESERVE);
    let short = items.iter().filter(|i| i.destructive).map(|i| i.line.len() + 4).sum::<usize>() > room;
    let items = if short { terse(items, &groups, room) } else { items };
    let lines = take(&mut room, &items, |item| item.line.len() + 4);
    let foot = if foot.len() <= room { foot } else { String::new() };
    room -= foot.len();
    let details = take(&mut room, &items, |item| match item.detail.len() {
        0 => 0,
        n => n + "<details><summary>\n\n\n</summary></details>\n".len(),
    });
    let mut out = head;
    for (i, item) in items.iter().enumerate().filter(|(i, _)| lines[*i]) {
        write_item(&mut out, item, details[i]);
    }
    left_out(&mut out, &items, &lines, &details);
    out + &foot
}

/// Details that were shown before are only referred to.
fn refer_back(items: &mut [Item], groups: &[Group<'_>]) {
    let mut shown: HashMap<String, String> = HashMap::new();
    for (item, group) in items.iter_mut().zip(groups).filter(|(item, _)| item.detail.len() > 200) {
        match shown.get(&item.detail) {
            Some(place) => item.detail = format!("Same as in {}.\n", code(place)),
            None => drop(shown.insert(item.detail.clone(), group.label())),
        }
    }
}

/// Marks the items whose cost still fits, in order of importance: destructive ones first, as they come.
fn take(room: &mut usize, items: &[Item], cost: impl Fn(&Item) -> usize) -> Vec<bool> {
    let mut taken = vec![false; items.len()];
    for destructive in [true, false] {
        for (i, item) in items.iter().enumerate().filter(|(_, item)| item.destructive == destructive) {
            let cost = cost(item);
            taken[i] = cost <= *room;
            if taken[i] {
                *room -= cost;
            }
        }
    }
    taken
}

fn head(plan: &Plan, key: &str) -> String {
    let key: String = key.chars().filter(|c| c.is_alphanumeric() || "/._+-".contains(*c)).collect();
    let mut out = format!("<!-- cloudtik-plan:{} -->\n### Plan: {}\n\n", text::fit(&key, 200), counts(plan));
    let counted: BTreeMap<Action, usize> = plan.counts().into_iter().filter(|(a, _)| a.is_change()).collect();
    if counted.is_empty() {
        let _ = writeln!(out, "No changes: {} as declared.", text::plural(plan.changes.len(), "resource"));
        return out;
    }
    out.push_str("| | action | resources |\n|:-:|---|--:|\n");
    for (action, count) in counted {
        let warn = if action.is_destructive() { "⚠️ " } else { "" };
        let _ = writeln!(out, "| `{}` | {warn}{} | {count} |", symbol(action), meaning(action));
    }
    let _ = writeln!(
        out,
        "\nExpected: {}. Plan digest `{}`.\n",
        text::about(plan.estimate.milliseconds),
        plan.digest.short()
    );
    out
}

fn item(group: &Group<'_>, look: &Look<'_>) -> Item {
    let why = look.clean(&why(group.first())).into_owned();
    let mut line =
        format!("{} <code>{}</code>{}", code(symbol(group.action())), escape(&full_label(group)), group.times());
    if !why.is_empty() {
        let _ = write!(line, " — {}", escape(&text::fit(&why, 300)));
    }
    if !group.with_it.is_empty() {
        let names = rows::along(group.with_it.iter().map(|c| c.address.clone()));
        let _ = write!(line, "; with it: {}", escape(&names));
    }
    let wide = Look { width: 100, ..*look };
    Item { line, detail: fence(&rows::rows(group, &wide, false)), destructive: group.action().is_destructive() }
}

/// Destructive entries without their reasons, names of what goes along only counted, when even those would not fit.
fn terse(items: Vec<Item>, groups: &[Group<'_>], room: usize) -> Vec<Item> {
    let shorten = |(mut item, group): (Item, &Group<'_>)| {
        if item.destructive {
            let along = rows::along(group.with_it.iter().map(|c| c.address.clone()));
            let along = if along.is_empty() { along } else { format!(" with {along}") };
            item.line = format!("{} {}{}", symbol(group.action()), escape(&group.label()), escape(&along));
            item.detail = String::new();
        }
        item
    };
    let items: Vec<Item> = items.into_iter().zip(groups).map(shorten).collect();
    let needed: usize = items.iter().filter(|i| i.destructive).map(|i| i.line.len() + 4).sum();
    if needed <= room { items } else { merged(items, groups) }
}

/// All destructive entries as one list per action and kind: the least room that names every one of them.
fn merged(items: Vec<Item>, groups: &[Group<'_>]) -> Vec<Item> {
    let mut kinds: BTreeMap<(Action, &str), Vec<String>> = BTreeMap::new();
    for group in groups.iter().filter(|g| g.action().is_destructive()) {
        let kind = group.first().address.kind();
        let name = group.label().split_once('.').map_or_else(String::new, |(_, name)| name.to_string());
        kinds.entry((group.action(), kind)).or_default().push(name);
        for inner in &group.with_it {
            kinds.entry((inner.action, inner.address.kind())).or_default().push(inner.address.name().to_string());
        }
    }
    let list = |((action, kind), names): ((Action, &str), Vec<String>)| Item {
        line: format!("{} {} {}: {}", symbol(action), names.len(), escape(kind), escape(&names.join(" "))),
        detail: String::new(),
        destructive: true,
    };
    let mut merged: Vec<Item> = kinds.into_iter().map(list).collect();
    merged.extend(items.into_iter().filter(|i| !i.destructive));
    merged
}

/// With its scope: a comment may stand beside others.
fn full_label(group: &Group<'_>) -> String {
    format!("{}:{}", group.first().address.scope(), group.label())
}

fn write_item(out: &mut String, item: &Item, detail: bool) {
    if detail && !item.detail.is_empty() {
        let _ = write!(out, "<details><summary>{}</summary>\n\n{}\n</details>\n\n", item.line, item.detail);
    } else {
        let _ = writeln!(out, "- {}\n", item.line);
    }
}

fn left_out(out: &mut String, items: &[Item], lines: &[bool], details: &[bool]) {
    let detail = items.iter().zip(details).zip(lines).filter(|((i, d), l)| **l && !**d && !i.detail.is_empty()).count();
    let missing =
        |destructive: bool| items.iter().zip(lines).filter(|(i, l)| !**l && i.destructive == destructive).count();
    let (lost, hidden) = (missing(true), missing(false));
    let mut said = Vec::new();
    if lost > 0 {
        said.push(format!("**{} of destructive changes**", text::plural(lost, "list")));
    }
    if hidden > 0 {
        said.push(text::plural(hidden, "change"));
    }
    if detail > 0 {
        said.push(format!("the details of {}", text::plural(detail, "change")));
    }
    if !said.is_empty() {
        let _ = writeln!(out, "_Left out to fit a comment: {}. `cloudtik plan` shows everything._\n", said.join(", "));
    }
}

fn foot(plan: &Plan, look: &Look<'_>) -> String {
    let mut out = String::new();
    let warnings = plan.warnings.iter().take(20);
    for warning in warnings {
        let place = warning.origin.as_ref().map(|o| format!(" ({o})")).unwrap_or_default();
        let detail = if warning.detail.is_empty() { String::new() } else { format!(": {}", warning.detail) };
        let whole = format!("{}{detail}{place}", warning.summary);
        let mark = if warning.severity == cloudtik_core::Severity::Note { "ℹ️" } else { "⚠️" };
        let _ = writeln!(out, "> {mark} {}\n", escape(&text::fit(&look.clean(&whole), 400)));
    }
    if !plan.drift.is_empty() {
        let gone = plan.drift.iter().filter(|d| d.diffs.is_none()).count();
        let names: Vec<String> = plan.drift.iter().take(8).map(|d| d.address.short()).collect();
        let more = if plan.drift.len() > 8 { ", …" } else { "" };
        let _ = writeln!(
            out,
            "Changed outside since the last apply: {} ({gone} gone): {}{more}\n",
            text::plural(plan.drift.len(), "resource"),
            escape(&names.join(", "))
        );
    }
    out
}

/// Rows in a `diff` block. The fence is longer than any run of backticks inside, so no text can leave it.
fn fence(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for row in rows {
        let mark = match row.mark {
            Mark::None => ' ',
            Mark::Add => '+',
            Mark::Remove => '-',
            Mark::Edit => '!',
        };
        let text = row.line.text();
        let line = format!("{mark} {}{}", "  ".repeat(row.depth), text::visible(&text));
        body.push_str(line.trim_end());
        body.push('\n');
    }
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}diff\n{body}{fence}\n")
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// Text that Markdown and HTML show as it is: no markup, link, mention or table cell comes out of it.
fn escape(content: &str) -> String {
    let mut out = String::with_capacity(content.len() + 16);
    for c in text::visible(content).chars() {
        if c.is_ascii_punctuation()
            && !matches!(c, '.' | ',' | ':' | ';' | '/' | '-' | '=' | '+' | '(' | ')' | '{' | '}' | '?' | '%')
        {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
