//! What a tree holds: batches of entries, each chained to the one before it.
//!
//! A batch is 32 bytes of BLAKE3 and JSON, cut into chunks. The key of a chunk is the serial of the batch's first entry and the
//! chunk's place in it, so that `sled`'s order is the journal's.

use crate::{guard::Guard, layout::Files};
use cloudtik_core::{
    Scope,
    state::{Entry, Snapshot, StoreError},
};
use serde::{Deserialize, Serialize};

/// Longest value. A leaf of `sled` holds some twenty; it must stay below the 128 KiB from which it is written elsewhere.
pub(crate) const CHUNK: usize = 4096;
const SUM: usize = 32;

/// One point of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tip {
    pub lineage: String,
    pub serial: u64,
    /// Of the batch that ends here.
    pub sum: String,
}

impl Tip {
    /// Before the first entry.
    pub fn root(lineage: &str) -> Tip {
        Tip { lineage: lineage.into(), ..Tip::default() }
    }

    /// A point that no journal passes.
    pub fn nowhere() -> Tip {
        Tip { serial: 1, ..Tip::default() }
    }
}

#[derive(Serialize, Deserialize)]
struct Batch {
    scope: Scope,
    lineage: String,
    entries: Vec<Entry>,
}

fn sum(before: &Tip, json: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.serial.to_le_bytes()).update(before.sum.as_bytes());
    hasher.update(json).finalize()
}

/// Adds entries after `before`, and says where they end.
pub(crate) fn add(to: &mut sled::Batch, scope: &Scope, before: &Tip, entries: &[Entry]) -> Tip {
    let lineage = before.lineage.clone();
    let batch = Batch { scope: scope.clone(), lineage: lineage.clone(), entries: entries.to_vec() };
    let mut bytes = vec![0; SUM];
    serde_json::to_writer(&mut bytes, &batch).expect("state types are always JSON");
    let sum = sum(before, &bytes[SUM..]);
    bytes[..SUM].copy_from_slice(sum.as_bytes());
    for (chunk, place) in bytes.chunks(CHUNK).zip(0u32..) {
        let key = [(before.serial + 1).to_be_bytes().as_slice(), &place.to_be_bytes()].concat();
        to.insert(key, chunk);
    }
    Tip { lineage, serial: before.serial + entries.len() as u64, sum: sum.to_hex().to_string() }
}

/// A scope's state with the history behind it.
pub(crate) struct Loaded {
    pub snapshot: Snapshot,
    pub entries: Vec<Entry>,
    pub tip: Tip,
}

impl Loaded {
    pub fn empty(scope: &Scope) -> Loaded {
        Loaded { snapshot: Snapshot::empty(scope), entries: Vec::new(), tip: Tip::default() }
    }
}

/// Reads a whole journal and compares it with its guard.
pub(crate) fn load(files: &Files, tree: &sled::Tree, guard: &Guard) -> Result<Loaded, StoreError> {
    let mut passed = false;
    let loaded = walk(files, tree, |tip| passed |= *tip == guard.tip)?;
    match passed || guard.next.as_ref() == Some(&loaded.tip) {
        true => Ok(loaded),
        false => Err(files.damaged(format!(
            "its journal ends at entry {} and does not have entry {} as it was acknowledged",
            loaded.tip.serial, guard.tip.serial
        ))),
    }
}

/// What of a journal is whole, from its first entry on.
pub(crate) fn salvage(files: &Files, tree: &sled::Tree) -> Loaded {
    let mut loaded = Loaded::empty(&files.scope);
    // The first thing that is wrong ends it.
    let _ = fold(files, tree, &mut loaded, |_| {});
    loaded
}

fn walk(files: &Files, tree: &sled::Tree, ends: impl FnMut(&Tip)) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::empty(&files.scope);
    fold(files, tree, &mut loaded, ends)?;
    Ok(loaded)
}

/// Adds every batch to `loaded` and tells its end.
fn fold(files: &Files, tree: &sled::Tree, loaded: &mut Loaded, mut ends: impl FnMut(&Tip)) -> Result<(), StoreError> {
    let mut chunks = tree.iter().peekable();
    while let Some(first) = chunks.next() {
        let (key, value) = first.map_err(|e| crate::tree::failure("read", files, e))?;
        let (serial, place) = split(files, &key)?;
        if (serial, place) != (loaded.tip.serial + 1, 0) {
            return Err(files.damaged(format!("entry {} of its journal is missing", loaded.tip.serial + 1)));
        }
        let mut bytes = value.to_vec();
        let mut place = 1u32;
        while let Some(Ok((key, value))) = chunks.peek() {
            if split(files, key)? != (serial, place) {
                break;
            }
            bytes.extend_from_slice(value);
            (_, place) = (chunks.next(), place + 1);
        }
        append(files, loaded, &bytes)?;
        ends(&loaded.tip);
    }
    Ok(())
}

fn split(files: &Files, key: &[u8]) -> Result<(u64, u32), StoreError> {
    let (serial, place) = key.split_at_checked(8).ok_or_else(|| files.damaged("a key of its journal is cut short"))?;
    match (serial.try_into(), place.try_into()) {
        (Ok(serial), Ok(place)) => Ok((u64::from_be_bytes(serial), u32::from_be_bytes(place))),
        _ => Err(files.damaged("a key of its journal has another length")),
    }
}

fn append(files: &Files, loaded: &mut Loaded, bytes: &[u8]) -> Result<(), StoreError> {
    let serial = loaded.tip.serial + 1;
    let wrong = |what: &str| files.damaged(format!("entry {serial} of its journal {what}"));
    let (says, json) = bytes.split_at_checked(SUM).ok_or_else(|| wrong("is cut short"))?;
    let sum = sum(&loaded.tip, json);
    if sum.as_bytes() != says {
        return Err(wrong("has a wrong checksum"));
    }
    let batch: Batch = serde_json::from_slice(json).map_err(|e| wrong(&format!("cannot be read: {e}")))?;
    let lineage = &mut loaded.snapshot.lineage;
    if serial == 1 {
        lineage.clone_from(&batch.lineage);
    }
    if batch.scope != files.scope || batch.lineage != *lineage {
        return Err(wrong(&format!("is of {}, or of another history", batch.scope)));
    }
    loaded.snapshot.admits(&batch.entries).map_err(|e| wrong(&format!("cannot follow: {e}")))?;
    batch.entries.iter().for_each(|entry| loaded.snapshot.apply(entry));
    loaded.entries.extend(batch.entries);
    loaded.tip = Tip { lineage: batch.lineage, serial: loaded.snapshot.serial, sum: sum.to_hex().to_string() };
    Ok(())
}
