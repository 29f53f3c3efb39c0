//! What going back does not bring back.

use cloudtik_core::{
    Attrs, Diagnostic, Value,
    plan::{Action, Change, Plan},
    schema::Kinds,
    state::{Record, Snapshot},
};

/// How many things a warning names before it counts.
const NAMED: usize = 6;

/// What of the revision `then` a plan back to it cannot restore, as warnings.
pub fn losses(plan: &Plan, then: &Snapshot, kinds: &Kinds) -> Vec<Diagnostic> {
    let made: Vec<&Record> = plan.changes.iter().filter(|c| is_made(c)).filter_map(|c| recorded(c, then)).collect();
    let holds_data =
        |record: &&&Record| kinds.get(&record.provider, record.address.kind()).is_some_and(|kind| kind.holds_data);
    let mut found = Vec::new();
    let empty: Vec<String> = made.iter().filter(holds_data).map(|record| record.address.short()).collect();
    if !empty.is_empty() {
        found.push(
            Diagnostic::warning("data-not-restored", "what held data is made anew, and empty")
                .detail(format!("{}: the data that was in there is not part of state", named(empty)))
                .hint("restore the data from a backup of your own; passwords are those that the document names now"),
        );
    }
    let anew: Vec<String> =
        made.iter().filter(|record| record.lifecycle.gone_with.is_none()).map(|record| identity(record)).collect();
    if !anew.is_empty() {
        found.push(
            Diagnostic::warning("made-anew", "ids and addresses will not be what they were")
                .detail(format!("made anew: {}", named(anew)))
                .hint("tell whoever uses the old ones from outside; what is declared here follows by itself"),
        );
    }
    let secrets: Vec<String> = plan
        .changes
        .iter()
        .filter(|change| matches!(change.action, Action::Create | Action::Adopt | Action::Update) || is_made(change))
        .filter_map(|change| recorded(change, then))
        .flat_map(|record| sources(&record.attributes).into_iter().map(|s| format!("{} ({s})", record.address.short())))
        .collect();
    if !secrets.is_empty() {
        found.push(
            Diagnostic::warning("secrets-of-today", "secrets are taken from where they come from, as they are now")
                .detail(format!("state holds no secrets: {}", named(secrets)))
                .hint("put the old value back at its source first, if it is the old one that you want"),
        );
    }
    found
}

fn is_made(change: &Change) -> bool {
    matches!(change.action, Action::Create | Action::Replace | Action::ReplaceCreateFirst)
}

fn recorded<'a>(change: &Change, then: &'a Snapshot) -> Option<&'a Record> {
    then.records.get(&change.address).map(|record| &**record).filter(|record| !record.only_deposed)
}

/// `instance.head (i-0abc, 10.0.0.4)`: what it was known by.
fn identity(record: &Record) -> String {
    let tells =
        |name: &str| ["ip", "address", "dns", "endpoint"].iter().any(|word| name.split('_').any(|w| w == *word));
    let mut known = vec![record.id.clone()];
    known.extend(record.outputs.iter().filter(|(name, _)| tells(name)).filter_map(|(_, v)| v.scalar_text()));
    known.retain(|text| !text.is_empty());
    known.dedup();
    match known.is_empty() {
        true => record.address.short(),
        false => format!("{} ({})", record.address.short(), known.join(", ")),
    }
}

fn sources(attributes: &Attrs) -> Vec<String> {
    fn visit(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Secret(secret) => found.push(secret.source.to_string()),
            Value::List(items) | Value::Concat(items) => items.iter().for_each(|v| visit(v, found)),
            Value::Map(entries) => entries.values().for_each(|v| visit(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    attributes.values().for_each(|value| visit(value, &mut found));
    found
}

pub(super) fn named(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &rest
}
