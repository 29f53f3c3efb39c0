//! Indentation that YAML 1.2 forbids and PyYAML does not mind.
//!
//! Inside brackets, braces and quotes PyYAML ignores indentation, and existing documents rely on it: a `}` in column 1
//! that closes `file_mounts: {` is common. The scanner refuses such a line, so it is indented in a copy of the text and
//! the copy is scanned; columns are mapped back. Leading blanks mean nothing there, so no value changes.

use crate::text::Text;
use saphyr_parser::{Marker, ScanError, Span};
use std::{collections::BTreeMap, ops::Range};

/// How much scanning, in bytes, all attempts on one document may cost together.
const BUDGET: usize = 8 << 20;

/// Blanks put before lines, by line number.
#[derive(Default)]
pub(crate) struct Mends {
    shifts: BTreeMap<usize, usize>,
    spent: usize,
}

impl Mends {
    /// Whether a fault of the scanner is about indentation that may be mended.
    pub(crate) fn is_about(fault: &ScanError, in_brackets: bool) -> bool {
        match fault.info() {
            "invalid indentation" | "invalid indentation in flow construct" => in_brackets,
            "invalid indentation in quoted scalar" => true,
            _ => false,
        }
    }

    /// Plans to indent what is at fault so that it starts behind `column`; tells whether another attempt is worth it.
    pub(crate) fn plan(&mut self, fault: &ScanError, column: usize, text: &Text<'_>, scanned: usize) -> bool {
        self.spent = self.spent.saturating_add(scanned);
        let start = fault.marker().line();
        let lines = if fault.info().contains("quoted") {
            quoted_lines(text, &self.mark(fault.marker()))
        } else {
            start..start + 1
        };
        let mut news = false;
        for line in lines {
            news |= self.shifts.insert(line, column).is_none();
        }
        news && self.spent <= BUDGET
    }

    /// The text with the planned blanks.
    pub(crate) fn apply(&self, text: &Text<'_>) -> String {
        let mut mended = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            if number > 1 {
                mended.push('\n');
            }
            let blanks = self.shifts.get(&number).copied().unwrap_or(0);
            mended.extend(std::iter::repeat_n(' ', blanks));
            mended.push_str(line);
        }
        mended
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shifts.is_empty()
    }

    /// A place in the mended text as a place in the original.
    pub(crate) fn mark(&self, mark: &Marker) -> Marker {
        let shift = self.shifts.get(&mark.line()).copied().unwrap_or(0);
        Marker::new(mark.index(), mark.line(), mark.col().saturating_sub(shift))
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
