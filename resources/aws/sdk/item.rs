//! Items out of the SDK's answers.

use crate::api::{Filter, Item, Tags};
use cloudtik_core::value::{Attrs, Value};
use std::fmt::Display;

/// Unset fields are left out.
pub(super) fn item<const N: usize>(id: Option<&str>, tags: Tags, fields: [(&str, Value); N]) -> Item {
    Item { id: id.unwrap_or_default().into(), tags, fields: attrs(fields) }
}

pub(super) fn attrs<const N: usize>(fields: [(&str, Value); N]) -> Attrs {
    fields.into_iter().filter(|(_, value)| *value != Value::Unset).map(|(name, value)| (name.into(), value)).collect()
}

pub(super) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(attrs(fields))
}

/// Services leave a text out or send it empty, and mean the same.
pub(super) fn text(text: Option<impl AsRef<str>>) -> Value {
    text.filter(|t| !t.as_ref().is_empty()).map_or(Value::Unset, Value::text)
}

pub(super) fn shown(value: Option<impl Display>) -> Value {
    text(value.map(|v| v.to_string()))
}

pub(super) fn flag(value: Option<bool>) -> Value {
    value.map_or(Value::Unset, Value::Bool)
}

pub(super) fn int(value: Option<impl Into<i64>>) -> Value {
    value.map_or(Value::Unset, |n| Value::Int(n.into()))
}

pub(super) fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(Value::text).collect())
}

pub(super) fn tags<'a>(pairs: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Tags {
    let pair =
        |(key, value): (Option<&str>, Option<&str>)| Some((key?.to_owned(), value.unwrap_or_default().to_owned()));
    pairs.into_iter().filter_map(pair).collect()
}

/// The value of the filter called `name`, for services that find one thing by its name.
pub(super) fn named<'a>(filters: &'a [Filter], name: &str) -> Option<&'a str> {
    filters.iter().find(|f| f.name == name)?.values.first().map(String::as_str)
}

/// Whether the tags are those that `filters` ask for, where the service does not look itself.
pub(super) fn tagged(item: &Item, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| match filter.name.strip_prefix("tag:") {
        Some(key) => item.tags.get(key).is_some_and(|value| filter.values.contains(value)),
        None => true,
    })
}

/// `%41` and, where `plus` says so, `+` back to characters.
pub(super) fn decoded(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (bytes, rest) = match (first, hex) {
            (b'%', Some(byte)) => (with(bytes, byte), &tail[2..]),
            (b'+', _) if plus => (with(bytes, b' '), tail),
            _ => (with(bytes, *first), tail),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn with(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_characters() {
        assert_eq!(decoded("%7B%22a%22%3A+1%7d", false), "{\"a\":+1}");
        assert_eq!(decoded("a+b%2Bc%25", true), "a b+c%");
        assert_eq!(decoded("%E4%BD%A0 100% %zz", false), "你 100% %zz");
    }
}
