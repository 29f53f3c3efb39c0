//! An HTTP proxy through which nodes without a route reach the outside.
//!
//! The listener was made inside the workspace's network; everything is dialled from the namespace of the calling thread,
//! the machine's own. Forwards plain requests (absolute form) and opens tunnels (CONNECT).
//!
//! Must never let a node reach the machine itself: loopback, link-local and own addresses are refused after names are
//! resolved, and exactly the addresses that were checked are dialled. When the machine is behind a proxy of its own,
//! requests are handed on to it, under the same refusals as far as names can be resolved here. Bodies and tunnels are
//! not looked into, nothing is logged, nothing is cached.

mod policy;
mod request;
#[cfg(test)]
mod tests;

use crate::relay;
pub use policy::EgressPolicy;
use request::{Body, Refusal, Request, read_head, status};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{TcpStream, lookup_host},
    time::timeout,
};

const HEAD_LIMIT: Duration = Duration::from_secs(30);
const DIAL_LIMIT: Duration = Duration::from_secs(20);
/// How long a refused client may still talk, so that the reset of its unread words does not overtake our answer.
const LINGER: Duration = Duration::from_millis(500);

/// Serves as the proxy on `listener`, by `policy`, until SIGTERM.
///
/// Errors: that the runtime could not start. A request's failure is that request's answer.
pub fn run(listener: std::net::TcpListener, policy: EgressPolicy) -> io::Result<()> {
    let policy = Arc::new(policy);
    relay::runtime()?.block_on(relay::serve(listener, move |client| handle(client, policy.clone())))
}

async fn handle(mut client: TcpStream, policy: Arc<EgressPolicy>) {
    let (head, rest) = match timeout(HEAD_LIMIT, read_head(&mut client)).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            return refuse(client, Refusal(431, "the head is too large".into())).await;
        }
        // Nobody there who would read an answer, or who ever asked.
        Ok(Err(_)) | Err(_) => return,
    };
    match prepare(&head, &policy).await {
        Ok((request, server, first)) if request.tunnel => tunnel(client, server, &first, &rest).await,
        Ok((request, server, head)) => forward(client, server, &head, &rest, request.body).await,
        Err(refusal) => refuse(client, refusal).await,
    }
}

/// Understands the request, connects, and says what to send first: for a tunnel to the client, else to the server.
async fn prepare(head: &[u8], policy: &EgressPolicy) -> Result<(Request, TcpStream, Vec<u8>), Refusal> {
    let request = Request::parse(head)?;
    match policy.upstream(request.tunnel, &request.host) {
        Some(upstream) => {
            not_this_machine(&request, policy).await?;
            let server = dial(&resolve(&upstream.host, upstream.port).await?).await?;
            let head = request.for_proxy(upstream.authorization.as_deref());
            if request.tunnel { open_further(request, server, &head).await } else { Ok((request, server, head)) }
        }
        None => {
            let found = resolve(&request.host, request.port).await?;
            let server = dial(&permitted(&request, found, policy)?).await?;
            let first = if request.tunnel { ESTABLISHED.to_vec() } else { request.for_server() };
            Ok((request, server, first))
        }
    }
}

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Asks a further proxy for the tunnel.
async fn open_further(
    request: Request,
    mut proxy: TcpStream,
    head: &[u8],
) -> Result<(Request, TcpStream, Vec<u8>), Refusal> {
    let failed = |why: String| Refusal(502, format!("the machine's own proxy {why}"));
    let asked = async {
        proxy.write_all(head).await?;
        read_head(&mut proxy).await
    };
    let (answer, early) = match timeout(DIAL_LIMIT, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(failed(format!("failed: {error}"))),
        Err(_) => return Err(Refusal(504, "the machine's own proxy does not answer".into())),
    };
    match status(&answer) {
        Some(200..=299) => Ok((request, proxy, [ESTABLISHED, &early].concat())),
        Some(status) => Err(failed(format!("answered {status}"))),
        None => Err(failed("does not speak HTTP".into())),
    }
}

/// A further proxy may sit on this machine or know its names, so it must not be asked for what we would refuse.
async fn not_this_machine(request: &Request, policy: &EgressPolicy) -> Result<(), Refusal> {
    let name = request.host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return Err(forbidden(request));
    }
    match resolve(&request.host, request.port).await {
        Ok(found) if found.iter().any(|address| !policy.permits(*address)) => Err(forbidden(request)),
        // A name that only the further proxy can resolve.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn permitted(request: &Request, found: Vec<SocketAddr>, policy: &EgressPolicy) -> Result<Vec<SocketAddr>, Refusal> {
    let permitted: Vec<SocketAddr> = found.into_iter().filter(|address| policy.permits(*address)).collect();
    if permitted.is_empty() { Err(forbidden(request)) } else { Ok(permitted) }
}

fn forbidden(request: &Request) -> Refusal {
    Refusal(403, format!("{} is this machine itself or its link, which nodes must not reach", request.authority))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Refusal> {
    match timeout(DIAL_LIMIT, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(Refusal(502, format!("cannot resolve {host}: {error}"))),
        Err(_) => Err(Refusal(504, format!("resolving {host} takes too long"))),
    }
}

/// The first of the addresses that answers.
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, Refusal> {
    let mut failure = Refusal(502, "the name has no address".into());
    for address in addresses {
        match timeout(DIAL_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                relay::tune(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Refusal(502, format!("cannot connect to {address}: {error}")),
            Err(_) => failure = Refusal(504, format!("{address} does not answer")),
        }
    }
    Err(failure)
}

async fn tunnel(mut client: TcpStream, mut server: TcpStream, answer: &[u8], early: &[u8]) {
    if client.write_all(answer).await.is_ok() && server.write_all(early).await.is_ok() {
        relay::join(client, server).await;
    }
}

/// Sends head and body, and the response back until the server ends it. Failures end the connection, which is how a
/// client sees a response cut short.
async fn forward(mut client: TcpStream, mut server: TcpStream, head: &[u8], early: &[u8], body: Body) {
    if server.write_all(head).await.is_err() {
        return refuse(client, Refusal(502, "the server closed the connection".into())).await;
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let limit = match body {
        Body::Exactly(length) => length,
        Body::Chunked => u64::MAX,
    };
    let upload = async {
        let _ = copy(&mut early.chain(&mut from_client).take(limit), &mut to_server).await;
        // A server may answer long after it has all it was sent; only the response's end is the end.
        std::future::pending::<()>().await
    };
    tokio::select! {
        _ = copy(&mut from_server, &mut to_client) => {}
        () = upload => {}
    }
    let _ = client.shutdown().await;
}

async fn refuse(mut client: TcpStream, Refusal(status, why): Refusal) {
    let reason = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        431 => "Request Header Fields Too Large",
        504 => "Gateway Timeout",
        _ => "Bad Gateway",
    };
    let text = format!("cloudtik egress: {why}\n");
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    if client.write_all((head + &text).as_bytes()).await.is_ok() && client.shutdown().await.is_ok() {
        let _ = timeout(LINGER, copy(&mut client, &mut sink())).await;
    }
}
