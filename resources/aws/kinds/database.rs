//! `database`: a managed MySQL or PostgreSQL in the private subnets; it outlives the workspace unless its deletion is asked
//! for.
//!
//! There is no default password. Without one in the document RDS makes one and keeps it in Secrets Manager, whose ARN is
//! the output `secret`; one from the document goes from there to the create call and is in no attribute.

use super::{
    Kind,
    find::{self, Seen, attrs},
    named,
};
use crate::{
    api::{Api, ApiError, Database as Spec, Item, Listing, Request},
    provider::{At, Options, texts},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Canonical, Durations, KindSchema},
    value::{Attrs, Value},
};
use std::time::Duration;

pub(crate) struct Database;

/// Attribute `password`: who knows it.
pub(crate) const MANAGED: &str = "secrets-manager";
pub(crate) const DOCUMENT: &str = "document";

const CAP: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// States that no waiting ends.
/// Source: RDS user guide, "Viewing Amazon RDS DB instance status" (read 2026-11-25).
const LOST: [&str; 7] = [
    "failed",
    "incompatible-network",
    "incompatible-option-group",
    "incompatible-parameters",
    "incompatible-restore",
    "inaccessible-encryption-credentials",
    "insufficient-capacity",
];

/// States of a database that answers; the second lasts for hours after its storage grew.
const WORKS: [&str; 2] = ["available", "storage-optimization"];

fn outcome(name: &str, item: &Item) -> Outcome {
    let mut outputs = attrs([("id", name.into())]);
    let known = ["arn", "address", "secret"].into_iter().filter(|field| !item.text(field).is_empty());
    outputs.extend(known.map(|field| (field.to_owned(), item.text(field).into())));
    Outcome { id: name.into(), outputs }
}

fn shrinks(before: &Value, after: &Value) -> bool {
    matches!((before.as_int(), after.as_int()), (Some(before), Some(after)) if after < before)
}

#[async_trait]
impl Kind for Database {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("database")
            .replace_on(&["region", "name", "engine", "user", "password", "subnet_group"])
            .replace_if("storage_gib", shrinks)
            .canonical(Canonical::Set, &["groups"])
            .holds_data()
            .rooted()
            .takes(Durations { create: 3000, ready: 420_000, update: 3000, delete: 300_000 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let mut found = named::find(api, &Listing::Databases, subjects).await?;
        for item in &mut found {
            // One that is being deleted is as good as gone; a create of its name waits for it.
            item.take_if(|item| item.text("status") == "deleting");
        }
        Ok(find::observed(subjects, found, |subject, item| {
            let same = ["engine", "type", "storage_type", "storage_gib", "user", "port", "multi_az", "subnet_group"];
            let seen = same.into_iter().chain(["groups"]);
            let seen = seen.filter_map(|name| Some((name.to_owned(), item.fields.get(name)?.clone())));
            let status = item.text("status");
            let healthy = match LOST.contains(&status) {
                true => Health::Broken(format!("the database is in state `{status}`")),
                false => Health::Ok,
            };
            Seen {
                attributes: named::spoken_of(subject, seen.collect()),
                outputs: outcome(&item.id, item).outputs,
                healthy,
            }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let name = at.text("name")?;
        let password = match at.attribute("password").as_text() {
            Some(DOCUMENT) => Some(at.password.clone().ok_or_else(|| no_password(at))?),
            _ => None,
        };
        gone(at, name, |item| item.text("status") != "deleting").await?;
        let request =
            Request::CreateDatabase { name: name.into(), spec: spec(at)?, password, tags: tags::on_create(at.call) };
        let item = named::create(at, request, Listing::Databases, "a database").await?;
        Ok(outcome(name, &item))
    }

    async fn ready(&self, at: &At<'_>) -> Result<Attrs, Failure> {
        let spec = spec(at)?;
        // Right after a change the service still says `available`.
        let done = |item: Option<&Item>| match item {
            Some(item) if LOST.contains(&item.text("status")) => Err(lost(at, item)),
            Some(item) => Ok(WORKS.contains(&item.text("status")) && !differs(item, &spec)),
            None => Ok(false),
        };
        let filters = named::by_name(at.id());
        let awaits = "the database to become available (usually 5 to 10 min)";
        let item = at.poll(Listing::Databases, &filters, awaits, CAP, LIMIT, done).await?;
        Ok(outcome(at.id(), &item.unwrap_or_default()).outputs)
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = named::present(at, Listing::Databases).await?;
        if LOST.contains(&item.text("status")) {
            return Err(lost(at, &item));
        }
        let spec = spec(at)?;
        if differs(&item, &spec) {
            let passing = |error: &ApiError| error.code() == "InvalidDBInstanceState";
            let request = Request::ModifyDatabase { name: at.id().into(), spec };
            at.patiently(request, "the database to finish what it is doing", passing).await?;
        }
        named::retag_database(at, &item).await?;
        Ok(Outcome::default())
    }

    /// Only ever called when the loss of the data was asked for: no snapshot is kept. Waits until it is gone, since its
    /// subnets and security group are in use until then.
    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let name = at.id();
        let item = at.one(Listing::Databases, &named::by_name(name)).await?;
        if item.is_some_and(|item| item.text("status") != "deleting") {
            at.remove(Request::DeleteDatabase { name: name.into() }).await?;
        }
        gone(at, name, |_| false).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        named::settle(at, Listing::Databases, outcome).await
    }
}

/// Waits until there is no database of that name, or one that `stays`.
async fn gone(at: &At<'_>, name: &str, stays: impl Fn(&Item) -> bool) -> Result<(), Failure> {
    let done = |item: Option<&Item>| Ok(item.is_none_or(&stays));
    let awaits = "the database to be gone (usually 5 min)";
    at.poll(Listing::Databases, &named::by_name(name), awaits, CAP, LIMIT, done).await.map(drop)
}

fn spec(at: &At<'_>) -> Result<Spec, Failure> {
    let int = |name: &str| {
        let what = || format!("attribute `{name}` is {}, not a number", at.attribute(name).display());
        at.attribute(name).as_int().ok_or_else(|| Failure::new(FailureKind::Bug, &at.operation, what()))
    };
    Ok(Spec {
        engine: at.text("engine")?.into(),
        kind: at.text("type")?.into(),
        storage_type: at.text("storage_type")?.into(),
        storage_gib: int("storage_gib")?,
        user: at.text("user")?.into(),
        port: int("port")?,
        multi_az: at.attribute("multi_az").as_bool().unwrap_or_default(),
        subnet_group: at.text("subnet_group")?.into(),
        groups: at.texts("groups"),
    })
}

/// Whether something of the database that can change in place is not as wanted.
fn differs(item: &Item, spec: &Spec) -> bool {
    let int = |name: &str| item.fields.get(name).and_then(Value::as_int);
    let mut there = item.fields.get("groups").map(texts).unwrap_or_default();
    let mut wanted = spec.groups.clone();
    there.sort();
    wanted.sort();
    item.text("type") != spec.kind
        || item.text("storage_type") != spec.storage_type
        || int("storage_gib") != Some(spec.storage_gib)
        || int("port").is_some_and(|port| port != spec.port)
        || item.flag("multi_az") != spec.multi_az
        || there != wanted
}

fn lost(at: &At<'_>, item: &Item) -> Failure {
    let what = format!("the database is in state `{}`, which does not pass by itself", item.text("status"));
    Failure::new(FailureKind::Other, &at.operation, what)
        .hint("look at its events in the RDS console; `--replace` makes it anew, without its data")
}

fn no_password(at: &At<'_>) -> Failure {
    let what = "the password is in the document, and this run has not read it: no plan or state holds passwords";
    Failure::new(FailureKind::Environment, &at.operation, what)
        .hint("apply the documents instead of a saved plan, or leave the password out: RDS then makes one")
}
