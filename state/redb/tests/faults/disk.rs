//! A full disk.

use super::*;
use cloudtik_core::{
    Declaration,
    event::{Event, Observer, Silent},
    plan::Mode,
};
use cloudtik_engine::{ApplyOptions, Input, Interrupt, Options, RefreshPolicy, Registry, Summary};
use cloudtik_testkit::{
    small_disk::SmallDisk,
    world::{World, scope, thing},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

#[test]
fn a_full_disk_refuses_an_append_and_loses_nothing() {
    let (store, home) = scratch();
    let Some(disk) = SmallDisk::mount(home.path(), "2m") else {
        eprintln!("SKIPPED a_full_disk_refuses_an_append_and_loses_nothing: mounting a tmpfs needs root");
        return;
    };
    let mut lock = lock(&store);
    lock.append(&entries(1..=8)).unwrap();
    let ballast = home.path().join("ballast");
    let full = std::fs::write(&ballast, vec![0; 4 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let refused = loop {
        let next = lock.snapshot().serial + 1;
        if let Err(e) = lock.append(&entries(next..=next + 63)) {
            break e;
        }
    };
    assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
    let acknowledged = lock.snapshot().clone();
    assert_eq!(acknowledged, prefix(&acknowledged.lineage, acknowledged.serial));
    let read = store.read(&cluster()).unwrap();
    assert!([acknowledged.serial, acknowledged.serial + 64].contains(&read.serial), "{}", read.serial);
    assert_eq!(read, prefix(&acknowledged.lineage, read.serial));

    std::fs::remove_file(&ballast).unwrap();
    lock.append(&[]).unwrap();
    let next = lock.snapshot().serial + 1;
    lock.append(&entries(next..=next + 63)).expect("the same writer goes on once there is room");
    drop(lock);
    let read = store.read(&cluster()).unwrap();
    assert_eq!(read, prefix(&acknowledged.lineage, next + 63));
    store.check(&cluster()).unwrap();
    drop(disk);
}

/// Fills the disk once so many operations are done.
struct Filler {
    ballast: PathBuf,
    after: usize,
    done: AtomicUsize,
}

impl Observer for Filler {
    fn event(&self, event: Event) {
        if matches!(event, Event::OperationFinished { .. })
            && self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.after
        {
            let full = std::fs::write(&self.ballast, vec![0; 16 << 20]).expect_err("it is more than the disk");
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        }
    }
}

fn apply(store: &RedbStore, world: &World, declarations: &[Declaration], observer: &dyn Observer) -> Summary {
    let registry = Registry::new([world.provider()]);
    let scopes = BTreeSet::from([scope()]);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        world.begin();
        let mut lock = store.lock(&scope(), &holder("apply")).expect("the lock is free");
        cloudtik_engine::settle(&registry, &mut *lock, &Silent).await.expect("nothing is open");
        let state = BTreeMap::from([(scope(), lock.snapshot().clone())]);
        let observed = cloudtik_engine::observe(&registry, declarations, &scopes, &state, RefreshPolicy::All, &Silent)
            .await
            .expect("refresh works");
        let plan = cloudtik_engine::plan(&Input {
            mode: Mode::Normal,
            declarations,
            scopes: &scopes,
            state: &state,
            observed: &observed,
            kinds: registry.kinds(),
            options: &Options::default(),
        })
        .expect("the plan has no problems");
        let (_keep, interrupt) = tokio::sync::watch::channel(Interrupt::No);
        let options =
            ApplyOptions { who: "test@here".into(), command: "apply".into(), interrupt, parallelism: Some(4) };
        let locks = BTreeMap::from([(scope(), lock)]);
        cloudtik_engine::apply(&plan, &registry, locks, &BTreeMap::new(), options, observer)
            .await
            .expect("results are recorded")
    })
}

/// Whatever was made is recorded, nothing new is started, and the next run makes the rest once there is room.
#[test]
fn what_runs_when_the_disk_fills_up_is_recorded_and_nothing_new_is_started() {
    const OBJECTS: usize = 60;
    let text = "x".repeat(20_000);
    let nets: Vec<Declaration> =
        (0..OBJECTS).map(|n| thing(&format!("net.n{n}"), &[("cidr", "10.0.0.0/16"), ("note", &text)])).collect();
    for after in [1, 5, 20] {
        let (store, home) = scratch();
        let Some(disk) = SmallDisk::mount(home.path(), "12m") else {
            eprintln!("SKIPPED what_runs_when_the_disk_fills_up_is_recorded…: mounting a tmpfs needs root");
            return;
        };
        let world = World::default();
        let filler = Filler { ballast: home.path().join("ballast"), after, done: AtomicUsize::new(0) };
        let summary = apply(&store, &world, &nets, &filler);
        assert!(summary.failed.is_empty() && summary.unsettled.is_empty(), "{summary:?}");
        assert!(summary.short_of_room.is_some() && !summary.skipped.is_empty(), "{} done", summary.done.len());
        let made = world.objects().len();
        assert!(made >= after && made < OBJECTS, "{made} after {after}");
        let recorded = store.read(&scope()).unwrap();
        assert_eq!((recorded.records.len(), recorded.open.len()), (made, 0));
        assert_eq!(recorded.revision, 1);
        store.check(&scope()).unwrap();

        let started = apply(&store, &world, &nets, &Silent);
        assert!(started.short_of_room.is_some() && started.done.is_empty(), "a full disk is known from the start");
        assert_eq!(world.objects().len(), made);

        std::fs::remove_file(&filler.ballast).unwrap();
        assert!(apply(&store, &world, &nets, &Silent).is_complete());
        assert_eq!(world.objects().len(), OBJECTS);
        assert_eq!(store.read(&scope()).unwrap().records.len(), OBJECTS);
        drop(disk);
    }
}
