//! `$ORIGIN`, `$TTL` and `$INCLUDE` (RFC 1035 §5.1, RFC 2308 §4).

use crate::wire::Name;

use super::master_reader::{Problem, Reader, Source, TTL_MAX};
use super::master_token::{Entry, Token};
use super::rdata_codec::{quote, read_period, read_string};

/// The most files inside one another, the zone's own among them.
const INCLUDE_DEPTH_MAX: usize = 10;
/// The most files included in all: depth alone would let ten files be read ten billion times.
const INCLUDES_MAX: usize = 1_000;

impl Reader<'_> {
    /// Obeys a directive.
    pub(super) fn read_directive<'f>(
        &mut self,
        source: &mut Source<'f>,
        directive: &Token<'f>,
        words: &[Token<'f>],
        entry: Entry,
    ) -> Result<(), Problem> {
        let at_most = |count: usize| match words.get(count) {
            Some(extra) => Err(Problem::new(extra.at, format!("{} is more than this takes", quote(extra.text)))),
            None => Ok(()),
        };
        let first = || words.first().ok_or(Problem::new(directive.at, "its argument is missing"));
        match directive.text.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let word = first()?;
                at_most(1)?;
                source.origin = read_name(word, &source.origin)?;
                source.owner_word = b"";
            }
            b"$TTL" => {
                let word = first()?;
                at_most(1)?;
                let ttl = read_period(word.text, TTL_MAX);
                self.zone_ttl = Some(ttl.map_err(|rule| Problem::new(word.at, format!("$TTL: {rule}")))?);
            }
            b"$INCLUDE" => {
                let word = first()?;
                at_most(2)?;
                let origin = words.get(1).map(|word| read_name(word, &source.origin)).transpose()?;
                self.include(source, word, origin)?;
            }
            b"$GENERATE" => self.generate(source, directive, words, entry)?,
            _ => {
                let known = "$ORIGIN, $TTL, $INCLUDE and $GENERATE";
                let message = format!("unknown directive {}; {known} are known", quote(directive.text));
                return Err(Problem::new(directive.at, message));
            }
        }
        Ok(())
    }

    /// Reads another file in this place. Its origin and owner do not outlast it; `$TTL` does, as in BIND.
    fn include(&mut self, source: &Source<'_>, word: &Token<'_>, origin: Option<Name>) -> Result<(), Problem> {
        let problem = |message: String| Problem::new(word.at, format!("$INCLUDE {}: {message}", quote(word.text)));
        let mut path = Vec::new();
        read_string(word.text, &mut path).map_err(|rule| problem(rule.into_owned()))?;
        let path = String::from_utf8(path).map_err(|_| problem("the path is not UTF-8".to_owned()))?;
        if self.open_files.len() >= INCLUDE_DEPTH_MAX {
            return Err(problem(format!("more than {INCLUDE_DEPTH_MAX} files inside one another")));
        }
        self.includes += 1;
        if self.includes > INCLUDES_MAX {
            return Err(problem(format!("more than {INCLUDES_MAX} files are included")));
        }
        let included = (self.include)(&path, source.file).map_err(problem)?;
        if self.open_files.contains(&included.name) {
            return Err(problem("the file includes itself".to_owned()));
        }
        self.read_text(&included.name, &included.text, origin.unwrap_or_else(|| source.origin.clone()));
        Ok(())
    }
}

fn read_name(word: &Token<'_>, origin: &Name) -> Result<Name, Problem> {
    let mut wire = Vec::new();
    Name::append_text(word.text, Some(origin), &mut wire)
        .and_then(|()| Name::from_wire(&wire))
        .map_err(|error| Problem::new(word.at, format!("{}: {error}", quote(word.text))))
}
