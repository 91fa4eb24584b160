//! What we print, other servers read; what they print, we read as the same zone: every type, by BIND's and NSD's tools.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use fairlead::wire::{Name, RecordType};
use fairlead::zone::master::{Settings, no_include};
use fairlead::zone::{Record, Zone, load, print, rdata};

/// Types that a zone without signatures may hold only with a meaning our examples do not have.
const LEFT_OUT: &[RecordType] =
    &[RecordType::SOA, RecordType::DNAME, RecordType::CNAME, RecordType::NS, RecordType::NSEC3, RecordType::NSEC3PARAM];

fn origin() -> Name {
    "example.".parse().unwrap()
}

fn read(text: &str) -> Zone {
    let origin = origin();
    let settings = Settings { file: "zone", origin: &origin, default_ttl: None };
    load(text.as_bytes(), &settings, 1, &mut no_include).unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).zone
}

/// One record of each example of RDATA, each at a name of its own.
fn examples() -> Vec<Record> {
    let apex = [(RecordType::SOA, "ns admin 1 7200 3600 1209600 300"), (RecordType::NS, "ns.other.")];
    let apex = apex.map(|(record_type, text)| ("@".to_owned(), record_type, text.to_owned()));
    let lines = include_str!("../src/zone/rdata_examples.txt").lines().enumerate();
    let rows = lines.map(|(number, line)| {
        let (record_type, text) = line.split_once(' ').unwrap();
        (format!("t{number}"), record_type.parse().unwrap(), text.split(" => ").next().unwrap().to_owned())
    });
    // BIND wants a key in IPSECKEY.
    let rows = rows.filter(|(_, record_type, text)| !LEFT_OUT.contains(record_type) && !text.ends_with("gw.example."));
    let generic = [("g", RecordType(65_280), "\\# 3 010203".to_owned()), ("e", RecordType(65_281), "\\# 0".to_owned())];
    let generic = generic.map(|(owner, record_type, text)| (owner.to_owned(), record_type, text));
    apex.into_iter()
        .chain(rows)
        .chain(generic)
        .map(|(owner, record_type, text)| Record {
            name: Name::parse(&owner, Some(&origin())).unwrap(),
            record_type,
            ttl: 300,
            rdata: rdata::from_text(record_type, &text, &origin()).unwrap().into_boxed_slice(),
        })
        .collect()
}

#[test]
fn bind_reads_what_we_print_and_we_read_what_it_prints() {
    let Some(program) = support::tool("named-compilezone") else { return };
    let folder = tempfile::tempdir().unwrap();
    let ours = print::records(&origin(), &examples());
    let input = folder.path().join("ours");
    std::fs::write(&input, &ours).unwrap();
    for style in ["full", "relative"] {
        let output = folder.path().join(style);
        let mut command = Command::new(&program);
        command.args(["-i", "none", "-k", "ignore", "-s", style, "-o"]).arg(&output).arg("example").arg(&input);
        run(&mut command);
        let theirs = std::fs::read_to_string(&output).unwrap();
        assert_eq!(print::zone(&read(&theirs)), print::zone(&read(&ours)), "{style}: {theirs}");
    }
}

#[test]
fn nsd_reads_what_we_print() {
    let Some(program) = support::tool("nsd-checkzone") else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("ours");
    std::fs::write(&input, print::records(&origin(), &examples())).unwrap();
    run(Command::new(program).arg("example").arg(input));
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    let told = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(done.status.success(), "{command:?}: {}{}", told(&done.stdout), told(&done.stderr));
}
