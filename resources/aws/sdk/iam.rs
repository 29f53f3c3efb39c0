//! Roles and instance profiles.

use super::{
    Sdk,
    item::{self, decoded, item, named, text, texts},
    malformed,
};
use crate::{
    api::{ApiError, Filter, Item, Request, Tags},
    error::is_absent,
};
use aws_sdk_iam::types::{InstanceProfile, Role, Tag};
use cloudtik_core::value::{Attrs, Value};
use futures::future::{try_join, try_join_all};

impl Sdk {
    pub(super) async fn roles(&self, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let name = named(filters, "name").ok_or_else(|| malformed("GetRole", "roles are listed by name"))?;
        let answer = match self.read("GetRole", || self.iam.get_role().role_name(name).send()).await {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            other => other?,
        };
        let Some(found) = answer.role() else { return Ok(Vec::new()) };
        let mut found = role(found);
        match try_join(self.inline(name), self.attached(name)).await {
            // It went between the calls.
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            answers => {
                let (policies, attached) = answers?;
                found.fields.insert("policies".into(), policies);
                found.fields.insert("attached".into(), attached);
            }
        }
        Ok(vec![found])
    }

    async fn inline(&self, role: &str) -> Result<Value, ApiError> {
        let ask =
            |from| self.iam.list_role_policies().role_name(role).set_marker(from).max_items(self.page(1000)).send();
        let pages = self.pages("ListRolePolicies", |page| page.marker(), ask).await?;
        let names = pages.iter().flat_map(|page| page.policy_names());
        let policies = names.map(|name| async move {
            let ask = || self.iam.get_role_policy().role_name(role).policy_name(name).send();
            let answer = self.read("GetRolePolicy", ask).await?;
            Ok::<_, ApiError>((name.clone(), Value::text(decoded(answer.policy_document(), false))))
        });
        Ok(Value::Map(try_join_all(policies).await?.into_iter().collect::<Attrs>()))
    }

    async fn attached(&self, role: &str) -> Result<Value, ApiError> {
        let ask = |from| {
            let call = self.iam.list_attached_role_policies().role_name(role);
            call.set_marker(from).max_items(self.page(1000)).send()
        };
        let pages = self.pages("ListAttachedRolePolicies", |page| page.marker(), ask).await?;
        let policies = pages.iter().flat_map(|page| page.attached_policies());
        Ok(texts(policies.filter_map(|policy| policy.policy_arn())))
    }

    pub(super) async fn instance_profiles(&self, filters: &[Filter]) -> Result<Vec<Item>, ApiError> {
        let names = match (named(filters, "name"), named(filters, "role")) {
            (Some(name), _) => vec![name.to_owned()],
            (None, Some(role)) => self.profiles_of(role).await?,
            _ => return Err(malformed("GetInstanceProfile", "profiles are listed by name or role")),
        };
        let profiles = names.iter().map(|name| async move {
            let ask = || self.iam.get_instance_profile().instance_profile_name(name).send();
            match self.read("GetInstanceProfile", ask).await {
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
                Ok(answer) => Ok(answer.instance_profile().map(profile)),
            }
        });
        Ok(try_join_all(profiles).await?.into_iter().flatten().collect())
    }

    async fn profiles_of(&self, role: &str) -> Result<Vec<String>, ApiError> {
        let ask = |from| {
            let call = self.iam.list_instance_profiles_for_role().role_name(role);
            call.set_marker(from).max_items(self.page(1000)).send()
        };
        match self.pages("ListInstanceProfilesForRole", |page| page.marker(), ask).await {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            pages => {
                let pages = pages?;
                let profiles = pages.iter().flat_map(|page| page.instance_profiles());
                Ok(profiles.map(|profile| profile.instance_profile_name().into()).collect())
            }
        }
    }

    pub(super) async fn call_iam(&self, request: Request) -> Result<Item, ApiError> {
        use Request::*;
        let (iam, action) = (&self.iam, request.action());
        let done = Ok(Item::default());
        macro_rules! send {
            ($call:expr) => {
                self.change(action, || $call.send()).await?
            };
        }
        match request {
            CreateRole { name, trust, description, tags } => {
                let tags = sdk_tags(action, tags)?;
                let answer = send!(
                    iam.create_role()
                        .role_name(&name)
                        .assume_role_policy_document(&trust)
                        .set_description(Some(description.clone()).filter(|d| !d.is_empty()))
                        .set_tags(tags.clone())
                );
                Ok(answer.role().map(role).unwrap_or_default())
            }
            UpdateRoleTrust { name, trust } => {
                send!(iam.update_assume_role_policy().role_name(&name).policy_document(&trust));
                done
            }
            PutRolePolicy { role, name, policy } => {
                send!(iam.put_role_policy().role_name(&role).policy_name(&name).policy_document(&policy));
                done
            }
            DeleteRolePolicy { role, name } => {
                send!(iam.delete_role_policy().role_name(&role).policy_name(&name));
                done
            }
            AttachRolePolicy { role, policy } => {
                send!(iam.attach_role_policy().role_name(&role).policy_arn(&policy));
                done
            }
            DetachRolePolicy { role, policy } => {
                send!(iam.detach_role_policy().role_name(&role).policy_arn(&policy));
                done
            }
            TagRole { name, tags } => {
                let tags = sdk_tags(action, tags)?;
                send!(iam.tag_role().role_name(&name).set_tags(tags.clone()));
                done
            }
            DeleteRole { name } => {
                send!(iam.delete_role().role_name(&name));
                done
            }
            CreateInstanceProfile { name, tags } => {
                let tags = sdk_tags(action, tags)?;
                let answer = send!(iam.create_instance_profile().instance_profile_name(&name).set_tags(tags.clone()));
                Ok(answer.instance_profile().map(profile).unwrap_or_default())
            }
            AddRoleToProfile { profile, role } => {
                send!(iam.add_role_to_instance_profile().instance_profile_name(&profile).role_name(&role));
                done
            }
            RemoveRoleFromProfile { profile, role } => {
                send!(iam.remove_role_from_instance_profile().instance_profile_name(&profile).role_name(&role));
                done
            }
            TagInstanceProfile { name, tags } => {
                let tags = sdk_tags(action, tags)?;
                send!(iam.tag_instance_profile().instance_profile_name(&name).set_tags(tags.clone()));
                done
            }
            DeleteInstanceProfile { name } => {
                send!(iam.delete_instance_profile().instance_profile_name(&name));
                done
            }
            other => Err(malformed(other.action(), "no call of IAM")),
        }
    }
}

fn role(role: &Role) -> Item {
    let fields = [
        ("arn", text(Some(role.arn()))),
        // Policies come escaped as in an address.
        ("trust", text(role.assume_role_policy_document().map(|document| decoded(document, false)))),
        ("description", text(role.description())),
    ];
    item(Some(role.role_name()), pairs(role.tags()), fields)
}

fn profile(profile: &InstanceProfile) -> Item {
    let fields = [
        ("name", text(Some(profile.instance_profile_name()))),
        ("arn", text(Some(profile.arn()))),
        ("roles", texts(profile.roles().iter().map(|role| role.role_name()))),
    ];
    item(Some(profile.instance_profile_name()), pairs(profile.tags()), fields)
}

fn pairs(tags: &[Tag]) -> Tags {
    item::tags(tags.iter().map(|tag| (Some(tag.key()), Some(tag.value()))))
}

fn sdk_tags(action: &str, tags: Tags) -> Result<Option<Vec<Tag>>, ApiError> {
    let tag = |(key, value)| Tag::builder().key(key).value(value).build().map_err(|e| malformed(action, e.to_string()));
    tags.into_iter().map(tag).collect::<Result<Vec<_>, _>>().map(Some)
}
