//! Values as text: on one line, as lines, and what two of them have in common.

use crate::view::text;
use cloudtik_core::{Value, plan::AttributeDiff};
use std::borrow::Cow;

/// Columns of a one-line text that are shown in a create.
pub(crate) const LONG: usize = 200;
/// Behind a value that an earlier step of the plan will bring.
pub(crate) const LATER: &str = " (known after apply)";

/// A value on one line. What waits for apply says where it comes from.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Ref(reference) => format!("{}.{}{LATER}", reference.address.short(), reference.attribute),
        Value::Text(content) if is_digest(content) => format!("\"{}…\"", &content[..12]),
        Value::Concat(parts) => {
            let joined: String = parts.iter().map(part).collect();
            format!("{}{LATER}", Value::text(joined).display())
        }
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let known = entries.iter().filter(|(_, v)| !matches!(v, Value::Unset));
            format!("{{{}}}", known.map(|(k, v)| format!("{k}: {}", show(v))).collect::<Vec<_>>().join(", "))
        }
        other => other.display(),
    }
}

/// Two texts that differ in one number, `count - 1` apart: `worker-[0..2]`, `worker-[0,1]`.
pub(crate) fn ranged(first: &str, last: &str, count: usize) -> Option<String> {
    let digits_before = |text: &str| text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let same = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    let start = same - digits_before(first.get(..same)?);
    let number = |text: &str| -> Option<usize> {
        let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
        Some(start + digits).filter(|end| *end > start)
    };
    let (a, b) = (number(first)?, number(last)?);
    let apart = last[start..b].parse::<usize>().ok()?.checked_sub(first[start..a].parse().ok()?)?;
    if first[a..] != last[b..] || apart + 1 != count {
        return None;
    }
    let (open, close) =
        if first[..start].ends_with('[') && first[a..].starts_with(']') { ("", "") } else { ("[", "]") };
    let to = if count == 2 { "," } else { ".." };
    Some(format!("{}{open}{}{to}{}{close}{}", &first[..start], &first[start..a], &last[start..b], &first[a..]))
}

/// A long hexadecimal digest: its beginning tells it from another.
fn is_digest(content: &str) -> bool {
    content.len() >= 40 && content.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn part(part: &Value) -> String {
    match part {
        Value::Ref(reference) => format!("${{{}.{}}}", reference.address.short(), reference.attribute),
        Value::Secret(_) => "(sensitive)".into(),
        other => other.scalar_text().unwrap_or_else(|| "${…}".into()),
    }
}

/// Two long texts cut down to what surrounds their difference.
pub(crate) fn around_the_difference(a: String, b: String, full: bool) -> (String, String) {
    if full || text::width(&a) + text::width(&b) <= LONG {
        return (a, b);
    }
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (a.chars().count() - same, b.chars().count() - same);
    let tail = a.chars().rev().zip(b.chars().rev()).take_while(|(x, y)| x == y).count().min(rest_a).min(rest_b);
    let cut = |text: &str| {
        let chars: Vec<char> = text.chars().collect();
        let (from, to) = (same.saturating_sub(20), (chars.len() - tail + 20).min(chars.len()));
        let (head, foot) = (if from > 0 { "…" } else { "" }, if to < chars.len() { "…" } else { "" });
        format!("{head}{}{foot}", chars[from..to].iter().collect::<String>())
    };
    (cut(&a), cut(&b))
}

pub(crate) fn parse(content: &str) -> Option<Value> {
    if !content.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str::<serde_json::Value>(content).ok().map(Value::from)
}

fn is_lines(content: &str) -> bool {
    content.trim_end_matches('\n').contains('\n') || content.ends_with('\n')
}

pub(crate) fn is_block(value: &Value) -> bool {
    match value {
        Value::Text(content) => is_lines(content),
        Value::Concat(parts) => parts.iter().any(is_block),
        _ => false,
    }
}

/// A text with what is not known yet as `${…}`; nothing for what is unset.
pub(crate) fn flat(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Unset => Some(Cow::Borrowed("")),
        Value::Text(content) => Some(Cow::Borrowed(content)),
        Value::Concat(parts) => Some(Cow::Owned(parts.iter().map(part).collect())),
        _ => None,
    }
}

pub(crate) fn is_inline(diff: &AttributeDiff) -> bool {
    !is_block(&diff.before) && !is_block(&diff.after)
}

pub(crate) fn lines_of(content: &str) -> String {
    text::plural(content.lines().count(), "line")
}

pub(crate) fn varies(first: &Value, last: &Value) -> &'static str {
    if first == last { "" } else { "  (numbers differ with the instance)" }
}

pub(crate) fn padded(name: &str, align: usize) -> String {
    format!("{name}{}", " ".repeat(align.saturating_sub(text::width(name))))
}
