//! What tests of several crates share: stores and worlds in memory, and the contracts that every implementation passes.

pub mod entries;
pub mod memory;
pub mod store_contract;
pub mod world;

pub use memory::{Fault, MemoryStore};
