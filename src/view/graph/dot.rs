//! The graph for Graphviz and for Mermaid, which code hosts draw inside Markdown.

use super::{
    Graph,
    fold::{Box, fold},
};
use crate::view::plan::symbol;
use cloudtik_core::{Needs, Scope, plan::Action};
use std::{collections::BTreeSet, fmt::Write};

/// Fill and border of a box, chosen to carry black text on white and on dark pages.
pub(crate) fn colors(action: Option<Action>) -> (&'static str, &'static str) {
    match action {
        Some(Action::Delete | Action::Replace | Action::ReplaceCreateFirst) => ("#ffe3e0", "#b42318"),
        Some(Action::Update) => ("#fff3d1", "#a15c07"),
        Some(Action::Create) => ("#e2f6e5", "#1a7f37"),
        Some(Action::Adopt | Action::Forget) => ("#ddf0fb", "#0b6a9c"),
        Some(Action::Read | Action::Keep) | None => ("#f3f4f6", "#57606a"),
    }
}

fn title(this: &Box) -> String {
    let mark = this.action.map_or(String::new(), |a| format!("{} ", symbol(a)));
    format!("{mark}{}{}", this.label(), this.times())
}

/// Graphviz; a dashed edge needs the other only created.
pub fn dot(graph: &Graph) -> String {
    let folded = fold(graph);
    let mut out = String::from(
        "digraph cloudtik {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"monospace\"];\n",
    );
    let scopes: BTreeSet<&Scope> = folded.boxes.iter().map(|b| &b.scope).collect();
    for (n, scope) in scopes.into_iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{n} {{\n    label=\"{}\";", quoted(&scope.to_string()));
        for (i, this) in folded.boxes.iter().enumerate().filter(|(_, b)| b.scope == *scope) {
            let (fill, border) = colors(this.action);
            let title = quoted(&title(this));
            let _ = writeln!(out, "    n{i} [label=\"{title}\", fillcolor=\"{fill}\", color=\"{border}\"];");
        }
        out.push_str("  }\n");
    }
    for ((from, to), needs) in &folded.edges {
        let style = if *needs == Needs::Created { " [style=dashed]" } else { "" };
        let _ = writeln!(out, "  n{from} -> n{to}{style};");
    }
    out + "}\n"
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

/// Mermaid; a dotted arrow needs the other only created.
pub fn mermaid(graph: &Graph) -> String {
    let folded = fold(graph);
    let mut out = String::from("flowchart LR\n");
    let scopes: BTreeSet<&Scope> = folded.boxes.iter().map(|b| &b.scope).collect();
    for (n, scope) in scopes.into_iter().enumerate() {
        let _ = writeln!(out, "  subgraph s{n}[\"{}\"]", entities(&scope.to_string()));
        for (i, this) in folded.boxes.iter().enumerate().filter(|(_, b)| b.scope == *scope) {
            let _ = writeln!(out, "    n{i}(\"{}\")", entities(&title(this)));
        }
        out.push_str("  end\n");
    }
    for ((from, to), needs) in &folded.edges {
        let arrow = if *needs == Needs::Created { "-.->" } else { "-->" };
        let _ = writeln!(out, "  n{from} {arrow} n{to}");
    }
    for (i, this) in folded.boxes.iter().enumerate() {
        let (fill, border) = colors(this.action);
        let _ = writeln!(out, "  style n{i} fill:{fill},stroke:{border},color:#000");
    }
    out
}

/// Mermaid reads `#35;` as the character 35; nothing but letters, digits and harmless marks stays as it is.
fn entities(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !"./-_:,+ ".contains(c) || c.is_control() {
            let _ = write!(out, "#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
