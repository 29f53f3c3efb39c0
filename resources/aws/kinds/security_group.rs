//! `security-group`: who may reach the machines. Its rules change by difference: what stays is never away.

use super::{
    Kind,
    find::{self, Lookup, Seen, attrs},
};
use crate::{
    api::{Api, ApiError, Filter, Item, Listing, Request},
    provider::{At, Options, texts},
    rules::{self, Words},
    tags,
};
use async_trait::async_trait;
use cloudtik_core::{
    failure::{Failure, FailureKind},
    provider::{Health, Observed, Outcome, Settled, Subject},
    schema::{Durations, KindSchema},
    value::{Attrs, Value},
};
use std::{collections::BTreeSet, time::Duration};

pub(crate) struct SecurityGroup;

fn outputs(item: &Item) -> Attrs {
    attrs([("id", item.id.as_str().into())])
}

/// The rules that are there.
fn there(item: &Item) -> BTreeSet<String> {
    item.fields.get("ingress").map(texts).unwrap_or_default().into_iter().collect()
}

/// Declared rules; the map's values say what each is for.
fn declared(attributes: &Attrs) -> impl Iterator<Item = (&String, &Value)> {
    attributes.get("rules").and_then(Value::as_map).into_iter().flatten()
}

/// What words in the rules of this group stand for.
fn words(group: &str, attributes: &Attrs) -> Words {
    let text = |name: &str| attributes.get(name).and_then(Value::as_text).map(String::from);
    let known = [("self", Some(group.to_owned())), ("vpc", text("vpc_cidr")), ("peer", text("peer_cidr"))];
    known.into_iter().filter_map(|(word, meaning)| Some((word, meaning?))).collect()
}

#[async_trait]
impl Kind for SecurityGroup {
    fn schema(&self) -> KindSchema {
        let mut schema = KindSchema::new("security-group")
            .replace_on(&["region", "vpc", "name", "description"])
            .takes(Durations { create: 2500, ready: 0, update: 1500, delete: 1500 });
        schema.consistency_window = Duration::from_secs(20);
        schema
    }

    async fn observe(&self, _: &Options, api: &dyn Api, subjects: &[Subject]) -> Result<Vec<Observed>, ApiError> {
        let lookup = Lookup { listing: Listing::SecurityGroups, id: "group-id", always: Vec::new(), by_name: true };
        let mut found = find::find(api, &lookup, subjects).await?;
        by_group_name(api, subjects, &mut found).await?;
        Ok(find::observed(subjects, found, |subject, item| {
            let attributes = attrs([
                ("vpc", item.text("vpc").into()),
                ("name", item.text("name").into()),
                ("rules", described(item, subject)),
            ]);
            Seen { attributes, outputs: outputs(item), healthy: Health::Ok }
        }))
    }

    async fn create(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let request = Request::CreateSecurityGroup {
            vpc: at.text("vpc")?.into(),
            name: at.text("name")?.into(),
            description: at.text("description")?.into(),
            tags: tags::on_create(at.call),
        };
        let item = at.send_to_new(request).await?.item;
        let none = Item { id: item.id.clone(), ..Item::default() };
        converge(at, &none).await?;
        Ok(Outcome { id: item.id.clone(), outputs: outputs(&item) })
    }

    async fn update(&self, at: &At<'_>) -> Result<Outcome, Failure> {
        let item = at.one(Listing::SecurityGroups, &[Filter::is("group-id", at.id())]).await?;
        let gone = || Failure::new(FailureKind::NotFound, &at.operation, "the group is gone");
        converge(at, &item.ok_or_else(gone)?).await?;
        at.retag(at.id()).await?;
        Ok(Outcome::default())
    }

    async fn delete(&self, at: &At<'_>) -> Result<(), Failure> {
        at.remove(Request::DeleteSecurityGroup { group: at.id().into() }).await
    }

    async fn settle(&self, at: &At<'_>) -> Result<Settled, Failure> {
        find::by_operation(at, Listing::SecurityGroups, &[], outputs).await
    }
}

/// The Python tool gives its groups a name and no tags.
async fn by_group_name(api: &dyn Api, subjects: &[Subject], found: &mut [Option<Item>]) -> Result<(), ApiError> {
    for (subject, found) in subjects.iter().zip(found) {
        let text = |name: &str| subject.declared.get(name).and_then(Value::as_text);
        let (None, None, Some(vpc), Some(name)) = (&found, &subject.record, text("vpc"), text("name")) else {
            continue;
        };
        let filters = [Filter::is("vpc-id", vpc), Filter::is("group-name", name)];
        let items = api.list(&Listing::SecurityGroups, &filters).await?;
        *found = items.into_iter().find(|item| !item.tags.contains_key(tags::SCOPE));
    }
    Ok(())
}

/// The rules that are there, as the documents write them and with what they are for; others as they are.
fn described(item: &Item, subject: &Subject) -> Value {
    let recorded = subject.record.as_ref().map(|record| &record.attributes);
    let mut left = there(item);
    let mut rules = Attrs::new();
    for attributes in [Some(&subject.declared), recorded].into_iter().flatten() {
        let words = words(&item.id, attributes);
        for (rule, purpose) in declared(attributes) {
            let sent = rules::sent(rule, &words);
            if there(item).contains(&sent) {
                rules.entry(rule.clone()).or_insert_with(|| purpose.clone());
                left.remove(&sent);
            }
        }
    }
    rules.extend(left.into_iter().map(|rule| (rule, Value::text("not from a document"))));
    Value::Map(rules)
}

/// Adds what is missing, then takes away what is too much.
async fn converge(at: &At<'_>, item: &Item) -> Result<(), Failure> {
    let words = words(&item.id, &at.call.attributes);
    let wanted: BTreeSet<String> = declared(&at.call.attributes).map(|(rule, _)| rules::sent(rule, &words)).collect();
    let there = there(item);
    let missing: Vec<String> = wanted.difference(&there).cloned().collect();
    let surplus: Vec<String> = there.difference(&wanted).cloned().collect();
    if !missing.is_empty() {
        authorize(at, &item.id, missing).await?;
    }
    if !surplus.is_empty() {
        at.remove(Request::RevokeIngress { group: item.id.clone(), rules: surplus }).await?;
    }
    Ok(())
}

/// The service refuses all rules of a call when it has one of them: then each goes alone.
async fn authorize(at: &At<'_>, group: &str, rules: Vec<String>) -> Result<(), Failure> {
    let request = |rules| Request::AuthorizeIngress { group: group.into(), rules };
    match at.send_to_new(request(rules.clone())).await {
        Err(failure) if failure.kind == FailureKind::AlreadyExists => {}
        other => return other.map(drop),
    }
    for rule in rules {
        match at.send_to_new(request(vec![rule])).await {
            Err(failure) if failure.kind == FailureKind::AlreadyExists => {}
            other => drop(other?),
        }
    }
    Ok(())
}
