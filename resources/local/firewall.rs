//! A node's firewall: rules as recorded, as the kernel takes them, and whether what is there is what we made.

use crate::{
    nft::{self, Input, Protocol, Rule},
    world::RuleRecord,
};
use std::io;

/// Makes these the only rules of the node's network namespace that the calling thread is in.
pub fn apply(rules: &[RuleRecord]) -> io::Result<()> {
    let rules = all(rules)?;
    nft::remove_foreign()?;
    nft::set_input(&rules)
}

/// How the rules that are there differ from these, if they do.
pub fn deviation(rules: &[RuleRecord]) -> io::Result<Option<String>> {
    let wanted = nft::canonical(&all(rules)?);
    Ok(match nft::read_input()? {
        Input::Ours(found) if found == wanted => None,
        Input::Ours(_) => Some("other rules than declared".into()),
        Input::Absent => Some("no rules at all".into()),
        Input::Altered(what) => Some(what),
    })
}

fn all(records: &[RuleRecord]) -> io::Result<Vec<Rule>> {
    records.iter().map(rule).collect()
}

fn rule(record: &RuleRecord) -> io::Result<Rule> {
    let protocol = match record.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "any" => Protocol::Any,
        other => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no protocol `{other}`"))),
    };
    let sources = record.sources.iter().map(|s| (s.base, s.prefix)).collect();
    Ok(Rule { protocol, ports: record.ports.clone(), sources })
}
