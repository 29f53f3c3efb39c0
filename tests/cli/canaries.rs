//! No secret in any byte that is written, whatever goes wrong.
//!
//! Random documents hold a canary in each place where a secret can be; verbs are run on them, some of them fail; then every
//! stream and every file is searched for each canary in every encoding. Only what nodes themselves need holds secrets:
//! the homes of nodes are not searched.

use crate::bench::{Bench, Ran, ran};
use cloudtik_core::secret::encodings;
use proptest::prelude::*;
use std::path::Path;

/// A runtime with a file and a daemon, both of which hold what the document says.
const RUNTIME: &str = r#"
name: keeper
summary: keeps a password
version: "1"
versions: {"1": []}
settings:
  password: {type: text, default: "''"}
  store: {type: map, default: "{}"}
env: {KEEPER_HOME: "{{ node.home }}"}
roles:
  head:
    files: [{name: keeper.conf, path: keeper/keeper.conf}]
    services:
      - name: keeper
        command:
          - python3
          - "-c"
          - "import socket, sys, time; s = socket.create_server((sys.argv[1], 8199)); time.sleep(1000)"
          - "{{ node.ip }}"
          - "{{ settings.password }}"
        ports: [8199]
        ready: {tcp: {host: "{{ node.ip }}", port: 8199}}
        reads: [keeper.conf]
"#;

const CONF: &str = "password={{ settings.password }}\n{% for key, value in settings.store | items %}{{ key }}={{ value }}\n{% endfor %}";

/// Characters that every encoding changes, and a word that none does.
fn canary() -> impl Strategy<Value = String> {
    ("[a-z]{4}", "[ '\"/+%$&=?~ä]{0,3}", "[0-9A-Z]{8}").prop_map(|(a, odd, b)| format!("{a}{odd}canary{b}"))
}

#[derive(Clone, Debug)]
struct Case {
    /// One for each place.
    canaries: Vec<String>,
    /// A setup command ends with an error.
    fails: bool,
    /// The bucket cannot be made.
    blocked: bool,
    /// The second document differs.
    other: String,
}

fn case() -> impl Strategy<Value = Case> {
    (prop::collection::vec(canary(), 10), any::<bool>(), any::<bool>(), canary())
        .prop_map(|(canaries, fails, blocked, other)| Case { canaries, fails, blocked, other })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Case {
    fn cluster(&self, password: &str) -> String {
        let c: Vec<String> = self.canaries.iter().map(|c| quoted(c)).collect();
        let failing = if self.fails { "\n  - echo $DB_PASSWORD $FROM_ENV $FROM_FILE >&2; exit 3" } else { "" };
        format!(
            "cluster_name: bare
workspace_name: demo
from: local/small
provider:
  type: local
  credentials:
    aws_credentials: {{aws_access_key_id: id, aws_secret_access_key: {0}}}
    gcp_credentials: {{type: oauth_token, credentials: {{token: {1}}}}}
available_node_types:
  worker.default:
    min_workers: 1
setup_commands:
  - \"true\"{failing}
head_setup_commands:
  - test -n \"$DB_PASSWORD\" && test -n \"$FROM_ENV\" && test -n \"$FROM_FILE\" && test -n \"$FROM_STORE\"
runtime:
  types: [keeper]
  envs:
    DB_PASSWORD: {2}
    FROM_ENV: ${{env:CANARY}}
    FROM_FILE: ${{file:key.pem}}
    FROM_STORE: ${{secret:token}}
  keeper:
    password: {password}
    store:
      fs.s3a.secret.key: {3}
      azure.account.token: {4}
",
            c[0],
            c[1],
            c[2],
            c[3],
            c[4],
            password = quoted(password),
        )
    }

    fn all(&self) -> Vec<String> {
        self.canaries.iter().cloned().chain([self.other.clone(), key(&self.canaries[6])]).collect()
    }
}

fn key(canary: &str) -> String {
    format!("-----BEGIN KEY-----\n{canary}\n-----END KEY-----")
}

struct Place {
    bench: Bench,
    environment: Vec<(&'static str, String)>,
    written: Vec<(String, String)>,
}

impl Place {
    fn new(case: &Case) -> Self {
        let bench = Bench::new();
        bench.write("templates/runtimes/keeper/runtime.yaml", RUNTIME);
        bench.write("templates/runtimes/keeper/keeper.conf", CONF);
        bench.write("key.pem", &(key(&case.canaries[6]) + "\n"));
        bench.write("home/.config/cloudtik/secrets/token", &case.canaries[7]);
        let secret = bench.path("home/.config/cloudtik/secrets/token");
        std::fs::set_permissions(secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let percent: String = case.canaries[8].bytes().map(|b| format!("%{b:02X}")).collect();
        let environment = vec![
            ("CANARY", case.canaries[5].clone()),
            ("https_proxy", format!("http://me:{percent}@127.0.0.1:9/")),
            ("MY_API_TOKEN", case.canaries[9].clone()),
            ("CLOUDTIK_USER_TEMPLATES", bench.path("templates/runtimes").display().to_string()),
        ];
        Place { bench, environment, written: Vec::new() }
    }

    fn run(&mut self, line: &str) -> Ran {
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.bench.command(&args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let ran = ran(command.output().unwrap());
        assert!(ran.code != 70 && ran.code != 101, "cloudtik {line}\n{}", ran.stderr);
        self.written.push((format!("stdout of {line}"), ran.stdout.clone()));
        self.written.push((format!("stderr of {line}"), ran.stderr.clone()));
        ran
    }

    /// Places in which a canary was found.
    fn leaks(&self, canaries: &[String]) -> Vec<String> {
        let mut found = Vec::new();
        let mut look = |place: &str, bytes: &[u8]| {
            for canary in canaries {
                for form in forms(canary) {
                    if bytes.windows(form.len()).any(|window| window == form.as_bytes()) {
                        found.push(format!("{form:?} in {place}"));
                    }
                }
            }
        };
        self.written.iter().for_each(|(place, text)| look(place, text.as_bytes()));
        for folder in ["state", "cache", "out"] {
            files(&self.bench.path(folder), &mut |path, bytes| look(&path.display().to_string(), bytes));
        }
        found
    }
}

fn forms(canary: &str) -> Vec<String> {
    let mut forms = encodings(canary);
    forms.extend(["+/", "-_"].map(|last| base64(canary.as_bytes(), last)));
    // What is left when an encoder was met that nobody thought of: the part that no encoding changes.
    forms.push(canary[canary.find("canary").unwrap()..].lines().next().unwrap().to_owned());
    forms
}

/// Whole groups of three bytes; what is left at the end depends on what follows.
fn base64(bytes: &[u8], last: &str) -> String {
    let digits = format!("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789{last}");
    let group = |three: &[u8]| -> String {
        let bits = three.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
        (0..4).rev().map(|place| char::from(digits.as_bytes()[bits >> (6 * place) & 63])).collect()
    };
    bytes.chunks_exact(3).map(group).collect()
}

/// Every file below a folder but those in the homes of nodes.
fn files(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            let of_a_node = path.ends_with("home") && path.components().any(|part| part.as_os_str() == "nodes");
            if !of_a_node {
                files(&path, look);
            }
        } else if entry.file_type().unwrap().is_file() {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn no_canary_is_in_any_byte_written(case in case()) {
        let mut place = Place::new(&case);
        std::fs::create_dir_all(place.bench.path("out")).unwrap();
        if case.blocked {
            place.bench.write("state/local/buckets", "in the way");
        }
        place.bench.write("cluster.yaml", &case.cluster(&case.canaries[4]));
        let first = place.run("apply workspace.yaml cluster.yaml -y").code;
        if case.blocked {
            std::fs::remove_file(place.bench.path("state/local/buckets")).unwrap();
            place.run("apply workspace.yaml cluster.yaml -y --json");
        } else if !case.fails {
            prop_assert_eq!(first, 0, "{}", place.written.last().unwrap().1);
        }
        if !case.fails {
            let plan = place.run("plan . --detailed-exitcode");
            prop_assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
        }
        place.bench.write("cluster.yaml", &case.cluster(&case.other));
        for line in [
            "plan . --verbose", "plan . --json", "plan . --markdown", "plan . -o out/saved.plan", "show out/saved.plan",
            "graph . --format svg", "config show cluster.yaml", "apply out/saved.plan -y", "apply . -y --json --verbose",
            "state list", "state export cluster/demo/bare", "state show service.head/keeper", "state show command.head/setup",
            "history cluster.yaml", "diff cluster.yaml r1", "plan cluster.yaml --to r1 --verbose", "diff cluster.yaml r1 --json",
            "status cluster.yaml", "info cluster.yaml", "refresh cluster.yaml", "exec cluster.yaml env",
            "exec cluster.yaml sh -c printenv${IFS}DB_PASSWORD|base64", "validate cluster.yaml",
        ] {
            place.run(line);
        }
        place.bench.write("cluster.yaml", &(case.cluster(&case.other) + "  broken: [\n"));
        place.run("plan cluster.yaml");
        place.bench.write("cluster.yaml", &case.cluster(&case.other));
        let leaks = place.leaks(&case.all());
        if !case.fails {
            let conf = place.bench.read("state/local/demo/nodes/bare/bare-head/home/keeper/keeper.conf");
            prop_assert!(conf.contains(&case.other) && conf.contains(&case.canaries[3]), "the node has its secrets");
        }
        place.run("destroy cluster.yaml -y");
        prop_assert!(leaks.is_empty(), "{:#?}", leaks);
    }
}
