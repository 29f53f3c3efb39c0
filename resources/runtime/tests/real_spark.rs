//! Real Spark on loopback addresses of this machine: cluster up, job submitted, cluster down.
//!
//! Ignored by default: it needs Java 17, Python 3 and the distribution, and takes about half a minute. Run it with
//! `CLOUDTIK_ARTIFACT_MIRROR=<folder with the archive> cargo test -p cloudtik-runtime --test real_spark -- --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "its report is its purpose")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{
    Attrs, Value,
    host::{Command, Host},
    node::Files,
    provider::{Health, Presence},
};
use cloudtik_runtime::{Catalog, declare, launcher};
use serde_json::json;
use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use support::{LocalConnector, LocalHost, World, cluster, instance, nodes, runtime};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts real JVMs"]
async fn a_job_runs_on_a_head_and_two_workers() {
    job_on(Files::Shared, "127.78.0").await;
}

/// Each node fetches for itself: Spark from the mirror, which must be an http address to be of use to them, else from PyPI.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts real JVMs; each node loads half a gigabyte"]
async fn a_job_runs_on_nodes_of_their_own_files() {
    job_on(Files::Own, "127.79.0").await;
}

/// `network`: the first three numbers of the nodes' addresses.
async fn job_on(files: Files, network: &str) {
    let root = tempfile::tempdir().unwrap();
    let cache = env::var_os("CLOUDTIK_TEST_CACHE").map_or_else(|| root.path().join("cache"), PathBuf::from);
    let mirror = env::var("CLOUDTIK_ARTIFACT_MIRROR").ok();
    let mut world = World::new(runtime(&cache, Arc::new(LocalConnector::default()), mirror));
    let mut nodes = nodes(2, 1, 2048);
    for (at, node) in nodes.iter_mut().enumerate() {
        let ip = format!("{network}.{}", at + 1);
        let home = root.path().join(node.instance.name()).display().to_string();
        let connection = match files {
            Files::Shared => json!({"via": "test"}),
            Files::Own => json!({"via": "own", "node": node.instance.name()}),
        };
        node.files = files;
        node.shared = (files == Files::Shared).then(|| Value::text(root.path().join("shared").display().to_string()));
        let outputs = [("host", Value::text(&ip)), ("ip", Value::text(&ip)), ("home", Value::text(home))];
        let mut outputs: Attrs = outputs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        outputs.insert("connection".into(), connection.into());
        world.instance(&instance(node.instance.name()), outputs);
    }
    let cluster = cluster(&["spark"], json!({}), 2);
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();

    let since = Instant::now();
    for declaration in &compiled.declarations {
        let started = Instant::now();
        world.apply(declaration).await.unwrap();
        println!(
            "{:6.2} s  {:5.2} s  {}",
            since.elapsed().as_secs_f64(),
            started.elapsed().as_secs_f64(),
            declaration.address.short()
        );
    }
    let services = compiled.declarations.iter().filter(|d| d.address.kind() == "service");
    for service in services.clone() {
        let presence = world.refresh(&service.address).await;
        assert!(matches!(presence, Presence::Present { healthy: Health::Ok, .. }), "{}: {presence:?}", service.address);
    }

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/spark/job.py");
    let args = ["--executors", "2"].map(String::from);
    let launch = launcher(&compiled, script, &[], &args).unwrap();
    let started = Instant::now();
    let output = LocalHost.run(&launch.resolve(&|r| world.resolve(r)).unwrap()).await.unwrap();
    println!(
        "job: {:.2} s, exit {}\n{}{}",
        started.elapsed().as_secs_f64(),
        output.code,
        output.text(),
        output.error_text()
    );
    // It reads new logs every two seconds.
    let history = format!("http://{network}.1:18080/api/v1/applications?status=completed");
    let script = "for try in 1 2 3 4 5 6 7 8 9 10; do curl -fsS \"$1\" | grep completed && exit; sleep 1; done";
    let listed = LocalHost.run(&Command::sh(script, [history])).await.unwrap();
    if let Some(jar) = java_job(&world, root.path()).await {
        let launch = launcher(&compiled, &jar, &["--class".to_owned(), "Count".to_owned()], &[]).unwrap();
        let output = LocalHost.run(&launch.resolve(&|r| world.resolve(r)).unwrap()).await.unwrap();
        print!("jar: {}{}", output.text(), output.error_text());
        assert!(output.text().contains(&format!("count 499500 on spark://{network}.1:7077")));
    }
    let stopped = Instant::now();
    for service in services.rev() {
        world.delete(&service.address).await.unwrap();
    }
    println!("down: {:.2} s", stopped.elapsed().as_secs_f64());
    assert_eq!(output.code, 0);
    assert!(output.text().contains(&format!("master    spark://{network}.1:7077")));
    assert!(output.text().contains(&format!("executors {network}.2 {network}.3")));
    assert!(listed.text().contains("\"completed\" : true"), "the history server shows the job: {}", listed.text());
}

/// A jar made of `Count.java`; `None` where this machine has no compiler.
async fn java_job(world: &World, folder: &Path) -> Option<String> {
    let spark =
        world.records.values().find(|r| matches!(&*r.address.short(), "artifact.spark" | "installation.head/spark"))?;
    let classes = format!("{}/jars/*", spark.outputs["path"].as_text()?);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/Count.java");
    let (out, jar) = (folder.join("classes").display().to_string(), folder.join("count.jar").display().to_string());
    for argv in [
        vec!["javac", "-cp", &classes, "-d", &out, source],
        vec!["jar", "--create", "--file", &jar, "-C", &out, "Count.class"],
    ] {
        let output = LocalHost.run(&Command::new(argv)).await.ok()?;
        assert_eq!(output.code, 0, "{}", output.error_text());
    }
    Some(jar)
}
