//! The provider's life over the fake, through the real engine: documents are planned, applied, edited, interrupted and
//! destroyed, as laws.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world fails")]

mod edits;
mod faults;
mod kept;
mod lab;
mod laws;
mod others;
mod reach;

/// A workspace of its own.
const WORKSPACE: &str = "
workspace_name: demo
provider:
    type: aws
    region: us-west-2
    allowed_ssh_sources: [203.0.113.0/24]
";

/// One head and two workers with a second disk.
const CLUSTER: &str = "
workspace_name: demo
cluster_name: etl
provider:
    type: aws
    region: us-west-2
head_node_type: head.default
available_node_types:
    head.default:
        node_config:
            InstanceType: m5.xlarge
            BlockDeviceMappings:
                - DeviceName: /dev/sda1
                  Ebs: {VolumeSize: 100, VolumeType: gp3, DeleteOnTermination: true}
    worker.default:
        min_workers: 2
        node_config:
            InstanceType: m5.2xlarge
            BlockDeviceMappings:
                - DeviceName: /dev/sda1
                  Ebs: {VolumeSize: 100, VolumeType: gp3, DeleteOnTermination: true}
                - DeviceName: /dev/sdf
                  Ebs: {VolumeSize: 200, VolumeType: gp3, DeleteOnTermination: true}
runtime:
    types: []
";

/// A document with one text in place of another, which it must have.
fn edited(document: &str, from: &str, to: &str) -> String {
    assert!(document.contains(from), "the document has no `{from}`");
    document.replace(from, to)
}
