//! What the shipped `spark` runtime becomes on nodes that do not see this machine's files.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{
    Declaration, Value,
    node::{Files, Node},
};
use cloudtik_runtime::{Catalog, Compiled, declare, launcher};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use support::{cluster, instance, nodes};

/// A head and workers as a cloud has them: nothing is shared, and there are no names beside addresses.
fn own(workers: usize) -> Vec<Node> {
    let mut nodes = nodes(workers, 2, 4096);
    for node in &mut nodes {
        node.files = Files::Own;
        node.shared = None;
        node.host = node.ip.clone();
    }
    nodes
}

fn compile(spark: Json, nodes: &[Node]) -> Compiled {
    let cluster = cluster(&["spark"], json!({ "spark": spark }), nodes.len() as u32 - 1);
    declare(&cluster, nodes, &Catalog::shipped().unwrap()).unwrap()
}

fn find<'a>(compiled: &'a Compiled, short: &str) -> &'a Declaration {
    compiled.declarations.iter().find(|d| d.address.short() == short).unwrap_or_else(|| panic!("no {short}"))
}

/// A value with each reference shown by what it refers to.
fn shown(value: &Value) -> String {
    let name = |r: &cloudtik_core::Reference| Some(Value::text(format!("<{}#{}>", r.address.short(), r.attribute)));
    value.resolve(&name).scalar_text().unwrap_or_else(|| panic!("{value:?}"))
}

fn env(compiled: &Compiled, service: &str, name: &str) -> String {
    shown(&find(compiled, service).attributes["env"].as_map().unwrap()[name])
}

fn property(compiled: &Compiled, node: &str, key: &str) -> Option<String> {
    let text = shown(&find(compiled, &format!("file.{node}/spark-defaults.conf")).attributes["content"]);
    text.lines().find_map(|line| line.strip_prefix(&format!("{key} ")).map(String::from))
}

#[test]
fn every_node_gets_its_own_and_nothing_is_needed_here() {
    let compiled = compile(json!({}), &own(2));
    let kinds: BTreeSet<&str> = compiled.declarations.iter().map(|d| d.address.kind()).collect();
    assert_eq!(kinds, BTreeSet::from(["file", "installation", "service"]));
    for node in ["head", "worker.default[0]", "worker.default[1]"] {
        let spark = find(&compiled, &format!("installation.{node}/spark"));
        assert_eq!(spark.lifecycle.gone_with, Some(instance(node)));
        assert_eq!(shown(&spark.attributes["connection"]), format!("<instance.{node}#connection>"));
        let folder = shown(&spark.attributes["folder"]);
        assert!(folder.starts_with(&format!("<instance.{node}#home>/software/spark-4.3.0-")), "{folder}");
    }
    let worker = find(&compiled, "service.worker.default[1]/spark-worker");
    let own = "<installation.worker.default[1]/java#path>/bin/java";
    assert_eq!(shown(&worker.attributes["command"].as_list().unwrap()[0]), own);
    for (name, expected) in [
        ("JAVA_HOME", "<installation.worker.default[1]/java#path>"),
        ("LD_LIBRARY_PATH", "<installation.worker.default[1]/java#libraries>"),
        ("SPARK_HOME", "<installation.worker.default[1]/spark#path>"),
        ("SPARK_LOCAL_DIRS", "<instance.worker.default[1]#home>/spark/local"),
        ("SPARK_PUBLIC_DNS", "<instance.worker.default[1]#ip>"),
    ] {
        assert_eq!(env(&compiled, "service.worker.default[1]/spark-worker", name), expected);
    }
}

#[test]
fn scripts_run_with_what_the_head_has() {
    let compiled = compile(json!({}), &own(1));
    let launch = launcher(&compiled, "/home/job.py", &[], &[]).unwrap();
    let argv: Vec<String> = launch.argv.iter().map(shown).collect();
    assert_eq!(argv[0], "<installation.head/spark#path>/bin/spark-submit");
    assert_eq!(argv[2], "<instance.head#home>/spark/conf/spark-defaults.conf");
    assert_eq!(shown(&launch.env["JAVA_HOME"]), "<installation.head/java#path>");
    assert_eq!(shown(&launch.env["CLOUDTIK_NODE_IP"]), "<instance.head#ip>");
    assert!(!launch.env.contains_key("CLOUDTIK_SHARED"));
}

#[test]
fn without_a_shared_folder_logs_go_to_the_head_and_drivers_elsewhere_write_none() {
    let compiled = compile(json!({}), &own(1));
    let logs = "file:<instance.head#home>/shared/spark-events";
    assert_eq!(property(&compiled, "head", "spark.eventLog.dir").as_deref(), Some(logs));
    assert_eq!(property(&compiled, "head", "spark.eventLog.enabled").as_deref(), Some("true"));
    assert_eq!(property(&compiled, "worker.default[0]", "spark.eventLog.enabled").as_deref(), Some("false"));
    let history = shown(&find(&compiled, "file.head/spark-history.conf").attributes["content"]);
    assert!(history.contains(&format!("spark.history.fs.logDirectory {logs}")), "{history}");
    // A place of the user's own, such as a bucket, is for all nodes.
    let compiled = compile(json!({"config": {"spark.eventLog.dir": "s3a://b/logs"}}), &own(1));
    assert_eq!(property(&compiled, "worker.default[0]", "spark.eventLog.enabled").as_deref(), Some("true"));
}

#[test]
fn names_may_be_addresses() {
    let compiled = compile(json!({}), &own(1));
    assert_eq!(property(&compiled, "head", "spark.master").as_deref(), Some("spark://<instance.head#ip>:7077"));
    for key in ["spark.driver.host", "spark.driver.bindAddress"] {
        assert_eq!(property(&compiled, "worker.default[0]", key).as_deref(), Some("<instance.worker.default[0]#ip>"));
    }
}

#[test]
fn data_disks_come_first_and_hold_what_spark_spills() {
    let mut nodes = own(1);
    nodes[1].data_disks = 2;
    let mut cluster = cluster(&["spark"], json!({}), 1);
    cluster.commands.setup = vec!["true".into()];
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
    assert_eq!(
        env(&compiled, "service.worker.default[0]/spark-worker", "SPARK_LOCAL_DIRS"),
        "/mnt/cloudtik/data_disk_1/spark/local,/mnt/cloudtik/data_disk_2/spark/local"
    );
    let disks = find(&compiled, "disks.worker.default[0]/data");
    assert_eq!(disks.attributes["count"], Value::Int(2));
    assert!(compiled.declarations.iter().all(|d| d.address.short() != "disks.head/data"));
    let needs = |short: &str| -> Vec<String> {
        find(&compiled, short).dependencies().iter().map(|d| d.address.short()).collect()
    };
    assert!(needs("command.worker.default[0]/setup").contains(&"disks.worker.default[0]/data".to_owned()));
    let service = needs("service.worker.default[0]/spark-worker");
    assert!(service.contains(&"command.worker.default[0]/setup".to_owned()), "{service:?}");

    cluster.commands.setup.clear();
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
    let service = find(&compiled, "service.worker.default[0]/spark-worker").dependencies();
    assert!(service.iter().any(|d| d.address.kind() == "disks"));
}

#[test]
fn a_version_of_its_own_replaces_only_what_comes_in_another_folder() {
    let catalog = Catalog::shipped().unwrap();
    let mut newer = catalog.clone();
    let mut entry = catalog.get("spark").unwrap().clone();
    let spark = &mut entry.manifest.versions.get_mut("4.3.0").unwrap()[0];
    spark.unpack.pop();
    newer.insert(entry.manifest, entry.templates);
    let cluster = cluster(&["spark"], json!({}), 1);
    let folders = |catalog: &Catalog| -> Vec<String> {
        let compiled = declare(&cluster, &own(1), catalog).unwrap();
        ["spark", "java"]
            .map(|n| shown(&find(&compiled, &format!("installation.head/{n}")).attributes["folder"]))
            .into()
    };
    let (before, after) = (folders(&catalog), folders(&newer));
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
}

#[test]
fn what_a_user_runs_on_a_node_finds_the_cluster_in_its_environment() {
    let mut nodes = own(1);
    nodes[0].host = Value::text("head's name");
    let mut cluster = cluster(&["spark"], json!({}), 1);
    cluster.runtime.envs.insert("GREETING".into(), "it's".into());
    cluster.runtime.envs.insert("no.name".into(), "x".into());
    cluster.commands.setup = vec!["true".into()];
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
    let script = |node: &str| shown(&find(&compiled, &format!("file.{node}/environment.sh")).attributes["content"]);
    for line in [
        "export CLOUDTIK_CLUSTER='c'",
        "export CLOUDTIK_HEAD_IP='<instance.head#ip>'",
        "export CLOUDTIK_NODE_HOST='head'\\''s name'",
        "export CLOUDTIK_NODE_IP='<instance.head#ip>'",
        "export GREETING='it'\\''s'",
        "export JAVA_HOME='<installation.head/java#path>'",
    ] {
        assert!(script("head").contains(&format!("{line}\n")), "{line} in {}", script("head"));
    }
    assert!(!script("head").contains("no.name"));
    assert!(script("worker.default[0]").contains("export CLOUDTIK_NODE_IP='<instance.worker.default[0]#ip>'\n"));
    let setup = find(&compiled, "command.worker.default[0]/setup").attributes["env"].clone();
    assert_eq!(setup.at("CLOUDTIK_HEAD_IP").map(shown).as_deref(), Some("<instance.head#ip>"));
}
