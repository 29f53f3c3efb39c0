//! The local state store: one crash-safe `redb` file per scope below a state home.
//!
//! ```text
//! <home>/<workspace>/workspace.redb            the workspace's scope
//! <home>/<workspace>/workspace.lock            its lock, with the holder in it
//! <home>/<workspace>/workspace.json            a readable backup, from after the last revision
//! <home>/<workspace>/clusters/<cluster>.redb   a cluster's scope, with its lock and backup beside it
//! <home>/<workspace>/storages/<name>.redb      likewise a storage's, and below `databases` a database's
//! <home>/<workspace>/….damaged-<time>          what a repair has put aside
//! ```
//!
//! Invariants that a change could break:
//! - A file that has its final name is complete: databases and backups are made under another name and renamed.
//! - What an append acknowledged is on the disk; a batch is one transaction, so it is there as a whole or not at all.
//! - Nothing is trusted because it could be read: every stored value carries a checksum over its place and its bytes, and the
//!   head carries one sum over all records, the number of journal entries, and the scope's lineage. Damage is an error that
//!   names the file and what to run; never a panic, never an empty state.
//! - Readers write nothing and take no lock that an apply waits for longer than a copy of the file takes.

mod backup;
mod database;
mod layout;
mod load;
mod lock;
mod repair;
mod reserve;
mod salvage;
mod seal;
mod store;
mod tables;
#[cfg(test)]
mod tampered;
mod writer;

pub use store::RedbStore;
