//! Templates over facts, some of which are not known before apply.
//!
//! A value that is not plain text yet goes through the template as a token and comes out as a part of a [`Value::concat`],
//! so a rendered file keeps its references. Undefined names are errors. The same value always has the same token, so
//! templates may compare them.

use cloudtik_core::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value as Jinja, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

/// What templates see. Cheap to clone: the parts of large facts are shared.
pub type Facts = BTreeMap<String, Jinja>;

/// Facts of plain JSON.
pub fn facts(json: &Map<String, Json>) -> Facts {
    json.iter().map(|(key, value)| (key.clone(), fact(value))).collect()
}

pub fn fact<T: Serialize>(value: T) -> Jinja {
    Jinja::from(Serde(value))
}

/// The values behind tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    values: Vec<Value>,
    /// Places in `values`, by the value's JSON.
    index: BTreeMap<String, usize>,
}

impl Tokens {
    /// What stands for `value` in facts: its JSON where it is known, a token otherwise.
    pub fn hide(&mut self, value: &Value) -> Json {
        if let Some(text) = value.as_text() {
            return Json::from(text);
        }
        if let Value::Int(number) = value {
            return Json::from(*number);
        }
        let key = serde_json::to_string(value).expect("a value is always JSON");
        let at = *self.index.entry(key).or_insert_with(|| {
            self.values.push(value.clone());
            self.values.len() - 1
        });
        Json::from(format!("{OPEN}{at}{CLOSE}"))
    }

    /// Text with its tokens turned back into values.
    pub fn reveal(&self, text: &str) -> Value {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            parts.push(Value::text(before));
            let Some((number, tail)) = after.split_once(CLOSE) else { break };
            match number.parse::<usize>().ok().and_then(|at| self.values.get(at)) {
                Some(value) => parts.push(value.clone()),
                None => parts.push(Value::text(format!("{OPEN}{number}{CLOSE}"))),
            }
            rest = tail;
        }
        parts.push(Value::text(rest));
        // A single reference stays one: a join of nothing but it would only hide it.
        let parts: Vec<Value> = parts.into_iter().filter(|p| p.as_text() != Some("")).collect();
        match parts.as_slice() {
            [only] => only.clone(),
            _ => Value::concat(parts),
        }
    }
}

/// A template or expression that cannot be evaluated.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {message}")]
pub struct RenderError {
    pub what: String,
    pub message: String,
}

/// The template engine with our filters.
pub struct Renderer(Environment<'static>);

impl Default for Renderer {
    fn default() -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        env.set_syntax(syntax.expect("the standard delimiters are valid"));
        env.add_filter("overridden_by", overridden_by);
        env.add_filter("starting_with", starting_with);
        env.add_filter("properties", properties);
        Renderer(env)
    }
}

impl Renderer {
    pub fn text(&self, what: &str, template: &str, facts: &Facts) -> Result<String, RenderError> {
        self.0.render_named_str(what, template, Jinja::from(facts.clone())).map_err(|e| error(what, &e))
    }

    pub fn eval(&self, what: &str, expression: &str, facts: &Facts) -> Result<Json, RenderError> {
        let compiled = self.0.compile_expression_owned(expression.to_owned()).map_err(|e| error(what, &e))?;
        let value = compiled.eval(Jinja::from(facts.clone())).map_err(|e| error(what, &e))?;
        if value.is_undefined() {
            return Err(RenderError { what: what.into(), message: format!("`{expression}` is undefined") });
        }
        serde_json::to_value(&value).map_err(|e| RenderError { what: what.into(), message: e.to_string() })
    }
}

fn error(what: &str, error: &minijinja::Error) -> RenderError {
    RenderError { what: what.into(), message: format!("{error}") }
}

fn json(value: &Jinja) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

fn map(value: &Jinja) -> Map<String, Json> {
    match json(value) {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

/// The entries of both maps; the second one wins, and its nulls remove.
fn overridden_by(base: &Jinja, over: &Jinja) -> Jinja {
    let mut merged = map(base);
    for (key, value) in map(over) {
        if value.is_null() {
            merged.remove(&key);
        } else {
            merged.insert(key, value);
        }
    }
    fact(Json::Object(merged))
}

/// The entries whose key has one of the prefixes.
fn starting_with(base: &Jinja, prefixes: &Jinja) -> Jinja {
    let prefixes: Vec<String> = serde_json::from_value(json(prefixes)).unwrap_or_default();
    let kept = map(base).into_iter().filter(|(key, _)| prefixes.iter().any(|p| key.starts_with(p.as_str())));
    fact(Json::Object(kept.collect::<Map<_, _>>()))
}

/// A map as lines of a Java properties file, sorted by key. Nulls are left out.
fn properties(base: &Jinja) -> String {
    let mut entries: Vec<(String, Json)> = map(base).into_iter().filter(|(_, v)| !v.is_null()).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.iter().map(|(key, value)| format!("{} {}\n", escape(key, true), escape(&plain(value), false))).collect()
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escape(text: &str, key: bool) -> String {
    let mut escaped = String::new();
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            ' ' | ':' | '=' if key => escaped.extend(['\\', c]),
            ' ' if at == 0 => escaped.push_str("\\ "),
            '#' | '!' if key && at == 0 => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::{Address, Scope};
    use serde_json::json;

    fn facts_of(json: Json) -> Facts {
        facts(json.as_object().unwrap())
    }

    fn host() -> Value {
        Value::reference(&Address::new(Scope::cluster("w", "c"), "instance", "head"), "host")
    }

    #[test]
    fn an_unknown_fact_stays_a_reference_inside_the_text() {
        let mut tokens = Tokens::default();
        let facts = facts_of(json!({ "head": tokens.hide(&host()), "again": tokens.hide(&host()), "port": 7077 }));
        let renderer = Renderer::default();
        let text =
            renderer.text("t", "spark://{{ head }}:{{ port }}{% if head == again %}!{% endif %}", &facts).unwrap();
        let value = tokens.reveal(&text);
        assert_eq!(value, Value::concat([Value::text("spark://"), host(), Value::text(":7077!")]));
        assert_eq!(value.resolve(&|_| Some(Value::text("h"))), Value::text("spark://h:7077!"));
        assert_eq!(tokens.reveal(&renderer.text("t", "{{ head }}", &facts).unwrap()), host());
        assert_eq!(tokens.reveal("plain"), Value::text("plain"));
        assert_eq!(tokens.reveal(""), Value::text(""));
    }

    #[test]
    fn an_undefined_name_is_an_error_that_says_where() {
        let error = Renderer::default().text("spark-defaults.conf", "a\n{{ nod.ip }}", &Facts::new()).unwrap_err();
        assert!(error.to_string().contains("spark-defaults.conf:2"), "{error}");
        assert!(Renderer::default().eval("x", "a.b", &facts_of(json!({"a": {}}))).is_err());
    }

    #[test]
    fn properties_are_escaped_sorted_and_overridden() {
        let facts = facts_of(
            json!({"base": {"b": 1, "a": true, "gone": "x"}, "user": {"b": "c:\\d\ne", "gone": null, "k y": 0.5}}),
        );
        let text = Renderer::default().text("p", "{{ base | overridden_by(user) | properties }}", &facts).unwrap();
        assert_eq!(text, "a true\nb c:\\\\d\\ne\nk\\ y 0.5\n");
        let text =
            Renderer::default().text("p", "{{ base | starting_with(['a', 'z']) | properties }}", &facts).unwrap();
        assert_eq!(text, "a true\n");
    }
}
