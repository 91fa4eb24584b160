//! What reading a master file found wrong, and where.

use std::fmt;

/// The most errors of one load that are kept; reading stops there. As many warnings are kept.
pub const FAULTS_MAX: usize = 100;
/// How much of a line is shown, in characters.
const EXCERPT_LENGTH: usize = 160;

/// A place in a text; line and column are counted only when asked for.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The file's name.
    pub file: &'a str,
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Place<'_> {
    /// The line, from 1. Costs a look at all the text before it.
    pub fn line(&self) -> usize {
        LineCounter::default().line(*self)
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let in_line = before.rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
        // Octets that continue a UTF-8 character do not count.
        in_line.iter().filter(|octet| **octet & 0xc0 != 0x80).count() + 1
    }

    /// The line it is on, made printable and cut.
    fn excerpt(&self) -> String {
        let is_end = |octet: &u8| *octet == b'\n';
        let (before, behind) = self.text.split_at_checked(self.at).unwrap_or((self.text, &[]));
        let start = before.iter().rposition(is_end).map_or(0, |at| at + 1);
        let end = self.at.min(self.text.len()) + behind.iter().position(is_end).unwrap_or(behind.len());
        let limit = end.min(start + EXCERPT_LENGTH * 4);
        let line = String::from_utf8_lossy(self.text.get(start..limit).unwrap_or_default());
        let printable = line.trim_end().chars().take(EXCERPT_LENGTH);
        printable.map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
    }
}

/// Counts lines of places that mostly come in order, so that a hundred places in a long file cost one look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LineCounter {
    file: String,
    at: usize,
    /// Line ends before `at`.
    ends: usize,
}

impl LineCounter {
    fn line(&mut self, place: Place<'_>) -> usize {
        let at = place.at.min(place.text.len());
        if self.file != place.file || at < self.at {
            *self = Self { file: place.file.to_owned(), at: 0, ends: 0 };
        }
        let between = place.text.get(self.at..at).unwrap_or_default();
        self.ends += between.iter().filter(|octet| **octet == b'\n').count();
        self.at = at;
        self.ends + 1
    }
}

/// An error or a warning with its place. Shown as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line itself, printable and cut.
    pub excerpt: String,
}

impl Fault {
    pub(super) fn new(place: Place<'_>, message: String, lines: &mut LineCounter) -> Self {
        let line = lines.line(place);
        Self { file: place.file.to_owned(), line, column: place.column(), message, excerpt: place.excerpt() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// What came of reading a master file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What makes it unusable, in the order it was met.
    pub errors: Vec<Fault>,
    /// What is taken and should be looked at.
    pub warnings: Vec<Fault>,
    /// Warnings beyond [`FAULTS_MAX`], which are only counted.
    pub warnings_left_off: usize,
    /// How many records went to the sink.
    pub records: usize,
    lines: LineCounter,
}

impl Report {
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= FAULTS_MAX
    }

    pub(super) fn add_error(&mut self, place: Place<'_>, mut message: String) {
        if self.errors.len() + 1 == FAULTS_MAX {
            message.push_str(" (too many errors: reading stopped here)");
        }
        if !self.is_full() {
            self.errors.push(Fault::new(place, message, &mut self.lines));
        }
    }

    pub(super) fn add_warning(&mut self, place: Place<'_>, message: String) {
        if self.warnings.len() < FAULTS_MAX {
            self.warnings.push(Fault::new(place, message, &mut self.lines));
        } else {
            self.warnings_left_off += 1;
        }
    }
}
