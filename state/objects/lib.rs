//! State in a bucket that many machines share: S3, Google Cloud Storage, Azure Blob.
//!
//! A scope is one small object, its *head*, and immutable *pieces* that the head names: segments of the journal, and now and
//! then a snapshot. The head holds the lease, the newest entries themselves, and where the rest is. It changes only by a write
//! that is conditional on the version it replaces, and that write is the fence: whoever has lost the scope fails there, and what
//! it put beside the head is named by nobody.
//!
//! Invariants: a head is written by nobody but the owner of its fence, or by the next owner with a higher one. Pieces are
//! written under new names before the head that names them, and are never changed. Each write of a head has an id, so that one
//! whose answer was lost is known again.
//!
//! The crate `object_store` is named in `bucket`, `place` and `failure` only. Its futures run on a thread of their own, since
//! stores are called from within the program's runtime.

mod alive;
mod bucket;
mod check;
mod failure;
mod head;
mod layout;
mod load;
mod place;
mod seat;
mod store;
mod worker;
mod writer;

pub use store::ObjectsStore;
