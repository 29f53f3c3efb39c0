//! Tags of EC2 objects.

use super::{
    network::NOTHING,
    world::{Answer, Entry, Refusal, Table, Thing, Time, Turn, refuse},
};
use crate::api::Tags;

/// Source: EC2 user guide, "Tag your Amazon EC2 resources", restrictions (read 2026-11-25).
pub(super) fn check(tags: &Tags) -> Result<(), Refusal> {
    if tags.len() > 50 {
        return Err(refuse("TagLimitExceeded", "The maximum number of tags for the resource has been reached."));
    }
    for (key, value) in tags {
        if key.to_lowercase().starts_with("aws:") {
            let what = "Tag keys starting with 'aws:' are reserved for internal use";
            return Err(refuse("InvalidParameterValue", what));
        }
        if key.is_empty() || key.chars().count() > 128 {
            let what = format!("Tag key exceeds the maximum length of 128 characters or is empty: '{key}'");
            return Err(refuse("InvalidParameterValue", what));
        }
        if value.chars().count() > 256 {
            let what = format!("Tag value exceeds the maximum length of 256 characters: '{value}'");
            return Err(refuse("InvalidParameterValue", what));
        }
    }
    Ok(())
}

fn tags_in<'t, T: Thing>(table: &'t mut Table<T>, id: &str, now: Time) -> Result<&'t mut Tags, Refusal> {
    table.get_mut(id, now).map(|entry| &mut entry.tags)
}

impl Turn<'_> {
    /// The tags of an object of any kind.
    /// Source: error codes InvalidID and `Invalid…ID.NotFound`, EC2 API reference (read 2026-11-25): the first for what is
    /// no id of a kind that has tags.
    fn tags_of(&mut self, id: &str) -> Result<&mut Tags, Refusal> {
        let now = self.now;
        let region = &mut *self.region;
        match id.split_once('-').map_or("", |(prefix, _)| prefix) {
            "vpc" => tags_in(&mut region.vpcs, id, now),
            "subnet" => tags_in(&mut region.subnets, id, now),
            "igw" => tags_in(&mut region.gateways, id, now),
            "rtb" => tags_in(&mut region.tables, id, now),
            "eipalloc" => tags_in(&mut region.addresses, id, now),
            "nat" => tags_in(&mut region.nats, id, now),
            "vpce" => tags_in(&mut region.endpoints, id, now),
            "sg" => tags_in(&mut region.groups, id, now),
            "pcx" => tags_in(&mut region.peerings, id, now),
            "i" => tags_in(&mut region.instances, id, now),
            "vol" => tags_in(&mut region.volumes, id, now),
            "lt" => tags_in(&mut region.templates, id, now),
            "key" => {
                let name = region.keys.seen(now).find(|key| key.pair == id).map(|key| key.id.clone());
                let missing = || refuse("InvalidKeyPair.NotFound", format!("The key pair '{id}' does not exist"));
                let name = name.ok_or_else(missing)?;
                tags_in(&mut region.keys, &name, now)
            }
            _ => Err(refuse("InvalidID", format!("The ID '{id}' is not valid"))),
        }
    }

    /// On all of the objects or on none.
    pub fn create_tags(&mut self, ids: &[String], tags: &Tags) -> Answer {
        if ids.is_empty() || tags.is_empty() {
            return Err(refuse("MissingParameter", "The request must contain resources and tags"));
        }
        check(tags)?;
        for id in ids {
            let mut all = self.tags_of(id)?.clone();
            all.extend(tags.clone());
            check(&all)?;
        }
        for id in ids {
            self.tags_of(id)?.extend(tags.clone());
        }
        NOTHING
    }

    pub fn delete_tags(&mut self, ids: &[String], keys: &[String]) -> Answer {
        for id in ids {
            self.tags_of(id)?;
        }
        for id in ids {
            let tags = self.tags_of(id)?;
            keys.iter().for_each(|key| drop(tags.remove(key)));
        }
        NOTHING
    }
}

/// What stays of an entry when its thing is of no interest.
pub(super) fn head<T>(entry: &Entry<T>) -> (String, Tags) {
    (entry.id.clone(), entry.tags.clone())
}
