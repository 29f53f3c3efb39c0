//! Documents in: YAML with places, templates merged, everything checked, and typed documents out.
//!
//! This crate is the only user of the YAML parser. It reads files and nothing else: it prints nothing, knows no cloud
//! and no runtime beyond their names and keys. Problems are gathered as [`cloudtik_core::Diagnostic`]s, each with its
//! place; no input makes it panic or recurse without bound.
//!
//! The way of a document: [`input`] reads, [`compose`] makes a located tree, [`inherit`] follows `from` and [`merge`]s,
//! [`overrides`] lays the command line over it, [`walk`] and [`semantic`] check, [`model`] makes the core's types.

// Diagnostics travel by value here, as in every part that gathers them; this is not a hot path.
#![allow(clippy::result_large_err)]

mod compose;
mod cross;
mod fetch;
pub mod file;
mod formats;
mod inherit;
mod input;
mod load;
mod machines;
mod mend;
mod merge;
mod model;
mod names;
mod overrides;
mod reference;
mod resolved;
mod scalar;
mod schema;
mod semantic;
mod suggest;
mod syntax;
mod templates;
mod text;
mod walk;

pub use fetch::{fetched_values, value_of};
pub use load::{Kind, LoadOptions, Loaded, Problems, Purpose, load, parse_bytes};
pub use reference::{Reference, reference};
pub use resolved::{ResolvedLine, resolved, secrets};
pub use schema::schema;
