//! Fetches what Spark needs from where it is published. Ignored by default: it loads half a gigabyte.
//!
//! `cargo test -p cloudtik-runtime --test real_fetch -- --ignored --nocapture`

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_runtime::{Catalog, declare};
use serde_json::json;
use std::{sync::Arc, time::Instant};
use support::{LocalConnector, World, cluster, nodes, runtime};

#[tokio::test]
#[ignore = "loads half a gigabyte"]
async fn spark_and_java_come_from_where_they_are_published() {
    let root = tempfile::tempdir().unwrap();
    let mut world = World::new(runtime(root.path(), Arc::new(LocalConnector::default()), None));
    let compiled =
        declare(&cluster(&["spark"], json!({}), 1), &nodes(1, 1, 2048), &Catalog::shipped().unwrap()).unwrap();
    for artifact in compiled.declarations.iter().filter(|d| d.address.kind() == "artifact") {
        let started = Instant::now();
        world.apply(artifact).await.unwrap();
        let record = &world.records[&artifact.address];
        println!("{:6.2} s  {}: {:?}", started.elapsed().as_secs_f64(), artifact.address.short(), record.outputs);
        println!("{}", world.said.lock().unwrap().join("\n"));
        let home = std::path::PathBuf::from(record.outputs["path"].as_text().unwrap());
        assert!(home.join("bin").is_dir());
    }
    let java = world.records.values().find(|r| r.address.name() == "java").unwrap();
    let java = std::path::Path::new(java.outputs["path"].as_text().unwrap()).join("bin/java");
    assert!(std::process::Command::new(java).arg("-version").status().unwrap().success());
}
