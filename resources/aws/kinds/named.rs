//! Objects that their service finds by name alone: roles, profiles, buckets, databases.
//!
//! A name is unique (in the account, in the region, or everywhere), so nothing can be made twice; whose an object is, its
//! marks say, and one without them is never taken for ours.

use crate::{
    api::{Api, ApiError, Cause, Filter, Item, Listing, Request, Tags},
    error,
    provider::At,
    tags,
};
use cloudtik_core::{
    failure::{Failure, FailureKind, Retry},
    provider::{Call, Outcome, Settled, Subject},
    value::{Attrs, Value},
};
use futures::future::try_join_all;

pub(crate) fn by_name(name: &str) -> [Filter; 1] {
    [Filter::is("name", name)]
}

/// The object of each subject, in their order, its name as id: one look each, all at the same time.
pub(crate) async fn find(
    api: &dyn Api,
    listing: &Listing,
    subjects: &[Subject],
) -> Result<Vec<Option<Item>>, ApiError> {
    try_join_all(subjects.iter().map(|subject| async move {
        let declared = subject.declared.get("name").and_then(Value::as_text);
        match subject.record.as_ref().map(|record| record.id.as_str()).or(declared) {
            Some(name) => {
                let item = api.list(listing, &by_name(name)).await?.into_iter().next();
                Ok(item.map(|item| Item { id: name.into(), ..item }))
            }
            None => Ok(None),
        }
    }))
    .await
}

/// Sends a create. Where the name is taken, this resource's own object is returned: an answer was lost, or the service
/// had not shown it yet. `what`: a role.
pub(crate) async fn create(at: &At<'_>, request: Request, listing: Listing, what: &str) -> Result<Item, Failure> {
    let failure = match at.patiently(request, "what it needs to become visible", is_young).await {
        Ok(reply) => return Ok(reply.item),
        Err(failure) if failure.kind != FailureKind::AlreadyExists => return Err(failure),
        Err(failure) => failure,
    };
    let name = at.text("name")?;
    match at.one(listing, &by_name(name)).await? {
        Some(item) if tags::is_address(&item, &at.call.address) => Ok(item),
        Some(_) => Err(Failure::new(
            FailureKind::AlreadyExists,
            &at.operation,
            format!("{what} named {name} exists and does not carry this workspace's mark"),
        )
        .hint(
            "choose another workspace name, or delete it, or take it over: `cloudtik adopt` with the same documents",
        )),
        // Reads lag behind.
        None => Err(failure.retry(Retry::Backoff)),
    }
}

/// Whether the service does not see yet what was made moments ago: RDS sees subnets and groups of EC2 later than EC2 does.
fn is_young(error: &ApiError) -> bool {
    let group = match &error.cause {
        Cause::Service { code, message, .. } => code == "InvalidParameterValue" && message.contains("security group"),
        _ => false,
    };
    group || error.code() == "InvalidSubnet" || error::is_absent(error)
}

/// What the create of this call left, found by name and told from others by its operation.
pub(crate) async fn settle(
    at: &At<'_>,
    listing: Listing,
    outcome: impl Fn(&str, &Item) -> Outcome,
) -> Result<Settled, Failure> {
    let name = at.text("name")?;
    let item = at.one(listing, &by_name(name)).await?;
    let operation = at.call.operation.to_string();
    let made_by_us = |item: &Item| item.tags.get(tags::OPERATION) == Some(&operation);
    Ok(match item.filter(made_by_us) {
        Some(item) => Settled::Found(outcome(name, &item)),
        None => Settled::Absent,
    })
}

/// Tags that the object lacks or has otherwise; empty when it needs none.
pub(crate) fn missing_tags(call: &Call, item: &Item) -> Tags {
    let mut wanted = tags::declared(&call.attributes);
    wanted.insert(tags::ADDRESS.into(), call.address.short());
    wanted.retain(|key, value| item.tags.get(key) != Some(value));
    wanted
}

/// With the attributes that documents speak of: others are the service's own business.
pub(crate) fn spoken_of(subject: &Subject, seen: Attrs) -> Attrs {
    let recorded = subject.record.as_ref().map(|record| &record.attributes);
    let speaks = |name: &String| {
        subject.declared.contains_key(name) || recorded.is_some_and(|attributes| attributes.contains_key(name))
    };
    seen.into_iter().filter(|(name, _)| speaks(name)).collect()
}

/// The object that an update is about.
pub(crate) async fn present(at: &At<'_>, listing: Listing) -> Result<Item, Failure> {
    let gone = || Failure::new(FailureKind::NotFound, &at.operation, format!("{} is gone", at.id()));
    at.one(listing, &by_name(at.id())).await?.ok_or_else(gone)
}

/// Gives a database or its subnet group the tags that it lacks.
pub(crate) async fn retag_database(at: &At<'_>, item: &Item) -> Result<(), Failure> {
    let tags = missing_tags(at.call, item);
    if !tags.is_empty() {
        at.send(Request::TagDatabase { arn: item.text("arn").into(), tags }).await?;
    }
    Ok(())
}
