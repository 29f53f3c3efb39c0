//! Problems with their place, the line they are on and a way out, in rustc's shape.

use super::{
    output::Output,
    page::{Line, Look, Page, Paint},
    progress, text,
};
use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin as Place, Renderer, Snippet, renderer::DecorStyle,
};
use cloudtik_core::{Diagnostic, Origin, Severity, Sources};
use std::sync::Arc;

/// A related place farther away than this many lines gets a snippet of its own.
const NEAR: u32 = 40;
/// A label longer than this stands below the snippet.
const LABEL: usize = 48;
/// Columns left of a quoted line, with room for line numbers of four digits.
const GUTTER: usize = 7;
/// Columns that are marked at most: a longer mark would push the line over the edge.
const MARKED: u32 = 40;

/// Tells problems where they belong: people on stderr, programs as lines of the event stream.
pub fn show(output: &Output, diagnostics: &[Diagnostic], sources: &Sources) {
    if !output.is_json() {
        return output.note(&render(diagnostics, sources, &output.look()));
    }
    progress::announce(output);
    if let Err(e) = output.result(&json(diagnostics)) {
        output.note(&format!("cannot write the event stream: {e}"));
    }
}

/// Every problem, then how many there are. Empty for none.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, look: &Look<'_>) -> String {
    let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(look.width).decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let shown = Shown::new(diagnostic, look);
        // A note says how things are made, not what is wrong with a line: its place is enough.
        let quote = diagnostic.origin.is_some() && diagnostic.severity != Severity::Note;
        match (quote, diagnostic.related.is_empty()) {
            (false, true) => out.push_str(&shown.without_place()),
            _ => out.push_str(&(renderer.render(&[shown.group(sources)]) + "\n")),
        }
        out.push('\n');
    }
    if diagnostics.len() > 1 || diagnostics.iter().any(Diagnostic::is_error) {
        out.push_str(&summary(diagnostics, look));
    } else {
        out.pop();
    }
    out
}

/// One problem per line, as the event stream has them.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let line = |d: &Diagnostic| {
        let event = cloudtik_core::event::Event::Diagnostic(d.clone());
        serde_json::to_string(&event).expect("a diagnostic is always JSON") + "\n"
    };
    diagnostics.iter().map(line).collect()
}

/// `3 errors, 1 warning`; empty for none.
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity: Severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let counts = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning"), (of(Severity::Note), "note")];
    let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, noun)| text::plural(*n, noun)).collect();
    counts.join(", ")
}

fn summary(diagnostics: &[Diagnostic], look: &Look<'_>) -> String {
    let paint = if diagnostics.iter().any(Diagnostic::is_error) { Paint::Bad } else { Paint::Edit };
    let mut page = Page::new(look);
    page.line(&Line::of(paint, count(diagnostics)), 0);
    page.finish()
}

/// A diagnostic's texts, cleaned and wrapped, before they are placed.
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    summary: String,
    detail: String,
    hints: Vec<String>,
    look: &'a Look<'a>,
}

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, look: &'a Look<'a>) -> Self {
        let clean = |text: &str, lead: usize| wrap(&look.clean(text), look.width.saturating_sub(lead));
        let hints = diagnostic.hints.iter().map(|h| clean(h, 16)).collect();
        let summary = look.clean(&diagnostic.summary).into_owned();
        Shown { diagnostic, summary, detail: clean(&diagnostic.detail, 16), hints, look }
    }

    fn without_place(&self) -> String {
        let d = self.diagnostic;
        let (paint, name) = match d.severity {
            Severity::Error => (Paint::Bad, "error"),
            Severity::Warning => (Paint::Edit, "warning"),
            Severity::Note => (Paint::Info, "note"),
        };
        let mut page = Page::new(self.look);
        page.line(&Line::of(paint, format!("{name}[{}]", d.id)).add(Paint::Bold, format!(": {}", self.summary)), 2);
        if let Some(origin) = &d.origin {
            page.line(&Line::of(Paint::Info, "  --> ").plain(self.look.clean(&origin.to_string())), 6);
        }
        if let Some(address) = &d.address {
            page.line(&Line::new().plain("  about: ").plain(self.look.clean(&address.to_string())), 4);
        }
        self.look.clean(&d.detail).lines().for_each(|l| page.line(&Line::new().plain(format!("  {l}")), 2));
        for hint in &self.hints {
            page.line(&Line::of(Paint::Info, "  hint: ").plain(hint.replace('\n', " ")), 8);
        }
        page.finish()
    }

    fn group(&self, sources: &'a Sources) -> Group<'a> {
        let d = self.diagnostic;
        let level = match d.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let labelled = !self.detail.contains('\n') && self.quotable(sources) && self.beside(&self.detail);
        let mut group =
            level.primary_title(self.summary.clone()).id(d.id.clone()).elements(self.places(sources, labelled));
        if let Some(address) = &d.address {
            group = group.element(Level::NOTE.with_name("about").message(address.to_string()));
        }
        if !labelled && !self.detail.is_empty() {
            group = group.element(Level::NOTE.no_name().message(self.detail.clone()));
        }
        let hint = |hint: &String| Level::HELP.with_name("hint").message(hint.clone());
        group.elements(self.hints.iter().map(hint))
    }

    /// Whether a text fits beside the marked place.
    fn beside(&self, label: &str) -> bool {
        let taken = |o: &Origin| GUTTER + (o.column + o.length.min(MARKED)) as usize + 1;
        let room = self.diagnostic.origin.as_ref().map_or(0, |o| self.look.width.saturating_sub(taken(o)));
        text::width(label) <= room.min(LABEL)
    }

    fn quotable(&self, sources: &Sources) -> bool {
        self.diagnostic.origin.as_ref().is_some_and(|o| line_of(sources, o).is_some())
    }

    fn places(&self, sources: &'a Sources, labelled: bool) -> Vec<Element<'a>> {
        let d = self.diagnostic;
        let Some(origin) = &d.origin else {
            return d.related.iter().flat_map(|(o, what)| self.apart(sources, o, what)).collect();
        };
        let near = |o: &Origin| o.file == origin.file && o.line.abs_diff(origin.line) <= NEAR;
        let (close, far): (Vec<_>, Vec<_>) = d.related.iter().partition(|(o, _)| near(o));
        let label = if labelled { self.detail.as_str() } else { "" };
        let mut elements = match Window::around(sources, origin, &close) {
            Some(window) => vec![window.snippet(self.look, (origin, label), &close).into()],
            None => vec![place(origin).into()],
        };
        if matches!(elements[..], [Element::Origin(_)]) {
            elements.extend(close.iter().flat_map(|(o, what)| self.apart(sources, o, what)));
        }
        elements.extend(far.iter().flat_map(|(o, what)| self.apart(sources, o, what)));
        elements
    }

    /// A place with its own snippet, or only named when its file cannot be quoted.
    fn apart(&self, sources: &'a Sources, origin: &Origin, what: &str) -> Vec<Element<'a>> {
        match Window::around(sources, origin, &[]) {
            Some(window) => vec![window.related(self.look, origin, what).into()],
            None => {
                let what = self.look.clean(what).into_owned();
                vec![place(origin).into(), Level::NOTE.no_name().message(what).into()]
            }
        }
    }
}

fn place(origin: &Origin) -> Place<'static> {
    let place = Place::path(origin.file.to_string());
    match origin.line {
        0 => place,
        line => place.line(line as usize).char_column(origin.column as usize),
    }
}

/// The lines of a file that one snippet may quote.
struct Window {
    file: Arc<str>,
    first: u32,
    text: String,
}

impl Window {
    fn around(sources: &Sources, origin: &Origin, close: &[&(Origin, String)]) -> Option<Window> {
        line_of(sources, origin)?;
        let lines = || close.iter().map(|(o, _)| o.line).chain([origin.line]);
        let (first, last) = (lines().min()?.max(1), lines().max()?);
        let source = sources.0.get(&origin.file)?;
        let quoted = source.lines().skip(first as usize - 1).take((last - first + 1) as usize);
        let text = quoted.collect::<Vec<_>>().join("\n");
        Some(Window { file: origin.file.clone(), first, text })
    }

    fn snippet<'a>(
        self,
        look: &Look<'_>,
        (origin, label): (&Origin, &str),
        close: &[&(Origin, String)],
    ) -> Snippet<'a, Annotation<'a>> {
        let mut annotations = Vec::new();
        annotations.extend(self.annotation(AnnotationKind::Primary, origin, label.to_string()));
        for (origin, what) in close {
            annotations.extend(self.annotation(AnnotationKind::Context, origin, look.clean(what).into_owned()));
        }
        self.quote(look, annotations)
    }

    fn related<'a>(self, look: &Look<'_>, origin: &Origin, what: &str) -> Snippet<'a, Annotation<'a>> {
        let annotation = self.annotation(AnnotationKind::Context, origin, look.clean(what).into_owned());
        self.quote(look, annotation.into_iter().collect())
    }

    /// Redaction would move the columns, so a window with a secret in it is quoted with the secret blotted out in place.
    fn quote<'a>(self, look: &Look<'_>, annotations: Vec<Annotation<'a>>) -> Snippet<'a, Annotation<'a>> {
        let clean = look.clean(&self.text);
        let text = if clean == self.text { self.text.clone() } else { blotted(&self.text, look) };
        Snippet::source(text).path(self.file.to_string()).line_start(self.first as usize).annotations(annotations)
    }

    fn annotation<'a>(&self, kind: AnnotationKind, origin: &Origin, label: String) -> Option<Annotation<'a>> {
        let before: usize =
            self.text.split('\n').take(origin.line.checked_sub(self.first)? as usize).map(|l| l.len() + 1).sum();
        let line = self.text.get(before..)?.split('\n').next()?;
        let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(at, _)| at);
        let column = origin.column.saturating_sub(1) as usize;
        let (start, end) = (byte(column), byte(column + origin.length.min(MARKED) as usize));
        let annotation = kind.span(before + start..before + end.max(start));
        Some(if label.is_empty() { annotation } else { annotation.label(label) })
    }
}

/// Lines that hold a secret with every character but the spaces replaced, so that byte places stay.
fn blotted(content: &str, look: &Look<'_>) -> String {
    let blot = |line: &str| -> String {
        match look.clean(line) == line {
            true => line.to_string(),
            false => line.bytes().map(|b| if b == b' ' { ' ' } else { '*' }).collect(),
        }
    };
    content.split('\n').map(blot).collect::<Vec<_>>().join("\n")
}

fn line_of<'s>(sources: &'s Sources, origin: &Origin) -> Option<&'s str> {
    let line = (origin.line as usize).checked_sub(1)?;
    sources.0.get(&origin.file)?.lines().nth(line)
}

/// Text with line feeds put where a word would pass `width`; a word that is wider than that is broken.
fn wrap(content: &str, width: usize) -> String {
    let width = width.max(20);
    let mut out = String::with_capacity(content.len());
    for (i, line) in content.trim_end().lines().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let mut used = 0;
        for word in line.split_inclusive(' ') {
            let wide = text::width(word.trim_end());
            if used > 0 && used + wide > width {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                used = 0;
            }
            for c in word.chars() {
                if used >= width && c != ' ' {
                    out.push('\n');
                    used = 0;
                }
                out.push(c);
                used += text::char_width(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{assert_case, look, origin, sources};

    fn unknown_key() -> Diagnostic {
        Diagnostic::error("unknown-key", "unknown key in a node type")
            .at(&origin(5, 5, 6))
            .about(&"cluster/demo/etl:instance.head".parse().unwrap())
            .detail("`resorces` is not a key of `node_config`")
            .hint("did you mean `resources`?")
    }

    #[test]
    fn a_problem_shows_its_line_and_a_way_out() {
        let repeated = Diagnostic::error("duplicate-key", "a key is written twice")
            .at(&origin(8, 1, 8))
            .related(&origin(1, 1, 8), "first written here")
            .hint("remove one of them");
        let long = Diagnostic::warning("yaml-1.1-scalar", "a plain scalar that YAML 1.1 and 1.2 read differently")
            .at(&origin(6, 14, 3))
            .detail(
                "`010` is the number 8 to the Python CloudTik, which reads YAML 1.1, and the number 10 to most other \
                 programs; it is taken as 8 here, as the Python CloudTik does",
            )
            .hint("write `8`, or `\"010\"` for text");
        let nowhere = Diagnostic::error("no-state", "state cannot be opened")
            .detail("/var/lib/cloudtik is read-only")
            .hint("cloudtik plan --state DIR");
        let all = [unknown_key(), repeated, long, nowhere];
        assert_case("diagnostics", &render(&all, &sources(), &look()));
        assert_case("diagnostics-narrow", &render(&all, &sources(), &Look { width: 50, ..look() }));
    }

    #[test]
    fn a_problem_in_a_file_that_cannot_be_quoted_keeps_its_place() {
        let text = render(&[unknown_key()], &Sources::default(), &look());
        assert!(text.contains("cluster.yaml:5:5") && text.contains("hint: did you mean"), "{text}");
    }

    #[test]
    fn no_place_however_wrong_panics() {
        for (line, column, length) in
            [(0, 0, 0), (1, 0, 0), (1, 999, 999), (9999, 1, 1), (3, 1, u32::MAX / 2), (8, 3, 0)]
        {
            let mut d = unknown_key().at(&origin(line, column, length));
            d.related = vec![(origin(line, 1, 1), "here".into()), (origin(1, 1, 1), String::new())];
            assert!(render(&[d], &sources(), &look()).contains("error[unknown-key]"));
        }
    }

    #[test]
    fn a_secret_on_a_quoted_line_is_blotted_out() {
        let redactor = crate::view::redact::Redactor::new(["resorces"]);
        let text = render(&[unknown_key()], &sources(), &Look { redactor: &redactor, ..look() });
        assert!(!text.contains("resorces"), "{text}");
    }

    #[test]
    fn json_has_a_line_each() {
        let lines = json(&[unknown_key(), unknown_key()]);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(
            (lines.lines().count(), first["event"].as_str(), first["origin"]["line"].as_u64()),
            (2, Some("diagnostic"), Some(5))
        );
    }
}
