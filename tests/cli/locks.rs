//! Two runs on one scope.

use crate::bench::Bench;
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

/// The first run is stopped as a shell does it, as soon as it says that it has begun: it has the lock then.
#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let bench = Bench::new();
    bench.must("apply . -y");
    let args = ["destroy", ".", "-y", "--json"];
    let mut holder = bench.command(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&holder);
    let mut line = String::new();
    let mut events = BufReader::new(holder.stdout.take().unwrap());
    while !line.contains("refresh-started") {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "the holder ended before it began");
    }
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let ran = bench.quiet("apply workspace.yaml -y");
    let list = bench.quiet("state list");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert_eq!(list.code, 0, "reading never waits");
    assert!(holder.wait().unwrap().success());
    // The owner's number and name are as long as they are: the message is compared without its line breaks.
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let owner = format!("error[locked]: workspace/demo is locked by ada (pid {} on ", holder.id());
    assert!(said.starts_with(&owner) && said.contains("), `destroy` since 20"), "{said}");
    assert!(said.ends_with("hint: wait for it to end, or interrupt it there 1 error"), "{said}");
}
