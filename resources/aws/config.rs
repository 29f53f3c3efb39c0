//! The `provider` block of a workspace, typed. Its shape was checked against the schema already; here its values are.

use crate::{
    provider::{Account, Keys},
    rules::{Rule, Source},
};
use cloudtik_core::{
    cidr::Cidr,
    diagnostic::Diagnostic,
    origin::{Origin, Tree, TreeValue},
};

/// The Python tool's default. Source: its `aws/defaults`.
const REGION: &str = "us-west-2";

/// How a workspace's network meets the one that the user is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own; the head has a public address.
    Own,
    /// That of the machine that this runs on.
    Working,
    /// Its own, joined to that of the machine that this runs on.
    Peered,
}

#[derive(Clone, Debug)]
pub(crate) struct WorkspaceConfig {
    pub account: Account,
    pub network: Network,
    /// With [`Network::Peered`]: let the other network in, and on which ports.
    pub peer_ports: Option<Ports>,
    pub bucket: bool,
    pub group_name: Option<String>,
    /// Rules beyond those of every workspace, with what each is for.
    pub rules: Vec<(Rule, &'static str)>,
}

pub(crate) type Ports = (i32, i32);

pub(crate) const SSH: Ports = (22, 22);

pub(crate) fn account(provider: &Tree) -> Account {
    let text = |path: &[&str]| provider.at(path).and_then(Tree::as_text).map(String::from);
    let either =
        |name: &str| text(&["credentials", "aws_credentials", name]).or_else(|| text(&["aws_credentials", name]));
    let keys = either("aws_access_key_id").zip(either("aws_secret_access_key"));
    Account {
        region: text(&["region"]).unwrap_or_else(|| REGION.into()),
        endpoint: text(&["endpoint"]),
        keys: keys.map(|(id, secret)| Keys { id, secret, token: either("aws_session_token") }),
    }
}

pub(crate) fn network(provider: &Tree) -> Network {
    let internal = flag(provider, "use_internal_ips", false);
    match (internal, flag(provider, "use_working_vpc", internal)) {
        (false, _) => Network::Own,
        (true, true) => Network::Working,
        (true, false) => Network::Peered,
    }
}

pub(crate) fn flag(provider: &Tree, name: &str, default: bool) -> bool {
    match provider.get(name).map(|tree| &tree.value) {
        Some(TreeValue::Bool(value)) => *value,
        _ => default,
    }
}

impl WorkspaceConfig {
    pub fn read(provider: &Tree) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        for source in items(provider.at(&["allowed_ssh_sources"])) {
            match cidr(source) {
                Some(source) => rules.push((ssh_from(source), "allowed_ssh_sources")),
                None => problems.push(wrong(&source.origin, "not a network", "write a network like `203.0.113.0/24`")),
            }
        }
        for permission in items(provider.at(&["security_group", "IpPermissions"])) {
            match permissions(permission) {
                Ok(more) => rules.extend(more.into_iter().map(|rule| (rule, "security_group"))),
                Err(problem) => problems.push(*problem),
            }
        }
        let network = network(provider);
        let peer = network == Network::Peered && flag(provider, "peering_firewall_allow_working_subnet", true);
        let ssh_only = flag(provider, "peering_firewall_allow_ssh_only", true);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(WorkspaceConfig {
            account: account(provider),
            network,
            peer_ports: peer.then_some(if ssh_only { SSH } else { (0, 65_535) }),
            bucket: flag(provider, "managed_cloud_storage", true),
            group_name: provider.at(&["security_group", "GroupName"]).and_then(Tree::as_text).map(String::from),
            rules,
        })
    }
}

/// A network's text as the service would give it back: host bits zero.
fn cidr(tree: &Tree) -> Option<String> {
    let text = tree.as_text()?;
    match text.parse::<Cidr>() {
        Ok(cidr) => Some(cidr.to_string()),
        Err(_) => text.contains(':').then(|| if text.contains('/') { text.into() } else { format!("{text}/128") }),
    }
}

fn ssh_from(source: String) -> Rule {
    let source = if source.contains(':') { Source::V6(source) } else { Source::V4(source) };
    Rule { protocol: "tcp".into(), ports: Some(SSH), source }
}

fn items(tree: Option<&Tree>) -> Vec<&Tree> {
    match tree.map(|tree| &tree.value) {
        Some(TreeValue::List(items)) => items.iter().map(|item| &**item).collect(),
        _ => Vec::new(),
    }
}

fn wrong(origin: &Origin, summary: &str, hint: &str) -> Diagnostic {
    Diagnostic::error("invalid-value", summary).at(origin).hint(hint)
}

/// Keys of one permission in EC2's form, and of its sources.
const PERMISSION: [&str; 7] =
    ["IpProtocol", "FromPort", "ToPort", "IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds"];

/// The rules of one entry of `IpPermissions`: one for each source.
/// Source: EC2 API reference, `IpPermission` (read 2026-11-25).
fn permissions(tree: &Tree) -> Result<Vec<Rule>, Box<Diagnostic>> {
    if let Some(entry) = tree.entries().iter().find(|e| !PERMISSION.contains(&&*e.key)) {
        let problem = wrong(&entry.key_origin, "unknown key of a permission", "use the keys of EC2's IpPermission");
        return Err(Box::new(problem.detail(format!("`{}`", entry.key))));
    }
    let port = |name: &str| match tree.get(name).map(|tree| &tree.value) {
        Some(TreeValue::Int(port)) => i32::try_from(*port).ok(),
        _ => None,
    };
    let protocol = match tree.get("IpProtocol").map(|tree| &tree.value) {
        None | Some(TreeValue::Null) => "all".to_owned(),
        Some(TreeValue::Int(-1)) => "all".into(),
        Some(TreeValue::Int(number)) => by_number(&number.to_string()),
        Some(TreeValue::Text(text)) if &**text == "-1" => "all".into(),
        Some(TreeValue::Text(text)) => by_number(&text.to_lowercase()),
        Some(_) => return Err(Box::new(wrong(&tree.origin, "unknown protocol", "write `tcp`, `udp`, `icmp` or -1"))),
    };
    let ports = match protocol.as_str() {
        "tcp" | "udp" | "icmp" | "icmpv6" => match (port("FromPort"), port("ToPort")) {
            (Some(from), Some(to)) => Some((from, to)),
            (None, None) => None,
            _ => {
                let hint = "give both FromPort and ToPort";
                return Err(Box::new(wrong(&tree.origin, "half a range of ports", hint)));
            }
        },
        // The service ignores ports of other protocols.
        _ => None,
    };
    let list = |list: &str, key: &str| -> Vec<String> {
        let items = items(tree.at(&[list])).into_iter();
        items
            .filter_map(|item| item.at(&[key]))
            .filter_map(|t| cidr(t).or_else(|| t.as_text().map(String::from)))
            .collect()
    };
    let sources: Vec<Source> = (list("IpRanges", "CidrIp").into_iter().map(Source::V4))
        .chain(list("Ipv6Ranges", "CidrIpv6").into_iter().map(Source::V6))
        .chain(list("UserIdGroupPairs", "GroupId").into_iter().map(Source::Group))
        .chain(list("PrefixListIds", "PrefixListId").into_iter().map(Source::PrefixList))
        .collect();
    if sources.is_empty() {
        let hint = "give IpRanges, Ipv6Ranges, UserIdGroupPairs or PrefixListIds";
        return Err(Box::new(wrong(&tree.origin, "a permission without a source", hint)));
    }
    Ok(sources.into_iter().map(|source| Rule { protocol: protocol.clone(), ports, source }).collect())
}

fn by_number(protocol: &str) -> String {
    match protocol {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        other => other,
    }
    .into()
}
