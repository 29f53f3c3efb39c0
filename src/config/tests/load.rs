//! Documents from disk to the core's types.

use cloudtik_config::{
    Kind, LoadOptions, Loaded, Purpose, Reference, fetched_values, load, reference, resolved, schema, secrets, value_of,
};
use cloudtik_core::{
    Scope, TreeValue,
    document::{Cluster, Document},
};
use serde_json::json;
use std::path::{Path, PathBuf};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, content).expect("written");
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn options() -> LoadOptions {
    LoadOptions {
        runtimes: ["spark".to_string(), "own".to_string()].into(),
        providers: ["local".to_string()].into(),
        ..LoadOptions::default()
    }
}

fn loaded(paths: &[PathBuf], options: &LoadOptions) -> Loaded {
    load(paths, options).unwrap_or_else(|problems| panic!("{:#?}", problems.diagnostics))
}

fn cluster(text: &str) -> Cluster {
    let folder = Folder::new();
    match loaded(&[folder.file("cluster.yaml", text)], &options()).documents.remove(0) {
        Document::Cluster(cluster) => *cluster,
        _ => panic!("a cluster"),
    }
}

fn ids(paths: &[PathBuf], options: &LoadOptions) -> Vec<String> {
    match load(paths, options) {
        Ok(loaded) => loaded.warnings.into_iter().map(|d| d.id).collect(),
        Err(problems) => problems.diagnostics.into_iter().map(|d| d.id).collect(),
    }
}

#[test]
fn the_shortest_cluster_is_one_head_and_one_worker_with_spark() {
    let cluster = cluster("cluster_name: demo\nprovider: {type: local}\n");
    assert_eq!((cluster.workspace.as_str(), cluster.name.as_str()), ("default", "demo"));
    assert_eq!((cluster.head.name.as_str(), cluster.head.count), ("head.default", 1));
    let workers: Vec<_> = cluster.workers.iter().map(|w| (w.name.as_str(), w.count, w.max_count)).collect();
    assert_eq!(workers, [("worker.default", 1, 32)]);
    let (name, origin) = &cluster.runtime.types[0];
    assert_eq!((name.as_str(), &*origin.file), ("spark", "template:local/defaults"));
}

#[test]
fn every_shipped_size_has_the_cores_and_memory_that_it_declares() {
    for (size, head, worker) in [
        ("small", (1, 2048), (1, 1024)),
        ("standard", (2, 4096), (2, 2048)),
        ("medium", (2, 8192), (4, 4096)),
        ("large", (4, 16384), (8, 8192)),
    ] {
        let cluster = cluster(&format!("from: local/{size}\ncluster_name: demo\n"));
        let offers = |node: &cloudtik_core::document::NodeType| (node.cpus.unwrap(), node.memory_mib.unwrap());
        assert_eq!((offers(&cluster.head), offers(&cluster.workers[0])), (head, worker), "{size}");
    }
}

#[test]
fn a_node_type_narrows_runtimes_and_replaces_commands() {
    let cluster = cluster(
        "cluster_name: demo
provider: {type: local}
setup_commands: [all]
worker_setup_commands: [workers]
runtime:
  types: [spark, own, spark]
  envs: {A: a, B: b}
  spark: {config: {x: 1, y: 2}}
available_node_types:
  worker.default:
    min_workers: 2
    max_workers: 5
    worker_setup_commands: [mine]
    runtime:
      types: [spark]
      envs: {B: mine}
      spark: {config: {y: 3}}
",
    );
    let types = |r: &cloudtik_core::document::RuntimeSelection| {
        r.types.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(types(&cluster.runtime), ["spark", "own"]);
    let worker = &cluster.workers[0];
    assert_eq!((worker.count, worker.max_count), (2, 5));
    assert_eq!(types(&worker.runtime), ["spark"]);
    assert_eq!(worker.runtime.envs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["A=a", "B=mine"]);
    assert_eq!(worker.runtime.config["spark"].to_json(), json!({"config": {"x": 1, "y": 3}}));
    assert_eq!(worker.commands.worker_setup, ["mine"]);
    assert_eq!(worker.commands.setup, ["all"]);
    assert_eq!(cluster.head.commands.worker_setup, ["workers"]);
}

#[test]
fn cores_and_memory_come_from_the_most_specific_place() {
    let cluster = cluster(
        "cluster_name: demo
provider:
  type: local
  instance_types: {big: {CPU: 8, memory: 16G}}
available_node_types:
  head.default: {node_config: {instance_type: big}}
  worker.default: {node_config: {instance_type: big, cpus: 3}, resources: {memory: 1073741824}}
",
    );
    assert_eq!((cluster.head.cpus, cluster.head.memory_mib), (Some(8), Some(16384)));
    assert_eq!((cluster.workers[0].cpus, cluster.workers[0].memory_mib), (Some(3), Some(1024)));
}

#[test]
fn mounts_start_at_the_file_that_names_them() {
    let folder = Folder::new();
    folder.file("templates/mine.yaml", "provider: {type: local}\nfile_mounts: {/remote/a: a.txt}\n");
    let path = folder.file("docs/cluster.yaml", "from: mine\ncluster_name: demo\nfile_mounts: {~/b: ./b, /c: /abs}\n");
    let options = LoadOptions { template_dirs: vec![folder.path().join("templates")], ..options() };
    let Document::Cluster(cluster) = loaded(&[path], &options).documents.remove(0) else { panic!("a cluster") };
    let source = |remote: &str| cluster.file_mounts[remote].source.clone();
    assert_eq!(source("/remote/a"), folder.path().join("templates/a.txt"));
    assert_eq!(source("~/b"), folder.path().join("docs/./b"));
    assert_eq!(source("/c"), PathBuf::from("/abs"));
}

#[test]
fn a_folder_loads_workspaces_before_clusters_whatever_the_order() {
    let folder = Folder::new();
    let b = folder.file("a.yaml", "workspace_name: w\ncluster_name: b\nprovider: {type: local}\n");
    let w = folder.file("z.yml", "workspace_name: w\nstate: ./state\nprovider: {type: local}\n");
    folder.file("notes.txt", "not a document");
    let scopes = |paths: &[PathBuf]| {
        loaded(paths, &options()).documents.iter().map(|d| d.scope().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(scopes(&[folder.path().into()]), ["workspace/w", "cluster/w/b"]);
    assert_eq!(scopes(&[b.clone(), w.clone(), b]), ["workspace/w", "cluster/w/b"], "each file once");
    let Document::Workspace(workspace) = &loaded(&[w], &options()).documents[0] else { panic!("a workspace") };
    assert_eq!(workspace.state.as_deref(), Some("./state"));
}

#[test]
fn a_cluster_and_its_workspace_have_one_provider() {
    let folder = Folder::new();
    folder.file("w.yaml", "workspace_name: w\nprovider: {type: onpremise}\n");
    folder.file("c.yaml", "workspace_name: w\ncluster_name: c\nprovider: {type: local}\n");
    let both = LoadOptions { providers: ["local".to_string(), "onpremise".to_string()].into(), ..options() };
    assert_eq!(ids(&[folder.path().into()], &both), ["provider-mismatch"]);
}

#[test]
fn overrides_win_reach_dotted_keys_and_have_a_place() {
    let folder = Folder::new();
    folder.file("w.yaml", "workspace_name: w\nprovider: {type: local}\n");
    folder.file("c.yaml", "workspace_name: w\ncluster_name: c\nprovider: {type: local}\n");
    let options = LoadOptions {
        overrides: vec![
            ("provider.node_model".into(), json!("loopback")),
            ("available_node_types.worker.default.min_workers".into(), json!(4)),
            ("runtime.spark.version".into(), json!("4.0")),
            ("provider.cidr".into(), json!("10.9.0.0/16")),
        ],
        ..options()
    };
    let loaded = loaded(&[folder.path().into()], &options);
    let [Document::Workspace(workspace), Document::Cluster(cluster)] = &loaded.documents[..] else { panic!("both") };
    assert_eq!(
        workspace.provider.to_json(),
        json!({"type": "local", "managed_cloud_storage": true,
        "allow_internal": true, "node_model": "loopback", "cidr": "10.9.0.0/16"})
    );
    assert_eq!(cluster.provider.to_json(), json!({"type": "local", "node_model": "loopback"}), "no cidr in a cluster");
    assert_eq!(cluster.workers[0].count, 4);
    assert_eq!(cluster.runtime.config["spark"].to_json(), json!({"version": "4.0"}));
    let origin = &workspace.provider.get("node_model").expect("set").origin;
    assert_eq!(origin.to_string(), "<command line>:1:1");
    assert!(loaded.sources.0["<command line>"].starts_with("provider.node_model=\"loopback\"\n"));
}

#[test]
fn an_override_is_checked_like_a_written_value() {
    let folder = Folder::new();
    let path = folder.file("c.yaml", "cluster_name: c\nprovider: {type: local}\n");
    let with = |key: &str, value| LoadOptions { overrides: vec![(key.into(), value)], ..options() };
    assert_eq!(ids(std::slice::from_ref(&path), &with("cluster_nam", json!("x"))), ["unknown-override"]);
    assert_eq!(ids(std::slice::from_ref(&path), &with("max_workers", json!("x"))), ["wrong-type"]);
    assert_eq!(ids(std::slice::from_ref(&path), &with("min_workers", json!(2))), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.yaml");
    assert_eq!(ids(&[missing], &options()), ["file-missing"]);
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert_eq!(ids(&[folder.path().join("empty")], &options()), ["no-documents"]);
    let binary = folder.file("binary.yaml", b"workspace_name: a\nprovider: \xc3\xbc\xff\n");
    let problems = load(&[binary], &options()).expect_err("not UTF-8").diagnostics;
    assert_eq!(problems[0].id, "not-utf-8");
    let origin = problems[0].origin.as_ref().expect("a place");
    assert_eq!((origin.line, origin.column), (2, 12));
    let utf16 = folder.file("utf16.yaml", b"\xff\xfea\0:\0");
    let problems = load(&[utf16], &options()).expect_err("not UTF-8").diagnostics;
    assert_eq!(problems[0].hints, ["the file is UTF-16: save it as UTF-8"]);
}

#[test]
fn resolved_lines_read_back_as_the_same_document() {
    let text = "cluster_name: demo
provider: {type: local}
python_version: \"3.10\"
setup_commands: [\"echo 'a: b' # c\", \"line\\n\\tnext\\u0007\", yes-man, \"yes\", \"0755\", \"\", \" x \", \"- a\", \"é\"]
metadata:
  numbers: [1, -1, 0x1F, 1.50, 1.0e+30, .5, 017]
  nested: [[1, [2]], {a: {b: [c]}}, [], {}, ~]
  \"on\": true
  \"a: b\": \"2001-01-01\"
  \"<<\": \"<<\"
";
    let folder = Folder::new();
    let path = folder.file("cluster.yaml", text);
    let first = loaded(&[path], &options()).documents.remove(0);
    let lines = resolved(&first);
    let again = folder.file("again.yaml", lines.iter().map(|l| l.text.clone() + "\n").collect::<String>());
    let loaded = loaded(&[again], &options());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let json = |document: &Document| match document {
        Document::Cluster(cluster) => cluster.tree.to_json(),
        document => document.tree().to_json(),
    };
    assert_eq!(json(&first), json(&loaded.documents[0]));
    let of = |text: &str| lines.iter().find(|l| l.text.trim() == text).map(|l| l.origin.file.to_string());
    assert_eq!(of("- spark").as_deref(), Some("template:local/defaults"));
    assert!(of("cluster_name: demo").expect("there").ends_with("cluster.yaml"));
}

#[test]
fn secrets_are_masked_and_references_shown() {
    let cluster = cluster(
        "cluster_name: demo
provider:
  type: local
  credentials:
    gcp_credentials: {type: oauth_token, credentials: {token: t-abc, client_id: t-def}}
    aws_credentials: {aws_secret_access_key: \"${env:CARGO_MANIFEST_DIR}\"}
runtime:
  envs: {DB_PASSWORD: t-ghi, PLAIN: shown}
  own: {password: 12345}
",
    );
    let document = Document::Cluster(Box::new(cluster));
    let text: String = resolved(&document).into_iter().map(|l| l.text + "\n").collect();
    for hidden in ["t-abc", "t-def", "t-ghi", "12345"] {
        assert!(!text.contains(hidden), "{hidden} in\n{text}");
    }
    assert!(text.contains("DB_PASSWORD: (sensitive)") && text.contains("PLAIN: shown") && text.contains("${env:CARGO"));
    let found: Vec<String> = secrets(&document).iter().map(|s| s.to_string()).collect();
    let fetched = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    assert_eq!(found, [&fetched, "12345", "t-abc", "t-def", "t-ghi"]);
}

#[test]
fn references_are_whole_values() {
    let folder = Folder::new();
    let file = folder.file(
        "cluster.yaml",
        "cluster_name: demo
provider: {type: local}
runtime:
  own: {a: \"${env:HOME}\", b: \"${file:key.txt}\", c: \"${secret:x}\", d: \"x${env:HOME}\", e: \"${spark.x}\"}
",
    );
    let options = LoadOptions { purpose: Purpose::Validate, ..options() };
    let Document::Cluster(cluster) = loaded(&[file], &options).documents.remove(0) else { panic!("a cluster") };
    let block = &cluster.runtime.config["own"];
    let of = |key: &str| reference(block.get(key).expect("there"));
    assert_eq!(of("a"), Some(Reference::Env("HOME".into())));
    assert!(matches!(of("b"), Some(Reference::File(path)) if path.ends_with("key.txt") && path.is_absolute()));
    assert_eq!(of("c"), Some(Reference::Secret("x".into())));
    assert_eq!((of("d"), of("e")), (None, None));
}

#[test]
fn aliases_share_memory_and_merge_keys_fill_in() {
    let cluster = cluster(
        "cluster_name: demo
provider: {type: local}
metadata:
  base: &base {a: 1, b: 2}
  merged: {<<: *base, b: 3}
  several: {<<: [{c: 4}, *base]}
",
    );
    let metadata = cluster.tree.get("metadata").expect("there");
    assert_eq!(metadata.get("merged").expect("there").to_json(), json!({"b": 3, "a": 1}));
    assert_eq!(metadata.get("several").expect("there").to_json(), json!({"c": 4, "a": 1, "b": 2}));
}

#[test]
fn an_alias_bomb_is_refused_at_the_alias_that_goes_too_far() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    let problems = cloudtik_config::parse_bytes("bomb.yaml", bomb.as_bytes()).expect_err("a bomb");
    assert_eq!(problems[0].id, "too-large");
    assert_eq!(problems[0].origin.as_ref().expect("a place").line, 6);
    let deep: String = (1..1000).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    let problems = cloudtik_config::parse_bytes("deep.yaml", format!("a0: &a0 x\n{deep}").as_bytes());
    assert_eq!(problems.expect_err("too deep")[0].id, "too-deep");
}

#[test]
fn every_key_of_every_provider_is_known() {
    let options = LoadOptions { purpose: Purpose::Validate, ..options() };
    let mut paths: Vec<PathBuf> = std::fs::read_dir("tests/providers")
        .expect("the documents")
        .map(|entry| entry.expect("a document").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 18, "a workspace and a cluster of each provider");
    for path in paths {
        match load(std::slice::from_ref(&path), &options) {
            Ok(loaded) => {
                let other =
                    loaded.warnings.iter().find(|w| w.id != "provider-unavailable" && w.id != "runtime-unavailable");
                assert!(other.is_none(), "{}: {other:?}", path.display());
            }
            Err(problems) => panic!("{}: {:#?}", path.display(), problems.diagnostics),
        }
    }
}

#[test]
fn the_schemas_describe_every_key_and_fit_the_documents() {
    for kind in [Kind::Workspace, Kind::Cluster, Kind::Storage, Kind::Database] {
        let schema = schema(kind);
        let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
        assert!(validator.is_valid(&json!({"provider": {"type": "local"}})), "templates may supply the rest");
        assert!(!validator.is_valid(&json!({"provider": {"type": "local"}, "unknown": 1})));
        assert!(!validator.is_valid(&json!({"provider": {"type": "nonsense"}})));
        for (key, value) in schema["properties"].as_object().expect("keys") {
            assert!(value.get("description").is_some(), "`{key}` is described");
        }
    }
    let cluster = jsonschema::validator_for(&schema(Kind::Cluster)).expect("a JSON Schema");
    assert!(cluster.is_valid(&json!({"setup_commands++": ["x"], "++setup_commands": ["x"], "~runtime": null})));
}

#[test]
fn scopes_come_from_the_names() {
    let cluster = cluster("workspace_name: w\ncluster_name: c\nprovider: {type: local}\n");
    assert!(matches!(cluster.tree.value, TreeValue::Map(_)));
    assert_eq!(Document::Cluster(Box::new(cluster)).scope(), Scope::cluster("w", "c"));
}

#[test]
fn a_storage_and_a_database_belong_to_their_workspace() {
    let folder = Folder::new();
    let files = [
        folder.file("d.yaml", "workspace_name: w\ndatabase_name: sales\nprovider: {type: local}\n"),
        folder.file("s.yaml", "storage_name: raw\nprovider: {type: local}\n"),
    ];
    let loaded = loaded(&files, &options());
    let scopes: Vec<Scope> = loaded.documents.iter().map(Document::scope).collect();
    assert_eq!(scopes, [Scope::storage("default", "raw"), Scope::database("w", "sales")]);
}

#[test]
fn values_behind_references_reach_the_provider_and_are_secrets_and_are_not_shown() {
    let folder = Folder::new();
    folder.file("key", "s3cr3t-of-a-file\n");
    let text = "workspace_name: w\nprovider:\n  type: local\n  credentials:\n    aws_credentials:\n      \
                aws_access_key_id: ${env:PATH}\n      aws_secret_access_key: ${file:key}\n";
    let files = [folder.file("w.yaml", text)];
    let document = loaded(&files, &options()).documents.remove(0);
    let Document::Workspace(workspace) = &document else { panic!("a workspace") };
    let key = workspace.provider.at(&["credentials", "aws_credentials", "aws_secret_access_key"]).expect("the key");
    assert_eq!(key.as_text(), Some("s3cr3t-of-a-file"));
    let secrets = secrets(&document);
    let path = std::env::var("PATH").expect("a path");
    assert!(secrets.iter().any(|s| &**s == "s3cr3t-of-a-file") && secrets.iter().any(|s| **s == *path), "{secrets:?}");
    let shown: Vec<String> = resolved(&document).into_iter().map(|line| line.text).collect();
    assert!(shown.iter().any(|line| line.contains("${file:key}")), "{shown:#?}");
    assert!(!shown.iter().any(|line| line.contains("s3cr3t")), "{shown:#?}");

    let looked_at = LoadOptions { purpose: Purpose::Validate, ..options() };
    let Document::Workspace(workspace) = &loaded(&files, &looked_at).documents[0] else { panic!("a workspace") };
    let key = workspace.provider.at(&["credentials", "aws_credentials", "aws_secret_access_key"]).expect("the key");
    assert_eq!(key.as_text(), Some("${file:key}"), "nothing is fetched for a look");
}

/// Who stops or destroys has not always what an apply needs: a job that cleans up has no secrets of the cluster's.
#[test]
fn what_is_there_is_used_without_the_values_that_made_it() {
    let folder = Folder::new();
    let text = "cluster_name: c\nprovider:\n  type: local\n  credentials:\n    aws_credentials: {aws_access_key_id: \
                \"${env:CLOUDTIK_TEST_NOT_SET}\"}\nruntime:\n  types: [spark]\n  envs: {TOKEN: \"${secret:no-such}\"}\n";
    let files = [folder.file("c.yaml", text)];
    let [other, unresolved] = ["other-provider-key", "reference-unresolved"];
    assert_eq!(ids(&files, &options()), [other, unresolved, unresolved]);
    let used = LoadOptions { purpose: Purpose::Use, ..options() };
    assert_eq!(ids(&files, &used), [other, unresolved], "the provider's own, and it is a warning");
    loaded(&files, &used);
}

/// The documents of the Python tool's getting-started page say nothing of runtimes, and its defaults name one that there
/// is no manifest for: what nobody asked for is left out, what a document asks for is an error.
#[test]
fn a_default_runtime_that_cannot_run_is_left_out_and_one_that_was_asked_for_is_refused() {
    let options = LoadOptions { providers: ["aws".to_string()].into(), ..options() };
    let folder = Folder::new();
    let document = "from: aws/standard\ncluster_name: c\nprovider: {type: aws}\n";
    let defaulted = [folder.file("defaulted.yaml", document)];
    let Loaded { mut documents, warnings, .. } = loaded(&defaulted, &options);
    let Document::Cluster(cluster) = documents.remove(0) else { panic!("a cluster") };
    for runtime in [&cluster.runtime, &cluster.head.runtime, &cluster.workers[0].runtime] {
        assert_eq!(runtime.types.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["spark"]);
    }
    assert_eq!(warnings.iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["runtime-left-out"]);

    let asked = format!("{document}runtime: {{types: [prometheus, spark]}}\n");
    assert_eq!(ids(&[folder.file("asked.yaml", asked)], &options), ["runtime-unavailable"]);
    let template = "provider: {type: aws}\nruntime: {types: [prometheus]}\n";
    folder.file("templates/mine/defaults.yaml", template);
    let by_template = folder.file("by-template.yaml", "from: mine/defaults\ncluster_name: c\nprovider: {type: aws}\n");
    let options = LoadOptions { template_dirs: vec![folder.path().join("templates")], ..options };
    assert_eq!(ids(&[by_template], &options), ["runtime-unavailable"], "a user's template is the user's word");
}

#[test]
fn a_users_own_template_comes_before_one_of_the_table() {
    let folder = Folder::new();
    let own = "provider: {type: aws}\navailable_node_types:\n  worker.default: {node_config: {InstanceType: mine}}\n";
    folder.file("templates/aws/standard.yaml", own);
    let file = folder.file("c.yaml", "from: aws/standard\ncluster_name: c\nprovider: {type: aws}\n");
    let kind = |options: &LoadOptions| {
        let Document::Cluster(cluster) = loaded(std::slice::from_ref(&file), options).documents.remove(0) else {
            panic!("a cluster")
        };
        cluster.workers[0].config.get("InstanceType").and_then(|kind| kind.as_text().map(str::to_string))
    };
    let mut options = LoadOptions { providers: ["aws".to_string()].into(), ..options() };
    assert_eq!(kind(&options).as_deref(), Some("m5.2xlarge"));
    options.template_dirs.push(folder.path().join("templates"));
    assert_eq!(kind(&options).as_deref(), Some("mine"));
}

/// Values reach what runtimes read, in the cluster's settings and in those of a node type; the document keeps references.
#[test]
fn references_in_runtime_settings_are_fetched() {
    let folder = Folder::new();
    folder.file("key.txt", "from a file\n");
    let file = folder.file(
        "cluster.yaml",
        "cluster_name: demo
provider: {type: local}
available_node_types:
  worker.default:
    runtime: {own: {b: \"${file:key.txt}\"}, envs: {C: \"${env:CARGO_PKG_NAME}\"}}
runtime:
  types: [own]
  envs: {A: \"${env:CARGO_PKG_NAME}\", PLAIN: shown}
  own: {a: \"${env:CARGO_PKG_NAME}\", b: plain}
",
    );
    let options = LoadOptions { purpose: Purpose::Plan, runtimes: ["own".to_string()].into(), ..options() };
    let document = loaded(&[file], &options).documents.remove(0);
    let sources: Vec<String> = fetched_values(&document).into_iter().map(|(source, _)| source).collect();
    assert!(sources.contains(&"env:CARGO_PKG_NAME".to_owned()) && sources.iter().any(|s| s.ends_with("/key.txt")));
    assert_eq!(sources.iter().filter_map(|source| value_of(source)).count(), sources.len());
    let text: String = resolved(&document).into_iter().map(|l| l.text + "\n").collect();
    assert!(text.contains("${env:CARGO_PKG_NAME}") && !text.contains("from a file"), "{text}");
    let Document::Cluster(cluster) = document else { panic!("a cluster") };
    let name = env!("CARGO_PKG_NAME");
    let of = |selection: &cloudtik_core::document::RuntimeSelection, key: &str| {
        selection.config["own"].get(key).and_then(|tree| tree.as_text().map(str::to_owned)).unwrap()
    };
    assert_eq!((of(&cluster.runtime, "a"), of(&cluster.runtime, "b")), (name.into(), "plain".into()));
    assert_eq!((&*cluster.runtime.envs["A"], &*cluster.runtime.envs["PLAIN"]), (name, "shown"));
    let worker = &cluster.workers[0].runtime;
    assert_eq!((of(worker, "a"), of(worker, "b")), (name.into(), "from a file".into()));
    assert_eq!((&*worker.envs["A"], &*worker.envs["C"]), (name, name));
}
