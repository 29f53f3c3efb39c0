//! A proxy request's head: read with limits, understood, and written again for the next server.

use super::policy::split_port;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Servers refuse longer ones too.
const HEAD_LIMIT: usize = 64 * 1024;
const HEADER_LIMIT: usize = 128;

/// Meant for the next hop only, so never passed on (RFC 9110 section 7.6.1). `Transfer-Encoding` is missing here because
/// the body is passed on in the very framing it came in.
const HOP_HEADERS: &[&str] = &[
    "connection",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "upgrade",
];

/// What the client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub method: String,
    /// CONNECT, which carries bytes both ways from then on.
    pub tunnel: bool,
    pub host: String,
    pub port: u16,
    /// As it is written in `Host`, and in a request to a further proxy.
    pub authority: String,
    /// Path and query; empty for a tunnel.
    path: String,
    minor_version: u8,
    headers: Vec<(String, Vec<u8>)>,
    pub body: Body,
}

/// How much the client sends behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Exactly(u64),
    /// In chunks, up to an end that only the server looks for.
    Chunked,
}

/// Why a request is not one: the status to answer and the reason, a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub u16, pub String);

fn bad<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal(400, why.to_string()))
}

/// Reads up to the empty line that ends a head. Returns the head and what came behind it.
///
/// Errors: `UnexpectedEof` before the end of a head, `InvalidData` when it exceeds the limit.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let searched = bytes.len().saturating_sub(3);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = bytes[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(searched + end + 4);
            return Ok((bytes, rest));
        }
        if bytes.len() > HEAD_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "request head too large"));
        }
    }
}

/// The status code that a response's head carries.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    response.code
}

impl Request {
    pub fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal(431, "too many headers".into())),
            Ok(httparse::Status::Partial) | Err(_) => return bad("not an HTTP/1 request"),
        }
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        let headers: Vec<(String, Vec<u8>)> =
            parsed.headers.iter().map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec())).collect();
        let tunnel = method == "CONNECT";
        let (authority, path) = if tunnel { (target, String::new()) } else { absolute(target)? };
        let Some((host, port)) = split_port(authority) else { return bad("the target has no host and port") };
        let Some(port) = port.or((!tunnel).then_some(80)) else { return bad("CONNECT needs a port") };
        Ok(Request {
            method: method.to_string(),
            tunnel,
            host: host.to_string(),
            port,
            authority: authority.to_string(),
            path,
            minor_version: parsed.version.unwrap_or(1),
            body: if tunnel { Body::Exactly(0) } else { body(&headers)? },
            headers,
        })
    }

    /// The head for the server itself.
    pub fn for_server(&self) -> Vec<u8> {
        self.write(&self.path, None)
    }

    /// The head for a further proxy.
    pub fn for_proxy(&self, authorization: Option<&str>) -> Vec<u8> {
        let target =
            if self.tunnel { self.authority.clone() } else { format!("http://{}{}", self.authority, self.path) };
        self.write(&target, authorization)
    }

    /// One request per connection: `Connection: close` makes the end of the response the end of the connection, so that
    /// no byte of a second request can reach a server that this one was allowed to.
    fn write(&self, target: &str, authorization: Option<&str>) -> Vec<u8> {
        let mut head =
            format!("{} {target} HTTP/1.{}\r\nHost: {}\r\n", self.method, self.minor_version, self.authority);
        if let Some(authorization) = authorization {
            head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        if !self.tunnel {
            head.push_str("Connection: close\r\n");
        }
        let mut head = head.into_bytes();
        let named = self.named_by_connection();
        for (name, value) in &self.headers {
            if !HOP_HEADERS.contains(&name.as_str()) && !named.contains(name) {
                head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Headers that `Connection` declares to be for this hop; never those that frame the body.
    fn named_by_connection(&self) -> Vec<String> {
        let values = self.headers.iter().filter(|(name, _)| name == "connection");
        let names = values.flat_map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase().into_bytes());
        let names = String::from_utf8_lossy(&names.collect::<Vec<u8>>()).into_owned();
        let names = names.split(',').map(|name| name.trim().to_string());
        names.filter(|name| !["content-length", "transfer-encoding"].contains(&name.as_str())).collect()
    }
}

/// Splits `http://authority/path?query`.
fn absolute(target: &str) -> Result<(&str, String), Refusal> {
    let (scheme, rest) = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => (scheme, rest),
        _ => return bad("this is a proxy: the target must be an absolute URL"),
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return bad("only http:// is forwarded; use CONNECT for anything else");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('#').next().unwrap_or_default();
    Ok((authority, if path.starts_with('/') { path.to_string() } else { format!("/{path}") }))
}

/// The body's framing. Anything two servers could read differently is refused.
fn body(headers: &[(String, Vec<u8>)]) -> Result<Body, Refusal> {
    let all = |wanted: &str| -> Vec<&[u8]> {
        headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_slice()).collect()
    };
    match (all("content-length").as_slice(), all("transfer-encoding").as_slice()) {
        ([], []) => Ok(Body::Exactly(0)),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length = String::from_utf8_lossy(length).parse();
            length.map(Body::Exactly).or_else(|_| bad("the content length is too large"))
        }
        _ => bad("the body's length is ambiguous"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request, Refusal> {
        Request::parse(head.replace('\n', "\r\n").as_bytes())
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn an_absolute_request_becomes_the_servers_own() {
        let head = "GET http://a.example:81?q=1 HTTP/1.1\nHost: other\nProxy-Authorization: x\nX-Hop: 1\n\
                    Connection: X-Hop, Content-Length\nAccept: */*\nContent-Length: 3\n\n";
        let request = parse(head).unwrap();
        assert_eq!((request.host.as_str(), request.port, request.body), ("a.example", 81, Body::Exactly(3)));
        assert_eq!(
            text(request.for_server()),
            "GET /?q=1 HTTP/1.1\nHost: a.example:81\nConnection: close\naccept: */*\ncontent-length: 3\n\n"
        );
        assert!(text(request.for_proxy(Some("Basic eA=="))).starts_with(
            "GET http://a.example:81/?q=1 HTTP/1.1\nHost: a.example:81\nProxy-Authorization: Basic eA==\n"
        ));
    }

    #[test]
    fn a_tunnel_names_its_host_and_port() {
        let request = parse("CONNECT [2001:db8::1]:443 HTTP/1.1\nHost: x\nUser-Agent: pip\n\n").unwrap();
        assert!(request.tunnel);
        assert_eq!((request.host.as_str(), request.port), ("2001:db8::1", 443));
        assert_eq!(
            text(request.for_proxy(None)),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\nHost: [2001:db8::1]:443\nuser-agent: pip\n\n"
        );
    }

    #[test]
    fn what_is_no_proxy_request_is_refused_with_its_reason() {
        for (head, why) in [
            ("GET / HTTP/1.1\nHost: x\n\n", "this is a proxy: the target must be an absolute URL"),
            ("GET /?u=http://x/ HTTP/1.1\n\n", "this is a proxy: the target must be an absolute URL"),
            ("GET https://x/ HTTP/1.1\n\n", "only http:// is forwarded; use CONNECT for anything else"),
            ("GET http://user@x/ HTTP/1.1\n\n", "the target has no host and port"),
            ("CONNECT x HTTP/1.1\n\n", "CONNECT needs a port"),
            ("nonsense\n\n", "not an HTTP/1 request"),
            ("POST http://x/ HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n\n", "the body's length is ambiguous"),
            (
                "POST http://x/ HTTP/1.1\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
                "the body's length is ambiguous",
            ),
            ("POST http://x/ HTTP/1.1\nContent-Length: +1\n\n", "the body's length is ambiguous"),
            ("POST http://x/ HTTP/1.1\nTransfer-Encoding: gzip, chunked\n\n", "the body's length is ambiguous"),
        ] {
            assert_eq!(parse(head), bad(why), "{head}");
        }
    }

    #[test]
    fn any_bytes_are_parsed_without_a_panic() {
        let head = b"GET http://a.example:81/x?q HTTP/1.1\r\nHost: other\r\nConnection: a\r\nContent-Length: 3\r\n\r\n";
        for at in 0..head.len() {
            for byte in [0, b' ', b':', b'/', b'[', b'%', 0xff] {
                let mut changed = head.to_vec();
                changed[at] = byte;
                if let Ok(request) = Request::parse(&changed) {
                    assert!(Request::parse(&request.for_proxy(None)).is_ok(), "what we write is a request");
                }
            }
        }
    }
}
