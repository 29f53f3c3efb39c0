//! Security groups and key pairs.

use super::{
    network::{NOTHING, item, only, range, reply},
    text,
    world::{Answer, Entry, Refusal, Thing, Time, Turn, refuse},
};
use crate::{
    api::{Item, Tags},
    rules::{Rule, Source},
};
use cloudtik_core::value::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub vpc: String,
    pub name: String,
    pub description: String,
    /// Sources are ids, never words.
    pub ingress: BTreeSet<Rule>,
}

#[derive(Clone, Debug)]
pub(super) struct KeyPair {
    /// `key-…`, which tags go by.
    pub pair: String,
    pub public: String,
    pub fingerprint: String,
}

impl Thing for Group {
    const ABSENT: &'static str = "InvalidGroup.NotFound";
    const WHAT: &'static str = "security group";
}

impl Thing for KeyPair {
    const ABSENT: &'static str = "InvalidKeyPair.NotFound";
    const WHAT: &'static str = "key pair";
}

impl Turn<'_> {
    pub fn group_item(&self, group: &Entry<Group>) -> Item {
        item(
            group,
            [
                ("vpc", group.vpc.as_str().into()),
                ("name", group.name.as_str().into()),
                ("description", group.description.as_str().into()),
                ("ingress", Value::list(group.ingress.iter().map(Rule::to_string))),
            ],
        )
    }

    /// Source: EC2 API reference, CreateSecurityGroup: up to 255 of the allowed characters, not beginning with `sg-`, unique
    /// in the VPC (read 2026-11-25).
    pub fn create_group(&mut self, vpc: &str, name: &str, description: &str, tags: Tags) -> Answer {
        self.region.vpcs.get(vpc, self.now)?;
        let allowed = |text: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
            !text.is_empty() && text.len() <= 255 && text.chars().all(fits)
        };
        for (what, text) in [("groupName", name), ("GroupDescription", description)] {
            if !allowed(text) {
                let what = format!(
                    "Value ({text}) for parameter {what} is invalid. Character sets beyond ASCII are not supported."
                );
                return Err(refuse("InvalidParameterValue", what));
            }
        }
        if name.starts_with("sg-") {
            let what = format!(
                "Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*."
            );
            return Err(refuse("InvalidParameterValue", what));
        }
        if self.region.groups.all(self.now).any(|g| g.vpc == vpc && g.name == name) {
            let what = format!("The security group '{name}' already exists for VPC '{vpc}'");
            return Err(refuse("InvalidGroup.Duplicate", what));
        }
        let seen = self.seen();
        let id = self.new_group(vpc, name, description, tags, seen);
        // A new group of the user's lets nothing in; only the default one lets its members in.
        if let Some(group) = self.region.groups.peek_mut(&id) {
            group.ingress.clear();
        }
        only(id)
    }

    pub fn new_group(&mut self, vpc: &str, name: &str, description: &str, tags: Tags, seen: Time) -> String {
        let id = self.ids.next("sg");
        let members = Rule { protocol: "all".into(), ports: None, source: Source::Group(id.clone()) };
        let group =
            Group { vpc: vpc.into(), name: name.into(), description: description.into(), ingress: [members].into() };
        self.region.groups.put(id.clone(), tags, seen, group);
        id
    }

    /// The rules of a request as the service keeps them.
    fn rules(&self, rules: &[String]) -> Result<BTreeSet<Rule>, Refusal> {
        let mut kept = BTreeSet::new();
        for text in rules {
            let malformed = || refuse("InvalidParameterValue", format!("Invalid value '{text}' for ipPermissions"));
            let mut rule: Rule = text.parse().map_err(|_| malformed())?;
            rule.source = match rule.source {
                // Nobody but us says `self` or `vpc`.
                Source::Word(_) => return Err(malformed()),
                // Source: EC2 API reference, IpRange: ranges are brought to canonical form (read 2026-11-25).
                Source::V4(cidr) => Source::V4(range(&cidr)?.to_string()),
                other => other,
            };
            let ports = match (rule.protocol.as_str(), rule.ports) {
                ("tcp" | "udp", None) => {
                    let what = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
                    return Err(refuse("InvalidParameterValue", what));
                }
                ("tcp" | "udp", Some((from, to))) if !(0..=65_535).contains(&from) || from > to || to > 65_535 => {
                    let what = format!("Invalid TCP/UDP port range ({from}:{to})");
                    return Err(refuse("InvalidParameterValue", what));
                }
                // All protocols have all ports, whatever the request says.
                ("all", _) => None,
                (_, ports) => ports,
            };
            rule.ports = ports;
            if !kept.insert(rule) {
                let what = "The same permission must not appear multiple times";
                return Err(refuse("InvalidParameterValue", what));
            }
        }
        if kept.is_empty() {
            return Err(refuse(
                "MissingParameter",
                "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.",
            ));
        }
        Ok(kept)
    }

    /// All rules of the request or none.
    /// Source: EC2 API reference, AuthorizeSecurityGroupIngress, error codes InvalidPermission.Duplicate and
    /// RulesPerSecurityGroupLimitExceeded (read 2026-11-25).
    pub fn authorize(&mut self, group: &str, rules: &[String]) -> Answer {
        let now = self.now;
        let entry = self.region.groups.get(group, now)?;
        let rules = self.rules(rules)?;
        for rule in &rules {
            if let Source::Group(source) = &rule.source {
                let source_vpc = &self.region.groups.get(source, now)?.vpc;
                let peered = |p: &Entry<super::routes::Peering>| {
                    let ends = [&p.requester, &p.accepter];
                    p.course.at(now) == "active" && ends.contains(&source_vpc) && ends.contains(&&entry.vpc)
                };
                if *source_vpc != entry.vpc && !self.region.peerings.all(now).any(peered) {
                    let what = format!(
                        "You have specified two resources that belong to different networks: {source}, {group}"
                    );
                    return Err(refuse("InvalidGroup.NotFound", what));
                }
            }
            if entry.ingress.contains(rule) {
                let what = format!("the specified rule \"peer: {rule}, ALLOW\" already exists");
                return Err(refuse("InvalidPermission.Duplicate", what));
            }
        }
        if entry.ingress.len() + rules.len() > self.settings.quotas.rules {
            let what = "The maximum number of rules per security group has been reached.";
            return Err(refuse("RulesPerSecurityGroupLimitExceeded", what));
        }
        self.region.groups.get_mut(group, now)?.ingress.extend(rules);
        NOTHING
    }

    /// Source: EC2 API reference, RevokeSecurityGroupIngress: InvalidPermission.NotFound and nothing revoked, but in a
    /// default VPC no error (read 2026-11-25).
    pub fn revoke(&mut self, group: &str, rules: &[String]) -> Answer {
        let now = self.now;
        let rules = self.rules(rules)?;
        let entry = self.region.groups.get(group, now)?;
        let forgiving = self.region.vpcs.peek(&entry.vpc).is_some_and(|vpc| vpc.is_default);
        if !forgiving && !rules.is_subset(&entry.ingress) {
            let what = "The specified rule does not exist in this security group.";
            return Err(refuse("InvalidPermission.NotFound", what));
        }
        self.region.groups.get_mut(group, now)?.ingress.retain(|rule| !rules.contains(rule));
        NOTHING
    }

    /// Source: EC2 API reference, DeleteSecurityGroup: DependencyViolation while an interface has it or another group's rule
    /// names it (read 2026-11-25).
    pub fn delete_group(&mut self, id: &str) -> Answer {
        let now = self.now;
        let group = self.region.groups.get(id, now)?;
        if group.name == "default" {
            let what = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
            return Err(refuse("CannotDelete", what));
        }
        let region = &*self.region;
        let has = |groups: &[String]| groups.iter().any(|group| group == id);
        let named =
            |g: &Entry<Group>| g.id != id && g.ingress.iter().any(|rule| rule.source == Source::Group(id.to_owned()));
        let used = region.instances.all(now).any(|i| i.course.at(now) != "terminated" && has(&i.groups))
            || region.databases.all(now).any(|d| has(&d.spec.groups))
            || region.groups.all(now).any(named);
        if used {
            return Err(refuse("DependencyViolation", format!("resource {id} has a dependent object")));
        }
        self.region.groups.remove(id);
        NOTHING
    }

    pub fn key_item(&self, key: &Entry<KeyPair>) -> Item {
        item(
            key,
            [
                ("name", key.id.as_str().into()),
                ("fingerprint", key.fingerprint.as_str().into()),
                ("public", key.public.as_str().into()),
                ("@pair", key.pair.as_str().into()),
            ],
        )
    }

    /// Source: EC2 user guide, "Create a key pair", "Import a public key": RSA of 1024, 2048 or 4096 bits or ED25519, in
    /// OpenSSH's form among others (read 2026-11-25).
    pub fn import_key(&mut self, name: &str, public: &str, tags: Tags) -> Answer {
        if name.is_empty() || name.len() > 255 || !name.is_ascii() {
            return Err(refuse("InvalidParameterValue", format!("Invalid value '{name}' for keyPairName.")));
        }
        if self.region.keys.peek(name).is_some() {
            let what = format!("The keypair '{name}' already exists.");
            return Err(refuse("InvalidKeyPair.Duplicate", what));
        }
        let malformed = || refuse("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
        let mut words = public.split_whitespace();
        let (kind, blob) = (words.next().ok_or_else(malformed)?, words.next().ok_or_else(malformed)?);
        let blob = text::from_base64(blob).ok_or_else(malformed)?;
        // A key blob begins with the length and name of its kind.
        let inner = blob.get(4..4 + kind.len()).ok_or_else(malformed)?;
        let ed25519 = kind == "ssh-ed25519" && blob.len() == 51;
        let rsa = kind == "ssh-rsa" && (140..=600).contains(&blob.len());
        if inner != kind.as_bytes() || !(ed25519 || rsa) {
            return Err(malformed());
        }
        let digest = Sha256::digest(&blob);
        let fingerprint = if ed25519 {
            text::base64(&digest)
        } else {
            digest[..16].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
        };
        let (pair, seen) = (self.ids.next("key"), self.seen());
        let key = KeyPair { pair, public: public.trim().into(), fingerprint };
        let entry = self.region.keys.put(name.into(), tags, seen, key).clone();
        reply(self.key_item(&entry))
    }

    /// One that is not there is deleted already.
    pub fn delete_key(&mut self, name: &str) -> Answer {
        self.region.keys.remove(name);
        NOTHING
    }
}
