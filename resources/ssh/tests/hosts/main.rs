//! The host and the kind `connection` against OpenSSH's own server, on addresses of this machine.

#![allow(clippy::unwrap_used)]

mod access;
mod commands;
mod connections;
mod many;
mod support;
mod waiting;
