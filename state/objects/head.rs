//! What objects hold, and their envelope: a line with a name and a checksum, then JSON.

use cloudtik_core::{
    Scope,
    state::{Entry, FORMAT, Lease, Revision, Snapshot, StoreError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs::File, io::Read};

const KIND: &str = "cloudtik-state";

/// The object that is a scope's state, and its lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: u32,
    pub scope: Scope,
    /// Of the write that made it: no two have the same.
    pub write: String,
    /// Empty as long as nothing was written, and again after an erase.
    pub lineage: String,
    pub serial: u64,
    pub revision: u64,
    /// Owners so far; it outlives an erase.
    pub fence: u64,
    pub lease: Option<Lease>,
    /// The newest snapshot.
    pub base: Option<Piece>,
    /// What follows it, in order and without gaps.
    pub segments: Vec<Piece>,
    /// What follows those.
    pub tail: Vec<Entry>,
}

/// An object that never changes: the entries `from..=to`, or for a snapshot what entries up to `to` gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    pub name: String,
    pub from: u64,
    pub to: u64,
    /// BLAKE3 of the whole object.
    pub digest: String,
}

/// The content of a snapshot: the state, and where everything before it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Base {
    pub snapshot: Snapshot,
    pub revisions: Vec<Marked>,
    pub segments: Vec<Piece>,
    /// Those before this one.
    pub snapshots: Vec<Piece>,
}

/// A revision and the serial that it ended with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Marked {
    pub serial: u64,
    pub revision: Revision,
}

impl Head {
    /// Of a scope that was never written.
    pub fn empty(scope: &Scope) -> Head {
        Head {
            format: FORMAT,
            scope: scope.clone(),
            write: String::new(),
            lineage: String::new(),
            serial: 0,
            revision: 0,
            fence: 0,
            lease: None,
            base: None,
            segments: Vec::new(),
            tail: Vec::new(),
        }
    }

    pub fn is_state(&self) -> bool {
        !self.lineage.is_empty()
    }
}

/// The bytes of an object.
pub(crate) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("state types are always JSON");
    let mut bytes = format!("{KIND} {FORMAT} {}\n", blake3::hash(&json).to_hex()).into_bytes();
    bytes.extend_from_slice(&json);
    bytes
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The value inside, or what is wrong with the object at `place`.
pub(crate) fn open<T: DeserializeOwned>(place: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |detail: &str| damage(place, detail);
    let line = bytes.iter().position(|b| *b == b'\n').ok_or_else(|| damaged("it is cut short"))?;
    let (line, json) = (std::str::from_utf8(&bytes[..line]).unwrap_or_default(), &bytes[line + 1..]);
    let [kind, format, sum] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(damaged("it is not of cloudtik's making"));
    };
    let format: u32 = format.parse().map_err(|_| damaged("its format is no number"))?;
    if kind != KIND {
        return Err(damaged("it is not of cloudtik's making"));
    }
    if format > FORMAT {
        return Err(StoreError::TooNew { place: place.into(), found: format, known: FORMAT });
    }
    if digest(json) != sum {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_slice(json).map_err(|e| damaged(&format!("it cannot be read: {e}")))
}

pub(crate) fn damage(place: &str, detail: &str) -> StoreError {
    StoreError::Damaged {
        place: place.into(),
        detail: format!("{detail}; if the bucket keeps versions of objects, restore the last whole one of it"),
    }
}

/// 128 random bits in hex.
pub(crate) fn random() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|source| StoreError::Io { operation: "name", place: "/dev/urandom".into(), source })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
