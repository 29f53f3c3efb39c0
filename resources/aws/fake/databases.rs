//! Databases of RDS and their subnet groups.

use super::{
    network::{NOTHING, Subnet, item, reply},
    world::{Answer, Course, Entry, Refusal, Thing, Time, Turn, refuse, seconds},
};
use crate::api::{self, Item, Password, Tags};
use cloudtik_core::value::Value;
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(super) struct SubnetGroup {
    pub arn: String,
    pub subnets: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Database {
    pub arn: String,
    pub spec: api::Database,
    pub address: String,
    pub secret: Option<String>,
    pub course: Course,
}

impl Thing for SubnetGroup {
    const ABSENT: &'static str = "DBSubnetGroupNotFoundFault";
    const WHAT: &'static str = "DB subnet group";
}

impl Thing for Database {
    const ABSENT: &'static str = "DBInstanceNotFound";
    const WHAT: &'static str = "DBInstance";

    fn gone(&self, now: Time) -> bool {
        self.course.at(now) == "deleted"
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    refuse("InvalidParameterValue", message)
}

/// Source: RDS API reference, CreateDBInstance: identifiers are letters, digits and hyphens, begin with a letter, end with no
/// hyphen and have no two in a row (read 2026-11-25).
fn identifier(name: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    if !begins || name.len() > 63 || !name.chars().all(fits) || name.ends_with('-') || name.contains("--") {
        let what = format!("The parameter DBInstanceIdentifier is not a valid identifier: {name}.");
        return Err(invalid(what));
    }
    Ok(())
}

/// Source: RDS API reference, CreateDBInstance: engines, classes, storage, user names, ports (read 2026-11-25).
fn check(spec: &api::Database) -> Result<(), Refusal> {
    let reserved: &[&str] = match spec.engine.as_str() {
        "mysql" => &["rdsadmin", "rdsrepladmin", "mysql"],
        "postgres" => &["admin", "postgresql", "rdsadmin", "rds_superuser", "root"],
        engine => return Err(invalid(format!("Invalid DB engine: {engine}"))),
    };
    if !spec.kind.starts_with("db.") || spec.kind.split('.').count() != 3 {
        return Err(invalid(format!("Invalid DB Instance class: {}", spec.kind)));
    }
    let most = match spec.storage_type.as_str() {
        "gp2" | "gp3" => 20..=65_536,
        "io1" | "io2" => 100..=65_536,
        "standard" => 5..=3_072,
        other => return Err(refuse("StorageTypeNotSupported", format!("Invalid storage type: {other}"))),
    };
    if !most.contains(&spec.storage_gib) {
        return Err(invalid(format!("Invalid storage size for engine name {}: {}", spec.engine, spec.storage_gib)));
    }
    let user = spec.user.as_str();
    if user.is_empty() || user.len() > 63 || !user.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(invalid(format!("The parameter MasterUsername is not valid: {user}")));
    }
    if reserved.contains(&user) {
        let what = format!("MasterUsername {user} cannot be used as it is a reserved word used by the engine");
        return Err(invalid(what));
    }
    if !(1_150..=65_535).contains(&spec.port) {
        return Err(invalid(format!("Invalid database port: {}", spec.port)));
    }
    Ok(())
}

fn password(engine: &str, password: &Password) -> Result<(), Refusal> {
    let most = if engine == "mysql" { 41 } else { 128 };
    let fits = |c: char| c.is_ascii_graphic() && !"/@\"".contains(c);
    if !(8..=most).contains(&password.0.len()) || !password.0.chars().all(fits) {
        let what = "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.";
        return Err(invalid(what));
    }
    Ok(())
}

impl Turn<'_> {
    pub fn subnet_group_item(&self, group: &Entry<SubnetGroup>) -> Item {
        item(group, [("subnets", Value::list(group.subnets.clone())), ("arn", group.arn.as_str().into())])
    }

    fn subnet_group(&self, name: &str) -> Result<&Entry<SubnetGroup>, Refusal> {
        let missing = || refuse("DBSubnetGroupNotFoundFault", format!("DB subnet group '{name}' does not exist."));
        self.region.subnet_groups.get(name, self.now).map_err(|_| missing().status(404))
    }

    /// Source: RDS API reference, CreateDBSubnetGroup: one VPC, two zones (read 2026-11-25).
    fn covering(&self, subnets: &[String]) -> Result<(), Refusal> {
        let found: Result<Vec<&Entry<Subnet>>, Refusal> =
            subnets.iter().map(|id| self.region.subnets.get(id, self.now)).collect();
        let found = found.map_err(|_| refuse("InvalidSubnet", "Some input subnets are invalid."))?;
        let vpcs: BTreeSet<&str> = found.iter().map(|subnet| subnet.vpc.as_str()).collect();
        if vpcs.len() > 1 {
            return Err(refuse("InvalidSubnet", "The subnets are of different VPCs."));
        }
        let zones: BTreeSet<&str> = found.iter().map(|subnet| subnet.zone.as_str()).collect();
        if zones.len() < 2 {
            let what = "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Add subnets to cover at least 2 AZs.";
            return Err(refuse("DBSubnetGroupDoesNotCoverEnoughAZs", what));
        }
        Ok(())
    }

    pub fn create_subnet_group(&mut self, name: &str, description: &str, subnets: Vec<String>, tags: Tags) -> Answer {
        // Names are kept in lower case.
        let name = name.to_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
        if name.is_empty() || name.len() > 255 || name == "default" || !name.chars().all(fits) {
            return Err(invalid(format!("The parameter DBSubnetGroupName is not valid: {name}")));
        }
        if description.is_empty() {
            return Err(invalid("The parameter DBSubnetGroupDescription must be provided and must not be blank."));
        }
        super::tagging::check(&tags)?;
        if self.region.subnet_groups.peek(&name).is_some() {
            let what = format!("The DB subnet group '{name}' already exists.");
            return Err(refuse("DBSubnetGroupAlreadyExists", what));
        }
        self.covering(&subnets)?;
        let arn = format!("arn:aws:rds:{}:{}:subgrp:{name}", self.place.region, self.place.account);
        let seen = self.seen();
        let entry = self.region.subnet_groups.put(name, tags, seen, SubnetGroup { arn, subnets }).clone();
        reply(self.subnet_group_item(&entry))
    }

    /// Source: RDS API reference, ModifyDBSubnetGroup: SubnetAlreadyInUse (read 2026-11-25).
    pub fn modify_subnet_group(&mut self, name: &str, subnets: Vec<String>) -> Answer {
        let now = self.now;
        let group = self.subnet_group(name)?;
        self.covering(&subnets)?;
        let used = self.region.databases.all(now).any(|database| database.spec.subnet_group == name);
        if used && group.subnets.iter().any(|subnet| !subnets.contains(subnet)) {
            return Err(refuse("SubnetAlreadyInUse", "Some of the subnets to be removed are in use"));
        }
        self.region.subnet_groups.get_mut(name, now)?.subnets = subnets;
        NOTHING
    }

    pub fn delete_subnet_group(&mut self, name: &str) -> Answer {
        self.subnet_group(name)?;
        if self.region.databases.all(self.now).any(|database| database.spec.subnet_group == name) {
            let what = format!(
                "Cannot delete the subnet group '{name}' because at least one database instance is still using it."
            );
            return Err(refuse("InvalidDBSubnetGroupStateFault", what));
        }
        self.region.subnet_groups.remove(name);
        NOTHING
    }

    /// Where a database has interfaces. Which of the group's subnets it takes is not for the caller to know: all.
    pub fn database_subnets(&self, database: &Entry<Database>) -> Vec<String> {
        let group = self.region.subnet_groups.peek(&database.spec.subnet_group);
        group.map(|group| group.subnets.clone()).unwrap_or_default()
    }

    pub fn database_item(&self, database: &Entry<Database>) -> Item {
        let spec = &database.spec;
        let status = database.course.at(self.now);
        // Source: RDS API reference, DBInstance, Endpoint: not there while it is being created (read 2026-11-25).
        let address = Some(database.address.clone()).filter(|_| status != "creating");
        item(
            database,
            [
                ("engine", spec.engine.as_str().into()),
                ("type", spec.kind.as_str().into()),
                ("storage_type", spec.storage_type.as_str().into()),
                ("storage_gib", Value::Int(spec.storage_gib)),
                ("user", spec.user.as_str().into()),
                ("port", Value::Int(spec.port)),
                ("address", address.into()),
                ("status", status.into()),
                ("multi_az", spec.multi_az.into()),
                ("subnet_group", spec.subnet_group.as_str().into()),
                ("groups", Value::list(spec.groups.clone())),
                ("secret", database.secret.clone().into()),
                ("arn", database.arn.as_str().into()),
            ],
        )
    }

    fn check_groups(&self, spec: &api::Database) -> Result<(), Refusal> {
        let group = self.subnet_group(&spec.subnet_group)?;
        let vpc = group.subnets.first().and_then(|id| self.region.subnets.peek(id)).map(|subnet| subnet.vpc.clone());
        for id in &spec.groups {
            let group = self.region.groups.get(id, self.now);
            let group = group.map_err(|_| invalid(format!("Invalid security group, groupId= {id}, groupName=")))?;
            if Some(&group.vpc) != vpc.as_ref() {
                let what = "The DB instance and EC2 security group are in different VPCs.";
                return Err(refuse("InvalidVPCNetworkStateFault", what));
            }
        }
        Ok(())
    }

    pub fn create_database(
        &mut self,
        name: &str,
        spec: api::Database,
        secret: Option<&Password>,
        tags: Tags,
    ) -> Answer {
        identifier(name)?;
        let name = name.to_lowercase();
        check(&spec)?;
        if let Some(secret) = secret {
            password(&spec.engine, secret)?;
        }
        super::tagging::check(&tags)?;
        if self.region.databases.all(self.now).any(|database| database.id == name) {
            return Err(refuse("DBInstanceAlreadyExists", "DB instance already exists"));
        }
        self.check_groups(&spec)?;
        if self.region.databases.all(self.now).count() >= self.settings.quotas.databases {
            return Err(refuse("InstanceQuotaExceeded", "DB Instance quota exceeded"));
        }
        let Self { place, .. } = self;
        let (region, account) = (place.region.clone(), place.account.clone());
        let host = self.ids.hex("rds", 12);
        let managed = secret.is_none().then(|| {
            let digits = self.ids.hex("secret", 12);
            format!("arn:aws:secretsmanager:{region}:{account}:secret:rds!db-{digits}")
        });
        let time = self.settings.times.database;
        let steps = [(time * 3 / 4, "backing-up"), (time, "available")];
        let database = Database {
            arn: format!("arn:aws:rds:{region}:{account}:db:{name}"),
            address: format!("{name}.{host}.{region}.rds.amazonaws.com"),
            spec,
            secret: managed,
            course: Course::new(self.now, "creating", &steps),
        };
        let seen = self.seen();
        let entry = self.region.databases.put(name, tags, seen, database).clone();
        reply(self.database_item(&entry))
    }

    fn database(&self, name: &str) -> Result<&Entry<Database>, Refusal> {
        let missing = || refuse("DBInstanceNotFound", format!("DBInstance {name} not found.")).status(404);
        self.region.databases.get(name, self.now).map_err(|_| missing())
    }

    /// Source: RDS API reference, ModifyDBInstance: InvalidDBInstanceState; storage grows only (read 2026-11-25).
    pub fn modify_database(&mut self, name: &str, spec: api::Database) -> Answer {
        let (now, time) = (self.now, self.settings.times.database / 4);
        check(&spec)?;
        self.check_groups(&spec)?;
        let database = self.database(name)?;
        let status = database.course.at(now);
        if status != "available" {
            let what = format!("Database instance is not in available state: {status}.");
            return Err(refuse("InvalidDBInstanceState", what));
        }
        let before = &database.spec;
        if spec.storage_gib < before.storage_gib {
            return Err(refuse("InvalidParameterCombination", "Allocated storage size can't be decreased"));
        }
        if spec.engine != before.engine || spec.user != before.user || spec.subnet_group != before.subnet_group {
            return Err(refuse("InvalidParameterCombination", "The engine, the user and the network stay"));
        }
        let changed = *before != spec;
        let database = self.region.databases.get_mut(name, now)?;
        database.spec = spec;
        if changed {
            // The reply and the first looks still say that it is available.
            database.course.turn(now, "available", &[(seconds(5), "modifying"), (time, "available")]);
        }
        NOTHING
    }

    pub fn delete_database(&mut self, name: &str) -> Answer {
        let (now, time) = (self.now, self.settings.times.database_delete);
        let database = self.database(name)?;
        if database.course.at(now) == "deleting" {
            let what = format!("Instance {name} is already being deleted.");
            return Err(refuse("InvalidDBInstanceState", what));
        }
        self.region.databases.get_mut(name, now)?.course.turn(now, "deleting", &[(time, "deleted")]);
        NOTHING
    }

    /// Source: RDS API reference, AddTagsToResource; user guide, "Tagging Amazon RDS resources": at most 50 (read 2026-11-25).
    pub fn tag_database(&mut self, arn: &str, tags: Tags) -> Answer {
        let now = self.now;
        let database = self.region.databases.iter_mut().find(|database| database.arn == arn && !database.gone(now));
        let group = self.region.subnet_groups.iter_mut().find(|group| group.arn == arn);
        let own = database.map(|entry| &mut entry.tags).or(group.map(|entry| &mut entry.tags));
        let own = own.ok_or_else(|| refuse("DBInstanceNotFound", format!("{arn} not found.")).status(404))?;
        let mut all = own.clone();
        all.extend(tags);
        super::tagging::check(&all)?;
        *own = all;
        NOTHING
    }
}
