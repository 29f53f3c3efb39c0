//! `role`: who machines are, and what that lets them do.
//!
//! The role is wholly ours: policies that no document speaks of show in the plan and go.

use super::{
    Kind,
    find::{self, Seen, attrs},
    named,
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    provider::{At, Options, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::Failure,
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::Value,
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};

pub(crate) struct Role;

/// `id` is the name, known only once the role is there: a profile that refers to it takes a role that was made anew.
fn outcome(name: &str, item: &Item) -> Outcome {
    Outcome { id: name.into(), outputs: attrs([("id", name.into()), ("arn", item.text("arn").into())]) }
}

#[async_trait]
impl Kind for Role {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("role")
            .replace_on(&["name", "description"])
            .canonical(Canonical::Json, &["trust"])
            .canonical(Canonical::Set, &["attached"])
            .takes(Durations { create: 1500, ready: 0, update: 800, delete: 1500 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let found = named::find(api, &Listing::Roles, subjects).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let seen = attrs([
                ("trust", item.text("trust").into()),
                ("policies", policies_seen(item, subject)),
                ("attached", Value::list(item.fields.get("attached").map(texts).unwrap_or_default())),
            ]);
            let mut attributes = named::spoken_of(subject, seen.clone());
            // What nobody speaks of is a difference only if there is some.
            attributes.extend(seen.into_iter().filter(|(_, value)| !is_empty(value)));
            Seen { attributes, outputs: outcome(&item.id, item).outputs, healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let name = at.text("name")?;
        let request = Request::CreateRole {
            name: name.into(),
            trust: at.text("trust")?.into(),
            description: at.attribute("description").as_text().unwrap_or_default().into(),
            tags: tags::on_create(at.call),
        };
        let item = named::create(at, request, Listing::Roles, "a role").await?;
        converge(at, name, &item).await?;
        Ok(outcome(name, &item))
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = named::present(at, Listing::Roles).await?;
        if json(item.text("trust")) != json(at.text("trust")?) {
            let trust = at.text("trust")?.into();
            at.send(Request::UpdateRoleTrust { name: at.id().into(), trust }).await?;
        }
        converge(at, at.id(), &item).await?;
        let tags = named::missing_tags(at.call, &item);
        if !tags.is_empty() {
            at.send(Request::TagRole { name: at.id().into(), tags }).await?;
        }
        Ok(Outcome::default())
    }

    /// The service refuses to delete a role that still has anything.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let name = at.id();
        let Some(item) = at.one(Listing::Roles, &named::by_name(name)).await? else { return Ok(()) };
        take_away(at, name, policies(&item).into_keys(), texts_of(&item, "attached")).await?;
        for profile in at.list(Listing::InstanceProfiles, &[Filter::is("role", name)]).await? {
            let profile = profile.text("name").to_owned();
            at.remove(Request::RemoveRoleFromProfile { profile, role: name.into() }).await?;
        }
        at.remove(Request::DeleteRole { name: name.into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        named::settle(at, Listing::Roles, outcome).await
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Map(entries) => entries.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

fn texts_of(item: &Item, field: &str) -> Vec<String> {
    item.fields.get(field).map(texts).unwrap_or_default()
}

/// Name to text of the inline policies.
fn policies(item: &Item) -> BTreeMap<String, String> {
    declared_policies(item.fields.get("policies").unwrap_or(&Value::Unset))
}

fn declared_policies(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_map().into_iter().flatten();
    entries.filter_map(|(name, text)| Some((name.clone(), text.as_text()?.to_owned()))).collect()
}

fn json(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

/// The policies that are there, in the spelling of the documents where they mean the same.
fn policies_seen(item: &Item, subject: &Subject) -> Value {
    let spelled = |name: &str, text: &str| {
        let recorded = subject.record.as_ref().and_then(|record| record.attributes.get("policies"));
        let known = [subject.declared.get("policies"), recorded].into_iter().flatten();
        let mut spellings = known.filter_map(|policies| policies.as_map()?.get(name)?.as_text());
        spellings.find(|known| json(known).is_some() && json(known) == json(text)).unwrap_or(text).to_owned()
    };
    Value::map(policies(item).iter().map(|(name, text)| (name.clone(), spelled(name, text))))
}

/// Puts what is missing or different, then takes away what is too much.
async fn converge(at: &At<'_>, name: &str, item: &Item) -> Result<(), Failure> {
    let (wanted, there) = (declared_policies(at.attribute("policies")), policies(item));
    let (to_attach, attached) = (at.texts("attached"), texts_of(item, "attached"));
    for (policy, text) in &wanted {
        let same = there.get(policy).is_some_and(|there| json(there) == json(text));
        if !same {
            let request = Request::PutRolePolicy { role: name.into(), name: policy.clone(), policy: text.clone() };
            at.send_to_new(request).await?;
        }
    }
    for policy in to_attach.iter().filter(|policy| !attached.contains(policy)) {
        at.send_to_new(Request::AttachRolePolicy { role: name.into(), policy: policy.clone() }).await?;
    }
    let surplus = there.into_keys().filter(|policy| !wanted.contains_key(policy));
    take_away(at, name, surplus, attached.into_iter().filter(|policy| !to_attach.contains(policy)).collect()).await
}

async fn take_away(
    at: &At<'_>,
    role: &str,
    inline: impl Iterator<Item = String>,
    attached: Vec<String>,
) -> Result<(), Failure> {
    for name in inline {
        at.remove(Request::DeleteRolePolicy { role: role.into(), name }).await?;
    }
    for policy in attached {
        at.remove(Request::DetachRolePolicy { role: role.into(), policy }).await?;
    }
    Ok(())
}
