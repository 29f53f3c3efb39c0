//! The caller's own terminal, lent to a command on a node, whatever way that node is reached.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use std::{io, os::fd::AsFd};

/// How soon the command learns that the window has another size.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Whether standard input and output are a terminal.
pub fn is_there() -> bool {
    isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout())
}

/// Rows and columns; the usual ones when they cannot be learnt.
pub fn size() -> (u16, u16) {
    tcgetwinsize(rustix::stdio::stdout()).map_or((24, 80), |size| (size.ws_row, size.ws_col))
}

/// The terminal in raw mode; as it was before when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Raw> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Joins the caller's terminal with `far`, until that or `ended` is at its end. `resized` hears of another number of rows
/// and columns.
pub fn relay(far: impl AsFd, ended: impl AsFd, mut resized: impl FnMut(u16, u16) -> io::Result<()>) -> io::Result<()> {
    let _raw = Raw::enter()?;
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut known = size();
    loop {
        let now = size();
        if now != known {
            known = now;
            resized(now.0, now.1)?;
        }
        let mut all =
            [PollFd::new(&stdin, PollFlags::IN), PollFd::new(&far, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut all, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = all.iter().map(|p| !p.revents().is_empty()).collect();
        if ready[1] && !copy(&far, stdout)? {
            return Ok(());
        }
        if !ready[1] && ready[2] {
            return Ok(());
        }
        if ready[0] && !copy(stdin, &far)? {
            return Ok(());
        }
    }
}

/// Moves what is there, at once: nothing is kept back to be sent together with more. `false` at the end of `from`. A
/// terminal whose last user is gone answers with `EIO`.
pub fn copy(from: impl AsFd, to: impl AsFd) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    let got = match read(from, &mut buffer) {
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Ok(n) => n,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let mut rest = &buffer[..got];
    while !rest.is_empty() {
        match write(&to, rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
