//! A writer that is stopped past its lease, in a process of its own.

use crate::s3;
use cloudtik_core::state::{Store, StoreError};
use cloudtik_testkit::entries::{cluster, history, holder};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const PLACE: &str = "CLOUDTIK_TEST_STALLED";
const SILENCE: Duration = Duration::from_secs(3);

/// The writer: appends, says so, waits for a word, appends again and says how that went.
#[test]
#[ignore = "the other process of the test in this file, which starts it"]
fn writer() {
    let place = env::var(PLACE).unwrap();
    let (endpoint, bucket) = place.rsplit_once(' ').unwrap();
    let store = s3::client(endpoint, bucket).with_silence(SILENCE);
    let mut lock = store.lock(&cluster(), &holder("apply")).unwrap();
    lock.append(&[history(&cluster(), 1)]).unwrap();
    writeln!(std::io::stderr(), "appended").unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let word = match lock.append(&[history(&cluster(), 2)]) {
        Err(StoreError::Fenced { by: Some(by), .. }) => format!("fenced by {}", by.holder.doing),
        other => format!("not fenced: {other:?}"),
    };
    writeln!(std::io::stderr(), "{word}").unwrap();
}

#[test]
fn a_writer_that_was_stopped_past_its_lease_writes_no_more() {
    let (endpoint, bucket) = s3::made();
    let store = s3::client(&endpoint, &bucket).with_silence(SILENCE);
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "stalled::writer", "--ignored", "--nocapture"]).env(PLACE, format!("{endpoint} {bucket}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("appended"));

    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // A sign of life that was under way may still arrive: the lease is watched until it has been silent as long as it says.
    let mut seen = store.lease(&cluster()).unwrap().unwrap();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(seen.silence_s) {
        std::thread::sleep(Duration::from_millis(100));
        let now = store.lease(&cluster()).unwrap().unwrap();
        if now.beats != seen.beats {
            (seen, since) = (now, Instant::now());
        }
    }
    let mut successor = store.take_over(&cluster(), &holder("destroy"), &seen).unwrap();
    successor.append(&[history(&cluster(), 2)]).unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    writeln!(child.stdin.take().unwrap(), "go on").unwrap();
    assert_eq!(lines.next().as_deref(), Some("fenced by destroy"));
    assert!(child.wait().unwrap().success());

    successor.append(&[history(&cluster(), 3)]).unwrap();
    drop(successor);
    store.check(&cluster()).unwrap();
    assert_eq!(store.read(&cluster()).unwrap().serial, 3);
}
