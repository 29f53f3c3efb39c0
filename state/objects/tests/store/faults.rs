//! Lost requests, lost answers, and a kill at every one of them.

use crate::faulty::{Fate, Faulty};
use cloudtik_core::{
    Scope,
    state::{Entry, Locked, Snapshot, Store, StoreError},
};
use cloudtik_objects::ObjectsStore;
use cloudtik_testkit::entries::{cluster, history, holder};
use futures::StreamExt;
use object_store::{ObjectStore, memory::InMemory};
use std::sync::Arc;

/// A bucket, what goes wrong on the way to it, and the store beyond.
fn place(tail: usize) -> (Arc<Faulty>, ObjectsStore, ObjectsStore) {
    let objects = Arc::new(InMemory::new());
    let faulty = Faulty::new(objects.clone());
    let over = |objects| ObjectsStore::over(objects, "memory://bucket").with_limits(tail, 2);
    (faulty.clone(), over(faulty), over(objects))
}

fn entries(scope: &Scope, numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    numbers.map(|n| history(scope, n)).collect()
}

fn lock(store: &ObjectsStore) -> Box<dyn Locked> {
    store.lock(&cluster(), &holder("apply")).unwrap()
}

fn read(store: &ObjectsStore) -> Snapshot {
    store.check(&cluster()).unwrap();
    store.read(&cluster()).unwrap()
}

#[test]
fn a_lost_request_or_answer_does_not_lose_the_lock() {
    for (tail, fate) in [(64 << 10, Fate::RequestLost), (64 << 10, Fate::AnswerLost)] {
        let (faulty, store, beyond) = place(tail);
        let mut lock = lock(&store);
        for n in 1..=3 {
            faulty.choose(move |number, _| if number == 0 { fate } else { Fate::Passes });
            lock.append(&entries(&cluster(), n..=n)).unwrap();
            assert_eq!(read(&beyond).serial, n, "stored once");
        }
        faulty.choose(move |number, _| if number == 0 { fate } else { Fate::Passes });
        drop(lock);
        assert_eq!(beyond.lease(&cluster()).unwrap(), None, "given back");
    }
}

#[test]
fn a_lock_whose_answer_was_lost_is_taken() {
    let (faulty, store, beyond) = place(64 << 10);
    faulty.choose(|_, what| if what.starts_with("PUT") { Fate::AnswerLost } else { Fate::Passes });
    let lock = lock(&store);
    assert_eq!(beyond.lease(&cluster()).unwrap().unwrap().fence, 1, "once");
    drop(lock);
}

/// The process ends before, or after, each request of an append in turn.
#[test]
fn a_kill_at_any_request_leaves_all_of_a_batch_or_nothing() {
    for tail in [64 << 10, 0] {
        for before in [Fate::RequestLost, Fate::AnswerLost] {
            for number in 0..3 {
                let (faulty, store, beyond) = place(tail);
                let mut lock = lock(&store);
                lock.append(&entries(&cluster(), 1..=2)).unwrap();
                let killed = faulty.clone();
                faulty.choose(move |at, _| {
                    if at == number {
                        killed.kill();
                        return before;
                    }
                    Fate::Passes
                });
                let done = lock.append(&entries(&cluster(), 3..=5));
                let seen = read(&beyond).serial;
                assert!(seen == 5 || seen == 2 && done.is_err(), "{seen} after {done:?}");
                drop(lock);

                // The next owner goes on, and what the killed one left beside the head goes.
                let silent = beyond.lease(&cluster()).unwrap();
                let mut next = match silent {
                    Some(silent) => beyond.take_over(&cluster(), &holder("apply"), &silent).unwrap(),
                    None => self::lock(&beyond),
                };
                next.append(&entries(&cluster(), seen + 1..=16)).unwrap();
                drop(next);
                let now = read(&beyond);
                assert_eq!((now.serial, now.revision), (16, 1));
            }
        }
    }
}

#[test]
fn an_owner_that_was_succeeded_is_told_by_whom() {
    let (_, store, beyond) = place(64 << 10);
    let mut lock = lock(&store);
    lock.append(&entries(&cluster(), 1..=1)).unwrap();
    let silent = beyond.lease(&cluster()).unwrap().unwrap();
    let successor = beyond.take_over(&cluster(), &holder("destroy"), &silent).unwrap();
    match lock.append(&entries(&cluster(), 2..=2)) {
        Err(StoreError::Fenced { by: Some(by), .. }) => assert_eq!(by.holder.doing, "destroy"),
        other => panic!("not fenced: {other:?}"),
    }
    assert_eq!(read(&beyond).serial, 1);
    drop(successor);
}

/// A batch that is too large for the head is put beside it first; what a killed owner put there is removed by the next.
#[test]
fn what_no_head_names_is_removed() {
    let objects = Arc::new(InMemory::new());
    let faulty = Faulty::new(objects.clone());
    let store = ObjectsStore::over(faulty.clone(), "memory://bucket").with_limits(0, 2);
    let beyond = ObjectsStore::over(objects.clone(), "memory://bucket").with_limits(64 << 10, 2);
    let pieces = || count(&objects);
    let mut lock = lock(&store);
    lock.append(&entries(&cluster(), 1..=2)).unwrap();
    let before = pieces();
    let killed = faulty.clone();
    faulty.choose(move |_, what| {
        if what.starts_with("PUT heads") {
            killed.kill();
            return Fate::RequestLost;
        }
        Fate::Passes
    });
    lock.append(&entries(&cluster(), 3..=4)).unwrap_err();
    assert!(pieces() > before, "its segment is there, and nobody names it");
    let silent = beyond.lease(&cluster()).unwrap().unwrap();
    let mut next = beyond.take_over(&cluster(), &holder("apply"), &silent).unwrap();
    next.append(&entries(&cluster(), 3..=16)).unwrap();
    drop(next);
    assert_eq!(pieces(), before);
    assert_eq!(read(&beyond).serial, 16);
}

/// How many pieces there are.
fn count(objects: &InMemory) -> usize {
    let prefix = object_store::path::Path::from("pieces");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(objects.list(Some(&prefix)).collect::<Vec<_>>()).len()
}
