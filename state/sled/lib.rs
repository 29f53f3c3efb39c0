//! A state store on `sled` 0.34, guarded against what it gets wrong. It is there because it was asked for; the local store is
//! `cloudtik-redb`.
//!
//! ```text
//! <home>/<workspace>/workspace.sled/            the workspace's scope
//! <home>/<workspace>/clusters/<cluster>.sled/   a cluster's; below `storages` and `databases` likewise
//!     tree/         what `sled` writes: the scope's journal, nothing else
//!     guard.json    how far that journal had come at the last acknowledged append
//!     lease.json    who holds the scope's lock
//!     gate          locked by the process that has `tree` open
//!     export.json   the state after the last revision, as `state import` reads it
//! ```
//!
//! Invariants that a change could break:
//! - `sled`'s flush is no fsync. An append is acknowledged after its files were synced through handles of our own and the
//!   guard was replaced durably: first the tree, then the guard, so a tree is never behind its guard unless it was damaged. It
//!   may be ahead by what was not acknowledged.
//! - After damage `sled` rolls back or gives other values without a word. Every batch carries a checksum over itself and the
//!   one before it; a journal that does not pass through the guard's point is damage.
//! - No value is longer than [`journal::CHUNK`]: longer ones would go into files of their own, which `sled` never syncs.
//! - `snap.*.generating` is removed before `sled` opens, since one that was left by a full disk is `Corruption` to it.
//! - A panic of `sled`'s, which some files that were cut short cause, is damage like any other ([`catches`]).
//!
//! What it cannot do: `sled` lets one process open a tree, and opening writes. While one process holds a scope's lock others
//! cannot read it and are told who holds it; readers wait for each other, [`tree::PATIENCE`] at most. A run that is stopped,
//! not ended, keeps the tree, so only its own process can be made to hand the scope over: end it first. State is made from
//! the whole journal at each read. Home and runs are of one machine.

mod export;
mod guard;
mod journal;
mod layout;
mod lease;
mod place;
mod repair;
mod store;
mod tree;
mod writer;

pub use store::SledStore;
pub use tree::catches;
