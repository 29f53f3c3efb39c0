//! As much of HTTP as tests need.

use serde_json::Value as Json;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Status and body of a page of this machine.
pub fn get(url: &str) -> std::io::Result<(u16, String)> {
    let rest = url.strip_prefix("http://").expect("endpoints of these tests speak HTTP");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    page(TcpStream::connect(host)?, host, path)
}

/// Status and body of a page that a SOCKS5 proxy leads to.
pub fn through(proxy: &str, host: &str, port: u16) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&[5, 1, 0])?;
    stream.read_exact(&mut [0; 2])?;
    let length = u8::try_from(host.len()).expect("a short name");
    stream.write_all(&[&[5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()].concat())?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    match answer[1] {
        0 => page(stream, host, ""),
        code => Err(std::io::Error::other(format!("the proxy answers {code}"))),
    }
}

fn page(mut stream: TcpStream, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json, text/html\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}

#[track_caller]
pub fn json(url: &str) -> Json {
    let (status, body) = get(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    assert_eq!(status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{url}: {e}: {body}"))
}
