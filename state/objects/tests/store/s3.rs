//! The contract, and races, against moto's S3: conditional puts over the wire.

use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::{
    lab::{Moto, create_s3},
    store_contract::Clients,
};
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

/// A client of a new bucket of the one server of these tests, which ends with the process.
pub fn bucket() -> ObjectsStore {
    let (endpoint, name) = made();
    client(&endpoint, &name)
}

/// A new bucket: the server's endpoint, and its name.
pub fn made() -> (String, String) {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    static BUCKETS: AtomicU32 = AtomicU32::new(0);
    let moto = MOTO.get_or_init(Moto::start);
    let name = format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::SeqCst));
    create_s3(moto, &name);
    (moto.endpoint(), name)
}

pub fn client(endpoint: &str, bucket: &str) -> ObjectsStore {
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint.into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "test".into()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    ObjectsStore::open_with(&format!("s3://{bucket}/some/prefix"), settings).unwrap()
}

fn clients(tail: usize) -> (Clients, ()) {
    let store = bucket().with_limits(tail, 3);
    ([Box::new(store.clone()), Box::new(store)], ())
}

mod in_heads {
    cloudtik_testkit::store_contract!(|| super::clients(64 << 10));
}

mod in_pieces {
    cloudtik_testkit::store_contract!(|| super::clients(0));
}
