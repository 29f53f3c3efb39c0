//! The files of a scope: who may read them, what else may be found in their place, what is left behind.

use super::*;
use cloudtik_core::export;
use cloudtik_testkit::entries::{edit, remove, result, revision};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Files and folders below, sorted, with their modes.
fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            found.push(path.clone());
            if path.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort();
    let show = |path: &PathBuf| {
        let mode = fs::metadata(path).expect("it was just listed").permissions().mode() & 0o777;
        format!("{mode:o} {}", path.strip_prefix(folder).expect("it is below").display())
    };
    found.iter().map(show).collect()
}

#[test]
fn files_are_their_owners_only_and_erase_leaves_none() {
    let (store, home) = scratch();
    let mut lock = lock(&store);
    lock.append(&[edit(vec![]), revision(1, 0)]).unwrap();
    let expected = [
        "700 lake",
        "700 lake/clusters",
        "600 lake/clusters/etl.json",
        "600 lake/clusters/etl.lock",
        "600 lake/clusters/etl.redb",
    ];
    assert_eq!(tree(home.path()), expected);
    lock.erase().unwrap();
    assert_eq!(tree(home.path()), [""; 0]);
}

#[test]
fn a_lock_without_an_append_leaves_nothing() {
    let (store, home) = scratch();
    drop(lock(&store));
    assert_eq!(tree(home.path()), [""; 0]);
}

#[test]
fn the_backup_is_the_state_of_the_last_revision() {
    let (store, _home) = scratch();
    lock(&store).append(&entries(1..=20)).unwrap();
    let mut writer = lock(&store);
    for n in 21..=40 {
        writer.append(&entries(n..=n)).unwrap();
    }
    let json = serde_json::from_slice(&fs::read(store.backup(&cluster())).unwrap()).unwrap();
    assert_eq!(export::import(json).unwrap(), store.at_revision(&cluster(), 2).unwrap().unwrap());
}

/// An owner that was killed between writing its content and cutting the file to it leaves the end of a longer one behind.
#[test]
fn the_end_of_a_longer_content_in_a_lock_hides_neither_its_number_nor_how_far_the_state_had_come() {
    let (store, _home) = scratch();
    let mut first = lock(&store);
    first.append(&entries(1..=3)).unwrap();
    let old = fs::read(store.database(&cluster())).unwrap();
    first.append(&entries(4..=6)).unwrap();
    let fence = |store: &RedbStore| store.lease(&cluster()).unwrap().expect("it is held").fence;
    let before = fence(&store);
    drop(first);
    let path = store.database(&cluster()).with_extension("lock");
    let torn = [fs::read(&path).unwrap(), br#"":12,"of":30}}"#.to_vec()].concat();
    fs::write(&path, &torn).unwrap();
    let second = lock(&store);
    assert_eq!(fence(&store), before + 1);
    drop(second);
    fs::write(&path, &torn).unwrap();
    fs::write(store.database(&cluster()), old).unwrap();
    let found = store.read(&cluster()).unwrap_err().to_string();
    assert!(found.contains("went back to entry"), "{found}");
}

/// A writer that was killed before its first append was complete, or while it wrote a backup, leaves files behind.
#[test]
fn half_made_files_are_no_state() {
    let (store, home) = scratch();
    let folder = home.path().join("lake/clusters");
    fs::create_dir_all(&folder).unwrap();
    for file in ["etl.redb.new", "etl.json.new"] {
        fs::write(folder.join(file), "half").unwrap();
    }
    assert_eq!(store.scopes().unwrap(), []);
    assert_eq!(store.read(&cluster()).unwrap(), Snapshot::empty(&cluster()));
    lock(&store).append(&entries(1..=16)).unwrap();
    assert_eq!(store.read(&cluster()).unwrap().revision, 1);
    assert!(!folder.join("etl.redb.new").exists() && !folder.join("etl.json.new").exists());
}

/// The message of a read, with the scratch folder taken out.
fn refusal(store: &RedbStore, home: &TempDir) -> String {
    let error = store.read(&cluster()).expect_err("it is no state").to_string();
    let locked = store.lock(&cluster(), &holder("apply")).err().expect("it is no state").to_string();
    assert_eq!(locked.split(';').next(), error.split(';').next(), "a writer says what a reader says");
    error.replace(&home.path().display().to_string(), "~")
}

#[test]
fn what_is_no_database_is_named_with_a_way_out() {
    const NOT: &str = "Not a redb database: magic number mismatch";
    let (store, home) = scratch();
    fs::create_dir_all(home.path().join("lake/clusters")).unwrap();
    let file = store.database(&cluster());
    let way_out = "`cloudtik state repair cluster/lake/etl` puts it aside and restores what can be read, and the next plan shows \
                   what was done since";
    for (content, found) in [("", "the file is empty"), ("hello", NOT), (&"x".repeat(9000), NOT)] {
        fs::write(&file, content).unwrap();
        let expected = format!("state at ~/lake/clusters/etl.redb is damaged: {found}; {way_out}");
        assert_eq!(refusal(&store, &home), expected);
    }
    assert_eq!(store.scopes().unwrap(), [cluster()], "a damaged scope is not hidden");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(store.read(&cluster()).unwrap_err().to_string(), format!("cannot read state at {}", file.display()));
}

#[test]
fn an_old_copy_in_its_place_is_noticed() {
    let (store, home) = scratch();
    let file = store.database(&cluster());
    lock(&store).append(&entries(1..=20)).unwrap();
    let old = fs::read(&file).unwrap();
    lock(&store).append(&entries(21..=25)).unwrap();
    fs::write(&file, old).unwrap();
    let expected = "state at ~/lake/clusters/etl.redb is damaged: it went back to entry 20 of 25, as when an old copy is put \
                    in its place (if that was meant, remove '~/lake/clusters/etl.lock'); `cloudtik state repair cluster/lake/etl` puts it \
                    aside and restores what can be read, and the next plan shows what was done since";
    assert_eq!(refusal(&store, &home), expected);
}

#[test]
fn the_state_of_another_scope_is_noticed() {
    let (store, _home) = scratch();
    let other = Scope::cluster("lake", "other");
    lock(&store).append(&entries(1..=3)).unwrap();
    fs::copy(store.database(&cluster()), store.database(&other)).unwrap();
    let error = store.read(&other).unwrap_err().to_string();
    assert!(error.contains("it holds the state of cluster/lake/etl, not of cluster/lake/other"), "{error}");
}

#[test]
fn a_home_that_is_no_folder_is_an_error_of_that_path() {
    let (_, folder) = scratch();
    let home = folder.path().join("home");
    fs::write(&home, "").unwrap();
    let store = RedbStore::new(&home);
    let error = store.lock(&cluster(), &holder("apply")).err().expect("it cannot be made").to_string();
    assert_eq!(error, format!("cannot lock state at {}/lake/clusters/etl.lock", home.display()));
    assert!(store.scopes().unwrap().is_empty());
}

#[test]
fn an_erased_scope_is_free_for_who_opened_its_lock_before() {
    let (store, _home) = scratch();
    let mut writer = lock(&store);
    writer.append(&[edit(vec![remove(&cluster(), "a")]), result(1, vec![])]).unwrap();
    writer.erase().unwrap();
    let again = lock(&store);
    assert!(store.lock(&cluster(), &holder("apply")).is_err(), "only one of two gets it");
    drop(again);
}
