//! `instance-profile`: how a machine gets its role.

use super::{
    Kind,
    find::{self, Seen, attrs},
    named,
};
use crate::{
    api::{Api, ApiError, Item, Listing, Request},
    provider::{At, Options, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::Attrs,
};
use std::time::Duration;

pub(crate) struct InstanceProfile;

/// Source: IAM user guide, "Troubleshoot IAM: changes that I make are not always immediately visible" (read 2026-11-25).
const CAP: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(120);

fn outcome(name: &str, item: &Item) -> Outcome {
    Outcome { id: name.into(), outputs: attrs([("id", name.into()), ("arn", item.text("arn").into())]) }
}

fn roles(item: &Item) -> Vec<String> {
    item.fields.get("roles").map(texts).unwrap_or_default()
}

#[async_trait]
impl Kind for InstanceProfile {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("instance-profile").replace_on(&["name"]).takes(Durations {
            create: 800,
            ready: 1000,
            update: 800,
            delete: 800,
        });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let found = named::find(api, &Listing::InstanceProfiles, subjects).await?;
        Ok(find::observed(subjects, found, |_, item| Seen {
            // A profile holds one role at most.
            attributes: attrs([("role", roles(item).pop().unwrap_or_default().into())]),
            outputs: outcome(&item.id, item).outputs,
            healthy: Health::Ok,
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let name = at.text("name")?;
        let request = Request::CreateInstanceProfile { name: name.into(), tags: tags::on_create(at.call) };
        let item = named::create(at, request, Listing::InstanceProfiles, "an instance profile").await?;
        converge(at, name, &item).await?;
        Ok(outcome(name, &item))
    }

    /// Waits until the service shows it with its role. Machines may be refused it for some seconds more.
    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let role = at.text("role")?;
        let done = |item: Option<&Item>| Ok(item.is_some_and(|item| roles(item).iter().any(|held| held == role)));
        let filters = named::by_name(at.id());
        at.poll(Listing::InstanceProfiles, &filters, "the profile to become visible", CAP, LIMIT, done).await?;
        Ok(Attrs::new())
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = named::present(at, Listing::InstanceProfiles).await?;
        converge(at, at.id(), &item).await?;
        let tags = named::missing_tags(at.call, &item);
        if !tags.is_empty() {
            at.send(Request::TagInstanceProfile { name: at.id().into(), tags }).await?;
        }
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let profile = at.id();
        let item = at.one(Listing::InstanceProfiles, &named::by_name(profile)).await?;
        for role in item.iter().flat_map(roles) {
            at.remove(Request::RemoveRoleFromProfile { profile: profile.into(), role }).await?;
        }
        at.remove(Request::DeleteInstanceProfile { name: profile.into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        named::settle(at, Listing::InstanceProfiles, outcome).await
    }
}

/// Puts the declared role in the place of any other.
async fn converge(at: &At<'_>, profile: &str, item: &Item) -> Result<(), Failure> {
    let wanted = at.text("role")?;
    let held = roles(item);
    for role in held.iter().filter(|role| *role != wanted) {
        at.remove(Request::RemoveRoleFromProfile { profile: profile.into(), role: role.clone() }).await?;
    }
    if held.iter().any(|role| role == wanted) {
        return Ok(());
    }
    // The role or the profile may not be visible everywhere yet; a second time, the one place is taken.
    match at.send_to_new(Request::AddRoleToProfile { profile: profile.into(), role: wanted.into() }).await {
        Err(failure) if matches!(failure.kind, FailureKind::Exhausted | FailureKind::AlreadyExists) => {
            let item = at.one(Listing::InstanceProfiles, &named::by_name(profile)).await?;
            let held = item.is_some_and(|item| roles(&item).iter().any(|role| role == wanted));
            if held { Ok(()) } else { Err(failure) }
        }
        other => other.map(drop),
    }
}
