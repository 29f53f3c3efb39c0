//! Measures the store: `cargo run --release -p cloudtik-redb --example bench [FOLDER]`.
//!
//! FOLDER says which disk is measured; the system's temporary folder if none is given.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use cloudtik_core::{
    Scope,
    state::{Entry, Store},
};
use cloudtik_redb::RedbStore;
use cloudtik_testkit::entries::{edit, holder, intent, put, record, result, revision};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const ENTRIES: u64 = 2_048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    println!("{ENTRIES} entries, an intent and a result for each operation, each batch one durable append:");
    println!("{:>6} {:>10} {:>10} {:>10} {:>10}", "batch", "appends/s", "entries/s", "p50", "p99");
    for batch in [1, 16, 256] {
        appends(folder.path(), batch)?;
    }
    println!("\nevery call opens the file; reads check every page of an idle one:");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>12} {:>10} {:>10}",
        "records", "file", "read", "p99", "read beside", "lock", "revision"
    );
    for records in [0, 1_000, 100_000] {
        reads(folder.path(), records)?;
    }
    Ok(())
}

fn appends(home: &Path, batch: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (store, scope) = (RedbStore::new(home), Scope::cluster("append", &format!("batch-{batch}")));
    let mut lock = store.lock(&scope, &holder("bench"))?;
    lock.append(&[edit(vec![])])?;
    let mut times = Vec::new();
    for first in (0..ENTRIES).step_by(batch as usize) {
        let entries: Vec<Entry> = (first..first + batch).map(|n| entry(&scope, n)).collect();
        let start = Instant::now();
        lock.append(&entries)?;
        times.push(start.elapsed());
    }
    let total: Duration = times.iter().sum();
    let per_second = times.len() as f64 / total.as_secs_f64();
    let (p50, p99) = percentiles(times);
    println!("{batch:>6} {per_second:>10.0} {:>10.0} {p50:>10.1?} {p99:>10.1?}", per_second * batch as f64);
    Ok(())
}

fn entry(scope: &Scope, n: u64) -> Entry {
    let name = format!("worker[{}]", n / 2);
    match n % 2 {
        0 => intent(scope, &name, n),
        _ => result(n - 1, vec![put(record(scope, &name, n))]),
    }
}

fn reads(home: &Path, records: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (store, scope) = (RedbStore::new(home), Scope::cluster("read", &format!("of-{records}")));
    let mut lock = store.lock(&scope, &holder("bench"))?;
    let names: Vec<u64> = (0..records).collect();
    for chunk in names.chunks(1_000) {
        let put = |n: &u64| put(record(&scope, &format!("worker[{n}]"), *n));
        lock.append(&[edit(chunk.iter().map(put).collect())])?;
    }
    let start = Instant::now();
    lock.append(&[revision(1, records as usize)])?;
    let revision = start.elapsed();
    let times = if records > 10_000 { 5 } else { 200 };
    let (beside, _) = percentiles(measure(times, || store.read(&scope).map(drop))?);
    drop(lock);
    let (p50, p99) = percentiles(measure(times, || store.read(&scope).map(drop))?);
    let (locked, _) = percentiles(measure(times, || store.lock(&scope, &holder("bench")).map(drop))?);
    let file = std::fs::metadata(store.database(&scope))?.len() >> 10;
    println!("{records:>8} {file:>6} KiB {p50:>10.1?} {p99:>10.1?} {beside:>12.1?} {locked:>10.1?} {revision:>10.1?}");
    Ok(())
}

fn measure<E>(times: usize, call: impl Fn() -> Result<(), E>) -> Result<Vec<Duration>, E> {
    let once = |_| {
        let start = Instant::now();
        call().map(|()| start.elapsed())
    };
    (0..times).map(once).collect()
}

/// The median and the 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    (at(50), at(99))
}
