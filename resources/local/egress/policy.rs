//! Where a node's request may go, and by which way.

use cloudtik_core::secret::unescaped;
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

/// What the proxy may dial. The default: anything but this machine and its links, without detour.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    /// Addresses that may be dialled although they are this machine's own.
    pub allow: Vec<SocketAddr>,
    /// The proxy through which the machine itself reaches plain HTTP servers.
    pub http: Option<Upstream>,
    /// The proxy through which the machine itself opens tunnels.
    pub https: Option<Upstream>,
    /// Names and networks that are reached without a proxy, as in `no_proxy`.
    pub direct: Vec<String>,
}

/// An HTTP proxy of the machine's surroundings.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`, a secret.
    pub authorization: Option<String>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.authorization.is_some() { " with (sensitive)" } else { "" };
        write!(f, "{}:{}{secret}", self.host, self.port)
    }
}

impl EgressPolicy {
    /// The policy that an environment asks for: `http_proxy`, `https_proxy`, `no_proxy`, in either case.
    ///
    /// Errors: `InvalidInput` for a proxy that is not plain HTTP; the message has the variable's name, not its value.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> io::Result<Self> {
        let value = |name: &str| variable(name).or_else(|| variable(&name.to_uppercase())).filter(|v| !v.is_empty());
        let upstream = |name: &str| {
            let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is not an http:// proxy"));
            value(name).map(|url| Upstream::parse(&url).ok_or_else(wrong)).transpose()
        };
        let direct = value("no_proxy").unwrap_or_default();
        let direct = direct.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_string);
        Ok(EgressPolicy {
            allow: Vec::new(),
            http: upstream("http_proxy")?,
            https: upstream("https_proxy")?,
            direct: direct.collect(),
        })
    }

    /// The proxy for this host; `tunnel` tells CONNECT from plain requests.
    pub(super) fn upstream(&self, tunnel: bool, host: &str) -> Option<&Upstream> {
        let upstream = if tunnel { &self.https } else { &self.http };
        upstream.as_ref().filter(|_| !self.direct.iter().any(|pattern| covers(pattern, host)))
    }

    /// Whether the proxy may connect to this address.
    pub(super) fn permits(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        self.allow.contains(&address) || !(reserved(address.ip()) || is_own(address.ip()))
    }
}

/// Loopback, link-local, and what names no single other machine.
fn reserved(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0
        }
        IpAddr::V6(ip) => {
            let embedded = ip.to_ipv4().is_some_and(|ip| reserved(ip.into())); // ::127.0.0.1
            ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() || embedded
        }
    }
}

/// Whether an interface of this machine has the address: only then can a socket be bound to it.
fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

impl Upstream {
    /// Reads `[http://][user[:password]@]host[:port][/]`; `None` for any other scheme or shape.
    fn parse(url: &str) -> Option<Self> {
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return None,
            None => url,
        };
        let rest = rest.trim_end_matches('/');
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let (host, port) = split_port(place)?;
        let authorization = user.map(|user| format!("Basic {}", base64(&unescaped(user))));
        Some(Upstream { host: host.to_string(), port: port.unwrap_or(80), authorization })
    }
}

/// Splits `host[:port]`, with brackets around an IPv6 address taken off. `None` when it is neither.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            if host.is_empty() || !host.bytes().all(allowed) {
                return None;
            }
            (host, port)
        }
    };
    match port {
        "" => Some((host, None)),
        _ => Some((host, Some(port.strip_prefix(':')?.parse().ok()?))),
    }
}

/// Whether an entry of `no_proxy` speaks of this host: `*`, an address, a network, a domain with or without its dot.
fn covers(pattern: &str, host: &str) -> bool {
    let pattern = split_port(pattern).map_or(pattern, |(host, _)| host);
    let domain = pattern.trim_start_matches("*.").trim_start_matches('.');
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let inside = || host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    pattern == "*" || (!domain.is_empty() && inside()) || in_network(pattern, &host)
}

fn in_network(pattern: &str, host: &str) -> bool {
    let parsed = || {
        let (network, prefix) = pattern.split_once('/')?;
        let (network, prefix) = (network.parse::<IpAddr>().ok()?, prefix.parse::<u32>().ok()?);
        let (a, b, width) = match (network, host.parse::<IpAddr>().ok()?) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return None,
        };
        let differing: u128 = a ^ b;
        Some(prefix <= width && differing.checked_shr(width - prefix).unwrap_or(0) == 0)
    };
    parsed().unwrap_or(false)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0u32, |bits, (i, b)| bits | u32::from(*b) << (16 - 8 * i));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= three.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(variables: &[(&str, &str)]) -> io::Result<EgressPolicy> {
        EgressPolicy::from_variables(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn this_machine_is_refused_in_every_notation_and_the_rest_of_the_world_is_not() {
        let policy = EgressPolicy::default();
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!policy.permits(SocketAddr::new(own.parse().unwrap(), 80)), "{own}");
        }
        for other in ["192.0.2.1", "8.8.8.8", "2001:db8::1"] {
            assert!(policy.permits(SocketAddr::new(other.parse().unwrap(), 80)), "{other}");
        }
    }

    #[test]
    fn an_exception_opens_one_port_of_one_address() {
        let policy = EgressPolicy { allow: vec!["127.0.0.1:3128".parse().unwrap()], ..EgressPolicy::default() };
        assert!(policy.permits("127.0.0.1:3128".parse().unwrap()));
        assert!(policy.permits("[::ffff:127.0.0.1]:3128".parse().unwrap()));
        assert!(!policy.permits("127.0.0.1:22".parse().unwrap()));
    }

    #[test]
    fn the_environments_proxies_are_read_and_their_passwords_not_shown() {
        let policy = policy(&[
            ("http_proxy", "http://us%65r:p%40ss@proxy.example:3128/"),
            ("HTTPS_PROXY", "10.0.0.1"),
            ("no_proxy", "localhost, .corp.example,10.0.0.0/8, *.intra"),
        ])
        .unwrap();
        let http = policy.upstream(false, "packages.example.org").unwrap();
        assert_eq!((http.host.as_str(), http.port), ("proxy.example", 3128));
        assert_eq!(http.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(format!("{http:?}"), "proxy.example:3128 with (sensitive)");
        assert_eq!(policy.upstream(true, "packages.example.org").unwrap().port, 80);
        for direct in ["localhost", "a.corp.example", "corp.example", "10.1.2.3", "x.intra"] {
            assert_eq!(policy.upstream(true, direct), None, "{direct}");
        }
        for detour in ["notcorp.example", "11.1.2.3", "mylocalhost"] {
            assert!(policy.upstream(true, detour).is_some(), "{detour}");
        }
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_by_its_variables_name_only() {
        let error = policy(&[("https_proxy", "socks5://secret@x:1")]).unwrap_err();
        assert_eq!(error.to_string(), "https_proxy is not an http:// proxy");
    }

    #[test]
    fn an_authority_is_a_host_with_perhaps_a_port() {
        assert_eq!(split_port("a-b.example:8080"), Some(("a-b.example", Some(8080))));
        assert_eq!(split_port("[2001:db8::1]:443"), Some(("2001:db8::1", Some(443))));
        assert_eq!(split_port("[::1]"), Some(("::1", None)));
        for wrong in ["", ":80", "a:b", "a:70000", "user@host", "[::1", "[x]", "a b", "a:1:2", "h/"] {
            assert_eq!(split_port(wrong), None, "{wrong}");
        }
    }
}
