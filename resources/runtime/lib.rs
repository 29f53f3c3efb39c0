//! Runtime manifests, and what they become on any host.
//!
//! A runtime is a folder of data (`templates/runtimes/<name>`): [`manifest`] is its shape, [`Catalog`] the ones there are.
//! [`declare`] compiles the runtimes that a cluster selects, its shell commands and its file mounts to declarations;
//! [`Runtime`] carries them out on nodes through `core::host::Host`. Nothing here knows how a node was made, and no
//! runtime is named in code: what is special about one stands in its folder.

mod artifact;
mod catalog;
mod compile;
mod extras;
mod facts;
mod hosts;
mod kinds;
mod launch;
pub mod manifest;
mod pass;
pub mod probe;
mod provider;
mod render;
mod settings;

pub use catalog::Catalog;
pub use compile::{Compiled, declare};
pub use extras::ENVIRONMENT;
pub use launch::{Launch, launcher};
pub use provider::{Runtime, name};
