//! RFC 1035 master files: text → records, handed to a sink one by one, with every error placed.
//!
//! Opens no file: what `$INCLUDE` names comes through an argument. A record of a common type costs no allocation unless
//! its owner is a new one.

use std::collections::HashMap;

use crate::wire::{Name, RecordType};

use super::master_reader::Reader;
use super::master_report::LineCounter;
pub use super::master_report::{FAULTS_MAX, Fault, Place, Report};

/// What the text is, and what holds where it says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The file's name, for messages, and in the form that [`Included::name`] has, so that cycles are seen.
    pub file: &'a str,
    /// What names without a final dot are completed with until `$ORIGIN` says otherwise: the apex.
    pub origin: &'a Name,
    /// The TTL in seconds of records before any TTL is told. Without it an SOA's MINIMUM is used (RFC 1035 §5.1).
    pub default_ttl: Option<u32>,
}

/// A record as it was read, on loan.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    /// The owner, absolute.
    pub owner: &'a Name,
    /// The type.
    pub record_type: RecordType,
    /// The TTL in seconds, at most 2^31 - 1 (RFC 2181 §8).
    pub ttl: u32,
    /// The data in uncompressed wire form, checked.
    pub rdata: &'a [u8],
    /// Where it stands.
    pub place: Place<'a>,
}

/// What a sink thinks of a record. The words go into the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Taken,
    /// It is taken with a warning.
    Doubted(String),
    /// It is an error.
    Refused(String),
}

/// A file that `$INCLUDE` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Its name: for messages, and equal for equal files.
    pub name: String,
    /// What is in it.
    pub text: Vec<u8>,
}

/// Finds the file that `$INCLUDE` names: `(path as written, file that includes it)`, or says why it may not be read.
pub type Include<'a> = dyn FnMut(&str, &str) -> Result<Included, String> + 'a;

/// Takes one record.
pub type Sink<'a> = dyn FnMut(Parsed<'_>) -> Verdict + 'a;

/// Reads a master file to its end, through all its errors, up to [`FAULTS_MAX`].
pub fn read(text: &[u8], settings: &Settings<'_>, include: &mut Include<'_>, sink: &mut Sink<'_>) -> Report {
    let mut reader = Reader::new(settings, include, sink);
    reader.read_text(settings.file, text, settings.origin.clone());
    reader.into_report()
}

/// Refuses every `$INCLUDE`.
///
/// # Errors
/// Always.
pub fn no_include(_path: &str, _file: &str) -> Result<Included, String> {
    Err("$INCLUDE is not possible here".to_owned())
}

/// Places what was said of records after the text was gone: each message with an owner and a type (any, where none).
/// Where such records stand more than once, the second is the place; where they stand nowhere, the start of the file.
///
/// Reads the whole text again, so that reading it the first time need not remember a million places.
pub fn locate(
    text: &[u8],
    settings: &Settings<'_>,
    include: &mut Include<'_>,
    messages: Vec<(Name, Option<RecordType>, String)>,
) -> Vec<Fault> {
    let start = Place { file: settings.file, text, at: 0 };
    let mut lines = LineCounter::default();
    let mut wanted: HashMap<Name, Vec<usize>> = HashMap::new();
    let mut found = Vec::with_capacity(messages.len());
    for (index, (name, record_type, message)) in messages.into_iter().enumerate() {
        wanted.entry(name).or_default().push(index);
        found.push((record_type, 0_u8, Fault::new(start, message, &mut lines)));
    }
    let mut sink = |record: Parsed<'_>| {
        for index in wanted.get(record.owner).into_iter().flatten() {
            let Some((record_type, seen, fault)) = found.get_mut(*index) else { continue };
            if *seen < 2 && record_type.is_none_or(|wanted| wanted == record.record_type) {
                *seen += 1;
                *fault = Fault::new(record.place, std::mem::take(&mut fault.message), &mut lines);
            }
        }
        Verdict::Taken
    };
    read(text, settings, include, &mut sink);
    found.into_iter().map(|(_, _, fault)| fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records as text, the errors as `file:line:column: message`.
    fn load(text: &[u8], default_ttl: Option<u32>, files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl };
        let mut include = |path: &str, file: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            let (name, text) = found.ok_or_else(|| format!("there is no such file beside {file}"))?;
            Ok(Included { name: (*name).to_owned(), text: text.as_bytes().to_vec() })
        };
        let mut records = Vec::new();
        let report = read(text, &settings, &mut include, &mut |record| {
            let data = super::super::rdata::to_text(record.record_type, record.rdata);
            records.push(format!("{} {} {} {data}", record.owner, record.ttl, record.record_type));
            Verdict::Taken
        });
        (records, report.errors.iter().map(ToString::to_string).collect())
    }

    fn check(text: &str, expected: &[&str]) {
        let (records, errors) = load(text.as_bytes(), Some(60), &[]);
        assert_eq!((records, errors), (expected.iter().map(|&line| line.to_owned()).collect(), vec![]), "{text}");
    }

    fn check_error(text: &str, expected: &[&str]) {
        assert_eq!(load(text.as_bytes(), Some(60), &[]).1, expected, "{text}");
    }

    #[test]
    fn owners_are_relative_absolute_or_the_last_one() {
        check(
            "@ A 192.0.2.1\nwww A 192.0.2.2\n A 192.0.2.3\n\tTXT x\na.b. A 192.0.2.4",
            &[
                "example. 60 A 192.0.2.1",
                "www.example. 60 A 192.0.2.2",
                "www.example. 60 A 192.0.2.3",
                "www.example. 60 TXT \"x\"",
                "a.b. 60 A 192.0.2.4",
            ],
        );
        check(
            "a NS b\n$ORIGIN sub\na NS b\n$ORIGIN c.\na NS @\n",
            &["a.example. 60 NS b.example.", "a.sub.example. 60 NS b.sub.example.", "a.c. 60 NS c."],
        );
        check(
            "a\\.b A 192.0.2.1\n\\097 A 192.0.2.1\n\\@ A 192.0.2.1\n\\$a A 192.0.2.1\n* A 192.0.2.1",
            &[
                "a\\.b.example. 60 A 192.0.2.1",
                "a.example. 60 A 192.0.2.1",
                "\\@.example. 60 A 192.0.2.1",
                "\\$a.example. 60 A 192.0.2.1",
                "*.example. 60 A 192.0.2.1",
            ],
        );
    }

    #[test]
    fn ttl_and_class_come_in_either_order() {
        for text in [
            "a 1h IN A 192.0.2.1",
            "a IN 1h A 192.0.2.1",
            "a in 3600 a 192.0.2.1",
            "a CLASS1 3600 TYPE1 192.0.2.1",
            "a 3600 A 192.0.2.1",
        ] {
            check(text, &["a.example. 3600 A 192.0.2.1"]);
        }
    }

    #[test]
    fn a_missing_ttl_is_the_zones_then_the_last_then_the_default_then_the_soas() {
        check(
            "a A 192.0.2.1\na 5 A 192.0.2.1\na A 192.0.2.1\n$TTL 7\na A 192.0.2.1\na 5 A 192.0.2.1\na A 192.0.2.1",
            &[
                "a.example. 60 A 192.0.2.1",
                "a.example. 5 A 192.0.2.1",
                "a.example. 5 A 192.0.2.1",
                "a.example. 7 A 192.0.2.1",
                "a.example. 5 A 192.0.2.1",
                "a.example. 7 A 192.0.2.1",
            ],
        );
        let (records, errors) = load(b"@ SOA . . 1 2 3 4 9\na A 192.0.2.1", None, &[]);
        assert_eq!(records, ["example. 9 SOA . . 1 2 3 4 9", "a.example. 9 A 192.0.2.1"]);
        assert!(errors.is_empty());
        let (_, errors) = load(b"a A 192.0.2.1", None, &[]);
        assert_eq!(errors, ["zone:1:1: no TTL: write one in the record, or $TTL before it"]);
        check("a 2147483647 A 192.0.2.1", &["a.example. 2147483647 A 192.0.2.1"]);
    }

    #[test]
    fn layout_does_not_matter() {
        check(
            "\u{feff}@\tSOA ns admin ( ; the primary\r\n\t1 ; serial\r\n 2 3\r\n 4 5 )\r\na TXT ( \"x;y\"\r\n z )\r\n",
            &["example. 60 SOA ns.example. admin.example. 1 2 3 4 5", "a.example. 60 TXT \"x;y\" \"z\""],
        );
        check(
            "a TYPE65280 \\# 3 01 02\t03\n\na A \\# 4 c0000201",
            &["a.example. 60 TYPE65280 \\# 3 010203", "a.example. 60 A 192.0.2.1"],
        );
    }

    #[test]
    fn every_error_is_placed_and_reading_goes_on() {
        check_error(
            "a A 192.0.2\nb A 192.0.2.1\nc X 1\n\nd MX 10 mail extra\n",
            &[
                "zone:1:5: A address: \"192.0.2\" is no IPv4 address",
                "zone:3:3: unknown record type \"X\": use a mnemonic such as AAAA, or TYPEnnn",
                "zone:5:14: MX data: \"extra\" is more than the record has room for",
            ],
        );
        check_error("é TXT \"é\" \"", &["zone:1:11: the quoted string does not end on its line"]);
        check_error(
            " A 192.0.2.1",
            &["zone:1:2: no owner: the line starts with white space and no record stands before it"],
        );
        check_error(
            "a..b A 192.0.2.1\n A 192.0.2.2",
            &["zone:1:1: owner \"a..b\": empty label: two dots in a row, or a dot at the start"],
        );
        check_error(
            "a CH A 192.0.2.1\na 1 2 A 192.0.2.1\na IN IN A 192.0.2.1",
            &["zone:1:3: class \"CH\": only IN is served", "zone:2:5: a second TTL", "zone:3:6: a second class"],
        );
        check_error("a 2147483648 A 192.0.2.1", &["zone:1:3: TTL: \"2147483648\" is above 2147483647"]);
        check_error("a 1h\na\n", &["zone:1:3: the record type is missing", "zone:2:1: the record type is missing"]);
        check_error("a MX 10\n", &["zone:1:6: MX exchange: missing"]);
        check_error("a A\n", &["zone:1:3: A address: missing"]);
        check_error("a ANY \\# 0\n", &["zone:1:3: ANY stands only in queries, never in a zone"]);
        check_error(
            "$FOO 1\n$TTL\n$TTL x\n$ORIGIN a b\n$ORIGIN a..",
            &[
                "zone:1:1: unknown directive \"$FOO\"; $ORIGIN, $TTL, $INCLUDE and $GENERATE are known",
                "zone:2:1: its argument is missing",
                "zone:3:6: $TTL: \"x\" is no number of seconds such as 3600 or 1h30m",
                "zone:4:11: \"b\" is more than this takes",
                "zone:5:9: \"a..\": empty label: two dots in a row, or a dot at the start",
            ],
        );
        check_error("a TXT \0\n", &[r"zone:1:7: a NUL octet: this is no text, or write it as \000"]);
    }

    #[test]
    fn errors_are_capped_and_a_sink_may_refuse() {
        let (_, errors) = load("a A x\n".repeat(200).as_bytes(), None, &[]);
        assert_eq!(errors.len(), FAULTS_MAX);
        assert!(errors.last().unwrap().ends_with("(too many errors: reading stopped here)"));
        let origin = Name::root();
        let settings = Settings { file: "f", origin: &origin, default_ttl: None };
        let mut count = 0;
        let report = read(b"a 1 A 192.0.2.1\nb 1 A 192.0.2.1\n c 1", &settings, &mut no_include, &mut |_| {
            count += 1;
            if count == 1 { Verdict::Doubted("so so".to_owned()) } else { Verdict::Refused("no".to_owned()) }
        });
        assert_eq!(report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), ["f:1:1: so so"]);
        assert_eq!(report.errors.first().unwrap().to_string(), "f:2:1: no");
        assert_eq!(report.errors.first().unwrap().excerpt, "b 1 A 192.0.2.1");
    }

    #[test]
    fn included_files_have_their_own_origin_and_owner() {
        let files = [("sub", "a A 192.0.2.1\n$ORIGIN x.\nb A 192.0.2.2\n$TTL 5\n"), ("bad", " A 192.0.2.1\nb A x\n")];
        let (records, errors) =
            load(b"w A 192.0.2.9\n$INCLUDE sub s\n A 192.0.2.8\n$INCLUDE \"bad\"\n$INCLUDE none\n", Some(60), &files);
        assert_eq!(
            records,
            [
                "w.example. 60 A 192.0.2.9",
                "a.s.example. 60 A 192.0.2.1",
                "b.x. 60 A 192.0.2.2",
                "w.example. 5 A 192.0.2.8"
            ]
        );
        assert_eq!(
            errors,
            [
                "bad:1:2: no owner: the line starts with white space and no record stands before it",
                "bad:2:5: A address: \"x\" is no IPv4 address",
                "zone:5:10: $INCLUDE \"none\": there is no such file beside zone",
            ]
        );
    }

    #[test]
    fn includes_are_bounded_in_depth_number_and_by_cycles() {
        let (_, errors) = load(b"$INCLUDE a\n", None, &[("a", "$INCLUDE b\n"), ("b", "$INCLUDE a\n")]);
        assert_eq!(errors, ["b:1:10: $INCLUDE \"a\": the file includes itself"]);
        let names: Vec<String> = (1..=10).map(|n| format!("f{n}")).collect();
        let texts: Vec<String> = (2..=11).map(|n| format!("$INCLUDE f{n}\n")).collect();
        let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let (_, errors) = load(b"$INCLUDE f1\n", None, &files);
        assert_eq!(errors, ["f9:1:10: $INCLUDE \"f10\": more than 10 files inside one another"]);
        let fan = ["$INCLUDE l2\n", "$INCLUDE l3\n", "$INCLUDE l4\n", ""].map(|line| line.repeat(10));
        let files: Vec<(&str, &str)> =
            ["l1", "l2", "l3", "l4"].into_iter().zip(fan.iter().map(String::as_str)).collect();
        let (_, errors) = load(b"$INCLUDE l1\n", None, &files);
        assert!(errors.first().unwrap().contains("more than 1000 files are included"), "{errors:?}");
    }

    #[test]
    fn generate_counts_with_offset_width_and_base() {
        check("$GENERATE 1-3/2 h$ 5 IN A 192.0.2.$", &["h1.example. 5 A 192.0.2.1", "h3.example. 5 A 192.0.2.3"]);
        check(
            "$GENERATE 10-10 a${-3}-${0,4}-${0,3,x}-${5,0,X}-${0,2,o}-$$ TXT \"$ x\" \\$",
            &["a7-0010-00a-F-12-\\$.example. 60 TXT \"10 x\" \"$\""],
        );
        check("$GENERATE 18-18 ${0,7,n} PTR ${0,0,N}.x.", &["2.1.0.0.example. 60 PTR 2.1.x."]);
        check_error(
            "$GENERATE 0-65536 h$ A 192.0.2.1",
            &["zone:1:11: more than 65536 records would be generated in this zone"],
        );
        check_error(
            "$GENERATE 1-9999999999 h$ A 192.0.2.1",
            &["zone:1:11: \"1-9999999999\" is no range such as 1-10 or 0-254/2"],
        );
        check_error("$GENERATE 0-1 h${-1} A 192.0.2.1", &["zone:1:15: 0 with the offset -1 is below 0"]);
        check_error(
            "$GENERATE 0-1 h${0,64} A 192.0.2.1",
            &["zone:1:15: \"0,64\" is no modifier such as ${10}, ${0,3} or ${-1,2,x}"],
        );
        check_error(
            "$GENERATE 0-300 h$ A 192.0.2.$",
            &["zone:1:1: A address: \"192.0.2.256\" is no IPv4 address (generated: \"h256 A 192.0.2.256\")"],
        );
        check_error(
            "$GENERATE 2-1 h$ A 192.0.2.$\n$GENERATE 1-2/0 h$ A 192.0.2.$\n$GENERATE 1-2",
            &[
                "zone:1:11: \"2-1\" is no range such as 1-10 or 0-254/2",
                "zone:2:11: \"1-2/0\" is no range such as 1-10 or 0-254/2",
                "zone:3:1: write it as: $GENERATE 1-10/2 host-$ A 192.0.2.$",
            ],
        );
        let (records, errors) = load(b"$GENERATE 0-65535 h$ A 192.0.2.1\n$GENERATE 0-0 x$ A 192.0.2.1", Some(1), &[]);
        assert_eq!((records.len(), errors.len()), (65_536, 1));
    }

    #[test]
    fn records_are_found_again() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(1) };
        let wanted = [("a", Some(RecordType::TXT)), ("b", None), ("c", None)];
        let wanted =
            wanted.map(|(name, record_type)| (Name::parse(name, Some(&origin)).unwrap(), record_type, name.to_owned()));
        let text = b"a A 192.0.2.1\n TXT x\n\nB A 192.0.2.1\nb A 192.0.2.2\nB A 192.0.2.3\n";
        let found = locate(text, &settings, &mut no_include, wanted.to_vec());
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["zone:2:2: a", "zone:5:1: b", "zone:1:1: c"]);
    }
}
