//! What the provider needs to know of its surroundings, and its own keys of documents, typed.

use crate::{launcher::Helper, world::NodeModel, world::RuleRecord};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::{
    diagnostic::Diagnostic,
    document::{Cluster, NodeType},
    origin::{Tree, TreeValue},
};
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Everything that exists locally is below this folder.
    pub root: PathBuf,
    /// Runtimes' artifacts; nodes see it at the same path.
    pub cache: PathBuf,
    /// The program that serves hidden subcommands: this one.
    pub helper: PathBuf,
    /// The name of the user that commands on nodes run as.
    pub user: String,
}

impl LocalConfig {
    /// With this very program as the helper, and this very user.
    pub fn new(root: PathBuf, cache: PathBuf) -> std::io::Result<Self> {
        let helper = std::env::current_exe()?;
        let user = std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| {
            if rustix::process::geteuid().is_root() { "root".into() } else { rustix::process::geteuid().to_string() }
        });
        Ok(LocalConfig { root, cache, helper, user })
    }

    pub(crate) fn helper(&self) -> Helper {
        Helper { program: self.helper.clone() }
    }
}

/// `provider` of a workspace document.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkspaceConfig {
    /// `None` is `auto`.
    pub model: Option<NodeModel>,
    pub cidr: Cidr,
    pub bucket: bool,
    pub allow_internal: bool,
    pub ssh_sources: Vec<Cidr>,
    pub rules: Vec<RuleRecord>,
}

/// Networks are never routed beyond the workspace, so all workspaces may have the same.
const CIDR: &str = "10.77.0.0/16";
/// A subnet takes 12 bits for its nodes, and two must fit.
const WIDEST: std::ops::RangeInclusive<u8> = 8..=27;

const DEFAULT_CPUS: u32 = 1;
const HEAD_MEMORY_MIB: u64 = 2048;
const WORKER_MEMORY_MIB: u64 = 1024;

/// Reads what a tree says, gathering every problem.
struct Reader {
    problems: Vec<Diagnostic>,
}

impl Reader {
    fn wrong(&mut self, tree: &Tree, summary: &str, detail: impl Into<String>, hint: &str) {
        let problem = Diagnostic::error("invalid-value", summary).at(&tree.origin).detail(detail).hint(hint);
        self.problems.push(problem);
    }

    fn flag(&mut self, tree: Option<&Tree>, default: bool) -> bool {
        match tree.map(|t| (t, &t.value)) {
            None | Some((_, TreeValue::Null)) => default,
            Some((_, TreeValue::Bool(value))) => *value,
            Some((tree, _)) => {
                self.wrong(tree, "not true or false", written(tree), "write `true` or `false`");
                default
            }
        }
    }

    fn cidr(&mut self, tree: &Tree) -> Option<Cidr> {
        let read = tree.as_text().and_then(|text| text.parse().ok());
        if read.is_none() {
            self.wrong(tree, "not an IPv4 network", written(tree), "write a network like `10.77.0.0/16`");
        }
        read
    }

    fn cidrs(&mut self, tree: Option<&Tree>) -> Vec<Cidr> {
        items(tree).into_iter().filter_map(|item| self.cidr(item)).collect()
    }

    fn ports(&mut self, tree: &Tree) -> Option<(u16, u16)> {
        let text = written(tree);
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let range = first.trim().parse().ok().zip(last.trim().parse().ok()).filter(|(a, b)| a <= b && *a > 0);
        if range.is_none() {
            self.wrong(tree, "not a port or a range of ports", &text, "write `8080` or `8000-8010`");
        }
        range
    }

    fn rule(&mut self, tree: &Tree) -> Option<RuleRecord> {
        let protocol = match tree.get("protocol") {
            None => "tcp".to_owned(),
            Some(tree) => match tree.as_text().map(str::to_ascii_lowercase) {
                Some(p) if matches!(p.as_str(), "tcp" | "udp" | "any") => p,
                _ => {
                    self.wrong(tree, "unknown protocol", written(tree), "write `tcp`, `udp` or `any`");
                    return None;
                }
            },
        };
        let ports = items(tree.get("ports").map(|t| &**t)).into_iter().filter_map(|t| self.ports(t)).collect();
        Some(RuleRecord { protocol, ports, sources: self.cidrs(tree.get("sources").map(|t| &**t)) })
    }

    fn model(&mut self, tree: Option<&Tree>) -> Option<NodeModel> {
        let tree = tree?;
        match tree.as_text() {
            Some("auto") => None,
            text => {
                let model = text.and_then(|t| t.parse().ok());
                if model.is_none() {
                    let hint = "write `auto`, `namespaces`, `namespaces-root` or `loopback`";
                    self.wrong(tree, "unknown node model", written(tree), hint);
                }
                model
            }
        }
    }
}

fn items(tree: Option<&Tree>) -> Vec<&Tree> {
    match tree.map(|t| (t, &t.value)) {
        None | Some((_, TreeValue::Null)) => Vec::new(),
        Some((_, TreeValue::List(items))) => items.iter().map(|t| &**t).collect(),
        Some((tree, _)) => vec![tree],
    }
}

fn written(tree: &Tree) -> String {
    match (&tree.raw, &tree.value) {
        (_, TreeValue::Text(text)) => text.to_string(),
        (Some(raw), _) => raw.to_string(),
        (None, _) => tree.to_json().to_string(),
    }
}

impl WorkspaceConfig {
    pub fn read(provider: &Tree) -> Result<Self, Vec<Diagnostic>> {
        let mut reader = Reader { problems: Vec::new() };
        let at = |path: &[&str]| provider.at(path);
        let cidr = match at(&["cidr"]) {
            Some(tree) => reader.cidr(tree).filter(|cidr| {
                let fits = WIDEST.contains(&cidr.prefix);
                if !fits {
                    let detail = format!("`{cidr}` cannot hold a public and a private subnet");
                    reader.wrong(tree, "network of an unusable size", detail, "take a prefix from /8 to /27");
                }
                fits
            }),
            None => None,
        };
        let config = WorkspaceConfig {
            model: reader.model(at(&["node_model"])),
            cidr: cidr.unwrap_or_else(|| CIDR.parse().expect("the default is a network")),
            bucket: reader.flag(at(&["managed_cloud_storage"]), true),
            allow_internal: reader.flag(at(&["allow_internal"]), true),
            ssh_sources: reader.cidrs(at(&["allowed_ssh_sources"])),
            rules: items(at(&["firewall_rules"])).into_iter().filter_map(|t| reader.rule(t)).collect(),
        };
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }
}

/// CPUs and MiB of a node type: its own `resources`, else what its `instance_type` says, else the role's default.
pub fn size(node: &NodeType, cluster: &Cluster) -> Result<(u32, u64), Box<Diagnostic>> {
    let mut reader = Reader { problems: Vec::new() };
    let named = node.config.get("instance_type").and_then(|t| t.as_text());
    let shape = named.and_then(|name| cluster.provider.at(&["instance_types", name]));
    let key = |name: &str| {
        let own = node.config.get(name).map(|t| &**t);
        own.or_else(|| shape.and_then(|s| s.get(name)).map(|t| &**t))
    };
    let cpus = node.cpus.or_else(|| count(&mut reader, key("CPU").or_else(|| key("cpus"))));
    let memory = node.memory_mib.or_else(|| key("memory").and_then(|t| mebibytes(&mut reader, t)));
    let head = node.name == cluster.head.name;
    match reader.problems.pop() {
        Some(problem) => Err(Box::new(problem)),
        None => {
            Ok((cpus.unwrap_or(DEFAULT_CPUS), memory.unwrap_or(if head { HEAD_MEMORY_MIB } else { WORKER_MEMORY_MIB })))
        }
    }
}

fn count(reader: &mut Reader, tree: Option<&Tree>) -> Option<u32> {
    let tree = tree?;
    let read = match tree.value {
        TreeValue::Int(n) => u32::try_from(n).ok().filter(|n| *n > 0),
        _ => None,
    };
    if read.is_none() {
        reader.wrong(tree, "not a number of CPUs", written(tree), "write a whole number from 1");
    }
    read
}

/// `4g`, `512Mi`, or a number of bytes.
fn mebibytes(reader: &mut Reader, tree: &Tree) -> Option<u64> {
    let text = written(tree).to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: Option<u64> = text[..digits].parse().ok();
    let mib = match text[digits..].trim_end_matches('b').trim_end_matches('i') {
        "g" => number.and_then(|n| n.checked_mul(1024)),
        "m" => number,
        "" => number.map(|n| n >> 20),
        _ => None,
    };
    let mib = mib.filter(|mib| *mib > 0);
    if mib.is_none() {
        reader.wrong(tree, "not an amount of memory", written(tree), "write `4g`, `512m` or a number of bytes");
    }
    mib
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudtik_core::origin::{Entry, Origin};
    use std::sync::Arc;

    /// A document's part, each value placed at its own line.
    fn tree(json: serde_json::Value) -> Tree {
        fn place(json: serde_json::Value, line: &mut u32) -> Tree {
            *line += 1;
            let origin = Origin { file: "w.yaml".into(), line: *line, column: 1, length: 1 };
            let value = match json {
                serde_json::Value::Null => TreeValue::Null,
                serde_json::Value::Bool(b) => TreeValue::Bool(b),
                serde_json::Value::Number(n) => TreeValue::Int(n.as_i64().unwrap()),
                serde_json::Value::String(text) => TreeValue::Text(text.into()),
                serde_json::Value::Array(all) => {
                    TreeValue::List(all.into_iter().map(|v| Arc::new(place(v, line))).collect())
                }
                serde_json::Value::Object(all) => TreeValue::Map(
                    all.into_iter()
                        .map(|(key, v)| Entry {
                            key: key.into(),
                            key_origin: origin.clone(),
                            value: Arc::new(place(v, line)),
                        })
                        .collect(),
                ),
            };
            Tree { value, origin, raw: None }
        }
        place(json, &mut 0)
    }

    #[test]
    fn an_empty_block_is_a_closed_network_with_everything_in_it() {
        let config = WorkspaceConfig::read(&tree(serde_json::json!({"type": "local"}))).unwrap();
        assert_eq!(config.cidr.to_string(), CIDR);
        assert_eq!((config.model, config.bucket, config.allow_internal), (None, true, true));
        assert!(config.rules.is_empty() && config.ssh_sources.is_empty());
    }

    #[test]
    fn rules_are_read_with_ranges_and_sources() {
        let provider = tree(serde_json::json!({
            "node_model": "loopback",
            "firewall_rules": [{"ports": [8080, "9000-9010"], "sources": ["10.1.2.3/8"]}, {"protocol": "UDP"}],
        }));
        let config = WorkspaceConfig::read(&provider).unwrap();
        assert_eq!(config.model, Some(NodeModel::Loopback));
        let rule = |protocol: &str, ports, sources| RuleRecord { protocol: protocol.into(), ports, sources };
        let ten = "10.0.0.0/8".parse().unwrap();
        let expected = [rule("tcp", vec![(8080, 8080), (9000, 9010)], vec![ten]), rule("udp", vec![], vec![])];
        assert_eq!(config.rules, expected);
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let provider = tree(serde_json::json!({
            "allowed_ssh_sources": ["10.0.0.0/99"],
            "allow_internal": "yes",
            "cidr": "10.0.0.0/30",
            "firewall_rules": [{"ports": ["90-80"]}, {"protocol": "gre"}],
            "node_model": "docker",
        }));
        let problems = WorkspaceConfig::read(&provider).unwrap_err();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        assert!(problems.iter().all(|p| p.origin.is_some() && !p.hints.is_empty() && !p.detail.is_empty()));
    }

    #[test]
    fn memory_is_an_amount_with_a_unit_or_bytes() {
        let read = |json| {
            let mut reader = Reader { problems: Vec::new() };
            let mib = mebibytes(&mut reader, &tree(json));
            (mib, reader.problems.len())
        };
        assert_eq!(read("4g".into()), (Some(4096), 0));
        assert_eq!(read("512Mi".into()), (Some(512), 0));
        assert_eq!(read("2GiB".into()), (Some(2048), 0));
        assert_eq!(read(1_073_741_824.into()), (Some(1024), 0));
        for wrong in ["4", "x", "4t", "", "99999999999999999999g"] {
            assert_eq!(read(wrong.into()), (None, 1), "{wrong}");
        }
    }
}
