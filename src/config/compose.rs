//! From YAML events to a located tree.
//!
//! Aliases share memory and are never expanded here; the size and depth that a walk through them would meet are computed
//! instead, and refused beyond the limits. So every tree that leaves this module can be walked recursively.

use crate::{
    mend::Mends,
    scalar::{self, Scalar},
    syntax,
    text::Text,
};
use cloudtik_core::{Diagnostic, Origin, Tree, TreeValue, origin::Entry};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// How deep values may nest, aliases followed.
pub(crate) const MAX_DEPTH: usize = 128;
/// How many values a document may hold as written.
const MAX_VALUES: usize = 5_000_000;
/// How many values a walk may meet, aliases followed.
pub(crate) const MAX_EXPANDED: u64 = 1_000_000;

/// Reads one document. Errors: everything that is wrong with it up to the first fault of syntax.
pub(crate) fn compose(file: &Arc<str>, text: &str) -> Result<(Arc<Tree>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut mends = Mends::default();
    loop {
        let mut composer = Composer::new(Text::new(file, text));
        let scanned = if mends.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(mends.apply(&composer.text)) };
        match composer.run(&scanned, &mends) {
            Ok(()) => return composer.finish(),
            Err(Stop::Problem(fatal)) => {
                composer.problems.push(*fatal);
                return Err(composer.problems);
            }
            Err(Stop::Scanner(fault)) => {
                if !mends.plan(&fault, &composer.text, scanned.len()) {
                    let mark = mends.mark(fault.marker());
                    composer.problems.push(syntax::explain(&composer.text, &fault, &mark));
                    return Err(composer.problems);
                }
            }
        }
    }
}

/// What ends an attempt.
enum Stop {
    Problem(Fatal),
    Scanner(Box<ScanError>),
}

/// A fault after which composing makes no sense.
type Fatal = Box<Diagnostic>;

#[derive(Clone)]
struct Node {
    tree: Arc<Tree>,
    /// Levels below and with this value.
    height: usize,
    /// Values that a walk meets.
    size: u64,
}

struct Key {
    text: Arc<str>,
    origin: Origin,
    merge: bool,
}

enum Content {
    List(Vec<Arc<Tree>>),
    Map { pairs: Vec<(Key, Arc<Tree>)>, key: Option<Key> },
}

struct Frame {
    content: Content,
    anchor: usize,
    origin: Origin,
    flow: bool,
    height: usize,
    size: u64,
}

struct Composer<'a> {
    text: Text<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    values: usize,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Composer<'a> {
    fn new(text: Text<'a>) -> Self {
        Composer {
            text,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            values: 0,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn run(&mut self, scanned: &str, mends: &Mends) -> Result<(), Stop> {
        for event in Parser::new_from_str(scanned) {
            let (event, span) = event.map_err(|fault| Stop::Scanner(Box::new(fault)))?;
            self.event(event, mends.span(span)).map_err(Stop::Problem)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tree = self.scalar(&text, style, tag, &span);
                let node = Node { tree: Arc::new(tree), height: 1, size: 1 };
                self.settle(anchor, node, &span)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.add(node, &span, true),
                None => Err(self.cyclic(&span)),
            },
            Event::SequenceStart(anchor, tag) => self.open(Content::List(Vec::new()), anchor, tag, "seq", &span),
            Event::MappingStart(anchor, tag) => {
                self.open(Content::Map { pairs: Vec::new(), key: None }, anchor, tag, "map", &span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&span),
            Event::DocumentStart(_) if self.root.is_some() => Err(Box::new(
                Diagnostic::error("several-documents", "several YAML documents in one file")
                    .at(&self.text.place(&span.start, 3))
                    .detail("a second document starts here")
                    .hint("put each document into a file of its own; commands take several files or a folder"),
            )),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, span: &Span) -> Tree {
        let quote = match style {
            ScalarStyle::DoubleQuoted => Some('"'),
            ScalarStyle::SingleQuoted => Some('\''),
            _ => None,
        };
        let origin = self.text.scalar(span, quote);
        let plain = style == ScalarStyle::Plain;
        let value = match tag {
            Some(tag) => self.tagged(&tag, text, &origin),
            None if plain => self.plain(text, &origin),
            None => TreeValue::Text(text.into()),
        };
        Tree { value, origin, raw: plain.then(|| text.into()) }
    }

    fn plain(&mut self, text: &str, origin: &Origin) -> TreeValue {
        let meaning = scalar::yaml11(text);
        let other = scalar::yaml12(text);
        if !scalar::same(meaning, other) && meaning != Scalar::HugeInt {
            self.warnings.push(syntax::dialect(text, meaning, other, origin));
        }
        self.value(text, meaning, origin)
    }

    fn value(&mut self, text: &str, meaning: Scalar, origin: &Origin) -> TreeValue {
        match meaning {
            Scalar::Null => TreeValue::Null,
            Scalar::Bool(b) => TreeValue::Bool(b),
            Scalar::Int(i) => TreeValue::Int(i),
            Scalar::Float(f) => TreeValue::Float(f),
            Scalar::Date | Scalar::Text => TreeValue::Text(text.into()),
            Scalar::HugeInt => {
                self.problems.push(syntax::huge_int(text, origin));
                TreeValue::Text(text.into())
            }
        }
    }

    fn tagged(&mut self, tag: &Tag, text: &str, origin: &Origin) -> TreeValue {
        if tag.handle == "!" && tag.suffix.is_empty() || tag.is_yaml_core_schema() && tag.suffix == "str" {
            return TreeValue::Text(text.into());
        }
        let meaning = scalar::yaml11(text);
        let fits = match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
            (true, "null") => meaning == Scalar::Null,
            (true, "bool") => matches!(meaning, Scalar::Bool(_)),
            (true, "int") => matches!(meaning, Scalar::Int(_) | Scalar::HugeInt),
            (true, "float") => matches!(meaning, Scalar::Int(_) | Scalar::Float(_)),
            _ => {
                self.problems.push(syntax::unknown_tag(tag, origin));
                return TreeValue::Text(text.into());
            }
        };
        if !fits {
            self.problems.push(syntax::bad_tag(tag, text, origin));
        }
        match meaning {
            Scalar::Int(i) if tag.suffix == "float" => TreeValue::Float(i as f64),
            _ => self.value(text, meaning, origin),
        }
    }

    fn open(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        own_tag: &str,
        span: &Span,
    ) -> Result<(), Fatal> {
        let origin = self.text.place(&span.start, 1);
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == own_tag)
        {
            self.problems.push(syntax::unknown_tag(&tag, &origin));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(syntax::too_deep(&origin));
        }
        let flow = self.text.tail(span.end.line(), span.end.col().saturating_sub(1)).starts_with(['{', '['])
            && !span.is_empty();
        self.check_tab(span, flow)?;
        self.stack.push(Frame { content, anchor, origin, flow, height: 0, size: 1 });
        Ok(())
    }

    /// Refuses tabs before the first value of a line outside brackets: the scanner lets some of them pass.
    fn check_tab(&self, span: &Span, flow: bool) -> Result<(), Fatal> {
        let (line, column) = (span.start.line(), span.start.col());
        match self.text.tab_before(line, column) {
            Some(tab) if !flow && !self.stack.iter().any(|f| f.flow) => {
                Err(Box::new(syntax::tab(&self.text.origin(line, tab, 1))))
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, span: &Span) -> Result<(), Fatal> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let mut origin = frame.origin;
        let (value, extra) = match frame.content {
            Content::List(items) => {
                if !frame.flow {
                    origin.length = 1;
                }
                (TreeValue::List(items), 0)
            }
            Content::Map { pairs, .. } => {
                if let Some((key, _)) = pairs.first().filter(|(k, _)| !frame.flow && k.origin.line == origin.line) {
                    origin = key.origin.clone();
                }
                let written = pairs.len();
                let entries = self.entries(pairs)?;
                let extra = entries.len().saturating_sub(written);
                (TreeValue::Map(entries), extra)
            }
        };
        if frame.flow && span.end.line() as u64 == u64::from(origin.line) {
            origin.length = u32::try_from(span.end.col() + 1).unwrap_or(u32::MAX).saturating_sub(origin.column);
        }
        self.values = self.values.saturating_add(extra);
        let node =
            Node { tree: Arc::new(Tree { value, origin, raw: None }), height: frame.height + 1, size: frame.size };
        self.settle(frame.anchor, node, span)
    }

    /// Entries in document order: own ones with repeats reported, then those that `<<` brings in.
    fn entries(&mut self, pairs: Vec<(Key, Arc<Tree>)>) -> Result<Vec<Entry>, Fatal> {
        let mut own: Vec<Entry> = Vec::new();
        let mut seen: BTreeMap<Arc<str>, Origin> = BTreeMap::new();
        let mut sources = Vec::new();
        for (key, value) in pairs {
            if key.merge {
                sources.push((key, value));
                continue;
            }
            match seen.get(&key.text) {
                Some(first) => self.problems.push(syntax::duplicate_key(&key.text, &key.origin, first)),
                None => {
                    seen.insert(key.text.clone(), key.origin.clone());
                    own.push(Entry { key: key.text, key_origin: key.origin, value });
                }
            }
        }
        let mut known: HashSet<Arc<str>> = seen.into_keys().collect();
        for (key, value) in sources {
            for map in self.merge_sources(&key, &value) {
                for entry in map.entries() {
                    self.values = self.values.saturating_add(1);
                    if known.insert(entry.key.clone()) {
                        own.push(entry.clone());
                    }
                }
                if self.values > MAX_VALUES {
                    return Err(syntax::too_large(&key.origin, None));
                }
            }
        }
        Ok(own)
    }

    fn merge_sources(&mut self, key: &Key, value: &Arc<Tree>) -> Vec<Arc<Tree>> {
        let sources = match &value.value {
            TreeValue::List(items) => items.clone(),
            _ => vec![value.clone()],
        };
        if sources.iter().any(|t| !matches!(t.value, TreeValue::Map(_))) {
            self.problems.push(
                Diagnostic::error("bad-merge", "a merge needs a map")
                    .at(&key.origin)
                    .detail("`<<` takes an alias to a map, or a list of such aliases")
                    .hint("write `<<: *name`, with `&name` before the map to merge"),
            );
            return Vec::new();
        }
        sources
    }

    fn settle(&mut self, anchor: usize, node: Node, span: &Span) -> Result<(), Fatal> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node, span, false)
    }

    /// Puts a finished value where it belongs: into the innermost open list or map, or at the top.
    fn add(&mut self, node: Node, span: &Span, alias: bool) -> Result<(), Fatal> {
        let place = if alias { self.text.scalar(span, None) } else { node.tree.origin.clone() };
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES {
            return Err(syntax::too_large(&place, None));
        }
        if self.stack.len() + node.height > MAX_DEPTH {
            return Err(syntax::too_deep(&place));
        }
        if let Some(frame) = self.stack.last() {
            let is_key = matches!(&frame.content, Content::Map { key: None, .. });
            if is_key && !alias {
                self.check_tab(span, false)?;
            }
            if is_key {
                let key = self.key(&node.tree, place);
                let Some(Frame { content: Content::Map { key: slot, .. }, .. }) = self.stack.last_mut() else {
                    return Ok(());
                };
                *slot = Some(key);
                return Ok(());
            }
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(node.height);
        frame.size = frame.size.saturating_add(node.size);
        if frame.size > MAX_EXPANDED {
            return Err(syntax::too_large(&place, alias.then_some(&node.tree.origin)));
        }
        match &mut frame.content {
            Content::List(items) => items.push(node.tree),
            Content::Map { pairs, key } => {
                if let Some(key) = key.take() {
                    let tree = after_key(node.tree, &key, alias);
                    pairs.push((key, tree));
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, tree: &Tree, origin: Origin) -> Key {
        if let TreeValue::Text(text) = &tree.value {
            return Key { text: text.clone(), origin, merge: tree.raw.as_deref() == Some("<<") };
        }
        self.problems.push(syntax::key_not_text(tree, &origin));
        Key { text: tree.raw.clone().unwrap_or_else(|| "?".into()), origin, merge: false }
    }

    fn cyclic(&self, span: &Span) -> Fatal {
        let name = self.text.written(span);
        Box::new(
            Diagnostic::error("cyclic-alias", "a value holds itself")
                .at(&self.text.scalar(span, None))
                .detail(format!("`{name}` stands inside the value that its anchor names"))
                .hint("move the anchor to a value that does not hold the alias"),
        )
    }

    fn finish(mut self) -> Result<(Arc<Tree>, Vec<Diagnostic>), Vec<Diagnostic>> {
        let whole = self.text.origin(1, 0, 0);
        match self.root.take() {
            None => self.problems.push(
                Diagnostic::error("empty-document", "the document is empty")
                    .at(&whole)
                    .hint("a workspace needs `workspace_name` and `provider`; see `cloudtik schema workspace`"),
            ),
            Some(root) if self.problems.is_empty() => return Ok((root.tree, self.warnings)),
            Some(_) => {}
        }
        Err(self.problems)
    }
}

/// An empty value stands right behind its key.
fn after_key(tree: Arc<Tree>, key: &Key, alias: bool) -> Arc<Tree> {
    if alias || tree.raw.as_deref() != Some("") {
        return tree;
    }
    let origin =
        Origin { column: key.origin.column.saturating_add(key.origin.length), length: 0, ..key.origin.clone() };
    Arc::new(Tree { origin, ..Tree::clone(&tree) })
}
