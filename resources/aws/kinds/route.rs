//! `route`: one destination, in one route table or in several that have it alike.

use super::{
    Kind,
    find::{self, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request, Target},
    provider::{At, Options, texts},
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Presence, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Route;

/// Attributes that name a target, as the listing names them.
const TARGETS: [&str; 3] = ["gateway", "nat", "peering"];

/// The route to `destination`, and whether it leads anywhere.
fn route<'a>(table: &'a Item, destination: &str) -> Option<&'a Value> {
    let routes = table.fields.get("routes").and_then(Value::as_list).into_iter().flatten();
    routes.into_iter().find(|route| route.at("destination").and_then(Value::as_text) == Some(destination))
}

/// The tables and the destination that a resource is about; `None` while they are not known.
fn place(attributes: &Attrs) -> Option<(Vec<String>, &str)> {
    Some((texts(attributes.get("tables")?), attributes.get("destination")?.as_text()?))
}

/// Tables are few and destinations fixed, so together they name the route.
fn id(tables: &[String], destination: &str) -> String {
    format!("{} {destination}", tables.join(","))
}

/// Whether a route leads where `attributes` say.
fn leads(route: &Value, attributes: &Attrs) -> bool {
    TARGETS.iter().all(|name| attributes.get(*name).is_none_or(|target| route.at(name) == Some(target)))
}

#[async_trait]
impl Kind for Route {
    fn schema(&self) -> KindSchema {
        KindSchema::new("route").replace_on(&["region", "table", "destination"]).takes(Durations {
            create: 1000,
            ready: 0,
            update: 1000,
            delete: 800,
        })
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let looked = |subject: &Subject| match &subject.record {
            Some(record) => record.attributes.clone(),
            None => subject.declared.clone(),
        };
        let places: Vec<Attrs> = subjects.iter().map(looked).collect();
        let ids: BTreeSet<String> = places.iter().filter_map(place).flat_map(|(tables, _)| tables).collect();
        let mut tables = BTreeMap::new();
        if !ids.is_empty() {
            for item in api.list(&Listing::RouteTables, &[Filter::new("route-table-id", ids)]).await? {
                tables.insert(item.id.clone(), item);
            }
        }
        let answer = |(subject, attributes): (&Subject, &Attrs)| Observed {
            address: subject.address.clone(),
            presence: presence(&tables, attributes),
        };
        Ok(subjects.iter().zip(&places).map(answer).collect())
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let (tables, destination, target) = wanted(at)?;
        for table in &tables {
            let (table, destination, target) = (table.clone(), destination.clone(), target.clone());
            let request =
                Request::CreateRoute { table: table.clone(), destination: destination.clone(), target: target.clone() };
            match at.send_to_new(request).await {
                // Made by an earlier try, or left over with another target.
                Err(failure) if failure.kind == FailureKind::AlreadyExists => {
                    at.send(Request::ReplaceRoute { table, destination, target }).await?;
                }
                other => drop(other?),
            }
        }
        Ok(Outcome { id: id(&tables, &destination), outputs: Attrs::new() })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        self.create(at).await
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        let destination = at.recorded("destination").as_text().unwrap_or_default();
        for table in texts(at.recorded("tables")) {
            at.remove(Request::DeleteRoute { table, destination: destination.into() }).await?;
        }
        Ok(())
    }

    /// A route carries no mark: those that lead where this one should are this one.
    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        let (tables, destination, _) = wanted(at)?;
        let items = at.list(Listing::RouteTables, &[Filter::new("route-table-id", tables.iter().cloned())]).await?;
        let there = |table: &String| {
            let item = items.iter().find(|item| item.id == *table)?;
            route(item, &destination).filter(|route| leads(route, &at.call.attributes))
        };
        if tables.iter().all(|table| there(table).is_some()) {
            return Ok(Settled::Found(Outcome { id: id(&tables, &destination), outputs: Attrs::new() }));
        }
        Ok(Settled::Absent)
    }
}

fn presence(items: &BTreeMap<String, Item>, attributes: &Attrs) -> Presence {
    let Some((tables, destination)) = place(attributes) else { return Presence::Absent };
    let found: Vec<Option<&Value>> =
        tables.iter().map(|table| items.get(table).and_then(|item| route(item, destination))).collect();
    let Some(first) = found.iter().flatten().next() else { return Presence::Absent };
    let mut seen = attrs([("tables", Value::list(tables.iter())), ("destination", destination.into())]);
    for name in TARGETS {
        if let Some(target) = first.at(name) {
            seen.insert(name.into(), target.clone());
        }
    }
    // A way through something that is gone: the route stays and swallows what is sent.
    let lost = |route: &&Value| route.at("state").and_then(Value::as_text) == Some("blackhole");
    let healthy = if found.iter().flatten().any(lost) {
        Health::Broken("leads to something that is gone".into())
    } else if found.iter().any(|route| route.is_none_or(|route| !leads(route, &seen))) {
        Health::Broken("not the same in all route tables".into())
    } else {
        Health::Ok
    };
    find::present(id(&tables, destination), seen, Attrs::new(), healthy)
}

fn wanted(at: &At<'_>) -> Result<(Vec<String>, String, Target), Failure> {
    let target = |name: &str| at.attribute(name).as_text().map(String::from);
    let target = target("gateway")
        .map(Target::Gateway)
        .or_else(|| target("nat").map(Target::Nat))
        .or_else(|| target("peering").map(Target::Peering));
    let target = target.ok_or_else(|| Failure::new(FailureKind::Bug, &at.operation, "the route leads nowhere"))?;
    Ok((at.texts("tables"), at.text("destination")?.into(), target))
}
