//! Through real sockets: a client, the proxy, and servers on this machine that a policy's exceptions permit.

use super::*;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// Answers each connection with what `respond` makes of all it reads up to the end of the head and its body.
fn server(respond: impl Fn(String, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let respond = Arc::new(respond);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, respond) = (stream.unwrap(), respond.clone());
            thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap() == 0 {
                        return;
                    }
                    head.push(byte[0]);
                }
                respond(String::from_utf8(head).unwrap(), stream);
            });
        }
    });
    address
}

fn proxy(policy: EgressPolicy) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || run(listener, policy));
    address
}

fn allowing(addresses: &[SocketAddr]) -> EgressPolicy {
    EgressPolicy { allow: addresses.to_vec(), ..EgressPolicy::default() }
}

fn say(proxy: SocketAddr, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.write_all(words).unwrap();
    stream
}

fn all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// An answer that repeats the request's head.
fn echo_head(head: String, mut stream: TcpStream) {
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{head}").unwrap();
}

#[test]
fn a_plain_request_reaches_the_server_in_its_own_form() {
    let server = server(echo_head);
    let proxy = proxy(allowing(&[server]));
    let answer = all(say(proxy, format!("GET http://{server}/a?b HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()));
    let expected = format!("GET /a?b HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, expected);
}

#[test]
fn a_body_arrives_whole_and_nothing_behind_it() {
    const SIZE: usize = 3_000_000;
    let server = server(|_, mut stream| {
        let mut body = vec![0; SIZE];
        stream.read_exact(&mut body).unwrap();
        let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
        write!(stream, "HTTP/1.1 200 OK\r\n\r\n{sum}").unwrap();
        // Were the second request passed on, it would be here before the end.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut more = Vec::new();
        stream.read_to_end(&mut more).unwrap();
        assert!(more.is_empty());
    });
    let proxy = proxy(allowing(&[server]));
    let mut request = format!("POST http://{server}/ HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n").into_bytes();
    request.extend(vec![3; SIZE]);
    request.extend_from_slice(format!("GET http://{server}/second HTTP/1.1\r\n\r\n").as_bytes());
    let mut stream = say(proxy, &request);
    let mut answer = [0; 19 + 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 200 OK\r\n\r\n{}", 3 * SIZE));
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_each_end_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.reverse();
        stream.write_all(&all).unwrap();
    });
    let proxy = proxy(allowing(&[server]));
    let mut stream = say(proxy, format!("CONNECT {server} HTTP/1.1\r\n\r\nearly").as_bytes());
    stream.write_all(b" and late").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(all(stream), "HTTP/1.1 200 Connection established\r\n\r\netal dna ylrae");
}

#[test]
fn this_machine_is_out_of_reach_by_address_and_by_name() {
    let server = server(echo_head);
    let proxy = proxy(EgressPolicy::default());
    let port = server.port();
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "[::ffff:127.0.0.1]", "[::1]", "2130706433"] {
        for request in
            [format!("GET http://{host}:{port}/ HTTP/1.1\r\n\r\n"), format!("CONNECT {host}:{port} HTTP/1.1\r\n\r\n")]
        {
            let answer = all(say(proxy, request.as_bytes()));
            assert!(answer.starts_with("HTTP/1.1 403 "), "{request}{answer}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_a_bad_gateway() {
    let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = proxy(allowing(&[vacant]));
    let answer = all(say(proxy, format!("GET http://{vacant}/ HTTP/1.1\r\n\r\n").as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains(&format!("cannot connect to {vacant}")), "{answer}");
}

#[test]
fn an_endless_head_is_refused() {
    let proxy = proxy(EgressPolicy::default());
    let mut head = b"GET http://x/ HTTP/1.1\r\nX: ".to_vec();
    head.extend(vec![b'x'; 70_000]);
    assert!(all(say(proxy, &head)).starts_with("HTTP/1.1 431 "));
}

#[test]
fn behind_a_proxy_of_the_machine_requests_are_handed_on_with_its_password() {
    let upstream = server(|head, mut stream| {
        if head.starts_with("CONNECT denied") {
            write!(stream, "HTTP/1.1 407 No\r\n\r\n").unwrap();
        } else {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{head}").unwrap();
        }
    });
    let proxy = proxy(
        EgressPolicy::from_variables(|name| match name {
            "http_proxy" | "https_proxy" => Some(format!("http://me:pw@{upstream}")),
            _ => None,
        })
        .unwrap(),
    );
    let answer = all(say(proxy, b"GET http://far.invalid/x HTTP/1.1\r\n\r\n"));
    assert!(
        answer.contains(
            "GET http://far.invalid/x HTTP/1.1\r\nHost: far.invalid\r\nProxy-Authorization: Basic bWU6cHc=\r\n"
        )
    );
    let answer = all(say(proxy, b"CONNECT far.invalid:443 HTTP/1.1\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 Connection established\r\n\r\nCONNECT far.invalid:443 "), "{answer}");
    let answer = all(say(proxy, b"CONNECT denied.invalid:443 HTTP/1.1\r\n\r\n"));
    assert!(answer.contains("the machine's own proxy answered 407"), "{answer}");
    for own in ["localhost", "a.localhost.", "127.0.0.1"] {
        let answer = all(say(proxy, format!("CONNECT {own}:22 HTTP/1.1\r\n\r\n").as_bytes()));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{own}: {answer}");
    }
}
