//! Messages between us and the node helper: a length, JSON, and descriptors or the sender's number beside them.
//!
//! The socket doubles as a lifeline: when one side ends, the other reads the end of the stream.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// What went wrong in a helper: the step, and the kernel's number where it has one.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct Fault {
    pub step: String,
    pub message: String,
    pub errno: Option<i32>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.message)
    }
}

/// Names the step that an error belongs to.
pub trait Step<T> {
    fn step(self, step: &str) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: &str) -> Result<T, Fault> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            Fault { step: step.into(), message: error.to_string(), errno: error.raw_os_error() }
        })
    }
}

/// A message of at most a few hundred megabytes; files travel in them.
pub fn send<T: Serialize>(mut to: &UnixStream, message: &T, payload: &[u8]) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let mut head = Vec::with_capacity(16 + json.len());
    head.extend((json.len() as u64).to_le_bytes());
    head.extend((payload.len() as u64).to_le_bytes());
    head.extend(json);
    to.write_all(&head)?;
    to.write_all(payload)
}

/// The next message; an error of kind `UnexpectedEof` when the other side is gone.
pub fn receive<T: DeserializeOwned>(mut from: &UnixStream) -> io::Result<(T, Vec<u8>)> {
    let mut sizes = [0; 16];
    from.read_exact(&mut sizes)?;
    let size = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| sizes[at + i]));
    let read = |n: u64| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let got = from.take(n).read_to_end(&mut bytes)? as u64;
        if got < n { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    };
    let json = read(size(0))?;
    let payload = read(size(8))?;
    Ok((serde_json::from_slice(&json)?, payload))
}

/// One byte with descriptors beside it.
pub fn send_descriptors(to: &UnixStream, descriptors: &[&dyn AsFd]) -> io::Result<()> {
    let descriptors: Vec<_> = descriptors.iter().map(|d| d.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("more than four descriptors"));
    }
    sendmsg(to, &[IoSlice::new(b"d")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The counterpart of [`send_descriptors`].
pub fn receive_descriptors(from: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(rights.flatten().collect())
}

/// One byte; the kernel adds the sender's number, translated into the receiver's PID namespace.
pub fn announce(mut to: &UnixStream) -> io::Result<()> {
    to.write_all(b"p")
}

/// The number of the process that announced itself. Needs `SO_PASSCRED`, set before the announcement.
pub fn announced(from: &UnixStream) -> io::Result<i32> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty())?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut credentials = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(c) => Some(c.pid.as_raw_nonzero().get()),
        _ => None,
    });
    credentials.next().ok_or_else(|| io::Error::other("the kernel told no process number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_descriptors_and_numbers_pass() {
        let (a, b) = UnixStream::pair().unwrap();
        send(&a, &"hello", b"payload").unwrap();
        assert_eq!(receive::<String>(&b).unwrap(), ("hello".to_owned(), b"payload".to_vec()));
        let (mut reader, writer) = std::io::pipe().unwrap();
        send_descriptors(&a, &[&writer]).unwrap();
        drop(writer);
        let mut passed = std::fs::File::from(receive_descriptors(&b).unwrap().remove(0));
        passed.write_all(b"x").unwrap();
        drop(passed);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        rustix::net::sockopt::set_socket_passcred(&b, true).unwrap();
        announce(&a).unwrap();
        assert_eq!(announced(&b).unwrap(), std::process::id() as i32);
        drop(a);
        assert_eq!(receive::<String>(&b).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
