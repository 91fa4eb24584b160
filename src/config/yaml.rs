//! YAML text → a tree with positions. The only file that names the YAML crate.
//!
//! An event parser is used, not a serde implementation: the tree keeps the position of every key and value, so that
//! all errors of a file can be shown at once instead of the first, and aliases are shared instead of copied, so that a
//! file cannot unfold into more than it is.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::issues::Issues;
use super::limits;
use super::node::{Entry, FileId, Node, Position, Shortened, Value};

/// How many keys of one file are shared.
const SHARED_KEYS_MAX: usize = 1024;

/// Reads one document. Errors go to `issues`; `None` when no tree can be made of the text.
pub(crate) fn parse(file: FileId, text: &str, issues: &Issues) -> Option<Node> {
    Composer::new(file, issues).read(text)
}

/// Reads one document whose root is a map of any size: hands each entry of it to `visit` once it is complete, so that
/// the tree never stands in memory as a whole. What a merge key brings comes last. Gives the root without its entries.
pub(crate) fn stream<'a>(
    file: FileId,
    text: &str,
    issues: &'a Issues,
    visit: &'a mut dyn FnMut(&Entry),
) -> Option<Node> {
    let root = RootEntries { visit, seen: HashMap::new(), hashers: Default::default(), merged: None };
    let mut composer = Composer::new(file, issues);
    composer.root_entries = Some(root);
    composer.read(text)
}

/// Reads a part of a document whose root is a map: whole entries of it, which start in line `line` of the file. `None` when
/// anything in them is wrong, or counts for the whole document.
pub(crate) fn part(file: FileId, text: &str, line: u32) -> Option<Node> {
    let issues = Issues::default();
    let mut composer = Composer::new(file, &issues);
    composer.lines_before = line.saturating_sub(1);
    let root = composer.read(text)?;
    let is_settled = !composer.looks_beyond && issues.error_count() == 0;
    (is_settled && matches!(root.value, Value::Map(_)) && root.position.column == 1).then_some(root)
}

/// Visits the entries of the root instead of keeping them.
struct RootEntries<'a> {
    visit: &'a mut dyn FnMut(&Entry),
    /// The lines of the keys so far, by hashes long enough to stand for the keys.
    seen: HashMap<[u64; 2], u32>,
    hashers: [RandomState; 2],
    /// What a merge key names.
    merged: Option<Rc<Node>>,
}

impl RootEntries<'_> {
    fn take(&mut self, entry: Entry, issues: &Issues) {
        let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one(&*entry.key));
        match self.seen.entry(hash) {
            std::collections::hash_map::Entry::Occupied(first) => {
                report_repeated(issues, *first.get(), &entry);
                return;
            }
            std::collections::hash_map::Entry::Vacant(place) => place.insert(entry.position.line),
        };
        if &*entry.key == "<<" { self.merged = Some(entry.value) } else { (self.visit)(&entry) }
    }

    fn finish(&mut self, issues: &Issues) {
        let Some(merged) = self.merged.take() else { return };
        for entry in maps(&merged, issues).iter().flat_map(|map| map.entries()) {
            let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one(&*entry.key));
            if self.seen.insert(hash, entry.position.line).is_none() {
                (self.visit)(entry);
            }
        }
    }
}

fn report_repeated(issues: &Issues, first_line: u32, again: &Entry) {
    let message = format!("the key `{}` is written twice, first in line {first_line}", Shortened(&again.key));
    issues.error_in_text(again.position, message);
}

/// The map, or each map of the list, that a merge key names.
fn maps<'n>(merged: &'n Rc<Node>, issues: &Issues) -> &'n [Rc<Node>] {
    let maps: &[Rc<Node>] = match &merged.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(merged),
    };
    for map in maps.iter().filter(|map| !matches!(map.value, Value::Map(_))) {
        issues.error_in_text(map.position, format!("`<<` takes a map or a list of maps, not {}", map.value));
    }
    maps
}

impl Composer<'_> {
    fn read(&mut self, text: &str) -> Option<Node> {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: limits::YAML_DEPTH_MAX,
            block_nesting_limit: limits::YAML_DEPTH_MAX,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            match event {
                Ok((event, span)) => self.take(event, &span)?,
                Err(error) => {
                    let (file, at) = (self.file, error.marker());
                    let position =
                        Position { file, line: self.line(at.line()), column: number(at.col() + 1), width: 1 };
                    self.issues.error_in_text(position, format!("not YAML: {}", error.info()));
                    return None;
                }
            }
        }
        if let Some(root) = &mut self.root_entries {
            root.finish(self.issues);
        }
        let start = Position { file: self.file, line: 1, column: 1, width: 1 };
        Some(self.root.take().unwrap_or_else(|| Node::new(start, Value::Null)))
    }
}

/// Builds the tree from events, without recursion.
struct Composer<'a> {
    file: FileId,
    /// Lines of the file before the text.
    lines_before: u32,
    issues: &'a Issues,
    /// The collections that are open, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    /// The first keys: a file of many records repeats a few in each, and these share one text.
    keys: HashSet<Rc<str>>,
    /// Nodes that aliases have added to what a walk sees.
    aliased: u64,
    documents: u32,
    /// Whether something in the text depends on what stands before or behind it in the file.
    looks_beyond: bool,
    root: Option<Node>,
    /// Who is handed the entries of the root, where they are not kept.
    root_entries: Option<RootEntries<'a>>,
}

struct Open {
    position: Position,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, key: Option<(Rc<str>, Position)> },
}

impl<'a> Composer<'a> {
    fn new(file: FileId, issues: &'a Issues) -> Self {
        Self {
            file,
            lines_before: 0,
            issues,
            open: Vec::new(),
            anchors: HashMap::new(),
            keys: HashSet::new(),
            aliased: 0,
            documents: 0,
            looks_beyond: false,
            root: None,
            root_entries: None,
        }
    }

    /// Takes one event; `None` when reading must stop.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Option<()> {
        let position = self.position(span);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.issues.error_in_text(position, "a second document in one file: write it to a file of its own");
                    return None;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = self.check_tag(tag.as_deref(), position);
                // A block without text stands where the next thing stands.
                self.looks_beyond |= text.is_empty() && matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_plain = style == ScalarStyle::Plain && !as_text;
                let value = if is_plain { plain_scalar(&text) } else { Value::Text(text.into()) };
                return self.add(Node::new(position, value), anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), position);
                self.open.push(Open { position, anchor, kind: Kind::List(Vec::new()) });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), position);
                self.open.push(Open { position, anchor, kind: Kind::Map { entries: Vec::new(), key: None } });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(anchor) => return self.alias(anchor, position),
            _ => {}
        }
        Some(())
    }

    /// Ends the innermost collection.
    fn close(&mut self) -> Option<()> {
        let Open { position, anchor, kind } = self.open.pop()?;
        let value = match kind {
            Kind::List(mut items) => {
                items.shrink_to_fit();
                Value::List(items)
            }
            Kind::Map { entries, .. } => {
                let mut entries = self.settle(entries);
                entries.shrink_to_fit();
                Value::Map(entries)
            }
        };
        self.add(Node::new(position, value), anchor)
    }

    /// Puts a finished node into the collection that is open.
    fn add(&mut self, node: Node, anchor: usize) -> Option<()> {
        if self.open.is_empty() {
            // An anchor on the whole document changes nothing: no alias can follow it.
            self.root = Some(node);
            return Some(());
        }
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node)
    }

    /// The text of a key, shared with earlier keys of the same text.
    fn key(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.keys.get(text) {
            return Rc::clone(known);
        }
        let key: Rc<str> = text.into();
        if self.keys.len() < SHARED_KEYS_MAX {
            self.keys.insert(Rc::clone(&key));
        }
        key
    }

    fn place(&mut self, node: Rc<Node>) -> Option<()> {
        let position = node.position;
        let text = match &node.value {
            Value::Text(text) if self.expects_key() => Some(self.key(text)),
            Value::Null if self.expects_key() => Some(self.key("")),
            _ => None,
        };
        let is_root = self.open.len() == 1;
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => {}
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key }) => match key.take() {
                Some((key, position)) => {
                    let entry = Entry { key, position, value: node };
                    match self.root_entries.as_mut().filter(|_| is_root) {
                        Some(root) => root.take(entry, self.issues),
                        None => entries.push(entry),
                    }
                }
                None => match text {
                    Some(text) => *key = Some((text, position)),
                    None => {
                        let message = format!("a key must be a text, not {}", node.value);
                        self.issues.error_in_text(position, message);
                        return None;
                    }
                },
            },
        }
        Some(())
    }

    /// Whether the next node is a key.
    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn alias(&mut self, anchor: usize, position: Position) -> Option<()> {
        self.looks_beyond = true;
        let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
            self.issues.error_in_text(position, "an alias inside the value it stands for");
            return None;
        };
        self.aliased = self.aliased.saturating_add(node.weight);
        let depth = usize::try_from(node.depth).unwrap_or(usize::MAX).saturating_add(self.open.len());
        if self.aliased > limits::YAML_ALIASED_NODES_MAX || depth > limits::YAML_DEPTH_MAX {
            let message = format!(
                "aliases unfold into more than {} values or {} levels",
                limits::YAML_ALIASED_NODES_MAX,
                limits::YAML_DEPTH_MAX
            );
            self.issues.error_in_text(position, message);
            return None;
        }
        self.place(node)
    }

    /// Refuses keys written twice and follows merge keys (`<<: *defaults`, what is written wins over what is merged).
    fn settle(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        let key = |index: &usize| entries.get(*index).map(|entry| &entry.key);
        order.sort_by(|a, b| key(a).cmp(&key(b)).then(a.cmp(b)));
        let mut repeated = Vec::new();
        for pair in order.windows(2) {
            if let [first, second] = pair
                && let (Some(first), Some(again)) = (entries.get(*first), entries.get(*second))
                && first.key == again.key
            {
                report_repeated(self.issues, first.position.line, again);
                repeated.push(*second);
            }
        }
        repeated.sort_unstable();
        let (mut repeated, mut index) = (repeated.into_iter().peekable(), 0);
        entries.retain(|_| {
            let is_repeated = repeated.next_if_eq(&index).is_some();
            index += 1;
            !is_repeated
        });
        match entries.iter().position(|entry| &*entry.key == "<<") {
            Some(index) => {
                self.looks_beyond = true;
                self.merge(entries, index)
            }
            None => entries,
        }
    }

    /// Adds the entries of the map, or of each map of the list, that the merge key at `index` names.
    fn merge(&self, mut entries: Vec<Entry>, index: usize) -> Vec<Entry> {
        let merged = entries.remove(index).value;
        let mut present: HashSet<Rc<str>> = entries.iter().map(|entry| Rc::clone(&entry.key)).collect();
        for entry in maps(&merged, self.issues).iter().flat_map(|map| map.entries()) {
            if present.insert(Rc::clone(&entry.key)) {
                entries.push(entry.clone());
            }
        }
        entries
    }

    /// Refuses tags beyond YAML's own; says whether the tag makes any scalar a text.
    fn check_tag(&self, tag: Option<&Tag>, position: Position) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_custom() {
            let message = format!("the tag `{}` means nothing here", Shortened(&tag.original()));
            self.issues.error_in_text(position, message);
        }
        tag.core_suffix() == Some("str")
    }

    /// The line of the file that is `line` in the text.
    fn line(&self, line: usize) -> u32 {
        self.lines_before.saturating_add(number(line))
    }

    fn position(&self, span: &Span) -> Position {
        let width =
            if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        Position {
            file: self.file,
            line: self.line(span.start.line().max(1)),
            column: number(span.start.col() + 1),
            width: number(width.max(1)),
        }
    }
}

/// The value of a scalar that stands without quotation marks.
pub(crate) fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => Value::Text(text.into()),
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::config::testing::{EXAMPLE, check, folder, load_text};

    #[test]
    fn text_that_is_no_yaml_is_placed() {
        check("listeners: [", "2:12: not YAML: unclosed bracket '['");
    }

    #[test]
    fn a_key_is_written_once() {
        check("chaos: {id: a, id: b}", "2:16: the key `id` is written twice, first in line 2");
    }

    #[test]
    fn aliases_and_merge_keys_are_followed() {
        let text = "node: ns1\nmonitors:\n  a: &a {type: http, interval: 10s}\n  b: {<<: *a, path: /b}\n  c: *a\n";
        assert!(load_text(text).is_ok());
        let template =
            "node: ns1\nx-web: &web {type: http, path: /a}\nmonitors: {a: *web, b: {<<: [*web], path: /b}}\n";
        assert!(load_text(template).is_ok());
        check("chaos: {<<: 1}", "2:13: `<<` takes a map or a list of maps, not `1`");
    }

    #[test]
    fn aliases_cannot_unfold_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        check(&text, "7:45: aliases unfold into more than 1000000 values or 64 levels");
        let mut deep = "d0: &d0 [x]\n".to_owned();
        for level in 1..70 {
            deep.push_str(&format!("d{level}: &d{level} [*d{}]\n", level - 1));
        }
        check(&deep, "65:12: aliases unfold into more than 1000000 values or 64 levels");
        check("chaos: &c {id: *c}", "2:16: an alias inside the value it stands for");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("node: {}{}", "[".repeat(5000), "]".repeat(5000));
        let errors = load_text(&text).unwrap_err();
        assert!(errors[0].starts_with("1:71: not YAML: "), "{errors:?}");
    }

    #[test]
    fn one_file_holds_one_document_of_plain_keys_and_tags() {
        check("---\na: b", "2:1: a second document in one file: write it to a file of its own");
        check("? [a]\n: b", "2:3: a key must be a text, not a list");
        check("chaos: !secret {id: a}", "2:16: the tag `!secret` means nothing here");
    }

    /// Asserts that every error stands inside the file it names.
    fn stand_inside(errors: &crate::config::LoadErrors) -> Result<(), TestCaseError> {
        prop_assert!(!errors.problems.is_empty());
        for problem in &errors.problems {
            let text = std::fs::read_to_string(&problem.file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let (line, column) = (usize::try_from(problem.line).unwrap(), usize::try_from(problem.column).unwrap());
            prop_assert!(line >= 1 && line <= lines.len().max(1), "{problem}");
            let length = lines.get(line - 1).map_or(0, |line| line.chars().count());
            prop_assert!((1..=length + 1).contains(&column), "{problem}");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Whatever is written, nothing panics, and every error stands inside the file.
        #[test]
        fn errors_of_any_text_stand_inside_the_file(
            text in "([a-z_]{1,8}: |- |[\\[\\]{},:&*!|>'\"#\n -]|[a-z0-9]{1,4}|é|\t|\r|node: ns1\n|pools:\n){0,40}",
        ) {
            let folder = folder(&[("a.yaml", &text)]);
            if let Err(errors) = crate::config::load(&folder.path().join("a.yaml"), 0) {
                stand_inside(&errors)?;
            }
        }

        /// So of a good file with pieces of it put elsewhere, and of a zone with the same text.
        #[test]
        fn errors_of_a_damaged_file_stand_inside_it(
            cuts in proptest::collection::vec((0.0..1.0, 0..40_usize, 0.0..1.0), 1..6),
        ) {
            let mut text: Vec<char> = EXAMPLE.chars().collect();
            #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a text of a few hundred characters")]
            let place = |share: f64, length: usize| (share * length as f64) as usize;
            for (from, length, to) in cuts {
                let from = place(from, text.len());
                let piece: Vec<char> = text.drain(from..(from + length).min(text.len())).collect();
                let to = place(to, text.len());
                text.splice(to..to, piece);
            }
            let text: String = text.into_iter().collect();
            let main = "node: n\nzones: [{name: example., file: a.yaml, soa: {}}]\n";
            let folder = folder(&[("a.yaml", &text), ("b.yaml", main)]);
            for name in ["a.yaml", "b.yaml"] {
                if let Err(errors) = crate::config::load(&folder.path().join(name), 0) {
                    stand_inside(&errors)?;
                }
            }
        }
    }
}
