//! The program against an AWS of this machine: moto, with a layer before it that is as strict as AWS.
//!
//! `tests/lab` has the laboratory. `cargo test --workspace --features aws --test aws`: features are those of the whole
//! workspace, so that the vendor's SDK is compiled once.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests, too

#[path = "../common/mod.rs"]
mod common;

mod account;
mod adoption;
mod calls;
mod documents;
mod faults;
mod kills;
mod lifecycle;
mod spark;
