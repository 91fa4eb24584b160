//! Zone files in YAML: octoDNS's record map → records.
//!
//! Keys are owner names relative to the zone, `''` the apex; values one record map or a list of them. What octoDNS
//! keeps for itself (`octodns:`) is passed over. The key `$zone`, which no name can be, holds the SOA and default TTL.

use std::collections::{HashMap, HashSet};

use crate::wire::{Name, RecordType};
use crate::zone::{AddError, Added, Bulk, ZoneBuilder, octodns};

use super::decode::decode;
use super::file::{Soa, ZoneSettings};
use super::issues::{Issues, nearest};
use super::limits;
use super::node::{Entry, FileId, Node, Place, Position, Value};
use super::values::{FromText, Seconds};
use super::{yaml, yaml_plain};

/// The key of the zone's own settings.
pub(crate) const SETTINGS: &str = "$zone";
/// The keys of a record.
const RECORD_KEYS: [&str; 7] = ["type", "ttl", "value", "values", "octodns", "geo", "dynamic"];

/// What a file says beside its records.
pub(crate) struct Read {
    /// The root of the file, of whose entries only [`SETTINGS`] is kept.
    pub(crate) root: Node,
    /// The SOA under `$zone`.
    pub(crate) soa: Option<Soa>,
    /// The TTL of records that give none, in seconds.
    pub(crate) default_ttl: u32,
}

/// Makes a zone, given as its name and the seed of its hashes, of the records of the text, to which an SOA may yet be
/// added. `None` when it is no YAML.
///
/// Nearly every file is plain, right and without repetitions: such a one is read and built at once. If it proves to be
/// another, nothing of that counts; the text is read anew by the YAML crate and each record is added by itself, so that
/// whatever is to be said is said where it stands.
pub(crate) fn read(
    file: FileId,
    text: &str,
    zone: (&Name, u64),
    rrset_records_max: u16,
    issues: &Issues,
) -> Option<(Read, ZoneBuilder)> {
    read_sound(file, text, zone, rrset_records_max, issues)
        .or_else(|| read_any(file, text, zone, rrset_records_max, issues))
}

/// Reads any text and tells everything that is to be said.
fn read_any(
    file: FileId,
    text: &str,
    (apex, seed): (&Name, u64),
    rrset_records_max: u16,
    issues: &Issues,
) -> Option<(Read, ZoneBuilder)> {
    let mut builder = ZoneBuilder::new(apex, seed).rrsets_up_to(rrset_records_max);
    let mut add = |record: Record<'_>| builder.add(record.owner, record.record_type, record.ttl, record.rdata);
    let records = Records { apex, default_ttl: limits::ZONE_TTL.default, add: &mut add, issues };
    let read = read_entries(file, text, records, &mut |visit| yaml::stream(file, text, issues, visit))?;
    Some((read, builder))
}

/// Reads a plain text of which nothing is to be said but warnings of single records.
fn read_sound(
    file: FileId,
    text: &str,
    (apex, seed): (&Name, u64),
    rrset_records_max: u16,
    issues: &Issues,
) -> Option<(Read, ZoneBuilder)> {
    let found = Issues::default();
    let mut bulk = Bulk::new(apex, seed, text.len());
    let mut add =
        |record: Record<'_>| bulk.add(record.owner, record.record_type, record.ttl, record.rdata).map(|()| Added::New);
    let records = Records { apex, default_ttl: limits::ZONE_TTL.default, add: &mut add, issues: &found };
    let read = read_entries(file, text, records, &mut |visit| yaml_plain::stream(file, text, visit))?;
    let zone = bulk.finish_sound(rrset_records_max).filter(|_| found.error_count() == 0)?;
    issues.adopt_warnings(found);
    Some((read, ZoneBuilder::from(&zone).rrsets_up_to(rrset_records_max)))
}

/// What hands the entries of a file's root to a visitor and gives the root.
type Entries<'e> = dyn FnMut(&mut dyn FnMut(&Entry)) -> Option<Node> + 'e;

fn read_entries(file: FileId, text: &str, records: Records<'_>, entries: &mut Entries<'_>) -> Option<Read> {
    let issues = records.issues;
    let nothing = Node::new(Position { file, line: 1, column: 1, width: 1 }, Value::Map(Vec::new()));
    let waiting = text.contains(SETTINGS).then(Vec::new);
    let mut reader = Reader { root: &nothing, records, settings: None, soa: None, waiting };
    let root = entries(&mut |entry| reader.entry(entry))?;
    reader.release();
    if !matches!(root.value, Value::Map(_) | Value::Null) {
        issues.error(&Place::root(&root), format!("expected a map from names to records, found {}", root.value));
    }
    let Reader { settings, soa, records: Records { default_ttl, .. }, .. } = reader;
    Some(Read { root: Node::new(root.position, Value::Map(settings.into_iter().collect())), soa, default_ttl })
}

/// Takes the entries of a file as they come.
struct Reader<'n, 'r> {
    /// Stands for the root, whose entries are not kept.
    root: &'n Node,
    records: Records<'r>,
    settings: Option<Entry>,
    soa: Option<Soa>,
    /// Names that stand before the settings, which say what holds for them; none where settings are not waited for.
    waiting: Option<Vec<Entry>>,
}

impl Reader<'_, '_> {
    fn entry(&mut self, entry: &Entry) {
        if &*entry.key == SETTINGS {
            self.settings(entry);
            self.release();
        } else if let Some(waiting) = &mut self.waiting {
            waiting.push(entry.clone());
        } else {
            self.records.owner(&entry.key, &Place::root(self.root).of_entry(entry));
        }
    }

    fn settings(&mut self, entry: &Entry) {
        let (place, issues) = (Place::root(self.root).of_entry(entry), self.records.issues);
        if self.waiting.is_none() {
            issues.error_at_key(&place, "write the key as `$zone`, without escapes");
        }
        let settings = decode::<ZoneSettings>(&place, issues).unwrap_or_default();
        let default_ttl = settings.default_ttl.map(|ttl| ttl.0.0);
        self.records.default_ttl = limits::ZONE_TTL.take(default_ttl, &place.field("default_ttl"), issues);
        self.soa = settings.soa;
        self.settings = Some(entry.clone());
    }

    /// Reads the names that waited for the settings.
    fn release(&mut self) {
        for entry in self.waiting.take().into_iter().flatten() {
            self.records.owner(&entry.key, &Place::root(self.root).of_entry(&entry));
        }
    }
}

/// The root of the text with no other entries than those of the owners that are wanted; none when it is no YAML.
pub(crate) fn owners(file: FileId, text: &str, apex: &Name, wanted: &HashSet<&Name>) -> Option<Node> {
    let mut found = Vec::new();
    let is_wanted = |entry: &Entry| owner_name(&entry.key, apex).is_ok_and(|owner| wanted.contains(&owner));
    let mut take = |entry: &Entry| found.extend(is_wanted(entry).then(|| entry.clone()));
    let root = yaml_plain::stream(file, text, &mut take);
    let root = match root {
        Some(root) => root,
        None => {
            found.clear();
            let mut take = |entry: &Entry| found.extend(is_wanted(entry).then(|| entry.clone()));
            // What is wrong with the text itself is told already.
            yaml::stream(file, text, &Issues::default(), &mut take)?
        }
    };
    Some(Node::new(root.position, Value::Map(found)))
}

/// For errors found in the whole zone, which name an owner and perhaps a type: the place of the first record of them, or
/// of the owner.
pub(crate) fn locate<'a>(root: &Place<'a>, apex: &Name, wanted: &[(&Name, Option<RecordType>)]) -> Vec<Place<'a>> {
    let entries = root.node().map_or(&[][..], Node::entries);
    let found: HashMap<Name, &Entry> =
        entries.iter().filter_map(|entry| Some((owner_name(&entry.key, apex).ok()?, entry))).collect();
    let place = |(owner, record_type): &(&Name, Option<RecordType>)| {
        let place = found.get(owner).map(|entry| root.of_entry(entry));
        place.map_or_else(|| root.clone(), |place| of_type(place, *record_type))
    };
    wanted.iter().map(place).collect()
}

/// The record of that type among those of the owner at `place`.
fn of_type(place: Place<'_>, record_type: Option<RecordType>) -> Place<'_> {
    let wanted = record_type.map(|record_type| record_type.to_string());
    let is_wanted = |node: &Node| {
        let found = node.entry("type").and_then(|entry| entry.value.text());
        found.zip(wanted.as_deref()).is_some_and(|(found, wanted)| found.eq_ignore_ascii_case(wanted))
    };
    let items = place.node().map_or(&[][..], Node::items);
    items.iter().position(|item| is_wanted(item)).map_or_else(|| place.clone(), |index| place.item(index))
}

fn owner_name(key: &str, apex: &Name) -> Result<Name, crate::wire::NameError> {
    if key.is_empty() { Ok(apex.clone()) } else { Name::parse(key, Some(apex)) }
}

/// A record to be added.
struct Record<'r> {
    owner: &'r Name,
    record_type: RecordType,
    ttl: u32,
    rdata: &'r [u8],
}

struct Records<'r> {
    apex: &'r Name,
    default_ttl: u32,
    add: &'r mut dyn FnMut(Record<'_>) -> Result<Added, AddError>,
    issues: &'r Issues,
}

impl Records<'_> {
    fn owner(&mut self, key: &str, place: &Place<'_>) {
        let owner = match owner_name(key, self.apex) {
            Ok(owner) => owner,
            Err(error) => return self.issues.error_at_key(place, format!("not a name: {error}")),
        };
        if !owner.is_at_or_below(self.apex) {
            let message = format!("{owner} is not in the zone {}: names without a final dot are below it", self.apex);
            return self.issues.error_at_key(place, message);
        }
        let Some(node) = place.node() else { return };
        match &node.value {
            Value::List(items) => {
                let mut seen = Vec::new();
                for index in 0..items.len() {
                    let place = place.item(index);
                    let Some(record_type) = self.record(&owner, &place) else { continue };
                    if seen.contains(&record_type) {
                        let message = format!("{record_type} is written twice at this name: put its values together");
                        self.issues.error(&place.field("type"), message);
                    }
                    seen.push(record_type);
                }
            }
            _ => {
                self.record(&owner, place);
            }
        }
    }

    /// Adds the records of one record map; gives its type.
    fn record(&mut self, owner: &Name, place: &Place<'_>) -> Option<RecordType> {
        let node = place.node()?;
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a record with `type` and `value` or `values`, found {}", node.value);
            self.issues.error(place, message);
            return None;
        };
        for entry in entries {
            let place = place.of_entry(entry);
            match &*entry.key {
                "geo" | "dynamic" => {
                    self.issues.warn(&place, "octoDNS's steering is passed over: answer this name with a wide IP");
                }
                key if RECORD_KEYS.contains(&key) => {}
                key => {
                    let suggestion = nearest(key, RECORD_KEYS);
                    let message = match &suggestion {
                        Some(_) => "unknown key",
                        None => "unknown key; a record has `type`, `ttl`, and `value` or `values`",
                    };
                    self.issues.error_at_key_with_suggestion(&place, message.to_owned(), suggestion);
                }
            }
        }
        let record_type = self.record_type(place);
        let ttl = self.ttl(place);
        let record_type = record_type?;
        let given = ["value", "values"].map(|key| place.field(key)).into_iter().filter(|place| place.node().is_some());
        let given: Vec<Place<'_>> = given.collect();
        match given.as_slice() {
            [] => self.issues.error_at_key(place, "`values` is missing"),
            [values] => self.values(owner, record_type, ttl, values),
            [_, second, ..] => self.issues.error_at_key(second, "a record has `value` or `values`, not both"),
        }
        Some(record_type)
    }

    fn record_type(&self, place: &Place<'_>) -> Option<RecordType> {
        if !place.has("type") {
            self.issues.error_at_key(place, "`type` is missing");
            return None;
        }
        let place = place.field("type");
        let text = place.node().and_then(Node::text).unwrap_or_default();
        let problem = match text.parse::<RecordType>() {
            Ok(record_type) if !record_type.is_meta() => return Some(record_type),
            Ok(record_type) => format!("{record_type} stands in no zone"),
            Err(_) if text == "ALIAS" || text.ends_with("/ALIAS") => {
                "ALIAS is a record of one provider, not of the DNS: use a wide IP, or A and AAAA".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let known = RecordType::NAMED.iter().map(|(_, name)| *name);
        self.issues.error_with_suggestion(&place, problem, nearest(text, known));
        None
    }

    fn ttl(&self, place: &Place<'_>) -> u32 {
        let place = place.field("ttl");
        let Some(node) = place.node() else { return self.default_ttl };
        match node.text().map(Seconds::from_text) {
            Some(Ok(ttl)) => limits::ZONE_TTL.take(Some(ttl.0), &place, self.issues),
            _ => {
                self.issues.error(&place, format!("{} is not {}", node.value, Seconds::WANTED));
                self.default_ttl
            }
        }
    }

    fn values(&mut self, owner: &Name, record_type: RecordType, ttl: u32, place: &Place<'_>) {
        let count = match place.node().map(|node| &node.value) {
            Some(Value::List(items)) if items.is_empty() => {
                return self.issues.error_at_key(place, "a record needs a value");
            }
            Some(Value::List(items)) => items.len(),
            _ => 1,
        };
        for index in 0..count {
            let place = place.one_or_item(index);
            if let Some(rdata) = self.rdata(record_type, &place) {
                self.add(owner, record_type, ttl, &rdata, &place);
            }
        }
    }

    fn rdata(&self, record_type: RecordType, place: &Place<'_>) -> Option<Vec<u8>> {
        let node = place.node()?;
        let fields;
        let value = match &node.value {
            Value::Text(text) => octodns::Value::Text(text),
            Value::Map(_) => {
                fields = flatten(node);
                octodns::Value::Fields(fields.iter().map(|(name, text)| (name.as_str(), text.clone())).collect())
            }
            other => {
                self.issues.error(place, format!("expected a value of a record of type {record_type}, found {other}"));
                return None;
            }
        };
        let read = octodns::rdata(record_type, &value, self.apex);
        read.map_err(|error| self.issues.error(&self.field(place, &error), error.to_string())).ok()
    }

    /// The place of the field that is wrong, where it is written.
    fn field<'a>(&self, place: &Place<'a>, error: &crate::zone::rdata::RdataError) -> Place<'a> {
        if place.has(error.field) { place.field(error.field) } else { place.clone() }
    }

    fn add(&mut self, owner: &Name, record_type: RecordType, ttl: u32, rdata: &[u8], place: &Place<'_>) {
        match (self.add)(Record { owner, record_type, ttl, rdata }) {
            Ok(Added::Duplicate) => self.issues.warn(place, "this value is written twice"),
            Ok(Added::TtlIgnored) => {
                self.issues
                    .warn(place, "the records of one type at a name have one TTL: the first counts (RFC 2181 §5.2)");
            }
            Ok(_) => {}
            Err(error) => self.issues.error(place, error.to_string()),
        }
    }
}

/// The fields of a value: a map inside a field as `field.key`, a list joined with commas, null as nothing.
fn flatten(node: &Node) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for entry in node.entries() {
        match &entry.value.value {
            Value::Map(inner) => {
                fields.extend(inner.iter().map(|inner| (format!("{}.{}", entry.key, inner.key), joined(&inner.value))));
            }
            _ => fields.push((entry.key.to_string(), joined(&entry.value))),
        }
    }
    fields
}

fn joined(node: &Node) -> String {
    let texts: Vec<&str> = node.items().iter().filter_map(|item| item.text()).collect();
    node.text().map_or_else(|| texts.join(","), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::issues::Sources;
    use super::*;
    use crate::zone::print;

    /// The zone, its settings' place and the warnings, as `read` makes them; none where there are errors.
    fn show(
        text: &str,
        read: impl FnOnce(FileId, &str, (&Name, u64), u16, &Issues) -> Option<(Read, ZoneBuilder)>,
    ) -> Option<String> {
        let (issues, sources) = (Issues::default(), Sources::default());
        let file = sources.add(Path::new("z.yaml"), text.into());
        let (read, builder) = read(file, text, (&"example.".parse().unwrap(), 1), 500, &issues)?;
        let warnings = issues.finish(&sources).ok()?;
        Some(format!("{}{:?}{:?}{warnings:?}", print::zone(&builder.finish()), read.root, read.default_ttl))
    }

    fn compare(text: &str) -> bool {
        let sound = show(text, read_sound);
        if sound.is_some() {
            assert_eq!(sound, show(text, read_any), "{text}");
        }
        sound.is_some()
    }

    #[test]
    fn a_sound_zone_is_built_at_once_and_no_other() {
        let apex =
            "'':\n- type: NS\n  values: [ns1, ns2.example.]\n- type: MX\n  value: {exchange: a, preference: 1}\n";
        let check = |text: &str, expected: bool| assert_eq!(compare(&format!("{apex}{text}")), expected, "{text}");
        check("a:\n  type: A\n  value: 192.0.2.1\n", true);
        check("a:\n  type: A\n  geo: x\n  value: 192.0.2.1\n$zone:\n  default_ttl: 60\n", true);
        check("a:\n  type: A\n  values:\n  - 192.0.2.1\n  - 192.0.2.1\n", false);
        check("a:\n  type: A\n  ttl: 5\n  value: 192.0.2.1\nA:\n  type: A\n  value: 192.0.2.2\n", false);
        check("a:\n  type: A\n  value: x\n", false);
        check("a:\n  type: A\n  value: 192.0.2.1\na:\n  type: TXT\n  value: x\n", false);
        let many: String = (0..=500).map(|n| format!("  - 10.0.{}.{}\n", n / 256, n % 256)).collect();
        check(&format!("a:\n  type: A\n  values:\n{many}"), false);
    }

    #[test]
    fn the_corpus_makes_the_same_zones_at_once_and_record_by_record() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/zone_yaml");
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if let Ok(text) = fs::read_to_string(path) {
                compare(&text);
            }
        }
    }

    proptest! {
        #[test]
        fn records_make_the_same_zone_at_once_and_one_by_one(
            records in proptest::collection::vec(("[a-c]{1,2}(\\.[a-c]){0,2}", 0..4_u32, 0..3_u32), 1..12),
        ) {
            let mut names = std::collections::BTreeMap::<String, Vec<String>>::new();
            for (owner, kind, number) in records {
                let record = match kind {
                    0 => format!("- type: A\n  ttl: 60\n  value: 192.0.2.{number}\n"),
                    1 => format!("- type: TXT\n  values:\n  - text {number}\n  - \"{number}\"\n"),
                    2 => format!("- type: NS\n  value: ns{number}.sub\n"),
                    _ => format!("- type: MX\n  value:\n    preference: {number}\n    exchange: a\n"),
                };
                names.entry(owner).or_default().push(record);
            }
            let text: String = names.iter().map(|(owner, records)| format!("{owner}:\n{}", records.concat())).collect();
            compare(&text);
        }
    }
}
