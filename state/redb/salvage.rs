//! What of a journal can be read out of a database that `redb` does not take, or that is wrong.
//!
//! Every entry is sealed with its serial, so it is known for what it is wherever in the file it turns up: nothing else that the
//! file says about itself is believed. Two different entries under one serial (the other was never committed) count as none.

use crate::{database, layout::Files, seal, tables::JOURNAL};
use cloudtik_core::state::{Entry, StoreError};
use redb::{Error, ReadableDatabase, ReadableTable};
use std::collections::BTreeMap;

/// Journal entries by their serial.
pub(crate) type Found = BTreeMap<u64, Entry>;

/// All entries that can be read in the bytes of a database file; none is made up, some may be missing.
pub(crate) fn entries(bytes: Vec<u8>, files: &Files) -> Found {
    let scanned = scan(&bytes);
    let mut found: Found = scanned.into_iter().filter_map(|(serial, entry)| Some((serial, entry?))).collect();
    // What `redb` has checked is what was committed.
    let listed = database::open_copy(bytes, files)
        .and_then(|database| listed(&database).map_err(|e: Error| database::failure("read", files, e)));
    found.extend(listed.unwrap_or_else(|_: StoreError| Found::new()));
    found
}

fn listed(database: &redb::Database) -> Result<Found, Error> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(JOURNAL)?;
    let mut found = Found::new();
    for row in table.iter()? {
        let (serial, sealed) = row?;
        found.extend(open(serial.value(), sealed.value()));
    }
    Ok(found)
}

fn open(serial: u64, sealed: &[u8]) -> Option<(u64, Entry)> {
    Some((serial, seal::open("journal", &serial.to_be_bytes(), sealed).ok()?))
}

/// `redb` begins its pages at multiples of this.
const PAGE: usize = 4096;
/// The first byte of a page with values.
const LEAF: u8 = 1;

/// Looks at every page as if it held journal entries. `None`: different ones under the same serial.
fn scan(bytes: &[u8]) -> BTreeMap<u64, Option<Entry>> {
    let mut found: BTreeMap<u64, Option<Entry>> = BTreeMap::new();
    for start in (0..bytes.len()).step_by(PAGE) {
        for (serial, entry) in leaf(&bytes[start..]) {
            found
                .entry(serial)
                .and_modify(|known| {
                    if known.as_ref() != Some(&entry) {
                        *known = None;
                    }
                })
                .or_insert(Some(entry));
        }
    }
    found
}

/// The journal entries of a page: a byte that says leaf, one unused, the number of pairs (u16), where each value ends from the
/// page's start (u32), the keys (u64), the values. Source: redb 4.6, `tree_store/btree_base.rs`, `LeafAccessor`.
fn leaf(page: &[u8]) -> Vec<(u64, Entry)> {
    let pairs = match page {
        [LEAF, _, low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => return Vec::new(),
    };
    let keys = 4 + 4 * pairs;
    let mut start = keys + 8 * pairs;
    let mut found = Vec::new();
    for pair in 0..pairs {
        let (Some(end), Some(serial)) = (number::<4>(page, 4 + 4 * pair), number::<8>(page, keys + 8 * pair)) else {
            break;
        };
        let Some(sealed) = usize::try_from(end).ok().and_then(|end| page.get(start..end)) else { break };
        found.extend(open(serial, sealed));
        start += sealed.len();
    }
    found
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(page: &[u8], at: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(page.get(at..at + N)?);
    Some(u64::from_le_bytes(wide))
}
