//! The contract against Azurite. Where npm is missing, each law says that it was skipped.

use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::{lab::Azurite, store_contract::Clients};
use object_store::memory::InMemory;
use std::{
    io::Write,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn clients() -> (Clients, ()) {
    static AZURITE: OnceLock<Result<Azurite, String>> = OnceLock::new();
    static CONTAINERS: AtomicU32 = AtomicU32::new(0);
    let store = match AZURITE.get_or_init(Azurite::start) {
        Ok(azurite) => {
            let name = format!("container-{}", CONTAINERS.fetch_add(1, Ordering::SeqCst));
            azurite.create(&name);
            let settings = [("AZURE_STORAGE_ENDPOINT", azurite.endpoint()), ("AZURE_STORAGE_ACCOUNT_KEY", KEY.into())];
            let settings = settings.map(|(name, value)| (name.to_owned(), value));
            ObjectsStore::open_with(&format!("az://{}/{name}/some/prefix", Azurite::ACCOUNT), settings).unwrap()
        }
        Err(why) => {
            // Past the capture of tests: a skipped test is to be seen.
            let _ = writeln!(std::io::stderr(), "skipped, a bucket in memory took the place of Azurite: {why}");
            ObjectsStore::over(Arc::new(InMemory::new()), "memory://bucket")
        }
    };
    let store = store.with_limits(2000, 3);
    ([Box::new(store.clone()), Box::new(store)], ())
}

cloudtik_testkit::store_contract!(clients);
