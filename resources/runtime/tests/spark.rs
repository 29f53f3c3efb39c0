//! What the shipped `spark` runtime becomes: its sizes, files, services and launchers.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudtik_core::{Address, Declaration, Needs, Scope, Value};
use cloudtik_runtime::{Catalog, Compiled, declare, launcher};
use serde_json::{Value as Json, json};
use support::{cluster, nodes};

fn compile(spark: Json, workers: usize, cpus: u32, memory_mib: u64) -> Compiled {
    let cluster = cluster(&["spark"], json!({ "spark": spark }), workers as u32);
    declare(&cluster, &nodes(workers, cpus, memory_mib), &Catalog::shipped().unwrap()).unwrap()
}

fn find<'a>(compiled: &'a Compiled, short: &str) -> &'a Declaration {
    let found = compiled.declarations.iter().find(|d| d.address.short() == short);
    found.unwrap_or_else(|| panic!("no {short} in {:?}", addresses(compiled)))
}

fn addresses(compiled: &Compiled) -> Vec<String> {
    compiled.declarations.iter().map(|d| d.address.short()).collect()
}

#[test]
fn commands_find_what_the_provider_says_and_the_documents_own_variables_win() {
    let mut nodes = nodes(0, 1, 4096);
    let bucket: Address = "workspace/w:bucket.default".parse().unwrap();
    nodes[0].env = [("S3_BUCKET", Value::reference(&bucket, "id")), ("KEY", Value::text("provider's"))]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let mut cluster = cluster(&["spark"], json!({}), 0);
    cluster.runtime.envs.insert("KEY".into(), "document's".into());
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
    let env = launcher(&compiled, "job.sh", &[], &[]).unwrap().env;
    assert_eq!(shown(&env["S3_BUCKET"]), "<default.id>");
    assert_eq!(env["KEY"], Value::text("document's"));
}

/// A value with each reference shown by what it refers to.
fn shown(value: &Value) -> String {
    let resolved = value.resolve(&|r| Some(Value::text(format!("<{}.{}>", r.address.name(), r.attribute))));
    resolved.scalar_text().unwrap_or_else(|| panic!("{resolved:?}"))
}

fn content(compiled: &Compiled, short: &str) -> String {
    shown(&find(compiled, short).attributes["content"])
}

fn property(compiled: &Compiled, key: &str) -> Option<String> {
    let text = content(compiled, "file.head/spark-defaults.conf");
    let prefix = format!("{key} ");
    text.lines().find_map(|line| line.strip_prefix(&prefix).map(String::from))
}

fn command(compiled: &Compiled, short: &str) -> Vec<String> {
    find(compiled, short).attributes["command"].as_list().unwrap().iter().map(shown).collect()
}

/// The argument after `flag`.
fn argument(command: &[String], flag: &str) -> String {
    command[command.iter().position(|a| a == flag).unwrap() + 1].clone()
}

#[test]
fn a_head_and_two_workers_become_these_resources() {
    let compiled = compile(json!({}), 2, 2, 4096);
    let mut found = addresses(&compiled);
    found.sort();
    assert_eq!(
        found,
        [
            "artifact.java",
            "artifact.spark",
            "file.head/log4j2.properties",
            "file.head/spark-defaults.conf",
            "file.head/spark-history.conf",
            "file.head/spark-master.conf",
            "file.worker.default[0]/log4j2.properties",
            "file.worker.default[0]/spark-defaults.conf",
            "file.worker.default[0]/spark-worker.conf",
            "file.worker.default[1]/log4j2.properties",
            "file.worker.default[1]/spark-defaults.conf",
            "file.worker.default[1]/spark-worker.conf",
            "service.head/spark-history",
            "service.head/spark-master",
            "service.worker.default[0]/spark-worker",
            "service.worker.default[1]/spark-worker",
        ]
    );
    let endpoints: Vec<_> = compiled.endpoints.iter().map(|e| (e.name.as_str(), e.port)).collect();
    assert_eq!(endpoints, [("spark-ui", 8080), ("spark-history", 18080)]);
}

#[test]
fn defaults_name_the_master_and_bind_to_the_node() {
    let compiled = compile(json!({}), 2, 2, 4096);
    assert_eq!(
        content(&compiled, "file.worker.default[1]/spark-defaults.conf"),
        "# Written by cloudtik. Set `runtime.spark.config` in the cluster document to change it.
spark.decommission.enabled true
spark.driver.bindAddress <worker.default[1].ip>
spark.driver.extraJavaOptions -Dlog4j2.configurationFile=file:<worker.default[1].home>/spark/conf/log4j2.properties -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.driver.host <worker.default[1].host>
spark.driver.memory 1024m
spark.eventLog.dir file:/shared/spark-events
spark.eventLog.enabled true
spark.executor.cores 2
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.executor.memory 3456m
spark.master spark://<head.host>:7077
spark.sql.shuffle.partitions 8
spark.sql.warehouse.dir file:/shared/spark-warehouse
spark.ui.reverseProxy true
spark.ui.showConsoleProgress false
"
    );
}

#[test]
fn the_users_properties_win_and_a_null_removes() {
    let config = json!({"spark.executor.memory": "1g", "spark.ui.reverseProxy": null, "spark.x.y": "a\\b", "n": 2});
    let compiled = compile(json!({"config": config, "quick_start": false}), 1, 2, 4096);
    assert_eq!(property(&compiled, "spark.executor.memory").as_deref(), Some("1g"));
    assert_eq!(property(&compiled, "spark.x.y").as_deref(), Some("a\\\\b"));
    assert_eq!(property(&compiled, "spark.ui.reverseProxy"), None);
    assert_eq!(property(&compiled, "spark.executor.extraJavaOptions"), None);
    assert!(!command(&compiled, "service.head/spark-master").iter().any(|a| a.starts_with("-XX")));
}

/// `(cpus, MiB of the worker, executor cores, executor MiB, worker MiB)`.
#[test]
fn executors_fit_their_nodes() {
    for (cpus, memory, cores, executor, offered) in [
        (1, 1024, 1, 512, 768),
        (16, 1024, 16, 512, 768), // memory for one executor only: it gets all cores
        (1, 2048, 1, 1408, 1792),
        (2, 4096, 2, 3456, 3840),
        (7, 16384, 7, 14661, 16128),
        (8, 16384, 4, 7330, 16128), // two executors
        (10, 16384, 5, 7330, 16128),
        (64, 262_144, 4, 14880, 261_888),
        (64, 4096, 12, 512, 3840), // memory bounds their number to five
    ] {
        let cluster = cluster(&["spark"], json!({}), 1);
        let mut nodes = nodes(1, cpus, memory);
        nodes[0].memory_mib = 4096;
        let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
        let size = (property(&compiled, "spark.executor.cores"), property(&compiled, "spark.executor.memory"));
        assert_eq!(size, (Some(cores.to_string()), Some(format!("{executor}m"))), "{cpus} cpus, {memory} MiB");
        let worker = command(&compiled, "service.worker.default[0]/spark-worker");
        assert_eq!(argument(&worker, "-m"), format!("{offered}m"), "{cpus} cpus, {memory} MiB");
        assert_eq!(argument(&worker, "-c"), cpus.to_string());
        // What is promised to executors is there: heaps and what lies beside them, within what the worker offers.
        let count = (cpus / cores).min((offered / executor) as u32) as u64;
        assert!(count >= 1 && count * executor <= offered, "{cpus} cpus, {memory} MiB");
    }
}

#[test]
fn the_driver_grows_with_the_head_within_bounds() {
    for (memory, driver) in [(1536, 512), (2048, 1024), (4096, 1024), (16384, 1638), (262_144, 8192)] {
        let cluster = cluster(&["spark"], json!({}), 1);
        let mut nodes = nodes(1, 2, 2048);
        nodes[0].memory_mib = memory;
        let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
        assert_eq!(property(&compiled, "spark.driver.memory"), Some(format!("{driver}m")), "{memory} MiB");
    }
}

#[test]
fn the_smallest_worker_sets_the_executors_size() {
    let cluster = cluster(&["spark"], json!({}), 2);
    let mut nodes = nodes(2, 4, 8192);
    nodes[2].memory_mib = 2048;
    nodes[2].cpus = 1;
    let compiled = declare(&cluster, &nodes, &Catalog::shipped().unwrap()).unwrap();
    assert_eq!(property(&compiled, "spark.executor.memory").as_deref(), Some("1408m"));
    assert_eq!(property(&compiled, "spark.executor.cores").as_deref(), Some("1"));
    assert_eq!(property(&compiled, "spark.sql.shuffle.partitions").as_deref(), Some("10"));
}

#[test]
fn a_node_that_is_too_small_is_told_the_smallest_size_that_fits() {
    let catalog = Catalog::shipped().unwrap();
    for (history, head, worker, hints) in [
        (true, 4096, 512, vec!["give `worker.default` at least 1024 MiB of memory"]),
        (true, 512, 2048, vec!["give `head.default` at least 1536 MiB of memory"]),
        (false, 512, 2048, vec!["give `head.default` at least 1280 MiB of memory"]),
    ] {
        let cluster = cluster(&["spark"], json!({"spark": {"history": history}}), 2);
        let mut nodes = nodes(2, 2, worker);
        nodes[0].memory_mib = head;
        let problems = declare(&cluster, &nodes, &catalog).unwrap_err();
        let found: Vec<&str> = problems.iter().flat_map(|d| &d.hints).map(String::as_str).collect();
        assert_eq!(found, hints, "{problems:?}");
        assert!(problems.iter().all(|d| d.id == "node-too-small" && d.origin.is_some()));
    }
}

#[test]
fn a_cluster_of_one_node_works_on_its_head() {
    let compiled = compile(json!({}), 0, 4, 8192);
    let worker = command(&compiled, "service.head/spark-worker");
    // 8192 less 512 master, 256 history, 1024 driver, 256 beside it, 256 worker.
    assert_eq!(argument(&worker, "-m"), "5888m");
    assert_eq!(property(&compiled, "spark.executor.memory").as_deref(), Some("5352m"));
}

#[test]
fn workers_start_once_the_master_is_ready_and_services_read_their_own_file_only() {
    let compiled = compile(json!({}), 1, 2, 4096);
    let needs = |service: &str| -> Vec<(String, Needs)> {
        find(&compiled, service).dependencies().into_iter().map(|d| (d.address.short(), d.needs)).collect()
    };
    let worker = needs("service.worker.default[0]/spark-worker");
    for expected in ["service.head/spark-master", "file.worker.default[0]/spark-worker.conf", "artifact.java"] {
        assert!(worker.contains(&(expected.to_owned(), Needs::Ready)), "{expected} in {worker:?}");
    }
    for service in ["service.head/spark-master", "service.head/spark-history", "service.worker.default[0]/spark-worker"]
    {
        let files: Vec<String> =
            needs(service).into_iter().map(|(a, _)| a).filter(|a| a.starts_with("file.")).collect();
        assert_eq!(files.len(), 1, "{service}: {files:?}");
        assert!(!files[0].ends_with("spark-defaults.conf"));
    }
    let lifecycle = &find(&compiled, "service.head/spark-master").lifecycle;
    assert_eq!(lifecycle.gone_with, Some(support::instance("head")));
}

/// Which resources differ when one Spark setting is edited.
fn changed_by(key: &str, value: Json) -> Vec<String> {
    let (before, after) = (compile(json!({}), 2, 2, 4096), compile(json!({"config": {key: value}}), 2, 2, 4096));
    let differs = |d: &&Declaration| find(&before, &d.address.short()).attributes != d.attributes;
    let mut changed: Vec<String> = after.declarations.iter().filter(differs).map(|d| d.address.short()).collect();
    changed.sort();
    changed
}

#[test]
fn an_edited_setting_changes_the_files_of_those_who_read_it() {
    let defaults = ["file.head/spark-defaults.conf", "file.worker.default[0]/spark-defaults.conf"];
    let all = [defaults[0], defaults[1], "file.worker.default[1]/spark-defaults.conf"];
    assert_eq!(changed_by("spark.sql.adaptive.enabled", json!(false)), all);
    let history = changed_by("spark.history.retainedApplications", json!(5));
    assert_eq!(history, [all[0], "file.head/spark-history.conf", all[1], all[2]]);
    let worker = changed_by("spark.worker.cleanup.enabled", json!(true));
    assert!(worker.contains(&"file.worker.default[0]/spark-worker.conf".to_owned()), "{worker:?}");
    assert!(!worker.iter().any(|a| a.contains("master")), "{worker:?}");
}

#[test]
fn mistakes_in_the_block_are_all_reported_with_a_way_out() {
    let problems = |config: Json| {
        let cluster = cluster(&["spark"], json!({ "spark": config }), 1);
        declare(&cluster, &nodes(1, 2, 4096), &Catalog::shipped().unwrap()).unwrap_err()
    };
    let found = problems(json!({"confg": {}, "history": "yes", "version": "9", "spark.x": 1}));
    let mut ids: Vec<(&str, &str)> = found.iter().map(|d| (d.id.as_str(), d.hints[0].as_str())).collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        [
            ("unknown-key", "did you mean `config`?"),
            ("unknown-key", "properties go under `config:`, as `runtime.spark.config`"),
            ("unknown-runtime-version", "set `version: 4.3.0`, or add it to a runtime folder of your own"),
            ("wrong-type", "give `true` or `false`"),
        ]
    );
    let cluster = cluster(&["sparc"], json!({}), 1);
    let found = declare(&cluster, &nodes(1, 2, 4096), &Catalog::shipped().unwrap()).unwrap_err();
    assert_eq!((found[0].id.as_str(), found[0].hints[0].as_str()), ("unknown-runtime", "did you mean `spark`?"));
}

#[test]
fn scripts_run_through_spark_with_an_absolute_properties_file() {
    let compiled = compile(json!({}), 1, 2, 4096);
    let text = |s: &str| vec![s.to_owned()];
    let launch = launcher(&compiled, "/home/job.py", &[], &text("20")).unwrap();
    let argv: Vec<String> = launch.argv.iter().map(shown).collect();
    assert_eq!(
        argv,
        [
            "<spark.path>/bin/spark-submit",
            "--properties-file",
            "<head.home>/spark/conf/spark-defaults.conf",
            "/home/job.py",
            "20"
        ]
    );
    assert_eq!(shown(&launch.env["SPARK_SCALA_VERSION"]), "2.13");
    assert_eq!(shown(&launch.env["SPARK_LOCAL_IP"]), "<head.ip>");
    let launch = launcher(&compiled, "/home/a.jar", &["--class".into(), "A".into()], &[]).unwrap();
    assert_eq!(launch.argv[3..].iter().map(shown).collect::<Vec<_>>(), ["--class", "A", "/home/a.jar"]);
    assert!(launch.resolve(&|_| None).is_err());

    let bare = declare(&cluster(&[], json!({}), 1), &nodes(1, 1, 256), &Catalog::shipped().unwrap()).unwrap();
    for (script, program) in [("a.py", "python3"), ("a.sh", "/bin/sh")] {
        assert_eq!(shown(&launcher(&bare, script, &[], &[]).unwrap().argv[0]), program);
    }
    let problem = launcher(&bare, "a.jar", &[], &[]).unwrap_err();
    assert_eq!(problem.hints, ["submit a file that ends with .py, .sh"]);
}

#[test]
fn declarations_do_not_depend_on_the_order_of_nodes() {
    let catalog = Catalog::shipped().unwrap();
    let cluster = cluster(&["spark"], json!({}), 3);
    let key = |nodes: &[cloudtik_core::node::Node]| {
        let mut found: Vec<(Address, String)> = declare(&cluster, nodes, &catalog)
            .unwrap()
            .declarations
            .iter()
            .map(|d| (d.address.clone(), format!("{:?} {:?}", d.attributes, d.dependencies())))
            .collect();
        found.sort();
        found
    };
    let forward = nodes(3, 2, 4096);
    let mut backward = forward.clone();
    backward.reverse();
    assert_eq!(key(&forward), key(&backward));
    assert_eq!(key(&forward)[0].0.scope(), &Scope::cluster("w", "c"));
}
