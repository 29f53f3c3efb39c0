//! How long an apply takes against how long it must: a workspace and a cluster on a simulated cloud, on a virtual clock.
//!
//! The clock stands still while the engine computes and writes its journal, so the figures are about order, overlap and
//! rate alone; what the engine itself costs is measured by `apply`.

use crate::{
    cloud::{self, BOOT, BUCKETS},
    holder, make,
    shapes::{self, scope},
};
use cloudtik_core::{
    Address, Attrs, Declaration, Needs, Value,
    event::Silent,
    plan::Plan,
    state::{Entry, Mutation, Snapshot, Store},
};
use cloudtik_engine::{ApplyOptions, Interrupt, Registry, apply};
use cloudtik_redb::RedbStore;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// One way to run the plan.
struct Way {
    name: &'static str,
    batching: bool,
    /// Dependants of something that need only exist start when it does.
    split: bool,
    /// The longest way first.
    urgency: bool,
    at_once: Option<usize>,
}

const BEST: Way = Way { name: "as it is", batching: true, split: true, urgency: true, at_once: None };

/// Measures a cluster with its workspace, and in one that is there, in every way.
pub fn report(workers: usize) {
    let (workspace, cluster) = (workspace(), cluster(workers));
    let both: Vec<Declaration> = workspace.iter().chain(&cluster).cloned().collect();
    one(&format!("workspace and cluster of 1 + {workers}"), &both, &Snapshot::empty(&scope()));
    one(&format!("cluster of 1 + {workers} in a workspace that is there"), &both, &shapes::recorded(&workspace));
}

/// Prints every way against the lower bound.
fn one(what: &str, declarations: &[Declaration], before: &Snapshot) {
    let best = plan(declarations, before, &BEST);
    let bound = bound(&best);
    println!("{what}: {} operations, virtual seconds", best.operations.len());
    println!(
        "lower bound {:.1}: longest path {:.1}, most work over rate {:.1}",
        bound.0.max(bound.1),
        bound.0,
        bound.1
    );
    println!("{:<44} {:>9} {:>7} {:>8}", "", "makespan", "ratio", "refused");
    let ways = [
        BEST,
        Way { name: "one call for each machine", batching: false, ..BEST },
        Way { name: "everything waits for readiness", split: false, ..BEST },
        Way { name: "no urgency", urgency: false, ..BEST },
        Way { name: "10 at once", at_once: Some(10), ..BEST },
        Way { name: "FIFO-10: all of these", batching: false, split: false, urgency: false, at_once: Some(10) },
    ];
    for way in ways {
        let (makespan, refused) = run(declarations, before, &way);
        println!("{:<44} {makespan:>9.1} {:>7.3} {refused:>8}", way.name, makespan / bound.0.max(bound.1));
    }
    println!();
}

fn plan(declarations: &[Declaration], before: &Snapshot, way: &Way) -> Plan {
    let registry = Registry::new(cloud::providers(&cloud::world(way.batching)));
    let mut plan = make(&registry, declarations, &BTreeMap::from([(scope(), before.clone())]));
    if !way.split {
        plan.edges.iter_mut().for_each(|edge| edge.needs = Needs::Ready);
    }
    if !way.urgency {
        plan.operations.iter_mut().for_each(|op| op.expected_ms = 0);
    }
    plan.digest = plan.compute_digest();
    plan
}

/// Virtual seconds from the first call to the last result, and how often the service said to slow down.
fn run(declarations: &[Declaration], before: &Snapshot, way: &Way) -> (f64, usize) {
    let home = tempfile::tempdir().expect("a folder");
    let world = cloud::world(way.batching);
    world.meet(declarations);
    world.hold(before);
    let clock = world.clone();
    let registry = Registry::new(cloud::providers(&world)).with_clock(move || clock.now());
    let seconds = world.live(None, async {
        let mut lock = RedbStore::new(home.path()).lock(&scope(), &holder()).expect("the lock is free");
        let mutations = before.records.values().map(|record| Mutation::Put(Box::new((**record).clone()))).collect();
        let edit = Entry::Edit { what: "bench".into(), mutations, at: jiff::Timestamp::now() };
        lock.append(&[edit]).expect("the disk has room");
        let plan = plan(declarations, lock.snapshot(), way);
        let (_keep, interrupt) = watch::channel(Interrupt::No);
        let options =
            ApplyOptions { who: "bench".into(), command: "apply".into(), interrupt, parallelism: way.at_once };
        let started = world.elapsed();
        let locks = BTreeMap::from([(scope(), lock)]);
        let summary =
            apply(&plan, &registry, locks, &BTreeMap::new(), options, &Silent).await.expect("the apply ends by itself");
        assert!(summary.is_complete(), "{:?}", summary.failed);
        (world.elapsed() - started).as_secs_f64()
    });
    (seconds.expect("nothing kills it"), world.refused() as usize)
}

/// No schedule is shorter: the longest path, and the work that an API has to let through, in seconds.
fn bound(plan: &Plan) -> (f64, f64) {
    let mut edges: Vec<Vec<(usize, Needs)>> = vec![Vec::new(); plan.operations.len()];
    plan.edges.iter().for_each(|edge| edges[edge.to as usize].push((edge.from as usize, edge.needs)));
    let mut ends = vec![None; plan.operations.len()];
    let longest = (0..plan.operations.len()).map(|at| end(plan, &edges, at, &mut ends).1).fold(0.0, f64::max);
    let work = |&(api, size, rate): &(&str, f64, f64)| {
        let calls: BTreeMap<&str, BTreeSet<String>> = plan.operations.iter().fold(BTreeMap::new(), |mut calls, op| {
            let kind = cloud::of(op.address.kind());
            if kind.api == Some(api) {
                let place = op.address.instance().map_or(0, |(_, number, _)| number / kind.together);
                let alike = op.address.instance().filter(|_| kind.together > 1).map(|(group, ..)| group.to_string());
                let call = alike.map_or_else(|| op.address.short(), |group| format!("{group} {place}"));
                calls.entry(kind.name).or_default().insert(call);
            }
            calls
        });
        let count: usize = calls.values().map(BTreeSet::len).sum();
        (count as f64 - size).max(0.0) / rate
    };
    (longest, BUCKETS.iter().map(work).fold(0.0, f64::max))
}

/// When an operation's object can exist at the earliest, and when it can be ready.
fn end(plan: &Plan, edges: &[Vec<(usize, Needs)>], at: usize, ends: &mut Vec<Option<(f64, f64)>>) -> (f64, f64) {
    if let Some(known) = ends[at] {
        return known;
    }
    let kind = cloud::of(plan.operations[at].address.kind());
    let (mut start, mut booted) = (0.0f64, 0.0f64);
    for (from, needs) in &edges[at] {
        let (created, ready) = end(plan, edges, *from, ends);
        start = start.max(if *needs == Needs::Created { created } else { ready });
        if plan.operations[*from].address.kind() == "instance" && kind.name == "connection" {
            booted = ready + BOOT.as_secs_f64();
        }
    }
    let created = start + f64::from(kind.create) / 1000.0;
    let ready = created.max(booted) + f64::from(kind.ready) / 1000.0;
    ends[at] = Some((created, ready));
    (created, ready)
}

fn address(short: &str) -> Address {
    let (kind, name) = short.split_once('.').expect("`kind.name`");
    Address::new(scope(), kind, name)
}

/// A resource that refers to others: `@vpc.main` needs it ready, `@vpc.main?` only created.
fn thing(short: &str, needs: &[&str]) -> Declaration {
    let refer = |need: &str| match need.strip_suffix('?') {
        Some(early) => Value::reference_created(&address(early), "id"),
        None => Value::reference(&address(need), "id"),
    };
    let mut attributes: Attrs = needs.iter().map(|need| (name(need), refer(need))).collect();
    attributes.insert("name".into(), Value::text(short));
    let address = address(short);
    let provider = cloud::of(address.kind()).provider.into();
    Declaration::new(address, &provider, attributes)
}

/// The attribute that holds a reference: the kind's name where that is unique enough, as `instance`.
fn name(need: &str) -> String {
    let kind = need.split('.').next().unwrap_or(need);
    if kind == "instance" { kind.into() } else { need.replace(['.', '?'], "_") }
}

/// What the AWS provider declares for a workspace, by dependency and need.
fn workspace() -> Vec<Declaration> {
    let mut all = vec![
        thing("vpc.main", &[]),
        thing("internet_gateway.main", &["vpc.main?"]),
        thing("elastic_ip.nat", &[]),
        thing("nat_gateway.main", &["subnet.public-1?", "elastic_ip.nat?", "route.public"]),
        thing("route_table.public", &["vpc.main?"]),
        thing("route_table.private", &["vpc.main?"]),
        thing("route.public", &["route_table.public?", "internet_gateway.main?"]),
        thing("route.private", &["route_table.private?", "nat_gateway.main"]),
        thing("security_group.main", &["vpc.main?"]),
        thing("vpc_endpoint.s3", &["vpc.main", "route_table.private?"]),
        thing("role.head", &[]),
        thing("role.worker", &[]),
        thing("instance_profile.head", &["role.head?"]),
        thing("instance_profile.worker", &["role.worker?"]),
        thing("bucket.default", &[]),
    ];
    for zone in 1..=3 {
        all.push(thing(&format!("subnet.public-{zone}"), &["vpc.main?"]));
        all.push(thing(&format!("subnet.private-{zone}"), &["vpc.main?"]));
    }
    all
}

/// The same for a cluster.
fn cluster(workers: usize) -> Vec<Declaration> {
    let mut all = vec![thing("key_pair.main", &[]), thing("image.default", &[])];
    let machine = |name: &str, subnet: &str, profile: &str| {
        let needs = [subnet, profile, "security_group.main?", "key_pair.main", "image.default"];
        thing(&format!("instance.{name}"), &needs)
    };
    all.push(machine("head", "subnet.public-1?", "instance_profile.head"));
    all.push(thing("connection.head", &["instance.head", "route.public"]));
    let nodes = std::iter::once("head".to_string()).chain((0..workers).map(|i| format!("worker.default[{i}]")));
    for node in nodes {
        let connection = format!("connection.{node}");
        let instance = format!("instance.{node}");
        if node != "head" {
            all.push(machine(&node, "subnet.private-1?", "instance_profile.worker"));
            all.push(thing(&connection, &[&instance, "route.private", "connection.head"]));
        }
        let artifact = format!("artifact.{node}/spark");
        all.push(thing(&artifact, &[&connection]));
        let files: Vec<String> =
            ["spark-defaults.conf", "spark-node.conf", "log4j2.properties"].map(|f| format!("file.{node}/{f}")).into();
        all.extend(files.iter().map(|file| thing(file, &[&connection])));
        let mut needs: Vec<&str> = files.iter().map(String::as_str).collect();
        needs.push(&artifact);
        if node != "head" {
            needs.push("service.head/spark");
        }
        all.push(thing(&format!("service.{node}/spark"), &needs));
    }
    all
}
