//! An account of AWS with a user who has documents for it.

use crate::common::Bench;
use cloudtik_testkit::lab::{Moto, Settings, Strict, World};
use serde_json::Value as Json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub const WORKSPACE: &str = "\
workspace_name: demo
provider:
  type: aws
  region: us-west-2
  allowed_ssh_sources: [198.51.100.0/24]
";

/// A head and two workers that run nothing: what there is to see is in the account.
pub const CLUSTER: &str = "\
cluster_name: small
head_node_type: head.default
workspace_name: demo
provider:
  type: aws
  region: us-west-2
available_node_types:
  head.default:
    node_config:
      InstanceType: m5.large
  worker.default:
    min_workers: 2
    node_config:
      InstanceType: m5.large
runtime:
  types: []
";

pub const DOCUMENTS: [&str; 2] = ["workspace.yaml", "cluster.yaml"];

/// Instances have no bodies here, so nobody can log in to them.
pub const BODILESS: [&str; 2] = ["--exclude", "connection"];

pub struct Account {
    pub bench: Bench,
    pub strict: Arc<Strict>,
    pub moto: Arc<Moto>,
}

/// Accounts that no test has now: starting one takes as long as many a test. They end with this process.
static IDLE: Mutex<Vec<(Arc<Strict>, Arc<Moto>)>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<(Arc<Strict>, Arc<Moto>)>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After a failed test nobody knows what an account still does.
impl Drop for Account {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            idle().push((self.strict.clone(), self.moto.clone()));
        }
    }
}

impl Account {
    /// An empty account; both documents are written.
    pub fn new(settings: Settings) -> Self {
        let used = idle().pop();
        let fresh = used.is_none();
        let (strict, moto) = used.unwrap_or_else(|| {
            let moto = Moto::start();
            (Strict::in_front_of(&moto, settings.clone()).into(), moto.into())
        });
        let mut account = Account { bench: bench(&strict), strict, moto };
        if !fresh {
            account.strict.set(&settings);
        }
        account.again();
        account
    }

    pub fn world(&self) -> World {
        self.moto.world()
    }

    /// Another user of the same account, who has nothing yet; everything in the account is gone, too.
    pub fn again(&mut self) {
        self.moto.reset();
        self.strict.order(&[]);
        self.strict.reset();
        self.bench = bench(&self.strict);
        self.bench.write("workspace.yaml", WORKSPACE);
        self.bench.write("cluster.yaml", CLUSTER);
    }

    /// Runs a line of Python that has AWS's own client at hand.
    #[track_caller]
    pub fn boto(&self, code: &str) -> String {
        let mut command = self.strict.python();
        let clients = "import boto3\nec2, iam, s3 = (boto3.client(n) for n in ('ec2', 'iam', 's3'))\n";
        command.args(["-c", &format!("{clients}{code}")]).envs(self.strict.environment());
        let output = command.env("AWS_DEFAULT_REGION", "us-west-2").output().unwrap();
        assert!(output.status.success(), "{code}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A workspace as the Python tool makes it.
    #[track_caller]
    pub fn python_tool(&self, workspace: &str) {
        let mut command = self.strict.python();
        command.args(["-m", "aws_lab.python_tool", &self.moto.endpoint(), workspace]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Applies both documents, and there is nothing more to do then.
    #[track_caller]
    pub fn converge(&self) {
        self.bench.ok(&[&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat());
        self.settled();
    }

    /// There is nothing to do.
    #[track_caller]
    pub fn settled(&self) {
        let run = self.bench.run(&[&["plan", "--detailed-exitcode"][..], &DOCUMENTS, &BODILESS].concat());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    }

    /// Removes everything that both documents own, data too.
    #[track_caller]
    pub fn destroy(&self) {
        self.bench.ok(&[&["destroy", "--yes", "--delete-managed-storage"][..], &DOCUMENTS].concat());
    }
}

fn bench(strict: &Strict) -> Bench {
    let bench = Bench::new(None).in_network(strict.network());
    let home = bench.path("home").display().to_string();
    bench.with_environment(strict.environment()).with_environment([("HOME", home)])
}

/// A world is like that, thing by thing; what is not is shown.
#[track_caller]
pub fn looks_like(world: &World, expected: &[String], when: &str) {
    let found = shape(world);
    let count = |all: &[String], line: &String| all.iter().filter(|other| *other == line).count();
    let more = found.iter().filter(|line| count(&found, line) > count(expected, line)).map(|line| format!("+ {line}"));
    let less =
        expected.iter().filter(|line| count(expected, line) > count(&found, line)).map(|line| format!("- {line}"));
    let differences: Vec<String> = more.chain(less).collect();
    assert!(differences.is_empty(), "{when}:\n{}", differences.join("\n"));
}

/// What a world is like, whatever the ids: a line for each thing, with its name and what it is marked with. Machines of a
/// type are alike: one that was launched with others has no number.
pub fn shape(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in world.counts().keys() {
        for thing in world.of(kind).values() {
            let tags = thing["tags"].as_object().unwrap().iter().filter(|(key, _)| *key != "cloudtik:operation");
            let tags: Vec<_> =
                tags.map(|(key, value)| format!("{key}={}", unnumbered(value.as_str().unwrap()))).collect();
            let facts = ["rules", "routes", "cidr", "type", "gib", "attached", "inline"].into_iter();
            let facts = facts.filter(|fact| thing[*fact] != Json::Null).map(|fact| format!("{fact}={}", thing[fact]));
            lines.push(format!("{kind} {} {} {}", thing["name"], facts.collect::<Vec<_>>().join(" "), tags.join(" ")));
        }
    }
    lines.sort();
    lines
}

fn unnumbered(address: &str) -> &str {
    address.split('[').next().unwrap_or_default()
}
