//! Two processes: one writes, the other kills it or reads beside it.

use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

const HOME: &str = "CLOUDTIK_TEST_STATE_HOME";
const ENTRIES: &str = "CLOUDTIK_TEST_ENTRIES";

/// The writing process: appends the test history in batches of 1 to 5, telling `try <serial>` before and `ack <serial>`
/// after each, until that many entries are in; keeps the lock until its input ends. Says `fenced` when it has lost the lock.
#[test]
#[ignore = "the other process of the tests in this file, which start it"]
fn writer() {
    let (home, end) = (std::env::var(HOME).unwrap(), std::env::var(ENTRIES).unwrap().parse().unwrap());
    let mut lock = lock(&RedbStore::new(home));
    let mut out = std::io::stdout();
    while lock.snapshot().serial < end {
        let first = lock.snapshot().serial + 1;
        let last = end.min(first + first % 5);
        writeln!(out, "try {last}").unwrap();
        match lock.append(&entries(first..=last)) {
            Err(StoreError::Fenced { .. }) => return writeln!(out, "fenced").unwrap(),
            result => result.unwrap(),
        }
        writeln!(out, "ack {last}").unwrap();
    }
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    tried: u64,
    acknowledged: u64,
    fenced: bool,
}

impl Writer {
    fn start(home: &TempDir, entries: u64) -> Writer {
        let mut process = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "process::writer", "--ignored", "--nocapture"])
            .env(HOME, home.path())
            .env(ENTRIES, entries.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts again");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Writer { process, lines, tried: 0, acknowledged: 0, fenced: false }
    }

    /// Reads one line more; false at the end of the process.
    fn follow(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        let line = line.expect("the writer writes text");
        // The test harness writes its own line before the first of ours, without ending it.
        let words: Vec<&str> = line.split_whitespace().rev().collect();
        match words.as_slice() {
            [serial, "try", ..] => self.tried = serial.parse().expect("a whole line"),
            [serial, "ack", ..] => self.acknowledged = serial.parse().expect("a whole line"),
            _ => self.fenced |= line == "fenced",
        }
        true
    }

    fn kill(mut self) -> (u64, u64) {
        self.process.kill().expect("it is our child");
        self.process.wait().expect("it is our child");
        while self.follow() {}
        (self.acknowledged, self.tried)
    }
}

/// After each of 30 SIGKILLs at random instants the state is exactly the acknowledged entries, or those and the whole batch
/// that was being appended; for a reader, and for the next writer, which finds the lock free.
#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let (store, home) = scratch();
    let mut dice = Dice(0x5eed);
    let (mut serial, mut in_flight) = (0, 0);
    for round in 0..30 {
        let mut writer = Writer::start(&home, u64::MAX);
        for _ in 0..dice.below(12) {
            writer.follow();
        }
        let (start, wait) = (Instant::now(), Duration::from_micros(dice.below(4_000)));
        while start.elapsed() < wait {
            std::hint::spin_loop();
        }
        let (acknowledged, tried) = writer.kill();
        let (acknowledged, tried) = (acknowledged.max(serial), tried.max(serial));
        let read = store.read(&cluster()).unwrap();
        assert!(
            [acknowledged, tried].contains(&read.serial),
            "round {round}: {acknowledged}, {tried}: {}",
            read.serial
        );
        assert_eq!(read, prefix(&read.lineage, read.serial), "round {round}");
        store.check(&cluster()).unwrap();
        assert_eq!(store.lease(&cluster()).unwrap(), None);
        if dice.below(2) == 0 {
            assert_eq!(*lock(&store).snapshot(), read, "round {round}: the next writer starts from the same state");
        }
        in_flight += u64::from(tried > acknowledged);
        serial = read.serial;
    }
    assert!(serial > 30 && in_flight > 0, "the kills hit nothing: {serial} entries, {in_flight} batches in flight");
}

/// A scope whose first append was interrupted was either never written or has that whole append.
#[test]
fn a_kill_while_a_scope_is_made_leaves_nothing_or_all_of_its_first_append() {
    let mut dice = Dice(0xf1257);
    for round in 0..15 {
        let (store, home) = scratch();
        let mut writer = Writer::start(&home, u64::MAX);
        while writer.tried == 0 && writer.follow() {}
        let (start, wait) = (Instant::now(), Duration::from_micros(dice.below(1_500)));
        while start.elapsed() < wait {
            std::hint::spin_loop();
        }
        let (acknowledged, _) = writer.kill();
        let read = store.read(&cluster()).unwrap();
        assert!(read.serial >= acknowledged && read.serial != 1, "round {round}: {acknowledged}: {}", read.serial);
        assert_eq!(read, prefix(&read.lineage, read.serial), "round {round}");
        let mut next = lock(&store);
        assert_eq!(*next.snapshot(), read, "round {round}");
        next.append(&entries(read.serial + 1..=read.serial + 1)).unwrap();
    }
}

/// A writer that is stopped at a random instant, succeeded, and let go on: the successor has all that was acknowledged, and
/// whatever the former owner writes then is refused and is nowhere.
#[test]
fn a_stopped_writer_is_succeeded_and_refused_when_it_wakes() {
    let (store, home) = scratch();
    let mut dice = Dice(0x570b);
    let mut in_flight = 0;
    for round in 0..20 {
        let mut writer = Writer::start(&home, u64::MAX);
        while writer.tried == 0 && writer.follow() {}
        for _ in 0..dice.below(8) {
            writer.follow();
        }
        let (start, wait) = (Instant::now(), Duration::from_micros(dice.below(4_000)));
        while start.elapsed() < wait {
            std::hint::spin_loop();
        }
        signal(&writer, Signal::STOP);
        let silent = store.lease(&cluster()).unwrap().expect("a stopped writer still holds it");
        assert_eq!(silent.holder.pid, writer.process.id());
        let mut second = store.take_over(&cluster(), &holder("destroy"), &silent).unwrap();
        let found = second.snapshot().serial;
        second.append(&entries(found + 1..=found + 3)).unwrap();
        signal(&writer, Signal::CONT);
        while writer.follow() {}
        writer.process.wait().unwrap();
        assert!(writer.fenced, "round {round}: it went on");
        assert!(
            [writer.acknowledged, writer.tried].contains(&found) || writer.acknowledged == 0,
            "round {round}: {}, {}: {found}",
            writer.acknowledged,
            writer.tried
        );
        assert!(found >= writer.acknowledged, "round {round}: {found} of {}", writer.acknowledged);
        second.append(&entries(found + 4..=found + 5)).unwrap();
        drop(second);
        let read = store.read(&cluster()).unwrap();
        assert_eq!(read, prefix(&read.lineage, found + 5), "round {round}");
        store.check(&cluster()).unwrap();
        in_flight += u64::from(writer.tried > writer.acknowledged);
    }
    assert!(in_flight > 0, "no writer was stopped with a batch in flight");
}

/// Many processes want one scope, each takes it over from the one before, all of them stopped: only the last can write.
#[test]
fn of_many_stopped_writers_only_the_last_one_goes_on() {
    let (store, home) = scratch();
    let mut stopped = Vec::new();
    for _ in 0..5 {
        let silent = store.lease(&cluster()).unwrap();
        if let Some(silent) = silent {
            drop(store.take_over(&cluster(), &holder("apply"), &silent).unwrap());
        }
        let mut writer = Writer::start(&home, u64::MAX);
        while writer.acknowledged == 0 && writer.follow() {}
        signal(&writer, Signal::STOP);
        stopped.push(writer);
    }
    let mut last = stopped.pop().unwrap();
    stopped.iter().for_each(|writer| signal(writer, Signal::CONT));
    for writer in &mut stopped {
        while writer.follow() {}
        writer.process.wait().unwrap();
        assert!(writer.fenced);
    }
    signal(&last, Signal::CONT);
    let before = last.acknowledged;
    while last.acknowledged < before + 20 {
        assert!(last.follow(), "the owner of the scope could not go on");
    }
    last.kill();
    let read = store.read(&cluster()).unwrap();
    assert_eq!(read, prefix(&read.lineage, read.serial));
    store.check(&cluster()).unwrap();
}

fn signal(writer: &Writer, signal: Signal) {
    kill_process(Pid::from_child(&writer.process), signal).expect("it is our child");
}

#[test]
fn another_process_reads_while_one_writes() {
    let (store, home) = scratch();
    let mut writer = Writer::start(&home, 150);
    while writer.acknowledged < 150 {
        assert!(writer.follow(), "the writer ended");
        let floor = writer.acknowledged;
        let read = store.read(&cluster()).unwrap();
        assert!(read.serial >= floor, "read {} after {floor} was acknowledged", read.serial);
        assert_eq!(read, prefix(&read.lineage, read.serial));
    }
    let holder = store.lease(&cluster()).unwrap().expect("the writer still holds it");
    assert_eq!(holder.holder.pid, writer.process.id());
    drop(writer.process.stdin.take());
    assert!(writer.process.wait().unwrap().success());
    assert_eq!(store.lease(&cluster()).unwrap(), None);
    assert_eq!(store.read(&cluster()).unwrap().serial, 150);
}

#[test]
fn a_lock_of_another_process_is_refused_with_its_name() {
    let (store, home) = scratch();
    let mut writer = Writer::start(&home, u64::MAX);
    while writer.acknowledged == 0 && writer.follow() {}
    let error = store.lock(&cluster(), &holder("destroy")).err().expect("it is held").to_string();
    let pid = writer.process.id();
    assert_eq!(
        error,
        format!("cluster/lake/etl is locked by tester (pid {pid} on here), `apply` since 2023-11-14T22:13:20Z")
    );
    writer.kill();
    drop(lock(&store));
}
