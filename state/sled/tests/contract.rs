//! The contract of every store, on sled.

use cloudtik_core::state::Store;
use cloudtik_sled::SledStore;
use cloudtik_testkit::store_contract::Clients;
use tempfile::TempDir;

cloudtik_testkit::store_contract!(clients);

/// Two clients of a state home that does not exist yet.
fn clients() -> (Clients, TempDir) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let client = || Box::new(SledStore::new(folder.path().join("state/home"))) as Box<dyn Store>;
    ([client(), client()], folder)
}
