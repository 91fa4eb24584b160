//! What is wrong with a configuration: collected over all files, then shown at once.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde::Serialize;

use super::node::{FileId, Place, Position, Shortened};

/// How many errors one load reports; more help nobody.
const ERRORS_MAX: usize = 500;
/// How much of a line is shown, in characters.
const SNIPPET_WIDTH: usize = 160;
/// How much of it stands before the place in a line that is longer.
const SNIPPET_BEFORE: usize = 40;

/// Errors and warnings while files are read. Shared by every step of a load.
#[derive(Debug, Default)]
pub(crate) struct Issues {
    errors: RefCell<Vec<Issue>>,
    warnings: RefCell<Vec<Issue>>,
    /// How many errors there are beyond those that are shown.
    left_off: Cell<usize>,
    /// Whether a file could not be read at all: what it would have defined must not be called missing.
    incomplete: Cell<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Issue {
    position: Position,
    path: String,
    message: String,
    suggestion: Option<String>,
}

impl Issues {
    /// Reports an error about the value at `place`.
    pub(crate) fn error(&self, place: &Place<'_>, message: impl Into<String>) {
        self.push(place.position(), place.path(), message.into(), None);
    }

    /// Reports an error about the key at `place`: that it should not be there, or that something below it is missing.
    pub(crate) fn error_at_key(&self, place: &Place<'_>, message: impl Into<String>) {
        self.push(place.head(), place.path(), message.into(), None);
    }

    /// Reports an error with the word that was probably meant.
    pub(crate) fn error_with_suggestion(&self, place: &Place<'_>, message: String, suggestion: Option<String>) {
        self.push(place.position(), place.path(), message, suggestion);
    }

    /// Reports an error about a key with the key that was probably meant.
    pub(crate) fn error_at_key_with_suggestion(&self, place: &Place<'_>, message: String, suggestion: Option<String>) {
        self.push(place.head(), place.path(), message, suggestion);
    }

    /// Reports an error in a file that has no paths, or before there is a tree.
    pub(crate) fn error_in_text(&self, position: Position, message: impl Into<String>) {
        self.push(position, String::new(), message.into(), None);
    }

    /// Reports an error about a file as a whole.
    pub(crate) fn error_in_file(&self, file: FileId, message: impl Into<String>) {
        let position = Position { file, line: 0, column: 0, width: 0 };
        self.push(position, String::new(), message.into(), None);
    }

    /// Reports what works but is probably not meant.
    pub(crate) fn warn(&self, place: &Place<'_>, message: impl Into<String>) {
        let issue = Issue { position: place.position(), path: place.path(), message: message.into(), suggestion: None };
        self.warnings.borrow_mut().push(issue);
    }

    /// Reports what works but is probably not meant, in a file that has no paths.
    pub(crate) fn warn_in_text(&self, position: Position, message: impl Into<String>) {
        let issue = Issue { position, path: String::new(), message: message.into(), suggestion: None };
        self.warnings.borrow_mut().push(issue);
    }

    /// Adds what else was found while there was no error.
    pub(crate) fn adopt_warnings(&self, other: Self) {
        self.warnings.borrow_mut().append(&mut other.warnings.into_inner());
    }

    /// Whether further errors are left off, so that nothing need be looked up for them.
    pub(crate) fn is_full(&self) -> bool {
        self.error_count() >= ERRORS_MAX
    }

    /// How many errors there are so far.
    pub(crate) fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Remembers that part of the configuration could not be read at all.
    pub(crate) fn mark_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Whether what is not found may stand in a file that could not be read.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    fn push(&self, position: Position, path: String, message: String, suggestion: Option<String>) {
        let issue = Issue { position, path, message, suggestion };
        let mut errors = self.errors.borrow_mut();
        if errors.len() >= ERRORS_MAX {
            self.left_off.set(self.left_off.get() + 1);
        } else if !errors.iter().any(|e| e.position == issue.position && e.message == issue.message) {
            // An aliased value is read once for each use, and is wrong each time: it is told once.
            errors.push(issue);
        }
    }

    /// The warnings when there is no error.
    ///
    /// # Errors
    /// Every error, in the order of the files and their lines.
    pub(crate) fn finish(self, sources: &Sources) -> Result<Warnings, LoadErrors> {
        let mut errors = render(self.errors.into_inner(), sources);
        if self.left_off.get() > 0 {
            let message = format!("{} more errors are not shown", self.left_off.get());
            let (file, path) = Default::default();
            errors.push(Problem { file, line: 0, column: 0, path, message, suggestion: None, snippet: None });
        }
        let warnings = render(self.warnings.into_inner(), sources);
        if errors.is_empty() {
            Ok(Warnings { problems: warnings })
        } else {
            Err(LoadErrors { problems: errors, warnings, files: Vec::new() })
        }
    }
}

fn render(mut issues: Vec<Issue>, sources: &Sources) -> Vec<Problem> {
    issues.sort_by_key(|issue| issue.position);
    let mut problems = Vec::with_capacity(issues.len());
    let mut issues = issues.into_iter().peekable();
    while let Some(first) = issues.next() {
        let file = first.position.file;
        let text = sources.text(file);
        // Counted once for each file, not once for each error in it.
        let lines: Vec<&str> = text.lines().collect();
        problems.push(problem(first, sources, &lines));
        while let Some(next) = issues.next_if(|next| next.position.file == file) {
            problems.push(problem(next, sources, &lines));
        }
    }
    problems
}

fn problem(issue: Issue, sources: &Sources, lines: &[&str]) -> Problem {
    let Issue { position, path, message, suggestion } = issue;
    let is_secret = path.starts_with("keys");
    let position = clamp(position, lines);
    Problem {
        file: sources.path(position.file).to_path_buf(),
        line: position.line,
        column: position.column,
        path,
        message,
        suggestion,
        // Lines about keys hold secrets, and messages go to logs.
        snippet: line_of(position, lines)
            .filter(|line| !is_secret && !line.contains("secret"))
            .map(|line| snippet(position, line)),
    }
}

fn line_of<'l>(position: Position, lines: &[&'l str]) -> Option<&'l str> {
    lines.get(usize::try_from(position.line).ok()?.checked_sub(1)?).copied()
}

/// The position brought back into its file: parsers point behind the last line when the text ends too early.
fn clamp(position: Position, lines: &[&str]) -> Position {
    if position.line == 0 {
        return position;
    }
    let last = u32::try_from(lines.len()).unwrap_or(u32::MAX).max(1);
    let within = Position { line: position.line.clamp(1, last), ..position };
    let length = line_of(within, lines).map_or(0, |line| line.chars().count());
    let end = u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1);
    let column = if position.line > last { end } else { position.column.clamp(1, end) };
    Position { column, ..within }
}

/// The line of a position with a caret below it.
fn snippet(position: Position, line: &str) -> String {
    let column = usize::try_from(position.column).unwrap_or(usize::MAX).saturating_sub(1);
    let from = if column > SNIPPET_WIDTH - SNIPPET_BEFORE { column - SNIPPET_BEFORE } else { 0 };
    // A tab or control character takes one column here, so that the caret stands below what it means.
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = line.chars().skip(from).take(SNIPPET_WIDTH).map(visible).collect();
    let room = shown.chars().count().saturating_sub(column - from).max(1);
    let carets = "^".repeat(usize::try_from(position.width).unwrap_or(1).clamp(1, room));
    let number = position.line.to_string();
    let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(column - from));
    format!("  {number} | {}\n  {gutter} | {indent}{carets}", shown.trim_end())
}

/// The files that were read, for their names and lines.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: RefCell<Vec<Source>>,
}

#[derive(Debug, Clone)]
struct Source {
    path: Rc<Path>,
    text: Rc<str>,
}

impl Sources {
    /// Adds a file; its text is kept for snippets.
    pub(crate) fn add(&self, path: &Path, text: Rc<str>) -> FileId {
        let mut files = self.files.borrow_mut();
        files.push(Source { path: path.into(), text });
        FileId(u32::try_from(files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The text of a file.
    pub(crate) fn text(&self, file: FileId) -> Rc<str> {
        self.files.borrow().get(index(file)).map_or_else(|| Rc::from(""), |source| Rc::clone(&source.text))
    }

    /// The path of a file.
    pub(crate) fn path(&self, file: FileId) -> Rc<Path> {
        self.files.borrow().get(index(file)).map_or_else(|| Rc::from(Path::new("")), |source| Rc::clone(&source.path))
    }

    /// The path written at a position, relative to the folder of the file it is written in.
    pub(crate) fn resolve(&self, position: Position, path: &Path) -> PathBuf {
        self.path(position.file).parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    /// A place for a message: `file:line:column`.
    pub(crate) fn show(&self, position: Position) -> String {
        format!("{}:{}:{}", self.path(position.file).display(), position.line, position.column)
    }
}

fn index(file: FileId) -> usize {
    usize::try_from(file.0).unwrap_or(usize::MAX)
}

/// One thing wrong at one place, in a form for machines; `Display` is the form for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file; empty when it is about no file.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The column, from 1, in characters; 0 when it is about the file as a whole.
    pub column: u32,
    /// The path of the value, such as `pools.web.members[1].ratio`; empty in files that have none.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The word that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The line with a caret below it.
    #[serde(skip)]
    pub snippet: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        } else if !self.file.as_os_str().is_empty() {
            write!(f, "{}: ", self.file.display())?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{}`?", Shortened(suggestion))?;
        }
        match &self.snippet {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration. `Display` prints one paragraph for each error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadErrors {
    /// The errors, by file and line.
    pub problems: Vec<Problem>,
    /// What was noticed besides.
    pub warnings: Vec<Problem>,
    /// The files that were opened, or would have been had they been there: a change of one may end the errors.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// What works but is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Warnings {
    /// The warnings, by file and line.
    pub problems: Vec<Problem>,
}

/// The candidate that is nearest to what was written, when one is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let length = written.chars().count();
    let limit = (length / 3).clamp(1, 4).min(length.saturating_sub(1));
    let lower = written.to_lowercase();
    let near = |candidate: &&str| candidate.len().abs_diff(written.len()) <= limit;
    let measure = |candidate: &'a str| {
        let folded = candidate.to_lowercase();
        let same_start = lower.chars().zip(folded.chars()).take_while(|(a, b)| a == b).count();
        // Of two as near, the one that starts as what was written.
        (strsim::damerau_levenshtein(&lower, &folded), std::cmp::Reverse(same_start), candidate)
    };
    candidates
        .into_iter()
        .filter(near)
        .map(measure)
        .filter(|(distance, _, candidate)| *distance <= limit && *candidate != written)
        .min()
        .map(|(_, _, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::load_text;

    #[test]
    fn the_nearest_name_is_near() {
        let check = |written: &str, expected: Option<&str>| {
            let known = ["web-ny", "web-lon", "api", "A", "AAAA"];
            assert_eq!(nearest(written, known).as_deref(), expected, "{written}");
        };
        check("web-yn", Some("web-ny"));
        check("WEB-LON", Some("web-lon"));
        check("pai", Some("api"));
        check("B", None);
        check("database", None);
        check("a", Some("A"));
    }

    #[test]
    fn more_errors_than_help_are_counted() {
        let text = format!("node: n\nwide_ips: [{}]", vec!["{}"; 600].join(", "));
        let errors = load_text(&text).unwrap_err();
        assert_eq!((errors.len(), errors[500].as_str()), (501, "700 more errors are not shown"));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("node: {} # {}", "x".repeat(200), "y".repeat(200));
        let position = Position { file: FileId(0), line: 1, column: 150, width: 1000 };
        let shown = snippet(position, &line);
        let (line, carets) = shown.split_once('\n').unwrap();
        assert_eq!(line.find('x').map(|from| carets.find('^').unwrap() - from), Some(SNIPPET_BEFORE));
        assert!(line.chars().count() <= SNIPPET_WIDTH + 6 && carets.chars().count() <= line.chars().count());
    }
}
