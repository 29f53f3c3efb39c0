//! Attribute values: unset, known, unknown until apply, or secret; and, in declarations, references that become one of those.
//!
//! The JSON form is natural for known values. The rest are objects with one `$` key (`{"$unknown":true}`,
//! `{"$secret":{…}}`, `{"$ref":"…"}`, `{"$concat":[…]}`); a user's own map with such a key is wrapped in `{"$map":{…}}`.

use crate::address::Address;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use std::{collections::BTreeMap, fmt, sync::Arc};

pub type Attrs = BTreeMap<String, Value>;

/// Whether a dependant may start once its dependency exists, or only once it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Needs {
    Created,
    Ready,
}

/// Another resource's attribute (input or output), by dotted path: `endpoint.port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub address: Address,
    pub attribute: Arc<str>,
    pub needs: Needs,
}

impl Reference {
    fn text(&self) -> String {
        let mut text = String::with_capacity(80);
        self.address.write_to(&mut text);
        text.push('#');
        text.push_str(&self.attribute);
        if self.needs == Needs::Created {
            text.push_str("?created");
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

impl std::str::FromStr for Reference {
    type Err = crate::address::NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, needs) = match text.strip_suffix("?created") {
            Some(rest) => (rest, Needs::Created),
            None => (text, Needs::Ready),
        };
        let (address, attribute) = rest.split_once('#').ok_or_else(|| crate::address::NotAnAddress {
            text: text.into(),
            what: "a reference (`<address>#<attribute>`)",
        })?;
        Ok(Reference { address: address.parse()?, attribute: attribute.into(), needs })
    }
}

/// A value that is never stored or shown: where it comes from, and a keyed fingerprint that tells a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Secret {
    /// `env:NAME`, `file:path`: what resolves it at apply.
    pub source: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Left to the provider.
    #[default]
    Unset,
    Bool(bool),
    Int(i64),
    /// Finite.
    Float(f64),
    Text(Arc<str>),
    List(Vec<Value>),
    Map(Attrs),
    Unknown,
    Secret(Secret),
    Ref(Reference),
    /// Text joined from parts, some of them not yet known.
    Concat(Vec<Value>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        use Value::*;
        match (self, other) {
            (Unset, Unset) | (Unknown, Unknown) => true,
            (Bool(a), Bool(b)) => a == b,
            (Int(a), Int(b)) => a == b,
            (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
            (Int(a), Float(b)) | (Float(b), Int(a)) => *a as f64 == *b,
            (Text(a), Text(b)) => a == b,
            (List(a), List(b)) | (Concat(a), Concat(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            (Secret(a), Secret(b)) => a == b,
            (Ref(a), Ref(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Value::Text(text.as_ref().into())
    }

    pub fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    pub fn map<K: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Value::Map(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The named attribute of `address`, once it is ready.
    pub fn reference(address: &Address, attribute: &str) -> Self {
        Value::Ref(Reference { address: address.clone(), attribute: attribute.into(), needs: Needs::Ready })
    }

    /// The named attribute of `address`, as soon as it exists.
    pub fn reference_created(address: &Address, attribute: &str) -> Self {
        Value::Ref(Reference { address: address.clone(), attribute: attribute.into(), needs: Needs::Created })
    }

    /// Joins parts to one text; neighbouring known parts melt together, and a join without unknown parts is plain text.
    pub fn concat(parts: impl IntoIterator<Item = Value>) -> Self {
        let mut joined: Vec<Value> = Vec::new();
        for part in parts {
            let inner = match part {
                Value::Concat(inner) => inner,
                other => vec![other],
            };
            for part in inner {
                match (joined.last_mut(), part.scalar_text()) {
                    (Some(Value::Text(last)), Some(text)) => *last = format!("{last}{text}").into(),
                    (_, Some(text)) if text.is_empty() => {}
                    (_, Some(text)) => joined.push(Value::Text(text.into())),
                    (_, None) => joined.push(part),
                }
            }
        }
        match joined.len() {
            0 => Value::text(""),
            1 if matches!(joined[0], Value::Text(_)) => joined.remove(0),
            _ => Value::Concat(joined),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&Attrs> {
        match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// A scalar as the text it joins as; `None` for everything that is not a known scalar.
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.to_string()),
            Value::Int(i) => Some(i.to_string()),
            Value::Float(f) => Some(f.to_string()),
            Value::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    /// Whether nothing in it waits for apply. Secrets count as known.
    pub fn is_known(&self) -> bool {
        match self {
            Value::Unknown | Value::Ref(_) => false,
            Value::List(items) | Value::Concat(items) => items.iter().all(Value::is_known),
            Value::Map(entries) => entries.values().all(Value::is_known),
            _ => true,
        }
    }

    /// The value under a dotted path; list items by number.
    pub fn at(&self, path: &str) -> Option<&Value> {
        if path.is_empty() {
            return Some(self);
        }
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        match self {
            // A key may hold dots itself (`spark.executor.memory`): the whole path is tried first.
            Value::Map(entries) => entries.get(path).or_else(|| entries.get(first)?.at(rest)),
            Value::List(items) => items.get(first.parse::<usize>().ok()?)?.at(rest),
            _ => None,
        }
    }

    /// Calls `visit` for every reference inside.
    pub fn references<'a>(&'a self, visit: &mut dyn FnMut(&'a Reference)) {
        match self {
            Value::Ref(reference) => visit(reference),
            Value::List(items) | Value::Concat(items) => items.iter().for_each(|v| v.references(visit)),
            Value::Map(entries) => entries.values().for_each(|v| v.references(visit)),
            _ => {}
        }
    }

    /// Replaces every reference by what `lookup` says; `None` keeps the reference.
    pub fn resolve(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
        match self {
            Value::Ref(reference) => lookup(reference).unwrap_or_else(|| self.clone()),
            Value::List(items) => Value::List(items.iter().map(|v| v.resolve(lookup)).collect()),
            Value::Map(entries) => Value::Map(resolve(entries, lookup)),
            Value::Concat(parts) => Value::concat(parts.iter().map(|v| v.resolve(lookup))),
            _ => self.clone(),
        }
    }

    /// With `Unset` entries of maps dropped, at every depth.
    pub fn pruned(&self) -> Value {
        match self {
            Value::Map(entries) => Value::Map(pruned(entries)),
            Value::List(items) => Value::List(items.iter().map(Value::pruned).collect()),
            other => other.clone(),
        }
    }

    /// What a person reads: references and unknowns as `(known after apply)`, secrets as `(sensitive)`.
    pub fn display(&self) -> String {
        match self {
            Value::Unset => "(unset)".into(),
            Value::Unknown | Value::Ref(_) => "(known after apply)".into(),
            Value::Secret(_) => "(sensitive)".into(),
            Value::Text(text) => serde_json::to_string(&**text).expect("text is always JSON"),
            Value::Concat(parts) => {
                let text: String =
                    parts.iter().map(|p| p.scalar_text().unwrap_or_else(|| p.display())).collect::<Vec<_>>().concat();
                serde_json::to_string(&text).expect("text is always JSON")
            }
            Value::List(items) => {
                format!("[{}]", items.iter().map(Value::display).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}: {}", v.display())).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Value::Bool(b) => b.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Float(f) => f.to_string(),
        }
    }
}

/// [`Value::resolve`] over a set of attributes.
pub fn resolve(attributes: &Attrs, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Attrs {
    attributes.iter().map(|(k, v)| (k.clone(), v.resolve(lookup))).collect()
}

/// Attributes without the unset ones.
pub fn pruned(attributes: &Attrs) -> Attrs {
    attributes.iter().filter(|(_, v)| !matches!(v, Value::Unset)).map(|(k, v)| (k.clone(), v.pruned())).collect()
}

macro_rules! from {
    ($($type:ty => |$v:ident| $make:expr),* $(,)?) => {
        $(impl From<$type> for Value { fn from($v: $type) -> Self { $make } })*
    };
}

from! {
    &str => |v| Value::text(v),
    String => |v| Value::text(v),
    &String => |v| Value::text(v),
    bool => |v| Value::Bool(v),
    i64 => |v| Value::Int(v),
    i32 => |v| Value::Int(v.into()),
    u32 => |v| Value::Int(v.into()),
    u16 => |v| Value::Int(v.into()),
    Attrs => |v| Value::Map(v),
    Vec<Value> => |v| Value::List(v),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Unset, Into::into)
    }
}

/// JSON nulls become `Unset`; integers beyond 64 bits become text.
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Unset,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(i), _) => Value::Int(i),
                (None, Some(f)) if f.is_finite() && !n.is_u64() => Value::Float(f),
                _ => Value::text(n.to_string()),
            },
            Json::String(text) => Value::text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Into::into).collect()),
            Json::Object(entries) => Value::Map(entries.into_iter().map(|(k, v)| (k, v.into())).collect()),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        fn one<S: Serializer, T: Serialize + ?Sized>(s: S, key: &str, value: &T) -> Result<S::Ok, S::Error> {
            let mut map = s.serialize_map(Some(1))?;
            map.serialize_entry(key, value)?;
            map.end()
        }
        match self {
            Value::Unset => one(s, "$unset", &true),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Int(i) => s.serialize_i64(*i),
            Value::Float(f) => s.serialize_f64(*f),
            Value::Text(text) => s.serialize_str(text),
            Value::List(items) => items.serialize(s),
            Value::Map(entries) if entries.len() == 1 && entries.keys().all(|k| k.starts_with('$')) => {
                one(s, "$map", entries)
            }
            Value::Map(entries) => entries.serialize(s),
            Value::Unknown => one(s, "$unknown", &true),
            Value::Secret(secret) => one(s, "$secret", secret),
            Value::Ref(reference) => one(s, "$ref", &reference.text()),
            Value::Concat(parts) => one(s, "$concat", parts),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        decode(serde_json::Value::deserialize(d)?).map_err(D::Error::custom)
    }
}

fn decode(json: serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    Ok(match json {
        Json::Object(map) => match map.iter().next() {
            Some((key, _)) if map.len() == 1 && key.starts_with('$') => {
                let (key, inner) = map.into_iter().next().expect("the guard saw one entry");
                match (key.as_str(), inner) {
                    ("$unset", _) => Value::Unset,
                    ("$unknown", _) => Value::Unknown,
                    ("$secret", inner) => Value::Secret(serde_json::from_value(inner).map_err(|e| e.to_string())?),
                    ("$ref", Json::String(text)) => {
                        Value::Ref(text.parse().map_err(|e: crate::address::NotAnAddress| e.to_string())?)
                    }
                    ("$concat", Json::Array(parts)) => {
                        Value::Concat(parts.into_iter().map(decode).collect::<Result<_, _>>()?)
                    }
                    ("$map", Json::Object(map)) => Value::Map(decode_map(map)?),
                    (key, _) => return Err(format!("unknown value form `{key}`")),
                }
            }
            _ => Value::Map(decode_map(map)?),
        },
        Json::Array(items) => Value::List(items.into_iter().map(decode).collect::<Result<_, _>>()?),
        plain => plain.into(),
    })
}

fn decode_map(map: serde_json::Map<String, serde_json::Value>) -> Result<Attrs, String> {
    map.into_iter().map(|(k, v)| Ok((k, decode(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Scope;
    use proptest::prelude::*;

    fn address() -> Address {
        Address::new(Scope::workspace("w"), "network", "main")
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Unset),
            Just(Value::Unknown),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9..1e9f64).prop_map(Value::Float),
            ".{0,12}".prop_map(Value::text),
            Just(Value::reference(&address(), "id")),
            Just(Value::reference_created(&address(), "a.b")),
            Just(Value::Secret(Secret { source: "env:X".into(), fingerprint: Some("f".into()) })),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Concat),
                prop::collection::btree_map("[$a-c]{0,5}", inner, 0..4).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_reads_back_equal(value in any_value()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn a_join_becomes_text_once_its_parts_are_known() {
        let url = Value::concat([
            Value::text("spark://"),
            Value::reference(&address(), "ip"),
            Value::text(":"),
            Value::Int(7077),
        ]);
        assert!(!url.is_known());
        assert_eq!(url.display(), "\"spark://(known after apply):7077\"");
        assert_eq!(url.resolve(&|_| Some(Value::text("10.0.0.4"))), Value::text("spark://10.0.0.4:7077"));
        assert_eq!(url.resolve(&|_| None), url);
    }

    #[test]
    fn a_path_finds_keys_with_dots_and_list_items() {
        let value = Value::map([("spark.executor.memory", Value::text("1g")), ("a", Value::list(["x", "y"]))]);
        assert_eq!(value.at("spark.executor.memory"), Some(&Value::text("1g")));
        assert_eq!(value.at("a.1"), Some(&Value::text("y")));
        assert_eq!(value.at("a.2"), None);
    }
}
