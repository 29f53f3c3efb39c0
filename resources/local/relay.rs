//! What the servers here share: accepting for ever, and joining two connections.
//!
//! Invariant: nothing that one connection does or suffers ends the accepting. Only SIGTERM does.

use rustix::net::sockopt;
use std::{future::Future, io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Long enough for descriptors to come free, short enough that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A runtime on the calling thread, so that its sockets are made in that thread's network namespace.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Handles every connection in a task of its own, until SIGTERM. Open connections end with the runtime.
pub(crate) async fn serve<H, F>(listener: std::net::TcpListener, handle: H) -> io::Result<()>
where
    H: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            stream = accept(&listener) => {
                tune(&stream);
                tokio::spawn(handle(stream));
            }
        }
    }
}

/// The next connection. Failures (a peer that left again, no free descriptor) are waited out.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Sends small pieces at once and notices a peer that vanished. A socket that refuses this works without.
pub(crate) fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(60));
}

/// Carries bytes both ways until both sides have ended; the end of one direction is passed on by itself.
pub(crate) async fn join(mut a: TcpStream, mut b: TcpStream) {
    // A reset by either peer ends both; there is nobody left to tell.
    let _ = tokio::io::copy_bidirectional(&mut a, &mut b).await;
}
