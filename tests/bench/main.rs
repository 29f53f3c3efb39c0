//! Measures the engine: plan time and memory over size, apply overhead per operation, cold start of the program.
//!
//! Every figure comes from a process of its own, so peak memory is the figure's own, and CPU time is the system's account
//! of that process. Run `cargo run --release -p cloudtik-bench -- all [CLOUDTIK]`; a program given as CLOUDTIK is timed too,
//! and `terraform`, when it is on the path, plans the same graph of `terraform_data` as the anchor. `campaign`, `boundaries`
//! and `faults` count something else: what is lost when applies are killed, and when the disk breaks.

mod aws;
mod campaign;
mod cloud;
mod makespan;
mod noop;
mod shapes;
mod terraform;

use cloudtik_core::{
    Declaration, Scope,
    event::Silent,
    plan::{Mode, Plan},
    state::{Holder, Snapshot, Store},
};
use cloudtik_engine::{ApplyOptions, Input, Interrupt, Options, Registry, apply, plan};
use cloudtik_redb::RedbStore;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, ExitCode},
    sync::Arc,
    time::Instant,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["all", rest @ ..] => all(rest.first().copied()),
        ["plan", n] => one_plan(number(n), false),
        ["noop-plan", n] => one_plan(number(n), true),
        ["apply", n] => one_apply(number(n)),
        ["aws", program] => aws::run(program),
        ["makespan", n] => makespan::report(number(n)),
        ["campaign", rest @ ..] => return campaign(rest),
        ["boundaries", rest @ ..] => return in_turn("boundaries", rest, campaign::boundaries),
        ["faults", rest @ .., "--program", program] => {
            return in_turn("faults", rest, |every| campaign::faults(every, Some(program.as_ref())));
        }
        ["faults", rest @ ..] => return in_turn("faults", rest, |every| campaign::faults(every, None)),
        ["campaign-run", home, socket, document, failpoints] => {
            if let Err(why) = campaign::child(home.as_ref(), socket.as_ref(), document.as_ref(), failpoints) {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!(
                "usage: cloudtik-bench all [CLOUDTIK] | plan N | noop-plan N | apply N | makespan WORKERS | aws CLOUDTIK\n       \
                 cloudtik-bench {}\n       \
                 cloudtik-bench boundaries [--every N] | faults [--every N] [--program CLOUDTIK]",
                campaign::USAGE
            );
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

/// 0 when nothing was broken, 1 when something was, 64 when it was asked for in the wrong way.
fn campaign(args: &[&str]) -> ExitCode {
    let options = match campaign::Options::parse(args) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(64);
        }
    };
    match campaign::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("the campaign cannot go on: {e}");
            ExitCode::from(2)
        }
    }
}

/// The same exit codes.
fn in_turn(verb: &str, args: &[&str], run: impl FnOnce(usize) -> std::io::Result<bool>) -> ExitCode {
    let every = match args {
        [] => 1,
        ["--every", n] => number(n).max(1),
        _ => {
            eprintln!("usage: cloudtik-bench {verb} [--every N]");
            return ExitCode::from(64);
        }
    };
    match run(every) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("the {verb} cannot be tried: {e}");
            ExitCode::from(2)
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("a number of resources")
}

/// Runs every measurement in a process of its own and prints a table.
fn all(cloudtik: Option<&str>) {
    println!("{:<34} {:>10} {:>10} {:>10}", "figure (5 dependencies each)", "CPU s", "wall s", "peak MB");
    let mut plans = Vec::new();
    for verb in ["plan", "noop-plan"] {
        for n in [1_000, 10_000, 100_000] {
            let cost = child(verb, n);
            println!("{:<34} {:>10.3} {:>10.3} {:>10.0}", format!("{verb} {n}"), cost.cpu, cost.wall, cost.peak_mb);
            plans.push((verb, n, cost));
        }
    }
    for pair in plans.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let growth = pair[1].2.cpu / pair[0].2.cpu;
        println!("growth {} {} -> {}: {:.2} x for 10 x the resources", pair[0].0, pair[0].1, pair[1].1, growth);
    }
    for n in [1_000, 10_000] {
        let cost = child("apply", n);
        let each = cost.cpu * 1000.0 / n as f64;
        println!(
            "{:<34} {:>10.3} {:>10.3} {:>10.0}",
            format!("apply {n} no-op, journalled"),
            cost.cpu,
            cost.wall,
            cost.peak_mb
        );
        println!("{:<34} {each:>10.3} ms CPU per operation", "");
    }
    if let Some(program) = cloudtik {
        cold_start(program);
    }
    match terraform::plan(1_000) {
        Some(cost) => {
            let ours = &plans[0].2;
            println!("terraform plan 1000 x 5             {:>9.3} CPU s: {:.0} x ours", cost.cpu, cost.cpu / ours.cpu);
        }
        None => println!("terraform is not on this machine: no anchor in this run"),
    }
}

pub struct Cost {
    pub cpu: f64,
    pub wall: f64,
    pub peak_mb: f64,
}

/// A measurement as a child prints it: `cpu wall peak`.
fn child(verb: &str, n: usize) -> Cost {
    let me = std::env::current_exe().expect("this program has a path");
    let output = Command::new(me).args([verb, &n.to_string()]).output().expect("a child can be started");
    assert!(output.status.success(), "{verb} {n}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut fields = text.split_whitespace().map(|field| field.parse().expect("a figure"));
    let mut next = || fields.next().expect("three figures");
    Cost { cpu: next(), wall: next(), peak_mb: next() }
}

/// What the system accounts to this process (`RUSAGE_SELF`) or its ended children (`RUSAGE_CHILDREN`).
fn usage(who: i32) -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: getrusage fills the whole structure it is given a valid pointer to, and says so by returning 0.
    unsafe {
        assert_eq!(libc::getrusage(who, usage.as_mut_ptr()), 0, "getrusage cannot fail with these arguments");
        usage.assume_init()
    }
}

/// CPU seconds, user and system.
fn cpu(who: i32) -> f64 {
    let usage = usage(who);
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn own_cpu() -> f64 {
    cpu(libc::RUSAGE_SELF)
}

fn report(cpu: f64, wall: f64) {
    println!("{cpu} {wall} {}", usage(libc::RUSAGE_SELF).ru_maxrss as f64 / 1024.0);
}

fn scopes() -> BTreeSet<Scope> {
    BTreeSet::from([shapes::scope()])
}

fn make(registry: &Registry, declarations: &[Declaration], state: &BTreeMap<Scope, Snapshot>) -> Plan {
    plan(&Input {
        mode: Mode::Normal,
        declarations,
        scopes: &scopes(),
        state,
        observed: &BTreeMap::new(),
        kinds: registry.kinds(),
        options: &Options::default(),
    })
    .expect("the shape has no problems")
}

/// Plans `n` resources: from nothing, or with all of them recorded as declared.
fn one_plan(n: usize, recorded: bool) {
    let registry = Registry::new([Arc::new(noop::Noop) as Arc<dyn cloudtik_core::provider::Provider>]);
    let declarations = shapes::layers(n, 5);
    let state =
        if recorded { BTreeMap::from([(shapes::scope(), shapes::recorded(&declarations))]) } else { BTreeMap::new() };
    let (before, started) = (own_cpu(), Instant::now());
    let plan = make(&registry, &declarations, &state);
    report(own_cpu() - before, started.elapsed().as_secs_f64());
    assert_eq!(plan.operations.len(), if recorded { 0 } else { n });
}

/// Applies `n` operations that do nothing, with every intent and result durable on disk.
fn one_apply(n: usize) {
    let registry = Registry::new([Arc::new(noop::Noop) as Arc<dyn cloudtik_core::provider::Provider>]);
    let declarations = shapes::layers(n, 5);
    let home = tempfile::tempdir_in(std::env::current_dir().expect("a current folder")).expect("a folder on the disk");
    let store = RedbStore::new(home.path());
    let plan = make(&registry, &declarations, &BTreeMap::new());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    let (_keep, interrupt) = tokio::sync::watch::channel(Interrupt::No);
    let options = ApplyOptions { who: "bench".into(), command: "apply".into(), interrupt, parallelism: None };
    let (before, started) = (own_cpu(), Instant::now());
    let lock = store.lock(&shapes::scope(), &holder()).expect("the lock is free");
    let locks = BTreeMap::from([(shapes::scope(), lock)]);
    let summary = runtime
        .block_on(apply(&plan, &registry, locks, &BTreeMap::new(), options, &Silent))
        .expect("the apply ends by itself");
    report(own_cpu() - before, started.elapsed().as_secs_f64());
    assert_eq!(summary.done.len(), n);
}

fn holder() -> Holder {
    Holder {
        user: "bench".into(),
        host: "bench".into(),
        pid: std::process::id(),
        started: 0,
        since: jiff::Timestamp::now(),
        machine: String::new(),
        doing: "bench".into(),
    }
}

/// The median wall time of `CLOUDTIK --version` over 50 starts.
fn cold_start(program: &str) {
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let started = Instant::now();
            let output = Command::new(program).arg("--version").output().expect("the program starts");
            assert!(output.status.success());
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:<34} {:>10.2} ms median of 50, {:.2} to {:.2}", "cloudtik --version", times[25], times[0], times[49]);
}
