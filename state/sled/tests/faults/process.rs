//! Two processes: one writes, the other kills it, stops it, or wants the same scope.

use super::*;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

const HOME: &str = "CLOUDTIK_TEST_STATE_HOME";

/// The writing process: appends the test history in batches of 1 to 5, telling `try <serial>` before and `ack <serial>` after
/// each, for ever.
#[test]
#[ignore = "the other process of the tests in this file, which start it"]
fn writer() {
    let mut lock = lock(&SledStore::new(std::env::var(HOME).unwrap()));
    let mut out = std::io::stdout();
    loop {
        let first = lock.snapshot().serial + 1;
        let last = first + first % 5;
        writeln!(out, "try {last}").unwrap();
        lock.append(&entries(first..=last)).unwrap();
        writeln!(out, "ack {last}").unwrap();
    }
}

struct Writer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    tried: u64,
    acknowledged: u64,
}

impl Writer {
    fn start(home: &TempDir) -> Writer {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::writer", "--ignored", "--nocapture"])
            .env(HOME, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Writer { process, lines, tried: 0, acknowledged: 0 }
    }

    /// Reads one line more; false at the end of the process.
    fn follow(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        // The test harness writes its own line before the first of ours, without ending it.
        match line.unwrap().split_whitespace().rev().collect::<Vec<_>>().as_slice() {
            [serial, "try", ..] => self.tried = serial.parse().unwrap(),
            [serial, "ack", ..] => self.acknowledged = serial.parse().unwrap(),
            _ => {}
        }
        true
    }

    fn until_acknowledged(home: &TempDir) -> Writer {
        let mut writer = Writer::start(home);
        while writer.acknowledged == 0 {
            assert!(writer.follow(), "the writer ended");
        }
        writer
    }

    fn kill(mut self) -> (u64, u64) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        while self.follow() {}
        (self.acknowledged, self.tried)
    }
}

/// After each SIGKILL at a random instant, of which some hit the making of the scope, the state is exactly the acknowledged
/// entries, or those and the whole batch that was being appended; for a reader, and for the next writer.
#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let mut dice = Dice(0x5eed);
    let (mut all, mut in_flight) = (0, 0);
    for _ in 0..6 {
        let (store, home) = scratch();
        let mut serial = 0;
        for round in 0..8 {
            let mut writer = Writer::start(&home);
            while writer.tried == 0 && writer.follow() {}
            for _ in 0..dice.below(12) * round.min(1) {
                writer.follow();
            }
            let (start, wait) = (Instant::now(), Duration::from_micros(dice.below(9_000)));
            while start.elapsed() < wait {
                std::hint::spin_loop();
            }
            let (acknowledged, tried) = writer.kill();
            let (acknowledged, tried) = (acknowledged.max(serial), tried.max(serial));
            let read = store.read(&cluster()).unwrap();
            assert!([acknowledged, tried].contains(&read.serial), "{acknowledged}, {tried}: {}", read.serial);
            assert_eq!(read, prefix(&read.lineage, read.serial), "round {round}");
            assert_eq!(store.lease(&cluster()).unwrap(), None);
            if dice.below(2) == 0 {
                assert_eq!(*lock(&store).snapshot(), read, "round {round}: the next writer starts from the same state");
            }
            in_flight += u64::from(tried > acknowledged);
            serial = read.serial;
        }
        all += serial;
    }
    assert!(all > 100 && in_flight > 0, "the kills hit nothing: {all} entries, {in_flight} batches in flight");
}

/// Everything that wants the tree of a process that has it is told who that is.
#[test]
fn a_scope_of_another_process_is_refused_with_its_name() {
    let (store, home) = scratch();
    let writer = Writer::until_acknowledged(&home);
    let pid = writer.process.id();
    let says = format!("cluster/lake/etl is locked by tester (pid {pid} on here), `apply` since 2023-11-14T22:13:20Z");
    assert_eq!(store.lock(&cluster(), &holder("destroy")).err().unwrap().to_string(), says);
    assert_eq!(store.read(&cluster()).unwrap_err().to_string(), says);
    assert_eq!(store.check(&cluster()).unwrap_err().to_string(), says);
    assert_eq!(store.lease(&cluster()).unwrap().unwrap().holder.pid, pid);
    assert_eq!(store.scopes().unwrap(), [cluster()]);
    writer.kill();
    drop(lock(&store));
}

/// It cannot be taken over, because `sled` cannot; it is not taken for free either, and goes on when it is woken.
#[test]
fn a_stopped_process_keeps_its_scope_until_it_ends() {
    let (store, home) = scratch();
    let mut writer = Writer::until_acknowledged(&home);
    let signal = |writer: &Writer, signal| kill_process(Pid::from_child(&writer.process), signal).unwrap();
    signal(&writer, Signal::STOP);
    let silent = store.lease(&cluster()).unwrap().unwrap();
    let refused = store.take_over(&cluster(), &holder("destroy"), &silent).err().unwrap().to_string();
    assert!(refused.contains(&format!("`kill -9 {}`", writer.process.id())), "{refused}");
    signal(&writer, Signal::CONT);
    let before = writer.acknowledged;
    while writer.acknowledged < before + 20 {
        assert!(writer.follow(), "the owner of the scope could not go on");
    }
    let (acknowledged, tried) = writer.kill();
    let next = store.take_over(&cluster(), &holder("destroy"), &silent).unwrap();
    assert!([acknowledged, tried].contains(&next.snapshot().serial));
}

/// Readers of two processes wait for each other, since `sled` opens for one at a time.
#[test]
fn readers_of_many_processes_take_turns() {
    let (store, home) = scratch();
    lock(&store).append(&entries(1..=20)).unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::reader", "--ignored", "--quiet"])
            .env(HOME, home.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let readers: Vec<Child> = (0..6).map(|_| start()).collect();
    for mut reader in readers {
        assert!(reader.wait().unwrap().success());
    }
}

#[test]
#[ignore = "another process of the test above, which starts it"]
fn reader() {
    let store = SledStore::new(std::env::var(HOME).unwrap());
    for _ in 0..5 {
        assert_eq!(store.read(&cluster()).unwrap().serial, 20);
    }
}
