//! The firewall of one network namespace: what may come in.
//!
//! Speaks nf_tables over netlink itself: no program, no library. All calls block, act on the network namespace of the
//! *calling thread*, and touch one table, `inet cloudtik` (only [`remove_foreign`] touches others). The table's chain
//! `input` accepts what comes from the node itself, answers to what the node asked for, and ICMP; then what the rules
//! open, in their order; and refuses everything else at once (TCP by a reset, the rest by "port unreachable"), so that a
//! closed port is seen as closed and nobody waits for a timeout. Rules open IPv4 only; nothing new comes in by IPv6.
//!
//! Invariant: the table changes in one transaction. There is no instant in which a packet meets no rules or half of them.

mod expression;
mod ruleset;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;

use ruleset::Statement;
use socket::{ANY_FAMILY, Batch, INET, Socket, kind};
use std::{io, net::Ipv4Addr};
use wire::{Attrs, find, number, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Without ports: every protocol. With ports: TCP and UDP.
    Any,
    Tcp,
    Udp,
}

/// Lets in what matches: one of `sources` (any when empty) to one of `ports` (inclusive ranges, all when empty).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub protocol: Protocol,
    pub ports: Vec<(u16, u16)>,
    pub sources: Vec<(Ipv4Addr, u8)>,
}

/// What filters incoming packets in a namespace now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// No table of ours.
    Absent,
    /// Exactly what [`set_input`] makes of these rules, which are in [`canonical`] form, and nothing else.
    Ours(Vec<Rule>),
    /// Anything else; a fragment that says what was found.
    Altered(String),
}

const TABLE: &str = "cloudtik";
const CHAIN: &str = "input";

/// Numbers of the hooks that a packet passes before or at input (`linux/netfilter.h`); 5 is ingress in family inet.
const HOOK_PREROUTING: u32 = 0;
const HOOK_INPUT: u32 = 1;
const HOOK_INGRESS: u32 = 5;
const PRIORITY_FILTER: u32 = 0;
const POLICY_ACCEPT: u32 = 1;

/// Replaces the firewall by these rules, in one transaction.
///
/// Errors: `InvalidInput` for an empty range, a prefix above 32, or more rules than one transaction holds (some hundred
/// combinations of source and port range); `PermissionDenied`; any other failure names the step the kernel refused.
pub fn set_input(rules: &[Rule]) -> io::Result<()> {
    check(rules)?;
    let mut batch = Batch::default();
    make_table(&mut batch, TABLE); // so that there is one to delete
    delete_table(&mut batch, TABLE);
    make_table(&mut batch, TABLE);
    fill(&mut batch, TABLE, &ruleset::render(&canonical(rules)));
    Socket::open()?.commit(batch)
}

/// Reads the firewall back and compares it part by part with what we would have made.
pub fn read_input() -> io::Result<Input> {
    let socket = Socket::open()?;
    let Some(flags) = our_table(&socket)? else { return Ok(Input::Absent) };
    let chains = chains(&socket)?;
    Ok(judge(flags, &chains, || statements(&socket))?.map_or_else(Input::Altered, Input::Ours))
}

/// Deletes every chain that filters incoming packets and is not ours; returns their names.
///
/// Only for a namespace that we made ourselves and whose whole firewall we answer for: after it and [`set_input`],
/// [`read_input`] says `Ours` whatever was there before. Must never run in the machine's own namespace.
pub fn remove_foreign() -> io::Result<Vec<String>> {
    let socket = Socket::open()?;
    let foreign: Vec<Chain> = chains(&socket)?.into_iter().filter(Chain::is_foreign).collect();
    if foreign.is_empty() {
        return Ok(Vec::new());
    }
    let mut batch = Batch::default();
    for chain in &foreign {
        let of = || Attrs::default().text(1, &chain.table);
        batch.delete(format!("empty {chain}"), kind::DEL_RULE, chain.family, of().text(2, &chain.name));
        batch.delete(format!("delete {chain}"), kind::DEL_CHAIN, chain.family, of().text(3, &chain.name));
    }
    socket.commit(batch)?;
    Ok(foreign.iter().map(Chain::to_string).collect())
}

/// The form in which rules are read back: host bits cleared, repeats dropped, a source of everything is no source.
pub fn canonical(rules: &[Rule]) -> Vec<Rule> {
    rules.iter().map(canonical_rule).collect()
}

fn canonical_rule(rule: &Rule) -> Rule {
    let mut tidy = Rule { protocol: rule.protocol, ports: Vec::new(), sources: Vec::new() };
    for range in &rule.ports {
        if !tidy.ports.contains(range) {
            tidy.ports.push(*range);
        }
    }
    if rule.sources.iter().all(|(_, prefix)| *prefix > 0) {
        for (address, prefix) in &rule.sources {
            let network = (Ipv4Addr::from(address.to_bits() & ruleset::mask(*prefix)), *prefix);
            if !tidy.sources.contains(&network) {
                tidy.sources.push(network);
            }
        }
    }
    tidy
}

fn check(rules: &[Rule]) -> io::Result<()> {
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    for rule in rules {
        if let Some((first, last)) = rule.ports.iter().find(|(first, last)| first > last) {
            return wrong(format!("port range {first}-{last} is empty"));
        }
        if let Some((address, prefix)) = rule.sources.iter().find(|(_, prefix)| *prefix > 32) {
            return wrong(format!("{address}/{prefix} is not a network"));
        }
    }
    Ok(())
}

fn make_table(batch: &mut Batch, table: &str) {
    batch.make(format!("make table inet {table}"), kind::NEW_TABLE, Attrs::default().text(1, table));
}

fn delete_table(batch: &mut Batch, table: &str) {
    let step = format!("delete table inet {table}");
    batch.delete(step, kind::DEL_TABLE, INET, Attrs::default().text(1, table));
}

/// Adds our chain and its statements to a table that is new.
fn fill(batch: &mut Batch, table: &str, statements: &[Statement]) {
    let hook = Attrs::default().be32(1, HOOK_INPUT).be32(2, PRIORITY_FILTER);
    let chain = Attrs::default().text(1, table).text(3, CHAIN).nest(4, hook).be32(5, POLICY_ACCEPT);
    batch.make(format!("make chain {CHAIN} of {table}"), kind::NEW_CHAIN, chain.text(7, "filter"));
    for statement in statements {
        let rule = Attrs::default().text(1, table).text(2, CHAIN);
        let rule = rule.nest(4, expression::write(&statement.expressions)).bytes(7, &comment(&statement.tag));
        batch.make(format!("add rule `{statement}`"), kind::NEW_RULE, rule);
    }
}

/// A rule's user data as the `nft` program writes comments: kind 0, length, text, NUL.
fn comment(tag: &str) -> Vec<u8> {
    let mut bytes = vec![0, tag.len() as u8 + 1];
    bytes.extend_from_slice(tag.as_bytes());
    bytes.push(0);
    bytes
}

fn read_comment(data: &[u8]) -> String {
    match data {
        [0, length, rest @ ..] if usize::from(*length) == rest.len() => text(rest),
        _ => String::new(),
    }
}

/// The flags of our table, if it is there.
fn our_table(socket: &Socket) -> io::Result<Option<u32>> {
    let tables = socket.dump("list tables", kind::GET_TABLE, INET, Attrs::default())?;
    let ours = tables.iter().find(|(_, attrs)| find(attrs, 1).map(text).as_deref() == Some(TABLE));
    Ok(ours.map(|(_, attrs)| find(attrs, 2).and_then(number).unwrap_or(0)))
}

#[derive(Debug)]
struct Chain {
    family: u8,
    table: String,
    name: String,
    /// What makes it a base chain.
    base: Option<Base>,
}

/// Where in a packet's way a chain sits.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    class: String,
    hook: u32,
    priority: u32,
    policy: u32,
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Base { class, hook, priority, policy } = self;
        let policy = if *policy == POLICY_ACCEPT { "accept" } else { "drop" };
        write!(f, "type {class} hook {hook} priority {} policy {policy}", priority.cast_signed())
    }
}

impl Chain {
    fn read(family: u8, attrs: &[u8]) -> Chain {
        let part = |kind| find(attrs, kind);
        let base = part(4).map(|hook| {
            let of_hook = |kind| find(hook, kind).and_then(number).unwrap_or(u32::MAX);
            Base {
                class: part(7).map(text).unwrap_or_default(),
                hook: of_hook(1),
                priority: of_hook(2),
                policy: part(5).and_then(number).unwrap_or(POLICY_ACCEPT),
            }
        });
        let name = |kind| part(kind).map(text).unwrap_or_default();
        Chain { family, table: name(1), name: name(3), base }
    }

    fn in_our_table(&self) -> bool {
        self.family == INET && self.table == TABLE
    }

    /// Whether it can refuse incoming packets and is not in our table. Address translation is no filter.
    fn is_foreign(&self) -> bool {
        let Some(Base { hook, class, .. }) = &self.base else { return false };
        const IPV4: u8 = 2;
        const IPV6: u8 = 10;
        const NETDEV: u8 = 5;
        let on_the_way_in = match self.family {
            INET => matches!(*hook, HOOK_PREROUTING | HOOK_INPUT | HOOK_INGRESS),
            IPV4 | IPV6 => matches!(*hook, HOOK_PREROUTING | HOOK_INPUT),
            NETDEV => *hook == 0, // ingress; 1 is egress
            _ => false,
        };
        on_the_way_in && class == "filter" && !self.in_our_table()
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            INET => "inet",
            2 => "ip",
            10 => "ip6",
            5 => "netdev",
            _ => "other",
        };
        write!(f, "chain `{}` of table `{family} {}`", self.name, self.table)
    }
}

fn chains(socket: &Socket) -> io::Result<Vec<Chain>> {
    let found = socket.dump("list chains", kind::GET_CHAIN, ANY_FAMILY, Attrs::default())?;
    Ok(found.iter().map(|(family, attrs)| Chain::read(*family, attrs)).collect())
}

/// All rules of our table, in the order in which packets meet them.
fn statements(socket: &Socket) -> io::Result<Vec<Statement>> {
    let found = socket.dump("list rules", kind::GET_RULE, INET, Attrs::default().text(1, TABLE))?;
    let ours = found.iter().filter(|(_, attrs)| find(attrs, 1).map(text).as_deref() == Some(TABLE));
    Ok(ours
        .map(|(_, attrs)| Statement {
            tag: find(attrs, 7).map(read_comment).unwrap_or_default(),
            expressions: expression::read(find(attrs, 4).unwrap_or_default()),
        })
        .collect())
}

/// The rules, or what is not ours. Reads the rules only when everything around them is right.
fn judge(
    flags: u32,
    chains: &[Chain],
    rules: impl FnOnce() -> io::Result<Vec<Statement>>,
) -> io::Result<Result<Vec<Rule>, String>> {
    if flags != 0 {
        return Ok(Err(format!("table `inet {TABLE}` has flags {flags:#x} (1 is dormant)")));
    }
    if let Some(foreign) = chains.iter().find(|c| c.is_foreign()) {
        return Ok(Err(format!("{foreign} filters incoming packets too")));
    }
    let ours: Vec<&Chain> = chains.iter().filter(|c| c.in_our_table()).collect();
    let [chain] = ours.as_slice() else {
        let names: Vec<&str> = ours.iter().map(|c| c.name.as_str()).collect();
        return Ok(Err(format!("table `inet {TABLE}` has chains [{}], not [{CHAIN}]", names.join(", "))));
    };
    let class = "filter".to_string();
    let expected = Base { class, hook: HOOK_INPUT, priority: PRIORITY_FILTER, policy: POLICY_ACCEPT };
    match &chain.base {
        Some(base) if chain.name == CHAIN && *base == expected => {}
        Some(base) => return Ok(Err(format!("{chain} is `{base}`, not `{expected}`"))),
        None => return Ok(Err(format!("{chain} is on no hook"))),
    }
    Ok(ruleset::read(&rules()?))
}
