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
