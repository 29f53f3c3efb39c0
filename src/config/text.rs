//! Lines and columns of a source text.

use cloudtik_core::Origin;
use saphyr_parser::{Marker, Span};
use std::sync::Arc;

/// A source text cut into lines the way the YAML scanner counts them (`\n`, `\r`, `\r\n`).
pub(crate) struct Text<'a> {
    pub file: Arc<str>,
    lines: Vec<&'a str>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(file: &Arc<str>, text: &'a str) -> Self {
        let lines = text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect();
        Text { file: file.clone(), lines }
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
        let line = self.line(line);
        line.char_indices().nth(column).map_or("", |(at, _)| &line[at..])
    }

    /// What is written before `column` on a line.
    pub(crate) fn head(&self, line: usize, column: usize) -> &'a str {
        let line = self.line(line);
        line.char_indices().nth(column).map_or(line, |(at, _)| &line[..at])
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
