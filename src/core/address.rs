//! Where a resource lives and what it is called.
//!
//! An [`Address`] is `<scope>:<kind>.<name>`; inside one scope the short form `<kind>.<name>` is enough. Addresses order
//! by scope, kind and name, with numbers inside names ordered as numbers, so that `worker[2]` precedes `worker[10]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

/// What one document owns: the unit of state, of lock and of destroy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Workspace {
        workspace: Arc<str>,
    },
    Cluster {
        workspace: Arc<str>,
        cluster: Arc<str>,
    },
    /// A bucket beside the workspace's own.
    Storage {
        workspace: Arc<str>,
        storage: Arc<str>,
    },
    /// A database beside the workspace's own.
    Database {
        workspace: Arc<str>,
        database: Arc<str>,
    },
}

impl Scope {
    pub fn workspace(workspace: &str) -> Self {
        Scope::Workspace { workspace: workspace.into() }
    }

    pub fn cluster(workspace: &str, cluster: &str) -> Self {
        Scope::Cluster { workspace: workspace.into(), cluster: cluster.into() }
    }

    pub fn storage(workspace: &str, storage: &str) -> Self {
        Scope::Storage { workspace: workspace.into(), storage: storage.into() }
    }

    pub fn database(workspace: &str, database: &str) -> Self {
        Scope::Database { workspace: workspace.into(), database: database.into() }
    }

    pub fn workspace_name(&self) -> &str {
        match self {
            Scope::Workspace { workspace }
            | Scope::Cluster { workspace, .. }
            | Scope::Storage { workspace, .. }
            | Scope::Database { workspace, .. } => workspace,
        }
    }

    /// The cluster's name; `None` for everything else.
    pub fn cluster_name(&self) -> Option<&str> {
        match self {
            Scope::Cluster { cluster, .. } => Some(cluster),
            _ => None,
        }
    }

    /// The kind of document that owns it, and the document's own name: (`storage`, `raw`).
    pub fn document(&self) -> (&'static str, &str) {
        match self {
            Scope::Workspace { workspace } => ("workspace", workspace),
            Scope::Cluster { cluster, .. } => ("cluster", cluster),
            Scope::Storage { storage, .. } => ("storage", storage),
            Scope::Database { database, .. } => ("database", database),
        }
    }

    /// Its text form, in parts.
    fn parts(&self) -> [&str; 5] {
        let workspace = self.workspace_name();
        match self.document() {
            (kind, _) if matches!(self, Scope::Workspace { .. }) => [kind, "/", workspace, "", ""],
            (kind, name) => [kind, "/", workspace, "/", name],
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().into_iter().try_for_each(|part| f.write_str(part))
    }
}

/// Text that is not a scope or an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct NotAnAddress {
    pub text: String,
    pub what: &'static str,
}

impl FromStr for Scope {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let what = "a scope (`workspace/<name>`, or `cluster`, `storage` or `database` and `/<workspace>/<name>`)";
        let wrong = || NotAnAddress { text: text.into(), what };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["workspace", w] if !w.is_empty() => Ok(Scope::workspace(w)),
            [kind, w, name] if !w.is_empty() && !name.is_empty() => match *kind {
                "cluster" => Ok(Scope::cluster(w, name)),
                "storage" => Ok(Scope::storage(w, name)),
                "database" => Ok(Scope::database(w, name)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    scope: Scope,
    kind: Box<str>,
    name: Box<str>,
}

/// The identity of one resource. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Arc<Parts>);

/// Within a run nearly all addresses share a scope, so only what tells them apart is hashed.
impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.kind.hash(state);
        self.0.name.hash(state);
    }
}

impl Address {
    /// `kind` must hold no dot and `name` must not be empty: both hold for every name that documents can produce.
    pub fn new(scope: Scope, kind: &str, name: &str) -> Self {
        debug_assert!(!kind.contains('.') && !kind.is_empty() && !name.is_empty(), "{kind}.{name}");
        Address(Arc::new(Parts { scope, kind: kind.into(), name: name.into() }))
    }

    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Appends the full form; plans and journals write many, so this does without formatting.
    pub fn write_to(&self, text: &mut String) {
        self.scope().parts().iter().for_each(|part| text.push_str(part));
        [":", self.kind(), ".", self.name()].iter().for_each(|part| text.push_str(part));
    }

    /// `<kind>.<name>`.
    pub fn short(&self) -> String {
        format!("{}.{}", self.kind(), self.name())
    }

    /// The name with its instance number taken out, and that number: `worker[2]/a` is (`worker`, 2, `/a`).
    pub fn instance(&self) -> Option<(&str, usize, &str)> {
        let name = self.name();
        let open = name.find('[')?;
        let close = open + name[open..].find(']')?;
        let number = name[open + 1..close].parse().ok()?;
        Some((&name[..open], number, &name[close + 1..]))
    }

    /// Whether `pattern` names this resource: the full or short form, a whole instance group (`instance.worker.default`
    /// for `instance.worker.default[3]`), a node with everything on it, a kind (`file`), or a scope.
    pub fn matches(&self, pattern: &str) -> bool {
        let short = self.short();
        let full = self.to_string();
        let scope = self.scope().to_string();
        let group = self.instance().map(|(base, _, _)| format!("{}.{base}", self.kind()));
        pattern == short
            || pattern == full
            || pattern == scope
            || pattern == self.kind()
            || group.as_deref() == Some(pattern)
            || short.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        self.write_to(&mut text);
        f.pad(&text)
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAnAddress { text: text.into(), what: "an address (`<scope>:<kind>.<name>`)" };
        let (scope, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (kind, name) = rest.split_once('.').ok_or_else(wrong)?;
        if kind.is_empty() || name.is_empty() {
            return Err(wrong());
        }
        Ok(Address::new(scope.parse()?, kind, name))
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Address {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.scope()
            .cmp(other.scope())
            .then_with(|| self.kind().cmp(other.kind()))
            .then_with(|| natural(self.name(), other.name()))
    }
}

/// Text order with runs of digits compared as numbers; texts that differ only in leading zeros fall back to plain order.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(&i), Some(&j)) = (x.first(), y.first()) {
        if i.is_ascii_digit() && j.is_ascii_digit() {
            let (m, n) = (digits(x), digits(y));
            let (p, q) = (trim(&x[..m]), trim(&y[..n]));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(q));
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (&x[m..], &y[n..]);
        } else if i != j {
            return i.cmp(&j);
        } else {
            (x, y) = (&x[1..], &y[1..]);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|c| **c == b'0').count();
    &number[zeros..]
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        self.write_to(&mut text);
        s.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The name of a provider as documents write it (`provider.type`), or `runtime` for what runs on nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderName(pub Arc<str>);

impl From<&str> for ProviderName {
    fn from(name: &str) -> Self {
        ProviderName(name.into())
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_written() {
        for text in [
            "workspace/a:subnet.private-1",
            "cluster/a/b:file.worker.default[2]/spark-defaults.conf",
            "storage/a/raw:bucket.default",
            "database/a/b:database.default",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in
            ["subnet.x", "workspace/a:subnet", "workspace/a:.x", "cluster/a:s.x", "bucket/a/b:s.x", "workspace/:a.b"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_in_names_order_as_numbers() {
        let address = |name: &str| Address::new(Scope::cluster("w", "c"), "instance", name);
        let mut names: Vec<_> = ["w[10]", "w[2]", "w[02]", "w", "w[2]/b", "w[2]/a"].map(address).to_vec();
        names.sort();
        let names: Vec<&str> = names.iter().map(|a| a.name()).collect();
        assert_eq!(names, ["w", "w[02]", "w[2]", "w[2]/a", "w[2]/b", "w[10]"]);
    }

    #[test]
    fn a_pattern_selects_a_group_a_node_a_kind_or_a_scope() {
        let file: Address = "cluster/a/b:file.worker.default[2]/x.conf".parse().unwrap();
        for pattern in [
            "file",
            "file.worker.default",
            "file.worker.default[2]",
            "cluster/a/b",
            "file.worker.default[2]/x.conf",
            "cluster/a/b:file.worker.default[2]/x.conf",
        ] {
            assert!(file.matches(pattern), "{pattern}");
        }
        for pattern in ["file.worker.default[1]", "fil", "file.worker", "workspace/a", "cluster/a"] {
            assert!(!file.matches(pattern), "{pattern}");
        }
    }
}
