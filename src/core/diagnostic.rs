//! Problems with what a user wrote or asked: gathered, never thrown.

use crate::{address::Address, origin::Origin};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    Note,
}

/// One problem with its place, its cause and a way out.
///
/// `summary` holds no text of the user's and ends without a full stop; `detail` names the values; each hint is a command
/// or an edit that can be made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable, kebab-case: `unknown-key`.
    pub id: String,
    pub severity: Severity,
    pub summary: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Other places that belong to the problem, each with what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<(Origin, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Diagnostic {
    pub fn new(severity: Severity, id: &str, summary: impl Into<String>) -> Self {
        Diagnostic {
            id: id.into(),
            severity,
            summary: summary.into(),
            detail: String::new(),
            address: None,
            origin: None,
            related: Vec::new(),
            hints: Vec::new(),
        }
    }

    pub fn error(id: &str, summary: impl Into<String>) -> Self {
        Self::new(Severity::Error, id, summary)
    }

    pub fn warning(id: &str, summary: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, summary)
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    /// [`Diagnostic::at`] when a place is known.
    pub fn maybe_at(mut self, origin: Option<&Origin>) -> Self {
        self.origin = origin.cloned();
        self
    }

    pub fn about(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    pub fn related(mut self, origin: &Origin, what: impl Into<String>) -> Self {
        self.related.push((origin.clone(), what.into()));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Orders by file, place, severity and id, and drops exact repeats.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (&a.origin, a.severity, &a.id, &a.address, &a.detail)
            .cmp(&(&b.origin, b.severity, &b.id, &b.address, &b.detail))
    });
    diagnostics.dedup();
}
