//! Finds the references that values were made from, where they were not recorded.

use cloudtik_core::{Address, Attrs, Needs, Value, state::Record, value::Reference};
use std::{collections::BTreeMap, sync::Arc};

/// A shorter output inside a longer text is too likely to be there by chance.
const SHORTEST_INSIDE: usize = 7;

/// The attributes in which outputs of direct dependencies are found, with references in their place. A text that two
/// dependencies have as an output stays a text.
pub(super) fn recovered<'a>(record: &Record, look_up: impl Fn(&Address) -> Option<&'a Arc<Record>>) -> Attrs {
    let mut outputs: BTreeMap<&str, Option<Reference>> = BTreeMap::new();
    for dependency in &record.dependencies {
        let Some(on) = look_up(&dependency.address) else { continue };
        let mut add = |path: &str, text: &'a str| {
            let reference = refer(&dependency.address, path, dependency.needs);
            let known = outputs.entry(text).or_insert_with(|| Some(reference.clone()));
            match known {
                Some(other) if other.address != dependency.address => *known = None,
                // Of several names the one that says what it is.
                Some(other) if path == "id" => other.attribute = path.into(),
                _ => {}
            }
        };
        for (name, value) in &on.outputs {
            texts(name, value, &mut add);
        }
    }
    let found: BTreeMap<&str, Reference> =
        outputs.into_iter().filter_map(|(text, reference)| Some((text, reference?))).collect();
    if found.is_empty() {
        return Attrs::new();
    }
    record
        .attributes
        .iter()
        .map(|(name, value)| (name.clone(), replaced(value, &found)))
        .filter(|(name, value)| record.attributes.get(name) != Some(value))
        .collect()
}

fn refer(address: &Address, path: &str, needs: Needs) -> Reference {
    Reference { address: address.clone(), attribute: path.into(), needs }
}

fn texts<'a>(path: &str, value: &'a Value, add: &mut dyn FnMut(&str, &'a str)) {
    match value {
        Value::Text(text) if !text.is_empty() => add(path, text),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| texts(&format!("{path}.{key}"), value, add)),
        _ => {}
    }
}

fn replaced(value: &Value, outputs: &BTreeMap<&str, Reference>) -> Value {
    match value {
        Value::Text(text) => match outputs.get(&**text) {
            Some(reference) => Value::Ref(reference.clone()),
            None => inside(text, outputs),
        },
        Value::List(items) => Value::List(items.iter().map(|item| replaced(item, outputs)).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(k, v)| (k.clone(), replaced(v, outputs))).collect()),
        other => other.clone(),
    }
}

/// A text with outputs in it, each a word of its own: `10.0.0.4` is in `spark://10.0.0.4:7077` and not in `10.0.0.41`.
fn inside(text: &str, outputs: &BTreeMap<&str, Reference>) -> Value {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let longest = outputs
            .iter()
            .filter(|(output, _)| output.len() >= SHORTEST_INSIDE && text[at..].starts_with(**output))
            .filter(|(output, _)| is_word(text, at, at + output.len()))
            .max_by_key(|(output, _)| output.len());
        match longest {
            Some((output, reference)) => {
                parts.push(Value::text(&text[from..at]));
                parts.push(Value::Ref(reference.clone()));
                at += output.len();
                from = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if parts.is_empty() {
        return Value::text(text);
    }
    parts.push(Value::text(&text[from..]));
    Value::concat(parts)
}

fn is_word(text: &str, from: usize, to: usize) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let before = text[..from].chars().next_back();
    let mut after = text[to..].chars();
    let (next, second) = (after.next(), after.next());
    // A full stop ends a word unless another one follows it.
    let goes_on = |c: char| belongs(c) || (c == '.' && second.is_some_and(belongs));
    !before.is_some_and(|c| belongs(c) || c == '.') && !next.is_some_and(goes_on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::Scope;

    fn outputs() -> BTreeMap<&'static str, Reference> {
        let head = Address::new(Scope::cluster("w", "c"), "instance", "head");
        let refer = |path| refer(&head, path, Needs::Ready);
        BTreeMap::from([("10.0.0.4", refer("ip")), ("i-0abc123", refer("id")), ("22", refer("port"))])
    }

    fn shown(text: &str) -> String {
        match replaced(&Value::text(text), &outputs()) {
            Value::Concat(parts) => parts.iter().map(part).collect(),
            whole => part(&whole),
        }
    }

    fn part(value: &Value) -> String {
        match value {
            Value::Ref(reference) => format!("<{}>", reference.attribute),
            other => other.as_text().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn outputs_are_found_where_they_are_words_and_nowhere_else() {
        let picture = [
            ("10.0.0.4", "<ip>"),
            ("spark://10.0.0.4:7077", "spark://<ip>:7077"),
            ("10.0.0.4,10.0.0.4", "<ip>,<ip>"),
            ("at 10.0.0.4.", "at <ip>."),
            ("10.0.0.41", "10.0.0.41"),
            ("110.0.0.4", "110.0.0.4"),
            ("10.0.0.4.5", "10.0.0.4.5"),
            ("x10.0.0.4", "x10.0.0.4"),
            ("22", "<port>"),
            ("port 22", "port 22"),
            ("ä i-0abc123 ö", "ä <id> ö"),
        ];
        for (text, expected) in picture {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
