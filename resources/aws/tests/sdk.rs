//! That `sdk` speaks the real protocol: every request and every listing against a server that is not ours, and faults on
//! the way to it.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use cloudtik_aws::{
    Account, Connect, Keys,
    api::{Api, ApiError, Cause, Database, Filter, Item, Listing, Password, Request, Tags, Target},
    sdk::Connector,
};
use cloudtik_core::value::Value;
use cloudtik_testkit::lab::{Fault, Moto, REGION, Settings, Strict};
use serde_json::json;
use std::sync::Arc;

/// Whatever is said, this is not in it.
const SESSION: &str = "a-session-that-is-not-to-be-seen";

fn account(endpoint: &str) -> Account {
    let keys = Keys { id: "test".into(), secret: "test".into(), token: Some(SESSION.into()) };
    Account { region: REGION.into(), endpoint: Some(endpoint.into()), keys: Some(keys) }
}

/// Pages of five where the service allows it.
async fn connect(endpoint: &str) -> Arc<dyn Api> {
    Connector { page: 5 }.connect(&account(endpoint)).await.unwrap()
}

struct Aws {
    api: Arc<dyn Api>,
    strict: Strict,
    _moto: Moto,
}

impl Aws {
    async fn start(settings: Settings) -> Self {
        let moto = Moto::start();
        let strict = Strict::in_front_of(&moto, settings);
        Aws { api: connect(&strict.endpoint()).await, strict, _moto: moto }
    }

    async fn call(&self, request: Request) -> Item {
        self.api.call(request.clone()).await.unwrap_or_else(|e| panic!("{request:?}: {e:?}")).item
    }

    async fn list(&self, listing: Listing, filters: &[Filter]) -> Vec<Item> {
        self.api.list(&listing, filters).await.unwrap_or_else(|e| panic!("{listing:?}: {e:?}"))
    }

    async fn one(&self, listing: Listing, filter: &str, value: &str) -> Item {
        let items = self.list(listing.clone(), &[Filter::is(filter, value)]).await;
        assert_eq!(items.len(), 1, "{listing:?} with {filter} = {value}: {items:?}");
        items.into_iter().next().unwrap()
    }

    async fn none(&self, listing: Listing, filter: &str, value: &str) {
        assert_eq!(self.list(listing, &[Filter::is(filter, value)]).await, []);
    }
}

fn tags(name: &str) -> Tags {
    [("Name".to_owned(), name.to_owned()), ("cloudtik:scope".to_owned(), "workspace/w".to_owned())].into()
}

fn vpc(cidr: &str) -> Request {
    Request::CreateVpc { cidr: cidr.into(), tags: tags("vpc") }
}

#[track_caller]
fn has(item: &Item, fields: &[(&str, Value)]) {
    for (name, value) in fields {
        assert_eq!(item.fields.get(*name), Some(value), "{name} of {item:?}");
    }
}

#[tokio::test]
async fn a_network_is_made_seen_and_taken_apart() {
    let aws = Aws::start(Settings { rules: true, ..Settings::default() }).await;
    let net = aws.call(vpc("10.0.0.0/16")).await;
    has(&net, &[("cidr", "10.0.0.0/16".into())]);
    assert_eq!(net.tags, tags("vpc"));
    let id = || net.id.clone();
    for (dns_support, dns_hostnames) in [(Some(true), None), (None, Some(true))] {
        aws.call(Request::ModifyVpc { vpc: id(), dns_support, dns_hostnames }).await;
    }
    let seen = aws.one(Listing::Vpcs, "vpc-id", &net.id).await;
    has(&seen, &[("is_default", false.into()), ("dns_support", true.into()), ("dns_hostnames", true.into())]);
    assert_eq!(aws.list(Listing::Vpcs, &[Filter::tag("Name", "vpc")]).await.len(), 1);

    let zone = aws.list(Listing::Zones, &[]).await.remove(0);
    has(&zone, &[("state", "available".into())]);
    let request = Request::CreateSubnet {
        vpc: id(),
        cidr: "10.0.1.0/24".into(),
        zone: Some(zone.id.clone()),
        tags: tags("public"),
    };
    let subnet = aws.call(request).await;
    aws.call(Request::ModifySubnet { subnet: subnet.id.clone(), public: true }).await;
    let seen = aws.one(Listing::Subnets, "subnet-id", &subnet.id).await;
    has(&seen, &[("vpc", id().into()), ("zone", zone.id.clone().into()), ("public", true.into())]);

    let gateway = aws.call(Request::CreateInternetGateway { tags: tags("igw") }).await;
    let gw = || gateway.id.clone();
    aws.call(Request::AttachInternetGateway { gateway: gw(), vpc: id() }).await;
    has(&aws.one(Listing::InternetGateways, "internet-gateway-id", &gateway.id).await, &[("vpc", id().into())]);

    let table = aws.call(Request::CreateRouteTable { vpc: id(), tags: tags("rt") }).await;
    let rt = || table.id.clone();
    let association = aws.call(Request::AssociateRouteTable { table: rt(), subnet: subnet.id.clone() }).await.id;
    let all = || "0.0.0.0/0".to_owned();
    aws.call(Request::CreateRoute { table: rt(), destination: all(), target: Target::Gateway(gw()) }).await;

    let address = aws.call(Request::AllocateAddress { tags: tags("eip") }).await;
    has(&aws.one(Listing::Addresses, "allocation-id", &address.id).await, &[("ip", address.text("ip").into())]);
    let request = Request::CreateNatGateway {
        subnet: subnet.id.clone(),
        allocation: address.id.clone(),
        token: "nat-1".into(),
        tags: tags("nat"),
    };
    let nat = aws.call(request).await;
    let seen = aws.one(Listing::NatGateways, "nat-gateway-id", &nat.id).await;
    let wanted = [("vpc", id()), ("subnet", subnet.id.clone()), ("allocation", address.id.clone())];
    has(&seen, &wanted.map(|(name, value)| (name, value.into())));
    aws.call(Request::ReplaceRoute { table: rt(), destination: all(), target: Target::Nat(nat.id.clone()) }).await;

    let service = format!("com.amazonaws.{REGION}.s3");
    let request = Request::CreateVpcEndpoint {
        vpc: id(),
        service: service.clone(),
        tables: vec![rt()],
        token: "s3-1".into(),
        tags: tags("s3"),
    };
    let endpoint = aws.call(request).await;
    let ep = || endpoint.id.clone();
    let seen = aws.one(Listing::VpcEndpoints, "vpc-endpoint-id", &endpoint.id).await;
    has(&seen, &[("service", service.into()), ("state", "available".into()), ("tables", Value::list([rt()]))]);

    let seen = aws.one(Listing::RouteTables, "route-table-id", &table.id).await;
    has(
        &seen,
        &[
            ("main", false.into()),
            (
                "associations",
                Value::List(vec![Value::map([("id", association.clone()), ("subnet", subnet.id.clone())])]),
            ),
        ],
    );
    let routes = seen.fields["routes"].as_list().unwrap();
    let way = routes.iter().find(|r| r.at("destination") == Some(&all().into())).unwrap();
    assert_eq!(way.at("nat"), Some(&nat.id.clone().into()), "{routes:?}");

    let request = Request::CreateSecurityGroup {
        vpc: id(),
        name: "sg".into(),
        description: "of a test".into(),
        tags: tags("sg"),
    };
    let group = aws.call(request).await.id;
    let mut rules: Vec<String> =
        ["tcp 22 from 10.0.0.0/16", "all from 0.0.0.0/0", "icmp -1 from 10.0.0.0/8", "tcp 8080-8090 from 10.0.0.0/16"]
            .map(String::from)
            .into();
    rules.push(format!("all from {group}"));
    aws.call(Request::AuthorizeIngress { group: group.clone(), rules: rules.clone() }).await;
    let ingress = |item: &Item| {
        let mut rules: Vec<String> =
            item.fields["ingress"].as_list().unwrap().iter().map(|r| r.as_text().unwrap().to_owned()).collect();
        rules.sort();
        rules
    };
    rules.sort();
    let seen = aws.one(Listing::SecurityGroups, "group-id", &group).await;
    assert_eq!(ingress(&seen), rules);
    has(&seen, &[("name", "sg".into()), ("description", "of a test".into()), ("vpc", id().into())]);
    let gone = rules.pop().unwrap();
    aws.call(Request::RevokeIngress { group: group.clone(), rules: vec![gone] }).await;
    assert_eq!(ingress(&aws.one(Listing::SecurityGroups, "group-id", &group).await), rules);

    let peer = aws.call(vpc("10.1.0.0/16")).await;
    let peering = aws.call(Request::CreatePeering { vpc: id(), peer: peer.id.clone(), tags: tags("peer") }).await;
    let pcx = || peering.id.clone();
    aws.call(Request::AcceptPeering { peering: pcx() }).await;
    let seen = aws.one(Listing::Peerings, "vpc-peering-connection-id", &peering.id).await;
    has(
        &seen,
        &[
            ("state", "active".into()),
            ("requester", id().into()),
            ("accepter", peer.id.clone().into()),
            ("accepter_cidr", "10.1.0.0/16".into()),
        ],
    );
    let (destination, target) = ("10.1.0.0/16".to_owned(), Target::Peering(pcx()));
    aws.call(Request::CreateRoute { table: rt(), destination: destination.clone(), target }).await;

    aws.call(Request::CreateTags { ids: vec![id(), subnet.id.clone()], tags: [("a".into(), "b".into())].into() }).await;
    assert_eq!(aws.list(Listing::Subnets, &[Filter::tag("a", "b")]).await.len(), 1);
    aws.call(Request::DeleteTags { ids: vec![id(), subnet.id.clone()], keys: vec!["a".into()] }).await;
    assert_eq!(aws.list(Listing::Subnets, &[Filter::tag("a", "b")]).await, []);

    for request in [
        Request::DeleteRoute { table: rt(), destination },
        Request::DeletePeering { peering: pcx() },
        Request::DeleteSecurityGroup { group: group.clone() },
        Request::ModifyVpcEndpoint { endpoint: ep(), add: vec![], remove: vec![rt()] },
        Request::DeleteVpcEndpoint { endpoint: ep() },
        Request::DeleteNatGateway { gateway: nat.id.clone() },
        Request::DeleteRoute { table: rt(), destination: all() },
        Request::ReleaseAddress { allocation: address.id.clone() },
        Request::DisassociateRouteTable { association },
        Request::DeleteRouteTable { table: rt() },
        Request::DetachInternetGateway { gateway: gw(), vpc: id() },
        Request::DeleteInternetGateway { gateway: gw() },
        Request::DeleteSubnet { subnet: subnet.id.clone() },
        Request::DeleteVpc { vpc: peer.id },
        Request::DeleteVpc { vpc: id() },
    ] {
        aws.call(request).await;
    }
    for (listing, filter) in [
        (Listing::Vpcs, "vpc-id"),
        (Listing::Subnets, "vpc-id"),
        (Listing::RouteTables, "vpc-id"),
        (Listing::NatGateways, "vpc-id"),
        (Listing::VpcEndpoints, "vpc-id"),
        (Listing::SecurityGroups, "vpc-id"),
        (Listing::InternetGateways, "attachment.vpc-id"),
        (Listing::Peerings, "requester-vpc-info.vpc-id"),
    ] {
        aws.none(listing, filter, &net.id).await;
    }
}

#[tokio::test]
async fn machines_are_launched_with_all_that_the_service_knows() {
    let aws = Aws::start(Settings { rules: true, ..Settings::default() }).await;
    let key = include_str!("key.pub").trim();
    let request = Request::ImportKeyPair { name: "k".into(), public: key.into(), tags: tags("k") };
    assert_eq!(aws.call(request).await.id, "k");
    let seen = aws.one(Listing::KeyPairs, "key-name", "k").await;
    has(&seen, &[("public", key.into()), ("name", "k".into())]);
    assert_eq!(seen.tags, tags("k"));

    let owners = vec!["amazon".to_owned()];
    let wanted = [Filter::is("architecture", "x86_64"), Filter::is("name", "al2023-ami-minimal-*")];
    let image = aws.list(Listing::Images { owners }, &wanted).await.remove(0);
    has(&image, &[("state", "available".into()), ("architecture", "x86_64".into())]);
    let types = aws.list(Listing::InstanceTypes, &[Filter::new("instance-type", ["m5.large", "g4dn.xlarge"])]).await;
    let kind = |name: &str| types.iter().find(|t| t.id == name).unwrap();
    has(
        kind("m5.large"),
        &[("cpus", 2.into()), ("memory_mib", 8192.into()), ("architectures", Value::list(["x86_64"]))],
    );
    has(kind("g4dn.xlarge"), &[("gpus", 1.into()), ("gpu_name", "T4".into())]);

    let net = aws.call(vpc("10.0.0.0/16")).await;
    let zone = format!("{REGION}a");
    let request = Request::CreateSubnet {
        vpc: net.id.clone(),
        cidr: "10.0.1.0/24".into(),
        zone: Some(zone.clone()),
        tags: tags("s"),
    };
    let subnet = aws.call(request).await.id;
    let mut groups = Vec::new();
    for name in ["one", "two"] {
        let (vpc, name) = (net.id.clone(), name.to_owned());
        let request = Request::CreateSecurityGroup { vpc, name, description: "d".into(), tags: Tags::new() };
        groups.push(aws.call(request).await.id);
    }
    let config = json!({
        "ImageId": image.id, "InstanceType": "m5.large", "KeyName": "k", "SubnetId": subnet,
        "SecurityGroupIds": [groups[0]], "EbsOptimized": true,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 77, "VolumeType": "gp3", "DeleteOnTermination": true}}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a & b = ü"}]}],
        "MetadataOptions": {"HttpTokens": "required"}, "UserData": "IyEvYmluL3NoCg==",
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2},
    });
    let request = Request::RunInstances { config, least: 2, count: 3, token: "token-1".into() };
    let made = aws.api.call(request.clone()).await.unwrap().items;
    assert_eq!(made.iter().map(|i| i.fields["launch_index"].as_int().unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    let sent = aws.strict.calls().into_iter().rfind(|c| c.action == "RunInstances").unwrap().params;
    for (name, value) in [
        ("MinCount", "2"),
        ("MaxCount", "3"),
        ("ClientToken", "token-1"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "77"),
        ("TagSpecification.1.Tag.1.Value", "a & b = ü"),
        ("MetadataOptions.HttpTokens", "required"),
        ("CpuOptions.ThreadsPerCore", "2"),
        ("UserData", "IyEvYmluL3NoCg=="),
        ("SecurityGroupId.1", &groups[0]),
    ] {
        assert_eq!(sent.get(name).map(String::as_str), Some(value), "{name} of {sent:?}");
    }
    // The same token makes nothing twice.
    assert_eq!(ids(&aws.api.call(request).await.unwrap().items), ids(&made));

    let first = made[0].id.clone();
    let seen = aws.one(Listing::Instances, "instance-id", &first).await;
    has(
        &seen,
        &[
            ("type", "m5.large".into()),
            ("image", image.id.as_str().into()),
            ("state", "running".into()),
            ("vpc", net.id.as_str().into()),
            ("subnet", subnet.as_str().into()),
            ("zone", zone.as_str().into()),
            ("key", "k".into()),
            ("groups", Value::list([&groups[0]])),
            ("spot", false.into()),
        ],
    );
    assert!(seen.text("private_ip").starts_with("10.0.1."), "{seen:?}");
    assert!(seen.text("launched").ends_with('Z'), "{seen:?}");
    assert_eq!(seen.tags["Name"], "a & b = ü");
    let disk = seen.fields["volumes"].as_list().unwrap()[0].clone();
    let disk_id = disk.at("volume").unwrap().as_text().unwrap();
    let volume = aws.one(Listing::Volumes, "volume-id", disk_id).await;
    has(
        &volume,
        &[
            ("size", 77.into()),
            ("type", "gp3".into()),
            ("instance", first.as_str().into()),
            ("device", "/dev/sda1".into()),
        ],
    );

    let output = aws.call(Request::GetConsoleOutput { instance: first.clone() }).await;
    assert!(!output.text("output").is_empty(), "{output:?}");
    aws.call(Request::ModifyInstanceGroups { instance: first.clone(), groups: groups.clone() }).await;
    aws.call(Request::StopInstances { ids: vec![first.clone()] }).await;
    aws.call(Request::ModifyInstanceType { instance: first.clone(), kind: "m5.xlarge".into() }).await;
    aws.call(Request::StartInstances { ids: vec![first.clone()] }).await;
    let seen = aws.one(Listing::Instances, "instance-id", &first).await;
    has(&seen, &[("type", "m5.xlarge".into())]);
    assert_eq!(seen.fields["groups"].as_list().unwrap().len(), 2, "{seen:?}");

    let request = Request::CreateVolume {
        zone,
        size: 10,
        kind: Some("gp3".into()),
        iops: Some(4000),
        throughput: Some(200),
        token: "volume-1".into(),
        tags: tags("data"),
    };
    let data = aws.call(request).await;
    has(&data, &[("size", 10.into()), ("type", "gp3".into()), ("iops", 4000.into())]);
    let volume = || data.id.clone();
    aws.call(Request::AttachVolume { volume: volume(), instance: first.clone(), device: "/dev/sdf".into() }).await;
    has(&aws.one(Listing::Volumes, "volume-id", &data.id).await, &[("instance", first.as_str().into())]);
    aws.call(Request::DetachVolume { volume: volume() }).await;
    aws.call(Request::DeleteVolume { volume: volume() }).await;
    aws.call(Request::TerminateInstances { ids: ids(&made) }).await;
    let alive = [Filter::new("instance-state-name", ["pending", "running", "stopping", "stopped"])];
    assert_eq!(aws.list(Listing::Instances, &alive).await, []);
    aws.call(Request::DeleteKeyPair { name: "k".into() }).await;
    aws.none(Listing::KeyPairs, "key-name", "k").await;
}

fn ids(items: &[Item]) -> Vec<String> {
    items.iter().map(|i| i.id.clone()).collect()
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::a+b/*"}]}"#;

#[tokio::test]
async fn identities() {
    let aws = Aws::start(Settings::default()).await;
    let caller = aws.list(Listing::Caller, &[]).await.remove(0);
    assert_eq!(caller.id.len(), 12);
    assert!(caller.text("arn").starts_with("arn:aws:"));

    aws.none(Listing::Roles, "name", "r").await;
    aws.none(Listing::InstanceProfiles, "name", "p").await;
    aws.none(Listing::InstanceProfiles, "role", "r").await;
    let name = || "r".to_owned();
    let request =
        Request::CreateRole { name: name(), trust: TRUST.into(), description: "of a test".into(), tags: tags("r") };
    let made = aws.call(request.clone()).await;
    assert_eq!(aws.api.call(request).await.unwrap_err().code(), "EntityAlreadyExists");
    aws.call(Request::UpdateRoleTrust { name: name(), trust: TRUST.replace("ec2", "eks") }).await;
    // More than a page of them.
    for n in 0..7 {
        aws.call(Request::PutRolePolicy { role: name(), name: format!("inline-{n}"), policy: POLICY.into() }).await;
    }
    let attached = "arn:aws:iam::aws:policy/AmazonS3FullAccess".to_owned();
    aws.call(Request::AttachRolePolicy { role: name(), policy: attached.clone() }).await;
    aws.call(Request::TagRole { name: name(), tags: [("more".into(), "tags".into())].into() }).await;
    let seen = aws.one(Listing::Roles, "name", "r").await;
    let policies = (0..7).map(|n| (format!("inline-{n}"), POLICY));
    has(
        &seen,
        &[
            ("arn", made.text("arn").into()),
            ("trust", TRUST.replace("ec2", "eks").into()),
            ("description", "of a test".into()),
            ("policies", Value::map(policies)),
            ("attached", Value::list([attached.clone()])),
        ],
    );
    assert_eq!((seen.tags["Name"].as_str(), seen.tags["more"].as_str()), ("r", "tags"));

    let profile = || "p".to_owned();
    aws.call(Request::CreateInstanceProfile { name: profile(), tags: tags("p") }).await;
    aws.call(Request::AddRoleToProfile { profile: profile(), role: name() }).await;
    aws.call(Request::TagInstanceProfile { name: profile(), tags: [("more".into(), "tags".into())].into() }).await;
    for (filter, value) in [("name", "p"), ("role", "r")] {
        let seen = aws.one(Listing::InstanceProfiles, filter, value).await;
        has(&seen, &[("name", "p".into()), ("roles", Value::list(["r"]))]);
        assert_eq!((seen.id.as_str(), seen.tags["more"].as_str()), ("p", "tags"));
    }
    let refused = aws.api.call(Request::DeleteRole { name: name() }).await.unwrap_err();
    assert_eq!(refused.code(), "DeleteConflict");
    aws.call(Request::RemoveRoleFromProfile { profile: profile(), role: name() }).await;
    aws.call(Request::DeleteInstanceProfile { name: profile() }).await;
    for n in 0..7 {
        aws.call(Request::DeleteRolePolicy { role: name(), name: format!("inline-{n}") }).await;
    }
    aws.call(Request::DetachRolePolicy { role: name(), policy: attached }).await;
    aws.call(Request::DeleteRole { name: name() }).await;
    aws.none(Listing::Roles, "name", "r").await;
}

#[tokio::test]
async fn a_bucket_with_everything_that_can_be_left_in_it() {
    let aws = Aws::start(Settings::default()).await;
    let name = || "cloudtik-of-a-test".to_owned();
    aws.none(Listing::Buckets, "name", &name()).await;
    assert_eq!(aws.list(Listing::ObjectVersions { bucket: name() }, &[]).await, []);
    assert_eq!(aws.list(Listing::Uploads { bucket: name() }, &[]).await, []);
    aws.call(Request::CreateBucket { name: name() }).await;
    let seen = aws.one(Listing::Buckets, "name", &name()).await;
    has(&seen, &[("region", REGION.into()), ("public_access_blocked", false.into()), ("versioned", false.into())]);
    aws.call(Request::EncryptBucket { name: name() }).await;
    aws.call(Request::BlockPublicAccess { name: name() }).await;
    aws.call(Request::TagBucket { name: name(), tags: tags("b") }).await;
    let left = r"
import boto3
s3 = boto3.client('s3')
bucket = 'cloudtik-of-a-test'
s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={'Status': 'Enabled'})
for key in ['a b+c%41', 'ü/x', 'plain']:
    for _ in range(4):
        s3.put_object(Bucket=bucket, Key=key, Body=b'x')
s3.delete_object(Bucket=bucket, Key='plain')
for n in range(7):
    s3.create_multipart_upload(Bucket=bucket, Key='up load+%d' % n)
";
    let mut python = aws.strict.python();
    python.args(["-c", left]).envs(aws.strict.environment()).env("AWS_DEFAULT_REGION", REGION);
    assert!(python.status().unwrap().success());

    let seen = aws.one(Listing::Buckets, "name", &name()).await;
    has(&seen, &[("encrypted", true.into()), ("public_access_blocked", true.into()), ("versioned", true.into())]);
    assert_eq!(seen.tags, tags("b"));
    let refused = aws.api.call(Request::DeleteBucket { name: name() }).await.unwrap_err();
    assert_eq!(refused.code(), "BucketNotEmpty");

    let versions = aws.list(Listing::ObjectVersions { bucket: name() }, &[]).await;
    let count = |key: &str| versions.iter().filter(|v| v.text("key") == key).count();
    assert_eq!([count("a b+c%41"), count("ü/x"), count("plain")], [4, 4, 5], "{versions:?}");
    let objects = versions.iter().map(|v| (v.text("key").to_owned(), v.text("version").to_owned())).collect();
    aws.call(Request::DeleteObjects { bucket: name(), objects }).await;
    assert_eq!(aws.list(Listing::ObjectVersions { bucket: name() }, &[]).await, []);

    let uploads = aws.list(Listing::Uploads { bucket: name() }, &[]).await;
    let mut keys: Vec<&str> = uploads.iter().map(|u| u.text("key")).collect();
    keys.sort();
    assert_eq!(keys, (0..7).map(|n| format!("up load+{n}")).collect::<Vec<_>>());
    for left in &uploads {
        let (key, upload) = (left.text("key").to_owned(), left.text("upload").to_owned());
        aws.call(Request::AbortUpload { bucket: name(), key, upload }).await;
    }
    assert_eq!(aws.list(Listing::Uploads { bucket: name() }, &[]).await, []);
    aws.call(Request::DeleteBucket { name: name() }).await;
    aws.none(Listing::Buckets, "name", &name()).await;
}

#[tokio::test]
async fn a_database() {
    let aws = Aws::start(Settings::default()).await;
    let net = aws.call(vpc("10.0.0.0/16")).await;
    let mut subnets = Vec::new();
    for (n, zone) in ["a", "b", "c"].iter().enumerate() {
        let (cidr, zone) = (format!("10.0.{n}.0/24"), Some(format!("{REGION}{zone}")));
        let request = Request::CreateSubnet { vpc: net.id.clone(), cidr, zone, tags: Tags::new() };
        subnets.push(aws.call(request).await.id);
    }
    aws.none(Listing::DbSubnetGroups, "name", "g").await;
    aws.none(Listing::Databases, "name", "d").await;
    let (name, description, first) = ("g".to_owned(), "of a test".to_owned(), subnets[..2].to_vec());
    aws.call(Request::CreateDbSubnetGroup { name, description, subnets: first, tags: tags("g") }).await;
    aws.call(Request::ModifyDbSubnetGroup { name: "g".into(), subnets: subnets.clone() }).await;
    let seen = aws.one(Listing::DbSubnetGroups, "name", "g").await;
    assert_eq!((seen.fields["subnets"].as_list().unwrap().len(), &seen.tags), (3, &tags("g")));

    let request = Request::CreateSecurityGroup {
        vpc: net.id.clone(),
        name: "sg".into(),
        description: "d".into(),
        tags: Tags::new(),
    };
    let group = aws.call(request).await.id;
    let mut spec = Database {
        engine: "mysql".into(),
        kind: "db.t3.medium".into(),
        storage_type: "gp2".into(),
        storage_gib: 50,
        user: "cloudtik".into(),
        port: 3306,
        multi_az: false,
        subnet_group: "g".into(),
        groups: vec![group.clone()],
    };
    let request = |name: &str, password: Option<&str>| Request::CreateDatabase {
        name: name.into(),
        spec: spec.clone(),
        password: password.map(|p| Password(p.into())),
        tags: tags(name),
    };
    aws.call(request("d", Some("a-password-of-a-test"))).await;
    aws.call(request("managed", None)).await;
    let seen = aws.one(Listing::Databases, "name", "d").await;
    has(
        &seen,
        &[
            ("engine", "mysql".into()),
            ("type", "db.t3.medium".into()),
            ("storage_type", "gp2".into()),
            ("storage_gib", 50.into()),
            ("user", "cloudtik".into()),
            ("port", 3306.into()),
            ("status", "available".into()),
            ("multi_az", false.into()),
            ("subnet_group", "g".into()),
            ("groups", Value::list([group])),
        ],
    );
    assert!(!seen.text("address").is_empty(), "{seen:?}");
    assert!(aws.one(Listing::Databases, "name", "managed").await.text("secret").starts_with("arn:aws:secretsmanager:"));
    assert_eq!(ids(&aws.list(Listing::Databases, &[Filter::tag("Name", "d")]).await), ["d"]);
    let arn = seen.text("arn").to_owned();
    aws.call(Request::TagDatabase { arn, tags: [("more".into(), "tags".into())].into() }).await;
    spec.storage_gib = 60;
    spec.kind = "db.t3.large".into();
    aws.call(Request::ModifyDatabase { name: "d".into(), spec }).await;
    let sent = aws.strict.calls().into_iter().rfind(|c| c.action == "ModifyDBInstance").unwrap().params;
    assert_eq!((sent.get("AllocatedStorage").map(String::as_str), sent.get("StorageType")), (Some("60"), None));
    let seen = aws.one(Listing::Databases, "name", "d").await;
    has(&seen, &[("type", "db.t3.large".into()), ("storage_gib", 60.into())]);
    assert_eq!(seen.tags["more"], "tags");
    for name in ["d", "managed"] {
        aws.call(Request::DeleteDatabase { name: name.into() }).await;
        aws.none(Listing::Databases, "name", name).await;
    }
    aws.call(Request::DeleteDbSubnetGroup { name: "g".into() }).await;
}

#[tokio::test]
async fn a_launch_template_reads_as_what_is_launched_with_it() {
    let aws = Aws::start(Settings::default()).await;
    let made = r"
import boto3
ec2 = boto3.client('ec2')
first = {'InstanceType': 't3.micro'}
second = {
    'InstanceType': 'm5.large', 'EbsOptimized': True, 'SecurityGroupIds': ['sg-1', 'sg-2'],
    'BlockDeviceMappings': [{'DeviceName': '/dev/sda1', 'Ebs': {'VolumeSize': 99, 'VolumeType': 'gp3'}}],
    'TagSpecifications': [{'ResourceType': 'instance', 'Tags': [{'Key': 'a', 'Value': 'b & c'}]}],
}
marks = [{'ResourceType': 'launch-template', 'Tags': [{'Key': 'Name', 'Value': 'lt'}]}]
id = ec2.create_launch_template(LaunchTemplateName='lt', LaunchTemplateData=first, TagSpecifications=marks)
id = id['LaunchTemplate']['LaunchTemplateId']
ec2.create_launch_template_version(LaunchTemplateId=id, LaunchTemplateData=second)
ec2.modify_launch_template(LaunchTemplateId=id, DefaultVersion='2')
ec2.create_launch_template_version(LaunchTemplateId=id, LaunchTemplateData=first)
";
    let mut python = aws.strict.python();
    python.args(["-c", made]).envs(aws.strict.environment()).env("AWS_DEFAULT_REGION", REGION);
    assert!(python.status().unwrap().success());
    let seen = aws.one(Listing::LaunchTemplates, "launch-template-name", "lt").await;
    has(&seen, &[("name", "lt".into()), ("default", 2.into()), ("latest", 3.into())]);
    assert_eq!(seen.tags["Name"], "lt");
    let data = json!({
        "InstanceType": "m5.large", "EbsOptimized": true, "SecurityGroupIds": ["sg-1", "sg-2"],
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 99, "VolumeType": "gp3"}}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b & c"}]}],
    });
    for (key, value) in data.as_object().unwrap() {
        let seen = seen.fields["data"].as_map().unwrap().get(key);
        assert_eq!(seen, Some(&Value::from(value.clone())), "{key}");
    }
}

#[tokio::test]
async fn lists_are_whole_however_short_the_pages_are() {
    let aws = Aws::start(Settings { page_size: 5, ..Settings::default() }).await;
    for n in 0..12 {
        aws.call(vpc(&format!("10.{n}.0.0/16"))).await;
    }
    assert_eq!(aws.list(Listing::Vpcs, &[Filter::tag("Name", "vpc")]).await.len(), 12);
    // Each has a table and a group of its own, and there is the default network.
    for listing in [Listing::RouteTables, Listing::SecurityGroups] {
        assert!(aws.list(listing, &[]).await.len() >= 12);
    }
    let images = Listing::Images { owners: vec!["amazon".into()] };
    assert!(aws.list(images, &[Filter::is("name", "Windows_Server-20*")]).await.len() > 5);
    let calls = aws.strict.counts();
    assert!(calls["ec2:DescribeVpcs"] >= 3, "{calls:?}");
}

/// A request that fails, with what it met.
async fn fails(api: &dyn Api, request: Request) -> ApiError {
    let error = api.call(request).await.unwrap_err();
    assert!(!format!("{error:?}").contains(SESSION));
    error
}

#[tokio::test]
async fn throttling_is_waited_out_and_a_lost_answer_is_told() {
    let aws = Aws::start(Settings::default()).await;
    aws.strict.order(&[Fault::throttle("CreateVpc").times(2)]);
    aws.call(vpc("10.0.0.0/16")).await;
    assert_eq!(aws.strict.counts()["ec2:CreateVpc"], 3);

    for (fault, made) in [(Fault::reset("CreateVpc"), 1), (Fault::lost("CreateVpc"), 2)] {
        aws.strict.reset();
        aws.strict.order(&[fault]);
        let error = fails(&*aws.api, vpc("10.0.0.0/16")).await;
        assert!(matches!(error.cause, Cause::Transport { sent: true, .. }), "{error:?}");
        assert_eq!(aws.strict.counts()["ec2:CreateVpc"], 1, "a change is not repeated");
        assert_eq!(aws.list(Listing::Vpcs, &[Filter::tag("Name", "vpc")]).await.len(), made);
    }
    aws.strict.order(&[Fault::server_error("CreateVpc", 500)]);
    let error = fails(&*aws.api, vpc("10.0.0.0/16")).await;
    assert!(matches!(&error.cause, Cause::Service { code, status: 500, .. } if code == "InternalError"), "{error:?}");

    for fault in [Fault::reset("Describe"), Fault::lost("Describe"), Fault::server_error("Describe", 503)] {
        aws.strict.reset();
        aws.strict.order(&[fault.times(2)]);
        assert_eq!(aws.list(Listing::Vpcs, &[Filter::tag("Name", "vpc")]).await.len(), 2);
        assert_eq!(aws.strict.counts()["ec2:DescribeVpcs"], 3, "a read is repeated");
    }
}

#[tokio::test]
async fn an_error_has_its_code_its_words_and_its_request() {
    let aws = Aws::start(Settings::default()).await;
    let error = fails(&*aws.api, Request::DeleteVpc { vpc: "vpc-0123456789abcdef0".into() }).await;
    assert_eq!((error.code(), error.action.as_str()), ("InvalidVpcID.NotFound", "DeleteVpc"));
    assert!(
        matches!(&error.cause, Cause::Service { message, status: 400, .. } if message.contains("vpc-0123456789abcdef0"))
    );
    assert!(error.request_id.is_some(), "{error:?}");
    let error = fails(&*aws.api, Request::DeleteRole { name: "nobody".into() }).await;
    assert_eq!(error.code(), "NoSuchEntity");
    assert!(error.request_id.is_some(), "{error:?}");
    let error = fails(&*aws.api, Request::DeleteBucket { name: "no-such-bucket-here".into() }).await;
    assert_eq!(error.code(), "NoSuchBucket");
    let error = fails(&*aws.api, Request::DeleteDatabase { name: "nothing".into() }).await;
    assert_eq!(error.code(), "DBInstanceNotFound");
    aws.strict.order(&[Fault::expired("CreateVpc").always()]);
    let error = fails(&*aws.api, vpc("10.0.0.0/16")).await;
    assert!(matches!(error.code(), "ExpiredToken" | "RequestExpired"), "{error:?}");
}

#[tokio::test]
async fn what_never_got_on_its_way_says_so() {
    let moto = Moto::start();
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for endpoint in [closed, "http://nowhere.invalid".into(), moto.endpoint().replace("http:", "https:")] {
        let api = connect(&endpoint).await;
        let error = fails(&*api, vpc("10.0.0.0/16")).await;
        assert!(matches!(error.cause, Cause::Transport { sent: false, .. }), "{endpoint}: {error:?}");
    }
}

/// What [`child`] says in an environment that has nothing but `variables`.
fn said(variables: &[(&str, String)]) -> Vec<String> {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--ignored", "--nocapture"]).env_clear();
    for nothing in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(nothing, "/dev/null");
    }
    let output = command.envs(variables.iter().map(|(k, v)| (k, v))).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("> ")).map(String::from).collect();
    assert!(!lines.is_empty(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    lines
}

/// Where a client without a document gets: region, account, a bucket's region, the machine.
#[tokio::test]
#[ignore = "run by the tests below, in environments of their own"]
async fn child() {
    let api = match Connector::default().connect(&Account::default()).await {
        Ok(api) => api,
        Err(error) => return println!("> {:?}", error.cause),
    };
    println!("> region {}", api.region());
    if std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_ok() {
        return println!("> here {:?}", api.here().await.unwrap());
    }
    match api.list(&Listing::Caller, &[]).await {
        Ok(caller) => println!("> account {}", caller[0].id),
        Err(error) => return println!("> {:?}", error.cause),
    }
    let bucket = api.list(&Listing::Buckets, &[Filter::is("name", "of-a-child")]).await;
    println!("> bucket {:?}", bucket.unwrap().first().map(|b| b.text("region").to_owned()));
}

#[tokio::test]
async fn without_a_document_it_goes_where_amazons_own_tools_go() {
    let aws = Aws::start(Settings { rules: true, ..Settings::default() }).await;
    aws.call(Request::CreateBucket { name: "of-a-child".into() }).await;
    let reached = [format!("region {REGION}"), "account 123456789012".into(), format!("bucket Some({REGION:?})")];
    assert_eq!(said(&aws.strict.environment()), reached);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let keys = r#"{"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"}"#;
    let profile = format!(
        "[profile p]\nregion = {REGION}\nservices = here\ncredential_process = echo '{keys}'\n[services here]\n\
         sts =\n  endpoint_url = {0}\ns3 =\n  endpoint_url = {0}\n",
        aws.strict.endpoint()
    );
    std::fs::write(&file, profile).unwrap();
    let file = ("AWS_CONFIG_FILE", file.to_str().unwrap().to_owned());
    let path = ("PATH", std::env::var("PATH").unwrap());
    assert_eq!(said(&[("AWS_PROFILE", "p".into()), file, path]), reached);
}

#[test]
fn what_is_missing_is_told_and_nothing_waits_for_it() {
    let off = ("AWS_EC2_METADATA_DISABLED", "true".to_owned());
    let nowhere = said(std::slice::from_ref(&off));
    assert!(nowhere[0].starts_with("Credentials(\"no region: set `provider.region`"), "{nowhere:?}");
    let nobody = said(&[off, ("AWS_REGION", REGION.into())]);
    assert!(nobody[1].starts_with("Credentials(") && nobody[1].contains("no credentials found in chain"), "{nobody:?}");
    let closed = "http://127.0.0.1:1".to_owned();
    let elsewhere = said(&[("AWS_REGION", REGION.into()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", closed)]);
    assert_eq!(elsewhere[1], "here None");
}

/// A metadata service that wants a token (version 2) and knows two things.
fn metadata() -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let token = head.iter().any(|line| line.eq_ignore_ascii_case("x-aws-ec2-metadata-token: t-1"));
            let (status, body) = match head.first().map(String::as_str).unwrap_or_default() {
                line if line.starts_with("PUT /latest/api/token ") => (200, "t-1"),
                line if token && line.starts_with("GET /latest/meta-data/instance-id ") => (200, "i-0123"),
                line if token && line.starts_with("GET /latest/meta-data/placement/region ") => (200, "eu-north-1"),
                _ => (401, ""),
            };
            let more = "x-aws-ec2-metadata-token-ttl-seconds: 60\r\nconnection: close";
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n{more}\r\n\r\n{body}");
        }
    });
    format!("http://{address}")
}

#[test]
fn on_a_machine_of_aws_it_knows_where_it_is() {
    let there = said(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata())]);
    assert_eq!(there, ["region eu-north-1", "here Some(\"i-0123\")"]);
}
