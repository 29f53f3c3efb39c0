//! Provider `aws`: workspaces, clusters, storages and databases in an account of Amazon Web Services.
//!
//! Everything that is made carries our marks as tags from the call that makes it, so that refresh lists whole kinds at once
//! and an answer that was lost is found again. [`api`] is all that is asked of AWS; `sdk` says it over the vendor's SDK and
//! is the only file that names it, so everything else compiles and is tested without.

#[cfg(test)]
mod account_tests;
pub mod api;
mod config;
mod error;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod key_file;
mod kinds;
mod model;
mod names;
mod policies;
mod provider;
#[cfg(any(feature = "sdk", test))]
mod query;
#[cfg_attr(not(any(feature = "sdk", test)), allow(dead_code, reason = "only calls wait for their turn"))]
mod rate;
#[cfg(any(feature = "sdk", test))]
mod repeat;
mod rules;
mod schema;
#[cfg(feature = "sdk")]
pub mod sdk;
mod tags;
#[cfg(test)]
mod trial;

pub use provider::{Account, Aws, Connect, Keys, Options};

/// AWS itself, with the credentials and endpoints that Amazon's own tools would use.
#[cfg(feature = "sdk")]
pub fn connect() -> std::sync::Arc<dyn Connect> {
    std::sync::Arc::new(sdk::Connector::default())
}
