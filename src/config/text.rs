//! Lines and columns of a source text.

use cloudtik_core::Origin;
use saphyr_parser::{Marker, Span};
use std::{cell::Cell, sync::Arc};

/// A source text cut into lines the way the YAML scanner counts them (`\n`, `\r`, `\r\n`).
pub(crate) struct Text<'a> {
    pub file: Arc<str>,
    lines: Vec<&'a str>,
    /// Line, column and byte of the last lookup.
    cursor: Cell<(usize, usize, usize)>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(file: &Arc<str>, text: &'a str) -> Self {
        let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect();
        Text { file: file.clone(), lines, cursor: Cell::default() }
    }

    pub(crate) fn lines(&self) -> &[&'a str] {
        &self.lines
    }

    /// A line by its number, which counts from 1.
    pub(crate) fn line(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|at| self.lines.get(at)).copied().unwrap_or_default()
    }

    /// The part of a line after `column`, which counts characters from 0.
    pub(crate) fn tail(&self, line: usize, column: usize) -> &'a str {
        let text = self.line(line);
        // Lookups mostly go forward: a document in one long line must not cost its square.
        let (from, at) =
            Some(self.cursor.get()).filter(|c| c.0 == line && c.1 <= column).map_or((0, 0), |c| (c.1, c.2));
        let Some((offset, _)) = text[at..].char_indices().nth(column - from) else { return "" };
        self.cursor.set((line, column, at + offset));
        &text[at + offset..]
    }

    /// The column of the first tab in the indentation of a line, if `column` is still part of it or right behind.
    pub(crate) fn tab_before(&self, line: usize, column: usize) -> Option<usize> {
        let blank = self.line(line).chars().take(column).take_while(|c| matches!(c, ' ' | '\t'));
        let (length, tab) = blank.fold((0, None), |(at, tab), c| (at + 1, tab.or((c == '\t').then_some(at))));
        tab.filter(|_| length == column)
    }

    pub(crate) fn place(&self, mark: &Marker, length: usize) -> Origin {
        self.origin(mark.line(), mark.col(), length)
    }

    /// `column` counts from 0, as the scanner's do.
    pub(crate) fn origin(&self, line: usize, column: usize, length: usize) -> Origin {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Origin {
            file: self.file.clone(),
            line: clamp(line.max(1)),
            column: clamp(column.saturating_add(1)),
            length: clamp(length),
        }
    }

    /// The place of a scalar: what it covers on its first line.
    pub(crate) fn scalar(&self, span: &Span, quote: Option<char>) -> Origin {
        let tail = self.tail(span.start.line(), span.start.col());
        let length = match quote {
            Some(quote) => quoted_length(tail, quote),
            None if span.end.line() == span.start.line() => span.end.col().saturating_sub(span.start.col()),
            None => tail.trim_end().chars().count(),
        };
        self.place(&span.start, length)
    }

    /// What is written at a place.
    pub(crate) fn written(&self, span: &Span) -> String {
        let length = span.end.col().saturating_sub(span.start.col());
        self.tail(span.start.line(), span.start.col()).chars().take(length).collect()
    }
}

/// Characters up to and with the closing quote, or to the end of the line.
///
/// The text may begin with an anchor or a tag; the first quote opens.
fn quoted_length(tail: &str, quote: char) -> usize {
    let mut count = 0;
    let mut open = false;
    let mut escaped = false;
    for character in tail.trim_end().chars() {
        count += 1;
        match character {
            _ if escaped => escaped = false,
            '\\' if open && quote == '"' => escaped = true,
            c if c == quote && open => return count,
            c if c == quote => open = true,
            _ => {}
        }
    }
    count
}
