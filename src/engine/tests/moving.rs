//! Laws of a move between stores: it may be killed at every write, and no history is ever in two places or in none for good.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

use cloudtik_core::{
    Scope,
    state::{Elsewhere, Entry, Snapshot, Store},
};
use cloudtik_engine::migrate::{Arrival, Unmoved, migrate};
use cloudtik_testkit::entries::*;
use cloudtik_testkit::{Fault, MemoryStore};

fn scopes() -> [Scope; 2] {
    [cluster(), Scope::workspace("lake")]
}

fn write(store: &MemoryStore, scope: &Scope, entries: &[Entry]) {
    store.lock(scope, &holder("apply")).unwrap().append(entries).unwrap();
}

fn more(scope: &Scope) -> [Entry; 1] {
    [edit(vec![put(record(scope, "more", 1))])]
}

fn filled(place: &str) -> MemoryStore {
    let store = MemoryStore::named(place);
    for scope in scopes() {
        write(&store, &scope, &histories(&scope, 1..=60));
    }
    store
}

fn run(from: &MemoryStore, to: &MemoryStore) -> Result<Vec<Arrival>, Unmoved> {
    migrate(from, to, &scopes(), &holder("state migrate"), &mut |_| ())
}

fn here(store: &MemoryStore, scope: &Scope) -> Option<Snapshot> {
    store.read(scope).unwrap().here().ok().filter(|state| !state.lineage.is_empty())
}

/// What no move changes.
fn kept(state: Snapshot) -> Snapshot {
    Snapshot { serial: 0, elsewhere: None, ..state }
}

/// There and back, each cut off before and after each of its writes, with more history written in between.
#[test]
fn a_move_that_was_killed_is_completed_and_nothing_is_ever_in_two_places() {
    let writes = |run: &dyn Fn(&MemoryStore, &MemoryStore)| {
        let (from, to) = (filled("a"), MemoryStore::named("b"));
        let before = (from.appends(), to.appends());
        run(&from, &to);
        (before.0..from.appends(), before.1..to.appends())
    };
    let (of_source, of_target) = writes(&|from, to| assert_eq!(run(from, to).unwrap().len(), 2));
    assert_eq!((of_source.clone().count(), of_target.clone().count()), (2, 4));
    let faults = of_source.map(|n| (true, n + 1)).chain(of_target.map(|n| (false, n + 1)));
    for ((at_source, append), durable) in faults.flat_map(|fault| [(fault, false), (fault, true)]) {
        let (from, to) = (filled("a"), MemoryStore::named("b"));
        let before = scopes().map(|scope| kept(here(&from, &scope).unwrap()));
        let side = if at_source { &from } else { &to };
        side.fail(Some(Fault { append, durable }));
        run(&from, &to).unwrap_err();
        for (scope, before) in scopes().iter().zip(&before) {
            let found: Vec<_> = [&from, &to].iter().filter_map(|store| here(store, scope)).collect();
            assert!(found.len() < 2, "{scope} is in two places");
            assert!(found.into_iter().all(|state| kept(state) == *before));
        }
        side.fail(None);
        // As far as the source still has it, it may be written before the move is tried again.
        let mut more = before;
        for (scope, more) in scopes().iter().zip(&mut more).filter(|(scope, _)| here(&from, scope).is_some()) {
            write(&from, scope, &self::more(scope));
            *more = kept(here(&from, scope).unwrap());
        }
        run(&from, &to).unwrap();
        for (scope, more) in scopes().iter().zip(&more) {
            assert_eq!(kept(here(&to, scope).unwrap()), *more);
            assert_eq!(from.read(scope).unwrap().elsewhere, Some(Elsewhere::To("b".into())));
            assert_eq!(to.history(scope).unwrap(), from.history(scope).unwrap());
            to.check(scope).unwrap();
        }
        assert_eq!(run(&from, &to).unwrap(), [], "there is nothing left to move");
        write(&to, &scopes()[0], &self::more(&scopes()[0]));
        let there = scopes().map(|scope| kept(here(&to, &scope).unwrap()));
        assert_eq!(run(&to, &from).unwrap().len(), 2);
        assert_eq!(scopes().map(|scope| kept(here(&from, &scope).unwrap())), there);
    }
}

/// Whatever the reason, no store is written.
#[test]
fn what_would_lose_a_history_is_refused() {
    let why = |from: &MemoryStore, to: &MemoryStore| {
        let writes = (from.appends(), to.appends());
        let Unmoved::Refused(why) = run(from, to).unwrap_err() else { panic!("another reason was expected") };
        assert_eq!((from.appends(), to.appends()), writes);
        why
    };
    let (cluster, workspace) = ("cluster/lake/etl", "workspace/lake");
    let [a, b] = [filled("a"), filled("b")];
    assert_eq!(why(&a, &b), [cluster, workspace].map(|scope| format!("{scope} has another history at b")));
    assert_eq!(
        why(&MemoryStore::named("c"), &b),
        [cluster, workspace].map(|scope| format!("{scope} has no state at c"))
    );
    let d = MemoryStore::named("d");
    run(&a, &d).unwrap();
    assert_eq!(
        why(&a, &MemoryStore::named("e")),
        [cluster, workspace].map(|scope| format!("{scope} is not at a: moved to d"))
    );
    let f = MemoryStore::named("f");
    f.fail(Some(Fault { append: 2, durable: true }));
    run(&d, &f).unwrap_err();
    assert_eq!(
        why(&f, &MemoryStore::named("e")),
        [cluster, workspace].map(|scope| format!("{scope} is not at f: being moved here from d"))
    );
    // What was moved away lets its own past come back, and nothing else.
    assert_eq!(why(&b, &a), [cluster, workspace].map(|scope| format!("{scope} has another history at a")));
}

#[test]
fn a_scope_that_somebody_holds_is_not_moved() {
    let (a, b) = (filled("a"), MemoryStore::named("b"));
    for store in [&a, &b] {
        let _held = store.lock(&scopes()[1], &holder("apply")).unwrap();
        assert!(matches!(run(&a, &b), Err(Unmoved::Store(_))));
    }
    assert!(scopes().iter().all(|scope| here(&a, scope).is_some() && here(&b, scope).is_none()));
    run(&a, &b).unwrap();
}
