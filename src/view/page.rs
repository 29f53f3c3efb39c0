//! Styled lines laid out to a width: the paper that every human view is written on.
//!
//! No line that leaves a [`Page`] is wider than its width, but for those with [`Wrap::Never`], and no control character
//! leaves it but the colours it adds.

use super::{redact::Redactor, text};
use anstyle::{AnsiColor, Style};
use std::borrow::Cow;

/// How a picture is to look, and what must not be in it.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// In columns.
    pub width: usize,
    pub color: bool,
    pub redactor: &'a Redactor,
}

impl Look<'_> {
    /// Text of the user's or the world's with the run's secrets replaced. Done before layout, which would tear them.
    pub(crate) fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redactor.text(text)
    }
}

/// What a piece of text means; the colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Dim,
    Bold,
    Good,
    Bad,
    Edit,
    Info,
}

impl Paint {
    pub(crate) fn style(self) -> Style {
        let color = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
        match self {
            Paint::Plain => Style::new(),
            Paint::Dim => Style::new().dimmed(),
            Paint::Bold => Style::new().bold(),
            Paint::Good => color(AnsiColor::Green),
            Paint::Bad => color(AnsiColor::Red),
            Paint::Edit => color(AnsiColor::Yellow),
            Paint::Info => color(AnsiColor::Cyan),
        }
    }
}

/// One line before layout: pieces of text with their paint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line(pub Vec<(Paint, String)>);

impl Line {
    pub(crate) fn new() -> Self {
        Line::default()
    }

    pub(crate) fn of(paint: Paint, text: impl Into<String>) -> Self {
        Line::new().add(paint, text)
    }

    pub(crate) fn add(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, text.into()));
        self
    }

    pub(crate) fn plain(self, text: impl Into<String>) -> Self {
        self.add(Paint::Plain, text)
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text::width(text)).sum()
    }
}

/// How a line that is too wide continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrap {
    /// At spaces where there are some.
    Words,
    /// Anywhere: every character counts.
    Exact,
    /// Not at all: what is to be copied.
    Never,
}

pub(crate) struct Page {
    width: usize,
    color: bool,
    out: String,
}

impl Page {
    pub(crate) fn new(look: &Look<'_>) -> Self {
        Page { width: look.width.max(20), color: look.color, out: String::new() }
    }

    pub(crate) fn blank(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Writes the line, continued below at column `hang` where it is too wide.
    pub(crate) fn line(&mut self, line: &Line, hang: usize) {
        self.wrapped(line, hang, Wrap::Words);
    }

    pub(crate) fn wrapped(&mut self, line: &Line, hang: usize, wrap: Wrap) {
        let safe: Vec<(Paint, Cow<'_, str>)> = line.0.iter().map(|(p, t)| (*p, text::visible(t))).collect();
        let total: usize = safe.iter().map(|(_, t)| text::width(t)).sum();
        if total <= self.width || wrap == Wrap::Never {
            for (paint, text) in &safe {
                self.piece(*paint, text);
            }
            self.end_line();
            return;
        }
        let cells: Vec<(Paint, char)> = safe.iter().flat_map(|(p, t)| t.chars().map(move |c| (*p, c))).collect();
        self.broken(&cells, hang.min(self.width / 2), wrap);
    }

    fn broken(&mut self, mut cells: &[(Paint, char)], hang: usize, wrap: Wrap) {
        let mut first = true;
        while !cells.is_empty() {
            let indent = if first { 0 } else { hang };
            let room = self.width - indent;
            let end = fitting(cells, room);
            let cut = match wrap {
                Wrap::Words if end < cells.len() => {
                    word_end(cells, end, if first { hang } else { 0 }, self.width - hang).unwrap_or(end)
                }
                Wrap::Exact if end < cells.len() => part_end(&cells[..end], hang).unwrap_or(end),
                _ => end,
            };
            self.out.push_str(&" ".repeat(indent));
            self.cells(&cells[..cut]);
            self.end_line();
            let skip = if wrap == Wrap::Words { spaces(&cells[cut..]) } else { 0 };
            cells = &cells[cut + skip..];
            first = false;
        }
    }

    fn cells(&mut self, cells: &[(Paint, char)]) {
        for run in cells.chunk_by(|a, b| a.0 == b.0) {
            let text: String = run.iter().map(|(_, c)| *c).collect();
            self.piece(run[0].0, &text);
        }
    }

    fn piece(&mut self, paint: Paint, text: &str) {
        if self.color && paint != Paint::Plain && !text.trim().is_empty() {
            let style = paint.style();
            self.out.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.out.push_str(text);
        }
    }

    fn end_line(&mut self) {
        if !self.color {
            let kept = self.out.trim_end_matches(' ').len();
            self.out.truncate(kept);
        }
        self.out.push('\n');
    }

    pub(crate) fn finish(mut self) -> String {
        while self.out.ends_with("\n\n") {
            self.out.pop();
        }
        self.out
    }
}

/// How many cells fit into `room` columns; at least one, so that layout always moves on.
fn fitting(cells: &[(Paint, char)], room: usize) -> usize {
    let mut used = 0;
    let fits = cells
        .iter()
        .take_while(|(_, c)| {
            used += text::char_width(*c);
            used <= room
        })
        .count();
    fits.max(1)
}

/// Where the last whole word before `end` ends, if the next one then fits into the following line or this one is not
/// left nearly empty.
fn word_end(cells: &[(Paint, char)], end: usize, from: usize, next_room: usize) -> Option<usize> {
    if cells[end].1 == ' ' {
        return Some(end);
    }
    let Some(space) = cells[..end].iter().rposition(|(_, c)| *c == ' ').filter(|space| *space > from) else {
        return part_end(&cells[..end], from);
    };
    let word: usize = cells[space + 1..].iter().take_while(|(_, c)| *c != ' ').map(|(_, c)| text::char_width(*c)).sum();
    if word <= next_room || space > from + (end - from) / 3 { Some(space) } else { part_end(&cells[..end], from) }
}

/// Behind the last space or slash, unless that would leave the line nearly empty.
fn part_end(cells: &[(Paint, char)], from: usize) -> Option<usize> {
    let at = cells.iter().rposition(|(_, c)| matches!(c, ' ' | '/'))? + 1;
    (at > from + cells.len().saturating_sub(from) / 2).then_some(at)
}

fn spaces(cells: &[(Paint, char)]) -> usize {
    cells.iter().take_while(|(_, c)| *c == ' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(width: usize, text: &str, wrap: Wrap) -> String {
        let none = Redactor::default();
        let mut page = Page::new(&Look { width, color: false, redactor: &none });
        page.wrapped(&Line::new().plain(text), 2, wrap);
        page.finish()
    }

    #[test]
    fn long_lines_continue_indented() {
        assert_eq!(lay(20, "one two three four five six", Wrap::Words), "one two three four\n  five six\n");
        assert_eq!(lay(20, "aaaaaaaaaaaaaaaaaaaaaaaaa", Wrap::Exact), "aaaaaaaaaaaaaaaaaaaa\n  aaaaa\n");
    }

    #[test]
    fn colour_never_changes_the_words() {
        let none = Redactor::default();
        let mut page = Page::new(&Look { width: 40, color: true, redactor: &none });
        page.line(&Line::of(Paint::Bad, "gone").plain(" for good"), 0);
        assert_eq!(anstream::adapter::strip_str(&page.finish()).to_string(), "gone for good\n");
    }
}
