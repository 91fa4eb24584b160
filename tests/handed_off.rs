//! EDNS options of replies that are made beside the answer path: to transfers, notifications and updates.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::message::{Asked, Opt, Told, ask};
use support::server::{Server, fairlead_at, free_port, metric};

const NSID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const EXPIRE: u16 = 9;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const EXTENDED_ERROR: u16 = 15;
const NOTIFY: u8 = 4;
const UPDATE: u8 = 5;

/// Longer than a reply takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    server: Server,
    admin: u16,
    _folder: tempfile::TempDir,
}

/// A node that gives `example.` away and lets it be changed, keeps `other.` to itself and never got `new.`.
fn node(more: &str) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let zone =
        "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n$GENERATE 1-2000 h$ A 192.0.2.2\n";
    ["example", "other"].iter().for_each(|name| fs::write(folder.path().join(name), zone).unwrap());
    let admin = free_port();
    let configuration = format!(
        "chaos: {{id: ns1}}\nzones:\n  - name: example.\n    file: example\n    transfer: {{allow: [{{address: 127.0.0.1}}]}}\n    \
         updates: [{{address: 127.0.0.1}}]\n  - {{name: other., file: other}}\n  - name: new.\n    \
         primary: {{addresses: 127.0.0.1, port: {}}}\n    transfer: {{allow: [{{address: 127.0.0.1}}]}}\n{more}",
        free_port()
    );
    let server = fairlead_at(folder.path(), free_port(), admin, &configuration, "example.");
    Node { server, admin, _folder: folder }
}

/// Every request that is handed off here: name, type, opcode, whether it can come by datagram, response code, extended
/// error, and whether EXPIRE is answered.
type Row = (&'static str, &'static str, u8, bool, u16, Option<u16>, bool);

const ROWS: [Row; 11] = [
    ("example.", "AXFR", 0, false, 0, None, true),
    ("example.", "IXFR", 0, true, 0, None, true),
    ("other.", "AXFR", 0, false, 5, Some(18), false),
    ("other.", "IXFR", 0, true, 5, Some(18), false),
    ("www.example.", "AXFR", 0, false, 9, Some(20), false),
    ("new.", "AXFR", 0, false, 2, Some(14), false),
    ("example.", "SOA", NOTIFY, true, 5, Some(18), false),
    ("elsewhere.", "SOA", NOTIFY, true, 9, Some(20), false),
    ("example.", "SOA", UPDATE, true, 0, None, false),
    ("other.", "SOA", UPDATE, true, 5, Some(18), false),
    ("elsewhere.", "SOA", UPDATE, true, 9, Some(20), false),
];

impl Node {
    /// Asks everything, by every transport it can come by, with this OPT record.
    fn ask_all(&self, opt: Option<&Opt>, check: impl Fn(&Row, bool, Told)) {
        for row in &ROWS {
            let (name, record_type, opcode, by_datagram, ..) = *row;
            for is_stream in [true, false].into_iter().filter(|is_stream| *is_stream || by_datagram) {
                let asked = Asked { opcode, opt: opt.cloned(), ..Asked::new(name, record_type) };
                let told = ask(self.server.address, &asked, is_stream);
                assert_eq!(told.rcode, row.4, "{row:?}: {told:?}");
                check(row, is_stream, told);
            }
        }
    }

    /// How often an extended error was counted, over both protocols.
    fn counted(&self, error: &str) -> f64 {
        let of = |protocol: &str| format!("fairlead_extended_errors_total{{protocol=\"{protocol}\",code=\"{error}\"}}");
        ["udp", "tcp"].iter().map(|protocol| metric(self.admin, &of(protocol))).sum()
    }
}

#[test]
fn they_carry_what_other_replies_carry() {
    let node = node("edns: {cookies: {secrets: e5e973e5a6b2a43f48e7dc849e37bfcf}}\n");
    let subnet = [0, 1, 24, 0, 192, 0, 2];
    let asks = [(NSID, &[][..]), (CLIENT_SUBNET, &subnet), (EXPIRE, &[]), (COOKIE, b"client01"), (KEEPALIVE, &[])];
    let opt = asks.iter().fold(Opt::of_size(1232), |opt, (code, data)| opt.with(*code, data));
    node.ask_all(Some(&opt), |row, is_stream, told| {
        let (.., error, has_expire) = *row;
        assert_eq!(told.option(NSID), Some(&b"ns1"[..]), "{row:?}");
        assert_eq!(told.option(CLIENT_SUBNET), Some(&subnet[..]), "{row:?}");
        assert!(told.option(COOKIE).is_some_and(|cookie| cookie.len() == 24), "{row:?}");
        assert_eq!(told.option(KEEPALIVE), is_stream.then_some(&[0, 100][..]), "{row:?}");
        assert_eq!(told.option(EXPIRE), has_expire.then_some(&86_400_u32.to_be_bytes()[..]), "{row:?}");
        let found = told.option(EXTENDED_ERROR).map(|data| u16::from_be_bytes([data[0], data[1]]));
        assert_eq!(found, error, "{row:?}");
    });
    // A transfer that is allowed counts none.
    let expected =
        |code| ROWS.iter().filter(|row| row.5 == Some(code)).map(|row| 1.0 + f64::from(u8::from(row.3))).sum::<f64>();
    let counted = [node.counted("prohibited"), node.counted("not_authoritative"), node.counted("not_ready")];
    assert_eq!(counted, [expected(18), expected(20), expected(14)]);
}

#[test]
fn rfc5936_2_2_5_of_several_messages_the_first_has_them() {
    let node = node("");
    let asked = Asked::new("example.", "AXFR").with_opt(Opt::of_size(1232).with(NSID, &[]).with(EXPIRE, &[]));
    let mut stream = TcpStream::connect(node.server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let packet = asked.packet(7);
    stream.write_all(&[&u16::try_from(packet.len()).unwrap().to_be_bytes(), &packet[..]].concat()).unwrap();
    let mut message = || {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).unwrap();
        Told::read(&message)
    };
    let (first, second) = (message(), message());
    assert_eq!(first.opt.unwrap().options.len(), 2);
    assert_eq!(second.opt, Some(Opt::of_size(1232)));
    assert_eq!(second.records[0].last().unwrap().1, 6, "the closing SOA");
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let node = node("edns: {extended_errors: false}\n");
    node.ask_all(None, |row, _, told| assert_eq!(told.opt, None, "{row:?}"));
    node.ask_all(Some(&Opt::of_size(512)), |row, _, told| {
        assert_eq!(told.opt, Some(Opt::of_size(1232)), "{row:?}");
    });
    assert_eq!(node.counted("prohibited"), 0.0);
}
