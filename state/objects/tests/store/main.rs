//! The shared store against the contract of all stores, against real servers, and against what can go wrong between.

#![allow(clippy::unwrap_used)]

mod azure;
mod contract;
mod faults;
mod faulty;
mod gcs;
mod races;
mod requests;
mod s3;
mod stalled;
