//! Clusters as pictures: each `cases/NAME.yaml` is compiled, and the declarations must be what `cases/NAME.txt` shows.
//! `UPDATE_CASES=1` writes the pictures anew: read every changed line before keeping it.

use cloudtik_aws::{
    Account, Aws, Connect, Options,
    api::{Api, ApiError, Cause},
};
use cloudtik_config::{LoadOptions, Purpose, load};
use cloudtik_core::{
    Declaration, Diagnostic, Needs, Value,
    document::{Cluster, Document},
    node::{Compile, Endpoint, Node},
};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Compiling asks AWS nothing.
struct Nowhere;

#[async_trait::async_trait]
impl Connect for Nowhere {
    async fn connect(&self, _: &Account) -> Result<Arc<dyn Api>, ApiError> {
        let cause = Cause::Transport { message: "there is no AWS here".into(), sent: false };
        Err(ApiError { action: "Connect".into(), cause, request_id: None })
    }
}

fn aws() -> Aws {
    let keys = "/home/me/.ssh".into();
    Aws::new(Arc::new(Nowhere), Options { keys, ..Options::default() })
}

fn cluster(path: &Path) -> Cluster {
    let options =
        LoadOptions { providers: ["aws".to_owned()].into(), purpose: Purpose::Validate, ..LoadOptions::default() };
    let mut loaded = load(&[path.to_path_buf()], &options).unwrap_or_else(|p| panic!("{:#?}", p.diagnostics));
    match loaded.documents.remove(0) {
        Document::Cluster(cluster) => *cluster,
        _ => panic!("a cluster"),
    }
}

/// `"text"`, `[…]`, `{…}`, and references as `${subnet.public.id}`, with `!` where the other must be ready.
fn show(value: &Value) -> String {
    match value {
        Value::Ref(r) => {
            let needs = if r.needs == Needs::Ready { "!" } else { "" };
            format!("${{{}.{}{needs}}}", r.address.short(), r.attribute)
        }
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {}", show(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.display(),
    }
}

fn picture(declarations: &[Declaration], nodes: &[Node]) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("text");
    for declaration in declarations {
        let region = declaration.attributes.get("region").map(show);
        line(format!("{} {}", declaration.provider, declaration.address.short()));
        let maps = |value: &Value| matches!(value, Value::Map(map) if map.len() > 1);
        for (key, value) in declaration.attributes.iter().filter(|(key, _)| *key != "region") {
            match value {
                Value::Map(map) if maps(value) => {
                    line(format!("    {key}"));
                    map.iter().for_each(|(key, value)| line(format!("        {key} = {}", show(value))));
                }
                value => line(format!("    {key} = {}", show(value))),
            }
        }
        if region.is_some_and(|region| region != "\"us-west-2\"") {
            line("    in another region".into());
        }
        for on in &declaration.depends_on {
            line(format!("    after {} ({:?})", on.address.short(), on.needs).to_lowercase());
        }
        let lifecycle = &declaration.lifecycle;
        let told = [
            lifecycle.prevent_destroy.then(|| "protected".to_owned()),
            lifecycle.retain.then(|| "retained".into()),
            lifecycle.rolling.as_ref().map(|r| format!("rolling, {} of {} at a time", r.batch, r.group)),
            lifecycle.gone_with.as_ref().map(|home| format!("goes with {}", home.short())),
        ];
        told.into_iter().flatten().for_each(|told| line(format!("    {told}")));
    }
    for node in nodes {
        line(format!(
            "node {} {} {}: {} CPUs, {} MiB, {} data disks, at {}, by {}",
            node.role.as_str(),
            node.instance.short(),
            show(&node.ip),
            node.cpus,
            node.memory_mib,
            node.data_disks,
            show(&node.home),
            show(&node.connection),
        ));
    }
    out
}

fn problems(problems: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let place = d.origin.as_ref().map(|o| format!("{}:{}", o.line, o.column)).unwrap_or_default();
        format!(
            "{:?}[{}] {place} {}\n    {}\n    hint: {}\n",
            d.severity,
            d.id,
            d.summary,
            d.detail,
            d.hints.join("; ")
        )
    };
    problems.iter().map(line).collect()
}

fn run(path: &Path) -> String {
    match aws().cluster(&cluster(path)) {
        Ok((declarations, nodes)) => picture(&declarations, &nodes),
        Err(found) => problems(&found),
    }
}

#[test]
fn every_cluster_is_what_its_picture_shows() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    paths.sort();
    let mut wrong = String::new();
    for path in paths {
        let said = run(&path);
        let shown = path.with_extension("txt");
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&shown, &said).unwrap();
        }
        let wanted = std::fs::read_to_string(&shown).unwrap_or_default();
        if said != wanted {
            writeln!(wrong, "== {}\n-- wanted\n{wanted}-- said\n{said}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_of_a_machine_waits_for_the_way_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/cases/getting-started.yaml");
    let (declarations, _) = aws().cluster(&cluster(&path)).unwrap();
    for instance in declarations.iter().filter(|d| d.address.kind() == "instance") {
        for on in instance.dependencies() {
            let what = format!("{} needs {} {:?}", instance.address.short(), on.address.short(), on.needs);
            assert!(!["route", "nat-gateway", "route-table"].contains(&on.address.kind()), "{what}");
            assert_eq!(on.needs, Needs::Created, "{what}");
        }
    }
}

#[test]
fn an_endpoint_is_told_by_the_address_that_a_proxy_leads_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/cases/getting-started.yaml");
    let cluster = cluster(&path);
    let (_, nodes) = aws().cluster(&cluster).unwrap();
    let service = cloudtik_core::Address::new(nodes[0].instance.scope().clone(), "service", "head/spark-master");
    let endpoint = Endpoint {
        name: "spark-ui".into(),
        node: nodes[0].instance.clone(),
        port: 8080,
        protocol: "http".into(),
        service,
    };
    let expected = "aws endpoint.spark-ui\n    host = ${instance.head.ip!}\n    port = 8080\n    protocol = \"http\"\n    \
                    after service.head/spark-master (created)\n";
    assert_eq!(picture(&aws().publish(&cluster, &endpoint), &[]), expected);
}

fn planned(paths: &[PathBuf]) -> (Vec<Document>, Vec<String>) {
    let options = LoadOptions {
        providers: ["aws".to_owned()].into(),
        runtimes: ["spark".to_owned()].into(),
        purpose: Purpose::Plan,
        ..LoadOptions::default()
    };
    let loaded = load(paths, &options).unwrap_or_else(|p| panic!("{:#?}", p.diagnostics));
    (loaded.documents, loaded.warnings.into_iter().map(|warning| warning.id).collect())
}

/// The documents of the Python tool's getting-started page, as they are.
#[test]
fn the_example_is_a_workspace_and_one_head_with_three_workers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/aws");
    let (documents, warnings) = planned(&[folder]);
    assert_eq!(warnings, ["runtime-left-out"]);
    let [Document::Workspace(workspace), Document::Cluster(cluster)] = &documents[..] else { panic!("{documents:?}") };
    let shared: Vec<String> = aws().workspace(workspace).unwrap().iter().map(|d| d.address.short()).collect();
    for expected in ["vpc.main", "nat-gateway.main", "role.head", "instance-profile.worker", "bucket.default"] {
        assert!(shared.iter().any(|address| address == expected), "{expected} in {shared:?}");
    }
    let (_, nodes) = aws().cluster(cluster).unwrap();
    let nodes: Vec<String> = nodes.iter().map(|node| format!("{} {}", node.instance.short(), node.cpus)).collect();
    let worker = |n| format!("instance.worker.default[{n}] 8");
    assert_eq!(nodes, ["instance.head 8".to_owned(), worker(0), worker(1), worker(2)]);
}

#[test]
fn jobs_find_the_workspaces_bucket_or_the_one_that_the_document_names() {
    for (provider, bucket) in [
        ("", Some("cloudtik-w-us-west-2-default")),
        (", managed_cloud_storage_name: raw", Some("cloudtik-w-us-west-2-raw")),
        (", use_managed_cloud_storage: false", None),
        (", use_managed_cloud_storage: false, storage: {aws_s3_storage: {s3.bucket: mine}}", Some("mine")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        let text = format!("cluster_name: c\nworkspace_name: w\nprovider: {{type: aws{provider}}}\n");
        std::fs::write(&file, text).unwrap();
        let (_, nodes) = aws().cluster(&cluster(&file)).unwrap();
        for node in &nodes {
            assert_eq!(node.env.get("AWS_S3_BUCKET").and_then(Value::as_text), bucket, "{provider}");
        }
    }
}

#[test]
fn storages_and_databases_are_made_in_their_workspace_or_refused_by_name() {
    let compile = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d.yaml");
        std::fs::write(&file, format!("workspace_name: w\nprovider: {{type: aws}}\n{text}\n")).unwrap();
        let made = match &planned(&[file]).0[0] {
            Document::Storage(storage) => aws().storage(storage),
            Document::Database(database) => aws().database(database),
            other => panic!("{other:?}"),
        };
        match made {
            Ok(declarations) => {
                let name = |d: &Declaration| format!("{} {}", d.address, show(&d.attributes["name"]));
                declarations.iter().map(name).collect()
            }
            Err(problems) => problems.into_iter().map(|problem| problem.id).collect::<Vec<_>>(),
        }
    };
    assert_eq!(compile("storage_name: raw"), ["storage/w/raw:bucket.default \"cloudtik-w-us-west-2-raw\""]);
    assert_eq!(compile("storage_name: default"), ["storage-name"]);
    assert_eq!(compile(&format!("storage_name: {}", "x".repeat(50))), ["storage-name"]);
    assert_eq!(
        compile("database_name: sales"),
        [
            "database/w/sales:db-subnet-group.main \"cloudtik-w-db-subnet-group-sales\"",
            "database/w/sales:database.default \"cloudtik-w-db-sales\"",
        ]
    );
    assert_eq!(compile("database_name: a--b"), ["database-name"]);
}

/// Every template that is shipped for AWS names machines whose size is known.
#[test]
fn every_shipped_template_compiles() {
    let table = include_str!("../../../../templates/clusters/aws/table.txt");
    let names = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next());
    for name in names {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, format!("from: {name}\ncluster_name: c\nprovider: {{type: aws}}\n")).unwrap();
        let (_, nodes) = aws().cluster(&cluster(&file)).unwrap_or_else(|found| panic!("{name}: {}", problems(&found)));
        assert_eq!(nodes.len(), 2, "{name}");
    }
}
