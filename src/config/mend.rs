//! Indentation that YAML 1.2 forbids and PyYAML does not mind.
//!
//! Inside brackets, braces and quotes PyYAML ignores indentation, and existing documents rely on it: a `}` in column 1
//! that closes `file_mounts: {` is common. The scanner refuses such a line, so it is indented in a copy of the text and
//! the copy is scanned; columns are mapped back. Leading blanks mean nothing there, so no value changes.

use crate::text::Text;
use saphyr_parser::{Marker, ScanError, Span};
use std::{collections::BTreeSet, ops::Range};

/// How much scanning, in bytes, all attempts on one document may cost together.
const BUDGET: usize = 8 << 20;
/// Blanks put before a line: more than documents indent by.
const BLANKS: usize = 512;

/// Lines that get blanks put before them.
#[derive(Default)]
pub(crate) struct Mends {
    lines: BTreeSet<usize>,
    spent: usize,
}

impl Mends {
    /// Plans to indent what is at fault; tells whether another attempt is worth it.
    ///
    /// The scanner says "invalid indentation" inside brackets and quotes only; in blocks it uses other words.
    pub(crate) fn plan(&mut self, fault: &ScanError, text: &Text<'_>, scanned: usize) -> bool {
        self.spent = self.spent.saturating_add(scanned);
        let start = fault.marker().line();
        let lines = match fault.info() {
            "invalid indentation" | "invalid indentation in flow construct" => start..start + 1,
            "invalid indentation in quoted scalar" => quoted_lines(text, &self.mark(fault.marker())),
            _ => return false,
        };
        let before = self.lines.len();
        self.lines.extend(lines);
        self.lines.len() > before && self.spent <= BUDGET
    }

    /// The text with the planned blanks.
    pub(crate) fn apply(&self, text: &Text<'_>) -> String {
        let mut mended = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            if number > 1 {
                mended.push('\n');
            }
            mended.extend(std::iter::repeat_n(' ', self.blanks(number)));
            mended.push_str(line);
        }
        mended
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn blanks(&self, line: usize) -> usize {
        if self.lines.contains(&line) { BLANKS } else { 0 }
    }

    /// A place in the mended text as a place in the original.
    pub(crate) fn mark(&self, mark: &Marker) -> Marker {
        Marker::new(mark.index(), mark.line(), mark.col().saturating_sub(self.blanks(mark.line())))
    }

    pub(crate) fn span(&self, span: Span) -> Span {
        if self.is_empty() {
            return span;
        }
        Span::new(self.mark(&span.start), self.mark(&span.end))
    }
}

/// The lines after the one with the opening quote, to the one that may hold the closing one.
fn quoted_lines(text: &Text<'_>, open: &Marker) -> Range<usize> {
    let quote = if text.tail(open.line(), open.col()).starts_with('\'') { '\'' } else { '"' };
    let first = open.line() + 1;
    let rest = text.lines().get(open.line()..).unwrap_or_default();
    let closing = rest.iter().position(|line| line.contains(quote)).map_or(rest.len(), |at| at + 1);
    first..first + closing
}
