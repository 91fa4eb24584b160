//! Entries → records: owners, TTLs, classes and types by RFC 1035 §5.1 and RFC 2308 §4.

use crate::wire::{Name, NameError, RecordType};

use super::master::{Include, Parsed, Settings, Sink, Verdict};
use super::master_report::{Place, Report};
use super::master_token::{Entry, Scanner, Token};
use super::rdata;
use super::rdata_codec::{quote, read_period};

/// RFC 2181 §8: "a maximum of 2147483647".
pub(super) const TTL_MAX: u32 = 0x7fff_ffff;

/// What is wrong and where in the text at hand.
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// One text on its way through the reader: a file, or one line that `$GENERATE` made.
pub(super) struct Source<'f> {
    pub(super) file: &'f str,
    pub(super) text: &'f [u8],
    /// Where the text really stands, when it is not the file's own.
    pub(super) stands_at: Option<Place<'f>>,
    pub(super) origin: Name,
    /// The last owner, for entries that start with white space, and the word it was written as under this origin.
    pub(super) owner: Option<Name>,
    pub(super) owner_word: &'f [u8],
    /// Whether the last owner was an error: what follows without an owner is then not another one.
    pub(super) owner_is_bad: bool,
}

impl<'f> Source<'f> {
    pub(super) fn new(file: &'f str, text: &'f [u8], stands_at: Option<Place<'f>>, origin: Name) -> Self {
        Self { file, text, stands_at, origin, owner: None, owner_word: b"", owner_is_bad: false }
    }

    pub(super) fn place(&self, at: usize) -> Place<'f> {
        self.stands_at.unwrap_or(Place { file: self.file, text: self.text, at })
    }
}

/// Reads a file and what it includes.
pub(super) struct Reader<'s> {
    pub(super) include: &'s mut Include<'s>,
    sink: &'s mut Sink<'s>,
    default_ttl: Option<u32>,
    /// What `$TTL` says.
    pub(super) zone_ttl: Option<u32>,
    last_ttl: Option<u32>,
    /// The files being read, each included by the one before it.
    pub(super) open_files: Vec<String>,
    /// How many files were included, and records generated, in all.
    pub(super) includes: usize,
    pub(super) generated: u32,
    pub(super) report: Report,
    rdata: Vec<u8>,
    owner_wire: Vec<u8>,
}

impl<'s> Reader<'s> {
    pub(super) fn new<'a: 's>(settings: &Settings<'_>, include: &'s mut Include<'a>, sink: &'s mut Sink<'a>) -> Self {
        Self {
            include,
            sink,
            default_ttl: settings.default_ttl,
            zone_ttl: None,
            last_ttl: None,
            open_files: Vec::new(),
            includes: 0,
            generated: 0,
            report: Report::default(),
            rdata: Vec::new(),
            owner_wire: Vec::new(),
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    /// Reads one file. Includes nest through here, no deeper than `INCLUDE_DEPTH_MAX`.
    pub(super) fn read_text(&mut self, file: &str, text: &[u8], origin: Name) {
        self.open_files.push(file.to_owned());
        let mut source = Source::new(file, text, None, origin);
        let mut scanner = Scanner::new(text);
        let mut tokens = Vec::new();
        while let Some(entry) = scanner.next_entry(&mut tokens) {
            let result = match entry {
                Ok(entry) => self.read_entry(&mut source, entry, &tokens),
                Err(error) => Err(Problem::new(error.at, error.rule)),
            };
            if let Err(problem) = result {
                self.report.add_error(source.place(problem.at), problem.message);
            }
            if self.report.is_full() {
                break;
            }
        }
        self.open_files.pop();
    }

    fn read_entry<'f>(&mut self, source: &mut Source<'f>, entry: Entry, tokens: &[Token<'f>]) -> Result<(), Problem> {
        match tokens {
            [directive @ Token { text: [b'$', ..], quoted: false, .. }, words @ ..] => {
                self.read_directive(source, directive, words, entry)
            }
            _ => self.read_record(source, entry, tokens),
        }
    }

    /// Reads one record and hands it to the sink.
    pub(super) fn read_record<'f>(
        &mut self,
        source: &mut Source<'f>,
        entry: Entry,
        tokens: &[Token<'f>],
    ) -> Result<(), Problem> {
        let words = match tokens.split_first() {
            Some((owner, words)) if !entry.has_blank_owner => {
                self.set_owner(source, owner)?;
                words
            }
            _ => tokens,
        };
        let first = tokens.first().map_or(entry.start, |token| token.at);
        let header = read_header(words, first)?;
        let data = words.get(header.length..).unwrap_or_default();
        self.rdata.clear();
        rdata::from_tokens(header.record_type, data, &source.origin, &mut self.rdata).map_err(|error| {
            let token = error.token.map(|token| data.get(token).or(data.last()).or(words.last()));
            Problem::new(token.flatten().map_or(first, |token| token.at), error.to_string())
        })?;
        let ttl = self
            .ttl(header.ttl, header.record_type)
            .ok_or_else(|| Problem::new(first, "no TTL: write one in the record, or $TTL before it"))?;
        let Some(owner) = &source.owner else {
            let message = "no owner: the line starts with white space and no record stands before it";
            return if source.owner_is_bad { Ok(()) } else { Err(Problem::new(first, message)) };
        };
        let place = source.place(first);
        self.report.records += 1;
        let record = Parsed { owner, record_type: header.record_type, ttl, rdata: &self.rdata, place };
        match (self.sink)(record) {
            Verdict::Taken => {}
            Verdict::Doubted(message) => self.report.add_warning(place, message),
            Verdict::Refused(message) => return Err(Problem::new(first, message)),
        }
        Ok(())
    }

    /// Makes the word the owner, unless it is the last one written again.
    fn set_owner<'f>(&mut self, source: &mut Source<'f>, word: &Token<'f>) -> Result<(), Problem> {
        if source.owner.is_some() && source.owner_word == word.text {
            return Ok(());
        }
        let bad = |error: NameError| Problem::new(word.at, format!("owner {}: {error}", quote(word.text)));
        // What follows a bad owner must not pass for data of the one before it.
        source.owner = None;
        source.owner_is_bad = true;
        self.owner_wire.clear();
        Name::append_text(word.text, Some(&source.origin), &mut self.owner_wire).map_err(bad)?;
        source.owner = Some(Name::from_wire(&self.owner_wire).map_err(bad)?);
        source.owner_word = word.text;
        source.owner_is_bad = false;
        Ok(())
    }

    /// RFC 2308 §4: the record's own TTL, else `$TTL`; RFC 1035 §5.1: else the last one told, else the default.
    fn ttl(&mut self, written: Option<u32>, record_type: RecordType) -> Option<u32> {
        if let Some(ttl) = written {
            self.last_ttl = written;
            return Some(ttl);
        }
        let minimum = || {
            let last = (record_type == RecordType::SOA).then(|| self.rdata.last_chunk::<4>())??;
            Some(u32::from_be_bytes(*last).min(TTL_MAX))
        };
        let ttl = self.zone_ttl.or(self.last_ttl).or(self.default_ttl).or_else(minimum)?;
        self.last_ttl = self.last_ttl.or(Some(ttl));
        Some(ttl)
    }
}

/// What stands between owner and data.
struct Header {
    ttl: Option<u32>,
    record_type: RecordType,
    /// How many words it takes.
    length: usize,
}

/// Reads TTL and class in either order, then the type. `end` is where to say that something is missing.
fn read_header(words: &[Token<'_>], end: usize) -> Result<Header, Problem> {
    let mut ttl = None;
    let mut has_class = false;
    for (index, word) in words.iter().enumerate() {
        let mut upper = [0; 10];
        let text = upper.get_mut(..word.text.len()).map_or(word.text, |slot| {
            slot.copy_from_slice(word.text);
            slot.make_ascii_uppercase();
            slot
        });
        if let Some(record_type) = common_type(text) {
            return Ok(Header { ttl, record_type, length: index + 1 });
        }
        match (text, class(text)) {
            (_, Some(_)) if has_class => return Err(Problem::new(word.at, "a second class")),
            (_, Some(1)) => has_class = true,
            (_, Some(_)) => {
                return Err(Problem::new(word.at, format!("class {}: only IN is served", quote(word.text))));
            }
            ([b'0'..=b'9', ..], _) if ttl.is_some() => return Err(Problem::new(word.at, "a second TTL")),
            ([b'0'..=b'9', ..], _) => {
                let seconds = read_period(text, TTL_MAX);
                ttl = Some(seconds.map_err(|rule| Problem::new(word.at, format!("TTL: {rule}")))?);
            }
            _ => {
                let name = String::from_utf8_lossy(word.text);
                let record_type: RecordType =
                    name.parse().map_err(|error| Problem::new(word.at, format!("{error}")))?;
                if record_type.is_meta() {
                    let message = format!("{record_type} stands only in queries, never in a zone");
                    return Err(Problem::new(word.at, message));
                }
                return Ok(Header { ttl, record_type, length: index + 1 });
            }
        }
    }
    let at = words.last().map_or(end, |word| word.at);
    Err(Problem::new(at, "the record type is missing"))
}

/// The types that fill most zones, without a search.
fn common_type(upper: &[u8]) -> Option<RecordType> {
    Some(match upper {
        b"A" => RecordType::A,
        b"AAAA" => RecordType::AAAA,
        b"NS" => RecordType::NS,
        b"CNAME" => RecordType::CNAME,
        b"MX" => RecordType::MX,
        b"TXT" => RecordType::TXT,
        b"PTR" => RecordType::PTR,
        b"SRV" => RecordType::SRV,
        _ => return None,
    })
}

/// A class by its mnemonic or as `CLASSnnn` (RFC 3597 §5).
fn class(upper: &[u8]) -> Option<u16> {
    match upper {
        b"IN" => Some(1),
        b"CS" => Some(2),
        b"CH" => Some(3),
        b"HS" => Some(4),
        _ => std::str::from_utf8(upper.strip_prefix(b"CLASS")?).ok()?.parse().ok(),
    }
}
