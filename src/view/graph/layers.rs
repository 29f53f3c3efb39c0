//! The graph as text: layers of what can run at the same time, each with what it comes after.

use super::{
    Graph,
    fold::{depths, fold},
};
use crate::view::{
    page::{Line, Look, Page, Paint},
    plan::{paint, symbol},
};
use cloudtik_core::{Needs, Scope};
use std::collections::BTreeSet;

/// Layers from first to last. `(created)` marks what need only exist, not work, before the next starts.
pub fn text(graph: &Graph, look: &Look<'_>) -> String {
    let folded = fold(graph);
    let mut page = Page::new(look);
    if folded.boxes.is_empty() {
        page.line(&Line::new().plain("The graph is empty."), 0);
        return page.finish();
    }
    let depth = depths(folded.boxes.len(), &folded.edges);
    let mut order: Vec<usize> = (0..folded.boxes.len()).collect();
    order.sort_by_key(|i| depth[*i]);
    let mut before: Vec<Vec<(usize, Needs)>> = vec![Vec::new(); order.len()];
    folded.edges.iter().for_each(|((from, to), needs)| before[*to].push((*from, *needs)));
    let scopes: BTreeSet<&Scope> = folded.boxes.iter().map(|b| &b.scope).collect();
    let mut layer = usize::MAX;
    for i in order {
        let this = &folded.boxes[i];
        let number = if depth[i] == layer { String::new() } else { (depth[i] + 1).to_string() };
        layer = depth[i];
        let (mark, color) = this.action.map_or(("", Paint::Plain), |a| (symbol(a), paint(a)));
        let line = Line::of(Paint::Dim, format!("{number:>3} ")).add(color, format!("{mark:>3} "));
        let scope = if scopes.len() > 1 { format!("  {}", this.scope) } else { String::new() };
        page.line(&line.add(Paint::Bold, this.label()).plain(this.times()).add(Paint::Dim, scope), 10);
        if !before[i].is_empty() {
            let names: Vec<String> =
                before[i].iter().map(|(b, needs)| after(&folded.boxes[*b].label(), *needs)).collect();
            page.line(&Line::of(Paint::Dim, format!("          after {}", names.join(", "))), 16);
        }
    }
    page.finish()
}

fn after(label: &str, needs: Needs) -> String {
    match needs {
        Needs::Created => format!("{label} (created)"),
        Needs::Ready => label.to_string(),
    }
}
