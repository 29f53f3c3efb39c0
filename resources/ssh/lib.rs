//! `Host` over SSH.
