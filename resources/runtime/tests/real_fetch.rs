//! Fetches what Spark needs from where it is published. Ignored by default: it loads half a gigabyte.
//!
//! `cargo test -p cloudtik-runtime --test real_fetch -- --ignored --nocapture`

#![allow(clippy::print_stdout, reason = "its report is its purpose")]
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{Declaration, Value, node::Files};
use cloudtik_runtime::{Catalog, declare};
use serde_json::json;
use std::{sync::Arc, time::Instant};
use support::{LocalConnector, World, cluster, nodes, runtime};

#[tokio::test]
#[ignore = "loads half a gigabyte"]
async fn spark_and_java_come_from_where_they_are_published() {
    fetch(Files::Shared).await;
}

#[tokio::test]
#[ignore = "loads half a gigabyte"]
async fn a_node_finds_spark_where_it_is_published() {
    fetch(Files::Own).await;
}

async fn fetch(files: Files) {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(runtime(&root.path().join("cache"), Arc::new(LocalConnector::default()), None));
    let mut nodes = nodes(0, 1, 4096);
    nodes[0].files = files;
    nodes[0].home = Value::text(root.path().join("home").display().to_string());
    nodes[0].connection = Value::from(json!({"via": "own", "node": "head"}));
    let compiled = declare(&cluster(&["spark"], json!({}), 0), &nodes, &Catalog::shipped().unwrap()).unwrap();
    let held = |d: &&Declaration| matches!(d.address.kind(), "artifact" | "installation");
    for artifact in compiled.declarations.iter().filter(held) {
        let started = Instant::now();
        world.apply(artifact).await.unwrap();
        let record = &world.records[&artifact.address];
        println!("{:6.2} s  {}: {:?}", started.elapsed().as_secs_f64(), artifact.address.short(), record.outputs);
        println!("{}", world.said.lock().unwrap().join("\n"));
        let home = std::path::PathBuf::from(record.outputs["path"].as_text().unwrap());
        assert!(home.join("bin").is_dir());
    }
    let java = world.records.values().find(|r| r.address.name().ends_with("java")).unwrap();
    let java = std::path::Path::new(java.outputs["path"].as_text().unwrap()).join("bin/java");
    assert!(std::process::Command::new(java).arg("-version").status().unwrap().success());
}
