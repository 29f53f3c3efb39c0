//! The attributes of a change as rows with a mark, a depth and text; terminal and Markdown lay the same rows out.

use crate::view::{
    page::{Line, Look, Page, Paint, Wrap},
    text,
};
use cloudtik_core::{
    Address, Attrs, Value,
    plan::{Action, AttributeDiff},
};
use similar::{ChangeTag, DiffOp, TextDiff};

use super::{
    INDENT,
    groups::Group,
    values::{
        LATER, LONG, around_the_difference, flat, is_block, is_inline, lines_of, padded, parse, ranged, show, varies,
    },
};

/// Lines of a new text that are shown.
const PREVIEW: usize = 12;
/// Items of a long list that are shown.
const ITEMS: usize = 6;
/// Unchanged lines around a changed one.
const CONTEXT: usize = 3;
/// Lines of one text diff that are shown.
const CHANGED: usize = 100;
/// Columns that names are aligned to at most.
const ALIGN: usize = 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Add,
    Remove,
    Edit,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub mark: Mark,
    pub depth: usize,
    pub line: Line,
    /// A line of the user's own text.
    pub exact: bool,
}

/// Lays one row out below an entry.
pub(crate) fn write_row(page: &mut Page, row: &Row) {
    let (mark, paint) = match row.mark {
        Mark::None => (" ", Paint::Plain),
        Mark::Add => ("+", Paint::Good),
        Mark::Remove => ("-", Paint::Bad),
        Mark::Edit => ("~", Paint::Edit),
    };
    let indent = INDENT + row.depth * 2;
    let mut line = Line::new().plain(" ".repeat(indent)).add(paint, mark).plain(" ");
    line.0.extend(row.line.0.iter().cloned());
    let (hang, wrap) = if row.exact { (indent + 2, Wrap::Exact) } else { (indent + 6, Wrap::Words) };
    page.wrapped(&line, hang, wrap);
}

/// Makes rows; what is long is shortened unless `full`.
pub(crate) struct Rows<'a> {
    look: &'a Look<'a>,
    /// How many resources the rows are about.
    members: usize,
    full: bool,
    rows: Vec<Row>,
}

pub(crate) fn rows(group: &Group<'_>, look: &Look<'_>, full: bool) -> Vec<Row> {
    let mut rows = Rows { look, members: group.members.len(), full, rows: Vec::new() };
    let (first, last) = (group.first(), group.last());
    let diffs: Vec<(&AttributeDiff, &AttributeDiff)> = first.diffs.iter().zip(&last.diffs).collect();
    match group.action() {
        Action::Create | Action::Adopt | Action::Read | Action::Keep => {
            let told: Vec<_> =
                diffs.into_iter().filter(|(d, _)| full || !is_its_node(&first.address, &d.after)).collect();
            rows.created(&told);
        }
        Action::Delete | Action::Forget => {}
        Action::Replace | Action::ReplaceCreateFirst | Action::Update => rows.changed(&diffs),
    }
    rows.rows
}

/// Whether a value is just a reference to the node that the address names already.
pub(crate) fn is_its_node(address: &Address, value: &Value) -> bool {
    let node = address.name().split_once('/').map(|(node, _)| node);
    matches!(value, Value::Ref(reference) if node == Some(reference.address.name()))
}

/// Rows of new values.
pub(crate) fn created(told: &[(&AttributeDiff, &AttributeDiff)], look: &Look<'_>, members: usize) -> Vec<Row> {
    let mut rows = Rows { look, members, full: false, rows: Vec::new() };
    rows.created(told);
    rows.rows
}

/// A value on one line; where it goes up with the instance, as a range or from the first to the last.
pub(crate) fn joined(look: &Look<'_>, members: usize, first: &Value, last: &Value) -> String {
    let rows = Rows { look, members, full: false, rows: Vec::new() };
    rows.both(Line::new(), first, last, LONG).text()
}

/// Rows of differences that stand on their own (drift).
pub(crate) fn changed(diffs: &[AttributeDiff], look: &Look<'_>, full: bool) -> Vec<Row> {
    let mut rows = Rows { look, members: 1, full, rows: Vec::new() };
    rows.changed(&diffs.iter().map(|d| (d, d)).collect::<Vec<_>>());
    rows.rows
}

impl Rows<'_> {
    fn created(&mut self, diffs: &[(&AttributeDiff, &AttributeDiff)]) {
        let shown: Vec<_> = diffs.iter().filter(|(d, _)| !matches!(d.after, Value::Unset)).collect();
        let names = shown.iter().filter(|(d, _)| self.single(&d.path, &d.after)).map(|(d, _)| text::width(&d.path));
        let align = names.filter(|w| *w <= ALIGN).max().unwrap_or(0);
        for (first, last) in shown {
            self.new_value(&first.path, align, &first.after, &last.after, 0);
        }
    }

    fn new_value(&mut self, name: &str, align: usize, value: &Value, last: &Value, depth: usize) {
        let name_line = |rows: &Self| Line::new().plain(format!("{} = ", padded(&rows.look.clean(name), align)));
        match value {
            Value::Text(_) | Value::Concat(_) if is_block(value) => {
                let content = flat(value).unwrap_or_default();
                let later = if value.is_known() { "" } else { ", ${…} known after apply" };
                let what = format!("{} = {}{later}", self.look.clean(name), lines_of(&content));
                self.push(Mark::None, depth, Line::new().plain(what).add(Paint::Dim, varies(value, last)));
                self.preview(&content, depth + 1);
            }
            Value::Map(entries) if !self.fits(name, value) && !entries.is_empty() => {
                self.push(Mark::None, depth, Line::new().plain(format!("{}:", self.look.clean(name))));
                let widths = entries.iter().filter(|(k, v)| self.single(k, v)).map(|(k, _)| text::width(k));
                let align = widths.filter(|w| *w <= ALIGN).max().unwrap_or(0);
                for (key, inner) in entries.iter().filter(|(_, v)| !matches!(v, Value::Unset)) {
                    let last = last.as_map().and_then(|m| m.get(key)).unwrap_or(inner);
                    self.new_value(key, align, inner, last, depth + 1);
                }
            }
            Value::List(items) if !self.fits(name, value) && !items.is_empty() => {
                self.push(Mark::None, depth, Line::new().plain(format!("{}:", self.look.clean(name))));
                let shown = if self.full { items.len() } else { ITEMS.min(items.len()) };
                for (i, item) in items[..shown].iter().enumerate() {
                    let last = last.as_list().and_then(|items| items.get(i)).unwrap_or(item);
                    let line = self.both(Line::new().plain("- "), item, last, usize::MAX);
                    self.push(Mark::None, depth + 1, line);
                }
                self.more(items.len() - shown, "", depth + 1);
            }
            _ => {
                let limit = if self.full { usize::MAX } else { LONG };
                let line = self.both(name_line(self), value, last, limit);
                self.push(Mark::None, depth, line);
            }
        }
    }

    /// A value; where it goes up with the instance, the first and the last, as one text with a range if possible.
    fn both(&self, line: Line, first: &Value, last: &Value, limit: usize) -> Line {
        let shown = self.inline(first, limit);
        if first == last {
            return line.plain(shown);
        }
        let last = self.inline(last, limit);
        match ranged(&shown, &last, self.members) {
            Some(one) => line.plain(one),
            None => line.plain(shown.strip_suffix(LATER).unwrap_or(&shown)).add(Paint::Dim, " … ").plain(last),
        }
    }

    fn preview(&mut self, content: &str, depth: usize) {
        let clean = self.look.clean(content).into_owned();
        let lines: Vec<&str> = clean.lines().collect();
        // Counting a single hidden line would take as much room as showing it.
        let shown = if self.full || lines.len() <= PREVIEW + 1 { lines.len() } else { PREVIEW };
        for line in &lines[..shown] {
            self.exact(Mark::Add, depth, line, Paint::Good);
        }
        self.more(lines.len() - shown, "line", depth);
    }

    fn more(&mut self, count: usize, noun: &str, depth: usize) {
        if count > 0 {
            let what = match noun {
                "" => format!("… {count} more"),
                noun => format!("… {count} more {noun}{}", if count == 1 { "" } else { "s" }),
            };
            self.push(Mark::None, depth, Line::of(Paint::Dim, what));
        }
    }

    fn changed(&mut self, diffs: &[(&AttributeDiff, &AttributeDiff)]) {
        let widths = diffs.iter().filter(|(d, _)| is_inline(d)).map(|(d, _)| text::width(&d.path));
        let align = widths.filter(|w| *w <= ALIGN).max().unwrap_or(0);
        for (first, last) in diffs {
            let forces = if first.forces_replacement { "  # forces replacement" } else { "" };
            self.difference(&first.path, align, (&first.before, &first.after), (&last.before, &last.after), forces, 0);
        }
    }

    fn difference(
        &mut self,
        name: &str,
        align: usize,
        (before, after): (&Value, &Value),
        last: (&Value, &Value),
        forces: &str,
        depth: usize,
    ) {
        match (before, after) {
            (Value::Map(a), Value::Map(b)) => self.maps(name, a, b, forces, depth),
            (Value::List(a), Value::List(b)) if !(self.fits(name, before) && self.fits(name, after)) => {
                self.lists(name, a, b, forces, depth);
            }
            (Value::Text(a), Value::Text(b)) if let (Some(x), Some(y)) = (parse(a), parse(b)) => {
                self.json(name, &x, &y, forces, depth);
            }
            _ if is_block(before) || is_block(after) => match (flat(before), flat(after)) {
                (Some(a), Some(b)) => self.texts(name, &a, &b, forces, varies(after, last.1), depth),
                _ => self.one(name, align, (before, after), last, forces, depth),
            },
            _ => self.one(name, align, (before, after), last, forces, depth),
        }
    }

    fn one(
        &mut self,
        name: &str,
        align: usize,
        (before, after): (&Value, &Value),
        last: (&Value, &Value),
        forces: &str,
        depth: usize,
    ) {
        let name = padded(&self.look.clean(name), align);
        let (a, b) = around_the_difference(self.inline(before, usize::MAX), self.inline(after, usize::MAX), self.full);
        let (mark, mut line) = match (before, after) {
            (Value::Unset, _) => (Mark::Add, Line::new().plain(format!("{name} = ")).add(Paint::Good, b)),
            (_, Value::Unset) => (Mark::Remove, Line::new().plain(format!("{name} = ")).add(Paint::Bad, a)),
            _ => {
                let line = Line::new().plain(format!("{name} = ")).add(Paint::Bad, a);
                (Mark::Edit, line.add(Paint::Dim, " -> ").add(Paint::Good, b))
            }
        };
        if (before, after) != last {
            line = line.add(Paint::Dim, format!(" … {}", self.inline(last.1, LONG)));
        }
        self.push(mark, depth, line.add(Paint::Bad, forces));
    }

    fn maps(&mut self, name: &str, a: &Attrs, b: &Attrs, forces: &str, depth: usize) {
        let unset = Value::Unset;
        self.push(Mark::Edit, depth, Line::new().plain(format!("{}:", self.look.clean(name))).add(Paint::Bad, forces));
        let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
        names.sort();
        names.dedup();
        let pairs = names.iter().map(|n| (*n, a.get(*n).unwrap_or(&unset), b.get(*n).unwrap_or(&unset)));
        let pairs: Vec<_> = pairs.filter(|(_, x, y)| x != y).collect();
        let align = pairs.iter().map(|(n, ..)| text::width(n)).filter(|w| *w <= ALIGN).max().unwrap_or(0);
        for (key, x, y) in &pairs {
            self.difference(key, align, (x, y), (x, y), "", depth + 1);
        }
        self.unchanged(names.len() - pairs.len(), depth + 1);
    }

    fn unchanged(&mut self, count: usize, depth: usize) {
        if count > 0 {
            self.push(Mark::None, depth, Line::of(Paint::Dim, format!("({count} unchanged)")));
        }
    }

    fn lists(&mut self, name: &str, a: &[Value], b: &[Value], forces: &str, depth: usize) {
        self.push(Mark::Edit, depth, Line::new().plain(format!("{}:", self.look.clean(name))).add(Paint::Bad, forces));
        let show = |items: &[Value]| -> Vec<String> { items.iter().map(|v| self.inline(v, usize::MAX)).collect() };
        let (a, b) = (show(a), show(b));
        for op in similar::capture_diff_slices(similar::Algorithm::Myers, &a, &b) {
            if let DiffOp::Equal { len, .. } = op {
                self.unchanged(len, depth + 1);
                continue;
            }
            self.items(Mark::Remove, &a[op.old_range()], depth + 1);
            self.items(Mark::Add, &b[op.new_range()], depth + 1);
        }
    }

    fn items(&mut self, mark: Mark, items: &[String], depth: usize) {
        let (paint, what) = if mark == Mark::Add { (Paint::Good, "added") } else { (Paint::Bad, "removed") };
        let shown = if self.full || items.len() <= ITEMS * 2 { items.len() } else { ITEMS };
        for item in &items[..shown] {
            self.push(mark, depth, Line::of(paint, item.clone()));
        }
        if shown < items.len() {
            self.push(mark, depth, Line::of(Paint::Dim, format!("… {} more {what}", items.len() - shown)));
        }
    }

    fn json(&mut self, name: &str, a: &Value, b: &Value, forces: &str, depth: usize) {
        if a == b {
            let line = format!("{} = JSON, only its spacing changes", self.look.clean(name));
            return self.push(Mark::Edit, depth, Line::new().plain(line).add(Paint::Bad, forces));
        }
        self.difference(&format!("{name} (JSON)"), 0, (a, b), (a, b), forces, depth);
    }

    fn texts(&mut self, name: &str, a: &str, b: &str, forces: &str, varies: &str, depth: usize) {
        let (a, b) = (self.look.clean(a).into_owned(), self.look.clean(b).into_owned());
        let diff = TextDiff::from_lines(a.as_str(), b.as_str());
        let heading = Line::new().plain(format!("{}:", self.look.clean(name)));
        self.push(Mark::Edit, depth, heading.add(Paint::Dim, varies).add(Paint::Bad, forces));
        if a.trim_end_matches('\n') == b.trim_end_matches('\n') {
            return self.push(Mark::None, depth + 1, Line::of(Paint::Dim, "only line feeds at the end change"));
        }
        let (mut reached, mut room) = (0, if self.full { usize::MAX } else { CHANGED });
        let mut hidden = 0;
        for hunk in diff.grouped_ops(CONTEXT) {
            let start = hunk.first().map_or(0, |op| op.old_range().start);
            let changes: Vec<_> = hunk.iter().flat_map(|op| diff.iter_changes(op)).collect();
            if hidden == 0 {
                self.skipped(start - reached, depth + 1);
            }
            reached = hunk.last().map_or(reached, |op| op.old_range().end);
            for change in changes {
                let (mark, paint) = match change.tag() {
                    ChangeTag::Equal => (Mark::None, Paint::Dim),
                    ChangeTag::Delete => (Mark::Remove, Paint::Bad),
                    ChangeTag::Insert => (Mark::Add, Paint::Good),
                };
                if room == 0 {
                    hidden += usize::from(mark != Mark::None);
                    continue;
                }
                room -= 1;
                self.exact(mark, depth + 1, change.value().trim_end_matches(['\n', '\r']), paint);
            }
        }
        if hidden > 0 {
            let what = format!("… {}", text::plural(hidden, "more changed line"));
            return self.push(Mark::Edit, depth + 1, Line::of(Paint::Dim, what));
        }
        self.skipped(diff.old_len() - reached, depth + 1);
    }

    fn skipped(&mut self, count: usize, depth: usize) {
        if count > 0 {
            self.push(Mark::None, depth, Line::of(Paint::Dim, format!("… {}", text::plural(count, "unchanged line"))));
        }
    }

    fn exact(&mut self, mark: Mark, depth: usize, content: &str, paint: Paint) {
        self.rows.push(Row { mark, depth, line: Line::of(paint, content), exact: true });
    }

    fn push(&mut self, mark: Mark, depth: usize, line: Line) {
        self.rows.push(Row { mark, depth, line, exact: false });
    }

    /// Whether a new value takes one row.
    fn single(&self, name: &str, value: &Value) -> bool {
        match value {
            Value::Unset => false,
            Value::Map(_) | Value::List(_) => self.fits(name, value),
            other => !is_block(other),
        }
    }

    fn fits(&self, name: &str, value: &Value) -> bool {
        text::width(name) + text::width(&self.inline(value, usize::MAX)) + 12 <= self.look.width
    }

    fn inline(&self, value: &Value, limit: usize) -> String {
        text::fit(&self.look.clean(&show(value)), limit)
    }
}

/// Short addresses of what goes along, kinds together: `file {a.conf, b.conf}, service {spark-worker}`.
pub(crate) fn along(addresses: impl Iterator<Item = Address>) -> String {
    let mut kinds: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for address in addresses {
        let name = match address.instance() {
            Some((.., rest)) if rest.len() > 1 => rest[1..].to_string(),
            _ => address.name().split_once('/').map_or(address.name(), |(_, rest)| rest).to_string(),
        };
        let names = kinds.entry(address.kind().to_string()).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, names)| format!("{kind} {}", braced(&names))).collect();
    kinds.join(", ")
}

fn braced(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        names => format!("{{{}}}", names.join(", ")),
    }
}
