//! The plain subset of YAML, in which programs write zones, read line by line at ten times the pace of the YAML crate.
//!
//! Plain are maps and lists by indentation, of scalars in printable ASCII without escapes that end on their line. An entry
//! with anything else in it is given to the crate; and where that does not settle it by itself (aliases, merge keys, another
//! document, any mistake), nothing counts as read, and whoever asked reads the text again as a whole. So no text means
//! anything else here, and there is one place that tells what is wrong with it.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::node::{Entry, FileId, Node, Position, Value};
use super::yaml;

/// How deep maps and lists stand in an entry: deeper than any record.
const DEPTH_MAX: usize = 8;
/// How many keys a map in an entry has: more than any record.
const KEYS_MAX: usize = 32;
/// The longest key, in octets. The crate has a limit too, which is above.
const KEY_LENGTH_MAX: usize = 256;

/// Reads one document whose root is a map, as [`yaml::stream`] does. `None` when it must be read as a whole: what `visit`
/// was handed is to be forgotten then.
pub(crate) fn stream(file: FileId, text: &str, visit: &mut dyn FnMut(&Entry)) -> Option<Node> {
    let mut reader = Reader::new(file, text);
    let mut root: Option<Position> = None;
    let (hasher, mut seen) = (RandomState::new(), Vec::new());
    let mut take = |entry: &Entry| {
        seen.push(hasher.hash_one(&*entry.key));
        visit(entry);
    };
    while let Some(first) = reader.lines.next {
        let before = reader.lines.clone();
        if let Some(entry) = reader.entry() {
            root.get_or_insert(Position { width: 1, ..entry.position });
            take(&entry);
            continue;
        }
        reader.lines = before;
        let part = yaml::part(file, reader.lines.take_entry(first)?, first.number)?;
        root.get_or_insert(part.position);
        part.entries().iter().for_each(&mut take);
    }
    // Keys written twice, and others whose hashes are the same by chance.
    seen.sort_unstable();
    let is_repeated = seen.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    root.filter(|_| !is_repeated).map(|position| Node::new(position, Value::Map(Vec::new())))
}

/// One line, or what stands behind a dash in it.
#[derive(Clone, Copy)]
struct Line<'t> {
    /// Where the line starts in the text.
    start: usize,
    /// Its number, from 1.
    number: u32,
    /// Characters before the text.
    indent: usize,
    /// Without blanks at its ends; empty where it is not in printable ASCII, so that it reads as nothing that is plain.
    text: &'t str,
}

/// The lines of a text, empty ones and comments left out.
#[derive(Clone)]
struct Lines<'t> {
    text: &'t str,
    /// The line that was not taken yet.
    next: Option<Line<'t>>,
    /// Where the line behind it starts, and the number of lines before that.
    at: usize,
    count: u32,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let mut lines = Self { text, next: None, at: 0, count: 0 };
        lines.advance();
        if lines.next.is_some_and(|line| line.indent == 0 && line.text == "---") {
            lines.advance();
        }
        lines
    }

    fn advance(&mut self) {
        self.next = None;
        while let Some(rest) = self.text.get(self.at..).filter(|rest| !rest.is_empty()) {
            let (line, length) = rest.find('\n').map_or((rest, rest.len()), |end| (rest.split_at(end).0, end + 1));
            let (start, text) = (self.at, line.trim_start_matches(' '));
            self.at += length;
            self.count = self.count.saturating_add(1);
            let is_printable = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
            let is_comment = || text.chars().all(|c| matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}'));
            if text.is_empty() || text.starts_with('#') && is_comment() {
                continue;
            }
            let (number, indent) = (self.count, line.len() - text.len());
            let text = if is_printable { text.trim_end_matches(' ') } else { "" };
            self.next = Some(Line { start, number, indent, text });
            return;
        }
    }

    /// The text from the line `first` to the next that begins an entry of the root, whatever stands in it. `None` where
    /// the entry might reach beyond that, or lines are not counted alike.
    fn take_entry(&mut self, first: Line<'t>) -> Option<&'t str> {
        let rest = self.text.get(first.start..)?;
        let begins_entry = |at: usize| {
            let octet = rest.as_bytes().get(at).copied().unwrap_or_default();
            octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'$' | b'\'' | b'"' | b'?')
        };
        if !begins_entry(0) {
            return None;
        }
        let end = rest.match_indices('\n').map(|(at, _)| at + 1).find(|at| begins_entry(*at));
        let entry = rest.get(..end.unwrap_or(rest.len()))?;
        if entry.contains(['\r', '\0']) || entry.contains("\n...") {
            return None;
        }
        let breaks = entry.bytes().filter(|octet| *octet == b'\n').count();
        self.at = first.start + entry.len();
        self.count = first.number.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX)).saturating_sub(1);
        self.advance();
        Some(entry)
    }
}

/// Makes nodes of plain lines.
struct Reader<'t> {
    file: FileId,
    lines: Lines<'t>,
    /// Keys that records share.
    keys: Vec<Rc<str>>,
}

impl<'t> Reader<'t> {
    fn new(file: FileId, text: &'t str) -> Self {
        Self { file, lines: Lines::new(text), keys: Vec::new() }
    }

    /// The entry of the root that starts with the next line. `None` when not all of it is plain.
    fn entry(&mut self) -> Option<Entry> {
        let line = self.lines.next.filter(|line| line.indent == 0 && !line.text.starts_with(['-', '.']))?;
        let Scalar { text, width, rest, .. } = Scalar::key(line.text)?;
        let (key, position) = (text.into(), self.position(line, width));
        let value = self.value(line, rest, 0)?;
        self.lines.next.is_none_or(|line| line.indent == 0).then_some(Entry { key, position, value })
    }

    /// The map whose first key is the next line.
    fn map(&mut self, depth: usize) -> Option<Node> {
        let first = self.lines.next.filter(|_| depth < DEPTH_MAX)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(4);
        while let Some(line) = self.lines.next.filter(|line| line.indent == first.indent) {
            let Scalar { text, width, rest, .. } = Scalar::key(line.text)?;
            if entries.len() >= KEYS_MAX || entries.iter().any(|entry| &*entry.key == text) {
                return None;
            }
            let (key, position) = (self.key(text), self.position(line, width));
            let value = self.value(line, rest, depth)?;
            entries.push(Entry { key, position, value });
        }
        let is_over = self.lines.next.is_none_or(|line| line.indent < first.indent);
        is_over.then(|| Node::new(self.position(first, 1), Value::Map(entries)))
    }

    /// The value behind the key of `line`, with which it ends as `rest` or below which it stands.
    fn value(&mut self, line: Line<'t>, rest: &'t str, depth: usize) -> Option<Rc<Node>> {
        self.lines.advance();
        if !rest.is_empty() {
            let indent = line.indent + line.text.len() - rest.len();
            return self.scalar(Line { indent, text: rest, ..line }).map(Rc::new);
        }
        let next = self.lines.next?;
        let is_list = next.text.starts_with("- ");
        let node = match is_list {
            true if next.indent >= line.indent => self.list(line.indent, depth + 1),
            false if next.indent > line.indent => self.map(depth + 1),
            _ => None,
        };
        node.map(Rc::new)
    }

    /// The list whose first item is the next line, below a key that stands behind `parent` characters.
    fn list(&mut self, parent: usize, depth: usize) -> Option<Node> {
        let first = self.lines.next.filter(|_| depth < DEPTH_MAX)?;
        let mut position = self.position(first, 1);
        let mut items = Vec::new();
        while let Some(line) = self.lines.next.filter(|line| line.indent == first.indent)
            && let Some(item) = line.text.strip_prefix("- ")
        {
            let text = item.trim_start_matches(' ');
            let item = Line { indent: line.indent + line.text.len() - text.len(), text, ..line };
            if items.is_empty() && first.indent == parent {
                // The crate has it start behind its first dash then.
                position = self.position(item, 1);
            }
            let node = if Scalar::key(text).is_some() {
                self.lines.next = Some(item);
                self.map(depth + 1)?
            } else {
                self.lines.advance();
                self.scalar(item)?
            };
            items.push(Rc::new(node));
        }
        let is_over = self.lines.next.is_none_or(|line| line.indent <= first.indent);
        is_over.then(|| Node::new(position, Value::List(items)))
    }

    fn scalar(&self, line: Line<'t>) -> Option<Node> {
        let Scalar { text, width, is_plain, .. } = Scalar::value(line.text)?;
        let value = if is_plain { yaml::plain_scalar(text) } else { Value::Text(text.into()) };
        Some(Node::new(self.position(line, width), value))
    }

    fn key(&mut self, text: &str) -> Rc<str> {
        if let Some(known) = self.keys.iter().find(|known| &***known == text) {
            return Rc::clone(known);
        }
        let key: Rc<str> = text.into();
        if self.keys.len() < KEYS_MAX {
            self.keys.push(Rc::clone(&key));
        }
        key
    }

    fn position(&self, line: Line<'_>, width: usize) -> Position {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Position { file: self.file, line: line.number, column: number(line.indent + 1), width: number(width) }
    }
}

/// A scalar at the start of a line.
struct Scalar<'t> {
    /// Without quotation marks.
    text: &'t str,
    /// Its characters, quotation marks counted.
    width: usize,
    is_plain: bool,
    /// What stands behind it, or behind the colon that makes it a key.
    rest: &'t str,
}

impl<'t> Scalar<'t> {
    /// A scalar that all of `text` is.
    fn value(text: &'t str) -> Option<Self> {
        match text.as_bytes().first()? {
            b'\'' | b'"' => Self::quoted(text).filter(|scalar| scalar.rest.is_empty()),
            _ => Self::plain(text, "").filter(|_| colon(text).is_none()),
        }
    }

    /// A scalar with a colon behind it that makes it a key.
    fn key(text: &'t str) -> Option<Self> {
        let key = if text.starts_with(['\'', '"']) {
            let quoted = Self::quoted(text)?;
            let rest = quoted.rest.strip_prefix(':').filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
            Self { rest: rest.trim_start_matches(' '), ..quoted }
        } else {
            let (key, rest) = text.split_at_checked(colon(text)?)?;
            Self::plain(key, rest.get(1..)?.trim_start_matches(' '))?
        };
        // Null, which is an empty key, and what is merged.
        let is_special = matches!(key.text, "~" | "null" | "Null" | "NULL" | "<<");
        (!is_special && key.width <= KEY_LENGTH_MAX).then_some(key)
    }

    /// A scalar in quotation marks that says what stands between them.
    fn quoted(text: &'t str) -> Option<Self> {
        let (mark, inner) = text.split_at_checked(1)?;
        let (inner, rest) = inner.split_once(mark)?;
        // Two marks in a row stand for one; a backslash, in double ones, for what follows it.
        let says_itself = if mark == "'" { !rest.starts_with('\'') } else { !inner.contains('\\') };
        says_itself.then_some(Self { text: inner, width: inner.len() + 2, is_plain: false, rest })
    }

    /// A scalar without quotation marks: no comment in it, and nothing else that a character at its start makes of it.
    fn plain(text: &'t str, rest: &'t str) -> Option<Self> {
        let (first, second) = (text.as_bytes().first()?, text.as_bytes().get(1));
        let starts = match first {
            b'-' => second.is_some_and(|octet| *octet != b' '),
            b'_' | b'$' | b'/' | b'+' | b'.' | b'\\' | b'(' | b')' | b';' | b'<' | b'=' | b'^' | b'~' => true,
            octet => octet.is_ascii_alphanumeric(),
        };
        let is_comment = |(at, _): (usize, &str)| text.as_bytes().get(at.wrapping_sub(1)) == Some(&b' ');
        let is_whole = !text.ends_with(' ') && !text.match_indices('#').any(is_comment);
        (starts && is_whole).then_some(Self { text, width: text.len(), is_plain: true, rest })
    }
}

/// Where the first colon stands that makes a key of what is before it.
fn colon(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    let ends_key = |at: &usize| octets.get(at + 1).is_none_or(|octet| *octet == b' ');
    octets.iter().enumerate().filter(|(_, octet)| **octet == b':').map(|(at, _)| at).find(ends_key)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::config::issues::Issues;

    const FILE: FileId = FileId(0);

    /// The entries and the root that are read line by line; `None` where the text must be read as a whole.
    fn read_plain(text: &str) -> Option<String> {
        let mut shown = String::new();
        let root = stream(FILE, text, &mut |entry| shown.push_str(&format!("{entry:?}")))?;
        Some(format!("{shown}{root:?}"))
    }

    /// The same as the crate reads them; the number of errors where there are any.
    fn read_whole(text: &str) -> Result<String, usize> {
        let (issues, mut shown) = (Issues::default(), String::new());
        let root = yaml::stream(FILE, text, &issues, &mut |entry| shown.push_str(&format!("{entry:?}")));
        let is_right = issues.error_count() == 0;
        root.filter(|_| is_right).map(|root| format!("{shown}{root:?}")).ok_or(issues.error_count())
    }

    /// Asserts that what is read line by line is what the crate reads; says whether it was.
    #[track_caller]
    fn compare(text: &str) -> bool {
        let plain = read_plain(text);
        if let Some(plain) = &plain {
            assert_eq!(Ok(plain), read_whole(text).as_ref(), "{text:?}");
        }
        plain.is_some()
    }

    #[test]
    fn zones_as_programs_write_them_are_plain() {
        let texts = [
            "---\n? \'\'\n: - ttl: 60\n    type: NS\n    values:\n    - ns1.example.\n    - ns2.example.\n\
             www:\n  ttl: 60\n  type: A\n  value: 192.0.2.1\n",
            "# a comment\n\n\'*.w\':\n  # another\n  - type: MX\n    values:\n      - exchange: mail.\n        preference: 10\n\
             _sip._tcp: {type: SRV, value: 1 2 3 a.}\nt:\n  type: TXT\n  value: v=spf1 -all\n",
            "a:\n- type: TXT\n  values:\n  - v=DKIM1\\; k=rsa\n  - \"say\"\n  - \'::\'\n  - one\n    folded\n\
             b:\n  octodns:\n    weight: ~\n  type: A\n  value: 192.0.2.1",
            "$zone:\n  soa: {primary: ns1.}\na:\n  type: TXT\n  value: |\n    text\n\n# the end, é\n",
        ];
        for text in texts {
            assert!(compare(text), "{text}");
        }
    }

    #[test]
    fn what_counts_for_the_whole_text_is_left_to_the_crate() {
        let texts = [
            "",
            "text",
            "- a\n",
            "{a: b}\n",
            "a: b\na: c\n",
            "a: &x b\nc: *x\n",
            "a: b\n<<: {c: d}\n",
            "a: b\n\"<<\": {c: d}\n",
            "a: b\n---\nc: d\n",
            "a: b\n...\nc: d\n",
            "%YAML 1.2\n---\na: b\n",
            "a: b\r\nc: d\r\n",
            "a: [b\nc: d\n",
            "a: \"b\nc: d\n",
            "a: !secret b\n",
            "a: |\nb: c\n",
            "a: b\n\0",
            "a: {b: c, b: d}\n",
        ];
        for text in texts {
            assert_eq!(read_plain(text), None, "{text}");
        }
    }

    /// Mostly what zones hold, and now and then anything else that YAML knows.
    fn scalar() -> impl Strategy<Value = &'static str> {
        let plain =
            ["a", "192.0.2.1", "10 mail.example.", "v=spf1 -all", "~", "null", "'x y'", "\"q\"", "''", "a:b", "x\\;y"];
        let other = [
            "'it''s'",
            "\"a\\n\"",
            "x: y",
            "x # c",
            "#c",
            "-",
            "- a",
            "--- ",
            "---",
            "...",
            "[a, b]",
            "{a: 1, b: [2]}",
            "&a x",
            "*a",
            "!t x",
            "!!str 1",
            "|\n   x\n   y",
            "|-\n  x\n\n",
            "|",
            "> \n  a\n  b",
            "@",
            "`",
            "%",
            "\u{e9}: x",
            "a\tb",
            "::1",
            "? a",
            "a:",
            "'a': b",
            "\"open",
            "'open",
            "a\n    b",
            "\"a\n  b\"",
            "'a\n\n  b'",
            "<<",
            "",
            "[a,\nb]",
            "{a: 1,\n b: 2}",
            " a ",
        ];
        prop_oneof![12 => select(plain.to_vec()), 1 => select(other.to_vec())]
    }

    fn key() -> impl Strategy<Value = String> {
        let other = [
            "?", "? a", "<<", "-x", ".x", "...x", "---x", "x y", "\u{e9}", "~", "null", "a:b", "&a k", "*a", "!t k",
            "[a]", "{a: b}", "k ", "\"k\\n\"", "x#y", "x #y", "%d", "@", "#c", "''",
        ];
        prop_oneof![
            12 => (select(vec!["type", "ttl", "value", "_x", "'*.w'"]), 0..9).prop_map(|(key, number)| match key {
                "_x" => format!("_x{number}"),
                other => other.to_owned(),
            }),
            4 => "[a-f][0-9]",
            1 => select(other.to_vec()).prop_map(str::to_owned),
        ]
    }

    /// Mostly none, else a few blanks.
    fn indentation() -> impl Strategy<Value = &'static str> {
        prop_oneof![8 => Just("  "), 3 => Just(""), 1 => select(vec![" ", "    ", "\t"])]
    }

    /// The lines of an entry.
    fn entry() -> impl Strategy<Value = Vec<String>> {
        let end = prop_oneof![30 => Just(""), 1 => select(vec![" ", " # c", "\t", "\r"])];
        let leaf = (key(), scalar(), end).prop_map(|(key, scalar, end)| vec![format!("{key}: {scalar}{end}")]);
        leaf.prop_recursive(3, 24, 3, |inner| {
            let entries = || proptest::collection::vec(inner.clone(), 1..4);
            let item =
                prop_oneof![entries().prop_map(|entries| entries.concat()), scalar().prop_map(|s| vec![s.to_owned()])];
            let items = proptest::collection::vec(item, 1..4).prop_map(|items| {
                let dashed = |item: Vec<String>| {
                    let marks = std::iter::once("- ").chain(std::iter::repeat("  "));
                    item.iter().zip(marks).map(|(line, mark)| format!("{mark}{line}")).collect::<Vec<_>>()
                };
                items.into_iter().flat_map(dashed).collect::<Vec<_>>()
            });
            let lines = prop_oneof![entries().prop_map(|entries| entries.concat()), items];
            (key(), indentation(), lines).prop_map(|(key, indentation, lines)| {
                let below = lines.iter().map(|line| format!("{indentation}{line}"));
                std::iter::once(format!("{key}:")).chain(below).collect()
            })
        })
    }

    fn document() -> impl Strategy<Value = String> {
        let between =
            select(vec!["", "", "  ", "# c", "   # c", "# \u{fc}", "---", "...", "%x", "\t", "\u{1}# c", "\0"]);
        let entries = proptest::collection::vec(entry(), 1..5);
        (entries, proptest::collection::vec((any::<usize>(), between), 0..3), any::<bool>()).prop_map(
            |(entries, between, starts)| {
                let mut lines = entries.concat();
                for (at, line) in between {
                    lines.insert(at % (lines.len() + 1), line.to_owned());
                }
                format!("{}{}", if starts { "---\n" } else { "" }, lines.join("\n"))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn a_text_reads_alike_line_by_line_and_as_a_whole(text in document()) {
            compare(&text);
        }
    }

    /// The inputs of the fuzz corpus and the same with an octet changed, left out or put in at many places.
    #[test]
    fn the_corpus_and_its_variations_read_alike() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/zone_yaml");
        let mut plain = 0;
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let octets = fs::read(path).unwrap();
            for (at, new) in
                (0..octets.len()).step_by(7).flat_map(|at| b" \n:-#'\"[&*|a\0".iter().map(move |new| (at, *new)))
            {
                let mut varied = octets.clone();
                for step in 0..3 {
                    match step {
                        0 => varied[at] = new,
                        1 => varied.insert(at, new),
                        _ => drop(varied.drain(at..=at + 1)),
                    }
                    plain += std::str::from_utf8(&varied).map_or(0, |text| usize::from(compare(text)));
                }
            }
        }
        assert!(plain > 100, "{plain} texts were plain");
    }
}
