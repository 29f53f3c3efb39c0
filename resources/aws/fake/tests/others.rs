//! Keys, tags, filters, IAM, S3, RDS.

use super::*;
use crate::api::{Database, Password};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

#[tokio::test(start_paused = true)]
async fn keys_are_of_openssh_and_have_one_name() {
    let lab = Lab::new();
    let import = |name: &str, public: &str| Request::ImportKeyPair {
        name: name.into(),
        public: public.into(),
        tags: Tags::new(),
    };
    for public in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8Q"] {
        assert_eq!(lab.code(import("k", public)).await, "InvalidKey.Format", "{public}");
    }
    lab.done(import("k", KEY)).await;
    assert_eq!(lab.code(import("k", KEY)).await, "InvalidKeyPair.Duplicate");
    let seen = lab.one(Listing::KeyPairs, "key-name", "k").await;
    assert_eq!((seen.id.as_str(), seen.text("public")), ("k", KEY));
    lab.done(Request::DeleteKeyPair { name: "k".into() }).await;
    assert_eq!(lab.code(Request::DeleteKeyPair { name: "k".into() }).await, "");
}

#[tokio::test(start_paused = true)]
async fn tags_have_limits_and_belong_to_something() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let tag = |id: &str, entries: &[(&str, &str)]| Request::CreateTags { ids: vec![id.into()], tags: tags(entries) };
    lab.done(tag(&vpc, &[("a", "1"), ("b", "2")])).await;
    for (request, code) in [
        (tag(&vpc, &[("aws:x", "1")]), "InvalidParameterValue"),
        (tag("vpc-00000000000000000", &[("a", "1")]), "InvalidVpcID.NotFound"),
        (tag("nonsense", &[("a", "1")]), "InvalidID"),
        (tag(&vpc, &[]), "MissingParameter"),
    ] {
        assert_eq!(lab.code(request.clone()).await, code, "{request:?}");
    }
    let many: Tags = (0..49).map(|n| (format!("k{n}"), String::new())).collect();
    assert_eq!(lab.code(Request::CreateTags { ids: vec![vpc.clone()], tags: many }).await, "TagLimitExceeded");
    lab.done(Request::DeleteTags { ids: vec![vpc.clone()], keys: vec!["a".into(), "never".into()] }).await;
    assert_eq!(lab.one(Listing::Vpcs, "vpc-id", &vpc).await.tags, tags(&[("b", "2")]));
}

#[tokio::test(start_paused = true)]
async fn filters_are_those_of_the_service() {
    let lab = Lab::new();
    let vpc = |name: &str| Request::CreateVpc { cidr: "10.0.0.0/16".into(), tags: tags(&[("Name", name), ("n", "1")]) };
    lab.done(vpc("one")).await;
    lab.done(vpc("two")).await;
    let count = |filters: Vec<Filter>| {
        let lab = &lab;
        async move { lab.list(Listing::Vpcs, &filters).await.len() }
    };
    assert_eq!(count(vec![Filter::is("tag:Name", "o*")]).await, 1);
    assert_eq!(count(vec![Filter::new("tag:Name", ["one", "two"]), Filter::is("tag-key", "n")]).await, 2);
    assert_eq!(count(vec![Filter::is("tag:Name", "one"), Filter::is("is-default", "true")]).await, 0);
    for (listing, filter) in [
        (Listing::Vpcs, Filter::is("id", "x")),
        (Listing::Vpcs, Filter::is("tag:", "x")),
        (Listing::Subnets, Filter::is("vpc", "x")),
        (Listing::Instances, Filter::is("group-id", "x")),
        (Listing::Zones, Filter::is("tag:Name", "x")),
    ] {
        let error = lab.api.list(&listing, std::slice::from_ref(&filter)).await.unwrap_err();
        assert_eq!(error.code(), "InvalidParameterValue", "{filter:?}");
    }
    let error = lab.api.list(&Listing::Vpcs, &[Filter::new("vpc-id", (0..201).map(|n| n.to_string()))]).await;
    assert_eq!(error.unwrap_err().code(), "FilterLimitExceeded");
    let west = lab.fake.client(&Account { region: "us-west-2".into(), ..Account::default() });
    let zones = west.list(&Listing::Zones, &[Filter::is("zone-type", "availability-zone")]).await.unwrap();
    assert_eq!(
        zones.iter().map(|z| z.id.as_str()).collect::<Vec<_>>(),
        ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"]
    );
}

#[tokio::test(start_paused = true)]
async fn identities_go_piece_by_piece() {
    let lab = Lab::new();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole",
    }] });
    let allow = json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "*" } }).to_string();
    let role = |trust: &str| Request::CreateRole {
        name: "head".into(),
        trust: trust.into(),
        description: String::new(),
        tags: Tags::new(),
    };
    for trust in ["{}", "not json", &allow, r#"{"Statement":[]}"#] {
        assert_eq!(lab.code(role(trust)).await, "MalformedPolicyDocument", "{trust}");
    }
    lab.done(role(&trust.to_string())).await;
    assert_eq!(lab.code(role(&trust.to_string())).await, "EntityAlreadyExists");
    let put = |policy: &str| Request::PutRolePolicy { role: "head".into(), name: "p".into(), policy: policy.into() };
    assert_eq!(lab.code(put(&trust.to_string())).await, "MalformedPolicyDocument");
    let arn = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let attach = |name: &str| Request::AttachRolePolicy { role: "head".into(), policy: arn(name) };
    assert_eq!(lab.code(attach("NobodysAccess")).await, "NoSuchEntity");
    lab.done(put(&allow)).await;
    lab.done(attach("AmazonS3FullAccess")).await;
    lab.done(Request::CreateInstanceProfile { name: "p".into(), tags: Tags::new() }).await;
    let add = Request::AddRoleToProfile { profile: "p".into(), role: "head".into() };
    lab.done(add.clone()).await;
    assert_eq!(lab.code(add).await, "LimitExceeded");

    let delete = Request::DeleteRole { name: "head".into() };
    let profile = Request::DeleteInstanceProfile { name: "p".into() };
    assert_eq!(lab.code(profile.clone()).await, "DeleteConflict");
    for step in [
        Request::DeleteRolePolicy { role: "head".into(), name: "p".into() },
        Request::DetachRolePolicy { role: "head".into(), policy: arn("AmazonS3FullAccess") },
        Request::RemoveRoleFromProfile { profile: "p".into(), role: "head".into() },
    ] {
        assert_eq!(lab.code(delete.clone()).await, "DeleteConflict");
        lab.done(step.clone()).await;
        assert_eq!(lab.code(step.clone()).await, "NoSuchEntity", "{step:?}");
    }
    lab.done(profile).await;
    lab.done(delete.clone()).await;
    assert_eq!(lab.code(delete).await, "NoSuchEntity");
    assert!(lab.list(Listing::Roles, &[Filter::is("name", "head")]).await.is_empty());
    // Roles are of the account, not of the region.
    lab.done(role(&trust.to_string())).await;
    let west = lab.fake.client(&Account { region: "us-west-2".into(), ..Account::default() });
    assert_eq!(west.list(&Listing::Roles, &[Filter::is("name", "head")]).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn bucket_names_are_everybodys() {
    let lab = Lab::new();
    let create = |name: &str| Request::CreateBucket { name: name.into() };
    for name in ["ab", "Upper", "a..b", "-a1", "10.0.0.1", "xn--a", "a_b"] {
        assert_eq!(lab.code(create(name)).await, "InvalidBucketName", "{name}");
    }
    let west = Account { region: "us-west-2".into(), ..Account::default() };
    let west = Lab { api: lab.fake.client(&west), fake: lab.fake.clone() };
    west.done(create("cloudtik-data")).await;
    assert_eq!(west.code(create("cloudtik-data")).await, "BucketAlreadyOwnedByYou");
    let keys = crate::provider::Keys { id: "AKIAOTHER".into(), secret: "s".into(), token: None };
    let other = lab.fake.client(&Account { keys: Some(keys), ..Account::default() });
    assert_eq!(other.call(create("cloudtik-data")).await.unwrap_err().code(), "BucketAlreadyExists");
    let look = [Filter::is("name", "cloudtik-data")];
    assert_eq!(other.list(&Listing::Buckets, &look).await.unwrap_err().code(), "AccessDenied");
    // In us-east-1, and only there, making it again succeeds.
    lab.done(create("cloudtik-east")).await;
    assert_eq!(lab.code(create("cloudtik-east")).await, "");

    let seen = west.one(Listing::Buckets, "name", "cloudtik-data").await;
    assert_eq!((seen.text("region"), seen.flag("encrypted")), ("us-west-2", true));
    let delete = Request::DeleteBucket { name: "cloudtik-data".into() };
    assert_eq!(lab.code(delete.clone()).await, "PermanentRedirect");
    lab.fake.version_bucket("cloudtik-data");
    lab.fake.put_object("cloudtik-data", "a");
    lab.fake.put_object("cloudtik-data", "a");
    lab.fake.begin_upload("cloudtik-data", "b");
    assert_eq!(west.code(delete.clone()).await, "BucketNotEmpty");
    let versions = west.list(Listing::ObjectVersions { bucket: "cloudtik-data".into() }, &[]).await;
    assert_eq!(versions.len(), 2);
    let objects = versions.iter().map(|v| (v.text("key").into(), v.text("version").into())).collect();
    west.done(Request::DeleteObjects { bucket: "cloudtik-data".into(), objects }).await;
    assert_eq!(west.code(delete.clone()).await, "BucketNotEmpty");
    let upload = west.list(Listing::Uploads { bucket: "cloudtik-data".into() }, &[]).await.remove(0);
    let abort = Request::AbortUpload {
        bucket: "cloudtik-data".into(),
        key: upload.text("key").into(),
        upload: upload.text("upload").into(),
    };
    west.done(abort.clone()).await;
    assert_eq!(west.code(abort).await, "NoSuchUpload");
    west.done(delete.clone()).await;
    assert_eq!(west.code(delete).await, "NoSuchBucket");
}

#[tokio::test(start_paused = true)]
async fn a_database_needs_two_zones_and_minutes() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let a = lab.subnet(&vpc, "10.0.1.0/24").await;
    let b = lab.make(subnet(&vpc, "10.0.2.0/24", Some("us-east-1b"))).await.id;
    let firewall = lab.group(&vpc, "db").await;
    let create = |subnets: &[&String]| Request::CreateDbSubnetGroup {
        name: "dbs".into(),
        description: "of the workspace".into(),
        subnets: subnets.iter().map(|id| (*id).clone()).collect(),
        tags: Tags::new(),
    };
    assert_eq!(lab.code(create(&[&a])).await, "DBSubnetGroupDoesNotCoverEnoughAZs");
    assert_eq!(lab.code(create(&[&a, &"subnet-0".to_owned()])).await, "InvalidSubnet");
    lab.done(create(&[&a, &b])).await;
    assert_eq!(lab.code(create(&[&a, &b])).await, "DBSubnetGroupAlreadyExists");
    let spec = Database {
        engine: "mysql".into(),
        kind: "db.t3.medium".into(),
        storage_type: "gp3".into(),
        storage_gib: 50,
        user: "cloudtik".into(),
        port: 3306,
        multi_az: false,
        subnet_group: "dbs".into(),
        groups: vec![firewall.clone()],
    };
    let database = |spec: &Database, password: Option<&str>| Request::CreateDatabase {
        name: "data".into(),
        spec: spec.clone(),
        password: password.map(|text| Password(text.into())),
        tags: Tags::new(),
    };
    for (change, code) in [
        (Database { engine: "oracle".into(), ..spec.clone() }, "InvalidParameterValue"),
        (Database { kind: "m5.large".into(), ..spec.clone() }, "InvalidParameterValue"),
        (Database { storage_gib: 10, ..spec.clone() }, "InvalidParameterValue"),
        (Database { subnet_group: "none".into(), ..spec.clone() }, "DBSubnetGroupNotFoundFault"),
        (Database { engine: "postgres".into(), user: "admin".into(), ..spec.clone() }, "InvalidParameterValue"),
    ] {
        assert_eq!(lab.code(database(&change, None)).await, code, "{change:?}");
    }
    assert_eq!(lab.code(database(&spec, Some("short"))).await, "InvalidParameterValue");
    lab.done(database(&spec, None)).await;
    assert_eq!(lab.code(database(&spec, None)).await, "DBInstanceAlreadyExists");
    let seen = || lab.one(Listing::Databases, "name", "data");
    assert_eq!((seen().await.text("status"), seen().await.text("address")), ("creating", ""));
    let modify =
        |gib| Request::ModifyDatabase { name: "data".into(), spec: Database { storage_gib: gib, ..spec.clone() } };
    assert_eq!(lab.code(modify(80)).await, "InvalidDBInstanceState");
    lab.wait(450).await;
    let ready = seen().await;
    assert_eq!(ready.text("status"), "available");
    assert!(ready.text("address").ends_with(".us-east-1.rds.amazonaws.com"));
    assert!(ready.text("secret").starts_with("arn:aws:secretsmanager:"));
    assert_eq!(lab.code(modify(40)).await, "InvalidParameterCombination");
    lab.done(modify(80)).await;
    lab.wait(10).await;
    assert_eq!(seen().await.text("status"), "modifying");

    for (request, code) in [
        (Request::DeleteDbSubnetGroup { name: "dbs".into() }, "InvalidDBSubnetGroupStateFault"),
        (Request::DeleteSubnet { subnet: a }, "DependencyViolation"),
        (Request::DeleteSecurityGroup { group: firewall }, "DependencyViolation"),
    ] {
        assert_eq!(lab.code(request).await, code);
    }
    lab.done(Request::DeleteDatabase { name: "data".into() }).await;
    assert_eq!(lab.code(Request::DeleteDatabase { name: "data".into() }).await, "InvalidDBInstanceState");
    lab.wait(300).await;
    assert_eq!(lab.code(Request::DeleteDatabase { name: "data".into() }).await, "DBInstanceNotFound");
    lab.done(Request::DeleteDbSubnetGroup { name: "dbs".into() }).await;
}
