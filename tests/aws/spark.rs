//! From nothing to the answer of a Spark job, on instances that have bodies: every packet, login and file is real.

use crate::{account::WORKSPACE, common::Bench};
use cloudtik_testkit::lab::{self, Bodies, Moto, Settings, Strict};
use std::{fs, path::Path, time::Instant};

const CLUSTER: &str = "\
cluster_name: spark
head_node_type: head.default
workspace_name: demo
provider:
  type: aws
  region: us-west-2
available_node_types:
  head.default:
    node_config:
      InstanceType: t3.medium
  worker.default:
    min_workers: 3
    node_config:
      InstanceType: t3.medium
runtime:
  types: [spark]
";

fn shipped(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What the shipped runtime says of its distribution: package, version and file.
fn distribution() -> [String; 3] {
    let manifest = shipped("templates/runtimes/spark/runtime.yaml");
    ["package", "version", "file"].map(|key| {
        let pypi = manifest.split_once("pypi:").unwrap().1;
        let line = pypi.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: "))).unwrap();
        line.trim_matches(['"', '\'']).to_owned()
    })
}

mod slow {
    use super::*;

    #[test]
    fn from_nothing_to_the_answer_of_a_job() {
        let mut bodies = match Bodies::make() {
            Ok(bodies) => bodies,
            Err(why) => {
                println!("SKIPPED: {why}");
                return;
            }
        };
        let [package, version, file] = distribution();
        let mirror = bodies.mirror(&lab::published(&package, &version, &file));
        let moto = Moto::start_in(bodies.network());
        let settings = bodies.follow(&moto, Settings::strict());
        let strict = Strict::in_front_of(&moto, settings);
        let before = moto.world();

        let bench = Bench::new(None).in_network(strict.network());
        let home = bench.path("home").display().to_string();
        let bench = bench
            .with_environment(strict.environment())
            .with_environment([("HOME", home), ("CLOUDTIK_ARTIFACT_MIRROR", mirror)]);
        bench.write("workspace.yaml", WORKSPACE);
        bench.write("cluster.yaml", CLUSTER);
        bench.write("job.py", &shipped("examples/spark/job.py"));

        let began = Instant::now();
        bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
        bench.ok(&["start", "cluster.yaml", "--yes"]);
        let started = began.elapsed();
        let job = bench.ok(&["submit", "cluster.yaml", "job.py", "--executors", "3"]);
        println!("apply {:.1} s, job {:.1} s", started.as_secs_f64(), job.took.as_secs_f64());
        assert!(job.out.contains("the answer is right"), "{}", job.out);

        let hosts = bodies.hosts();
        assert_eq!(hosts.len(), 4);
        let workers = bench.ok(&["worker-ips", "cluster.yaml"]).out;
        let mut executors: Vec<_> =
            job.out.lines().find_map(|line| line.strip_prefix("executors ")).unwrap().split(' ').collect();
        executors.sort_unstable();
        let mut workers: Vec<_> = workers.lines().collect();
        workers.sort_unstable();
        assert_eq!(executors, workers, "the job ran on the private hosts");

        let run = bench.ok(&["exec", "cluster.yaml", "--all-nodes", "hostname"]);
        assert_eq!(run.out.lines().count(), 4, "{}", run.out);
        assert_eq!(bench.plan().changes(), [""; 0]);

        bench.ok(&["destroy", "--yes", "--delete-managed-storage", "workspace.yaml", "cluster.yaml"]);
        assert_eq!(bodies.hosts().len(), 0);
        moto.world().nothing_left(&before);
    }
}
