//! What others have in the account, and a picture of everything.

use super::{
    Fake,
    catalog::Image,
    instances::{Instance, Template},
    tagging::head,
    world::{Course, Place, Region, Thing, Time, World},
};
use crate::api::Tags;
use cloudtik_core::cidr::Cidr;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

/// Everything that exists, by account, region and id: kind, what it is, tags. Equal worlds are equal maps.
pub type Picture = BTreeMap<String, Existing>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// `vpc`, `i`, `role`, …: the prefix of its id.
    pub kind: &'static str,
    pub tags: Tags,
    /// Its fields, for comparison only.
    pub detail: String,
}

impl Fake {
    /// What costs money or is in the way: not what is terminated, deleted or failed already.
    pub fn world_picture(&self) -> Picture {
        let now = self.now();
        self.world().picture(now)
    }
}

impl World {
    fn picture(&self, now: Time) -> Picture {
        let mut picture = Picture::new();
        for (place, region) in &self.regions {
            let at = format!("{}/{}", place.account, place.region);
            region.draw(&at, now, &mut picture);
        }
        for (account, identity) in &self.identities {
            draw(account, "role", identity.roles.all(now), &mut picture);
            draw(account, "instance-profile", identity.profiles.all(now), &mut picture);
        }
        for (name, bucket) in &self.buckets {
            let detail = format!("{:?} {:?}", bucket.versions, bucket.uploads);
            let existing = Existing { kind: "bucket", tags: bucket.tags.clone(), detail };
            picture.insert(format!("{}/{}/{name}", bucket.account, bucket.region), existing);
        }
        picture
    }
}

impl Region {
    fn draw(&self, at: &str, now: Time, picture: &mut Picture) {
        draw(at, "vpc", self.vpcs.all(now), picture);
        draw(at, "subnet", self.subnets.all(now), picture);
        draw(at, "igw", self.gateways.all(now), picture);
        draw(at, "rtb", self.tables.all(now), picture);
        draw(at, "eipalloc", self.addresses.all(now), picture);
        draw(at, "nat", self.nats.all(now).filter(|nat| nat.holds(now)), picture);
        let endpoints = self.endpoints.all(now).filter(|endpoint| endpoint.course.at(now) != "deleted");
        draw(at, "vpce", endpoints, picture);
        draw(at, "sg", self.groups.all(now), picture);
        draw(at, "pcx", self.peerings.all(now).filter(|peering| peering.is_open(now)), picture);
        draw(at, "key", self.keys.all(now), picture);
        let instances = self.instances.all(now).filter(|i| i.course.at(now) != "terminated");
        draw(at, "i", instances, picture);
        draw(at, "vol", self.volumes.all(now), picture);
        draw(at, "lt", self.templates.all(now), picture);
        draw(at, "dbsg", self.subnet_groups.all(now), picture);
        draw(at, "db", self.databases.all(now), picture);
    }
}

fn draw<'a, T: Thing + Debug + 'a>(
    at: &str,
    kind: &'static str,
    entries: impl Iterator<Item = &'a super::world::Entry<T>>,
    picture: &mut Picture,
) {
    for entry in entries {
        let (id, tags) = head(entry);
        let existing = Existing { kind, tags, detail: format!("{:?}", entry.thing) };
        picture.insert(format!("{at}/{kind}/{id}"), existing);
    }
}

/// What [`Fake::plant_foreign`] put there.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub vpc: String,
    pub subnets: Vec<String>,
    pub gateway: String,
    pub group: String,
    pub instance: String,
    pub role: String,
    pub bucket: String,
}

impl Fake {
    /// Somebody else's network with a machine, a role and a bucket, in the default account and region: a VPC 10.200.0.0/16
    /// named `legacy`, with a public and a private subnet.
    pub fn plant_foreign(&self) -> Foreign {
        let place = self.home();
        let now = self.now();
        let name =
            |name: &str| -> Tags { [("Name".to_owned(), name.to_owned()), ("owner".into(), "others".into())].into() };
        let network = Cidr::new([10, 200, 0, 0].into(), 16);
        let mut world = self.world();
        let mut turn = world.turn(&place, now);
        let vpc = turn.new_vpc(network, name("legacy"), false, now);
        let zones = turn.zone_names();
        let mut subnets = Vec::new();
        for (index, what) in [(0, "legacy-public"), (1, "legacy-private")] {
            let cidr = network.part(24, index).unwrap_or(network);
            let zone = zones.get(index as usize).cloned().unwrap_or_default();
            subnets.push(turn.new_subnet(&vpc, cidr, &zone, name(what), now));
        }
        let gateway = turn.ids.next("igw");
        let attached = super::network::InternetGateway { vpc: Some(vpc.clone()) };
        turn.region.gateways.put(gateway.clone(), name("legacy"), now, attached);
        let group = turn.new_group(&vpc, "legacy", "of others", name("legacy"), now);
        let instance = turn.ids.next("i");
        let machine = Instance {
            kind: "m5.large".into(),
            image: turn.images().next().map(|image| image.id(&place.region)).unwrap_or_default(),
            vpc: vpc.clone(),
            subnet: subnets[0].clone(),
            zone: zones.first().cloned().unwrap_or_default(),
            private: "10.200.0.10".into(),
            public: None,
            key: None,
            profile: None,
            groups: vec![group.clone()],
            token: "others".into(),
            index: 0,
            launched: now,
            spot: false,
            protected: true,
            course: Course::new(now, "running", &[]),
            reason: None,
            volumes: Vec::new(),
            console: now,
        };
        turn.region.instances.put(instance.clone(), name("legacy"), now, machine);
        let role = super::identity::Role {
            arn: format!("arn:aws:iam::{}:role/legacy", place.account),
            trust: "{}".into(),
            description: "of others".into(),
            policies: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        turn.identity.roles.put("legacy".into(), name("legacy"), now, role);
        let bucket = super::buckets::Bucket {
            account: place.account.clone(),
            region: place.region.clone(),
            tags: name("legacy"),
            versioned: true,
            encrypted: true,
            blocked: true,
            versions: vec![("data".into(), "v1".into())],
            uploads: Vec::new(),
            seen: now,
        };
        turn.buckets.insert("legacy-data".into(), bucket);
        Foreign { vpc, subnets, gateway, group, instance, role: "legacy".into(), bucket: "legacy-data".into() }
    }

    /// A launch template in the default account and region; its id.
    pub fn plant_template(&self, name: &str, data: Json) -> String {
        let (place, now) = (self.home(), self.now());
        let mut world = self.world();
        let turn = world.turn(&place, now);
        let id = turn.ids.next("lt");
        turn.region.templates.put(id.clone(), Tags::new(), now, Template { name: name.into(), version: 1, data });
        id
    }

    /// An image that others publish now. `created`: RFC 3339, as image lists have it.
    pub fn publish_image(&self, owner: &str, name: &str, created: &str, architecture: &str) {
        let image = Image {
            owner: owner.into(),
            alias: None,
            name: name.into(),
            created: created.into(),
            architecture: architecture.into(),
        };
        self.world().published.push(image);
    }

    /// Puts an object into a bucket, as a job would.
    pub fn put_object(&self, bucket: &str, key: &str) {
        let version = self.world().ids.hex("version", 16);
        self.in_bucket(bucket, |bucket| {
            if bucket.versioned {
                bucket.versions.push((key.into(), version));
            } else {
                bucket.versions.retain(|(other, _)| other != key);
                bucket.versions.push((key.into(), "null".into()));
            }
        });
    }

    /// Begins an upload that nobody ends.
    pub fn begin_upload(&self, bucket: &str, key: &str) {
        let upload = self.world().ids.hex("upload", 16);
        self.in_bucket(bucket, |bucket| bucket.uploads.push((key.into(), upload)));
    }

    pub fn version_bucket(&self, bucket: &str) {
        self.in_bucket(bucket, |bucket| bucket.versioned = true);
    }

    fn in_bucket(&self, name: &str, change: impl FnOnce(&mut super::buckets::Bucket)) {
        if let Some(bucket) = self.world().buckets.get_mut(name) {
            change(bucket);
        }
    }

    /// How many more instances of a type a zone of the default region has.
    pub fn capacity(&self, kind: &str, zone: &str, spot: bool, left: usize) {
        self.world().capacity.insert((kind.into(), zone.into(), spot), left);
    }

    /// A machine dies by itself, as when its spot capacity is taken back.
    pub fn kill_instance(&self, id: &str) {
        let (place, now) = (self.home(), self.now());
        let mut world = self.world();
        let mut turn = world.turn(&place, now);
        let Some(instance) = turn.region.instances.peek_mut(id) else { return };
        instance.course.turn(now, "terminated", &[]);
        instance.reason = Some("Server.SpotInstanceTermination: Spot instance termination".into());
        for (_, volume) in std::mem::take(&mut instance.volumes) {
            turn.instance_left(&volume, now);
        }
    }

    fn home(&self) -> Place {
        self.place(&Default::default())
    }
}
