//! Netlink attributes and messages as bytes: writing, and reading what the kernel wrote.
//!
//! Knows the framing (length, type, padding to four bytes), never the meaning. Reading is total: bytes that are cut short
//! or lie about their length end the list, they do not panic.

/// Set on attributes that hold attributes; the kernel sometimes leaves it off, so reading ignores it.
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;
const MESSAGE_HEADER: usize = 16;

/// A growing list of attributes.
#[derive(Default, Clone)]
pub(crate) struct Attrs(Vec<u8>);

impl Attrs {
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    /// A number in network byte order, as nf_tables wants all its own numbers.
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Text with its closing NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub fn nest(mut self, kind: u16, inner: Attrs) -> Self {
        self.push(kind | NESTED, &inner.0);
        self
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("attributes built here are far below 64 KiB");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        pad(&mut self.0);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, in order, each with its kind.
pub(crate) fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some((length, kind)) = short(bytes, 0).zip(short(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & KIND_MASK, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The first attribute of this kind.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// A number in network byte order of exactly four bytes.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Text up to its NUL.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// One message: the header, `header` as the family's own, then the attributes.
pub(crate) fn message(kind: u16, flags: u16, sequence: u32, header: &[u8], attrs: Attrs) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE_HEADER];
    bytes.extend_from_slice(header);
    pad(&mut bytes);
    bytes.extend_from_slice(&attrs.0);
    let length = u32::try_from(bytes.len()).expect("a message built here is far below 4 GiB");
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

/// A message as received.
pub(crate) struct Received<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// The messages in one datagram.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<Received<'_>> {
    let mut found = Vec::new();
    while let Some(length) = long(bytes, 0) {
        let length = length as usize;
        let Some(payload) = bytes.get(MESSAGE_HEADER..length) else { break };
        found.push(Received {
            kind: short(bytes, 4).unwrap_or_default(),
            flags: short(bytes, 6).unwrap_or_default(),
            sequence: long(bytes, 8).unwrap_or_default(),
            payload,
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_written_with_padding_between() {
        let inner = Attrs::default().be32(1, 7);
        let attrs = Attrs::default().text(1, "lo").bytes(2, &[9; 5]).nest(3, inner);
        let read = attributes(attrs.as_bytes());
        assert_eq!(read[0], (1, &b"lo\0"[..]));
        assert_eq!(read[1], (2, &[9; 5][..]));
        assert_eq!(number(find(read[2].1, 1).unwrap()), Some(7));
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn bytes_cut_anywhere_end_the_list_without_a_panic() {
        let bytes = message(5, 1, 2, &[1, 0, 0, 0], Attrs::default().text(1, "name").bytes(2, &[1; 9]));
        for end in 0..bytes.len() {
            assert!(messages(&bytes[..end]).is_empty());
            assert!(attributes(&bytes[20..20 + end.saturating_sub(20)]).len() <= 2);
        }
        assert!(attributes(&[2, 0, 1, 0]).is_empty(), "a length below its own header");
    }
}
