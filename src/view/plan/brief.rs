//! A new resource in few rows: what tells most of it, each value on one row. `--verbose` shows the whole.
//!
//! What only says how things are wired together (references, values that nobody knows yet, empty ones) is left out: the
//! graph shows it better.

use super::{
    groups::Group,
    rows::{self, Mark, Row, is_its_node, joined},
    values::{flat, is_block, lines_of, padded, varies},
};
use crate::view::{
    page::{Line, Look, Paint},
    text,
};
use cloudtik_core::{Value, plan::AttributeDiff};

/// Rows of one resource.
const ROWS: usize = 5;
/// Rows of a resource whose values are spread out because they are few.
const SPREAD: usize = 8;
/// Lines of a new text.
const LINES: usize = 6;
/// Columns left of a row's text.
const LEFT: usize = 8;
/// What a reader looks for first.
const TELLING: [&str; 6] = ["version", "source", "command", "ports", "port", "rules"];

/// A resource's entry: what stands behind its name, and the rows below.
#[derive(Default)]
pub(crate) struct Brief {
    pub behind: Option<Line>,
    pub rows: Vec<Row>,
    /// The whole text that the rows begin.
    pub text: Option<String>,
    /// Whether anything was left out.
    pub shortened: bool,
}

type Pair<'a> = (&'a AttributeDiff, &'a AttributeDiff);

/// `taken`: columns that the resource's name takes.
pub(crate) fn brief(group: &Group<'_>, look: &Look<'_>, taken: usize) -> Brief {
    let (first, last) = (group.first(), group.last());
    let set = || first.diffs.iter().zip(&last.diffs).filter(|(d, _)| !matches!(d.after, Value::Unset));
    let mut told: Vec<Pair<'_>> =
        set().filter(|(d, _)| !is_wiring(&d.after) && !is_its_node(&first.address, &d.after)).collect();
    told.retain(|(d, _)| d.after.as_text() != Some(first.address.name()));
    told.sort_by_key(|(d, _)| rank(d));
    let writer = Writer { look, members: group.members.len() };
    let mut brief = match told.iter().position(|(d, _)| is_block(&d.after)) {
        Some(at) => writer.text(told[at]),
        None => writer.values(&told, taken),
    };
    let texts = told.iter().any(|(d, _)| is_block(&d.after));
    brief.shortened |= told.len() < set().count() || (texts && told.len() > 1);
    brief
}

fn is_wiring(value: &Value) -> bool {
    match value {
        Value::Ref(_) | Value::Unknown => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

/// Telling names first, paths last.
fn rank(diff: &AttributeDiff) -> usize {
    let named = TELLING.iter().position(|name| *name == diff.path);
    let is_path = diff.after.as_text().is_some_and(|text| text.starts_with('/'));
    named.unwrap_or(TELLING.len() + usize::from(is_path))
}

struct Writer<'a> {
    look: &'a Look<'a>,
    members: usize,
}

impl Writer<'_> {
    /// A resource that is mostly a text: its length behind the name, its first lines below.
    fn text(&self, (first, last): Pair<'_>) -> Brief {
        let content = flat(&first.after).unwrap_or_default();
        let content = self.look.clean(&content).into_owned();
        let later = if first.after.is_known() { "" } else { ", ${…} known after apply" };
        let varies = varies(&first.after, &last.after);
        let lines: Vec<&str> = content.lines().collect();
        // Counting a single hidden line would take as much room as showing it.
        let shown = if lines.len() <= LINES { lines.len() } else { LINES - 1 };
        let row = |line: &&str| Row { mark: Mark::Add, ..self.row(Line::of(Paint::Good, *line), true) };
        let mut rows: Vec<Row> = lines[..shown].iter().map(row).collect();
        if shown < lines.len() {
            rows.push(self.row(Line::of(Paint::Dim, format!("… {} more lines", lines.len() - shown)), false));
        }
        let behind = Line::new().plain(format!("{}{later}", lines_of(&content))).add(Paint::Dim, varies);
        let shortened = shown < lines.len();
        Brief { behind: Some(behind), shortened, rows, text: Some(content) }
    }

    fn values(&self, told: &[Pair<'_>], taken: usize) -> Brief {
        let one: Vec<String> =
            told.iter().map(|pair| format!("{} = {}", self.look.clean(&pair.0.path), self.value(pair))).collect();
        let one = one.join(", ");
        if told.is_empty() || taken + 2 + text::width(&one) <= self.look.width {
            let behind = (!told.is_empty()).then(|| Line::new().plain(one));
            return Brief { behind, ..Brief::default() };
        }
        let spread = rows::created(told, self.look, self.members);
        if spread.len() <= SPREAD {
            return Brief { rows: spread, ..Brief::default() };
        }
        let telling = told.iter().filter(|(d, _)| rank(d) < TELLING.len()).count();
        let shown = if told.len() <= ROWS { told.len() } else { telling.clamp(2, ROWS - 1) };
        let align = told[..shown].iter().map(|(d, _)| text::width(&d.path)).max().unwrap_or(0);
        let line =
            |pair: &Pair<'_>| format!("{} = {}", padded(&self.look.clean(&pair.0.path), align), self.value(pair));
        let whole: Vec<String> = told[..shown].iter().map(line).collect();
        let cut = whole.iter().any(|line| text::width(line) + LEFT > self.look.width);
        let mut rows: Vec<Row> = whole.into_iter().map(|line| self.row(Line::new().plain(line), false)).collect();
        if shown < told.len() {
            let more = text::plural(told.len() - shown, "more attribute");
            rows.push(self.row(Line::of(Paint::Dim, format!("… {more}")), false));
        }
        Brief { rows, shortened: cut || shown < told.len(), ..Brief::default() }
    }

    fn value(&self, (first, last): &Pair<'_>) -> String {
        joined(self.look, self.members, &first.after, &last.after)
    }

    /// A row that never takes more than one line.
    fn row(&self, line: Line, exact: bool) -> Row {
        let room = self.look.width.saturating_sub(LEFT);
        let cut = |(paint, piece): (Paint, String)| (paint, text::fit(&text::visible(&piece), room));
        Row { mark: Mark::None, depth: 0, line: Line(line.0.into_iter().map(cut).collect()), exact }
    }
}
