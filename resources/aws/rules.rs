//! Rules of security groups as text: `tcp 22 from 10.0.0.0/16`, `tcp 8080-8090 from sg-0a1b2c`, `all from self`.
//!
//! One rule has one source; equal rules have equal texts, so that sets of them can be compared. A source may be a word for
//! something that only exists later: `self` (the group that has the rule), `vpc` and `peer` (the ranges of its network and
//! of the one beside it). Words are never sent.

use std::{collections::BTreeMap, fmt, str::FromStr};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `all`, or a protocol's number.
    pub protocol: String,
    /// Ports, both ends included; for ICMP type and code. `None`: all.
    pub ports: Option<(i32, i32)>,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    V4(String),
    V6(String),
    Group(String),
    PrefixList(String),
    /// `self`, `vpc` or `peer`.
    Word(String),
}

/// What words stand for.
pub type Words = BTreeMap<&'static str, String>;

const WORDS: [&str; 3] = ["self", "vpc", "peer"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule like `tcp 22 from 10.0.0.0/16`")]
pub struct NotARule(String);

impl Rule {
    /// With the word replaced by what it stands for; as it is where that is not known.
    pub fn sent(mut self, words: &Words) -> Self {
        if let Source::Word(word) = &self.source
            && let Some(meaning) = words.get(word.as_str())
        {
            self.source = if word == "self" { Source::Group(meaning.clone()) } else { Source::V4(meaning.clone()) };
        }
        self
    }
}

/// [`Rule::sent`] on texts; a text that is no rule stays as it is.
pub fn sent(rule: &str, words: &Words) -> String {
    rule.parse().map_or_else(|_| rule.to_owned(), |rule: Rule| rule.sent(words).to_string())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        match self.ports {
            None => {}
            Some((from, to)) if from == to => write!(f, " {from}")?,
            Some((from, to)) => write!(f, " {from}-{to}")?,
        }
        match &self.source {
            Source::V4(source)
            | Source::V6(source)
            | Source::Group(source)
            | Source::PrefixList(source)
            | Source::Word(source) => write!(f, " from {source}"),
        }
    }
}

impl FromStr for Rule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotARule(text.into());
        let (what, source) = text.split_once(" from ").ok_or_else(wrong)?;
        let (protocol, ports) = what.split_once(' ').map_or((what, None), |(p, ports)| (p, Some(ports)));
        let ports = match ports {
            None => None,
            Some(ports) => {
                // A leading minus is part of ICMP's "all codes".
                let (from, to) = match ports[1..].find('-') {
                    Some(dash) => (&ports[..=dash], &ports[dash + 2..]),
                    None => (ports, ports),
                };
                Some((from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?))
            }
        };
        let source = match source {
            word if WORDS.contains(&word) => Source::Word(word.into()),
            group if group.starts_with("sg-") => Source::Group(group.into()),
            list if list.starts_with("pl-") => Source::PrefixList(list.into()),
            v6 if v6.contains(':') => Source::V6(v6.into()),
            v4 if v4.contains('/') => Source::V4(v4.into()),
            _ => return Err(wrong()),
        };
        if protocol.is_empty() {
            return Err(wrong());
        }
        Ok(Rule { protocol: protocol.into(), ports, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_what_they_stand_for() {
        let words = Words::from([("self", "sg-1".to_owned()), ("vpc", "10.0.0.0/16".into())]);
        assert_eq!(sent("all from self", &words), "all from sg-1");
        assert_eq!(sent("tcp 22 from vpc", &words), "tcp 22 from 10.0.0.0/16");
        assert_eq!(sent("tcp 22 from peer", &words), "tcp 22 from peer");
    }

    #[test]
    fn a_rule_reads_back_as_written() {
        for text in [
            "tcp 22 from 10.0.0.0/16",
            "tcp 8080-8090 from sg-0a1b2c",
            "all from self",
            "tcp 22 from vpc",
            "udp 53 from ::/0",
            "icmp 8--1 from 0.0.0.0/0",
            "icmp -1 from 0.0.0.0/0",
            "50 from pl-1234",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for text in ["tcp 22", "tcp x from 10.0.0.0/8", "tcp 22 from nowhere", " from self", "tcp 22- from self"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }
}
