//! Digests of values: BLAKE3 over canonical JSON (maps sorted, no spaces), as lower-case hex.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of a value's JSON. The types digested here keep maps sorted, so equal values have equal bytes.
pub fn of<T: Serialize + ?Sized>(value: &T) -> Digest {
    // Serialisation writes a few bytes at a time, hashing wants many.
    let mut buffer = std::io::BufWriter::with_capacity(8192, blake3::Hasher::new());
    serde_json::to_writer(&mut buffer, value).expect("plan and state types are always JSON");
    let hasher = buffer.into_inner().map_err(|e| e.into_error()).expect("a hasher takes every byte");
    Digest(hasher.finalize().to_hex().to_string())
}

pub fn of_bytes(bytes: &[u8]) -> Digest {
    Digest(blake3::hash(bytes).to_hex().to_string())
}
