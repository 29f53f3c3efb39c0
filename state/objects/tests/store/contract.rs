//! The contract, over a bucket in memory: with entries in the head, and with each batch in a piece of its own.

use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::store_contract::Clients;
use object_store::memory::InMemory;
use std::sync::Arc;

fn clients(tail: usize, segments: usize) -> (Clients, ()) {
    let objects = Arc::new(InMemory::new());
    let store = ObjectsStore::over(objects, "memory://bucket").with_limits(tail, segments);
    ([Box::new(store.clone()), Box::new(store)], ())
}

mod in_heads {
    cloudtik_testkit::store_contract!(|| super::clients(64 << 10, 8));
}

mod in_pieces {
    cloudtik_testkit::store_contract!(|| super::clients(0, 3));
}
