//! A pseudo-terminal: its master side here, its slave side a process's.

use rustix::{
    fs::OFlags,
    io::ioctl_fionbio,
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd};

/// Clones are the same terminal; it hangs up when the last is dropped.
#[derive(Clone)]
pub(super) struct Terminal {
    master: Arc<AsyncFd<OwnedFd>>,
    /// Its kind, for `TERM`.
    pub term: String,
    /// Its device's path, for `SSH_TTY`.
    pub name: String,
}

impl Terminal {
    /// Errors: the node has no pseudo-terminals, or no free one.
    pub fn open(term: &str, columns: u32, rows: u32) -> io::Result<Terminal> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        ioctl_fionbio(&master, true)?;
        let name = ptsname(&master, Vec::new())?.to_string_lossy().into_owned();
        // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives, and `AsyncFd` owns it.
        let master = Arc::new(unsafe { AsyncFd::register(master) }?);
        let terminal = Terminal { master, term: term.to_string(), name };
        terminal.resize(columns, rows)?;
        Ok(terminal)
    }

    /// The process's side. Asked of the master, so it needs no path in the node's own `/dev`.
    pub fn slave(&self) -> io::Result<OwnedFd> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        debug_assert_eq!(flags.bits(), (OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC).bits());
        Ok(ioctl_tiocgptpeer(self.master.get_ref(), flags)?)
    }

    /// Tells the terminal its size, and its processes by SIGWINCH. Sizes beyond 65535 are cut.
    pub fn resize(&self, columns: u32, rows: u32) -> io::Result<()> {
        let cut = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let size = Winsize { ws_row: cut(rows), ws_col: cut(columns), ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.master.get_ref(), size)?)
    }
}

impl AsyncRead for Terminal {
    /// The last process's departure reads as the end.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.master.poll_read_ready(cx))?;
            let read = |fd: &AsyncFd<OwnedFd>| Ok(rustix::io::read(fd.get_ref(), buffer.initialize_unfilled())?);
            match ready.try_io(read) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.master.poll_write_ready(cx))?;
            if let Ok(result) = ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
