//! Tags: the Python tool's names, and the marks by which this program finds its own objects again.

use crate::api::{Filter, Item, Request, Tags};
use cloudtik_core::{
    address::{Address, Scope},
    provider::Call,
    value::{Attrs, Value},
};

/// The scope that owns an object.
pub(crate) const SCOPE: &str = "cloudtik:scope";
/// `vpc.main`: which resource of the scope it is.
pub(crate) const ADDRESS: &str = "cloudtik:address";
/// The operation that made it: how an answer that was lost is found.
pub(crate) const OPERATION: &str = "cloudtik:operation";
pub(crate) const NAME: &str = "Name";
/// The Python tool's mark of a machine's node type.
pub(crate) const NODE_TYPE: &str = "cloudtik-user-node-type";
/// The Python tool's mark on internet gateways, buckets and databases.
pub(crate) const WORKSPACE: &str = "cloudtik-workspace-name";

/// What a create sends: the declared tags, and which resource and operation it is.
pub(crate) fn on_create(call: &Call) -> Tags {
    let mut tags = declared(&call.attributes);
    tags.insert(ADDRESS.into(), call.address.short());
    tags.insert(OPERATION.into(), call.operation.to_string());
    tags
}

/// What a create of several alike sends: the group that they are in, and the request that made them.
pub(crate) fn on_create_many(call: &Call, request: &str) -> Tags {
    let mut tags = declared(&call.attributes);
    tags.insert(ADDRESS.into(), group(&call.address).unwrap_or_else(|| call.address.short()));
    tags.insert(OPERATION.into(), request.into());
    tags
}

/// `instance.worker.default` for `instance.worker.default[2]`.
pub(crate) fn group(address: &Address) -> Option<String> {
    let (base, _, rest) = address.instance()?;
    rest.is_empty().then(|| format!("{}.{base}", address.kind()))
}

pub(crate) fn declared(attributes: &Attrs) -> Tags {
    let tags = attributes.get("tags").and_then(Value::as_map).into_iter().flatten();
    tags.filter_map(|(key, value)| Some((key.clone(), value.scalar_text()?))).collect()
}

/// The observed tags that documents speak of: those declared now or when it was recorded. Others are somebody else's.
pub(crate) fn observed(item: &Item, known: &[&Attrs]) -> Value {
    let speaks = |key: &str| known.iter().any(|attributes| declared(attributes).contains_key(key));
    Value::map(item.tags.iter().filter(|(key, _)| speaks(key)).map(|(k, v)| (k.clone(), Value::text(v))))
}

/// Whether it carries the mark of `scope`.
pub(crate) fn is_owned(item: &Item, scope: &Scope) -> bool {
    item.tags.get(SCOPE).is_some_and(|owner| *owner == scope.to_string())
}

/// Whether it carries the mark of `address`, or of the group that `address` is in.
pub(crate) fn is_address(item: &Item, address: &Address) -> bool {
    let marked = |mark: &String| *mark == address.short() || group(address).as_ref() == Some(mark);
    is_owned(item, address.scope()) && item.tags.get(ADDRESS).is_some_and(marked)
}

/// Whether it carries the mark of an operation, or of a request.
pub(crate) fn is_made_by(item: &Item, operation: &str) -> bool {
    item.tags.get(OPERATION).is_some_and(|mark| mark == operation)
}

pub(crate) fn by_operation(call: &Call) -> Vec<Filter> {
    vec![Filter::tag(OPERATION, call.operation.to_string())]
}

/// The calls that make an object's tags those of `call`: what is missing or different, and what is declared no longer.
/// An object that is taken over gets our marks too.
pub(crate) fn changes(id: &str, call: &Call) -> Vec<Request> {
    let mut wanted = declared(&call.attributes);
    wanted.insert(ADDRESS.into(), call.address.short());
    let before = call.record.as_ref().map(|r| declared(&r.attributes)).unwrap_or_default();
    let gone: Vec<String> = before.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
    let mut requests = vec![Request::CreateTags { ids: vec![id.into()], tags: wanted }];
    if !gone.is_empty() {
        requests.push(Request::DeleteTags { ids: vec![id.into()], keys: gone });
    }
    requests
}

/// As [`changes`], without those that change nothing on an object that was looked at. The mark of its group is mark enough.
pub(crate) fn differences(item: &Item, call: &Call) -> Vec<Request> {
    let there = |(key, value): (&String, &String)| match key.as_str() {
        ADDRESS => is_address(item, &call.address),
        _ => item.tags.get(key) == Some(value),
    };
    let differs = |request: &Request| match request {
        Request::CreateTags { tags, .. } => !tags.iter().all(there),
        Request::DeleteTags { keys, .. } => keys.iter().any(|key| item.tags.contains_key(key)),
        _ => true,
    };
    changes(&item.id, call).into_iter().filter(differs).collect()
}
