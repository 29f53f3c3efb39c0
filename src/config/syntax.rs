//! The words for what can be wrong with YAML itself.

use crate::{
    compose::{MAX_DEPTH, MAX_EXPANDED},
    scalar::{self, Scalar},
    text::Text,
};
use cloudtik_core::{Diagnostic, Origin, Tree, TreeValue};
use saphyr_parser::{Marker, ScanError, Tag};

/// What the scanner says, what that means, and what to do; the first match counts.
#[rustfmt::skip]
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("unknown anchor", "unknown-anchor", "an alias to an anchor that does not exist", "define it earlier in the file with `&name` before a value, or quote the text"),
    ("mapping values are not allowed", "yaml-syntax", "a second `: ` in one line, or a wrong indentation", "quote the text if it holds `: `, or put the nested key on its own line"),
    ("unexpected end of stream", "yaml-syntax", "a quote that never closes", "add the closing quote"),
    ("trailing content", "yaml-syntax", "text after a closing quote", "quote the whole text, and escape quotes inside it"),
    ("illegal placement of ':'", "yaml-syntax", "a `:` where none can be", "close the bracket or brace that is open, or quote the text"),
    ("did not find expected ',' or", "yaml-syntax", "an open bracket or brace", "add the missing `,`, `]` or `}`"),
    ("expected ',' or ']'", "yaml-syntax", "an open bracket", "add the missing `,` or `]`"),
    ("did not find expected '-'", "yaml-syntax", "a key among list items", "indent it under the item, or move it out of the list"),
    ("did not find expected key", "yaml-syntax", "a wrong indentation", "give the keys of one map the same indentation, in spaces"),
    ("invalid indentation", "yaml-syntax", "a wrong indentation", "give the keys of one map the same indentation, in spaces"),
    ("wrongly indented", "yaml-syntax", "a wrong indentation", "indent every line of the block alike"),
    ("could not find expected ':'", "yaml-syntax", "a key without `:`", "write `key: value`"),
    ("simple key expect", "yaml-syntax", "a key without `:`", "write `key: value`"),
    ("unknown escape", "yaml-syntax", "an unknown escape in double quotes", "double the backslash, or use single quotes"),
    ("recursion limit", "too-deep", "values nest too deep", "flatten the document"),
    ("unexpected character", "yaml-syntax", "a character that cannot start a value", "quote the text"),
    ("unprintable character", "yaml-syntax", "a control character", "remove it, or write it as an escape in double quotes"),
    ("tag", "bad-tag", "a malformed tag", "remove the tag: plain values and quotes say the type"),
];

/// `mark` is the place of the fault in the text.
pub(crate) fn explain(text: &Text<'_>, fault: &ScanError, mark: &Marker) -> Diagnostic {
    if fault.info().contains("tab") && !fault.info().contains("block scalar") {
        let column = text.line(mark.line()).chars().take_while(|c| *c != '\t').count();
        return tab(&text.origin(mark.line(), column, 1));
    }
    let place = text.place(mark, usize::from(!text.tail(mark.line(), mark.col()).is_empty()));
    let Some((_, id, summary, hint)) = FAULTS.iter().find(|(words, ..)| fault.info().contains(words)) else {
        return Diagnostic::error("yaml-syntax", "this is not YAML").at(&place).detail(fault.info());
    };
    Diagnostic::error(id, *summary).at(&place).detail(fault.info()).hint(*hint)
}

pub(crate) fn tab(origin: &Origin) -> Diagnostic {
    Diagnostic::error("tab-indentation", "a tab in the indentation")
        .at(origin)
        .detail("YAML indents with spaces only")
        .hint("replace the tab by spaces")
}

/// A scalar that YAML 1.2 reads otherwise.
pub(crate) fn dialect(text: &str, meaning: Scalar, other: Scalar, origin: &Origin) -> Diagnostic {
    let warning = Diagnostic::warning("yaml-dialect", "YAML 1.2 reads this value differently").at(origin);
    if meaning == Scalar::Date {
        return warning
            .detail(format!("`{text}` is a date in YAML 1.1, as CloudTik reads it; it is taken as text"))
            .hint(format!("quote it: \"{text}\""));
    }
    let hint = match (literal(meaning), literal(other)) {
        (Some(now), _) => format!("write `{now}` to keep this meaning, or \"{text}\" for the text"),
        (None, Some(number)) => format!("write \"{text}\" to keep this meaning, or `{number}` for the number"),
        (None, None) => format!("quote it: \"{text}\""),
    };
    warning
        .detail(format!(
            "`{text}` is {} here, as CloudTik (YAML 1.1) reads it; YAML 1.2 reads {}",
            describe(meaning),
            describe(other)
        ))
        .hint(hint)
}

/// A spelling that both versions read as this value.
fn literal(scalar: Scalar) -> Option<String> {
    match scalar {
        Scalar::Bool(b) => Some(b.to_string()),
        Scalar::Int(i) => Some(i.to_string()),
        Scalar::Float(f) if f.is_finite() => Some(scalar::float_text(f)),
        _ => None,
    }
}

fn describe(scalar: Scalar) -> String {
    match scalar {
        Scalar::Null => "no value".into(),
        Scalar::Bool(b) => format!("the boolean {b}"),
        Scalar::Int(i) => format!("the number {i}"),
        Scalar::Float(f) => format!("the number {f}"),
        Scalar::HugeInt => "a number beyond 64 bits".into(),
        Scalar::Date => "a date".into(),
        Scalar::Text => "text".into(),
    }
}

pub(crate) fn huge_int(text: &str, origin: &Origin) -> Diagnostic {
    Diagnostic::error("integer-range", "a whole number that does not fit into 64 bits")
        .at(origin)
        .detail(format!("`{text}` is outside of {}..{}", i64::MIN, i64::MAX))
        .hint("quote it if it is an identifier")
}

pub(crate) fn unknown_tag(tag: &Tag, origin: &Origin) -> Diagnostic {
    Diagnostic::error("unknown-tag", "a tag that has no meaning here")
        .at(origin)
        .detail(format!("`{}` is none of !!str, !!int, !!float, !!bool, !!null, !!seq, !!map", spelled(tag)))
        .hint("remove the tag")
}

fn spelled(tag: &Tag) -> String {
    let handle = if tag.is_yaml_core_schema() { "!!" } else { &tag.handle };
    format!("{handle}{}", tag.suffix)
}

pub(crate) fn bad_tag(tag: &Tag, text: &str, origin: &Origin) -> Diagnostic {
    Diagnostic::error("bad-tag", "a value that does not fit its tag")
        .at(origin)
        .detail(format!("`{text}` is no !!{}", tag.suffix))
        .hint("remove the tag, or change the value")
}

pub(crate) fn duplicate_key(key: &str, origin: &Origin, first: &Origin) -> Diagnostic {
    Diagnostic::error("duplicate-key", "a key stands twice in one map")
        .at(origin)
        .detail(format!("`{key}` is already given in line {}", first.line))
        .related(first, "first given here")
        .hint("keep one of them (CloudTik took the last one without a word)")
}

pub(crate) fn key_not_text(tree: &Tree, origin: &Origin) -> Diagnostic {
    let (what, hint) = match &tree.value {
        TreeValue::Null => ("empty", "give the key a name".to_string()),
        TreeValue::Bool(_) => ("a boolean", quote(tree)),
        TreeValue::Int(_) | TreeValue::Float(_) => ("a number", quote(tree)),
        TreeValue::List(_) => ("a list", "use text as key".to_string()),
        TreeValue::Map(_) => ("a map", "quote it, if it is meant as text".to_string()),
        TreeValue::Text(_) => ("text", String::new()),
    };
    let written = tree.raw.as_deref().filter(|raw| !raw.is_empty());
    let detail = written.map_or_else(|| format!("the key is {what}"), |raw| format!("the key `{raw}` is {what}"));
    Diagnostic::error("key-not-text", "a key that is not text").at(origin).detail(detail).hint(hint)
}

fn quote(tree: &Tree) -> String {
    format!("quote it: \"{}\"", tree.raw.as_deref().unwrap_or_default())
}

pub(crate) fn too_deep(origin: &Origin) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error("too-deep", "values nest too deep")
            .at(origin)
            .detail(format!("more than {MAX_DEPTH} levels, aliases followed"))
            .hint("flatten the document"),
    )
}

/// `alias`: where the value is defined whose repetition crosses the limit.
pub(crate) fn too_large(origin: &Origin, alias: Option<&Origin>) -> Box<Diagnostic> {
    let diagnostic = Diagnostic::error("too-large", "the document holds too many values")
        .at(origin)
        .detail(format!("with aliases followed there are more than {MAX_EXPANDED} values"))
        .hint("use fewer aliases to large values");
    Box::new(match alias {
        Some(anchor) => diagnostic.related(anchor, "the repeated value"),
        None => diagnostic,
    })
}
