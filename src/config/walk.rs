//! Checks a located tree against a JSON Schema and names every problem with its place.
//!
//! It knows the keywords that our own schemas use: `type`, `properties`, `additionalProperties`, `required`, `items`,
//! `minItems`, `enum`, `const`, `minimum`, `maximum`, `format` (widths of integers), `anyOf`, `oneOf`, `$ref`, and the
//! `x-` keywords that [`crate::file`] explains.

use crate::{formats, schema::resolve, suggest};
use cloudtik_core::{Diagnostic, Tree, TreeValue, origin::Entry};
use serde_json::{Map, Value as Json};

/// Nobody reads more; and each may search for a word that was meant.
pub(crate) const MAX_PROBLEMS: usize = 1000;

/// What a check needs beside the tree.
pub(crate) struct Walk<'a> {
    root: &'a Json,
    /// `provider.type`, as far as it is known.
    provider: Option<&'a str>,
    /// Whether everything that the document inherits is there.
    complete: bool,
    /// Keys to suggest beside the known ones, with what to say of them: those of the other kind of document.
    elsewhere: &'a dyn Fn(&[String], &str) -> Option<String>,
    problems: Vec<Diagnostic>,
}

/// Every problem of `tree` under `schema`. `path` is the keys that lead to the tree.
pub(crate) fn check(
    tree: &Tree,
    root: &Json,
    path: &[String],
    provider: Option<&str>,
    complete: bool,
    elsewhere: &dyn Fn(&[String], &str) -> Option<String>,
) -> Vec<Diagnostic> {
    let mut walk = Walk { root, provider, complete, elsewhere, problems: Vec::new() };
    walk.value(tree, root, &mut path.to_vec());
    walk.problems
}

impl Walk<'_> {
    fn value(&mut self, tree: &Tree, schema: &Json, path: &mut Vec<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let schema = resolve(self.root, schema);
        let Json::Object(keywords) = schema else { return };
        if let Some(branches) = keywords.get("anyOf").or_else(|| keywords.get("oneOf")).and_then(Json::as_array) {
            return self.any_of(tree, branches, path);
        }
        if !accepts(keywords, tree) {
            self.problems.push(wrong_type(tree, schema, path));
            return;
        }
        let before = self.problems.len();
        self.words(tree, keywords, path);
        self.range(tree, keywords, path);
        if before == self.problems.len()
            && let Some(check) = keywords.get("x-check").and_then(Json::as_str)
            && let Err(fault) = formats::check(check, tree)
        {
            let detail = format!("{} (for `{}`)", fault.detail, show(path));
            self.problems
                .push(Diagnostic::error(fault.id, fault.summary).at(&tree.origin).detail(detail).hint(fault.hint));
        }
        match &tree.value {
            TreeValue::Map(entries) => self.map(tree, entries, keywords, path),
            TreeValue::List(items) => self.list(tree, items, keywords, path),
            _ => {}
        }
    }

    /// Takes the branch whose type fits; all of them must differ in type.
    fn any_of(&mut self, tree: &Tree, branches: &[Json], path: &mut Vec<String>) {
        let fitting = branches.iter().find(|branch| match resolve(self.root, branch) {
            Json::Object(keywords) if keywords.contains_key("const") => keywords.get("const") == Some(&tree.to_json()),
            Json::Object(keywords) => accepts(keywords, tree),
            _ => true,
        });
        match fitting {
            Some(branch) => self.value(tree, branch, path),
            None => {
                let resolved: Vec<&Json> = branches.iter().map(|b| resolve(self.root, b)).collect();
                let wanted: Vec<String> = resolved.iter().map(|b| describe(b)).collect();
                self.problems.push(mismatch(tree, &wanted.join(" or "), path));
            }
        }
    }

    /// `enum` and `const`.
    fn words(&mut self, tree: &Tree, keywords: &Map<String, Json>, path: &[String]) {
        let allowed: Vec<&Json> = match (keywords.get("enum"), keywords.get("const")) {
            (Some(Json::Array(words)), _) => words.iter().collect(),
            (_, Some(word)) => vec![word],
            _ => return,
        };
        let (true, Some(text)) = (!allowed.iter().any(|a| **a == tree.to_json()), tree.as_text()) else { return };
        let id = keywords.get("x-id").and_then(Json::as_str).unwrap_or("unknown-value");
        let summary = if id == "unknown-provider" { "unknown provider" } else { "unknown value" };
        let mut problem = Diagnostic::error(id, summary)
            .at(&tree.origin)
            .detail(format!("`{text}` is none of the values of `{}`", show(path)));
        problem.hints.extend(suggest::hint(text, allowed.iter().filter_map(|a| a.as_str())));
        self.problems.push(problem);
    }

    fn range(&mut self, tree: &Tree, keywords: &Map<String, Json>, path: &[String]) {
        let value = match tree.value {
            TreeValue::Int(i) => i as f64,
            TreeValue::Float(f) => f,
            _ => return,
        };
        if keywords.contains_key("x-check") {
            return;
        }
        let widest = match keywords.get("format").and_then(Json::as_str) {
            Some("uint32") => Some(f64::from(u32::MAX)),
            Some("int32") => Some(f64::from(i32::MAX)),
            _ => None,
        };
        let low = keywords.get("minimum").and_then(Json::as_f64);
        let high = keywords.get("maximum").and_then(Json::as_f64).or(widest);
        if low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high) {
            let bounds = match (low, high) {
                (Some(low), Some(high)) => format!("from {low} to {high}"),
                (Some(low), None) => format!("at least {low}"),
                (_, high) => format!("at most {}", high.unwrap_or_default()),
            };
            self.problems.push(
                Diagnostic::error("out-of-range", "a number out of range")
                    .at(&tree.origin)
                    .detail(format!("`{}` is {value}; it must be {bounds}", show(path))),
            );
        }
    }

    fn list(
        &mut self,
        tree: &Tree,
        items: &[std::sync::Arc<Tree>],
        keywords: &Map<String, Json>,
        path: &mut Vec<String>,
    ) {
        if (items.len() as u64) < keywords.get("minItems").and_then(Json::as_u64).unwrap_or(0) {
            self.problems.push(
                Diagnostic::error("empty-list", "an empty list")
                    .at(&tree.origin)
                    .detail(format!("`{}` needs at least one item", show(path)))
                    .hint("add an item, or remove the key"),
            );
        }
        let Some(schema) = keywords.get("items") else { return };
        for (at, item) in items.iter().enumerate() {
            path.push(at.to_string());
            self.value(item, schema, path);
            path.pop();
        }
    }

    fn map(&mut self, tree: &Tree, entries: &[Entry], keywords: &Map<String, Json>, path: &mut Vec<String>) {
        let none = Map::new();
        let known = keywords.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let others = keywords.get("additionalProperties");
        for entry in entries {
            let schema = match known.get(&*entry.key) {
                Some(schema) => {
                    self.check_provider(entry, schema, path);
                    schema
                }
                None if others == Some(&Json::Bool(false)) => {
                    if self.problems.len() < MAX_PROBLEMS {
                        self.unknown_key(entry, known, path);
                    }
                    continue;
                }
                None => others.unwrap_or(&Json::Null),
            };
            path.push(entry.key.to_string());
            self.value(&entry.value, schema, path);
            path.pop();
        }
        // The document, its provider and its node types may inherit what they lack from a template that is not here.
        if !self.complete && path.len() <= 2 {
            return;
        }
        for key in keywords.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !entries.iter().any(|e| &*e.key == key) {
                let owner = if path.is_empty() { "the document".into() } else { format!("`{}`", show(path)) };
                let mut problem = Diagnostic::error("missing-key", "a required key is missing")
                    .at(&tree.origin)
                    .detail(format!("{owner} needs `{key}`"));
                problem.hints.extend(known.get(key).and_then(description).map(|d| format!("`{key}`: {d}")));
                self.problems.push(problem);
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, known: &Map<String, Json>, path: &[String]) {
        let owner = if path.is_empty() { "the document".into() } else { format!("`{}`", show(path)) };
        let mut problem = Diagnostic::error("unknown-key", "unknown key")
            .at(&entry.key_origin)
            .detail(format!("`{}` is not a key of {owner}", entry.key));
        let hint = (self.elsewhere)(path, &entry.key)
            .or_else(|| merge_key_hint(entry))
            .or_else(|| suggest::closest(&entry.key, self.usable(known)).map(|key| format!("did you mean `{key}`?")))
            .or_else(|| suggest::hint(&entry.key, known.keys().map(String::as_str)));
        problem.hints.push(hint.unwrap_or_else(|| "`cloudtik schema` shows every key".into()));
        self.problems.push(problem);
    }

    /// The keys that mean something to this document's provider.
    fn usable<'m>(&self, known: &'m Map<String, Json>) -> Vec<&'m str> {
        let fits = |schema: &Json| providers(schema).is_none_or(|p| self.provider.is_none_or(|own| p.contains(&own)));
        known.iter().filter(|(_, schema)| fits(schema)).map(|(key, _)| key.as_str()).collect()
    }

    /// A key of another provider: CloudTik ignores it, so it is a warning, unless the key is our own.
    fn check_provider(&mut self, entry: &Entry, schema: &Json, path: &[String]) {
        let (Some(own), Some(theirs)) = (self.provider, providers(schema)) else { return };
        if theirs.contains(&own) {
            return;
        }
        let mut path = path.to_vec();
        path.push(entry.key.to_string());
        let detail = format!(
            "`{}` means something to {} only; this document's provider is {own}",
            show(&path),
            theirs.join(", ")
        );
        let diagnostic = match schema.get("x-own") {
            Some(_) => Diagnostic::error("other-provider-key", "a key of another provider"),
            None => Diagnostic::warning("other-provider-key", "a key of another provider has no effect"),
        };
        self.problems.push(diagnostic.at(&entry.key_origin).detail(detail).hint("remove it"));
    }
}

fn merge_key_hint(entry: &Entry) -> Option<String> {
    let key = entry.key.strip_prefix('~')?;
    Some(format!("to remove an inherited `{key}`, leave the value empty: `~{key}:`"))
}

fn providers(schema: &Json) -> Option<Vec<&str>> {
    Some(schema.get("x-providers")?.as_array()?.iter().filter_map(Json::as_str).collect())
}

fn description(schema: &Json) -> Option<&str> {
    schema.get("description")?.as_str()
}

/// `available_node_types.worker.default.min_workers`
pub(crate) fn show(path: &[String]) -> String {
    path.join(".")
}

/// Whether a value has one of the schema's types. A schema without `type` takes everything.
fn accepts(keywords: &Map<String, Json>, tree: &Tree) -> bool {
    match keywords.get("type") {
        Some(Json::String(one)) => is(one, tree),
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).any(|one| is(one, tree)),
        _ => true,
    }
}

fn is(kind: &str, tree: &Tree) -> bool {
    match &tree.value {
        TreeValue::Null => kind == "null",
        TreeValue::Bool(_) => kind == "boolean",
        TreeValue::Int(_) => matches!(kind, "integer" | "number"),
        TreeValue::Float(f) => kind == "number" && f.is_finite(),
        TreeValue::Text(_) => kind == "string",
        TreeValue::List(_) => kind == "array",
        TreeValue::Map(_) => kind == "object",
    }
}

/// What a schema wants, in words.
fn describe(schema: &Json) -> String {
    if schema.get("x-check").and_then(Json::as_str) == Some("size") {
        return "a size such as `4G`".into();
    }
    let word = |kind: &str| match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a map",
        _ => "nothing",
    };
    match schema.get("type") {
        Some(Json::String(one)) => word(one).into(),
        Some(Json::Array(several)) => {
            let words: Vec<&str> = several.iter().filter_map(Json::as_str).map(word).collect();
            words.join(" or ")
        }
        _ => "anything".into(),
    }
}

fn wrong_type(tree: &Tree, schema: &Json, path: &[String]) -> Diagnostic {
    mismatch(tree, &describe(schema), path)
}

fn mismatch(tree: &Tree, wanted: &str, path: &[String]) -> Diagnostic {
    let raw = tree.raw.as_deref().unwrap_or_default();
    let (found, hint) = match &tree.value {
        TreeValue::Null => ("empty".to_string(), Some("give it a value, or remove the key".to_string())),
        TreeValue::Bool(b) => (format!("the boolean {b}"), quote_hint(wanted, raw)),
        TreeValue::Int(_) | TreeValue::Float(_) => (format!("the number {raw}"), quote_hint(wanted, raw)),
        TreeValue::Text(text) => ("text".to_string(), text_hint(wanted, text)),
        TreeValue::List(_) => ("a list".to_string(), None),
        TreeValue::Map(_) => ("a map".to_string(), None),
    };
    let subject = if path.is_empty() { "the document".into() } else { format!("`{}`", show(path)) };
    let mut problem = Diagnostic::error("wrong-type", "a value of the wrong type")
        .at(&tree.origin)
        .detail(format!("{subject} must be {wanted}; it is {found}"));
    problem.hints.extend(hint);
    problem
}

fn quote_hint(wanted: &str, raw: &str) -> Option<String> {
    match wanted {
        _ if wanted.contains("text") && !raw.is_empty() => Some(format!("quote it: \"{raw}\"")),
        "a list" => Some(format!("write a list of one: [{raw}]")),
        _ => None,
    }
}

fn text_hint(wanted: &str, text: &str) -> Option<String> {
    match wanted {
        "a list" => Some(format!("write a list of one: [{text}]")),
        "a number" | "a whole number" if text.parse::<f64>().is_ok() => Some(format!("remove the quotes: {text}")),
        "true or false"
            if matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "y" | "n" | "yes" | "no") =>
        {
            let yes = text.to_ascii_lowercase().starts_with(['t', 'y']);
            Some(format!("write {yes}"))
        }
        _ => None,
    }
}
