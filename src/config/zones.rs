//! Zones: the files that are named → compiled zones, each held against the rules every zone must keep.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::wire::{Name, RecordType};
use crate::zone::check::{self, Severity};
use crate::zone::{Zone, ZoneBuilder};

use super::file::{self, Soa};
use super::limits;
use super::node::{FileId, Place};
use super::resolve::{mailbox, value};
use super::sources::{Reader, is_yaml, show_io, utf8};
use super::views::{View, WrittenView};
use super::zone_files::{Format, SoaPlace};
use super::zone_master::Master;
use super::zone_yaml;

/// The zones of all views; a file that several of them name for one zone is read once.
pub(crate) fn resolve(views: Vec<WrittenView<'_>>, reader: &Reader<'_>, seed: u64) -> Vec<View> {
    own_files_where_updated(&views, reader);
    let mut loaded = Loaded::new();
    let of_view = |view: WrittenView<'_>| {
        let zones = of_view(&view, reader, seed, &mut loaded);
        View { name: view.name, criteria: view.criteria, zones }
    };
    views.into_iter().map(of_view).collect()
}

/// A zone that updates change is written back to its file, which is then no other zone's.
fn own_files_where_updated(views: &[WrittenView<'_>], reader: &Reader<'_>) {
    let mut zones = Vec::new();
    let mut named: HashMap<PathBuf, usize> = HashMap::new();
    for (written, place) in views.iter().map(|view| &view.zones) {
        for (index, zone) in written.iter() {
            let place = place.item(index).field("file");
            let Some(file) = &zone.file else { continue };
            let path = reader.sources.resolve(place.position(), file);
            *named.entry(path.clone()).or_default() += 1;
            if !zone.updates.is_empty() {
                zones.push((path, place));
            }
        }
    }
    for (_, place) in zones.iter().filter(|(path, _)| named.get(path).is_some_and(|count| *count > 1)) {
        let message = "another zone has this file: a zone that can be updated needs one of its own, in each view";
        reader.issues.error(place, message);
    }
}

/// What was loaded, by the file, the zone and what is written of its SOA; none where it could not be.
type Loaded = HashMap<(PathBuf, String, String), Option<Arc<Zone>>>;

fn of_view(view: &WrittenView<'_>, reader: &Reader<'_>, seed: u64, loaded: &mut Loaded) -> Vec<Arc<Zone>> {
    let mut zones = Vec::new();
    let mut taken: HashMap<String, super::node::Position> = HashMap::new();
    let (written, place) = &view.zones;
    for (index, zone) in written.iter() {
        let place = place.item(index);
        let name = place.field("name");
        let first = taken.insert(zone.name.0.to_lowercase().to_string(), name.position());
        if let Some(first) = first {
            let message = format!("the zone {} is also in {}", zone.name.0, reader.sources.show(first));
            reader.issues.error(&name, message);
        }
        let path = zone.file.as_ref().map(|file| reader.sources.resolve(place.field("file").position(), file));
        let Some(path) = path.filter(|_| zone.primary.is_none()) else {
            let _ = load(zone, &place, reader, seed); // says what is wrong, if anything is
            continue;
        };
        let key = (path, zone.name.0.to_lowercase().to_string(), format!("{:?}", zone.soa));
        let known = loaded.entry(key).or_insert_with(|| load(zone, &place, reader, seed).map(Arc::new));
        zones.extend(known.clone());
    }
    zones
}

fn load(written: &file::Zone, place: &Place<'_>, reader: &Reader<'_>, seed: u64) -> Option<Zone> {
    let file = place.field("file");
    let source = match (&written.file, &written.primary) {
        (Some(source), None) => source,
        // It comes by transfer.
        (None, Some(_)) => return None,
        // It is made of what it lists.
        (None, None) if written.catalog.is_some() => return None,
        (None, None) => {
            reader.issues.error_at_key(place, "`file` is missing, or `primary` for a zone that comes by transfer");
            return None;
        }
        (Some(_), Some(_)) => {
            reader.issues.error_at_key(&place.field("primary"), "a zone has a `file` or a `primary`, not both");
            return None;
        }
    };
    let path = reader.sources.resolve(file.position(), source);
    let bytes = reader.zone_file(&path);
    let bytes = bytes.map_err(|error| {
        reader.issues.error(&file, format!("cannot read {}: {}", path.display(), show_io(&error)));
    });
    let loader = Loader { apex: &written.name.0, soa: written.soa.as_ref(), place, path: &path, reader, seed };
    loader.read(bytes.ok()?).map(|(zone, _)| zone)
}

/// One zone while it is read.
pub(crate) struct Loader<'l> {
    pub(crate) apex: &'l Name,
    /// What the configuration says of its SOA.
    pub(crate) soa: Option<&'l Soa>,
    /// The zone's entry in the configuration.
    pub(crate) place: &'l Place<'l>,
    pub(crate) path: &'l Path,
    pub(crate) reader: &'l Reader<'l>,
    pub(crate) seed: u64,
}

impl Loader<'_> {
    /// Makes the zone of the file's content, and says how that is written.
    pub(crate) fn read(&self, bytes: Vec<u8>) -> Option<(Zone, Format)> {
        if is_yaml(self.path) { self.yaml(bytes) } else { self.master(&bytes) }
    }

    fn yaml(&self, bytes: Vec<u8>) -> Option<(Zone, Format)> {
        let issues = self.reader.issues;
        let text: Rc<str> = match utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => {
                issues.error(&self.place.field("file"), format!("cannot read {}: {error}", self.path.display()));
                return None;
            }
        };
        let file = self.reader.sources.add(self.path, Rc::clone(&text));
        let errors_before = issues.error_count();
        let sizes = self.reader.sizes();
        let (read, mut builder) = zone_yaml::read(file, &text, (self.apex, self.seed), sizes.rrset_records, issues)?;
        let root = Place::root(&read.root);
        let settings = root.field(zone_yaml::SETTINGS).field("soa");
        let has_serial = |soa: &Soa| soa.serial.is_some();
        let format = Format::Yaml {
            soa: match (&read.soa, self.soa) {
                (Some(soa), _) => SoaPlace::Settings { has_serial: has_serial(soa) },
                (None, Some(soa)) => SoaPlace::Configuration { has_serial: has_serial(soa) },
                (None, None) => SoaPlace::Records,
            },
            default_ttl: root.field(zone_yaml::SETTINGS).has("default_ttl").then_some(read.default_ttl),
        };
        let (soa, place) = match (&read.soa, self.soa) {
            (Some(soa), None) => (Some(soa), settings),
            (None, soa) => (soa, self.place.field("soa")),
            (Some(soa), Some(_)) => {
                issues.error_at_key(&self.place.field("soa"), "the zone file has an SOA too: write it in one place");
                (Some(soa), settings)
            }
        };
        self.add_soa(soa, &place, read.default_ttl, &mut builder);
        let zone = builder.finish();
        if zone.records() > sizes.records {
            let message = format!("more than {} records in the zone (`limits.zones.records`)", sizes.records);
            issues.error(&self.place.field("file"), message);
        }
        let problems = self.check(&zone, errors_before);
        if !problems.is_empty() {
            self.report(problems, file, &text);
        }
        Some((zone, format))
    }

    /// Reads the text again to tell where the names stand that problems are about.
    fn report(&self, problems: Vec<check::Problem>, file: FileId, text: &str) {
        let owners = problems.iter().map(|problem| &problem.name).collect();
        let Some(tree) = zone_yaml::owners(file, text, self.apex, &owners) else { return };
        let wanted: Vec<_> = problems.iter().map(|problem| (&problem.name, problem.record_type)).collect();
        let places = zone_yaml::locate(&Place::root(&tree), self.apex, &wanted);
        let reasons: Vec<_> = problems.iter().map(|problem| (problem.severity, problem.reason.clone())).collect();
        for ((severity, reason), place) in reasons.into_iter().zip(places) {
            match severity {
                Severity::Error => self.reader.issues.error_at_key(&place, reason),
                Severity::Warning => self.reader.issues.warn(&place, reason),
            }
        }
    }

    fn master(&self, text: &[u8]) -> Option<(Zone, Format)> {
        if self.soa.is_some() {
            let message = "a master file has its SOA among its records; only one in YAML may go without";
            self.reader.issues.error_at_key(&self.place.field("soa"), message);
        }
        let zone = Master::new(self.path, self.apex, self.reader).load(text, self.seed)?;
        let is_directive = |line: &[u8]| {
            line.starts_with(b"$") && {
                let word = line.split(|octet| octet.is_ascii_whitespace()).next().unwrap_or_default();
                word.eq_ignore_ascii_case(b"$INCLUDE") || word.eq_ignore_ascii_case(b"$GENERATE")
            }
        };
        let has_directives = text.split(|octet| *octet == b'\n').any(is_directive);
        Some((zone, Format::Master { has_directives }))
    }

    /// What breaks the rules of zones. Of a zone that lacks records because these are wrong, only what does not follow
    /// from that.
    fn check(&self, zone: &Zone, errors_before: usize) -> Vec<check::Problem> {
        let is_whole = self.reader.issues.error_count() == errors_before;
        let mut problems = check::check_within(zone, &self.reader.sizes());
        problems.retain(|problem| is_whole || problem.severity == Severity::Error && problem.record_type.is_some());
        if zone.apex_rrset(RecordType::SOA).is_none()
            && let Some(problem) = problems.iter_mut().find(|problem| problem.reason.contains("SOA"))
        {
            problem.reason.push_str("; `soa: {}` beside `file` in the configuration makes one");
        }
        problems
    }

    /// Adds the SOA that is written outside the records.
    fn add_soa(&self, written: Option<&Soa>, place: &Place<'_>, default_ttl: u32, builder: &mut ZoneBuilder) {
        let Some(soa) = written else { return };
        let issues = self.reader.issues;
        if builder.rrset(self.apex, RecordType::SOA).is_some() {
            return issues.error_at_key(place, "the zone has an SOA among its records too: write it in one place");
        }
        let field =
            |limit: limits::Limit<u32>, written: Option<super::values::Written<super::values::Seconds>>, key| {
                limit.take(value(written).map(|seconds| seconds.0), &place.field(key), issues)
            };
        let name_server = builder.rrset(self.apex, RecordType::NS);
        let name_server = name_server.and_then(|rrset| Name::from_wire(rrset.first()).ok());
        let mname = soa.mname.as_ref().map(|name| name.0.clone()).or(name_server);
        let rname = match soa.rname.as_deref().map(mailbox) {
            Some(Ok(name)) => Some(name),
            Some(Err(why)) => return issues.error(&place.field("rname"), why),
            None => self.apex.child(b"hostmaster").ok(),
        };
        let apex = self.apex.clone();
        let mut rdata = mname.unwrap_or_else(|| apex.clone()).as_wire().to_vec();
        rdata.extend_from_slice(rname.unwrap_or_else(|| apex.clone()).as_wire());
        // A serial that grows with each change of the file, so that secondaries see it without anybody counting.
        let serial = soa.serial.unwrap_or_else(|| self.reader.modified(self.path).unwrap_or(1));
        rdata.extend_from_slice(&serial.to_be_bytes());
        rdata.extend_from_slice(&field(limits::SOA_REFRESH, soa.refresh, "refresh").to_be_bytes());
        rdata.extend_from_slice(&field(limits::SOA_RETRY, soa.retry, "retry").to_be_bytes());
        rdata.extend_from_slice(&field(limits::SOA_EXPIRE, soa.expire, "expire").to_be_bytes());
        rdata.extend_from_slice(&field(limits::SOA_MINIMUM, soa.minimum, "minimum").to_be_bytes());
        let ttl = soa.ttl.map_or(default_ttl, |ttl| limits::ZONE_TTL.take(Some(ttl.0.0), &place.field("ttl"), issues));
        if let Err(error) = builder.add(&apex, RecordType::SOA, ttl, &rdata) {
            issues.error(place, error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::load_with;
    use crate::wire::{NameKey, RecordType};
    use crate::zone::rdata;

    /// Loads `example.com.` from this text and gives the RRset as `ttl rdata; rdata`.
    #[track_caller]
    fn rrset(file: &str, text: &str, entry: &str, owner: &str, record_type: RecordType) -> Result<String, Vec<String>> {
        let main = format!("node: ns1\nzones:\n  - {{name: example.com., file: {file}{entry}}}\n");
        let config = load_with(&main, &[(file, text)])?;
        let key = NameKey::new(&owner.parse().unwrap(), 1);
        let rrset = config.views[0].zones[0].rrset(&key, record_type).expect("the RRset");
        let texts: Vec<String> = rrset.rdatas().map(|data| rdata::to_text(record_type, data)).collect();
        Ok(format!("{} {}", rrset.ttl, texts.join("; ")))
    }

    const OCTODNS: &str = "---\n'':\n  - octodns: {cloudflare: {proxied: true}}\n    type: A\n    values: [192.0.2.1, 192.0.2.2]\n  \
        - type: NS\n    ttl: 300\n    values: [ns1.example.net., ns2.example.net.]\n  - type: MX\n    \
        values:\n      - {exchange: mail.example.com., preference: 10}\n\
        www:\n  type: CNAME\n  value: example.com.\n'*.wild':\n  ttl: 60\n  type: TXT\n  value: v=x\\; y\n\
        svc:\n  type: HTTPS\n  value: {svcpriority: 1, targetname: ., svcparams: {alpn: [h2, h3]}}\n";

    #[test]
    fn files_of_octodns_load_unchanged() {
        let check = |owner: &str, record_type, expected: &str| {
            let found = rrset("zone.yaml", OCTODNS, ", soa: {serial: 7}", owner, record_type);
            assert_eq!(found.as_deref(), Ok(expected));
        };
        check("example.com.", RecordType::A, "3600 192.0.2.1; 192.0.2.2");
        check("example.com.", RecordType::NS, "300 ns1.example.net.; ns2.example.net.");
        check("example.com.", RecordType::MX, "3600 10 mail.example.com.");
        check("www.example.com.", RecordType::CNAME, "3600 example.com.");
        check("*.wild.example.com.", RecordType::TXT, "60 \"v=x; y\"");
        check("svc.example.com.", RecordType::HTTPS, "3600 1 . alpn=\"h2,h3\"");
        let soa = "3600 ns1.example.net. hostmaster.example.com. 7 3600 600 604800 300";
        check("example.com.", RecordType::SOA, soa);
    }

    #[test]
    fn a_zone_file_brings_its_own_soa_and_default_ttl() {
        let text = "$zone:\n  default_ttl: 5m\n  soa: {primary: ns1, contact: dns.admin@example.net, serial: 2}\n\
                    '': {type: NS, value: ns1}\nns1: {type: A, value: 192.0.2.1}\n";
        let text = text.replace("primary: ns1,", "primary: ns1.example.com.,");
        let found = rrset("z.yaml", &text, "", "example.com.", RecordType::SOA);
        let expected = "300 ns1.example.com. dns\\.admin.example.net. 2 3600 600 604800 300";
        assert_eq!(found.as_deref(), Ok(expected));
        assert_eq!(rrset("z.yaml", &text, "", "ns1.example.com.", RecordType::A).as_deref(), Ok("300 192.0.2.1"));
    }

    #[test]
    fn settings_hold_for_names_before_them_and_merged_names_come_last() {
        let text = "'': {type: NS, value: ns1}\nns1: {type: A, value: 192.0.2.1}\n\
                    $zone: {default_ttl: 5m, soa: {}}\n<<: {ns1: {type: A, value: 192.0.2.9}, b: {type: A, value: 192.0.2.2}}\n";
        let check = |owner, record_type, expected: &str| {
            assert_eq!(rrset("z.yaml", text, "", owner, record_type).as_deref(), Ok(expected));
        };
        check("example.com.", RecordType::NS, "300 ns1.example.com.");
        check("ns1.example.com.", RecordType::A, "300 192.0.2.1");
        check("b.example.com.", RecordType::A, "300 192.0.2.2");
        let twice = "'': {type: NS, value: ns.example.net.}\na: {type: A, value: 192.0.2.1}\n\
                     b: {type: A, value: x}\na: {type: A, value: 192.0.2.2}\n";
        let errors = rrset("z.yaml", twice, ", soa: {}", "a.example.com.", RecordType::A).unwrap_err();
        let shown = errors.join("; ");
        assert!(errors.len() == 2 && shown.contains("the key `a` is written twice, first in line 2"), "{shown}");
        assert!(shown.contains("no IPv4 address"), "{shown}");
    }

    #[test]
    fn a_master_file_loads_with_what_it_includes() {
        let main = "node: ns1\nzones: [{name: example.com., file: zones/a.zone}]\n";
        let zone = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns\n$INCLUDE hosts.inc\n";
        let files = [("zones/a.zone", zone), ("zones/hosts.inc", "ns A 192.0.2.53\n")];
        let config = load_with(main, &files).unwrap();
        assert_eq!(config.views[0].zones[0].records(), 3);
        assert_eq!(config.files.len(), 3);
    }

    #[test]
    fn included_files_stay_in_the_folder() {
        let main = "node: ns1\nzones: [{name: example.com., file: a.zone}]\n";
        let zone = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n$INCLUDE /etc/passwd\n";
        let errors = load_with(main, &[("a.zone", zone)]).unwrap_err();
        let expected =
            "a.zone:4:10: $INCLUDE \"/etc/passwd\": it is not in the folder of the configuration or of the zone file";
        assert_eq!(errors, [expected]);
    }

    #[test]
    fn mistakes_in_zone_yaml_are_placed() {
        let check = |text: &str, expected: &str| {
            let main = "node: ns1\nzones: [{name: example.com., file: z.yaml, soa: {}}]\n";
            let text = format!("'': {{type: NS, value: ns.example.net.}}\n{text}");
            let errors = load_with(main, &[("z.yaml", &text)]).unwrap_err();
            assert_eq!(errors, [format!("z.yaml:{expected}")], "{text}");
        };
        check("www: {type: A, value: 192.0.2.256}", "2:23: www.value: A address: \"192.0.2.256\" is no IPv4 address");
        check("www: {tpye: A, type: A, value: 192.0.2.2}", "2:7: www.tpye: unknown key; did you mean `type`?");
        check(
            "www: {type: AAA, value: x}",
            "2:13: www.type: unknown record type \"AAA\": use a mnemonic such as AAAA, or TYPEnnn; did you mean `AAAA`?",
        );
        check("www: {value: x}", "2:1: www: `type` is missing");
        check("www: {type: A}", "2:1: www: `values` is missing");
        check("www: {type: A, values: []}", "2:16: www.values: a record needs a value");
        check(
            "www: {type: ALIAS, value: x.}",
            "2:13: www.type: ALIAS is a record of one provider, not of the DNS: use a wide IP, or A and AAAA",
        );
        check("www: 192.0.2.1", "2:6: www: expected a record with `type` and `value` or `values`, found `192.0.2.1`");
        check(
            "www: {type: A, ttl: soon, value: 192.0.2.1}",
            "2:21: www.ttl: `soon` is not a number of seconds or a duration such as `30s` or `5m`",
        );
        check(
            "www.example.net.: {type: A, value: 192.0.2.1}",
            "2:1: www.example.net.: www.example.net. is not in the zone example.com.: names without a final dot are below it",
        );
        check(
            "a..b: {type: A, value: 192.0.2.1}",
            "2:1: a..b: not a name: empty label: two dots in a row, or a dot at the start",
        );
        check(
            "www: [{type: A, value: 192.0.2.1}, {type: A, value: 192.0.2.2}]",
            "2:43: www[1].type: A is written twice at this name: put its values together",
        );
    }

    #[test]
    fn an_soa_stands_in_one_place() {
        let check = |entry: &str, text: &str, expected: &str| {
            let main = format!("node: ns1\nzones: [{{name: example.com., file: z.yaml{entry}}}]\n");
            let text = format!("'': {{type: NS, value: ns.example.net.}}\n{text}");
            assert_eq!(load_with(&main, &[("z.yaml", &text)]).unwrap_err(), [expected]);
        };
        let twice = "2:44: zones[0].soa: the zone file has an SOA too: write it in one place";
        check(", soa: {}", "$zone: {soa: {}}", twice);
        let among = "z.yaml:2:9: $zone.soa: the zone has an SOA among its records too: write it in one place";
        let record = "'@': {type: SOA, value: ns.example.net. host.example.net. 1 2 3 4 5}";
        check("", &format!("$zone: {{soa: {{}}}}\n{record}"), among);
    }
}
