//! The laws that every state store keeps, as functions over two clients of one fresh place.
//!
//! [`store_contract!`](crate::store_contract) makes a test of each.

use crate::entries::*;
use cloudtik_core::{
    Scope,
    state::{Elsewhere, Entry, Holder, Locked, Progress, Snapshot, Store, StoreError},
};
use std::sync::mpsc;

pub type Clients = [Box<dyn Store>; 2];

/// Makes one test of each law; `$make` is a `fn() -> (Clients, T)` that gives a new, empty place at each call, and what keeps
/// that place until the test ends.
#[macro_export]
macro_rules! store_contract {
    ($make:expr) => {
        $crate::store_contract!($make;
            an_unknown_scope_is_empty,
            reading_gives_the_fold_of_what_was_appended,
            a_refused_batch_leaves_no_trace,
            an_open_intent_stays_until_its_result,
            a_lineage_is_fixed_by_the_first_write,
            an_entry_of_another_scope_is_refused,
            a_revision_out_of_turn_is_refused,
            a_lock_excludes_a_second_holder_and_names_the_first,
            a_silent_holder_is_succeeded_and_can_write_no_more,
            a_holder_that_gave_a_sign_of_life_is_not_succeeded,
            scopes_are_locked_apart,
            readers_go_on_while_a_writer_appends,
            readers_go_on_while_writers_come_and_go,
            history_is_newest_first_without_gaps,
            an_old_revision_reads_as_it_was,
            every_value_survives,
            erase_is_refused_while_something_is_left,
            erase_removes_the_scope_with_its_history,
            scopes_are_sorted,
            a_journal_is_every_entry_in_order,
            what_is_elsewhere_admits_moves_only,
            a_history_is_restored_as_it_was,
            a_history_never_takes_the_place_of_another,
            an_export_imports_as_the_same_records,
        );
    };
    ($make:expr; $($law:ident),* $(,)?) => {
        $(
            #[test]
            fn $law() {
                let (clients, _place) = $make();
                $crate::store_contract::$law(&clients);
            }
        )*
    };
}

fn lock(store: &dyn Store, scope: &Scope) -> Box<dyn Locked> {
    store.lock(scope, &holder("apply")).expect("nobody holds the lock")
}

fn append(store: &dyn Store, scope: &Scope, entries: &[Entry]) -> Snapshot {
    let mut lock = lock(store, scope);
    lock.append(entries).expect("a valid batch is stored");
    lock.snapshot().clone()
}

fn held(store: &dyn Store, scope: &Scope) -> Option<Holder> {
    store.lease(scope).expect("the lock can be looked at").map(|lease| lease.holder)
}

fn read(store: &dyn Store, scope: &Scope) -> Snapshot {
    store.read(scope).expect("the scope can be read")
}

/// The fold of the first `serial` entries of the test history.
fn folded(scope: &Scope, lineage: &str, serial: u64) -> Snapshot {
    Snapshot::fold(scope, lineage, &histories(scope, 1..=serial))
}

pub fn an_unknown_scope_is_empty([store, other]: &Clients) {
    let scope = Scope::workspace("nowhere");
    assert_eq!(read(&**store, &scope), Snapshot::empty(&scope));
    assert_eq!(store.history(&scope).expect("readable"), []);
    assert_eq!(store.at_revision(&scope, 1).expect("readable"), None);
    assert_eq!(held(&**store, &scope), None);
    assert_eq!(store.scopes().expect("readable"), []);
    drop(lock(&**store, &scope));
    assert_eq!(other.scopes().expect("readable"), [], "a lock alone is no state");
    assert_eq!(read(&**other, &scope), Snapshot::empty(&scope));
}

pub fn reading_gives_the_fold_of_what_was_appended([store, other]: &Clients) {
    let scope = cluster();
    let mut next = 1;
    for size in [1, 1, 5, 16, 64, 2] {
        let after = append(&**store, &scope, &histories(&scope, next..=next + size - 1));
        next += size;
        assert_eq!(after.serial, next - 1);
        assert_eq!(read(&**other, &scope), after);
        assert_eq!(after, folded(&scope, &after.lineage, next - 1));
        assert_eq!(*lock(&**other, &scope).snapshot(), after);
    }
    let unchanged = append(&**store, &scope, &[]);
    assert_eq!(unchanged.serial, next - 1, "an empty batch is no entry");
}

pub fn a_refused_batch_leaves_no_trace([store, other]: &Clients) {
    let scope = cluster();
    let before = append(&**store, &scope, &histories(&scope, 1..=3));
    let mut lock = lock(&**store, &scope);
    let batch = [edit(vec![put(record(&scope, "new", 1))]), intent(&scope, "new", "new"), revision(9, 0)];
    lock.append(&batch).expect_err("revision 9 does not follow");
    assert_eq!(*lock.snapshot(), before);
    assert_eq!(read(&**other, &scope), before);
    lock.append(&histories(&scope, 4..=4)).expect("the refused batch harms nothing");
    assert_eq!(read(&**other, &scope), folded(&scope, &before.lineage, 4));
}

pub fn an_open_intent_stays_until_its_result([store, other]: &Clients) {
    let scope = cluster();
    let open = |snapshot: Snapshot| -> Vec<String> {
        snapshot.open.iter().map(|intent| format!("{} {}", intent.operation, intent.address.name())).collect()
    };
    append(&**store, &scope, &[intent(&scope, "a", 1), intent(&scope, "b", 2), intent(&scope, "c", 3)]);
    assert_eq!(open(read(&**other, &scope)), ["1 a", "2 b", "3 c"]);
    append(&**store, &scope, &[result(2, vec![put(record(&scope, "b", 1))])]);
    assert_eq!(open(read(&**other, &scope)), ["1 a", "3 c"]);
    append(&**store, &scope, &[intent(&scope, "a", 1), result(4, vec![])]);
    assert_eq!(open(read(&**other, &scope)), ["3 c", "1 a"], "an intent made again is the youngest");
    append(&**store, &scope, &[intent(&scope, "d", 5), result(5, vec![]), result(1, vec![]), result(3, vec![])]);
    assert_eq!(open(read(&**other, &scope)), [""; 0]);
}

pub fn a_lineage_is_fixed_by_the_first_write([store, other]: &Clients) {
    let (one, two) = (cluster(), Scope::cluster("lake", "other"));
    let first = append(&**store, &one, &histories(&one, 1..=1)).lineage;
    assert_eq!(first.len(), 32, "{first}");
    assert!(first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    assert_eq!(append(&**other, &one, &histories(&one, 2..=2)).lineage, first);
    let second = append(&**store, &two, &histories(&two, 1..=1)).lineage;
    assert_ne!(first, second);
    let mut lock = lock(&**store, &two);
    let gone = lock.snapshot().open.iter().map(|intent| result(&intent.operation, vec![])).collect::<Vec<_>>();
    lock.append(&gone).expect("results are stored");
    lock.erase().expect("nothing is left");
    let third = append(&**store, &two, &histories(&two, 1..=1)).lineage;
    assert_ne!(second, third, "a scope made again has another history");
}

pub fn an_entry_of_another_scope_is_refused([store, other]: &Clients) {
    let (scope, foreign) = (cluster(), Scope::workspace("lake"));
    for entry in
        [intent(&foreign, "a", 1), edit(vec![put(record(&foreign, "a", 1))]), result(1, vec![remove(&foreign, "a")])]
    {
        let error = lock(&**store, &scope).append(&[entry]).expect_err("it belongs elsewhere");
        assert!(error.to_string().contains("workspace/lake:instance.a"), "{error}");
    }
    assert_eq!(read(&**other, &scope), Snapshot::empty(&scope));
}

pub fn a_revision_out_of_turn_is_refused([store, other]: &Clients) {
    let scope = cluster();
    let mut lock = lock(&**store, &scope);
    lock.append(&[revision(2, 0)]).expect_err("the first is 1");
    lock.append(&[revision(1, 0), revision(2, 0)]).expect("they follow each other");
    lock.append(&[revision(2, 0)]).expect_err("2 is taken");
    assert_eq!(read(&**other, &scope).revision, 2);
}

pub fn a_lock_excludes_a_second_holder_and_names_the_first([store, other]: &Clients) {
    let scope = cluster();
    let first = store.lock(&scope, &holder("apply")).expect("free");
    for client in [store, other] {
        assert_eq!(held(&**client, &scope), Some(holder("apply")));
        match client.lock(&scope, &holder("destroy")).map(|_| ()) {
            Err(StoreError::Locked { scope: which, lease }) => {
                assert_eq!((which, lease.holder), (scope.clone(), holder("apply")))
            }
            unexpected => panic!("not refused as locked: {unexpected:?}"),
        }
    }
    drop(first);
    assert_eq!(held(&**other, &scope), None);
    let second = other.lock(&scope, &holder("destroy")).expect("free again");
    assert_eq!(held(&**store, &scope), Some(holder("destroy")));
    drop(second);
}

pub fn a_silent_holder_is_succeeded_and_can_write_no_more([store, other]: &Clients) {
    let scope = cluster();
    let mut first = lock(&**store, &scope);
    first.append(&histories(&scope, 1..=2)).expect("it is the holder");
    let silent = other.lease(&scope).expect("readable").expect("it is held");
    let mut second = other.take_over(&scope, &holder("destroy"), &silent).expect("it was silent all the time");
    assert_eq!(second.snapshot().serial, 2, "what the first one wrote is there");
    second.append(&histories(&scope, 3..=3)).expect("it is the holder now");
    let refused = first.append(&histories(&scope, 4..=4));
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    drop(first);
    let now = store.lease(&scope).expect("readable").expect("the end of the first does not end the second");
    assert_eq!(now.holder, holder("destroy"));
    assert!(now.fence > silent.fence, "{} after {}", now.fence, silent.fence);
    second.append(&histories(&scope, 4..=5)).expect("it still is");
    drop(second);
    assert_eq!(read(&**store, &scope).serial, 5);
    store.check(&scope).expect("the journal gives the records");
}

pub fn a_holder_that_gave_a_sign_of_life_is_not_succeeded([store, other]: &Clients) {
    let scope = cluster();
    let mut first = lock(&**store, &scope);
    let before = other.lease(&scope).expect("readable").expect("it is held");
    first.progress(Progress { done: 3, of: 7 });
    let refused = other.take_over(&scope, &holder("destroy"), &before).map(|_| ());
    match refused {
        Err(StoreError::Locked { lease, .. }) => assert_eq!(lease.progress, Some(Progress { done: 3, of: 7 })),
        unexpected => panic!("not refused: {unexpected:?}"),
    }
    first.append(&histories(&scope, 1..=1)).expect("it still is the holder");
    drop(first);
    // One that has ended is no obstacle.
    other.take_over(&scope, &holder("destroy"), &before).expect("nobody holds it");
}

pub fn scopes_are_locked_apart([store, other]: &Clients) {
    let (workspace, cluster) = (Scope::workspace("lake"), cluster());
    let mut one = lock(&**store, &workspace);
    let mut two = lock(&**other, &cluster);
    one.append(&histories(&workspace, 1..=2)).expect("its own lock is held");
    two.append(&histories(&cluster, 1..=4)).expect("its own lock is held");
    assert_eq!(read(&**store, &cluster).serial, 4);
    assert_eq!(read(&**other, &workspace).serial, 2);
}

/// One writer holds the lock all the time.
pub fn readers_go_on_while_a_writer_appends([store, other]: &Clients) {
    let mut held = None;
    readers_see_growing_prefixes(&**other, &mut |scope, batch| {
        held.get_or_insert_with(|| lock(&**store, scope)).append(batch).expect("appended beside readers");
    });
}

/// Each append is another writer's, who finds the lock free although readers read.
pub fn readers_go_on_while_writers_come_and_go([store, other]: &Clients) {
    readers_see_growing_prefixes(&**other, &mut |scope, batch| {
        append(&**store, scope, batch);
    });
}

/// A reader in another thread sees prefixes, at least as new as what was acknowledged before it began to read.
fn readers_see_growing_prefixes(reader: &dyn Store, write: &mut (dyn FnMut(&Scope, &[Entry]) + Send)) {
    const ENTRIES: u64 = 40;
    let scope = cluster();
    let (acknowledge, acknowledged) = mpsc::channel();
    std::thread::scope(|threads| {
        let scope = &scope;
        threads.spawn(move || {
            for n in 1..=ENTRIES {
                write(scope, &histories(scope, n..=n));
                // The reader is gone when it failed; its own message says why.
                let _ = acknowledge.send(n);
            }
        });
        let (mut floor, mut last) = (0, 0);
        while floor < ENTRIES {
            floor = acknowledged.recv().expect("the writer goes on to the end");
            floor = acknowledged.try_iter().last().unwrap_or(floor);
            let seen = read(reader, scope);
            assert!(seen.serial >= floor.max(last), "read {} after {floor} was acknowledged", seen.serial);
            assert_eq!(seen, folded(scope, &seen.lineage, seen.serial));
            last = seen.serial;
        }
    });
}

pub fn history_is_newest_first_without_gaps([store, other]: &Clients) {
    let scope = cluster();
    append(&**store, &scope, &histories(&scope, 1..=70));
    let numbers = |store: &dyn Store| -> Vec<u64> {
        store.history(&scope).expect("readable").iter().map(|revision| revision.number).collect()
    };
    assert_eq!(numbers(&**other), [4, 3, 2, 1]);
    let newest = other.history(&scope).expect("readable").remove(0);
    assert_eq!(Entry::Revision(newest), revision(4, 7));
    append(&**store, &scope, &histories(&scope, 71..=80));
    assert_eq!(numbers(&**other), [5, 4, 3, 2, 1]);
}

pub fn an_old_revision_reads_as_it_was([store, other]: &Clients) {
    let scope = cluster();
    let lineage = append(&**store, &scope, &histories(&scope, 1..=70)).lineage;
    for number in 1..=4 {
        let old = other.at_revision(&scope, number).expect("readable");
        assert_eq!(old, Some(folded(&scope, &lineage, number * 16)));
    }
    for number in [0, 5, u64::MAX] {
        assert_eq!(other.at_revision(&scope, number).expect("readable"), None);
    }
}

pub fn every_value_survives([store, other]: &Clients) {
    let scope = cluster();
    let full = full_record(&scope, "worker[0]/a.conf");
    append(&**store, &scope, &[edit(vec![put(full.clone())])]);
    let back = read(&**other, &scope);
    assert_eq!(*back.records[&full.address], full);
    assert_eq!(back.records[&full.address].digest(), full.digest());
}

pub fn erase_is_refused_while_something_is_left([store, other]: &Clients) {
    let scope = cluster();
    let before = append(&**store, &scope, &[edit(vec![put(record(&scope, "a", 1))])]);
    lock(&**store, &scope).erase().expect_err("a record is left");
    assert_eq!(read(&**other, &scope), before);
    let before = append(&**store, &scope, &[edit(vec![remove(&scope, "a")]), intent(&scope, "a", 1)]);
    lock(&**store, &scope).erase().expect_err("an intent is open");
    assert_eq!(read(&**other, &scope), before);
    assert_eq!(held(&**other, &scope), None, "a refused erase ends its lock");
}

pub fn erase_removes_the_scope_with_its_history([store, other]: &Clients) {
    let (scope, neighbour) = (cluster(), Scope::workspace("lake"));
    append(&**store, &neighbour, &histories(&neighbour, 1..=2));
    append(
        &**store,
        &scope,
        &[edit(vec![put(record(&scope, "a", 1))]), revision(1, 1), edit(vec![remove(&scope, "a")])],
    );
    lock(&**store, &scope).erase().expect("nothing is left");
    assert_eq!(other.scopes().expect("readable"), std::slice::from_ref(&neighbour));
    assert_eq!(read(&**other, &scope), Snapshot::empty(&scope));
    assert_eq!(other.history(&scope).expect("readable"), []);
    assert_eq!(held(&**other, &scope), None);
    assert_eq!(read(&**other, &neighbour).serial, 2);
    lock(&**other, &scope).erase().expect("erasing nothing is no error");
}

pub fn a_journal_is_every_entry_in_order([store, other]: &Clients) {
    let scope = cluster();
    assert_eq!(store.journal(&scope).expect("readable"), []);
    for range in [1..=1, 2..=40, 41..=41] {
        append(&**store, &scope, &histories(&scope, range));
    }
    assert_eq!(other.journal(&scope).expect("readable"), histories(&scope, 1..=41));
}

fn moved(elsewhere: Option<Elsewhere>) -> Entry {
    Entry::Move { elsewhere, at: at(1000) }
}

pub fn what_is_elsewhere_admits_moves_only([store, other]: &Clients) {
    let scope = cluster();
    append(&**store, &scope, &histories(&scope, 1..=3));
    for elsewhere in [Elsewhere::To("there".into()), Elsewhere::From("there".into())] {
        let gone = append(&**store, &scope, &[moved(Some(elsewhere.clone()))]);
        assert_eq!(read(&**other, &scope), gone);
        assert_eq!(gone.elsewhere.as_ref(), Some(&elsewhere));
        gone.clone().here().expect_err("it is elsewhere");
        lock(&**other, &scope).append(&histories(&scope, 4..=4)).expect_err("it is elsewhere");
        assert_eq!(read(&**store, &scope), gone);
        store.check(&scope).expect("nothing is damaged");
        assert_eq!(append(&**other, &scope, &[moved(None)]).elsewhere, None);
    }
    append(&**store, &scope, &histories(&scope, 4..=4));
}

pub fn a_history_is_restored_as_it_was([store, other]: &Clients) {
    let scope = cluster();
    let whole = [histories(&scope, 1..=200), vec![moved(Some(Elsewhere::From("there".into())))]].concat();
    for upto in [3, 120, whole.len()] {
        // Each but the first over what gives way to it.
        let part = [&whole[..upto - 1], &whole[200..]].concat();
        let restored = Snapshot::fold(&scope, "lineage", &part);
        let mut lock = lock(&**store, &scope);
        lock.restore("lineage", &part).expect("nothing is in the way");
        assert_eq!(*lock.snapshot(), restored);
        drop(lock);
        assert_eq!(read(&**other, &scope), restored);
        assert_eq!(other.journal(&scope).expect("readable"), part);
        let revisions = part.iter().filter(|entry| matches!(entry, Entry::Revision(_))).count();
        assert_eq!(other.history(&scope).expect("readable").len(), revisions);
        other.check(&scope).expect("nothing is damaged");
        assert_eq!(other.scopes().expect("readable"), std::slice::from_ref(&scope));
    }
    append(&**other, &scope, &[moved(None)]);
    append(&**store, &scope, &histories(&scope, 201..=201));
}

pub fn a_history_never_takes_the_place_of_another([store, other]: &Clients) {
    let scope = cluster();
    let before = append(&**store, &scope, &histories(&scope, 1..=3));
    let mut lock = lock(&**store, &scope);
    lock.restore("another", &histories(&scope, 1..=9)).expect_err("it would be lost");
    assert_eq!(*lock.snapshot(), before);
    lock.append(&histories(&scope, 4..=4)).expect("nothing has happened");
    lock.append(&[moved(Some(Elsewhere::To("there".into())))]).expect("nothing has happened");
    lock.restore(&before.lineage, &histories(&scope, 1..=4)).expect_err("one entry would be lost");
    lock.restore("another", &[intent(&Scope::workspace("other"), "a", "a")]).expect_err("it is of another scope");
    assert_eq!(read(&**other, &scope), *lock.snapshot());
}

pub fn scopes_are_sorted([store, other]: &Clients) {
    let names = [
        "cluster/b/x",
        "workspace/b",
        "storage/b/x",
        "database/b/x",
        "cluster/a/y",
        "workspace/a.b-c",
        "cluster/a/x 1",
        "workspace/ü",
    ];
    let mut scopes: Vec<Scope> = names.iter().map(|name| name.parse().expect("a scope")).collect();
    for scope in &scopes {
        append(&**store, scope, &histories(scope, 1..=1));
    }
    scopes.sort();
    assert_eq!(other.scopes().expect("readable"), scopes);
}

/// `state import` is an edit that puts what an export holds.
pub fn an_export_imports_as_the_same_records([store, other]: &Clients) {
    let scope = cluster();
    append(&**store, &scope, &histories(&scope, 1..=33));
    let before = read(&**store, &scope);
    let back = cloudtik_core::export::import(cloudtik_core::export::export(&before)).expect("our own export");
    assert_eq!(back, before);
    let mutations = back.records.values().map(|record| put((**record).clone())).collect();
    let after = append(&**other, &scope, &[edit(mutations)]);
    assert_eq!(after.records, before.records);
}
