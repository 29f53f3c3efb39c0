//! What tests of several crates share: stores and worlds in memory, the contracts that every implementation passes, and a
//! laboratory with an AWS in it.

pub mod dice;
pub mod entries;
pub mod lab;
pub mod small_disk;
pub mod store_contract;
pub mod world;

pub use cloudtik_memory::{Fault, MemoryStore};
