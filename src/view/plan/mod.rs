//! A plan as people and programs read it. All pictures are made from the same [`groups`] and [`rows`].

mod brief;
mod difference;
mod drift;
mod groups;
mod human;
mod json;
mod markdown;
mod order;
mod reasons;
mod rows;
mod values;

pub use difference::{Between, difference, difference_json};
pub(crate) use drift::write as drift;
pub(crate) use groups::{label as group_label, names as group_names};
pub use human::{Options, human};
pub use json::json;
pub use markdown::{LIMIT as MARKDOWN_LIMIT, markdown};
pub(crate) use values::show as show_value;

use super::page::Paint;
use cloudtik_core::plan::Action;

/// Column where what belongs to an entry starts.
const INDENT: usize = 6;

/// The action's mark.
pub(crate) fn symbol(action: Action) -> &'static str {
    match action {
        Action::Delete => "-",
        Action::Replace => "-/+",
        Action::ReplaceCreateFirst => "+/-",
        Action::Forget => ".",
        Action::Update => "~",
        Action::Create => "+",
        Action::Adopt => "<-",
        Action::Read => "<=",
        Action::Keep => "=",
    }
}

/// What the mark means.
pub(crate) fn meaning(action: Action) -> &'static str {
    match action {
        Action::Delete => "delete",
        Action::Replace => "replace: delete, then create",
        Action::ReplaceCreateFirst => "replace: create, then delete",
        Action::Forget => "forget, without touching it",
        Action::Update => "update in place",
        Action::Create => "create",
        Action::Adopt => "adopt what exists",
        Action::Read => "read",
        Action::Keep => "keep",
    }
}

/// What the mark means between two revisions.
fn meant(action: Action) -> &'static str {
    match action {
        Action::Delete => "gone",
        Action::Replace => "another object",
        Action::Update => "changed in place",
        Action::Create => "new",
        // Only plans have these.
        other => meaning(other),
    }
}

/// The action as a word of a count: `2 to update`.
pub(crate) fn word(action: Action) -> &'static str {
    match action {
        Action::Delete => "delete",
        Action::Replace | Action::ReplaceCreateFirst => "replace",
        Action::Forget => "forget",
        Action::Update => "update",
        Action::Create => "create",
        Action::Adopt => "adopt",
        Action::Read => "read",
        Action::Keep => "keep",
    }
}

pub(crate) fn paint(action: Action) -> Paint {
    match action {
        Action::Delete | Action::Replace | Action::ReplaceCreateFirst => Paint::Bad,
        Action::Update => Paint::Edit,
        Action::Create => Paint::Good,
        Action::Adopt | Action::Forget => Paint::Info,
        Action::Read | Action::Keep => Paint::Dim,
    }
}

/// Counts in reading order, replacements of both kinds together: `1 to replace, 2 to update, 14 to create, 0 to delete`.
pub(crate) fn counts(plan: &cloudtik_core::plan::Plan) -> String {
    let counted = plan.counts();
    let count = |action: Action| counted.get(&action).copied().unwrap_or(0);
    let replaced = count(Action::Replace) + count(Action::ReplaceCreateFirst);
    let mut parts = Vec::new();
    for (n, action) in [
        (replaced, Action::Replace),
        (count(Action::Update), Action::Update),
        (count(Action::Create), Action::Create),
        (count(Action::Adopt), Action::Adopt),
        (count(Action::Forget), Action::Forget),
    ] {
        if n > 0 {
            parts.push(format!("{n} to {}", word(action)));
        }
    }
    parts.push(format!("{} to delete", count(Action::Delete)));
    parts.join(", ")
}

#[cfg(test)]
mod tests;
