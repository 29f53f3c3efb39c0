//! What a client has sent and a process or socket has not taken yet.
//!
//! The SSH library answers a channel's messages in the same loop that carries all channels of a connection, and has no
//! way to withhold the window of one. A reader that waits for its process would therefore stop the output of that very
//! process, and neither could go on. So the reader always takes what comes, into memory; above [`ROOM`] it first waits a
//! little for the other side, which slows a fast client down to the pace of its process without ever stopping it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::timeout,
};

const ROOM: usize = 16 << 20;
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Level {
    bytes: AtomicUsize,
    fell: Notify,
}

/// The reader's end.
pub(super) struct Backlog {
    queue: Option<mpsc::UnboundedSender<Vec<u8>>>,
    level: Arc<Level>,
}

/// The end that a process or socket drinks from.
pub(super) struct Outlet {
    queue: mpsc::UnboundedReceiver<Vec<u8>>,
    level: Arc<Level>,
}

pub(super) fn backlog() -> (Backlog, Outlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let level = Arc::new(Level::default());
    (Backlog { queue: Some(sender), level: level.clone() }, Outlet { queue: receiver, level })
}

impl Backlog {
    /// Waits for room, but not for ever. Loses nothing when dropped half-way.
    pub async fn room(&self) {
        let drunk = self.queue.as_ref().is_some_and(|queue| !queue.is_closed());
        if drunk && self.level.bytes.load(Ordering::Relaxed) > ROOM {
            let _ = timeout(PATIENCE, self.level.fell.notified()).await;
        }
    }

    /// Adds bytes; they are dropped when nobody drinks any more.
    pub fn push(&self, bytes: Vec<u8>) {
        if let Some(queue) = &self.queue {
            self.level.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            let _ = queue.send(bytes);
        }
    }

    /// No more will come; what is there is still drunk.
    pub fn end(&mut self) {
        self.queue = None;
    }
}

impl Outlet {
    /// Everything to `target`, until the client's end or the target's failure. The target is not shut down.
    pub async fn drain(&mut self, target: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while let Some(bytes) = self.queue.recv().await {
            target.write_all(&bytes).await?;
            self.level.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            self.level.fell.notify_one();
        }
        target.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_out_in_order_up_to_the_end() {
        let (mut backlog, mut outlet) = backlog();
        for piece in ["a", "bc", "d"] {
            backlog.push(piece.into());
        }
        backlog.end();
        let mut out = Vec::new();
        outlet.drain(&mut out).await.unwrap();
        assert_eq!(out, b"abcd");
    }

    #[tokio::test]
    async fn a_reader_that_never_drinks_delays_but_does_not_stop_the_client() {
        let (backlog, mut outlet) = backlog();
        backlog.push(vec![0; ROOM]);
        assert!(is_ready(backlog.room()), "there is room");
        backlog.push(vec![0; 1]);
        assert!(!is_ready(backlog.room()), "there is none");
        backlog.room().await; // but only for a while
        let drinking = tokio::spawn(async move { outlet.drain(&mut tokio::io::sink()).await });
        tokio::task::yield_now().await;
        assert!(is_ready(backlog.room()), "there is room again");
        drinking.abort();
        let _ = drinking.await;
        backlog.push(vec![0; ROOM + 1]);
        assert!(is_ready(backlog.room()), "nobody will ever drink");
    }

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }
}
