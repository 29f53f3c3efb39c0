//! What exists: tables of objects per account and region, states that change with time, and ids.

use super::{
    Settings,
    buckets::Bucket,
    databases::{Database, SubnetGroup},
    groups::{Group, KeyPair},
    identity::{Profile, Role},
    instances::{Instance, Template},
    network::{InternetGateway, Subnet, Vpc},
    outward::{Address, Nat},
    routes::{Endpoint, Peering, RouteTable},
    volumes::Volume,
};
use crate::api::{Reply, Tags};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// Since the world began.
pub(super) type Time = Duration;

pub(super) type Answer = Result<Reply, Refusal>;

/// An answer with an error code.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub code: String,
    pub message: String,
    pub status: u16,
}

pub(super) fn refuse(code: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal { code: code.into(), message: message.into(), status: 400 }
}

impl Refusal {
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The states of an object over time: the last that has begun counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Course(Vec<(Time, &'static str)>);

impl Course {
    /// `state` from now on, then each of `later` after its delay.
    pub fn new(now: Time, state: &'static str, later: &[(Duration, &'static str)]) -> Self {
        let later = later.iter().map(|(delay, state)| (now + *delay, *state));
        Course([(now, state)].into_iter().chain(later).collect())
    }

    pub fn at(&self, now: Time) -> &'static str {
        self.0.iter().rev().find(|(from, _)| *from <= now).or(self.0.first()).map_or("", |(_, state)| state)
    }

    /// When the state of now began.
    pub fn since(&self, now: Time) -> Time {
        self.0.iter().rev().find(|(from, _)| *from <= now).map_or(now, |(from, _)| *from)
    }

    /// What was to come is replaced.
    pub fn turn(&mut self, now: Time, state: &'static str, later: &[(Duration, &'static str)]) {
        self.0.retain(|(from, _)| *from < now);
        self.0.extend(Course::new(now, state, later).0);
    }
}

/// A kind of object with ids.
pub(super) trait Thing {
    /// The error code for an id that is not there.
    const ABSENT: &'static str;
    const WHAT: &'static str;

    /// Whether nothing shows it any more.
    fn gone(&self, now: Time) -> bool {
        let _ = now;
        false
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub id: String,
    pub tags: Tags,
    /// From when other calls see it.
    pub seen: Time,
    pub thing: T,
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Entry<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

#[derive(Clone, Debug)]
pub(super) struct Table<T>(BTreeMap<String, Entry<T>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(BTreeMap::new())
    }
}

impl<T: Thing> Table<T> {
    /// The object of an id, if calls see it yet.
    pub fn get(&self, id: &str, now: Time) -> Result<&Entry<T>, Refusal> {
        let entry = self.0.get(id).filter(|entry| entry.seen <= now && !entry.gone(now));
        entry.ok_or_else(|| absent::<T>(id))
    }

    pub fn get_mut(&mut self, id: &str, now: Time) -> Result<&mut Entry<T>, Refusal> {
        let entry = self.0.get_mut(id).filter(|entry| entry.seen <= now && !entry.gone(now));
        entry.ok_or_else(|| absent::<T>(id))
    }

    /// Everything that exists, seen yet or not: what the service itself knows.
    pub fn all(&self, now: Time) -> impl Iterator<Item = &Entry<T>> {
        self.0.values().filter(move |entry| !entry.gone(now))
    }

    /// What listings show.
    pub fn seen(&self, now: Time) -> impl Iterator<Item = &Entry<T>> {
        self.all(now).filter(move |entry| entry.seen <= now)
    }

    pub fn put(&mut self, id: String, tags: Tags, seen: Time, thing: T) -> &mut Entry<T> {
        let entry = Entry { id: id.clone(), tags, seen, thing };
        self.0.entry(id).insert_entry(entry).into_mut()
    }

    pub fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// Without asking whether calls see it: for references inside the service.
    pub fn peek(&self, id: &str) -> Option<&Entry<T>> {
        self.0.get(id)
    }

    pub fn peek_mut(&mut self, id: &str) -> Option<&mut Entry<T>> {
        self.0.get_mut(id)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.0.values_mut()
    }
}

pub(super) fn absent<T: Thing>(id: &str) -> Refusal {
    refuse(T::ABSENT, format!("The {} ID '{id}' does not exist", T::WHAT))
}

/// One account's objects in one region.
#[derive(Default)]
pub(super) struct Region {
    pub vpcs: Table<Vpc>,
    pub subnets: Table<Subnet>,
    pub gateways: Table<InternetGateway>,
    pub tables: Table<RouteTable>,
    pub addresses: Table<Address>,
    pub nats: Table<Nat>,
    pub endpoints: Table<Endpoint>,
    pub groups: Table<Group>,
    pub peerings: Table<Peering>,
    /// By name.
    pub keys: Table<KeyPair>,
    pub instances: Table<Instance>,
    pub volumes: Table<Volume>,
    pub templates: Table<Template>,
    pub subnet_groups: Table<SubnetGroup>,
    pub databases: Table<Database>,
    /// What was answered to a client token: action and token, the arguments, the ids made.
    pub tokens: BTreeMap<(&'static str, String), (String, Vec<String>)>,
}

/// One account's roles and profiles, by name.
#[derive(Default)]
pub(super) struct Identity {
    pub roles: Table<Role>,
    pub profiles: Table<Profile>,
}

/// Account number and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub account: String,
    pub region: String,
}

pub(super) struct World {
    pub settings: Settings,
    pub regions: BTreeMap<Place, Region>,
    pub identities: BTreeMap<String, Identity>,
    /// Everybody's: names are global.
    pub buckets: BTreeMap<String, Bucket>,
    pub ids: Ids,
    /// Instances that can still be started, by type and zone; without an entry there is no end of them.
    pub capacity: BTreeMap<(String, String, bool), usize>,
    /// Images that appeared after the world began: owner, name, creation date, architecture.
    pub published: Vec<super::catalog::Image>,
    pub here: Option<String>,
    /// The next launch or NAT gateway fails after its call succeeded.
    pub stillborn: bool,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        World {
            ids: Ids { seed: settings.seed, next: 0 },
            settings,
            regions: BTreeMap::new(),
            identities: BTreeMap::new(),
            buckets: BTreeMap::new(),
            capacity: BTreeMap::new(),
            published: Vec::new(),
            here: None,
            stillborn: false,
        }
    }

    /// One call's view. A region that nobody used yet has its default VPC.
    pub fn turn<'a>(&'a mut self, place: &'a Place, now: Time) -> Turn<'a> {
        let fresh = !self.regions.contains_key(place);
        let mut turn = Turn {
            region: self.regions.entry(place.clone()).or_default(),
            identity: self.identities.entry(place.account.clone()).or_default(),
            buckets: &mut self.buckets,
            ids: &mut self.ids,
            settings: &self.settings,
            capacity: &mut self.capacity,
            published: &self.published,
            stillborn: &mut self.stillborn,
            place,
            now,
        };
        if fresh {
            turn.default_vpc();
        }
        turn
    }
}

/// The world as one call of one account in one region sees and changes it.
pub(super) struct Turn<'a> {
    pub region: &'a mut Region,
    pub identity: &'a mut Identity,
    pub buckets: &'a mut BTreeMap<String, Bucket>,
    pub ids: &'a mut Ids,
    pub settings: &'a Settings,
    pub capacity: &'a mut BTreeMap<(String, String, bool), usize>,
    pub published: &'a [super::catalog::Image],
    pub stillborn: &'a mut bool,
    pub place: &'a Place,
    pub now: Time,
}

impl Turn<'_> {
    /// When an object that is made now is seen by other calls.
    pub fn seen(&self) -> Time {
        self.now + self.settings.lag
    }

    pub fn stillborn(&mut self) -> bool {
        std::mem::take(self.stillborn)
    }

    /// What was made for a client token before: `None` for a new one.
    /// Source: EC2 developer guide, "Ensuring idempotency in Amazon EC2 API requests" (read 2026-11-25).
    pub fn remembered(
        &self,
        action: &'static str,
        token: &str,
        arguments: &str,
    ) -> Result<Option<Vec<String>>, Refusal> {
        if token.len() > 64 || !token.is_ascii() {
            return Err(refuse("InvalidParameterValue", "The client token may have at most 64 ASCII characters"));
        }
        match self.region.tokens.get(&(action, token.to_owned())) {
            _ if token.is_empty() => Ok(None),
            None => Ok(None),
            Some((before, ids)) if before == arguments => Ok(Some(ids.clone())),
            Some(_) => Err(refuse(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request",
            )),
        }
    }

    pub fn remember(&mut self, action: &'static str, token: &str, arguments: String, ids: Vec<String>) {
        if !token.is_empty() {
            self.region.tokens.insert((action, token.to_owned()), (arguments, ids));
        }
    }
}

/// Ids as AWS's: a prefix and 17 hexadecimal digits, the same ones for the same seed.
pub(super) struct Ids {
    seed: u64,
    next: u64,
}

impl Ids {
    pub fn next(&mut self, prefix: &str) -> String {
        format!("{prefix}-{}", self.hex(prefix, 17))
    }

    pub fn hex(&mut self, what: &str, digits: usize) -> String {
        self.next += 1;
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(format!("{}/{what}/{}", self.seed, self.next)) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.truncate(digits);
        // Real ids begin with 0 since they became long.
        text.replace_range(..1, "0");
        text
    }

    /// A number that counts up, for public addresses.
    pub fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
