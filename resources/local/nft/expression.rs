//! The few nf_tables expressions that our rules are made of, as a type that writes itself and reads itself back.
//!
//! Reading is strict: an expression with any part that ours never have becomes [`Expression::Other`], so that two lists
//! are equal only when the kernel would act the same on both. Numbers are those of `linux/netfilter/nf_tables.h`.

use super::wire::{self, Attrs, attributes, find, number};
use std::{fmt, net::Ipv4Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    /// IPv4 (2) or IPv6 (10), one byte.
    Family = 15,
    /// TCP, UDP, …: one byte.
    Transport = 16,
    /// Name of the interface a packet came in by: 16 bytes.
    InterfaceIn = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// `saddr` of IPv4.
    Source,
    /// Destination port of TCP or UDP.
    Port,
}

impl Field {
    /// Base (1 network, 2 transport header), offset and length.
    fn place(self) -> (u32, u32, u32) {
        match self {
            Field::Source => (1, 12, 4),
            Field::Port => (2, 2, 2),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Equal = 0,
    NotEqual = 1,
    AtMost = 3,
    AtLeast = 5,
}

/// All loads go to the first register, all comparisons read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expression {
    Load(Meta),
    LoadField(Field),
    /// Connection tracking's state bits.
    LoadState,
    Mask(Vec<u8>),
    Compare(Is, Vec<u8>),
    Accept,
    /// Answer TCP with a reset.
    Reset,
    /// Answer with "port unreachable" of the packet's own family.
    Unreachable,
    /// Not one that we make; its name.
    Other(String),
}

use Expression::*;

const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;
const ACCEPT: u32 = 1;
const REJECT_RESET: u32 = 1;
const REJECT_ICMPX: u32 = 2;
const ICMPX_PORT_UNREACHABLE: u8 = 1;
const CT_STATE: u32 = 0;

const NAME: u16 = 1;
const DATA: u16 = 2;

/// The attribute that lists a rule's expressions holds them one by one under this kind.
const ELEMENT: u16 = 1;

/// The content of a rule's expression list.
pub(crate) fn write(expressions: &[Expression]) -> Attrs {
    expressions.iter().fold(Attrs::default(), |list, expression| {
        let (name, data) = expression.write();
        list.nest(ELEMENT, Attrs::default().text(NAME, name).nest(DATA, data))
    })
}

pub(crate) fn read(list: &[u8]) -> Vec<Expression> {
    attributes(list).into_iter().map(|(_, element)| Expression::read(element)).collect()
}

impl Expression {
    fn write(&self) -> (&'static str, Attrs) {
        let attrs = Attrs::default();
        match self {
            Load(key) => ("meta", attrs.be32(1, REGISTER).be32(2, *key as u32)),
            LoadField(field) => {
                let (base, offset, length) = field.place();
                ("payload", attrs.be32(1, REGISTER).be32(2, base).be32(3, offset).be32(4, length))
            }
            LoadState => ("ct", attrs.be32(1, REGISTER).be32(2, CT_STATE)),
            Mask(mask) => {
                let value = |bytes: &[u8]| Attrs::default().bytes(1, bytes);
                let attrs = attrs.be32(1, REGISTER).be32(2, REGISTER).be32(3, mask.len() as u32);
                ("bitwise", attrs.nest(4, value(mask)).nest(5, value(&vec![0; mask.len()])))
            }
            Compare(is, value) => {
                let attrs = attrs.be32(1, REGISTER).be32(2, *is as u32);
                ("cmp", attrs.nest(3, Attrs::default().bytes(1, value)))
            }
            Accept => {
                let verdict = Attrs::default().nest(2, Attrs::default().be32(1, ACCEPT));
                ("immediate", attrs.be32(1, VERDICT_REGISTER).nest(2, verdict))
            }
            Reset => ("reject", attrs.be32(1, REJECT_RESET)),
            Unreachable => ("reject", attrs.be32(1, REJECT_ICMPX).bytes(2, &[ICMPX_PORT_UNREACHABLE])),
            Other(_) => ("", attrs),
        }
    }

    /// Reads one element; whatever does not write back to the same parts is `Other`.
    fn read(element: &[u8]) -> Expression {
        let name = find(element, NAME).map(wire::text).unwrap_or_default();
        let data = find(element, DATA).unwrap_or_default();
        match Self::guess(&name, data) {
            Some(guess) if guess.same_parts(data) => guess,
            _ => Other(name),
        }
    }

    /// What the decisive part says; the rest is checked by writing it back.
    fn guess(name: &str, data: &[u8]) -> Option<Expression> {
        let value = |kind| find(data, kind);
        Some(match name {
            "meta" => {
                let key = number(value(2)?)?;
                Load([Meta::Family, Meta::Transport, Meta::InterfaceIn].into_iter().find(|m| *m as u32 == key)?)
            }
            "payload" => {
                let base = number(value(2)?)?;
                LoadField([Field::Source, Field::Port].into_iter().find(|f| f.place().0 == base)?)
            }
            "ct" => LoadState,
            "bitwise" => Mask(find(value(4)?, 1)?.to_vec()),
            "cmp" => {
                let code = number(value(2)?)?;
                let is = [Is::Equal, Is::NotEqual, Is::AtMost, Is::AtLeast].into_iter().find(|i| *i as u32 == code)?;
                Compare(is, find(value(3)?, 1)?.to_vec())
            }
            "immediate" => Accept,
            "reject" if number(value(1)?)? == REJECT_RESET => Reset,
            "reject" => Unreachable,
            _ => return None,
        })
    }

    /// Every part we would write is there with our value, and any further part is all zeros (a kernel newer than
    /// these lines shows the default of a part that we leave out).
    fn same_parts(&self, data: &[u8]) -> bool {
        let (_, ours) = self.write();
        includes(data, ours.as_bytes(), self.depth())
    }

    /// How many levels of attributes its data has.
    fn depth(&self) -> usize {
        match self {
            Accept => 3,
            Mask(_) | Compare(..) => 2,
            _ => 1,
        }
    }
}

fn includes(theirs: &[u8], ours: &[u8], depth: usize) -> bool {
    let (theirs, ours) = (attributes(theirs), attributes(ours));
    let mine = |kind: u16| ours.iter().find(|(k, _)| *k == kind).map(|(_, value)| *value);
    let known = ours.iter().all(|(kind, _)| theirs.iter().filter(|(k, _)| k == kind).count() == 1);
    known
        && theirs.iter().all(|(kind, value)| match mine(*kind) {
            None => value.iter().all(|b| *b == 0),
            // Numbers and nested lists share the level; equal bytes settle it, else a nested list is compared inside.
            Some(own) => *value == own || (depth > 1 && nests(own) && includes(value, own, depth - 1)),
        })
}

/// Whether these bytes are themselves attributes, all of them.
fn nests(bytes: &[u8]) -> bool {
    let total: usize = attributes(bytes).iter().map(|(_, value)| (value.len() + 4).next_multiple_of(4)).sum();
    !bytes.is_empty() && total == bytes.len()
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(None, self, f)
    }
}

/// A list of expressions the way people write rules, for messages only.
pub(crate) fn describe_all(expressions: &[Expression], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut loaded = None;
    for (index, expression) in expressions.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { " " })?;
        describe(loaded, expression, f)?;
        if matches!(expression, Load(_) | LoadField(_) | LoadState | Other(_)) {
            loaded = Some(expression);
        }
    }
    Ok(())
}

/// `loaded` is what the register holds, and so what a value is.
fn describe(loaded: Option<&Expression>, expression: &Expression, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match expression {
        Load(Meta::InterfaceIn) => f.write_str("iifname"),
        Load(Meta::Family) => f.write_str("nfproto"),
        Load(Meta::Transport) => f.write_str("l4proto"),
        LoadField(Field::Source) => f.write_str("ip saddr"),
        LoadField(Field::Port) => f.write_str("dport"),
        LoadState => f.write_str("ct state"),
        Mask(mask) => write!(f, "& {}", value(loaded, mask)),
        Compare(Is::Equal, bytes) => f.write_str(&value(loaded, bytes)),
        Compare(Is::NotEqual, bytes) => write!(f, "!= {}", value(loaded, bytes)),
        Compare(Is::AtMost, bytes) => write!(f, "<= {}", value(loaded, bytes)),
        Compare(Is::AtLeast, bytes) => write!(f, ">= {}", value(loaded, bytes)),
        Accept => f.write_str("accept"),
        Reset => f.write_str("reject with tcp reset"),
        Unreachable => f.write_str("reject"),
        Other(name) => write!(f, "<{name}>"),
    }
}

fn value(loaded: Option<&Expression>, bytes: &[u8]) -> String {
    match (loaded, bytes) {
        (Some(Load(Meta::InterfaceIn)), name) => wire::text(name),
        (Some(Load(Meta::Family)), [2]) => "ipv4".into(),
        (Some(Load(Meta::Family)), [10]) => "ipv6".into(),
        (Some(Load(Meta::Transport)), [1]) => "icmp".into(),
        (Some(Load(Meta::Transport)), [6]) => "tcp".into(),
        (Some(Load(Meta::Transport)), [17]) => "udp".into(),
        (Some(Load(Meta::Transport)), [58]) => "icmpv6".into(),
        (Some(LoadField(Field::Port)), [high, low]) => u16::from_be_bytes([*high, *low]).to_string(),
        (Some(LoadField(Field::Source)), [a, b, c, d]) => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        _ => bytes.iter().fold("0x".to_string(), |text, byte| format!("{text}{byte:02x}")),
    }
}
