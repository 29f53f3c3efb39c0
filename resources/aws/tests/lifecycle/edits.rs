//! A line is edited: the plan shows what that line means and no more, and so does the world after the apply.

use crate::{CLUSTER, WORKSPACE, edited, lab::Lab};
use cloudtik_aws::api::Request;

/// Applies both documents, then what they become; the steps of the plan between must be `expected`.
fn edit(workspace: &str, cluster: &str, expected: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.apply(&[WORKSPACE, CLUSTER]).complete();
    let after = [workspace, cluster];
    assert_eq!(lab.plan(&after), expected);
    lab.apply(&after).complete();
    assert_eq!(lab.plan(&after), [] as [&str; 0]);
    lab
}

#[test]
fn a_source_of_ssh_is_a_rule() {
    edit(&edited(WORKSPACE, "203.0.113.0/24", "198.51.100.0/24"), CLUSTER, &["update security-group.main"]);
}

#[test]
fn workers_come_and_go() {
    let three = edited(CLUSTER, "min_workers: 2", "min_workers: 3");
    let lab = edit(WORKSPACE, &three, &["create connection.worker.default[2]", "create instance.worker.default[2]"]);
    let one = edited(CLUSTER, "min_workers: 2", "min_workers: 1");
    let gone = ["delete instance.worker.default[1]", "delete instance.worker.default[2]"];
    assert_eq!(lab.plan(&[WORKSPACE, &one]), gone);
    lab.apply(&[WORKSPACE, &one]).complete();
    assert_eq!(lab.plan(&[WORKSPACE, &one]), [] as [&str; 0]);
}

#[test]
fn a_disk_grows_in_place() {
    let workers = ["update instance.worker.default[0]", "update instance.worker.default[1]"];
    let lab = edit(WORKSPACE, &edited(CLUSTER, "VolumeSize: 200", "VolumeSize: 300"), &workers);
    let sizes = lab.world().values().filter(|e| e.kind == "vol" && e.detail.contains("size: 300")).count();
    assert_eq!(sizes, 2);
}

#[test]
fn another_type_is_another_machine() {
    let lab = edit(
        WORKSPACE,
        &edited(CLUSTER, "InstanceType: m5.2xlarge", "InstanceType: r5.2xlarge"),
        &[
            "create connection.worker.default[0]",
            "create connection.worker.default[1]",
            "create instance.worker.default[0]",
            "create instance.worker.default[1]",
            "delete instance.worker.default[0]",
            "delete instance.worker.default[1]",
        ],
    );
    assert_eq!(lab.world().values().filter(|e| e.kind == "i" && e.detail.contains("r5.2xlarge")).count(), 2);
}

/// What others do by hand is seen, told and mended.
#[test]
fn what_was_changed_by_hand_is_put_right() {
    let lab = Lab::new();
    let both = [WORKSPACE, CLUSTER];
    lab.apply(&both).complete();
    let (group, table, subnet) =
        (lab.id("security-group.main"), lab.id("route-table.private"), lab.id("subnet.public"));
    let rules = vec!["tcp 22 from 203.0.113.0/24".to_owned()];
    let tags = [("Name".to_owned(), "mine".to_owned())].into();
    for (change, step) in [
        (Request::RevokeIngress { group: group.clone(), rules }, "update security-group.main"),
        (
            Request::AuthorizeIngress { group: group.clone(), rules: vec!["tcp 80 from 0.0.0.0/0".into()] },
            "update security-group.main",
        ),
        (Request::DeleteRoute { table, destination: "0.0.0.0/0".into() }, "create route.private"),
        (Request::ModifySubnet { subnet: subnet.clone(), public: false }, "update subnet.public"),
        (Request::CreateTags { ids: vec![subnet], tags }, "update subnet.public"),
        (
            Request::AttachRolePolicy {
                role: "cloudtik-demo-head-role".into(),
                policy: "arn:aws:iam::aws:policy/AdministratorAccess".into(),
            },
            "update role.head",
        ),
        (Request::DeleteVpcEndpoint { endpoint: lab.id("vpc-endpoint.s3") }, "create vpc-endpoint.s3"),
        (Request::StopInstances { ids: vec![lab.id("instance.worker.default")] }, "update instance.worker.default"),
        (Request::StopInstances { ids: vec![lab.id("instance.head")] }, "update instance.head"),
    ] {
        lab.by_hand(change.clone());
        lab.wait(60);
        let plan = lab.plan(&both);
        assert!(plan.iter().any(|planned| planned.starts_with(step)), "{change:?} is {plan:?}");
        lab.apply(&both).complete();
        assert_eq!(lab.plan(&both), [] as [&str; 0], "{change:?}");
    }
}

/// Images are pinned: a newer one changes nothing by itself.
#[test]
fn a_newer_image_waits_to_be_asked_for() {
    let lab = Lab::new();
    lab.apply(&[WORKSPACE, CLUSTER]).complete();
    let name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261101";
    lab.fake.publish_image("099720109477", name, "2026-11-01T00:00:00.000Z", "x86_64");
    assert_eq!(lab.plan(&[WORKSPACE, CLUSTER]), [] as [&str; 0]);
}
