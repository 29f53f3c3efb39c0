//! Secrets of a run: values that go to providers and nowhere else.
//!
//! What documents hold in secrets is taken out of the declarations ([`Secrets::conceal`]) and put back at the last moment,
//! in front of a provider ([`Secrets::reveal`]). In between there are only [`Secret`]s: where the value comes from, and a
//! keyed fingerprint. Whoever has the state but not the key cannot try guesses against it.

use crate::value::{Attrs, Secret, Value};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

/// A shorter value may be an ordinary word: it is concealed only where it stands alone under a name that says secret.
const SHORTEST_ANYWHERE: usize = 8;

/// The source of what a document holds in plain text: nothing but the document can say it again.
pub const DOCUMENT: &str = "document";

pub type Key = [u8; 32];
type LoadKey = Box<dyn Fn() -> io::Result<Key> + Send + Sync>;
type Fetch = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;
type Hide = Box<dyn Fn(&str) -> String + Send + Sync>;

/// The secret values of a run.
pub struct Secrets {
    /// Asked for when the first secret is met.
    load_key: LoadKey,
    key: OnceLock<Key>,
    /// What a source stands for now: `env:NAME`, `file:path`, `secret:name`.
    fetch: Fetch,
    /// A text without any secret of the run.
    hide: Hide,
    held: RwLock<Held>,
}

/// Values with their encodings, each under its own fingerprint.
#[derive(Default)]
struct Held {
    by_fingerprint: BTreeMap<Arc<str>, Arc<str>>,
    /// Longest first.
    by_text: Vec<(Arc<str>, Secret)>,
}

/// A value that cannot be put back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret from {source_name} is not known, or is not what it was when the plan was made")]
pub struct Unknown {
    pub source_name: Arc<str>,
}

impl Secrets {
    pub fn new(
        load_key: impl Fn() -> io::Result<Key> + Send + Sync + 'static,
        fetch: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        hide: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Secrets {
            load_key: Box::new(load_key),
            key: OnceLock::new(),
            fetch: Box::new(fetch),
            hide: Box::new(hide),
            held: RwLock::default(),
        }
    }

    /// Knows a value from now on, in every encoding that [`encodings`] lists. Errors: the key cannot be had.
    pub fn hold(&self, source: &str, value: &str) -> io::Result<()> {
        let source: Arc<str> = source.into();
        let mut entries = Vec::new();
        for text in encodings(value) {
            entries.push((self.fingerprint(&text)?, Arc::<str>::from(text)));
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        for (fingerprint, text) in entries {
            if held.by_fingerprint.insert(fingerprint.clone(), text.clone()).is_none() {
                held.by_text.push((text, Secret { source: source.clone(), fingerprint: Some(fingerprint) }));
            }
        }
        held.by_text.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Ok(())
    }

    /// The keyed digest of a text.
    pub fn fingerprint(&self, text: &str) -> io::Result<Arc<str>> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let key = (self.load_key)()?;
                self.key.get_or_init(|| key)
            }
        };
        Ok(blake3::keyed_hash(key, text.as_bytes()).to_hex()[..32].into())
    }

    /// Attributes with every held value replaced by its [`Secret`], also inside longer texts.
    pub fn conceal(&self, attributes: &mut Attrs) {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if !held.by_text.is_empty() {
            attributes.iter_mut().for_each(|(name, value)| held.conceal(sounds_secret(name), value));
        }
    }

    /// Attributes with every secret replaced by its value. Errors: one is not known, or has changed.
    pub fn reveal(&self, attributes: &Attrs) -> Result<Attrs, Unknown> {
        attributes.iter().map(|(name, value)| Ok((name.clone(), self.revealed(value)?))).collect()
    }

    /// The same, leaving out what is not known: to look at or remove what was made with it.
    pub fn reveal_known(&self, attributes: &Attrs) -> Attrs {
        let known = |(name, value): (&String, &Value)| Some((name.clone(), self.known(value)?));
        attributes.iter().filter_map(known).collect()
    }

    fn known(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Map(entries) => Some(Value::Map(self.reveal_known(entries))),
            Value::List(items) => Some(Value::List(items.iter().filter_map(|item| self.known(item)).collect())),
            other => self.revealed(other).ok(),
        }
    }

    fn revealed(&self, value: &Value) -> Result<Value, Unknown> {
        let each = |items: &[Value]| items.iter().map(|item| self.revealed(item)).collect::<Result<Vec<_>, _>>();
        Ok(match value {
            Value::Secret(secret) => Value::Text(self.value(secret)?),
            Value::List(items) => Value::List(each(items)?),
            Value::Concat(parts) => Value::concat(each(parts)?),
            Value::Map(entries) => Value::Map(self.reveal(entries)?),
            other => other.clone(),
        })
    }

    fn value(&self, secret: &Secret) -> Result<Arc<str>, Unknown> {
        let held = |fingerprint: &Arc<str>| {
            self.held.read().unwrap_or_else(PoisonError::into_inner).by_fingerprint.get(fingerprint).cloned()
        };
        let unknown = || Unknown { source_name: secret.source.clone() };
        let fingerprint = secret.fingerprint.as_ref().ok_or_else(unknown)?;
        if let Some(text) = held(fingerprint) {
            return Ok(text);
        }
        // A saved plan is carried out without its document: the source says the value again.
        let now = (self.fetch)(&secret.source).ok_or_else(unknown)?;
        self.hold(&secret.source, &now).map_err(|_| unknown())?;
        held(fingerprint).ok_or_else(unknown)
    }

    /// A text that may be written.
    pub fn hide(&self, text: &str) -> String {
        (self.hide)(text)
    }
}

impl Held {
    fn conceal(&self, named: bool, value: &mut Value) {
        match value {
            Value::Text(text) => {
                if let Some(concealed) = self.concealed(named, text) {
                    *value = concealed;
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.conceal(named, item)),
            Value::Concat(parts) => {
                parts.iter_mut().for_each(|part| self.conceal(false, part));
                *value = Value::concat(std::mem::take(parts));
            }
            Value::Map(entries) => {
                entries.iter_mut().for_each(|(name, value)| self.conceal(named || sounds_secret(name), value));
            }
            _ => {}
        }
    }

    /// `None` when nothing of it is secret.
    fn concealed(&self, named: bool, text: &str) -> Option<Value> {
        let alone = |known: &str| known == text && (named || known.len() >= SHORTEST_ANYWHERE);
        if let Some((_, secret)) = self.by_text.iter().find(|(known, _)| alone(known)) {
            return Some(Value::Secret(secret.clone()));
        }
        let found = |(known, _): &&(Arc<str>, Secret)| known.len() >= SHORTEST_ANYWHERE && text.contains(&**known);
        let (known, secret) = self.by_text.iter().find(found)?;
        let (before, after) = text.split_once(&**known)?;
        let part = |text: &str| self.concealed(false, text).unwrap_or_else(|| Value::text(text));
        Some(Value::concat([part(before), Value::Secret(secret.clone()), part(after)]))
    }
}

/// Whether a name says that what it names is a secret.
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let says =
        ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "ACCOUNT_KEY", "PRIVATE_KEY", "CREDENTIAL"];
    says.iter().any(|word| name.contains(word))
}

/// A value as it may turn up in texts: plain, and escaped or encoded as a whole. Each once, none empty.
pub fn encodings(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned(), value.trim().to_owned(), json(value), json(&json(value)), ascii_json(value)];
    forms.extend([json(value).replace('/', "\\/"), value.replace('\'', "'\\''"), value.replace('\'', "'\"'\"'")]);
    forms.extend([percent(value, false), percent(value, true), percent(value, false).to_lowercase()]);
    // As a shell's `echo $VALUE` says it.
    forms.push(value.split_whitespace().collect::<Vec<_>>().join(" "));
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    forms.retain(|form| !form.is_empty());
    forms.sort();
    forms.dedup();
    forms
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

/// JSON as writers do that escape everything beyond ASCII.
fn ascii_json(text: &str) -> String {
    let mut out = String::new();
    for c in json(text).chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// The bytes of a text in which `%41` stands for `A`, as in a URL; anything malformed stays as it is.
pub fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn percent(text: &str, form: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            b' ' if form => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(key: u8, sources: &'static [(&'static str, &'static str)]) -> Secrets {
        let fetch = move |name: &str| sources.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Secrets::new(move || Ok([key; 32]), fetch, |text| text.to_owned())
    }

    fn attributes() -> Attrs {
        Attrs::from([
            ("content".into(), Value::text("a.password hunter2hunter2\nb hunter2hunter2\n")),
            (
                "env".into(),
                Value::map([("DB_PASSWORD", "pw1"), ("PLAIN", "pw1"), ("URL", "x://u:hunter2%20hunter2@h")]),
            ),
            ("lines".into(), Value::list(["login --password 'it'\\''s a secret'"])),
            ("plain".into(), Value::text("nothing")),
        ])
    }

    #[test]
    fn what_is_concealed_is_revealed_and_leaves_nothing_behind() {
        let secrets = secrets(1, &[]);
        for value in ["hunter2hunter2", "pw1", "hunter2 hunter2", "it's a secret"] {
            secrets.hold(DOCUMENT, value).unwrap();
        }
        let mut hidden = attributes();
        secrets.conceal(&mut hidden);
        let text = serde_json::to_string(&hidden).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("a secret"), "{text}");
        // A short value is a secret only where its name says so.
        assert_eq!(text.matches("pw1").count(), 1, "{text}");
        assert_eq!(secrets.reveal(&hidden), Ok(attributes()));
        let mut twice = hidden.clone();
        secrets.conceal(&mut twice);
        assert_eq!(twice, hidden);
    }

    #[test]
    fn a_fingerprint_depends_on_the_key() {
        let of = |key| secrets(key, &[]).fingerprint("1234").unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(!blake3::hash(b"1234").to_hex().starts_with(&*of(1)));
    }

    #[test]
    fn a_source_is_asked_again_and_must_say_the_same() {
        let planned = secrets(1, &[]);
        planned.hold("env:TOKEN", "a token's value").unwrap();
        let mut hidden = Attrs::from([("x".into(), Value::text("say 'a token'\\''s value'"))]);
        planned.conceal(&mut hidden);
        assert_eq!(secrets(1, &[("env:TOKEN", "a token's value")]).reveal(&hidden), planned.reveal(&hidden));
        let unknown = Err(Unknown { source_name: "env:TOKEN".into() });
        for later in [
            secrets(1, &[("env:TOKEN", "another value")]),
            secrets(1, &[]),
            secrets(2, &[("env:TOKEN", "a token's value")]),
        ] {
            assert_eq!(later.reveal(&hidden), unknown);
            assert_eq!(later.reveal_known(&hidden), Attrs::new());
        }
    }
}
