//! Databases that `redb` finds in order and that are wrong all the same.

use crate::{
    RedbStore, database,
    layout::Files,
    seal::seal,
    tables::{FORMAT, FORMAT_KEY, HEAD_KEY, JOURNAL, META, OPEN, RECORDS, REVISIONS},
};
use cloudtik_core::state::{Store, StoreError};
use cloudtik_testkit::entries::{cluster, history, holder};
use redb::{Error, ReadableTable, WriteTransaction};

type Tamper = fn(&WriteTransaction) -> Result<(), Error>;

/// What reading says after `tamper` has been at a state of 40 entries: for a reader and for the next writer.
fn after(tamper: Tamper) -> StoreError {
    let home = tempfile::tempdir().unwrap();
    let store = RedbStore::new(home.path());
    let mut lock = store.lock(&cluster(), &holder("apply")).unwrap();
    let batch: Vec<_> = (1..=39).map(|n| history(&cluster(), n)).collect();
    lock.append(&batch).unwrap();
    drop(lock);
    let database = database::open(&Files::of(home.path(), &cluster())).unwrap().unwrap();
    let transaction = database.begin_write().unwrap();
    tamper(&transaction).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = store.check(&cluster()).unwrap_err();
    if let Ok(lock) = store.lock(&cluster(), &holder("apply")) {
        // Only what no reading of the current state needs may wait for a check.
        assert_eq!(lock.snapshot().serial, 39);
        assert!(error.to_string().contains("journal") || error.to_string().contains("revision"), "{error}");
    }
    error
}

#[test]
fn a_newer_format_is_not_read() {
    let error = after(|t| {
        t.open_table(META)?.insert(FORMAT_KEY, &*seal("meta", FORMAT_KEY.as_bytes(), &(FORMAT + 1)))?;
        Ok(())
    });
    let StoreError::TooNew { place, found, known: FORMAT } = error else { panic!("{error}") };
    assert_eq!(found, FORMAT + 1);
    assert!(place.ends_with("lake/clusters/etl.redb"));
}

/// A state of the first format, in which no intent was part of a batch, is read; the next append makes it the present one,
/// which the version that wrote it then refuses instead of misreading.
#[test]
fn an_older_format_is_read_and_written_on_as_the_present_one() {
    let home = tempfile::tempdir().unwrap();
    let store = RedbStore::new(home.path());
    let append = |numbers: std::ops::RangeInclusive<u64>| {
        let entries: Vec<_> = numbers.map(|n| history(&cluster(), n)).collect();
        store.lock(&cluster(), &holder("apply")).unwrap().append(&entries).unwrap();
    };
    append(1..=3);
    let before = store.read(&cluster()).unwrap();
    let format = |set: Option<u32>| {
        let database = database::open(&Files::of(home.path(), &cluster())).unwrap().unwrap();
        let transaction = database.begin_write().unwrap();
        let sealed = |format: u32| seal("meta", FORMAT_KEY.as_bytes(), &format);
        let mut meta = transaction.open_table(META).unwrap();
        let found = meta.get(FORMAT_KEY).unwrap().map(|cell| cell.value().to_vec()).unwrap();
        let known = (1..9).find(|n| *found == *sealed(*n)).expect("a small number");
        if let Some(format) = set {
            meta.insert(FORMAT_KEY, &*sealed(format)).unwrap();
        }
        drop(meta);
        transaction.commit().unwrap();
        known
    };
    format(Some(1));
    assert_eq!(store.read(&cluster()).unwrap(), before);
    store.check(&cluster()).unwrap();
    append(4..=4);
    assert_eq!(format(None), FORMAT);
    assert_eq!(store.read(&cluster()).unwrap().serial, 4);
}

#[test]
fn whatever_is_missing_old_or_misplaced_is_damage() {
    let cases: [(Tamper, &str); 10] = [
        (|t| t.open_table(META)?.remove(HEAD_KEY).map(drop).map_err(Into::into), "its `head` is missing"),
        (|t| t.open_table(META)?.remove(FORMAT_KEY).map(drop).map_err(Into::into), "its `format` is missing"),
        (|t| t.delete_table(RECORDS).map(drop).map_err(Into::into), "the table `records` is missing"),
        (
            |t| t.open_table(RECORDS)?.pop_first().map(drop).map_err(Into::into),
            "entries of its journal or its records are missing",
        ),
        (
            |t| t.open_table(OPEN)?.pop_first().map(drop).map_err(Into::into),
            "entries of its journal or its records are missing",
        ),
        (
            |t| t.open_table(JOURNAL)?.pop_last().map(drop).map_err(Into::into),
            "entries of its journal or its records are missing",
        ),
        (
            // A hole that keeps the count: entry 7 under the number 0.
            |t| {
                let mut journal = t.open_table(JOURNAL)?;
                let seventh = journal.remove(7)?.expect("it was written").value().to_vec();
                journal.insert(0, &*seventh)?;
                Ok(())
            },
            "entry 7 of its journal is missing",
        ),
        (
            // Revision 1 in the place of revision 2.
            |t| {
                let mut revisions = t.open_table(REVISIONS)?;
                let first = revisions.get(1)?.expect("it was written").value().to_vec();
                revisions.insert(2, &*first)?;
                Ok(())
            },
            "the checksum of a value in table `revisions` is wrong",
        ),
        (
            // One record in the place of another.
            |t| {
                let mut records = t.open_table(RECORDS)?;
                let (_, first) =
                    records.pop_first()?.map(|(k, v)| (k.value().to_owned(), v.value().to_vec())).expect("written");
                let key = records.first()?.expect("written").0.value().to_owned();
                records.insert(&*key, &*first)?;
                records.insert("cluster/lake/etl:instance.x", &*first)?;
                Ok(())
            },
            "the checksum of a value in table `records` is wrong",
        ),
        (
            // A record as it was some entries ago: whole, in its place, and old.
            |t| {
                let record = cloudtik_testkit::entries::record(&cluster(), "worker[2]", 4);
                let key = record.address.to_string();
                t.open_table(RECORDS)?.insert(&*key, &*seal("records", key.as_bytes(), &record))?;
                Ok(())
            },
            "its records are not those of its last entry",
        ),
    ];
    for (tamper, expected) in cases {
        match after(tamper) {
            StoreError::Damaged { place, detail } => {
                assert!(place.ends_with("lake/clusters/etl.redb"));
                assert!(detail.starts_with(expected), "expected {expected}: {detail}");
                assert!(detail.contains("`cloudtik state repair "), "{detail}");
            }
            other => panic!("expected {expected}: {other:?}"),
        }
    }
}
