//! Managed databases and the subnets they may be in.

use super::{
    Sdk,
    item::{self, flag, int, item, named, tagged, text, texts},
    malformed,
};
use crate::{
    api::{ApiError, Database, Filter, Item, Request, Tags},
    error::is_absent,
};
use aws_sdk_rds::types::{DbInstance, DbSubnetGroup, Tag};

impl Sdk {
    pub(super) async fn db_subnet_groups(&self, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let name = named(filters, "name").map(String::from);
        let ask = |from| {
            let call = self.rds.describe_db_subnet_groups().set_db_subnet_group_name(name.clone());
            call.set_marker(from).max_records(self.records()).send()
        };
        let pages = match self.pages("DescribeDBSubnetGroups", |page| page.marker(), ask).await {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            other => other?,
        };
        let mut groups = Vec::new();
        for group in pages.iter().flat_map(|page| page.db_subnet_groups()) {
            let mut group = subnet_group(group);
            let arn = group.text("arn").to_owned();
            let ask = || self.rds.list_tags_for_resource().resource_name(&arn).send();
            match self.read("ListTagsForResource", ask).await {
                // It went between the calls.
                Err(error) if is_absent(&error) => continue,
                answer => group.tags = pairs(answer?.tag_list()),
            }
            groups.extend(Some(group).filter(|g| tagged(g, filters)));
        }
        Ok(groups)
    }

    pub(super) async fn databases(&self, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let name = named(filters, "name").map(String::from);
        let ask = |from| {
            let call = self.rds.describe_db_instances().set_db_instance_identifier(name.clone());
            call.set_marker(from).max_records(self.records()).send()
        };
        match self.pages("DescribeDBInstances", |page| page.marker(), ask).await {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            pages => {
                let pages = pages?;
                let all = pages.iter().flat_map(|page| page.db_instances()).map(database);
                Ok(all.filter(|database| tagged(database, filters)).collect())
            }
        }
    }

    /// RDS takes 20 to 100.
    fn records(&self) -> i32 {
        self.page(100).max(20)
    }

    pub(super) async fn call_rds(&self, request: Request) -> Result<Item, ApiError> {
        use Request::*;
        let (rds, action) = (&self.rds, request.action());
        let done = Ok(Item::default());
        macro_rules! send {
            ($call:expr) => {
                self.change(action, || $call.send()).await?
            };
        }
        match request {
            CreateDbSubnetGroup { name, description, subnets, tags } => {
                let tags = sdk_tags(tags);
                let answer = send!(
                    rds.create_db_subnet_group()
                        .db_subnet_group_name(&name)
                        .db_subnet_group_description(&description)
                        .set_subnet_ids(Some(subnets.clone()))
                        .set_tags(tags.clone())
                );
                Ok(answer.db_subnet_group().map(subnet_group).unwrap_or_default())
            }
            ModifyDbSubnetGroup { name, subnets } => {
                send!(rds.modify_db_subnet_group().db_subnet_group_name(&name).set_subnet_ids(Some(subnets.clone())));
                done
            }
            DeleteDbSubnetGroup { name } => {
                send!(rds.delete_db_subnet_group().db_subnet_group_name(&name));
                done
            }
            CreateDatabase { name, spec, password, tags } => {
                let (tags, managed) = (sdk_tags(tags), password.is_none().then_some(true));
                let (storage, port) = (short(action, spec.storage_gib)?, short(action, spec.port)?);
                let answer = send!(
                    rds.create_db_instance()
                        .db_instance_identifier(&name)
                        .engine(&spec.engine)
                        .db_instance_class(&spec.kind)
                        .storage_type(&spec.storage_type)
                        .allocated_storage(storage)
                        .master_username(&spec.user)
                        .set_master_user_password(password.as_ref().map(|p| p.0.clone()))
                        .set_manage_master_user_password(managed)
                        .port(port)
                        .multi_az(spec.multi_az)
                        .db_subnet_group_name(&spec.subnet_group)
                        .set_vpc_security_group_ids(Some(spec.groups.clone()))
                        .publicly_accessible(false)
                        .set_tags(tags.clone())
                );
                Ok(answer.db_instance().map(database).unwrap_or_default())
            }
            ModifyDatabase { name, spec } => self.modify_database(action, &name, &spec).await,
            DeleteDatabase { name } => {
                send!(
                    rds.delete_db_instance()
                        .db_instance_identifier(&name)
                        .skip_final_snapshot(true)
                        .delete_automated_backups(true)
                );
                done
            }
            TagDatabase { arn, tags } => {
                let tags = sdk_tags(tags);
                send!(rds.add_tags_to_resource().resource_name(&arn).set_tags(tags.clone()));
                done
            }
            other => Err(malformed(other.action(), "no call of RDS")),
        }
    }

    /// Sends what differs: RDS takes some values, such as storage, only when they change.
    async fn modify_database(&self, action: &'static str, name: &str, spec: &Database) -> Result<Item, ApiError> {
        let now = self.databases(&[Filter::is("name", name)]).await?;
        let now = now.into_iter().next().unwrap_or_default();
        let number = |field: &str| now.fields.get(field).and_then(|v| v.as_int());
        let word = |field: &str, wanted: &str| (now.text(field) != wanted).then(|| wanted.to_owned());
        let storage = (number("storage_gib") != Some(spec.storage_gib)).then_some(spec.storage_gib);
        let port = (number("port") != Some(spec.port)).then_some(spec.port);
        let (storage, port) =
            (storage.map(|n| short(action, n)).transpose()?, port.map(|n| short(action, n)).transpose()?);
        let mut groups = spec.groups.clone();
        groups.sort();
        let groups = (now.fields.get("groups") != Some(&texts(&groups))).then_some(groups);
        let ask = || {
            self.rds
                .modify_db_instance()
                .db_instance_identifier(name)
                .apply_immediately(true)
                .set_db_instance_class(word("type", &spec.kind))
                .set_storage_type(word("storage_type", &spec.storage_type))
                .set_allocated_storage(storage)
                .set_db_port_number(port)
                .set_multi_az((now.flag("multi_az") != spec.multi_az).then_some(spec.multi_az))
                .set_vpc_security_group_ids(groups.clone())
                .send()
        };
        self.change(action, ask).await?;
        Ok(Item::default())
    }
}

fn subnet_group(group: &DbSubnetGroup) -> Item {
    let fields = [
        ("subnets", texts(group.subnets().iter().filter_map(|s| s.subnet_identifier()))),
        ("arn", text(group.db_subnet_group_arn())),
    ];
    item(group.db_subnet_group_name(), Tags::new(), fields)
}

fn database(db: &DbInstance) -> Item {
    let endpoint = db.endpoint();
    // While it is being made there is no endpoint yet.
    let port = endpoint.and_then(|e| e.port()).or(db.db_instance_port().filter(|port| *port > 0));
    let mut groups: Vec<&str> = db.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).collect();
    groups.sort();
    let fields = [
        ("engine", text(db.engine())),
        ("type", text(db.db_instance_class())),
        ("storage_type", text(db.storage_type())),
        ("storage_gib", int(db.allocated_storage())),
        ("user", text(db.master_username())),
        ("port", int(port)),
        ("address", text(endpoint.and_then(|e| e.address()))),
        ("status", text(db.db_instance_status())),
        ("multi_az", flag(db.multi_az())),
        ("subnet_group", text(db.db_subnet_group().and_then(|g| g.db_subnet_group_name()))),
        ("groups", texts(groups)),
        ("secret", text(db.master_user_secret().and_then(|s| s.secret_arn()))),
        ("arn", text(db.db_instance_arn())),
    ];
    item(db.db_instance_identifier(), pairs(db.tag_list()), fields)
}

fn pairs(tags: &[Tag]) -> Tags {
    item::tags(tags.iter().map(|tag| (tag.key(), tag.value())))
}

fn sdk_tags(tags: Tags) -> Option<Vec<Tag>> {
    Some(tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect())
}

fn short(action: &str, number: i64) -> Result<i32, ApiError> {
    i32::try_from(number).map_err(|_| malformed(action, format!("{number} is too large")))
}
