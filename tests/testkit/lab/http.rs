//! As much of HTTP as the laboratory's own doors need.

use super::Network;
use serde_json::Value as Json;
use std::{
    io::{self, Read, Write},
    time::Duration,
};

/// Sends one request to a port and returns the answer, which must be JSON, or nothing.
pub(super) fn ask(network: &Network, port: u16, method: &str, path: &str, body: Option<&Json>) -> Json {
    let (status, text) = send(network, port, method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"));
    assert_eq!(status, 200, "{method} {path}: {text}");
    if text.is_empty() {
        return Json::Null;
    }
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}"))
}

fn send(network: &Network, port: u16, method: &str, path: &str, body: Option<&Json>) -> io::Result<(u16, String)> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let mut stream = network.connect(port)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

/// Sends an empty PUT, as one makes a bucket.
pub(super) fn put(network: &Network, port: u16, path: &str) {
    let (status, text) = send(network, port, "PUT", path, None).unwrap_or_else(|e| panic!("PUT {path}: {e}"));
    assert_eq!(status, 200, "PUT {path}: {text}");
}
