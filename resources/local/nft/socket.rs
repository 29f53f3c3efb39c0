//! A blocking conversation with the kernel's nf_tables: one atomic batch, or one dump.
//!
//! The socket belongs to the network namespace of the thread that opened it. Every failure names the step of ours that
//! the kernel refused, and the kernel's own words when it gave any.

use super::wire::{self, Attrs, Received};
use netlink_sys::{Socket as Netlink, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::net::sockopt;
use std::io;

/// `NFPROTO_INET`: IPv4 and IPv6 in one table.
pub(crate) const INET: u8 = 1;
/// In a dump: every family.
pub(crate) const ANY_FAMILY: u8 = 0;

/// Message kinds of nf_tables (`linux/netfilter/nf_tables.h`, `enum nf_tables_msg_types`).
pub(crate) mod kind {
    pub const NEW_TABLE: u16 = 0;
    pub const GET_TABLE: u16 = 1;
    pub const DEL_TABLE: u16 = 2;
    pub const NEW_CHAIN: u16 = 3;
    pub const GET_CHAIN: u16 = 4;
    pub const DEL_CHAIN: u16 = 5;
    pub const NEW_RULE: u16 = 6;
    pub const GET_RULE: u16 = 7;
    pub const DEL_RULE: u16 = 8;
}

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const DUMP: u16 = 0x300;

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// On a dump's message: the tables changed meanwhile.
const INTERRUPTED: u16 = 0x10;
/// On an error message: attributes with the kernel's words follow.
const WITH_WORDS: u16 = 0x200;

/// A dump overtaken by changes is read again this often before giving up.
const DUMP_TRIES: usize = 20;

/// The attributes of each object that a dump lists, with its family.
pub(crate) type Listing = Vec<(u8, Vec<u8>)>;

/// Steps that take effect together or not at all.
#[derive(Default)]
pub(crate) struct Batch {
    steps: Vec<(String, u16, u16, u8, Attrs)>,
}

impl Batch {
    /// Makes an object of this kind (idempotent for tables and chains, appending for rules).
    pub fn make(&mut self, step: impl Into<String>, kind: u16, attrs: Attrs) {
        self.steps.push((step.into(), kind, CREATE | APPEND, INET, attrs));
    }

    pub fn delete(&mut self, step: impl Into<String>, kind: u16, family: u8, attrs: Attrs) {
        self.steps.push((step.into(), kind, 0, family, attrs));
    }
}

pub(crate) struct Socket {
    netlink: Netlink,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> io::Result<Self> {
        let opened = || {
            let mut netlink = Netlink::new(NETLINK_NETFILTER)?;
            netlink.bind_auto()?;
            netlink.connect(&SocketAddr::new(0, 0))?;
            netlink.set_cap_ack(true)?;
            netlink.set_ext_ack(true)?;
            Ok(Socket { netlink })
        };
        opened().map_err(|error| named("open a netfilter socket", &error, ""))
    }

    /// Sends the whole batch as one datagram; the kernel commits it as one, or changes nothing.
    ///
    /// Errors: the first step that was refused; `InvalidInput` when the batch is larger than the socket may send.
    pub fn commit(&self, batch: Batch) -> io::Result<()> {
        let last = batch.steps.len();
        let frame = |kind, sequence| wire::message(kind, REQUEST, sequence, &header(0, SUBSYSTEM), Attrs::default());
        let mut names = vec!["start a batch".to_string()];
        let mut bytes = frame(BATCH_BEGIN, 0);
        for (index, (name, kind, flags, family, attrs)) in batch.steps.into_iter().enumerate() {
            let sequence = index + 1;
            // Failures are always reported; success only of the last step, so that answers never overrun the socket.
            let ack = if sequence == last { ACK } else { 0 };
            let kind = SUBSYSTEM << 8 | kind;
            bytes.extend(wire::message(kind, REQUEST | flags | ack, sequence as u32, &header(family, 0), attrs));
            names.push(name);
        }
        bytes.extend(frame(BATCH_END, last as u32 + 1));
        self.send_batch(&bytes, last)?;
        self.await_commit(&names)
    }

    fn send_batch(&self, bytes: &[u8], steps: usize) -> io::Result<()> {
        // The kernel doubles and caps the value; a datagram must fit in it.
        sockopt::set_socket_send_buffer_size(&self.netlink, bytes.len() + 4096)
            .map_err(|error| named("size the netfilter socket", &error.into(), ""))?;
        match self.netlink.send(bytes, 0) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) => {
                let message = format!("{steps} firewall steps ({} bytes) are more than one batch holds", bytes.len());
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
            Err(error) => Err(named("send the firewall batch", &error, "")),
        }
    }

    /// Reads answers until the last step's, or the first failure.
    fn await_commit(&self, names: &[String]) -> io::Result<()> {
        loop {
            let datagram = self.receive("await the firewall batch")?;
            for message in wire::messages(&datagram).iter().filter(|m| m.kind == ERROR) {
                let name = names.get(message.sequence as usize).map_or("finish the batch", String::as_str);
                refusal(message, name)?;
                if message.sequence as usize + 1 == names.len() {
                    return Ok(());
                }
            }
        }
    }

    /// Everything of one kind, as far as the kernel's own filter of these attributes allows.
    pub fn dump(&self, step: &str, get: u16, family: u8, filter: Attrs) -> io::Result<Listing> {
        for sequence in 1..=DUMP_TRIES {
            let request = wire::message(
                SUBSYSTEM << 8 | get,
                REQUEST | DUMP,
                sequence as u32,
                &header(family, 0),
                filter.clone(),
            );
            self.netlink.send(&request, 0).map_err(|error| named(step, &error, ""))?;
            if let Some(found) = self.read_dump(step, sequence as u32)? {
                return Ok(found);
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{step}: it changes faster than it can be read")))
    }

    /// `None` when the tables changed during the dump.
    fn read_dump(&self, step: &str, sequence: u32) -> io::Result<Option<Listing>> {
        let mut found = Vec::new();
        let mut interrupted = false;
        loop {
            let datagram = self.receive(step)?;
            for message in wire::messages(&datagram) {
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & INTERRUPTED != 0;
                match message.kind {
                    DONE => return Ok((!interrupted).then_some(found)),
                    ERROR => refusal(&message, step)?,
                    _ => found.extend(split_family(message.payload)),
                }
            }
        }
    }

    fn receive(&self, step: &str) -> io::Result<Vec<u8>> {
        self.netlink.recv_from_full().map(|(bytes, _)| bytes).map_err(|error| named(step, &error, ""))
    }
}

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

fn split_family(payload: &[u8]) -> Option<(u8, Vec<u8>)> {
    Some((*payload.first()?, payload.get(4..)?.to_vec()))
}

/// An error message of code 0 is a confirmation.
fn refusal(message: &Received<'_>, step: &str) -> io::Result<()> {
    let code = message.payload.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if code == 0 {
        return Ok(());
    }
    const MESSAGE: u16 = 1; // NLMSGERR_ATTR_MSG, behind the code and the header of the refused message
    let words = message.payload.get(20..).filter(|_| message.flags & WITH_WORDS != 0);
    let words = words.and_then(|attrs| wire::find(attrs, MESSAGE)).map(wire::text).unwrap_or_default();
    Err(named(step, &io::Error::from_raw_os_error(-code), &words))
}

fn named(step: &str, error: &io::Error, words: &str) -> io::Error {
    let words = if words.is_empty() { String::new() } else { format!(" ({words})") };
    io::Error::new(error.kind(), format!("{step}: {error}{words}"))
}
