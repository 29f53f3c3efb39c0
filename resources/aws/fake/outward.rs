//! Public addresses and NAT gateways.

use super::{
    network::{NOTHING, item, reply},
    world::{Answer, Course, Entry, Thing, Time, Turn, refuse, seconds},
};
use crate::api::{Item, Tags};
use cloudtik_core::value::Value;

#[derive(Clone, Debug)]
pub(super) struct Address {
    pub ip: String,
}

#[derive(Clone, Debug)]
pub(super) struct Nat {
    pub vpc: String,
    pub subnet: String,
    pub allocation: String,
    pub ip: String,
    pub interface: String,
    pub association: String,
    pub course: Course,
    /// Why it fails.
    pub failure: Option<String>,
}

impl Thing for Address {
    const ABSENT: &'static str = "InvalidAllocationID.NotFound";
    const WHAT: &'static str = "allocation";
}

impl Thing for Nat {
    const ABSENT: &'static str = "NatGatewayNotFound";
    const WHAT: &'static str = "NatGateway";

    /// Source: VPC user guide, "NAT gateways", "Delete a NAT gateway": shown for about an hour (read 2026-11-25).
    fn gone(&self, now: Time) -> bool {
        matches!(self.course.at(now), "deleted" | "failed") && now > self.course.since(now) + seconds(3_600)
    }
}

impl Nat {
    /// Whether its interface and address are taken.
    pub fn holds(&self, now: Time) -> bool {
        matches!(self.course.at(now), "pending" | "available" | "deleting") && self.failure.is_none()
    }
}

impl Turn<'_> {
    pub fn address_item(&self, address: &Entry<Address>) -> Item {
        let user = self.region.nats.all(self.now).find(|nat| nat.allocation == address.id && nat.holds(self.now));
        item(
            address,
            [
                ("ip", address.ip.as_str().into()),
                ("association", user.map(|nat| nat.association.clone()).into()),
                ("interface", user.map(|nat| nat.interface.clone()).into()),
            ],
        )
    }

    /// Source: EC2 user guide, "Elastic IP address quota": five a region (read 2026-11-25).
    pub fn allocate(&mut self, tags: Tags) -> Answer {
        if self.region.addresses.all(self.now).count() >= self.settings.quotas.addresses {
            return Err(refuse("AddressLimitExceeded", "The maximum number of addresses has been reached."));
        }
        let (id, seen, ip) = (self.ids.next("eipalloc"), self.seen(), self.public_address());
        let address = self.region.addresses.put(id, tags, seen, Address { ip }).clone();
        reply(self.address_item(&address))
    }

    /// From the range for benchmarks: never anybody's.
    pub fn public_address(&mut self) -> String {
        let number = self.ids.count();
        format!("198.{}.{}.{}", 18 + (number >> 16 & 1), number >> 8 & 255, number & 255)
    }

    /// Source: EC2 API reference, ReleaseAddress: InvalidIPAddress.InUse while associated (read 2026-11-25).
    pub fn release(&mut self, id: &str) -> Answer {
        let now = self.now;
        let address = self.region.addresses.get(id, now)?;
        if self.region.nats.all(now).any(|nat| nat.allocation == id && nat.holds(now)) {
            return Err(refuse("InvalidIPAddress.InUse", format!("Address {} is in use.", address.ip)));
        }
        self.region.addresses.remove(id);
        NOTHING
    }

    pub fn nat_item(&self, nat: &Entry<Nat>) -> Item {
        let failed = nat.course.at(self.now) == "failed";
        let failure: Value = nat.failure.clone().filter(|_| failed).into();
        item(
            nat,
            [
                ("vpc", nat.vpc.as_str().into()),
                ("subnet", nat.subnet.as_str().into()),
                ("state", nat.course.at(self.now).into()),
                ("allocation", nat.allocation.as_str().into()),
                ("ip", nat.ip.as_str().into()),
                ("failure", failure),
            ],
        )
    }

    /// What is wrong is found after the call: the gateway becomes `failed`.
    /// Source: VPC user guide, "Troubleshoot NAT gateways", "NAT gateway creation fails" (read 2026-11-25).
    pub fn create_nat(&mut self, subnet: &str, allocation: &str, token: &str, tags: Tags) -> Answer {
        let now = self.now;
        let arguments = format!("{subnet} {allocation} {tags:?}");
        if let Some(ids) = self.remembered("CreateNatGateway", token, &arguments)? {
            let nat = ids.first().and_then(|id| self.region.nats.peek(id));
            return reply(nat.map(|nat| self.nat_item(nat)).unwrap_or_default());
        }
        let place = self.region.subnets.get(subnet, now)?.thing.clone();
        let ip = self.region.addresses.get(allocation, now)?.ip.clone();
        let in_zone = |nat: &&Entry<Nat>| {
            nat.holds(now) && self.region.subnets.peek(&nat.subnet).is_some_and(|other| other.zone == place.zone)
        };
        if self.region.nats.all(now).filter(in_zone).count() >= self.settings.quotas.nats {
            return Err(refuse("NatGatewayLimitExceeded", "The maximum number of NAT gateways has been reached."));
        }
        let attached = self.region.gateways.all(now).any(|g| g.vpc.as_ref() == Some(&place.vpc));
        let taken = self.region.nats.all(now).any(|nat| nat.allocation == allocation && nat.holds(now));
        let full = self.region.subnets.get(subnet, now).is_ok_and(|subnet| self.free_addresses(subnet) == 0);
        let failure = if !attached {
            Some(format!("Gateway.NotAttached: Network {} has no Internet gateway attached", place.vpc))
        } else if taken {
            Some(format!("Resource.AlreadyAssociated: Elastic IP address [{allocation}] is already associated"))
        } else if full {
            Some("InsufficientFreeAddressesInSubnet: Subnet has insufficient free addresses".into())
        } else if self.stillborn() {
            Some("InternalError: Network interface creation failed".into())
        } else {
            None
        };
        let times = &self.settings.times;
        let end = if failure.is_some() { (seconds(5), "failed") } else { (times.nat, "available") };
        let nat = Nat {
            vpc: place.vpc,
            subnet: subnet.into(),
            allocation: allocation.into(),
            ip,
            interface: self.ids.next("eni"),
            association: self.ids.next("eipassoc"),
            course: Course::new(now, "pending", &[end]),
            failure,
        };
        let (id, seen) = (self.ids.next("nat"), self.seen());
        let entry = self.region.nats.put(id.clone(), tags, seen, nat).clone();
        self.remember("CreateNatGateway", token, arguments, vec![id]);
        reply(self.nat_item(&entry))
    }

    /// Source: EC2 API reference, DeleteNatGateway: the address is disassociated, not released; routes stay (read
    /// 2026-11-25).
    pub fn delete_nat(&mut self, id: &str) -> Answer {
        let (now, time) = (self.now, self.settings.times.nat_delete);
        let nat = self.region.nats.get_mut(id, now)?;
        if !matches!(nat.course.at(now), "deleting" | "deleted") {
            nat.course.turn(now, "deleting", &[(time, "deleted")]);
        }
        NOTHING
    }
}
