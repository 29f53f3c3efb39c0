//! A port of the machine's loopback that leads into a node.
//!
//! A socket belongs for life to the network namespace in which it was made. So the listener is bound on the machine
//! first; then the process joins the node's namespace and dials from there. No route, no NAT, no privilege.
//!
//! Must not bind anything itself: that the listener is on 127.0.0.1 is the caller's promise.

use crate::relay;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Forwards every connection of `listener` to `target`, which is dialled from where `enter` has led the calling thread.
///
/// `enter` runs before any thread is made, as joining a user namespace demands. Ends on SIGTERM. A connection whose
/// target does not answer is closed; that ends nothing else. Errors: `enter`'s, or that the runtime could not start.
pub fn run(
    listener: std::net::TcpListener,
    enter: impl FnOnce() -> io::Result<()>,
    target: SocketAddr,
) -> io::Result<()> {
    enter()?;
    relay::runtime()?.block_on(relay::serve(listener, move |stream| forward(stream, target)))
}

async fn forward(from: TcpStream, target: SocketAddr) {
    if let Ok(Ok(to)) = timeout(DIAL_LIMIT, TcpStream::connect(target)).await {
        relay::tune(&to);
        relay::join(from, to).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::testing::{World, isolated, up};
    use rustix::process::{Signal, getpid, kill_process};
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpListener, TcpStream},
        os::fd::AsFd,
        sync::mpsc,
        thread,
    };

    /// Answers each connection, once it has been read to its end, with its length.
    fn count_bytes(listener: TcpListener) {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                write!(stream, "{}", all.len()).unwrap();
            });
        }
    }

    fn ask(port: SocketAddr, bytes: usize) -> String {
        let mut stream = TcpStream::connect(port).unwrap();
        stream.write_all(&vec![7; bytes]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_listener_of_the_machine_leads_into_another_namespace_until_sigterm() {
        isolated(module_path!(), "a_listener_of_the_machine_leads_into_another_namespace_until_sigterm", || {
            let world = World::new();
            let service = world.at_peer(|| TcpListener::bind("127.0.0.1:0").unwrap());
            let target = service.local_addr().unwrap();
            thread::spawn(move || count_bytes(service));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap();
            let (entered, signal) = mpsc::channel();
            let peer = world.peer.try_clone().unwrap();
            let publisher = thread::spawn(move || {
                let enter = || {
                    rustix::thread::move_into_link_name_space(peer.as_fd(), None)?;
                    entered.send(()).unwrap();
                    Ok(())
                };
                run(listener, enter, target)
            });
            signal.recv().unwrap();
            up("lo");
            let asking: Vec<_> = (0..40).map(|n| thread::spawn(move || (n, ask(port, n * 50_000)))).collect();
            for asked in asking {
                let (n, answer) = asked.join().unwrap();
                assert_eq!(answer, (n * 50_000).to_string());
            }
            kill_process(getpid(), Signal::TERM).unwrap();
            publisher.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_dead_target_closes_the_connection_and_nothing_else() {
        let vacant = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        thread::spawn(move || run(listener, || Ok(()), vacant));
        for _ in 0..3 {
            let mut answer = Vec::new();
            let read = TcpStream::connect(port).unwrap().read_to_end(&mut answer);
            assert!(answer.is_empty(), "{read:?}");
        }
    }

    #[test]
    fn a_failed_entry_is_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let error = run(listener, || Err(io::Error::other("the node is gone")), target).unwrap_err();
        assert_eq!(error.to_string(), "the node is gone");
    }
}
