//! Route tables and what routes lead to besides gateways: endpoints and peerings.

use super::{
    network::{NOTHING, item, only, range, reply},
    world::{Answer, Course, Entry, Thing, Time, Turn, refuse, seconds},
};
use crate::api::{Item, Tags, Target};
use cloudtik_core::{cidr::Cidr, value::Value};
use std::{collections::BTreeMap, time::Duration};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    Gateway(String),
    Nat(String),
    Peering(String),
    /// Made by an endpoint.
    PrefixList {
        list: String,
        endpoint: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct RouteTable {
    pub vpc: String,
    pub main: bool,
    /// Association and subnet.
    pub associations: Vec<(String, String)>,
    /// By destination. The local route is not among them.
    pub routes: BTreeMap<String, Way>,
}

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub vpc: String,
    pub service: String,
    pub tables: Vec<String>,
    pub course: Course,
}

#[derive(Clone, Debug)]
pub(super) struct Peering {
    pub requester: String,
    pub accepter: String,
    pub requester_cidr: Cidr,
    pub accepter_cidr: Option<Cidr>,
    pub course: Course,
}

impl Thing for RouteTable {
    const ABSENT: &'static str = "InvalidRouteTableID.NotFound";
    const WHAT: &'static str = "routeTable";
}

impl Thing for Endpoint {
    const ABSENT: &'static str = "InvalidVpcEndpointId.NotFound";
    const WHAT: &'static str = "Vpc Endpoint";

    fn gone(&self, now: Time) -> bool {
        self.course.at(now) == "deleted" && now > self.course.since(now) + seconds(60)
    }
}

impl Thing for Peering {
    const ABSENT: &'static str = "InvalidVpcPeeringConnectionID.NotFound";
    const WHAT: &'static str = "vpcPeeringConnection";

    /// Source: VPC peering guide, "VPC peering connection lifecycle": deleted and failed ones stay visible for two hours.
    fn gone(&self, now: Time) -> bool {
        !self.is_open(now) && now > self.course.since(now) + seconds(7_200)
    }
}

impl Peering {
    pub fn is_open(&self, now: Time) -> bool {
        !matches!(self.course.at(now), "deleted" | "failed" | "rejected" | "expired")
    }
}

fn text(text: impl AsRef<str>) -> Value {
    Value::text(text)
}

impl Turn<'_> {
    pub fn table_item(&self, table: &Entry<RouteTable>) -> Item {
        let association = |(id, subnet): &(String, String)| Value::map([("id", text(id)), ("subnet", text(subnet))]);
        let cidr = self.region.vpcs.peek(&table.vpc).map(|vpc| vpc.cidr.to_string()).unwrap_or_default();
        let local = Value::map([("destination", text(cidr)), ("gateway", text("local")), ("state", text("active"))]);
        let route = |(destination, way): (&String, &Way)| {
            let (name, target) = match way {
                Way::Gateway(id) => ("gateway", id.clone()),
                Way::Nat(id) => ("nat", id.clone()),
                Way::Peering(id) => ("peering", id.clone()),
                // The service shows both: the list as destination, the endpoint as gateway.
                Way::PrefixList { list, endpoint } => {
                    return Value::map([
                        ("gateway", text(endpoint)),
                        ("prefix_list", text(list)),
                        ("state", text("active")),
                    ]);
                }
            };
            let state = if self.leads_somewhere(way) { "active" } else { "blackhole" };
            Value::map([("destination", text(destination)), (name, text(target)), ("state", text(state))])
        };
        let routes: Vec<Value> = [local].into_iter().chain(table.routes.iter().map(route)).collect();
        item(
            table,
            [
                ("vpc", text(&table.vpc)),
                ("main", table.main.into()),
                ("associations", Value::List(table.associations.iter().map(association).collect())),
                ("routes", routes.into()),
            ],
        )
    }

    /// Source: VPC user guide, "Routes to a NAT gateway": the status is blackhole once it is deleted; peering guide: blackhole
    /// until it is active (read 2026-11-25).
    fn leads_somewhere(&self, way: &Way) -> bool {
        let now = self.now;
        match way {
            Way::Gateway(id) => self.region.gateways.peek(id).is_some_and(|gateway| gateway.vpc.is_some()),
            Way::Nat(id) => self.region.nats.peek(id).is_some_and(|nat| nat.holds(now)),
            Way::Peering(id) => self.region.peerings.peek(id).is_some_and(|p| p.course.at(now) == "active"),
            Way::PrefixList { .. } => true,
        }
    }

    pub fn create_route_table(&mut self, vpc: &str, tags: Tags) -> Answer {
        self.region.vpcs.get(vpc, self.now)?;
        if self.region.tables.all(self.now).filter(|t| t.vpc == vpc).count() >= self.settings.quotas.tables {
            return Err(refuse("RouteTableLimitExceeded", "The maximum number of route tables has been reached."));
        }
        let id = self.new_table(vpc, tags, false, self.seen());
        reply(self.region.tables.peek(&id).map(|table| self.table_item(table)).unwrap_or_default())
    }

    pub fn new_table(&mut self, vpc: &str, tags: Tags, main: bool, seen: Time) -> String {
        let id = self.ids.next("rtb");
        let table = RouteTable { vpc: vpc.into(), main, associations: Vec::new(), routes: BTreeMap::new() };
        self.region.tables.put(id.clone(), tags, seen, table);
        id
    }

    /// Source: EC2 API reference, AssociateRouteTable and error code Resource.AlreadyAssociated (read 2026-11-25).
    pub fn associate(&mut self, table: &str, subnet: &str) -> Answer {
        let now = self.now;
        let vpc = &self.region.tables.get(table, now)?.vpc;
        if *vpc != self.region.subnets.get(subnet, now)?.vpc {
            let what = format!("Route table {table} and subnet {subnet} belong to different networks");
            return Err(refuse("InvalidParameterValue", what));
        }
        if self.region.tables.all(now).any(|t| t.associations.iter().any(|(_, s)| s == subnet)) {
            let what =
                format!("the specified association for route table {table} conflicts with an existing association");
            return Err(refuse("Resource.AlreadyAssociated", what));
        }
        let id = self.ids.next("rtbassoc");
        self.region.tables.get_mut(table, now)?.associations.push((id.clone(), subnet.into()));
        only(id)
    }

    pub fn disassociate(&mut self, association: &str) -> Answer {
        let mut tables = self.region.tables.iter_mut();
        let Some(table) = tables.find(|t| t.associations.iter().any(|(id, _)| id == association)) else {
            let what = format!("The association ID '{association}' does not exist");
            return Err(refuse("InvalidAssociationID.NotFound", what));
        };
        table.associations.retain(|(id, _)| id != association);
        NOTHING
    }

    /// Source: EC2 API reference, DeleteRouteTable: not while associated, nor the main one (read 2026-11-25).
    pub fn delete_route_table(&mut self, id: &str) -> Answer {
        let table = self.region.tables.get(id, self.now)?;
        if table.main || !table.associations.is_empty() {
            let what = format!("The routeTable '{id}' has dependencies and cannot be deleted.");
            return Err(refuse("DependencyViolation", what));
        }
        self.region.tables.remove(id);
        NOTHING
    }

    /// What a target is to a table, if it may lead there.
    fn way(&self, table: &str, target: Target) -> Result<Way, super::world::Refusal> {
        let now = self.now;
        let vpc = &self.region.tables.get(table, now)?.vpc;
        let elsewhere = |what: &str| {
            let what = format!("route table {table} and network gateway {what} belong to different networks");
            refuse("InvalidParameterValue", what)
        };
        match target {
            Target::Gateway(id) => {
                let Ok(gateway) = self.region.gateways.get(&id, now) else {
                    let what = format!("The gateway ID '{id}' does not exist");
                    return Err(refuse("InvalidGatewayID.NotFound", what));
                };
                if gateway.vpc.as_ref() != Some(vpc) { Err(elsewhere(&id)) } else { Ok(Way::Gateway(id)) }
            }
            Target::Nat(id) => {
                // Not the code that the calls on NAT gateways themselves have.
                let nat = self.region.nats.get(&id, now).ok().filter(|nat| nat.course.at(now) != "deleted");
                let Some(nat) = nat else {
                    let what = format!("The natGateway ID '{id}' does not exist");
                    return Err(refuse("InvalidNatGatewayID.NotFound", what));
                };
                if nat.vpc != *vpc { Err(elsewhere(&id)) } else { Ok(Way::Nat(id)) }
            }
            Target::Peering(id) => {
                let peering = self.region.peerings.get(&id, now)?;
                let between = peering.requester == *vpc || peering.accepter == *vpc;
                if !between || !peering.is_open(now) { Err(elsewhere(&id)) } else { Ok(Way::Peering(id)) }
            }
        }
    }

    /// A destination in canonical form: neither the VPC's own range nor inside it.
    fn destination(&self, table: &str, text: &str) -> Result<String, super::world::Refusal> {
        let cidr = range(text)?;
        let vpc = &self.region.tables.get(table, self.now)?.vpc;
        match self.region.vpcs.peek(vpc).map(|vpc| vpc.cidr) {
            Some(own) if own == cidr => {
                Err(refuse("RouteAlreadyExists", format!("The route identified by {cidr} already exists.")))
            }
            Some(own) if own.prefix < cidr.prefix && own.contains(cidr.base) => {
                let what = "Route destination doesn't match any subnet CIDR blocks.";
                Err(refuse("InvalidParameterValue", what))
            }
            _ => Ok(cidr.to_string()),
        }
    }

    pub fn create_route(&mut self, table: &str, destination: &str, target: Target) -> Answer {
        let destination = self.destination(table, destination)?;
        let way = self.way(table, target)?;
        let limit = self.settings.quotas.routes;
        let table = self.region.tables.get_mut(table, self.now)?;
        if table.routes.contains_key(&destination) {
            let what = format!("The route identified by {destination} already exists.");
            return Err(refuse("RouteAlreadyExists", what));
        }
        if table.routes.len() >= limit {
            return Err(refuse("RouteLimitExceeded", "The maximum number of routes has been reached."));
        }
        table.routes.insert(destination, way);
        NOTHING
    }

    pub fn replace_route(&mut self, table: &str, destination: &str, target: Target) -> Answer {
        let destination = self.destination(table, destination)?;
        let way = self.way(table, target)?;
        let table = self.region.tables.get_mut(table, self.now)?;
        if !table.routes.contains_key(&destination) {
            let what =
                format!("There is no route defined for '{destination}' in the route table. Use CreateRoute instead.");
            return Err(refuse("InvalidParameterValue", what));
        }
        table.routes.insert(destination, way);
        NOTHING
    }

    pub fn delete_route(&mut self, table: &str, destination: &str) -> Answer {
        let destination = self.destination(table, destination)?;
        let entry = self.region.tables.get_mut(table, self.now)?;
        if entry.routes.remove(&destination).is_none() {
            let what = format!("no route with destination-cidr-block {destination} in route table {table}");
            return Err(refuse("InvalidRoute.NotFound", what));
        }
        NOTHING
    }

    pub fn endpoint_item(&self, endpoint: &Entry<Endpoint>) -> Item {
        item(
            endpoint,
            [
                ("vpc", text(&endpoint.vpc)),
                ("service", text(&endpoint.service)),
                ("state", endpoint.course.at(self.now).into()),
                ("tables", Value::list(endpoint.tables.clone())),
                ("@type", text("Gateway")),
            ],
        )
    }

    /// Source: VPC user guide, "Gateway endpoints": a route per table, at most one a service and table (read 2026-11-25).
    pub fn create_endpoint(
        &mut self,
        vpc: &str,
        service: &str,
        tables: Vec<String>,
        token: &str,
        tags: Tags,
    ) -> Answer {
        let arguments = format!("{vpc} {service} {tables:?} {tags:?}");
        if let Some(ids) = self.remembered("CreateVpcEndpoint", token, &arguments)? {
            let endpoint = ids.first().and_then(|id| self.region.endpoints.peek(id));
            return reply(endpoint.map(|endpoint| self.endpoint_item(endpoint)).unwrap_or_default());
        }
        self.region.vpcs.get(vpc, self.now)?;
        let known = ["s3", "dynamodb"].map(|name| format!("com.amazonaws.{}.{name}", self.place.region));
        if !known.iter().any(|known| known == service) {
            let what = format!("The Vpc Endpoint Service '{service}' does not exist");
            return Err(refuse("InvalidServiceName", what));
        }
        self.free_of(vpc, service, &tables)?;
        let open = |e: &&Entry<Endpoint>| !e.course.at(self.now).starts_with("delet");
        if self.region.endpoints.all(self.now).filter(open).count() >= self.settings.quotas.endpoints {
            return Err(refuse("VpcEndpointLimitExceeded", "The maximum number of VPC endpoints has been reached."));
        }
        let (id, seen) = (self.ids.next("vpce"), self.seen());
        self.lead(&id, service, &tables);
        let course = Course::new(self.now, "pending", &[(seconds(2), "available")]);
        let endpoint = Endpoint { vpc: vpc.into(), service: service.into(), tables, course };
        let entry = self.region.endpoints.put(id.clone(), tags, seen, endpoint).clone();
        self.remember("CreateVpcEndpoint", token, arguments, vec![id]);
        reply(self.endpoint_item(&entry))
    }

    /// Whether the tables are the VPC's and have no route of the service yet.
    fn free_of(&self, vpc: &str, service: &str, tables: &[String]) -> Result<(), super::world::Refusal> {
        let list = prefix_list(service);
        for id in tables {
            let table = self.region.tables.get(id, self.now).ok().filter(|table| table.vpc == vpc);
            let Some(table) = table else {
                let what = format!("The route table ID '{id}' does not exist in {vpc}");
                return Err(refuse("InvalidRouteTableId.NotFound", what));
            };
            if table.routes.contains_key(&list) {
                let what = format!("route table {id} already has a route with destination-prefix-list-id {list}");
                return Err(refuse("RouteAlreadyExists", what));
            }
        }
        Ok(())
    }

    fn lead(&mut self, endpoint: &str, service: &str, tables: &[String]) {
        for id in tables {
            if let Some(table) = self.region.tables.peek_mut(id) {
                let list = prefix_list(service);
                table.routes.insert(list.clone(), Way::PrefixList { list, endpoint: endpoint.into() });
            }
        }
    }

    pub fn modify_endpoint(&mut self, id: &str, add: Vec<String>, remove: &[String]) -> Answer {
        let endpoint = self.region.endpoints.get(id, self.now)?;
        if endpoint.course.at(self.now).starts_with("delet") {
            return Err(super::world::absent::<Endpoint>(id));
        }
        let (vpc, service) = (endpoint.vpc.clone(), endpoint.service.clone());
        let add: Vec<String> = add.into_iter().filter(|table| !endpoint.tables.contains(table)).collect();
        self.free_of(&vpc, &service, &add)?;
        self.lead(id, &service, &add);
        let endpoint = self.region.endpoints.get_mut(id, self.now)?;
        endpoint.tables.retain(|table| !remove.contains(table));
        endpoint.tables.extend(add);
        for table in remove {
            if let Some(table) = self.region.tables.peek_mut(table) {
                table.routes.retain(|_, way| !matches!(way, Way::PrefixList { endpoint, .. } if endpoint == id));
            }
        }
        NOTHING
    }

    /// Source: EC2 API reference, DeleteVpcEndpoints: its routes go with it (read 2026-11-25).
    pub fn delete_endpoint(&mut self, id: &str) -> Answer {
        let now = self.now;
        let endpoint = self.region.endpoints.get_mut(id, now)?;
        if !endpoint.course.at(now).starts_with("delet") {
            endpoint.course.turn(now, "deleting", &[(seconds(5), "deleted")]);
        }
        for table in self.region.tables.iter_mut() {
            table.routes.retain(|_, way| !matches!(way, Way::PrefixList { endpoint, .. } if endpoint == id));
        }
        NOTHING
    }

    pub fn peering_item(&self, peering: &Entry<Peering>) -> Item {
        item(
            peering,
            [
                ("state", peering.course.at(self.now).into()),
                ("requester", text(&peering.requester)),
                ("accepter", text(&peering.accepter)),
                ("requester_cidr", text(peering.requester_cidr.to_string())),
                ("accepter_cidr", peering.accepter_cidr.map(|cidr| cidr.to_string()).into()),
            ],
        )
    }

    /// Source: VPC peering guide, "VPC peering connection lifecycle"; EC2 API reference, CreateVpcPeeringConnection:
    /// overlapping ranges end as `failed` (read 2026-11-25).
    pub fn create_peering(&mut self, vpc: &str, peer: &str, tags: Tags) -> Answer {
        let now = self.now;
        let requester_cidr = self.region.vpcs.get(vpc, now)?.cidr;
        let accepter_cidr = self.region.vpcs.get(peer, now).ok().map(|vpc| vpc.cidr);
        let mut open = self.region.peerings.all(now).filter(|p| p.is_open(now));
        let ends = |p: &Entry<Peering>| [p.requester.clone(), p.accepter.clone()];
        if open.any(|p| ends(p).iter().all(|end| end == vpc || end == peer)) {
            let what = "A VPC peering connection between the VPCs already exists.";
            return Err(refuse("VpcPeeringConnectionAlreadyExists", what));
        }
        drop(open);
        let possible = accepter_cidr.is_some_and(|cidr| !cidr.overlaps(&requester_cidr)) && vpc != peer;
        let next = if possible { "pending-acceptance" } else { "failed" };
        let course = Course::new(now, "initiating-request", &[(Duration::from_millis(800), next)]);
        let peering = Peering { requester: vpc.into(), accepter: peer.into(), requester_cidr, accepter_cidr, course };
        let (id, seen) = (self.ids.next("pcx"), self.seen());
        let entry = self.region.peerings.put(id, tags, seen, peering).clone();
        reply(self.peering_item(&entry))
    }

    /// Source: EC2 API reference, AcceptVpcPeeringConnection: "must be in the pending-acceptance state" (read 2026-11-25).
    pub fn accept_peering(&mut self, id: &str) -> Answer {
        let now = self.now;
        let peering = self.region.peerings.get_mut(id, now)?;
        match peering.course.at(now) {
            "pending-acceptance" => peering.course.turn(now, "provisioning", &[(seconds(1), "active")]),
            // The second time says nothing new.
            "provisioning" | "active" => {}
            state => {
                let what =
                    format!("Invalid state transition for {id}, attempting to transition from {state} to active");
                return Err(refuse("InvalidStateTransition", what));
            }
        }
        NOTHING
    }

    pub fn delete_peering(&mut self, id: &str) -> Answer {
        let now = self.now;
        let peering = self.region.peerings.get_mut(id, now)?;
        match peering.course.at(now) {
            "deleted" => {}
            "failed" | "rejected" | "expired" => {
                let what = format!("Invalid state transition for {id}, attempting to transition to deleted");
                return Err(refuse("InvalidStateTransition", what));
            }
            _ => peering.course.turn(now, "deleted", &[]),
        }
        NOTHING
    }
}

/// The list of a service's addresses, as routes and rules name it.
fn prefix_list(service: &str) -> String {
    let kind = service.rsplit('.').next().unwrap_or_default();
    if kind == "s3" { "pl-63a5400a".into() } else { "pl-02cd2c6b".into() }
}
