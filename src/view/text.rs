//! Small pieces of wording: counts, times, number ranges, and text made safe for a terminal.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `1 error`, `3 errors`.
pub fn plural(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// How long something took: `0.1s`, `12.3s`, `4m05s`, `2h03m`.
pub fn elapsed(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{:.1}s", ms as f64 / 1000.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A prediction, as exact as it deserves: `under 1 s`, `about 40 s`, `about 4 min`, `about 1.5 h`.
pub fn about(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0 | 1 => "under 1 s".into(),
        2..20 => format!("about {seconds} s"),
        20..=90 => format!("about {} s", (seconds + 2) / 5 * 5),
        91..5400 => format!("about {} min", (seconds + 30) / 60),
        _ => format!("about {:.1} h", seconds as f64 / 3600.0),
    }
}

/// Sorted numbers with runs joined: `0..2,5`.
pub(crate) fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == n => *end = n,
            Some((_, end)) if *end == n => {}
            _ => parts.push((n, n)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(a, b)| match b - a {
            0 => a.to_string(),
            1 => format!("{a},{b}"),
            _ => format!("{a}..{b}"),
        })
        .collect();
    parts.join(",")
}

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

pub(crate) fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The text cut to `width` columns, ending in `…` when something was cut.
pub(crate) fn fit(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_string();
    }
    let (mut used, mut out) = (0, String::new());
    for c in text.chars() {
        used += char_width(c);
        if used > limit.saturating_sub(1) {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Shows what could move the cursor, hide text or reverse it, instead of doing it. Line feeds are shown too.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.chars().any(harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if harmful(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_join_to_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0..2,5,7,8");
    }

    #[test]
    fn times_read_well() {
        assert_eq!([80, 12_340, 245_000, 7_400_000].map(elapsed), ["0.1s", "12.3s", "4m05s", "2h03m"]);
        assert_eq!([0, 3_200, 41_000, 200_000].map(about), ["under 1 s", "about 4 s", "about 40 s", "about 3 min"]);
    }

    #[test]
    fn nothing_can_steer_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(fit("日本語", 5), "日本…");
    }
}
