//! The files that zones come from: read again one by one, and written back.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::zone::{Sizes, Zone, ZoneId};

use super::file::{self, Soa};
use super::issues::{Issues, Sources};
use super::node::{Node, Place, Position, Value};
use super::sources::{Reader, show_io};
use super::views::WrittenView;
use super::zone_write;
use super::zones::Loader;

/// Where a zone comes from.
#[derive(Debug, Clone)]
pub struct ZoneFile {
    /// The zone.
    pub id: ZoneId,
    /// The file.
    pub path: PathBuf,
    /// What the configuration says of its SOA.
    soa: Option<Soa>,
    /// The folder of the configuration, in which included files may stand.
    folder: PathBuf,
    /// How large it may be.
    sizes: Sizes,
}

/// How a zone file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An RFC 1035 master file.
    Master {
        /// Whether it is made of several files or generated lines (`$INCLUDE`, `$GENERATE`), which writing it back
        /// would make one plain list of.
        has_directives: bool,
    },
    /// octoDNS-style YAML.
    Yaml {
        /// Where the SOA is.
        soa: SoaPlace,
        /// The TTL of records that give none, in seconds, where the file says one.
        default_ttl: Option<u32>,
    },
}

/// Where the SOA of a zone in YAML is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoaPlace {
    /// Among the records.
    Records,
    /// Under `$zone`.
    Settings {
        /// Whether the serial is written; else it is the time of the file.
        has_serial: bool,
    },
    /// Under `soa` in the configuration.
    Configuration {
        /// Whether the serial is written; else it is the time of the file.
        has_serial: bool,
    },
}

/// The files of the zones of all views.
pub(crate) fn list(views: &[WrittenView<'_>], reader: &Reader<'_>) -> Vec<ZoneFile> {
    let of_view = |view: &WrittenView<'_>| {
        let (zones, place) = &view.zones;
        let of_zone = |(index, zone): (usize, &file::Zone)| {
            let position = place.item(index).field("file").position();
            Some(ZoneFile {
                id: ZoneId::new(view.name.clone(), zone.name.0.to_lowercase()),
                path: reader.sources.resolve(position, zone.file.as_ref()?),
                soa: zone.soa.clone(),
                folder: reader.folder().to_owned(),
                sizes: reader.sizes(),
            })
        };
        zones.iter().filter_map(of_zone).collect::<Vec<_>>()
    };
    views.iter().flat_map(of_view).collect()
}

impl ZoneFile {
    /// Reads the zone as a reload would, from `path`, which is the file itself or what shall take its place.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in lines.
    pub fn read(&self, path: &Path, seed: u64) -> Result<(Zone, Format), String> {
        let (issues, sources) = (Issues::default(), Sources::default());
        let reader = Reader::in_folder(&self.folder, &issues, &sources);
        reader.hold_to(self.sizes);
        let bytes = reader.zone_file(path);
        let bytes = bytes.map_err(|error| format!("reading {}: {}", path.display(), show_io(&error)))?;
        let position = Position { file: sources.add(path, Rc::from("")), line: 1, column: 1, width: 1 };
        let root = Node::new(position, Value::Null);
        let place = Place::root(&root);
        let loader = Loader { apex: &self.id.apex, soa: self.soa.as_ref(), place: &place, path, reader: &reader, seed };
        let read = loader.read(bytes);
        issues.finish(&sources).map_err(|errors| errors.to_string())?;
        read.ok_or_else(|| format!("reading {}: it holds no zone", path.display()))
    }
}

impl Format {
    /// The text of a file of this form that reads back as `zone`. Comments are not kept.
    pub fn text(self, zone: &Zone) -> String {
        zone_write::text(zone, self)
    }

    /// Whether the serial is the time the file was last changed.
    pub const fn has_serial_of_time(self) -> bool {
        let Self::Yaml { soa, .. } = self else { return false };
        matches!(soa, SoaPlace::Settings { has_serial: false } | SoaPlace::Configuration { has_serial: false })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config::testing::{folder, load_text};
    use crate::zone::print;

    const MASTER: &str = "$TTL 60\n@ SOA ns h 5 1 2 3 4\n@ NS ns\nns A 192.0.2.1\na\\.b TXT \"x;\\\"$\" \"y\"\n";

    /// Writes a zone back as its file has it, and reads that.
    #[track_caller]
    fn check(name: &str, text: &str, entry: &str) {
        let main = format!("node: ns1\nzones: [{{name: example.com., file: {name}{entry}}}]\n");
        let folder = folder(&[("fairlead.yaml", &main), (name, text)]);
        let (config, _) = crate::config::load(&folder.path().join("fairlead.yaml"), 1).unwrap();
        let [file] = &config.zone_files[..] else { panic!("one zone") };
        let (zone, format) = file.read(&file.path, 1).unwrap();
        let written = format.text(&zone);
        let other = file.path.with_file_name(format!("other-{name}"));
        fs::write(&other, &written).unwrap();
        let modified = fs::metadata(&file.path).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
        let (again, _) = file.read(&other, 1).unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert_eq!(print::zone(&again), print::zone(&zone), "{written}");
        assert_eq!(format.text(&again), written);
    }

    #[test]
    fn a_master_file_is_written_back() {
        check("a.zone", MASTER, "");
    }

    #[test]
    fn yaml_is_written_back_with_the_settings_it_had() {
        let records = "'': [{type: NS, value: ns.example.net.}, {type: MX, ttl: 5, value: {preference: 10, exchange: a.example.com.}}]\n\
            '*.w': {type: TXT, values: [v=x\\; y, 'it''s', '\\# 2 0141', 'true']}\n\
            a: [{type: A, values: [192.0.2.1, 192.0.2.2]}, {type: AAAA, value: '2001:db8::1'}, {type: SRV, values: [1 2 3 a.test.]}]\n\
            c: {type: CAA, value: {flags: 0, tag: issue, value: ca.test; x=y}}\n'on': {type: CNAME, value: a.test.}\n";
        check("a.yaml", records, ", soa: {}");
        check("a.yaml", &format!("$zone: {{soa: {{serial: 7, rname: a.b@c.test}}}}\n{records}"), "");
        check("a.yaml", &format!("$zone: {{soa: {{}}, default_ttl: 5}}\n{records}"), "");
        let among = "'@': {type: SOA, value: ns.example.net. host.example.net. 1 2 3 4 5}\n";
        check("a.yaml", &format!("{records}b: {{type: A, value: 192.0.2.3}}\n{among}"), "");
    }

    /// The error that a zone file gives under these `limits.zones`.
    #[track_caller]
    fn check_size(name: &str, text: &str, zones: &str, expected: &str) {
        let main =
            format!("node: ns1\nzones: [{{name: example.com., file: {name}}}]\nlimits: {{zones: {{{zones}}}}}\n");
        let folder = folder(&[("fairlead.yaml", &main), (name, text)]);
        let errors = crate::config::load(&folder.path().join("fairlead.yaml"), 1).err();
        let errors = errors.map(|errors| errors.to_string()).unwrap_or_default();
        assert!(if expected.is_empty() { errors.is_empty() } else { errors.contains(expected) }, "{zones}: {errors}");
    }

    #[test]
    fn zones_are_held_to_the_sizes_that_are_set() {
        let two = "b A 192.0.2.1\nb A 192.0.2.2\nb TXT x\nb MX 1 ns\nb AAAA 2001:db8::1\n";
        let master = format!("{MASTER}{two}");
        let yaml = "$zone: {soa: {serial: 7}}\n'': {type: NS, value: ns.example.net.}\nb: [{type: A, values: [192.0.2.1, 192.0.2.2]}, \
                    {type: TXT, value: x}, {type: MX, value: {preference: 1, exchange: a.test.}}, {type: AAAA, value: '2001:db8::1'}]\n";
        for (name, text) in [("a.zone", &*master), ("a.yaml", yaml)] {
            check_size(name, text, "", "");
            check_size(name, text, "rrset_records: 2, types: 4, records: 9, file_size: 1KiB", "");
            check_size(
                name,
                text,
                "rrset_records: 1",
                "the RRset would hold more than 1 records (`limits.zones.rrset_records`)",
            );
            check_size(name, text, "types: 3", "4 types at one name, more than 3 (`limits.zones.types`)");
            check_size(name, text, "records: 3", "more than 3 records in the zone (`limits.zones.records`)");
            let large = format!("{text}{}", "# ".repeat(1000).replace('#', if name == "a.zone" { ";" } else { "#" }));
            check_size(name, &large, "file_size: 1KiB", "it is larger than 1024 bytes (`limits.zones.file_size`)");
        }
        check_size("a.zone", MASTER, "rrset_records: 4001", "limits.zones.rrset_records: 4001 is not from 1 to 4000: ");
        check_size("a.zone", MASTER, "types: 1", "limits.zones.types: 1 is not from 3 to 1000: ");
    }

    #[test]
    fn the_journal_has_a_limit() {
        assert_eq!(load_text("node: ns1").unwrap().journal_zone_octets_max, 64 << 20);
        let config = load_text("node: ns1\njournal: {zone_octets_max: 65536}").unwrap();
        assert_eq!(config.journal_zone_octets_max, 1 << 16);
        let errors = load_text("node: ns1\njournal: {zone_octets_max: 1}").unwrap_err();
        assert!(errors[0].contains("1 is not from 65536 to 4294967296"), "{errors:?}");
    }
}
