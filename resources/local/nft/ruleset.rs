//! Our input chain as statements: from rules to statements, and back from statements to rules.
//!
//! Each statement carries a tag that the kernel keeps as the rule's comment. The tag only groups; that a chain is ours is
//! proved by rendering the rules read from it once more and finding exactly the same statements.

use super::{
    Protocol, Rule,
    expression::{Expression, Expression::*, Field, Is, Meta, describe_all},
};
use std::{fmt, net::Ipv4Addr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub tag: String,
    pub expressions: Vec<Expression>,
}

const IPV4: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)`.
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;

/// The whole chain, in order.
pub(crate) fn render(rules: &[Rule]) -> Vec<Statement> {
    let opened = rules.iter().enumerate().flat_map(|(index, rule)| open(index, rule));
    before().into_iter().chain(opened).chain(after()).collect()
}

fn statement(tag: &str, expressions: Vec<Expression>) -> Statement {
    Statement { tag: tag.to_string(), expressions }
}

fn before() -> Vec<Statement> {
    let mut loopback = b"lo".to_vec();
    loopback.resize(16, 0); // the whole name, or "lo" would also match "lo1"
    let state = ESTABLISHED_OR_RELATED.to_ne_bytes().to_vec();
    let zero = vec![0; state.len()];
    vec![
        statement("loopback", vec![Load(Meta::InterfaceIn), Compare(Is::Equal, loopback), Accept]),
        statement("established", vec![LoadState, Mask(state), Compare(Is::NotEqual, zero), Accept]),
        statement("icmp", [is(Meta::Transport, ICMP), vec![Accept]].concat()),
        statement("icmpv6", [is(Meta::Transport, ICMPV6), vec![Accept]].concat()),
    ]
}

fn after() -> Vec<Statement> {
    vec![
        statement("refuse tcp", [is(Meta::Transport, TCP), vec![Reset]].concat()),
        statement("refuse", vec![Unreachable]),
    ]
}

fn is(key: Meta, value: u8) -> Vec<Expression> {
    vec![Load(key), Compare(Is::Equal, vec![value])]
}

/// One statement per source, transport and port range.
fn open(index: usize, rule: &Rule) -> Vec<Statement> {
    let tag = format!("rule {index}");
    let transports = match (&rule.protocol, rule.ports.is_empty()) {
        (Protocol::Any, true) => vec![None],
        (Protocol::Any, false) => vec![Some(TCP), Some(UDP)],
        (Protocol::Tcp, _) => vec![Some(TCP)],
        (Protocol::Udp, _) => vec![Some(UDP)],
    };
    let mut statements = Vec::new();
    for source in each(&rule.sources) {
        for transport in &transports {
            for range in each(&rule.ports) {
                let matched = Match { source, transport: *transport, range };
                statements.push(Statement { tag: tag.clone(), expressions: matched.expressions() });
            }
        }
    }
    statements
}

/// Every item, or `None` once when there is none.
fn each<T: Copy>(items: &[T]) -> Vec<Option<T>> {
    if items.is_empty() { vec![None] } else { items.iter().copied().map(Some).collect() }
}

/// What one statement of a rule lets in.
struct Match {
    source: Option<(Ipv4Addr, u8)>,
    transport: Option<u8>,
    range: Option<(u16, u16)>,
}

impl Match {
    fn expressions(&self) -> Vec<Expression> {
        let mut list = is(Meta::Family, IPV4);
        if let Some((address, prefix)) = self.source {
            let mask = mask(prefix).to_be_bytes().to_vec();
            list.extend([LoadField(Field::Source), Mask(mask), Compare(Is::Equal, address.octets().to_vec())]);
        }
        if let Some(transport) = self.transport {
            list.extend(is(Meta::Transport, transport));
        }
        if let Some((first, last)) = self.range {
            let bound = |is, port: u16| Compare(is, port.to_be_bytes().to_vec());
            list.push(LoadField(Field::Port));
            match first == last {
                true => list.push(bound(Is::Equal, first)),
                false => list.extend([bound(Is::AtLeast, first), bound(Is::AtMost, last)]),
            }
        }
        list.push(Accept);
        list
    }

    /// The inverse of `expressions`; `None` for any list that it does not make.
    fn read(list: &[Expression]) -> Option<Match> {
        let mut rest = list.strip_prefix(is(Meta::Family, IPV4).as_slice())?;
        let mut found = Match { source: None, transport: None, range: None };
        if let [LoadField(Field::Source), Mask(mask), Compare(Is::Equal, address), tail @ ..] = rest {
            let mask = u32::from_be_bytes(mask.as_slice().try_into().ok()?);
            let address: [u8; 4] = address.as_slice().try_into().ok()?;
            found.source = Some((address.into(), u8::try_from(mask.leading_ones()).ok()?));
            rest = tail;
        }
        if let [Load(Meta::Transport), Compare(Is::Equal, transport), tail @ ..] = rest {
            found.transport = transport.first().copied();
            rest = tail;
        }
        let port = |bytes: &[u8]| bytes.try_into().ok().map(u16::from_be_bytes);
        if let [LoadField(Field::Port), Compare(Is::Equal, only), tail @ ..] = rest {
            found.range = Some((port(only)?, port(only)?));
            rest = tail;
        } else if let [LoadField(Field::Port), Compare(_, first), Compare(_, last), tail @ ..] = rest {
            found.range = Some((port(first)?, port(last)?));
            rest = tail;
        }
        (rest == [Accept]).then_some(found)
    }
}

/// The network mask of a prefix length up to 32.
pub(crate) fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The rules that these statements were rendered from, or what is not as we would render it.
pub(crate) fn read(statements: &[Statement]) -> Result<Vec<Rule>, String> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut transports: Vec<Vec<Option<u8>>> = Vec::new();
    for statement in statements {
        let Some(index) = statement.tag.strip_prefix("rule ").and_then(|n| n.parse::<usize>().ok()) else { continue };
        let matched = Match::read(&statement.expressions).filter(|_| index <= rules.len());
        let matched = matched.ok_or_else(|| format!("unexpected rule `{statement}`"))?;
        if index == rules.len() {
            rules.push(Rule { protocol: Protocol::Any, ports: Vec::new(), sources: Vec::new() });
            transports.push(Vec::new());
        }
        note(&mut transports[index], matched.transport);
        matched.source.into_iter().for_each(|source| note(&mut rules[index].sources, source));
        matched.range.into_iter().for_each(|range| note(&mut rules[index].ports, range));
    }
    for (rule, seen) in rules.iter_mut().zip(&transports) {
        rule.protocol = match seen.as_slice() {
            [Some(TCP)] => Protocol::Tcp,
            [Some(UDP)] => Protocol::Udp,
            _ => Protocol::Any,
        };
    }
    compare(&render(&rules), statements).map(|()| rules)
}

fn note<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// Says where the first difference is.
fn compare(ours: &[Statement], found: &[Statement]) -> Result<(), String> {
    for (index, (a, b)) in ours.iter().zip(found).enumerate() {
        if a != b {
            return Err(format!("rule {index} of the chain is `{b}`, not `{a}`"));
        }
    }
    match (ours.get(found.len()), found.get(ours.len())) {
        (Some(missing), _) => Err(format!("rule `{missing}` is missing")),
        (_, Some(added)) => Err(format!("unexpected rule `{added}`")),
        (None, None) => Ok(()),
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_all(&self.expressions, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Protocol, ports: &[(u16, u16)], sources: &[(Ipv4Addr, u8)]) -> Rule {
        Rule { protocol, ports: ports.to_vec(), sources: sources.to_vec() }
    }

    fn examples() -> Vec<Rule> {
        let net = (Ipv4Addr::new(10, 77, 0, 0), 16);
        let host = (Ipv4Addr::new(10, 1, 2, 3), 32);
        vec![
            rule(Protocol::Any, &[], &[]),
            rule(Protocol::Any, &[(53, 53)], &[net]),
            rule(Protocol::Tcp, &[], &[net, host]),
            rule(Protocol::Tcp, &[(22, 22), (8000, 9000)], &[host, net]),
            rule(Protocol::Udp, &[(0, 65535)], &[]),
        ]
    }

    #[test]
    fn rules_read_back_from_their_statements() {
        let rules = examples();
        assert_eq!(read(&render(&rules)), Ok(rules));
        assert_eq!(read(&render(&[])), Ok(vec![]));
    }

    #[test]
    fn a_statement_reads_as_people_write_it() {
        let shown: Vec<String> = render(&examples()[3..4]).iter().map(Statement::to_string).collect();
        assert_eq!(
            shown,
            [
                "iifname lo accept",
                "ct state & 0x06000000 != 0x00000000 accept",
                "l4proto icmp accept",
                "l4proto icmpv6 accept",
                "nfproto ipv4 ip saddr & 255.255.255.255 10.1.2.3 l4proto tcp dport 22 accept",
                "nfproto ipv4 ip saddr & 255.255.255.255 10.1.2.3 l4proto tcp dport >= 8000 <= 9000 accept",
                "nfproto ipv4 ip saddr & 255.255.0.0 10.77.0.0 l4proto tcp dport 22 accept",
                "nfproto ipv4 ip saddr & 255.255.0.0 10.77.0.0 l4proto tcp dport >= 8000 <= 9000 accept",
                "l4proto tcp reject with tcp reset",
                "reject",
            ]
        );
    }

    #[test]
    fn any_statement_removed_repeated_or_moved_is_noticed() {
        let rules = examples();
        let statements = render(&rules);
        for index in 0..statements.len() {
            let mut removed = statements.clone();
            let taken = removed.remove(index);
            // Without one of its sources or ranges a rule can still be a rule of ours, but never the same one.
            assert_ne!(read(&removed), Ok(rules.clone()), "without {taken}");
            let mut repeated = statements.clone();
            repeated.insert(index, taken.clone());
            assert!(read(&repeated).is_err(), "{taken} twice");
            let mut moved = removed;
            moved.insert(if index == 0 { statements.len() - 1 } else { 0 }, taken.clone());
            assert!(read(&moved).is_err(), "{taken} moved");
        }
    }

    #[test]
    fn any_expression_changed_is_noticed() {
        let rules = examples();
        let statements = render(&rules);
        for (i, statement) in statements.iter().enumerate() {
            for j in 0..statement.expressions.len() {
                let mut changed = statements.clone();
                changed[i].expressions[j] = Other("counter".into());
                assert!(read(&changed).is_err());
                changed = statements.clone();
                changed[i].expressions.remove(j);
                assert_ne!(read(&changed), Ok(rules.clone()), "{statement} without part {j}");
            }
        }
    }
}
