//! What verbs cost in requests.

use crate::faulty::Faulty;
use cloudtik_core::state::Store;
use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::entries::{cluster, history, holder};
use object_store::memory::InMemory;
use std::sync::Arc;

fn kinds(faulty: &Faulty) -> String {
    faulty.log().iter().map(|line| line.split('/').next().unwrap()).collect::<Vec<_>>().join(", ")
}

#[test]
fn an_append_is_one_request_and_a_reader_needs_few() {
    let faulty = Faulty::new(Arc::new(InMemory::new()));
    let store = ObjectsStore::over(faulty.clone(), "memory://bucket");
    let scope = cluster();

    let mut lock = store.lock(&scope, &holder("apply")).unwrap();
    assert_eq!(kinds(&faulty), "GET heads, PUT heads");
    faulty.choose(|_, _| crate::faulty::Fate::Passes);
    (1..=10).for_each(|n| lock.append(&[history(&scope, n)]).unwrap());
    assert_eq!(kinds(&faulty), ["PUT heads"; 10].join(", "));
    faulty.choose(|_, _| crate::faulty::Fate::Passes);
    drop(lock);
    assert_eq!(kinds(&faulty), "PUT heads");
    faulty.choose(|_, _| crate::faulty::Fate::Passes);
    store.read(&scope).unwrap();
    assert_eq!(kinds(&faulty), "GET heads");
}

/// However long the history: a head, a snapshot, and fewer segments than make a snapshot.
#[test]
fn reading_a_long_history_costs_no_more_than_a_short_one() {
    const SEGMENTS: usize = 4;
    let faulty = Faulty::new(Arc::new(InMemory::new()));
    let store = ObjectsStore::over(faulty.clone(), "memory://bucket").with_limits(0, SEGMENTS);
    let scope = cluster();
    let mut lock = store.lock(&scope, &holder("apply")).unwrap();
    let mut most = 0;
    for n in 1..=100 {
        faulty.choose(|_, _| crate::faulty::Fate::Passes);
        lock.append(&[history(&scope, n)]).unwrap();
        assert!(faulty.log().len() <= 3, "segment, snapshot, head: {:?}", faulty.log());
        faulty.choose(|_, _| crate::faulty::Fate::Passes);
        assert_eq!(store.read(&scope).unwrap().serial, n);
        most = most.max(faulty.log().len());
        faulty.choose(|_, _| crate::faulty::Fate::Passes);
        store.history(&scope).unwrap();
        store.at_revision(&scope, 1).unwrap();
        assert!(faulty.log().len() <= 2 * (1 + SEGMENTS) + SEGMENTS, "{:?}", faulty.log());
    }
    assert_eq!(most, 1 + SEGMENTS);
}
