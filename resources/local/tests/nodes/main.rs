//! The provider against this machine: real namespaces, real processes, real sockets, in each node model.
//!
//! This program is its own node helper, so it has a `main` instead of the usual harness. It runs every case in the model
//! that this user gets; root runs them once more without privileges. A model that the kernel refuses is said and skipped.

// A test without the usual harness is still a test.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cases;
mod world;

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Instant,
};
use world::Bench;

const NOBODY: u32 = 65534;
const AS_NOBODY: &str = "CLOUDTIK_TEST_AS_NOBODY";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = cloudtik_local::hidden(&args) {
        return ExitCode::from(code);
    }
    if args.iter().any(|a| a == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Some(at) = args.iter().position(|a| a == "victim") {
        return world::victim(&args[at + 1..]);
    }
    if args.iter().any(|a| a == "notes") {
        return world::notes();
    }
    if let Some(at) = args.iter().position(|a| a == "attach") {
        return world::attach(&args[at + 1..]);
    }
    let filter: Vec<String> =
        args.iter().skip(1).filter_map(|a| a.to_str()).filter(|a| !a.starts_with('-')).map(String::from).collect();
    let root = rustix::process::geteuid().is_root();
    let models: &[&str] = if root { &["namespaces-root", "loopback"] } else { &["namespaces", "loopback"] };
    let mut failed = models.iter().map(|model| run(model, &filter)).sum::<usize>();
    if root && std::env::var_os(AS_NOBODY).is_none() {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(&filter)
            .env(AS_NOBODY, "1")
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .status();
        failed += usize::from(!again.unwrap().success());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(model: &str, filter: &[String]) -> usize {
    let mut failed = 0;
    for (name, case) in cases::ALL {
        let name = format!("{model}::{name}");
        if !filter.is_empty() && !filter.iter().any(|f| name.contains(f.as_str())) {
            continue;
        }
        let start = Instant::now();
        let bench = Bench::new(model);
        let passed = std::panic::catch_unwind(|| case(&bench)).is_ok();
        let clean = bench.is_clean();
        failed += usize::from(!passed || !clean.is_empty());
        let verdict = if passed && clean.is_empty() { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({} ms) {}", start.elapsed().as_millis(), clean.join("; "));
    }
    failed
}
