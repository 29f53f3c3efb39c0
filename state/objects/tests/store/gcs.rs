//! The contract by Cloud Storage's generations, against the laboratory's own service.

use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::{lab::Gcs, store_contract::Clients};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

fn clients() -> (Clients, ()) {
    static GCS: OnceLock<Gcs> = OnceLock::new();
    static BUCKETS: AtomicU32 = AtomicU32::new(0);
    let gcs = GCS.get_or_init(Gcs::start);
    let name = format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::SeqCst));
    gcs.create(&name);
    let settings = [("STORAGE_EMULATOR_HOST".to_owned(), gcs.endpoint())];
    let store = ObjectsStore::open_with(&format!("gs://{name}"), settings).unwrap().with_limits(2000, 3);
    ([Box::new(store.clone()), Box::new(store)], ())
}

cloudtik_testkit::store_contract!(clients);
