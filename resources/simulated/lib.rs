//! A world that is only played: any provider's kinds, kept in memory, on a virtual clock, with whatever may go wrong.
//!
//! [`World::provider`] puts an actor in front of a real provider: it has that provider's name, kinds, limits and batches and
//! none of its calls. [`World::live`] is the life of one process in it, which may end anywhere. All that happens follows from
//! [`Conditions`] and from what is asked: the same seed and the same requests give the same log, byte for byte. For that
//! nothing here may look at the real clock, at random numbers of the system or at the order of a hash map, and a life must
//! run on one thread.

mod bucket;
mod chance;
mod clock;
mod conditions;
mod crash;
mod object;
mod outputs;
mod provider;
mod store;
mod world;

pub use chance::Chance;
pub use conditions::{Boot, Busy, Chaos, Conditions};
pub use object::Object;
pub use store::Doomed;
pub use world::World;
