//! The plan for a terminal: what changed outside, then every change with its reason, destructive first, then what it adds
//! up to, how long it takes and what to run next. No line is wider than the terminal.

use super::{
    INDENT,
    brief::{self, Brief},
    counts, drift,
    groups::{self, Group},
    meaning, order, paint,
    reasons::why,
    rows::{self, Mark, Row, write_row},
    symbol,
};
use crate::view::{
    diagnostics,
    page::{Line, Look, Page, Paint},
    text,
};
use cloudtik_core::{
    Address, Scope, Sources,
    plan::{Action, Change, Plan},
};
use std::collections::{BTreeSet, HashMap};

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also what is kept, and every drifted thing.
    pub verbose: bool,
    /// Long texts and lists whole.
    pub full: bool,
    /// Commands to run next, as `(command, what it does)`.
    pub next: Vec<(String, String)>,
}

/// The whole plan as text, ending in a line feed.
pub fn human(plan: &Plan, sources: &Sources, look: &Look<'_>, options: &Options) -> String {
    let mut writer = Writer::new(plan, PLANNED, look, options);
    drift::write(&mut writer.page, &plan.drift, look, options.verbose, options.full);
    if plan.is_empty() && !plan.changes.iter().any(|c| c.action.is_change()) {
        writer.kept();
        writer.nothing();
    } else {
        writer.legend();
        writer.changes();
        writer.kept();
        writer.footer();
    }
    let mut out = String::new();
    if !plan.warnings.is_empty() {
        out = diagnostics::render(&plan.warnings, sources, look);
        out.push('\n');
    }
    out + &writer.page.finish()
}

pub(super) struct Writer<'a> {
    plan: &'a Plan,
    words: Words,
    look: &'a Look<'a>,
    options: &'a Options,
    pub(super) page: Page,
    /// With several documents, each run of one scope's entries has a heading.
    scoped: bool,
    scope: Option<&'a Scope>,
    /// Text diffs already shown, with where.
    shown: HashMap<String, String>,
    /// Whether new resources were shown in part only.
    shortened: bool,
}

/// What is said of actions: of those to come, or of those that were.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub meaning: fn(Action) -> &'static str,
    pub why: fn(&Change) -> String,
}

const PLANNED: Words = Words { meaning, why };

impl<'a> Writer<'a> {
    pub(super) fn new(plan: &'a Plan, words: Words, look: &'a Look<'a>, options: &'a Options) -> Self {
        let acting = plan.changes.iter().filter(|c| c.action.is_change());
        let scopes: BTreeSet<&Scope> = acting.map(|c| c.address.scope()).collect();
        let scoped = scopes.len() > 1;
        Writer {
            plan,
            words,
            look,
            options,
            page: Page::new(look),
            scoped,
            scope: None,
            shown: HashMap::new(),
            shortened: false,
        }
    }

    pub(super) fn legend(&mut self) {
        let used: BTreeSet<Action> = self.plan.changes.iter().map(|c| c.action).filter(|a| a.is_change()).collect();
        let mut line = Line::new();
        for action in used {
            let what = format!(" {}", (self.words.meaning)(action));
            if line.width() + 3 + symbol(action).len() + what.len() > self.look.width {
                self.page.line(&std::mem::take(&mut line), 0);
            } else if line.width() > 0 {
                line = line.plain("   ");
            }
            line = line.add(paint(action), symbol(action)).add(Paint::Dim, what);
        }
        self.page.line(&line, 0);
    }

    pub(super) fn changes(&mut self) {
        let groups =
            groups::groups(self.plan.changes.iter().filter(|c| c.action.is_change()), &order::kinds(self.plan));
        let mut last_compact = false;
        for group in &groups {
            let brief = self.brief(group);
            let compact = brief.rows.is_empty() && group.with_it.is_empty();
            if !(compact && last_compact) {
                self.page.blank();
            }
            last_compact = compact;
            self.shortened |= brief.shortened;
            self.entry(group, brief);
        }
    }

    fn brief(&self, group: &Group<'a>) -> Brief {
        if group.action() != Action::Create || self.options.full {
            return Brief { rows: rows::rows(group, self.look, self.options.full), ..Brief::default() };
        }
        let head =
            head(group.action(), &group.label(), &group.times(), &self.look.clean(&(self.words.why)(group.first())));
        brief::brief(group, self.look, head.width())
    }

    fn entry(&mut self, group: &Group<'a>, mut brief: Brief) {
        self.heading(group.first().address.scope());
        let line =
            head(group.action(), &group.label(), &group.times(), &self.look.clean(&(self.words.why)(group.first())));
        if let Some(text) = brief.text.take().filter(|text| text.lines().count() > 2) {
            if let Some(place) = self.shown.get(&text) {
                brief.rows.clear();
                brief.behind = Some(Line::of(Paint::Dim, format!("same as in {place}")));
            } else {
                self.shown.insert(text, group.label());
            }
        }
        let line = match brief.behind {
            Some(behind) => Line(line.plain("  ").0.into_iter().chain(behind.0).collect()),
            None => line,
        };
        self.page.line(&line, INDENT);
        if !group.with_it.is_empty() {
            let each = if group.members.len() > 1 { "each" } else { "it" };
            let names = rows::along(group.with_it.iter().map(|c| c.address.clone()));
            let count = group.with_it.len();
            let line = Line::new().plain(" ".repeat(INDENT)).add(Paint::Bad, format!("with {each}"));
            self.page.line(&line.plain(format!(" ({count} in all): {names}")), INDENT + 2);
        }
        self.rows(&group.label(), brief.rows);
    }

    fn heading(&mut self, scope: &'a Scope) {
        if self.scoped && self.scope != Some(scope) {
            self.page.blank();
            self.page.line(&Line::of(Paint::Bold, scope.to_string()), 0);
        }
        self.scope = Some(scope);
    }

    /// A text that was shown before is only referred to.
    fn rows(&mut self, label: &str, rows: Vec<Row>) {
        let mut rest = rows.as_slice();
        while let Some(row) = rest.first() {
            let block = 1 + rest[1..].iter().take_while(|r| r.depth > row.depth).count();
            let body = &rest[1..block];
            if body.iter().filter(|r| r.exact).count() > 2 {
                let text: String = body.iter().map(|r| format!("{:?}{}\n", r.mark, r.line.text())).collect();
                write_row(&mut self.page, row);
                if let Some(place) = self.shown.get(&text) {
                    let line = Line::of(Paint::Dim, format!("same as in {place} above"));
                    write_row(&mut self.page, &Row { mark: Mark::None, depth: row.depth + 1, line, exact: false });
                } else {
                    body.iter().for_each(|r| write_row(&mut self.page, r));
                    self.shown.insert(text, label.to_string());
                }
                rest = &rest[block..];
            } else {
                write_row(&mut self.page, row);
                rest = &rest[1..];
            }
        }
    }

    pub(super) fn kept(&mut self) {
        if !self.options.verbose {
            return;
        }
        self.page.blank();
        self.scope = None;
        let kept = self.plan.changes.iter().filter(|c| !c.action.is_change());
        for group in groups::groups(kept, &HashMap::new()) {
            self.heading(group.first().address.scope());
            self.page.line(&head(group.action(), &group.label(), &group.times(), ""), INDENT);
        }
        self.page.blank();
    }

    fn nothing(&mut self) {
        let kept = text::plural(self.plan.changes.len(), "resource");
        let verb = if self.plan.changes.len() == 1 { "is" } else { "are" };
        let line = match self.plan.changes.len() {
            0 => Line::of(Paint::Bold, "No changes.").plain(" Nothing is declared and nothing is recorded."),
            _ => Line::of(Paint::Bold, "No changes.").plain(format!(" {kept} {verb} as declared.")),
        };
        self.page.line(&line, 0);
    }

    pub(super) fn in_part(&mut self, hint: &str) {
        if self.shortened {
            self.page.line(&Line::of(Paint::Dim, hint), 0);
            self.page.blank();
        }
    }

    fn footer(&mut self) {
        self.page.blank();
        self.in_part("What is created is shown in part; --verbose shows all of it.");
        self.page.line(&Line::of(Paint::Bold, "Plan:").plain(format!(" {}.", counts(self.plan))), 6);
        let estimate = &self.plan.estimate;
        if !self.plan.operations.is_empty() {
            let expected = Line::of(Paint::Bold, "Expected:").plain(format!(" {}", text::about(estimate.milliseconds)));
            let chain = chain(&estimate.critical_path, self.look.width.saturating_sub(26));
            let chain = if chain.is_empty() { ".".into() } else { format!("; longest chain: {chain}") };
            self.page.line(&expected.plain(chain), 10);
        }
        if !self.options.next.is_empty() {
            self.page.blank();
        }
        for (command, what) in &self.options.next {
            let line = Line::of(Paint::Info, format!("  {}", self.look.clean(command)));
            self.page.line(&line.add(Paint::Dim, format!("  {what}")), 6);
        }
    }
}

/// `-/+ subnet.private  must be replaced: …`
fn head(action: Action, label: &str, times: &str, why: &str) -> Line {
    let line = Line::of(paint(action), format!("{:>3} ", symbol(action)));
    let line = line.add(if action == Action::Keep { Paint::Dim } else { Paint::Bold }, label).plain(times);
    if why.is_empty() { line } else { line.plain(format!("  {why}")) }
}

/// The first and last links of a chain, as many as fit; at most two lines.
fn chain(path: &[Address], room: usize) -> String {
    let names: Vec<String> = path.iter().map(Address::short).collect();
    let whole = names.join(" -> ");
    if names.len() < 4 || text::width(&whole) <= room * 2 {
        return whole;
    }
    for kept in (2..names.len() - 1).rev() {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let skipped = names.len() - kept;
        let short = format!(
            "{} -> … {skipped} more … -> {}",
            names[..head].join(" -> "),
            names[names.len() - tail..].join(" -> ")
        );
        if text::width(&short) <= room * 2 {
            return short;
        }
    }
    format!("{} -> … {} more … -> {}", names[0], names.len() - 2, names[names.len() - 1])
}
