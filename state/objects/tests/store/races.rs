//! Many at once, over the wire.

use crate::s3;
use cloudtik_core::state::{Store, StoreError};
use cloudtik_testkit::entries::{cluster, history, holder};
use std::sync::{Arc, Barrier};

#[test]
fn of_fifty_that_lock_at_once_one_wins() {
    const LOCKERS: usize = 50;
    let store = s3::bucket();
    let barrier = Arc::new(Barrier::new(LOCKERS));
    let lockers: Vec<_> = (0..LOCKERS)
        .map(|n| {
            let (store, barrier) = (store.clone(), barrier.clone());
            std::thread::spawn(move || {
                barrier.wait();
                store.lock(&cluster(), &holder(&format!("apply {n}")))
            })
        })
        .collect();
    let ended: Vec<_> = lockers.into_iter().map(|locker| locker.join().unwrap()).collect();
    let (winners, losers): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!(winners.len(), 1);
    let held = store.lease(&cluster()).unwrap().unwrap();
    for loser in losers {
        match loser {
            Err(StoreError::Locked { lease, .. }) => assert_eq!(lease.holder, held.holder),
            Err(other) => panic!("not locked out: {other}"),
            Ok(_) => unreachable!("those are winners"),
        }
    }
}

/// Two clients append by turns as each finds the lock free: no entry is lost and none is there twice.
#[test]
fn two_that_take_turns_lose_nothing() {
    const ENTRIES: u64 = 24;
    let store = s3::bucket().with_limits(2000, 3);
    let scope = cluster();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (store, scope) = (store.clone(), scope.clone());
            std::thread::spawn(move || {
                loop {
                    match store.lock(&scope, &holder("apply")) {
                        Ok(lock) if lock.snapshot().serial >= ENTRIES => return,
                        Ok(mut lock) => {
                            let next = lock.snapshot().serial + 1;
                            lock.append(&[history(&scope, next)]).unwrap();
                        }
                        Err(StoreError::Locked { .. }) => std::thread::yield_now(),
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    store.check(&scope).unwrap();
    assert_eq!(store.read(&scope).unwrap().serial, ENTRIES);
    assert_eq!(store.history(&scope).unwrap().len(), 1);
}
