//! IPv4 networks as documents write them: `10.77.0.0/16`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, net::Ipv4Addr, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// The first address: host bits are zero.
    pub base: Ipv4Addr,
    pub prefix: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 network like `10.77.0.0/16`")]
pub struct NotACidr(String);

impl Cidr {
    /// The network of `prefix` bits that holds `address`.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Cidr { base: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.base.to_bits()
    }

    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// The address at `offset`, `None` beyond the last.
    pub fn nth(&self, offset: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.base.to_bits().checked_add(offset)?);
        self.contains(address).then_some(address)
    }

    /// The first usable address: the router's.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() | 1)
    }

    /// Addresses for nodes, lowest first: neither the base, nor the router's, nor the broadcast address.
    pub fn nodes(&self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = (self.base.to_bits(), self.base.to_bits() | !mask(self.prefix));
        (first.saturating_add(2)..last).map(Ipv4Addr::from_bits)
    }

    /// The `index`-th part of `prefix` bits, `None` when this network holds no such part.
    pub fn part(&self, prefix: u8, index: u32) -> Option<Cidr> {
        let width = 32u8.checked_sub(prefix).filter(|_| prefix >= self.prefix)?;
        let offset = index.checked_mul(1u32.checked_shl(width.into())?)?;
        Some(Cidr::new(self.nth(offset)?, prefix))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = NotACidr;

    /// A plain address is a network of one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotACidr(text.into());
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let prefix = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(wrong)?;
        Ok(Cidr::new(address.parse().map_err(|_| wrong())?, prefix))
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_cut_in_parts_and_each_keeps_its_router_and_its_ends() {
        let network: Cidr = "10.77.9.9/16".parse().unwrap();
        assert_eq!(network.to_string(), "10.77.0.0/16");
        let private = network.part(20, 1).unwrap();
        assert_eq!(private.to_string(), "10.77.16.0/20");
        assert_eq!(private.gateway().to_string(), "10.77.16.1");
        assert_eq!(private.nodes().next().unwrap().to_string(), "10.77.16.2");
        assert_eq!(private.nodes().last().unwrap().to_string(), "10.77.31.254");
        assert!(network.overlaps(&private) && private.overlaps(&network));
        assert!(!network.part(20, 2).unwrap().overlaps(&private));
        assert_eq!(network.part(20, 16), None);
        assert_eq!(network.part(8, 0), None);
        assert_eq!("0.0.0.0/0".parse::<Cidr>().unwrap().nth(7).unwrap().to_string(), "0.0.0.7");
        assert_eq!("10.0.0.4".parse::<Cidr>().unwrap().nodes().count(), 0);
        for text in ["", "10.0.0/8", "10.0.0.0/33", "fd00::/8", "10.0.0.0/"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
