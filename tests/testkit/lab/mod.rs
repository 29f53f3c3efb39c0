//! AWS on this machine: moto, a layer in front of it that is as strict as AWS, and what looks at it from outside.
//!
//! Tests start all of it themselves; the first to need the Python packages installs them into a cache. The Python side is
//! `tests/lab/aws_lab`. Whatever is started here ends with its value, and with the process of the test, however that ends.
//!
//! Helpers of tests: what cannot be done panics, and says what it was.

mod bodies;
mod buckets;
mod http;
mod install;
mod moto;
mod network;
mod process;
mod strict;
mod world;

pub use bodies::{Bodies, Host};
pub use buckets::{Azurite, Gcs, create_s3};
pub use install::published;
pub use moto::Moto;
pub use network::Network;
pub use strict::{Call, Fault, Settings, Strict};
pub use world::World;

/// Where everything of a test is, unless it says otherwise.
pub const REGION: &str = "us-west-2";
