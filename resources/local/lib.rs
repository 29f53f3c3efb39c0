//! Provider `local`: nodes, networks, firewalls and buckets on one Linux machine, with no account and mostly no root.
//!
//! A workspace is a router in namespaces of its own and nodes nested in them; where the machine refuses that, addresses
//! of 127.0.0.0/8. The program itself is pause process and helper, by hidden subcommands ([`hidden`]): no other program
//! is run. What exists is written down in one record per workspace (`world`), before it is made.

mod agent_socket;
mod config;
mod egress;
mod environment;
mod error;
mod firewall;
mod helper;
mod host;
mod keys;
mod kinds;
mod launcher;
mod limits;
mod model;
mod netlink;
mod nft;
mod probe;
mod process;
mod provider;
mod publish;
mod relay;
mod sshd;
mod sys;
mod wire;
mod world;

pub use config::LocalConfig;
pub use helper::hidden;
pub use host::LocalConnector;
pub use provider::Local;
