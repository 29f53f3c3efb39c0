//! Whole commands as a user sees them: exit code, stdout and stderr, compared with the transcripts in `cases/`.
//!
//! Every test has a state folder, a home and a cache of its own and makes nodes by the model that needs no privileges, so
//! that it runs anywhere. `UPDATE=1 cargo test --test cli` rewrites the transcripts: read each changed line.

#![allow(clippy::unwrap_used)]

mod bench;
mod canaries;
mod changes;
mod documents;
mod events;
mod filters;
mod graphs;
mod help;
mod locks;
mod moves;
mod plans;
mod rehearsals;
mod repair;
mod shape;
mod storage;
mod undo;
mod workspaces;
