//! What a scope's database holds. A change here is a change of [`FORMAT`].

use cloudtik_core::state::Elsewhere;
use redb::TableDefinition;
use serde::{Deserialize, Serialize};

/// Version of the tables and of the JSON in them ([`cloudtik_core::state::FORMAT`]). The first value of `META` says it; that
/// cell keeps its form in every version. Every earlier one is read too, and is this one after the next append.
pub(crate) const FORMAT: u32 = 4;

type Sealed = &'static [u8];

/// `format` and `head`.
pub(crate) const META: TableDefinition<&str, Sealed> = TableDefinition::new("meta");
/// Every entry ever appended, by serial, from 1.
pub(crate) const JOURNAL: TableDefinition<u64, Sealed> = TableDefinition::new("journal");
/// The current records, by address: what folding the journal gives.
pub(crate) const RECORDS: TableDefinition<&str, Sealed> = TableDefinition::new("records");
/// Intents without a result, by the serial of their entry.
pub(crate) const OPEN: TableDefinition<u64, Sealed> = TableDefinition::new("open");
/// Revisions by number, each with the serial of its entry.
pub(crate) const REVISIONS: TableDefinition<u64, Sealed> = TableDefinition::new("revisions");

pub(crate) const FORMAT_KEY: &str = "format";
pub(crate) const HEAD_KEY: &str = "head";

/// Ties the tables together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub scope: cloudtik_core::Scope,
    pub lineage: String,
    pub serial: u64,
    pub revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    pub records: u64,
    pub open: u64,
    /// [`crate::seal::Sum`] over the sealed records and open intents.
    pub sum: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredRevision {
    pub serial: u64,
    pub revision: cloudtik_core::state::Revision,
}
