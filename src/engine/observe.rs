//! Refresh: what the world looks like now, asked for in bulk, one request per provider and kind.

use crate::Registry;
use cloudtik_core::{
    Address, Attrs, Declaration, Failure, FailureKind, ProviderName, Scope,
    event::{Event, Observer},
    provider::{Observed, Presence, Provider, Refresh, Subject},
    state::{Record, Snapshot},
    value,
};
use futures::future::try_join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Between two looks at what should be there.
const PAUSE: Duration = Duration::from_secs(1);

/// How much of the world a plan looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    #[default]
    All,
    /// Believes the records.
    None,
}

/// Observes every recorded and every declared resource of `scopes`.
///
/// Errors: the first failure of any provider, which means that the world is not known well enough to plan.
pub async fn observe(
    registry: &Registry,
    declarations: &[Declaration],
    scopes: &BTreeSet<Scope>,
    state: &BTreeMap<Scope, Snapshot>,
    policy: RefreshPolicy,
    observer: &dyn Observer,
) -> Result<BTreeMap<Address, Presence>, Failure> {
    if policy == RefreshPolicy::None {
        return Ok(BTreeMap::new());
    }
    let started = Instant::now();
    let requests = requests(declarations, scopes, state);
    let total = requests.values().map(|r| r.subjects.len()).sum();
    observer.event(Event::RefreshStarted { total });
    let answers = try_join_all(requests.iter().map(|((provider, _), refresh)| async move {
        let provider = registry.get(provider).ok_or_else(|| missing(provider))?;
        ask(registry, &**provider, refresh).await
    }))
    .await?;
    let observed: BTreeMap<Address, Presence> =
        answers.into_iter().flatten().map(|o| (o.address, o.presence)).collect();
    let drifted = observed.iter().filter(|(a, p)| recorded(state, a).is_some() && **p == Presence::Absent).count();
    observer.event(Event::RefreshFinished { elapsed_ms: started.elapsed().as_millis() as u64, drifted });
    Ok(observed)
}

/// Asks until nothing that was made moments ago is said to be absent: lists of a service lag behind its creates.
async fn ask(registry: &Registry, provider: &dyn Provider, refresh: &Refresh) -> Result<Vec<Observed>, Failure> {
    let window = registry.window(&provider.name(), &refresh.kind);
    let mut observed = provider.refresh(refresh).await?;
    if window.is_zero() {
        return Ok(observed);
    }
    let mut waited = Duration::ZERO;
    loop {
        let absent: BTreeSet<Address> =
            observed.iter().filter(|o| o.presence == Presence::Absent).map(|o| o.address.clone()).collect();
        let young = |subject: &&Subject| {
            let age = subject.record.as_ref().and_then(|record| record.made).map(|made| registry.now() - made);
            let age = age.and_then(|age| Duration::try_from(age).ok());
            age.is_some_and(|age| age.max(waited) < window) && absent.contains(&subject.address)
        };
        let subjects: Vec<Subject> = refresh.subjects.iter().filter(young).cloned().collect();
        if subjects.is_empty() {
            return Ok(observed);
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
        let again = provider.refresh(&Refresh { kind: refresh.kind.clone(), subjects }).await?;
        let mut again: BTreeMap<Address, Observed> = again.into_iter().map(|o| (o.address.clone(), o)).collect();
        for answer in &mut observed {
            if let Some(newer) = again.remove(&answer.address) {
                *answer = newer;
            }
        }
    }
}

fn missing(provider: &ProviderName) -> Failure {
    Failure::new(
        FailureKind::Environment,
        format!("refresh resources of provider {provider}"),
        "this binary lacks the provider",
    )
    .hint(format!("install a build with the `{provider}` feature"))
}

fn recorded<'a>(state: &'a BTreeMap<Scope, Snapshot>, address: &Address) -> Option<&'a Arc<Record>> {
    state.get(address.scope())?.records.get(address).filter(|r| !r.only_deposed)
}

type Requests = BTreeMap<(ProviderName, String), Refresh>;

fn requests(declarations: &[Declaration], scopes: &BTreeSet<Scope>, state: &BTreeMap<Scope, Snapshot>) -> Requests {
    let mut requests = Requests::new();
    let mut add = |provider: &ProviderName, subject: Subject| {
        let kind = subject.address.kind().to_string();
        requests
            .entry((provider.clone(), kind.clone()))
            .or_insert_with(|| Refresh { kind, subjects: Vec::new() })
            .subjects
            .push(subject);
    };
    let mut declared = BTreeSet::new();
    for item in declarations {
        declared.insert(&item.address);
        let attributes = value::resolve(&item.attributes, &|reference| {
            recorded(state, &reference.address)?.attribute(&reference.attribute).cloned()
        });
        let record = recorded(state, &item.address).cloned();
        match record.as_ref().filter(|record| record.provider != item.provider) {
            // What another provider made is seen by that provider, which knows nothing of what is declared now.
            Some(other) => {
                let subject = Subject { address: item.address.clone(), record: record.clone(), declared: Attrs::new() };
                add(&other.provider, subject);
            }
            None => add(&item.provider, Subject { address: item.address.clone(), record, declared: attributes }),
        }
    }
    for record in scopes.iter().filter_map(|s| state.get(s)).flat_map(|s| s.records.values()) {
        if !record.only_deposed && !declared.contains(&record.address) {
            let subject =
                Subject { address: record.address.clone(), record: Some(record.clone()), declared: Attrs::new() };
            add(&record.provider, subject);
        }
    }
    requests
}
