//! Launches, states, tokens, capacity, console, volumes.

use super::*;
use cloudtik_core::value::Value;

async fn launch(lab: &Lab, config: &Json, count: usize, token: &str) -> Vec<Item> {
    let items = lab.api.call(run(config, count, token)).await.unwrap().items;
    lab.wait(2).await;
    items
}

#[tokio::test(start_paused = true)]
async fn a_launch_is_checked_before_anything_exists() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    let other = lab.vpc("10.1.0.0/16").await;
    let elsewhere = lab.group(&other, "nodes").await;
    let mapping = |ebs: Json| json!([{ "DeviceName": "/dev/sda1", "Ebs": ebs }]);
    for (name, value, code) in [
        ("ImageId", json!("ami-00000000000000000"), "InvalidAMIID.NotFound"),
        ("ImageId", json!("ubuntu"), "InvalidAMIID.Malformed"),
        ("InstanceType", json!("m5.huge"), "InvalidParameterValue"),
        ("InstanceType", json!("m6g.xlarge"), "InvalidParameterValue"),
        ("KeyName", json!("nobody"), "InvalidKeyPair.NotFound"),
        ("SubnetId", json!("subnet-00000000000000000"), "InvalidSubnetID.NotFound"),
        ("SecurityGroupIds", json!([elsewhere]), "InvalidParameter"),
        ("IamInstanceProfile", json!({ "Name": "nobody" }), "InvalidParameterValue"),
        ("NetworkInterfaces", json!([{ "DeviceIndex": 0 }]), "InvalidParameterCombination"),
        ("UserData", json!("#!/bin/sh"), "InvalidUserData.Malformed"),
        ("Colour", json!("red"), "UnknownParameter"),
        ("BlockDeviceMappings", mapping(json!({ "VolumeSize": 4 })), "InvalidBlockDeviceMapping"),
        ("BlockDeviceMappings", mapping(json!({ "VolumeSize": 40, "Throughput": 200 })), "InvalidParameterCombination"),
        ("BlockDeviceMappings", mapping(json!({ "VolumeSize": 40, "VolumeType": "io9" })), "InvalidParameterValue"),
        ("PrivateIpAddress", json!("10.0.1.3"), "InvalidParameterValue"),
        ("LaunchTemplate", json!({ "LaunchTemplateName": "none" }), "InvalidLaunchTemplateId.NotFound"),
    ] {
        assert_eq!(lab.code(run(&with(&config, name, value.clone()), 1, "")).await, code, "{name} {value}");
    }
    assert_eq!(lab.code(run(&config, 300, "")).await, "InsufficientFreeAddressesInSubnet");
    assert_eq!(lab.code(run(&config, 200, "")).await, "VcpuLimitExceeded");
    assert!(lab.list(Listing::Instances, &[]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_makes_one_launch() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    let first = launch(&lab, &config, 3, "a").await;
    let again = launch(&lab, &config, 3, "a").await;
    let ids = |items: &[Item]| items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    let index = |item: &Item| item.fields["launch_index"].as_int().unwrap();
    assert_eq!(first.iter().map(index).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(lab.code(run(&config, 2, "a")).await, "IdempotentParameterMismatch");
    assert_eq!(lab.list(Listing::Instances, &[Filter::is("client-token", "a")]).await.len(), 3);
    launch(&lab, &config, 1, "b").await;
    assert_eq!(lab.list(Listing::Instances, &[]).await.len(), 4);
    // Terminated ones are still what the token made.
    lab.done(Request::TerminateInstances { ids: ids(&first) }).await;
    lab.wait(60).await;
    assert_eq!(launch(&lab, &config, 3, "a").await[0].text("state"), "terminated");
}

#[tokio::test(start_paused = true)]
async fn an_instance_has_its_states_and_shows_what_it_has() {
    let lab = Lab::new();
    let (vpc, subnet, config) = lab.machines().await;
    let gateway = lab.gateway(&vpc).await;
    let config = with(
        &config,
        "BlockDeviceMappings",
        json!([
            { "DeviceName": "/dev/sda1", "Ebs": { "VolumeSize": 40, "VolumeType": "gp3" } },
            { "DeviceName": "/dev/sdf", "Ebs": { "VolumeSize": 100, "DeleteOnTermination": false } },
        ]),
    );
    lab.done(Request::ModifySubnet { subnet: subnet.clone(), public: true }).await;
    let id = launch(&lab, &config, 1, "a").await.remove(0).id;
    let seen = || lab.one(Listing::Instances, "instance-id", &id);
    let pending = seen().await;
    assert_eq!((pending.text("state"), pending.text("public_ip")), ("pending", ""));
    assert_eq!(pending.text("private_ip"), "10.0.1.4");
    let console = Request::GetConsoleOutput { instance: id.clone() };
    lab.wait(25).await;
    assert_eq!(lab.make(console.clone()).await.text("output"), "");
    let running = seen().await;
    assert_eq!(running.text("state"), "running");
    assert!(running.text("public_ip").starts_with("198."));
    assert_eq!(running.fields["volumes"].as_list().unwrap().len(), 2);
    lab.wait(60).await;
    let output = lab.make(console).await;
    let output = output.text("output");
    let keys = output.split("-----BEGIN SSH HOST KEY KEYS-----").nth(1).unwrap();
    assert!(keys.trim_start().starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"), "{keys}");

    let stop = Request::StopInstances { ids: vec![id.clone()] };
    let resize = Request::ModifyInstanceType { instance: id.clone(), kind: "m5.2xlarge".into() };
    assert_eq!(lab.code(resize.clone()).await, "IncorrectInstanceState");
    lab.done(stop).await;
    assert_eq!(seen().await.text("state"), "stopping");
    lab.wait(60).await;
    lab.done(resize).await;
    lab.fake.capacity("m5.2xlarge", "us-east-1a", false, 0);
    assert_eq!(lab.code(Request::StartInstances { ids: vec![id.clone()] }).await, "InsufficientInstanceCapacity");
    lab.fake.capacity("m5.2xlarge", "us-east-1a", false, 1);
    lab.done(Request::StartInstances { ids: vec![id.clone()] }).await;
    lab.wait(60).await;
    assert_eq!((seen().await.text("state"), seen().await.text("type")), ("running", "m5.2xlarge"));

    for request in [
        Request::DeleteSubnet { subnet: subnet.clone() },
        Request::DetachInternetGateway { gateway, vpc: vpc.clone() },
        Request::DeleteSecurityGroup { group: running.fields["groups"].at("0").unwrap().as_text().unwrap().into() },
    ] {
        assert_eq!(lab.code(request.clone()).await, "DependencyViolation", "{request:?}");
    }
    let terminate = |ids: &[&str]| Request::TerminateInstances { ids: ids.iter().map(|id| (*id).into()).collect() };
    assert_eq!(lab.code(terminate(&[&id, "i-00000000000000000"])).await, "InvalidInstanceID.NotFound");
    assert_eq!(seen().await.text("state"), "running", "all or none");
    lab.done(terminate(&[&id])).await;
    assert_eq!(seen().await.text("state"), "shutting-down");
    lab.wait(60).await;
    assert_eq!(seen().await.text("state"), "terminated");
    for request in [Request::StartInstances { ids: vec![id.clone()] }, Request::StopInstances { ids: vec![id.clone()] }]
    {
        assert_eq!(lab.code(request).await, "IncorrectInstanceState");
    }
    assert_eq!(lab.code(terminate(&[&id])).await, "");
    let left = lab.list(Listing::Volumes, &[]).await;
    assert_eq!(
        left.iter().map(|v| (v.text("state"), &v.fields["size"])).collect::<Vec<_>>(),
        [("available", &Value::Int(100))]
    );
    lab.wait(3_600).await;
    assert!(lab.list(Listing::Instances, &[]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn as_many_as_there_is_room_for() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    lab.fake.capacity("m5.xlarge", "us-east-1a", false, 3);
    let some = |least, count| Request::RunInstances { config: config.clone(), least, count, token: String::new() };
    let error = lab.api.call(some(4, 8)).await.unwrap_err();
    let crate::api::Cause::Service { code, status, .. } = error.cause else { panic!() };
    assert_eq!((code.as_str(), status), ("InsufficientInstanceCapacity", 500));
    assert_eq!(lab.api.call(some(1, 8)).await.unwrap().items.len(), 3);
    let spot = with(&config, "InstanceMarketOptions", json!({ "MarketType": "spot" }));
    let spot = launch(&lab, &spot, 1, "s").await.remove(0);
    assert!(spot.flag("spot"));
    lab.wait(30).await;
    assert_eq!(lab.code(Request::StopInstances { ids: vec![spot.id] }).await, "UnsupportedOperation");
}

#[tokio::test(start_paused = true)]
async fn a_profile_takes_time_and_a_role() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    let config = with(&config, "IamInstanceProfile", json!({ "Name": "head" }));
    lab.done(Request::CreateInstanceProfile { name: "head".into(), tags: Tags::new() }).await;
    assert_eq!(lab.code(run(&config, 1, "")).await, "InvalidParameterValue", "too new");
    lab.wait(15).await;
    assert_eq!(lab.code(run(&config, 1, "")).await, "InvalidParameterValue", "without role");
    let trust = json!({ "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole",
    }] });
    let role = Request::CreateRole {
        name: "head".into(),
        trust: trust.to_string(),
        description: String::new(),
        tags: Tags::new(),
    };
    lab.done(role).await;
    lab.done(Request::AddRoleToProfile { profile: "head".into(), role: "head".into() }).await;
    assert_eq!(launch(&lab, &config, 1, "a").await[0].text("profile"), "head");
}

#[tokio::test(start_paused = true)]
async fn volumes_grow_one_step_at_a_time() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    let instance = launch(&lab, &config, 1, "a").await.remove(0).id;
    lab.wait(30).await;
    let create = |zone: &str, token: &str| Request::CreateVolume {
        zone: zone.into(),
        size: 100,
        kind: Some("gp3".into()),
        iops: None,
        throughput: None,
        token: token.into(),
        tags: Tags::new(),
    };
    let volume = lab.make(create("us-east-1a", "v")).await.id;
    assert_eq!(lab.make(create("us-east-1a", "v")).await.id, volume);
    assert_eq!(lab.code(create("us-east-1b", "v")).await, "IdempotentParameterMismatch");
    let far = lab.make(create("us-east-1b", "w")).await.id;
    lab.wait(5).await;
    let attach = |volume: &str, device: &str| Request::AttachVolume {
        volume: volume.into(),
        instance: instance.clone(),
        device: device.into(),
    };
    assert_eq!(lab.code(attach(&far, "/dev/sdf")).await, "InvalidVolume.ZoneMismatch");
    assert_eq!(lab.code(attach(&volume, "/dev/sda1")).await, "InvalidParameterValue");
    lab.done(attach(&volume, "/dev/sdf")).await;
    assert_eq!(lab.code(attach(&volume, "/dev/sdg")).await, "VolumeInUse");
    assert_eq!(lab.code(Request::DeleteVolume { volume: volume.clone() }).await, "VolumeInUse");
    let grow = |size| Request::ModifyVolume {
        volume: volume.clone(),
        size: Some(size),
        kind: None,
        iops: None,
        throughput: None,
    };
    assert_eq!(lab.code(grow(50)).await, "InvalidParameterValue");
    lab.done(grow(200)).await;
    let seen = || lab.one(Listing::Volumes, "volume-id", &volume);
    assert_eq!(seen().await.text("modification"), "modifying");
    assert_eq!(lab.code(grow(300)).await, "IncorrectModificationState");
    lab.wait(10).await;
    assert_eq!(seen().await.text("modification"), "optimizing");
    lab.wait(700).await;
    for size in [300, 400, 500] {
        lab.done(grow(size)).await;
        lab.wait(700).await;
    }
    assert_eq!(lab.code(grow(600)).await, "VolumeModificationRateExceeded");
    lab.done(Request::DetachVolume { volume: volume.clone() }).await;
    lab.wait(5).await;
    lab.done(Request::DeleteVolume { volume }).await;
}

#[tokio::test(start_paused = true)]
async fn a_template_is_under_the_request() {
    let lab = Lab::new();
    let (_, subnet, config) = lab.machines().await;
    let data = json!({ "ImageId": config["ImageId"], "InstanceType": "m5.large" });
    let id = lab.fake.plant_template("nodes", data);
    let group = config["SecurityGroupIds"].clone();
    let config = json!({
        "LaunchTemplate": { "LaunchTemplateId": id }, "SubnetId": subnet, "SecurityGroupIds": group,
        "InstanceType": "m5.xlarge",
    });
    assert_eq!(launch(&lab, &config, 1, "a").await[0].text("type"), "m5.xlarge");
    assert_eq!(lab.one(Listing::LaunchTemplates, "launch-template-name", "nodes").await.id, id);
}
