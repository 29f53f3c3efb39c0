//! Ranges, dependants, routes, gateways, rules.

use super::*;

#[tokio::test(start_paused = true)]
async fn ranges_are_canonical_and_inside_and_apart() {
    let lab = Lab::new();
    let vpc = lab.make(Request::CreateVpc { cidr: "10.20.1.5/16".into(), tags: Tags::new() }).await;
    assert_eq!(vpc.text("cidr"), "10.20.0.0/16");
    assert!(vpc.id.starts_with("vpc-") && vpc.id.len() == 21, "{}", vpc.id);
    for (cidr, code) in [("10.0.0.0/8", "InvalidVpc.Range"), ("10.0.0.0", "InvalidParameterValue")] {
        assert_eq!(lab.code(Request::CreateVpc { cidr: cidr.into(), tags: Tags::new() }).await, code);
    }
    lab.subnet(&vpc.id, "10.20.1.0/24").await;
    for (cidr, zone, code) in [
        ("10.20.1.128/25", "us-east-1a", "InvalidSubnet.Conflict"),
        ("10.20.0.0/20", "us-east-1b", "InvalidSubnet.Conflict"),
        ("10.21.0.0/24", "us-east-1a", "InvalidSubnet.Range"),
        ("10.20.2.0/29", "us-east-1a", "InvalidSubnet.Range"),
        ("10.20.2.0/24", "us-west-2a", "InvalidParameterValue"),
    ] {
        assert_eq!(lab.code(subnet(&vpc.id, cidr, Some(zone))).await, code, "{cidr}");
    }
    assert_eq!(lab.code(subnet("vpc-00000000000000000", "10.20.2.0/24", None)).await, "InvalidVpcID.NotFound");
}

#[tokio::test(start_paused = true)]
async fn what_is_new_is_not_seen_at_once() {
    let lab = Lab::new();
    let vpc = lab.api.call(Request::CreateVpc { cidr: "10.0.0.0/16".into(), tags: Tags::new() }).await.unwrap().item.id;
    assert_eq!(lab.code(subnet(&vpc, "10.0.1.0/24", None)).await, "InvalidVpcID.NotFound");
    assert!(lab.list(Listing::Vpcs, &[Filter::is("vpc-id", &vpc)]).await.is_empty());
    lab.wait(2).await;
    let seen = lab.one(Listing::Vpcs, "vpc-id", &vpc).await;
    assert_eq!((seen.text("state"), seen.flag("dns_support"), seen.flag("dns_hostnames")), ("available", true, false));
    // Names are unique at once all the same.
    lab.api.call(group(&vpc, "nodes")).await.unwrap();
    assert_eq!(lab.code(group(&vpc, "nodes")).await, "InvalidGroup.Duplicate");
}

#[tokio::test(start_paused = true)]
async fn every_account_has_a_default_network_and_five_in_all() {
    let lab = Lab::new();
    let default = lab.one(Listing::Vpcs, "is-default", "true").await;
    assert_eq!(default.text("cidr"), "172.31.0.0/16");
    assert_eq!(lab.list(Listing::Subnets, &[Filter::is("vpc-id", &default.id)]).await.len(), 6);
    for third in 0..4 {
        lab.vpc(&format!("10.{third}.0.0/16")).await;
    }
    let more = Request::CreateVpc { cidr: "10.9.0.0/16".into(), tags: Tags::new() };
    assert_eq!(lab.code(more.clone()).await, "VpcLimitExceeded");
    // Another region and another account have their own.
    let keys = crate::provider::Keys { id: "AKIAOTHER".into(), secret: "s".into(), token: None };
    for account in [
        Account { region: "us-west-2".into(), ..Account::default() },
        Account { keys: Some(keys), ..Account::default() },
    ] {
        let other = lab.fake.client(&account);
        other.call(more.clone()).await.unwrap();
        lab.wait(2).await;
        assert_eq!(other.list(&Listing::Vpcs, &[]).await.unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_before_what_uses_it() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let public = lab.subnet(&vpc, "10.0.0.0/24").await;
    let gateway = lab.gateway(&vpc).await;
    let table = lab.make(Request::CreateRouteTable { vpc: vpc.clone(), tags: Tags::new() }).await.id;
    let associate = Request::AssociateRouteTable { table: table.clone(), subnet: public.clone() };
    lab.done(associate.clone()).await;
    assert_eq!(lab.code(associate).await, "Resource.AlreadyAssociated");
    let allocation = lab.make(Request::AllocateAddress { tags: Tags::new() }).await.id;
    let nat = Request::CreateNatGateway {
        subnet: public.clone(),
        allocation: allocation.clone(),
        token: "t".into(),
        tags: Tags::new(),
    };
    let nat = lab.make(nat).await.id;
    lab.wait(120).await;

    let detach = Request::DetachInternetGateway { gateway: gateway.clone(), vpc: vpc.clone() };
    let held = [
        Request::DeleteVpc { vpc: vpc.clone() },
        Request::DeleteSubnet { subnet: public.clone() },
        Request::DeleteInternetGateway { gateway: gateway.clone() },
        Request::DeleteRouteTable { table: table.clone() },
        detach.clone(),
    ];
    for request in held {
        assert_eq!(lab.code(request.clone()).await, "DependencyViolation", "{request:?}");
    }
    let release = Request::ReleaseAddress { allocation };
    assert_eq!(lab.code(release.clone()).await, "InvalidIPAddress.InUse");

    lab.done(Request::DeleteNatGateway { gateway: nat.clone() }).await;
    assert_eq!(lab.one(Listing::NatGateways, "nat-gateway-id", &nat).await.text("state"), "deleting");
    // It holds everything while it is being deleted.
    assert_eq!(lab.code(detach.clone()).await, "DependencyViolation");
    lab.wait(60).await;
    assert!(lab.list(Listing::NatGateways, &[Filter::is("nat-gateway-id", &nat)]).await.is_empty());
    for request in [
        detach,
        release,
        Request::DeleteInternetGateway { gateway },
        // Its association goes with it, so that the table is free.
        Request::DeleteSubnet { subnet: public },
        Request::DeleteRouteTable { table },
        Request::DeleteVpc { vpc: vpc.clone() },
    ] {
        assert_eq!(lab.code(request.clone()).await, "", "{request:?}");
    }
    assert_eq!(lab.code(Request::DeleteVpc { vpc }).await, "InvalidVpcID.NotFound");
}

#[tokio::test(start_paused = true)]
async fn one_gateway_a_network() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let first = lab.gateway(&vpc).await;
    let second = lab.make(Request::CreateInternetGateway { tags: Tags::new() }).await.id;
    let attach = |gateway: &str| Request::AttachInternetGateway { gateway: gateway.into(), vpc: vpc.clone() };
    assert_eq!(lab.code(attach(&second)).await, "InvalidParameterValue");
    assert_eq!(lab.code(attach(&first)).await, "Resource.AlreadyAssociated");
    let detach = Request::DetachInternetGateway { gateway: second, vpc: vpc.clone() };
    assert_eq!(lab.code(detach).await, "Gateway.NotAttached");
}

#[tokio::test(start_paused = true)]
async fn a_nat_gateway_takes_its_time_and_fails_later() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let subnet = lab.subnet(&vpc, "10.0.0.0/24").await;
    let allocation = lab.make(Request::AllocateAddress { tags: Tags::new() }).await.id;
    let nat = |token: &str| Request::CreateNatGateway {
        subnet: subnet.clone(),
        allocation: allocation.clone(),
        token: token.into(),
        tags: Tags::new(),
    };
    let state = |id: String| {
        let lab = &lab;
        async move { lab.one(Listing::NatGateways, "nat-gateway-id", &id).await }
    };
    // Without a way to the internet.
    let lost = lab.make(nat("a")).await.id;
    lab.wait(5).await;
    let seen = state(lost).await;
    assert_eq!(seen.text("state"), "failed");
    assert!(seen.text("failure").starts_with("Gateway.NotAttached"), "{}", seen.text("failure"));

    lab.gateway(&vpc).await;
    let begun = lab.fake.now();
    let good = lab.make(nat("b")).await.id;
    assert_eq!(lab.make(nat("b")).await.id, good, "the same token");
    // The address is taken: the second one fails.
    let second = lab.make(nat("c")).await.id;
    lab.wait(5).await;
    assert!(state(second).await.text("failure").starts_with("Resource.AlreadyAssociated"));
    while state(good.clone()).await.text("state") == "pending" {
        lab.wait(1).await;
    }
    let took = (lab.fake.now() - begun).as_secs();
    assert!((104..110).contains(&took), "{took}");
    let address = lab.one(Listing::Addresses, "allocation-id", &allocation).await;
    assert!(!address.text("association").is_empty());
}

#[tokio::test(start_paused = true)]
async fn routes_lead_to_what_is_there() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let other = lab.vpc("10.1.0.0/16").await;
    let table = lab.make(Request::CreateRouteTable { vpc: vpc.clone(), tags: Tags::new() }).await.id;
    let gateway = lab.gateway(&vpc).await;
    let foreign = lab.gateway(&other).await;
    let to = |gateway: &str| Target::Gateway(gateway.into());
    assert_eq!(lab.code(route(&table, "0.0.0.0/0", to("igw-00000000000000000"))).await, "InvalidGatewayID.NotFound");
    assert_eq!(lab.code(route(&table, "0.0.0.0/0", to(&foreign))).await, "InvalidParameterValue");
    let replace = |destination: &str| Request::ReplaceRoute {
        table: table.clone(),
        destination: destination.into(),
        target: to(&gateway),
    };
    assert_eq!(lab.code(replace("0.0.0.0/0")).await, "InvalidParameterValue");
    lab.done(route(&table, "0.0.0.0/0", to(&gateway))).await;
    assert_eq!(lab.code(route(&table, "0.0.0.0/0", to(&gateway))).await, "RouteAlreadyExists");
    assert_eq!(lab.code(route(&table, "10.0.0.0/16", to(&gateway))).await, "RouteAlreadyExists");
    assert_eq!(lab.code(replace("0.0.0.0/0")).await, "");

    let state = |lab: Item| lab.fields["routes"].at("1.state").unwrap().as_text().unwrap().to_owned();
    assert_eq!(state(lab.one(Listing::RouteTables, "route-table-id", &table).await), "active");
    lab.done(Request::DetachInternetGateway { gateway: gateway.clone(), vpc: vpc.clone() }).await;
    assert_eq!(state(lab.one(Listing::RouteTables, "route-table-id", &table).await), "blackhole");
    let delete = Request::DeleteRoute { table: table.clone(), destination: "0.0.0.0/0".into() };
    lab.done(delete.clone()).await;
    assert_eq!(lab.code(delete).await, "InvalidRoute.NotFound");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_makes_and_takes_its_routes() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let table = lab.make(Request::CreateRouteTable { vpc: vpc.clone(), tags: Tags::new() }).await.id;
    let endpoint = |service: &str, token: &str| Request::CreateVpcEndpoint {
        vpc: vpc.clone(),
        service: service.into(),
        tables: vec![table.clone()],
        token: token.into(),
        tags: Tags::new(),
    };
    let s3 = "com.amazonaws.us-east-1.s3";
    assert_eq!(lab.code(endpoint("com.amazonaws.us-west-2.s3", "a")).await, "InvalidServiceName");
    let made = lab.make(endpoint(s3, "b")).await.id;
    assert_eq!(lab.make(endpoint(s3, "b")).await.id, made);
    assert_eq!(lab.code(endpoint("com.amazonaws.us-east-1.dynamodb", "b")).await, "IdempotentParameterMismatch");
    assert_eq!(lab.code(endpoint(s3, "c")).await, "RouteAlreadyExists");
    assert_eq!(lab.list(Listing::RouteTables, &[Filter::is("route.gateway-id", &made)]).await.len(), 1);
    lab.done(Request::DeleteVpcEndpoint { endpoint: made.clone() }).await;
    assert!(lab.list(Listing::RouteTables, &[Filter::is("route.gateway-id", &made)]).await.is_empty());
    lab.done(Request::DeleteRouteTable { table }).await;
    lab.wait(5).await;
    assert!(lab.list(Listing::VpcEndpoints, &[]).await.is_empty());
    lab.done(Request::DeleteVpc { vpc }).await;
}

#[tokio::test(start_paused = true)]
async fn rules_are_all_taken_or_none() {
    let lab = Lab::new();
    let vpc = lab.vpc("10.0.0.0/16").await;
    let (a, b) = (lab.group(&vpc, "a").await, lab.group(&vpc, "b").await);
    let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<String>>();
    let allow = |of: &[&str]| Request::AuthorizeIngress { group: a.clone(), rules: rules(of) };
    let revoke = |of: &[&str]| Request::RevokeIngress { group: a.clone(), rules: rules(of) };
    let from_b = format!("all from {b}");
    lab.done(allow(&["tcp 22 from 10.1.2.3/16", &from_b])).await;
    let ingress = lab.one(Listing::SecurityGroups, "group-id", &a).await.fields["ingress"].clone();
    assert_eq!(ingress, cloudtik_core::value::Value::list([&from_b, &"tcp 22 from 10.1.0.0/16".to_owned()]));
    for (request, code) in [
        (allow(&["tcp 80 from 0.0.0.0/0", "tcp 22 from 10.1.0.0/16"]), "InvalidPermission.Duplicate"),
        (allow(&["tcp 80 from 0.0.0.0/0", "tcp 80 from 0.0.0.0/0"]), "InvalidParameterValue"),
        (allow(&["all from self"]), "InvalidParameterValue"),
        (allow(&["tcp from 0.0.0.0/0"]), "InvalidParameterValue"),
        (allow(&["tcp 80 from sg-00000000000000000"]), "InvalidGroup.NotFound"),
        (revoke(&["tcp 22 from 10.1.0.0/16", "tcp 80 from 0.0.0.0/0"]), "InvalidPermission.NotFound"),
        (Request::DeleteSecurityGroup { group: b.clone() }, "DependencyViolation"),
    ] {
        assert_eq!(lab.code(request.clone()).await, code, "{request:?}");
    }
    let ingress = lab.one(Listing::SecurityGroups, "group-id", &a).await.fields["ingress"].clone();
    assert_eq!(ingress.as_list().unwrap().len(), 2);
    lab.done(revoke(&[&from_b])).await;
    lab.done(Request::DeleteSecurityGroup { group: b }).await;
    let filters = [Filter::is("vpc-id", &vpc), Filter::is("group-name", "default")];
    let default = lab.list(Listing::SecurityGroups, &filters).await.remove(0).id;
    assert_eq!(lab.code(Request::DeleteSecurityGroup { group: default }).await, "CannotDelete");
}

#[tokio::test(start_paused = true)]
async fn a_peering_is_accepted_once_it_waits_for_it() {
    let lab = Lab::new();
    let (a, b) = (lab.vpc("10.0.0.0/16").await, lab.vpc("10.1.0.0/16").await);
    let same = lab.vpc("10.0.0.0/16").await;
    let peer = |to: &str| Request::CreatePeering { vpc: a.clone(), peer: to.into(), tags: Tags::new() };
    let failed = lab.make(peer(&same)).await.id;
    assert_eq!(lab.code(Request::AcceptPeering { peering: failed }).await, "InvalidStateTransition");
    assert!(lab.list(Listing::Peerings, &[]).await.is_empty());
    let peering = lab.make(peer(&b)).await.id;
    assert_eq!(lab.code(peer(&b)).await, "VpcPeeringConnectionAlreadyExists");
    let table = lab.one(Listing::RouteTables, "vpc-id", &a).await.id;
    lab.done(route(&table, "10.1.0.0/16", Target::Peering(peering.clone()))).await;
    let state = |item: Item| item.fields["routes"].at("1.state").unwrap().display();
    assert_eq!(state(lab.one(Listing::RouteTables, "route-table-id", &table).await), "\"blackhole\"");
    lab.done(Request::AcceptPeering { peering: peering.clone() }).await;
    assert_eq!(lab.one(Listing::Peerings, "vpc-peering-connection-id", &peering).await.text("state"), "active");
    assert_eq!(state(lab.one(Listing::RouteTables, "route-table-id", &table).await), "\"active\"");
    assert_eq!(lab.code(Request::DeleteVpc { vpc: b }).await, "DependencyViolation");
    lab.done(Request::DeletePeering { peering }).await;
    assert!(lab.list(Listing::Peerings, &[]).await.is_empty());
}
