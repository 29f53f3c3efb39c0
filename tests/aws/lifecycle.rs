//! From nothing, over every edit, to nothing.

use crate::account::{Account, BODILESS, DOCUMENTS, looks_like, shape};
use cloudtik_testkit::lab::{Settings, World};
use std::collections::BTreeMap;

/// Somebody else's things, with names like ours.
const FOREIGN: &str = "
tags = lambda kind: [{'ResourceType': kind, 'Tags': [{'Key': 'Name', 'Value': 'cloudtik-demo2-vpc'}]}]
vpc = ec2.create_vpc(CidrBlock='10.0.0.0/16', TagSpecifications=tags('vpc'))['Vpc']['VpcId']
subnet = ec2.create_subnet(VpcId=vpc, CidrBlock='10.0.0.0/24', TagSpecifications=tags('subnet'))['Subnet']['SubnetId']
ec2.create_security_group(GroupName='cloudtik-demo', Description='foreign', VpcId=vpc)
ec2.run_instances(ImageId='ami-1e749f67', InstanceType='m5.large', MinCount=1, MaxCount=1, SubnetId=subnet)
ec2.allocate_address(Domain='vpc')
s3.create_bucket(Bucket='cloudtik-demo2-us-west-2-default', CreateBucketConfiguration={'LocationConstraint': 'us-west-2'})
";

/// The types of our instances, with how many there are of each.
fn machines(world: &World, before: &World) -> BTreeMap<String, usize> {
    let theirs = before.of("instance");
    let mut types = BTreeMap::new();
    for (id, instance) in world.of("instance") {
        if !theirs.contains_key(id) {
            *types.entry(instance["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    types
}

fn named<'a>(world: &'a World, kind: &str, name: &str) -> Vec<&'a serde_json::Value> {
    world.of(kind).into_values().filter(|thing| thing["name"] == name).collect()
}

#[test]
fn every_edit_is_made_and_nothing_is_left_in_the_end() {
    let account = Account::new(Settings::strict());
    account.boto(FOREIGN);
    let before = account.world();
    let bench = &account.bench;

    bench.ok(&["workspace", "create", "workspace.yaml", "--yes"]);
    account.converge();
    let world = account.world();
    assert_eq!(machines(&world, &before), [("m5.large".to_owned(), 3)].into());
    assert_eq!(named(&world, "vpc", "cloudtik-demo-vpc").len(), 1);
    assert_eq!(named(&world, "security_group", "cloudtik-demo")[0]["rules"], 3);

    bench.edit("workspace.yaml", "[198.51.100.0/24]", "[198.51.100.0/24, 203.0.113.0/24]");
    account.converge();
    assert_eq!(named(&account.world(), "security_group", "cloudtik-demo")[0]["rules"], 4);
    bench.edit("workspace.yaml", "[198.51.100.0/24, 203.0.113.0/24]", "[192.0.2.0/24]");
    account.converge();
    assert_eq!(named(&account.world(), "security_group", "cloudtik-demo")[0]["rules"], 3);

    for (from, to) in [(2, 5), (5, 1)] {
        bench.edit("cluster.yaml", &format!("min_workers: {from}"), &format!("min_workers: {to}"));
        account.converge();
        assert_eq!(machines(&account.world(), &before), [("m5.large".to_owned(), 1 + to)].into());
    }

    let worker = "    min_workers: 1\n    node_config:\n      InstanceType: m5.large\n";
    let larger = worker.replace("m5.large", "m5.xlarge");
    bench.edit("cluster.yaml", worker, &larger);
    account.converge();
    let types = [("m5.large".to_owned(), 1), ("m5.xlarge".to_owned(), 1)].into();
    assert_eq!(machines(&account.world(), &before), types);

    let disk = |gib: u32| {
        format!(
            "{larger}      BlockDeviceMappings:\n        - DeviceName: /dev/sda1\n          Ebs: {{VolumeSize: {gib}, VolumeType: gp3}}\n"
        )
    };
    bench.edit("cluster.yaml", &larger, &disk(30));
    account.converge();
    let workers = account.world().of("instance").into_keys().map(String::from).collect::<Vec<_>>();
    bench.edit("cluster.yaml", &disk(30), &disk(60));
    account.converge();
    let world = account.world();
    assert!(world.of("volume").values().any(|v| v["gib"] == 60), "{:?}", world.of("volume"));
    assert_eq!(world.of("instance").into_keys().collect::<Vec<_>>(), workers, "a disk grows under a running machine");

    let tagged = format!(
        "{}      TagSpecifications:\n        - ResourceType: instance\n          Tags: [{{Key: team, Value: data}}]\n",
        disk(60)
    );
    bench.edit("cluster.yaml", &disk(60), &tagged);
    account.converge();
    let world = account.world();
    assert_eq!(world.tagged("team"), ["data"]);
    assert_eq!(world.of("instance").into_keys().collect::<Vec<_>>(), workers, "tags change on a running machine");

    account.destroy();
    account.world().nothing_left(&before);
}

/// Machines by what they do now.
fn standing(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, instance) in world.of("instance") {
        all.entry(instance["state"].as_str().unwrap().to_owned()).or_default().push(id.to_owned());
    }
    all
}

#[test]
fn machines_that_are_kept_start_again_and_go_in_the_end() {
    let account = Account::new(Settings::strict());
    let before = account.world();
    let bench = &account.bench;
    bench.edit("cluster.yaml", "  region: us-west-2\n", "  region: us-west-2\n  cache_stopped_nodes: true\n");
    account.converge();
    let all = standing(&account.world())["running"].clone();
    assert_eq!(all.len(), 3);

    bench.edit("cluster.yaml", "min_workers: 2", "min_workers: 0");
    let plan = bench.ok(&[&["plan"][..], &DOCUMENTS, &BODILESS].concat());
    assert!(plan.out.contains("kept for reuse"), "{}", plan.out);
    account.converge();
    let now = standing(&account.world());
    assert_eq!((now["running"].len(), now["stopped"].len()), (1, 2), "{now:?}");

    bench.edit("cluster.yaml", "min_workers: 0", "min_workers: 3");
    account.converge();
    let now = standing(&account.world());
    assert_eq!(now.len(), 1, "{now:?}");
    assert!(all.iter().all(|id| now["running"].contains(id)), "{all:?} again, and one more: {now:?}");

    // The Python tool's `stop` keeps them all; the next start has the same machines.
    bench.ok(&["stop", "cluster.yaml", "--yes"]);
    assert_eq!(standing(&account.world()).keys().collect::<Vec<_>>(), ["stopped"]);
    account.converge();
    assert_eq!(standing(&account.world()), now);

    bench.edit("cluster.yaml", "min_workers: 3", "min_workers: 1");
    account.converge();
    account.destroy();
    account.world().nothing_left(&before);
}

#[test]
fn a_bucket_is_kept_until_its_removal_is_asked_for() {
    let account = Account::new(Settings::strict());
    let before = account.world();
    account.converge();
    account.boto("s3.put_object(Bucket='cloudtik-demo-us-west-2-default', Key='a/b', Body=b'data')");
    account.bench.ok(&[&["destroy", "--yes"][..], &DOCUMENTS].concat());
    let left = account.world();
    assert_eq!(left.since(&before).len(), 1, "{:?}", left.since(&before));
    assert_eq!(left.of("bucket")["cloudtik-demo-us-west-2-default"]["objects"], serde_json::json!(["a/b"]));
    // The next workspace of that name has the data.
    account.converge();
    assert_eq!(account.world().of("bucket").len(), 1);
    account.destroy();
    account.world().nothing_left(&before);
}

#[test]
fn what_was_changed_by_hand_is_put_right() {
    let account = Account::new(Settings::strict());
    account.converge();
    let expected = shape(&account.world());
    account.boto(
        "
group = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': ['cloudtik-demo']}])['SecurityGroups'][0]
ec2.authorize_security_group_ingress(GroupId=group['GroupId'], IpPermissions=[
    {'IpProtocol': 'tcp', 'FromPort': 8080, 'ToPort': 8080, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])
pages = ec2.get_paginator('describe_instances').paginate(Filters=[{'Name': 'instance-state-name', 'Values': ['running', 'pending']}])
ids = [i['InstanceId'] for p in pages for r in p['Reservations'] for i in r['Instances']]
ec2.terminate_instances(InstanceIds=ids[1:2])
",
    );
    let run = account.bench.run(&[&["plan", "--detailed-exitcode"][..], &DOCUMENTS, &BODILESS].concat());
    assert_eq!(run.code, 2, "{}{}", run.out, run.err);
    account.converge();
    looks_like(&account.world(), &expected, "put right");
}
