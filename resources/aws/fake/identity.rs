//! Roles and instance profiles: an account's, in all regions.

use super::{
    catalog,
    network::{NOTHING, item, reply},
    world::{Answer, Entry, Refusal, Thing, Time, Turn, refuse},
};
use crate::api::{Item, Tags};
use cloudtik_core::value::Value;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub arn: String,
    pub trust: String,
    pub description: String,
    pub policies: BTreeMap<String, String>,
    pub attached: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub arn: String,
    pub roles: Vec<String>,
    pub made: Time,
}

impl Thing for Role {
    const ABSENT: &'static str = "NoSuchEntity";
    const WHAT: &'static str = "role";
}

impl Thing for Profile {
    const ABSENT: &'static str = "NoSuchEntity";
    const WHAT: &'static str = "instance profile";
}

fn exists(what: &str, name: &str) -> Refusal {
    refuse("EntityAlreadyExists", format!("{what} with name {name} already exists.")).status(409)
}

fn conflict(what: &str) -> Refusal {
    refuse("DeleteConflict", format!("Cannot delete entity, must {what} first.")).status(409)
}

fn limit(what: &str, limit: usize) -> Refusal {
    refuse("LimitExceeded", format!("Cannot exceed quota for {what}: {limit}")).status(409)
}

/// Source: IAM API reference, CreateRole and CreateInstanceProfile, patterns of names (read 2026-11-25).
fn named(what: &str, name: &str, most: usize) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || name.len() > most || !name.chars().all(fits) {
        let what = format!(
            "1 validation error detected: Value '{name}' at '{what}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+"
        );
        return Err(refuse("ValidationError", what));
    }
    Ok(())
}

/// Source: IAM user guide, "IAM JSON policy elements reference": what a statement of an identity's policy and one of a trust
/// policy must and must not have (read 2026-11-25).
fn document(text: &str, trust: bool) -> Result<(), Refusal> {
    let malformed = |what: &str| refuse("MalformedPolicyDocument", what);
    let json: Json = serde_json::from_str(text).map_err(|_| malformed("Syntax errors in policy."))?;
    let version = json.get("Version").and_then(Json::as_str);
    if version.is_some_and(|version| !matches!(version, "2012-10-17" | "2008-10-17")) {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let known = |key: &String| matches!(key.as_str(), "Version" | "Id" | "Statement");
    let statements = match json.get("Statement") {
        Some(Json::Array(statements)) if !statements.is_empty() => statements.clone(),
        Some(one @ Json::Object(_)) => vec![one.clone()],
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    if !json.as_object().is_some_and(|object| object.keys().all(known)) {
        return Err(malformed("Syntax errors in policy."));
    }
    for statement in &statements {
        let has = |one: &str, other: &str| statement.get(one).is_some() || statement.get(other).is_some();
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return Err(malformed("Syntax errors in policy."));
        }
        if !has("Action", "NotAction") {
            return Err(malformed("Policy statement must contain actions."));
        }
        if trust {
            if !has("Principal", "NotPrincipal") {
                return Err(malformed("Missing required field Principal"));
            }
            if has("Resource", "NotResource") {
                return Err(malformed("Has prohibited field Resource"));
            }
        } else {
            if !has("Resource", "NotResource") {
                return Err(malformed("Policy statement must contain resources."));
            }
            if has("Principal", "NotPrincipal") {
                return Err(malformed("Policy document should not specify a principal."));
            }
        }
    }
    Ok(())
}

/// Source: IAM API reference, TagRole: at most 50; `aws:` is reserved (read 2026-11-25).
fn tagged(tags: &Tags) -> Result<(), Refusal> {
    if tags.len() > 50 {
        return Err(limit("TagsPerEntity", 50));
    }
    super::tagging::check(tags).map_err(|refusal| refuse("InvalidInput", refusal.message))
}

impl Turn<'_> {
    fn role(&self, name: &str) -> Result<&Entry<Role>, Refusal> {
        let missing = || refuse("NoSuchEntity", format!("The role with name {name} cannot be found.")).status(404);
        self.identity.roles.get(name, self.now).map_err(|_| missing())
    }

    fn role_mut(&mut self, name: &str) -> Result<&mut Entry<Role>, Refusal> {
        self.role(name)?;
        self.identity.roles.get_mut(name, self.now)
    }

    fn profile(&self, name: &str) -> Result<&Entry<Profile>, Refusal> {
        let missing = || refuse("NoSuchEntity", format!("Instance Profile {name} cannot be found.")).status(404);
        self.identity.profiles.get(name, self.now).map_err(|_| missing())
    }

    fn profile_mut(&mut self, name: &str) -> Result<&mut Entry<Profile>, Refusal> {
        self.profile(name)?;
        self.identity.profiles.get_mut(name, self.now)
    }

    pub fn role_item(&self, role: &Entry<Role>) -> Item {
        item(
            role,
            [
                ("arn", role.arn.as_str().into()),
                ("trust", role.trust.as_str().into()),
                ("description", role.description.as_str().into()),
                ("policies", Value::map(role.policies.clone())),
                ("attached", Value::list(role.attached.clone())),
            ],
        )
    }

    pub fn profile_item(&self, profile: &Entry<Profile>) -> Item {
        item(
            profile,
            [
                ("name", profile.id.as_str().into()),
                ("arn", profile.arn.as_str().into()),
                ("roles", Value::list(profile.roles.clone())),
            ],
        )
    }

    pub fn create_role(&mut self, name: &str, trust: &str, description: &str, tags: Tags) -> Answer {
        named("roleName", name, 64)?;
        document(trust, true)?;
        tagged(&tags)?;
        if self.identity.roles.peek(name).is_some() {
            return Err(exists("Role", name));
        }
        let role = Role {
            arn: format!("arn:aws:iam::{}:role/{name}", self.place.account),
            trust: trust.into(),
            description: description.into(),
            policies: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        let seen = self.seen();
        let entry = self.identity.roles.put(name.into(), tags, seen, role).clone();
        let mut item = self.role_item(&entry);
        item.fields.retain(|field, _| !matches!(field.as_str(), "policies" | "attached"));
        reply(item)
    }

    pub fn update_trust(&mut self, name: &str, trust: &str) -> Answer {
        document(trust, true)?;
        self.role_mut(name)?.trust = trust.into();
        NOTHING
    }

    /// Source: IAM user guide, "IAM and AWS STS quotas": 10,240 characters of inline policies a role, white space apart (read
    /// 2026-11-25).
    pub fn put_policy(&mut self, role: &str, name: &str, policy: &str) -> Answer {
        named("policyName", name, 128)?;
        document(policy, false)?;
        let role = self.role_mut(role)?;
        let size = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
        let others = role.policies.iter().filter(|(other, _)| *other != name);
        if others.map(|(_, text)| size(text)).sum::<usize>() + size(policy) > 10_240 {
            return Err(refuse("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role").status(409));
        }
        role.policies.insert(name.into(), policy.into());
        NOTHING
    }

    pub fn delete_policy(&mut self, role: &str, name: &str) -> Answer {
        if self.role_mut(role)?.policies.remove(name).is_none() {
            let what = format!("The role policy with name {name} cannot be found.");
            return Err(refuse("NoSuchEntity", what).status(404));
        }
        NOTHING
    }

    /// Source: IAM API reference, AttachRolePolicy; quotas: 10 managed policies a role (read 2026-11-25).
    pub fn attach_policy(&mut self, role: &str, policy: &str) -> Answer {
        let role = self.role_mut(role)?;
        if !catalog::is_managed(policy) {
            let what = format!("Policy {policy} does not exist or is not attachable.");
            return Err(refuse("NoSuchEntity", what).status(404));
        }
        if role.attached.len() >= 10 && !role.attached.contains(policy) {
            return Err(limit("PoliciesPerRole", 10));
        }
        role.attached.insert(policy.into());
        NOTHING
    }

    pub fn detach_policy(&mut self, role: &str, policy: &str) -> Answer {
        if !self.role_mut(role)?.attached.remove(policy) {
            let what = format!("Policy {policy} was not found.");
            return Err(refuse("NoSuchEntity", what).status(404));
        }
        NOTHING
    }

    pub fn tag_role(&mut self, name: &str, tags: Tags) -> Answer {
        let mut all = self.role(name)?.tags.clone();
        all.extend(tags);
        tagged(&all)?;
        self.role_mut(name)?.tags = all;
        NOTHING
    }

    /// Source: IAM API reference, DeleteRole: not with policies, nor in a profile (read 2026-11-25).
    pub fn delete_role(&mut self, name: &str) -> Answer {
        let role = self.role(name)?;
        if !role.policies.is_empty() {
            return Err(conflict("delete policies"));
        }
        if !role.attached.is_empty() {
            return Err(conflict("detach all policies"));
        }
        if self.identity.profiles.all(self.now).any(|p| p.roles.iter().any(|role| role == name)) {
            return Err(conflict("remove roles from instance profile"));
        }
        self.identity.roles.remove(name);
        NOTHING
    }

    pub fn create_profile(&mut self, name: &str, tags: Tags) -> Answer {
        named("instanceProfileName", name, 128)?;
        tagged(&tags)?;
        if self.identity.profiles.peek(name).is_some() {
            return Err(exists("Instance Profile", name));
        }
        let arn = format!("arn:aws:iam::{}:instance-profile/{name}", self.place.account);
        let (seen, made) = (self.seen(), self.now);
        let profile = Profile { arn, roles: Vec::new(), made };
        let entry = self.identity.profiles.put(name.into(), tags, seen, profile).clone();
        reply(self.profile_item(&entry))
    }

    /// Source: IAM API reference, AddRoleToInstanceProfile: one role a profile (read 2026-11-25).
    pub fn add_role(&mut self, profile: &str, role: &str) -> Answer {
        self.role(role)?;
        let profile = self.profile_mut(profile)?;
        if !profile.roles.is_empty() {
            return Err(limit("InstanceSessionsPerInstanceProfile", 1));
        }
        profile.roles.push(role.into());
        NOTHING
    }

    pub fn remove_role(&mut self, profile: &str, role: &str) -> Answer {
        let entry = self.profile_mut(profile)?;
        if !entry.roles.iter().any(|own| own == role) {
            let what = format!("The role with name {role} cannot be found in {profile}.");
            return Err(refuse("NoSuchEntity", what).status(404));
        }
        entry.roles.retain(|own| own != role);
        NOTHING
    }

    pub fn tag_profile(&mut self, name: &str, tags: Tags) -> Answer {
        let mut all = self.profile(name)?.tags.clone();
        all.extend(tags);
        tagged(&all)?;
        self.profile_mut(name)?.tags = all;
        NOTHING
    }

    pub fn delete_profile(&mut self, name: &str) -> Answer {
        if !self.profile(name)?.roles.is_empty() {
            return Err(conflict("remove roles from instance profile"));
        }
        self.identity.profiles.remove(name);
        NOTHING
    }
}
