//! A zone → the text of its file: octoDNS-style YAML with the settings the file had, or a master file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use crate::wire::{Name, RecordType};
use crate::zone::octodns_print::{Written, value};
use crate::zone::{Record, Zone, print};

use super::zone_files::{Format, SoaPlace};
use super::zone_yaml::SETTINGS;

/// The text of a file with that form that reads back as `zone`.
pub(crate) fn text(zone: &Zone, format: Format) -> String {
    match format {
        Format::Master { .. } => print::zone(zone),
        Format::Yaml { soa, default_ttl } => yaml(zone, soa, default_ttl),
    }
}

/// Records of a name by type: the TTL and the data of each.
type Types<'z> = BTreeMap<RecordType, (u32, Vec<&'z [u8]>)>;

fn yaml(zone: &Zone, soa: SoaPlace, default_ttl: Option<u32>) -> String {
    let mut names: BTreeMap<Name, Types<'_>> = BTreeMap::new();
    let mut ttls: HashMap<u32, usize> = HashMap::new();
    zone.for_each(|owner, rrset| {
        let is_outside = rrset.record_type == RecordType::SOA && soa != SoaPlace::Records;
        let Ok(name) = Name::from_wire(owner) else { return };
        if !is_outside {
            *ttls.entry(rrset.ttl).or_default() += 1;
            names.entry(name).or_default().insert(rrset.record_type, (rrset.ttl, rrset.rdatas().collect()));
        }
    });
    let mut out = "---\n".to_owned();
    settings(&mut out, zone.soa_record().as_ref(), soa, default_ttl);
    let default_ttl = default_ttl.unwrap_or(super::limits::ZONE_TTL.default);
    for (name, types) in &names {
        let owner = if name == zone.apex() { String::new() } else { name.relative_to(zone.apex()) };
        line(&mut out, 0, &format!("{}:", quoted(&owner)));
        let is_list = types.len() > 1;
        for (record_type, (ttl, rdatas)) in types {
            record(&mut out, is_list, *record_type, (*ttl != default_ttl).then_some(*ttl), rdatas);
        }
    }
    out
}

/// What stands under `$zone`.
fn settings(out: &mut String, soa: Option<&Record>, place: SoaPlace, default_ttl: Option<u32>) {
    let fields = soa.filter(|_| matches!(place, SoaPlace::Settings { .. })).map(|record| {
        let text = crate::zone::rdata::to_text(RecordType::SOA, &record.rdata);
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        (record.ttl, words)
    });
    if fields.is_none() && default_ttl.is_none() {
        return;
    }
    line(out, 0, &format!("{}:", quoted(SETTINGS)));
    if let Some(ttl) = default_ttl {
        line(out, 2, &format!("default_ttl: {ttl}"));
    }
    let Some((ttl, words)) = fields else { return };
    line(out, 2, "soa:");
    let keys = ["mname", "rname", "serial", "refresh", "retry", "expire", "minimum"];
    for (key, word) in keys.into_iter().zip(&words) {
        // A serial that comes from the time of the file is kept by setting that time.
        if key == "serial" && place == (SoaPlace::Settings { has_serial: false }) {
            continue;
        }
        let word = if matches!(key, "mname" | "rname") { quoted(word) } else { word.clone() };
        line(out, 4, &format!("{key}: {word}"));
    }
    line(out, 4, &format!("ttl: {ttl}"));
}

fn record(out: &mut String, is_list: bool, record_type: RecordType, ttl: Option<u32>, rdatas: &[&[u8]]) {
    let mut lines: Vec<(usize, String)> = vec![(0, format!("type: {record_type}"))];
    lines.extend(ttl.map(|ttl| (0, format!("ttl: {ttl}"))));
    match rdatas {
        [one] => match value(record_type, one) {
            Written::Text(text) => lines.push((0, format!("value: {}", quoted(&text)))),
            Written::Fields(fields) => {
                lines.push((0, "value:".to_owned()));
                lines.extend(fields.iter().map(|(name, text)| (2, format!("{name}: {}", quoted(text)))));
            }
        },
        several => {
            lines.push((0, "values:".to_owned()));
            for rdata in several {
                match value(record_type, rdata) {
                    Written::Text(text) => lines.push((0, format!("- {}", quoted(&text)))),
                    Written::Fields(fields) => lines.extend(fields.iter().enumerate().map(|(index, (name, text))| {
                        (0, format!("{} {name}: {}", if index == 0 { "-" } else { " " }, quoted(text)))
                    })),
                }
            }
        }
    }
    for (index, (depth, text)) in lines.into_iter().enumerate() {
        match (is_list, index) {
            (true, 0) => line(out, 2, &format!("- {text}")),
            (true, _) => line(out, 4 + depth, &text),
            (false, _) => line(out, 2 + depth, &text),
        }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{:depth$}{text}", ""); // a string takes all that is written
}

/// A text as YAML reads it back: plain where nothing else can be meant, else in single quotes.
fn quoted(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+' | '=');
    let starts_as_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_number = !text.is_empty() && text.len() < 10 && text.bytes().all(|octet| octet.is_ascii_digit());
    let is_number = is_number && (text == "0" || !text.starts_with('0'));
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = starts_as_word && text.chars().all(is_safe) && !is_word.contains(&&*text.to_ascii_lowercase());
    if is_plain || is_number || is_address && !text.ends_with(':') && !text.starts_with(':') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
