//! Transfers out as other servers take them: slowly, not at all, and while the zone changes under way.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "waiting for another process takes real time")]

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fairlead::wire::{HEADER_LENGTH, MessageRecord, Name, RecordType, Records};
use support::server::{Server, fairlead_at, free_port, metric, soa};
use support::tool;

/// Longer than anything here takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records of the zone beside SOA, NS and an address.
const RECORDS: usize = 800;
/// Octets of their texts: more than the system takes on behalf of a client that does not read.
const OCTETS: u64 = 8_000_000;

/// Version `serial` of a zone whose texts all say which version they are of.
fn zone(serial: u32) -> String {
    let text = format!("v{serial}-{}", format!(" {}", "x".repeat(249)).repeat(40));
    let texts: String = (0..RECORDS).map(|number| format!("t{number} TXT {text}\n")).collect();
    format!("$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n{texts}")
}

struct Running {
    server: Server,
    admin: u16,
    folder: tempfile::TempDir,
}

/// Version `serial` of a small zone, which adds one text to the version before.
fn small(serial: u32) -> String {
    let texts: String = (1..=serial).map(|number| format!("t{number} TXT v{number}-\n")).collect();
    format!("$TTL 60\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n{texts}")
}

/// A node that serves this version 1 and gives it to anybody on loopback, with these limits.
fn start(version: &str, limits: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("example.zone"), version).unwrap();
    let admin = free_port();
    let configuration = format!(
        "zones:\n  - name: example.\n    file: example.zone\n    transfer: {{allow: [{{address: 127.0.0.0/8}}]}}\n    \
         updates: [{{address: 127.0.0.1}}]\nlimits: {limits}\n"
    );
    let server = fairlead_at(folder.path(), free_port(), admin, &configuration, "example.");
    Running { server, admin, folder }
}

impl Running {
    fn metric(&self, series: &str) -> f64 {
        metric(self.admin, series)
    }

    fn limit_hits(&self, limit: &str) -> f64 {
        self.metric(&format!("fairlead_limit_hits_total{{limit=\"{limit}\"}}"))
    }

    fn transfers(&self, kind: &str, result: &str) -> f64 {
        self.metric(&format!("fairlead_transfers_total{{direction=\"out\",kind=\"{kind}\",result=\"{result}\"}}"))
    }

    /// Puts this version `serial` in the place of the one that is served.
    fn replace(&self, serial: u32, version: &str) {
        fs::write(self.folder.path().join("example.zone"), version).unwrap();
        let killed = Command::new("kill").args(["-HUP", &self.server.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        wait_for(|| served(self.server.address) == Some(serial), || log(self.folder.path()));
    }

    /// Octets of memory the node takes now.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("fairlead.log")).unwrap_or_default()
}

#[track_caller]
fn wait_for(is_so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The serial that is served.
fn served(server: SocketAddr) -> Option<u32> {
    let reply = soa(server, "example.")?;
    let question = 12 + "example.".len() + 1 + 4;
    serial(&Records::new(&reply, question).next_record()?)
}

fn serial(record: &MessageRecord) -> Option<u32> {
    let numbers = record.rdata.last_chunk::<20>().filter(|_| record.record_type == RecordType::SOA)?;
    numbers.first_chunk::<4>().map(|serial| u32::from_be_bytes(*serial))
}

/// A client that takes a transfer as it likes.
struct Reader {
    stream: TcpStream,
}

impl Reader {
    /// Asks for the zone, or for what is newer than version `from`. The system keeps little for a client that does not
    /// read.
    fn ask(server: SocketAddr, from: Option<u32>) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(65_536).unwrap();
        socket.connect(&server.into()).unwrap();
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = "example.".parse::<Name>().unwrap();
        let record_type: u16 = if from.is_some() { 251 } else { 252 };
        let mut message = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, u8::from(from.is_some()), 0, 0];
        message.extend([name.as_wire(), &record_type.to_be_bytes(), &[0, 1]].concat());
        if let Some(from) = from {
            message.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
            message.extend(from.to_be_bytes());
            message.extend([0; 16]);
        }
        stream.write_all(&[&u16::try_from(message.len()).unwrap().to_be_bytes(), &message[..]].concat()).unwrap();
        Self { stream }
    }

    /// The records of the next message, and its response code.
    fn message(&mut self) -> (Vec<MessageRecord>, u8) {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut message).unwrap();
        let question = HEADER_LENGTH + 9 + 4;
        let mut records = Records::new(&message, question);
        let count = u16::from_be_bytes([message[6], message[7]]);
        ((0..count).map(|_| records.next_record().unwrap()).collect(), message[3] & 15)
    }

    /// `records` and all that follow, up to the second SOA of the first one's serial, or with changes the third.
    fn rest(mut self, mut records: Vec<MessageRecord>) -> Vec<MessageRecord> {
        let last = serial(&records[0]).unwrap();
        let is_last = |record: &MessageRecord| serial(record) == Some(last);
        loop {
            let closings = if serial(&records[1]).is_some() { 3 } else { 2 };
            if records.iter().filter(|record| is_last(record)).count() >= closings {
                return records;
            }
            records.extend(self.message().0);
        }
    }

    /// Reads until the connection ends, as slowly as `pause` makes it; why it ended.
    fn end(mut self, pause: Duration) -> std::io::Result<()> {
        let mut octets = [0; 16_384];
        loop {
            match self.stream.read(&mut octets) {
                Ok(0) => return Ok(()),
                Ok(_) => std::thread::sleep(pause),
                Err(error) => return Err(error),
            }
        }
    }
}

/// How many of the records are texts of this version.
fn texts(records: &[MessageRecord], version: u32) -> usize {
    let start = format!("v{version}-");
    records.iter().filter(|record| record.rdata.get(1..).is_some_and(|text| text.starts_with(start.as_bytes()))).count()
}

#[test]
fn who_stops_reading_is_reset_and_gives_its_place_up() {
    let running = start(&zone(1), "{tcp: {write_stall: 2s}, transfers: {outbound: 10}}");
    let server = running.server.address;
    let before = running.memory();
    let mut stalled: Vec<Reader> = (0..8).map(|_| Reader::ask(server, None)).collect();
    stalled.iter_mut().for_each(|reader| assert_eq!(reader.message().1, 0));
    // Meanwhile others are served.
    let mut other = Reader::ask(server, None);
    let (first, _) = other.message();
    assert_eq!(texts(&other.rest(first), 1), RECORDS);
    let grown = running.memory().saturating_sub(before);
    assert!(grown < OCTETS, "eight readers that do not read take {grown} octets, more than the zone");
    wait_for(|| running.limit_hits("tcp_write_stall") >= 8.0, || log(running.folder.path()));
    for reader in stalled {
        assert_eq!(reader.end(Duration::ZERO).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    wait_for(|| running.transfers("axfr", "failed") >= 8.0, || log(running.folder.path()));
    assert_eq!(running.limit_hits("transfers"), 0.0);
    let mut again: Vec<Reader> = (0..10).map(|_| Reader::ask(server, None)).collect();
    again.iter_mut().for_each(|reader| assert_eq!(reader.message().1, 0, "every place is free again"));
    assert_eq!(Reader::ask(server, None).message().1, 2, "and no more");
    assert_eq!(running.limit_hits("transfers"), 1.0);
    assert_eq!(running.limit_hits("transfer_out_time"), 0.0);
}

#[test]
fn a_transfer_that_is_read_too_slowly_is_cut_off_in_the_end() {
    let running = start(&zone(1), "{transfers: {outbound: 1, outbound_time: 400ms}}");
    let begun = Instant::now();
    let ended = Reader::ask(running.server.address, None).end(Duration::from_millis(10)).unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    wait_for(|| running.transfers("axfr", "failed") >= 1.0, || log(running.folder.path()));
    assert_eq!((running.limit_hits("transfer_out_time"), running.limit_hits("tcp_write_stall")), (1.0, 0.0));
    assert_eq!(running.metric("fairlead_tcp_closed_connections_total{reason=\"transfer_time\"}"), 1.0);
    assert_eq!(Reader::ask(running.server.address, None).message().1, 0, "its place is free");
}

#[test]
fn a_zone_that_is_replaced_under_way_goes_out_as_it_was() {
    let running = start(&zone(1), "{tcp: {write_stall: 1m}}");
    let server = running.server.address;
    let mut whole = Reader::ask(server, None);
    let (first, _) = whole.message();
    running.replace(2, &zone(2));
    let records = whole.rest(first);
    assert_eq!((serial(&records[0]), records.len()), (Some(1), RECORDS + 4));
    assert_eq!((texts(&records, 1), texts(&records, 2)), (RECORDS, 0));

    // Changes of every record, while the version after them comes.
    let mut changes = Reader::ask(server, Some(1));
    let (first, _) = changes.message();
    running.replace(3, &zone(3));
    let records = changes.rest(first);
    let serials: Vec<u32> = records.iter().filter_map(serial).collect();
    assert_eq!(serials, [2, 1, 2, 2]);
    assert_eq!((texts(&records, 1), texts(&records, 2), texts(&records, 3)), (RECORDS, RECORDS, 0));
    let added = records.iter().rposition(|record| serial(record) == Some(2)).unwrap();
    assert_eq!((added, texts(&records[..=RECORDS + 1], 1)), (records.len() - 1, RECORDS), "all go before any comes");

    let mut whole = Reader::ask(server, None);
    let (first, _) = whole.message();
    let Some(nsupdate) = tool("nsupdate") else { return };
    let script =
        format!("server 127.0.0.1 {}\nzone example.\nupdate add new.example. 60 TXT v4-\nsend\n", server.port());
    let mut child = Command::new(nsupdate).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(served(server), Some(4));
    let records = whole.rest(first);
    assert_eq!((serial(&records[0]), texts(&records, 3), texts(&records, 4)), (Some(3), RECORDS, 0));
}

#[test]
fn a_secondary_that_is_older_than_the_history_gets_the_whole_zone_for_changes() {
    let check = |limits: &str, oldest: u32| {
        let running = start(&small(1), limits);
        let since = |from| {
            let (records, rcode) = Reader::ask(running.server.address, Some(from)).message();
            let serials: Vec<u32> = records.iter().filter_map(serial).collect();
            (records, rcode, serials)
        };
        for version in 2..=5 {
            running.replace(version, &small(version));
            // The version is served before what changed is known.
            wait_for(|| oldest == 5 || since(version - 1).2.len() == 4, || log(running.folder.path()));
        }
        for from in 1..5 {
            let (records, rcode, serials) = since(from);
            let steps = (from..5).flat_map(|step| [step, step + 1]);
            let changes: Vec<u32> = std::iter::once(5).chain(steps).chain([5]).collect();
            let expected = if from < oldest { vec![5, 5] } else { changes };
            assert_eq!((rcode, serials), (0, expected), "{limits}, from {from}");
            // The whole has every record; changes have what came since.
            assert_eq!(records.iter().any(|record| texts(std::slice::from_ref(record), 1) > 0), from < oldest);
        }
    };
    check("{}", 1);
    check("{transfers: {history_changes: 2}}", 3);
    check("{transfers: {history_records: 1}}", 4);
    check("{transfers: {history_changes: 0}}", 5);
}
