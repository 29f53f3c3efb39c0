//! What a user does with a node besides running commands: folders sent and fetched, ports forwarded, a proxy into its
//! network. On any [`Host`](cloudtik_core::host::Host), by nothing but its methods and a node's `sh`, `find` and `tar`.

mod download;
mod forward;
mod socks;
mod upload;
mod walk;

pub use download::download;
pub use forward::{Said, forward, listen};
pub use socks::socks;
pub use upload::upload;

/// How far a transfer is, or what it moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Files and links; of a download, known at its end.
    pub files: u64,
    pub bytes: u64,
    /// What is neither file, folder nor link: sockets, pipes, devices.
    pub skipped: u64,
}

/// A path as a user writes it, for a command over there: `~` is where every command starts.
fn remote(path: &str) -> &str {
    match path {
        "~" | "~/" | "" => ".",
        other => other.strip_prefix("~/").unwrap_or(other),
    }
}
