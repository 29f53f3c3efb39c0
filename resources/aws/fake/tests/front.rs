//! Faults, rates, time, the picture of the world.

use super::*;
use crate::{
    api::Cause,
    fake::{Fault, Rates, What},
    provider::Connect,
};

fn vpc() -> Request {
    Request::CreateVpc { cidr: "10.0.0.0/16".into(), tags: Tags::new() }
}

#[tokio::test(start_paused = true)]
async fn a_fault_strikes_once_and_says_what_is_left() {
    for (what, code, sent, made) in [
        (What::Throttle, "RequestLimitExceeded", None, 0),
        (What::Error("VpcLimitExceeded".into()), "VpcLimitExceeded", None, 0),
        (What::FailsBefore, "InternalError", None, 0),
        (What::FailsAfter, "InternalError", None, 1),
        (What::NeverSent, "", Some(false), 0),
        (What::LostAnswer, "", Some(true), 1),
    ] {
        let lab = Lab::new();
        let before = lab.list(Listing::Vpcs, &[]).await.len();
        lab.fake.fault(Fault { action: "*".into(), nth: 2, what: what.clone() });
        lab.vpc("10.1.0.0/16").await;
        let error = lab.api.call(vpc()).await.unwrap_err();
        assert_eq!(error.code(), code, "{what:?}");
        if let Cause::Transport { sent: told, .. } = error.cause {
            assert_eq!(Some(told), sent);
        }
        lab.wait(2).await;
        assert_eq!(lab.list(Listing::Vpcs, &[]).await.len(), before + 1 + made, "{what:?}");
        assert_eq!(lab.fake.pending_faults(), 0);
        lab.vpc("10.2.0.0/16").await;
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_expire_until_they_are_renewed() {
    let lab = Lab::new();
    lab.fake.fault(Fault { action: "CreateVpc".into(), nth: 1, what: What::Expired });
    assert_eq!(lab.code(vpc()).await, "RequestExpired");
    assert!(lab.api.list(&Listing::Vpcs, &[]).await.is_err());
    lab.fake.renew();
    assert_eq!(lab.code(vpc()).await, "");
    let region = lab.fake.connect(&Account { region: "mars-1".into(), ..Account::default() }).await.err().unwrap();
    assert!(matches!(region.cause, Cause::Transport { sent: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn the_clock_goes_to_the_earliest_of_many() {
    let lab = Lab::new();
    let waits = (1..=100).map(|n| lab.wait(n));
    futures::future::join_all(waits).await;
    assert_eq!(lab.fake.now().as_secs(), 100);
}

/// Fifty calls at once, five more a second.
#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_wait_or_are_refused() {
    for rates in [Rates::Wait, Rates::Refuse] {
        let lab = Lab::with(Settings { rates, latency: false, ..Settings::default() });
        let calls = (0..70).map(|n| lab.code(group("vpc-00000000000000000", &n.to_string())));
        let codes = futures::future::join_all(calls).await;
        let refused = codes.iter().filter(|code| *code == "RequestLimitExceeded").count();
        let seconds = lab.fake.now().as_secs_f64();
        match rates {
            Rates::Wait => assert!(refused == 0 && (3.9..4.3).contains(&seconds), "{refused} {seconds}"),
            _ => assert!(refused == 20 && seconds < 0.1, "{refused} {seconds}"),
        }
        assert_eq!(lab.fake.take_log().len(), 70);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_born_dead_says_why() {
    let lab = Lab::new();
    let (_, _, config) = lab.machines().await;
    lab.fake.fault(Fault { action: "RunInstances".into(), nth: 1, what: What::Stillborn });
    let id = lab.api.call(run(&config, 1, "a")).await.unwrap().items.remove(0).id;
    lab.wait(10).await;
    let dead = lab.one(Listing::Instances, "instance-id", &id).await;
    assert_eq!(dead.text("state"), "terminated");
    assert!(dead.text("state_reason").starts_with("Server.InternalError"));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_world() {
    let world = async |seed| {
        let lab = Lab::with(Settings { seed, ..Settings::default() });
        let (_, _, config) = lab.machines().await;
        lab.api.call(run(&config, 2, "a")).await.unwrap();
        lab.fake.plant_foreign();
        lab.fake.world_picture()
    };
    assert_eq!(world(1).await, world(1).await);
    assert_ne!(world(1).await, world(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_picture_shows_what_is_left() {
    let lab = Lab::new();
    let foreign = lab.fake.plant_foreign();
    let before = lab.fake.world_picture();
    assert!(before.keys().any(|id| id.ends_with(&foreign.instance)));
    let vpc = lab.vpc("10.0.0.0/16").await;
    let after = lab.fake.world_picture();
    let new: Vec<&str> = after.iter().filter(|(id, _)| !before.contains_key(*id)).map(|(_, e)| e.kind).collect();
    assert_eq!(new, ["rtb", "sg", "vpc"]);
    lab.done(Request::DeleteVpc { vpc }).await;
    assert_eq!(lab.fake.world_picture(), before);
    assert_eq!(lab.code(Request::TerminateInstances { ids: vec![foreign.instance] }).await, "OperationNotPermitted");
}
