//! A stream through a connection that others share, so that whoever does not read it holds up nobody but itself.
//!
//! russh hands out what arrives in order and waits for each reader. What a slow reader has not taken yet is therefore kept
//! here, up to a limit; one that takes nothing at all while the limit is reached loses its stream.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, copy, duplex, split},
    sync::oneshot,
};

/// What is kept for one reader.
const KEPT: usize = 32 << 20;
/// How long a reader may take nothing once that much waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
const PIECE: usize = 1 << 15;

pub(crate) struct Apart {
    near: DuplexStream,
    /// Dropped with this: nothing is received for it any more, and what it wrote is still sent.
    _here: oneshot::Sender<()>,
}

impl Apart {
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (near, far) = duplex(KEPT);
        let (here, gone) = oneshot::channel();
        tokio::spawn(async move {
            // How either side ends is seen by those who talk over it.
            let _ = carry(stream, far, gone).await;
        });
        Apart { near, _here: here }
    }
}

async fn carry(
    stream: impl AsyncRead + AsyncWrite,
    far: DuplexStream,
    gone: oneshot::Receiver<()>,
) -> io::Result<((), ())> {
    let (mut from, mut to) = split(stream);
    let (mut written, mut kept) = split(far);
    let receive = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return kept.shutdown().await;
            }
            let keeping = tokio::time::timeout(PATIENCE, kept.write_all(&buffer[..count]));
            keeping.await.map_err(|_| ErrorKind::TimedOut)??;
        }
    };
    let receive = async {
        tokio::select! {
            received = receive => received,
            _ = gone => Ok(()),
        }
    };
    let send = async {
        copy(&mut written, &mut to).await?;
        to.shutdown().await
    };
    tokio::try_join!(receive, send)
}

impl AsyncRead for Apart {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_read(context, to)
    }
}

impl AsyncWrite for Apart {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.near).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.near).poll_shutdown(context)
    }
}
