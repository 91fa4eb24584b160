//! YAML as a tree that remembers where everything stands, and cursors into it that know their path.
//!
//! Nothing here knows YAML's syntax or the configuration's meaning.

use std::fmt;
use std::rc::Rc;

/// Which of the files read in one load; an index into `Sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileId(pub(crate) u32);

/// Where something is written: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) file: FileId,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// How many characters of the line it takes, for the caret below a snippet; at least 1.
    pub(crate) width: u32,
}

/// One value as written.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) position: Position,
    pub(crate) value: Value,
    /// How many nodes a walk over this one sees, aliases followed; bounds what a small file can grow to.
    pub(crate) weight: u64,
    /// How many levels of lists and maps it holds, aliases followed; bounds recursion.
    pub(crate) depth: u32,
}

/// What stands at a [`Node`].
#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, as written when plain and unescaped when quoted. What it means is the reader's matter.
    Text(Box<str>),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map in file order; no key twice.
    Map(Vec<Entry>),
}

/// One key of a map, with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Rc<str>,
    pub(crate) position: Position,
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// A node of this value, its weight and depth worked out.
    pub(crate) fn new(position: Position, value: Value) -> Self {
        let (weight, depth) = match &value {
            Value::Null | Value::Text(_) => (1, 0),
            Value::List(items) => measure(items.iter()),
            Value::Map(entries) => measure(entries.iter().map(|entry| &entry.value)),
        };
        Self { position, value, weight, depth }
    }

    /// The entries of a map; none for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(crate) fn items(&self) -> &[Rc<Self>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entry of this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| &*entry.key == key)
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (u64, u32) {
    children.fold((1, 1), |(weight, depth), child| (weight.saturating_add(child.weight), depth.max(child.depth + 1)))
}

impl fmt::Display for Value {
    /// What the value is, for "expected …, found …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Text(text) => write!(f, "`{}`", Shortened(text)),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a map"),
        }
    }
}

/// A text cut for a message, its control characters escaped.
pub(crate) struct Shortened<'a>(pub(crate) &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARACTERS_MAX: usize = 80;
        for character in self.0.chars().take(CHARACTERS_MAX) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if self.0.chars().nth(CHARACTERS_MAX).is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// A cursor: a value (or the lack of one) with its path from the root.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    node: Option<&'a Node>,
    /// Where its key stands, or itself where it has none.
    head: Position,
    path: Path<'a>,
}

/// A path as a list linked towards the root, so that a step costs one small allocation.
#[derive(Debug, Clone)]
enum Path<'a> {
    Root,
    Key(Rc<Path<'a>>, &'a str),
    Item(Rc<Path<'a>>, usize),
}

impl<'a> Place<'a> {
    /// The place of a whole tree.
    pub(crate) const fn root(node: &'a Node) -> Self {
        Self { node: Some(node), head: node.position, path: Path::Root }
    }

    /// The value of `key`; where it is not written, a place without a value that stands at this one.
    pub(crate) fn field(&self, key: &'a str) -> Self {
        let path = Path::Key(Rc::new(self.path.clone()), key);
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => Self { node: Some(&entry.value), head: entry.position, path },
            None => Self { node: None, head: self.head, path },
        }
    }

    /// The value of a map's entry by its number.
    pub(crate) fn entry(&self, index: usize) -> Self {
        match self.node.and_then(|node| node.entries().get(index)) {
            Some(entry) => self.of_entry(entry),
            None => self.clone(),
        }
    }

    /// The value of one of this map's entries.
    pub(crate) fn of_entry(&self, entry: &'a Entry) -> Self {
        let path = Path::Key(Rc::new(self.path.clone()), &entry.key);
        Self { node: Some(&entry.value), head: entry.position, path }
    }

    /// A list's item by its number.
    pub(crate) fn item(&self, index: usize) -> Self {
        let path = Path::Item(Rc::new(self.path.clone()), index);
        match self.node.and_then(|node| node.items().get(index)) {
            Some(item) => Self { node: Some(item), head: item.position, path },
            None => Self { node: None, head: self.head, path },
        }
    }

    /// A list's item by its number, or this place where one value is written instead of a list.
    pub(crate) fn one_or_item(&self, index: usize) -> Self {
        if matches!(self.node, Some(Node { value: Value::List(_), .. })) { self.item(index) } else { self.clone() }
    }

    /// The value of `key`, or this place where one text is written instead of a map.
    pub(crate) fn one_or_field(&self, key: &'a str) -> Self {
        if self.node.is_some_and(|node| node.text().is_some()) { self.clone() } else { self.field(key) }
    }

    /// What is written here.
    pub(crate) const fn node(&self) -> Option<&'a Node> {
        self.node
    }

    /// Whether this is the whole tree.
    pub(crate) const fn is_root(&self) -> bool {
        matches!(self.path, Path::Root)
    }

    /// Whether this map has the key, its value good or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.entry(key).is_some())
    }

    /// Where the key stands; for errors about what is missing or should not be.
    pub(crate) const fn head(&self) -> Position {
        self.head
    }

    /// Where the value stands; its key where nothing is written.
    pub(crate) fn position(&self) -> Position {
        match self.node {
            Some(Node { value: Value::Null, .. }) | None => self.head,
            Some(node) => node.position,
        }
    }

    /// The path in the form `pools.web.members[1].ratio`; empty at the root.
    pub(crate) fn path(&self) -> String {
        let mut steps = Vec::new();
        let mut at = &self.path;
        loop {
            at = match at {
                Path::Root => break,
                Path::Key(parent, _) | Path::Item(parent, _) => {
                    steps.push(at);
                    parent
                }
            };
        }
        let mut text = String::new();
        for step in steps.into_iter().rev() {
            match step {
                Path::Key(_, key) => {
                    let dot = if text.is_empty() { "" } else { "." };
                    text.push_str(&format!("{dot}{}", Shortened(key)));
                }
                Path::Item(_, index) => text.push_str(&format!("[{index}]")),
                Path::Root => {}
            }
        }
        text
    }
}
