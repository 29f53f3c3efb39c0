//! Finding the objects of many subjects in few listings.
//!
//! First everything that carries the marks of the scopes; then, by id, what is recorded and was not among it (its tags were
//! taken away, or it was adopted); then, by the Python tool's names, what is declared and not recorded.

use crate::{
    api::{Api, ApiError, Filter, Item, Listing},
    provider::At,
    tags,
};
use cloudtik_core::cidr::Cidr;
use cloudtik_core::failure::Failure;
use cloudtik_core::provider::{Health, Observed, Outcome, Presence, Settled, Subject};
use cloudtik_core::value::{Attrs, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The service takes this many values in one filter.
/// Source: EC2 API reference, "Filtering" of Describe actions: 200 (read 2026-11-25).
pub(crate) const VALUES: usize = 200;

/// How a kind is looked up.
pub(crate) struct Lookup<'a> {
    pub listing: Listing,
    /// Name of the filter by id: `vpc-id`.
    pub id: &'a str,
    /// Filters on every look: states that count as existing, a VPC.
    pub always: Vec<Filter>,
    /// Whether objects without our marks are looked for under the declared `Name` tag.
    pub by_name: bool,
}

/// Everything that carries the marks of the subjects' scopes, and everything that is recorded of them; by id.
pub(crate) async fn all(
    api: &dyn Api,
    lookup: &Lookup<'_>,
    subjects: &[Subject],
) -> Result<BTreeMap<String, Item>, ApiError> {
    let scopes: BTreeSet<String> = subjects.iter().map(|s| s.address.scope().to_string()).collect();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    let tagged = Filter::new(format!("tag:{}", tags::SCOPE), scopes);
    collect(api, lookup, tagged, &mut items).await?;
    let missing: Vec<&str> = recorded(subjects).filter(|id| !items.contains_key(*id)).collect();
    for ids in missing.chunks(VALUES) {
        collect(api, lookup, Filter::new(lookup.id, ids.iter().copied()), &mut items).await?;
    }
    Ok(items)
}

/// The object of each subject, in their order.
pub(crate) async fn find(
    api: &dyn Api,
    lookup: &Lookup<'_>,
    subjects: &[Subject],
) -> Result<Vec<Option<Item>>, ApiError> {
    let items = all(api, lookup, subjects).await?;
    let taken: BTreeSet<&str> = recorded(subjects).collect();
    let mut found: Vec<Option<Item>> = subjects
        .iter()
        .map(|subject| match &subject.record {
            Some(record) => items.get(&record.id).cloned(),
            None => {
                let own = |item: &&Item| tags::is_address(item, &subject.address) && !taken.contains(item.id.as_str());
                items.values().find(own).cloned()
            }
        })
        .collect();
    if lookup.by_name {
        let unknown = |at: &usize| found[*at].is_none() && subjects[*at].record.is_none();
        let unknown: Vec<usize> = (0..subjects.len()).filter(unknown).collect();
        let names: BTreeSet<String> = unknown.iter().filter_map(|at| name(&subjects[*at])).collect();
        let mut named = BTreeMap::new();
        if !names.is_empty() {
            collect(api, lookup, Filter::new("tag:Name", names), &mut named).await?;
        }
        // Some share a name (the private subnets): those with the lower range come first, as they were made.
        let range = |item: &Item| item.text("cidr").parse::<Cidr>().ok().map(|cidr| cidr.base);
        let mut named: Vec<Item> = named.into_values().collect();
        named.sort_by_key(range);
        for at in unknown {
            let Some(name) = name(&subjects[at]) else { continue };
            // Marked objects are somebody's already, if only another state's.
            let free = |item: &Item| item.tags.get(tags::NAME) == Some(&name) && !item.tags.contains_key(tags::SCOPE);
            found[at] = named.iter().position(free).map(|place| named.remove(place));
        }
    }
    Ok(found)
}

fn recorded(subjects: &[Subject]) -> impl Iterator<Item = &str> {
    subjects.iter().filter_map(|s| s.record.as_ref().map(|record| record.id.as_str()))
}

/// The declared `Name` tag.
pub(crate) fn name(subject: &Subject) -> Option<String> {
    tags::declared(&subject.declared).remove(tags::NAME)
}

async fn collect(
    api: &dyn Api,
    lookup: &Lookup<'_>,
    filter: Filter,
    into: &mut BTreeMap<String, Item>,
) -> Result<(), ApiError> {
    let filters: Vec<Filter> = lookup.always.iter().cloned().chain([filter]).collect();
    let items = api.list(&lookup.listing, &filters).await?;
    into.extend(items.into_iter().map(|item| (item.id.clone(), item)));
    Ok(())
}

/// What a kind reads off an object that is there: its inputs, its outputs, its health.
pub(crate) struct Seen {
    pub attributes: Attrs,
    pub outputs: Attrs,
    pub healthy: Health,
}

/// Observations from objects. Tags are added to the attributes of every kind that declares them.
pub(crate) fn observed(
    subjects: &[Subject],
    found: Vec<Option<Item>>,
    mut read: impl FnMut(&Subject, &Item) -> Seen,
) -> Vec<Observed> {
    let answer = |(subject, item): (&Subject, Option<Item>)| {
        let Some(item) = item else {
            return Observed { address: subject.address.clone(), presence: Presence::Absent };
        };
        let mut seen = read(subject, &item);
        let known = [Some(&subject.declared), subject.record.as_ref().map(|record| &record.attributes)];
        let known: Vec<&Attrs> = known.into_iter().flatten().filter(|known| known.contains_key("tags")).collect();
        if !known.is_empty() {
            seen.attributes.insert("tags".into(), tags::observed(&item, &known));
        }
        let presence = Presence::Present {
            id: item.id.clone(),
            attributes: seen.attributes,
            outputs: seen.outputs,
            healthy: seen.healthy,
            owned: tags::is_address(&item, &subject.address),
        };
        Observed { address: subject.address.clone(), presence }
    };
    subjects.iter().zip(found).map(answer).collect()
}

/// An object that carries no mark and is ours all the same, since it is part of one that does.
pub(crate) fn present(id: String, attributes: Attrs, outputs: Attrs, healthy: Health) -> Presence {
    Presence::Present { id, attributes, outputs, healthy, owned: true }
}

/// Attributes from pairs.
pub(crate) fn attrs<const N: usize>(entries: [(&str, Value); N]) -> Attrs {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// Recorded subjects as they are recorded, others absent: for what is read once and kept.
pub(crate) fn as_recorded(subjects: &[Subject]) -> Vec<Observed> {
    let presence = |subject: &Subject| match &subject.record {
        Some(record) => present(record.id.clone(), Attrs::new(), record.outputs.clone(), Health::Ok),
        None => Presence::Absent,
    };
    subjects.iter().map(|s| Observed { address: s.address.clone(), presence: presence(s) }).collect()
}

/// What the create of a call left, found by the mark that the create gave it.
pub(crate) async fn by_operation(
    at: &At<'_>,
    listing: Listing,
    always: &[Filter],
    outputs: impl Fn(&Item) -> Attrs,
) -> Result<Settled, Failure> {
    let filters: Vec<Filter> = always.iter().cloned().chain(tags::by_operation(at.call)).collect();
    let mut items = at.list(listing, &filters).await?;
    Ok(match (items.pop(), items.len()) {
        (None, _) => Settled::Absent,
        (Some(item), 0) => Settled::Found(Outcome { id: item.id.clone(), outputs: outputs(&item) }),
        (Some(item), _) => Settled::Ambiguous(items.into_iter().map(|i| i.id).chain([item.id]).collect()),
    })
}
