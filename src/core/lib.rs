//! The vocabulary of the program and the traits that its parts meet at.
//!
//! No input or output happens here, no YAML is read and no runtime is started. Everything else depends on this crate and
//! this crate depends on nothing of ours. Collections that reach a plan or a state are ordered, so equal inputs give
//! equal bytes.

pub mod address;
pub mod batch;
pub mod cidr;
pub mod declaration;
pub mod diagnostic;
pub mod digest;
pub mod document;
pub mod event;
pub mod export;
pub mod failure;
pub mod file_name;
pub mod host;
pub mod node;
pub mod origin;
pub mod plan;
pub mod provider;
pub mod schema;
pub mod secret;
pub mod state;
pub mod value;

pub use address::{Address, ProviderName, Scope};
pub use declaration::{Declaration, Dependency, Lifecycle, Rolling};
pub use diagnostic::{Diagnostic, Severity};
pub use digest::Digest;
pub use failure::{Effect, Failure, FailureKind, Retry};
pub use origin::{Origin, Sources, Tree, TreeValue};
pub use value::{Attrs, Needs, Reference, Secret, Value};
