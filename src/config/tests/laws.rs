//! Laws over generated input: nothing panics, what validation accepts the public schema accepts, order means nothing.

use cloudtik_config::{Kind, LoadOptions, Purpose, load, parse_bytes, resolved, schema};
use cloudtik_core::{Tree, TreeValue, document::Document};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::{path::PathBuf, sync::LazyLock};

fn validator(kind: Kind) -> Validator {
    jsonschema::validator_for(&schema(kind)).expect("a JSON Schema")
}

static WORKSPACE: LazyLock<Validator> = LazyLock::new(|| validator(Kind::Workspace));
static CLUSTER: LazyLock<Validator> = LazyLock::new(|| validator(Kind::Cluster));

fn options() -> LoadOptions {
    LoadOptions {
        runtimes: ["spark".to_string()].into(),
        providers: ["local".to_string()].into(),
        purpose: Purpose::Validate,
        ..LoadOptions::default()
    }
}

fn depth(tree: &Tree) -> usize {
    1 + match &tree.value {
        TreeValue::List(items) => items.iter().map(|t| depth(t)).max().unwrap_or(0),
        TreeValue::Map(entries) => entries.iter().map(|e| depth(&e.value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Every place lies in the text; nothing nests too deep.
fn check_parsed(text: &str) {
    let lines = text.split(['\n', '\r']).count() as u32 + 1;
    match parse_bytes("file", text.as_bytes()) {
        Ok((tree, _)) => {
            assert!(depth(&tree) <= 128);
            check_places(&tree, lines);
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let origin = problem.origin.expect("a place");
                assert!(origin.line >= 1 && origin.line <= lines && origin.column >= 1, "{origin}");
            }
        }
    }
}

fn check_places(tree: &Tree, lines: u32) {
    assert!(tree.origin.line >= 1 && tree.origin.line <= lines && tree.origin.column >= 1, "{}", tree.origin);
    match &tree.value {
        TreeValue::List(items) => items.iter().for_each(|t| check_places(t, lines)),
        TreeValue::Map(entries) => entries.iter().for_each(|e| check_places(&e.value, lines)),
        _ => {}
    }
}

/// Pieces that YAML is made of, so that random joins reach deep into the parser.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "key: ",
        "- ",
        "? ",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "\n\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "&a ",
        "*a",
        "&b ",
        "*b",
        "<<: *a",
        "!!str ",
        "!!int ",
        "!x ",
        "|\n  t\n",
        ">-\n  t\n",
        "# c\n",
        "--- ",
        "...\n",
        "%YAML 1.2\n",
        "\\",
        "é",
        "\u{feff}",
        "~",
        "0x1f",
        "1_0",
        "10:20",
        "on",
        "\r\n",
        "\r",
        "\0",
        "\n}",
        "\n]",
        "++",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// Keys by path, each with a value that fits and one that may not.
fn choices() -> Vec<(&'static str, Json, Json)> {
    vec![
        ("provider/node_model", json!("auto"), json!("other")),
        ("provider/allowed_ssh_sources", json!(["10.0.0.0/8"]), json!(["::/0", "10.0.0.1/8"])),
        ("provider/cidr", json!("10.0.0.0/8"), json!(8)),
        (
            "provider/firewall_rules",
            json!([{"protocol": "tcp", "ports": [1, "2-3"], "sources": ["::/0"]}]),
            json!([{}]),
        ),
        ("provider/instance_types", json!({"x": {"CPU": 1, "memory": "1.5 GiB"}}), json!({"x": {"memory": "1 G B"}})),
        ("provider/nodes", json!([{"ip": "10.0.0.1"}]), json!([{"instance_type": "x"}])),
        ("provider/project_id", json!(null), json!(1)),
        ("provider/region", json!("x"), json!(null)),
        ("provider/credentials", json!({"gcp_credentials": {"type": "oauth_token"}}), json!({"gcp_credentials": {}})),
        ("state", json!("./state"), json!([])),
        ("max_workers", json!(9), json!(-1)),
        ("min_workers", json!(0), json!(1.5)),
        ("options", json!({"upscaling_speed": 1, "number_of_retries": 2}), json!({"idle_timeout_minutes": -1})),
        ("auth", json!({"ssh_port": "22", "ssh_user": "me"}), json!({"ssh_port": 0})),
        ("file_mounts", json!({"~/a": "b"}), json!({"~/a": null})),
        ("setup_commands++", json!(["x"]), json!("x")),
        ("++stop_commands", json!([]), json!({})),
        ("~runtime", json!(null), json!({})),
        ("metadata", json!({"any": [1, null, {}]}), json!(1)),
        ("available_node_types/worker.default/min_workers", json!(2), json!(4_294_967_296u64)),
        ("available_node_types/worker.default/resources", json!({"CPU": 2, "memory": "4G"}), json!({"memory": 1})),
        ("available_node_types/worker.default/node_config", json!({"memory": 1_048_576, "cpus": 1}), json!({"cpu": 1})),
        ("available_node_types/~head.default", json!(null), json!({})),
        (
            "available_node_types/worker.x",
            json!({"node_config": {}, "setup_commands++": []}),
            json!({"node_config": 1}),
        ),
        ("available_node_types/worker.y", json!({"node_config": {}, "docker": {"worker_image": "i"}}), json!({})),
        ("runtime", json!({"types": ["spark"], "spark": {"config": {"a": 1}, "own": 1}}), json!({"types": "spark"})),
        ("runtime/envs", json!({"A": "${env:A}"}), json!({"A": 1})),
        ("docker", json!({"enabled": false}), json!({"enable": true})),
        ("unknown", json!(1), json!(2)),
    ]
}

/// Documents that fit, mostly, or fail in one place.
fn document() -> impl Strategy<Value = Json> {
    let wishes = prop::collection::vec((prop::sample::select(choices()), prop::bool::weighted(0.9)), 0..5);
    (wishes, any::<bool>()).prop_map(|(wishes, cluster)| {
        let mut document = json!({"provider": {"type": "local"}});
        document[if cluster { "cluster_name" } else { "workspace_name" }] = "demo".into();
        for ((path, good, bad), fits) in wishes {
            let keys: Vec<&str> = path.split('/').collect();
            let place = keys.iter().fold(&mut document, |at, key| &mut at[*key]);
            *place = if fits { good } else { bad };
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_tree_or_a_diagnostic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(problems) = parse_bytes("file", &bytes) {
            prop_assert!(problems.iter().all(|p| p.origin.is_some()));
        }
    }

    #[test]
    fn any_yaml_like_text_is_a_tree_or_a_diagnostic(text in yaml_like()) {
        check_parsed(&text);
    }

    #[test]
    fn any_text_survives_resolving(key in "[a-z]{1,8}", value in any::<String>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.yaml");
        let document = json!({"cluster_name": "c", "provider": {"type": "local"}, "metadata": {key: value}});
        let lines = |path: &PathBuf| match load(std::slice::from_ref(path), &options()) {
            Ok(loaded) => Ok(resolved(&loaded.documents[0]).into_iter().map(|l| l.text + "\n").collect::<String>()),
            Err(problems) => Err(problems.diagnostics),
        };
        std::fs::write(&path, document.to_string()).expect("written");
        // JSON is YAML but for a few characters that YAML wants escaped.
        if let Ok(first) = lines(&path) {
            std::fs::write(&path, &first).expect("written");
            let again = lines(&path);
            prop_assert_eq!(again.as_ref().ok(), Some(&first), "{:?}", again.as_ref().err());
        }
    }

    #[test]
    fn the_public_schema_accepts_what_validation_accepts(json in document()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("document.yaml");
        std::fs::write(&path, json.to_string()).expect("written");
        if let Ok(loaded) = load(&[path], &options()) {
            let schema = match &loaded.documents[0] {
                Document::Workspace(_) => &*WORKSPACE,
                Document::Cluster(_) => &*CLUSTER,
                other => panic!("{} from {json}", other.scope()),
            };
            let faults: Vec<String> = schema.iter_errors(&json).map(|e| e.to_string()).collect();
            prop_assert!(faults.is_empty(), "{json}: {faults:?}");
        }
    }
}
