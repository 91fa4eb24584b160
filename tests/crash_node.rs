//! A node that is killed at random instants while updates come in, and at times while its zone file is written back:
//! after each start every acknowledged update is served, and none in part.
//!
//! How often: `FAIRLEAD_CRASHES` times, 60 by default.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "processes are killed after real time")]

mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fairlead::wire::tsig::Signer;
use fairlead::wire::{Algorithm, Key, Name};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name as HickoryName, RecordType as Type};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable};

use support::server::{Server, fairlead_at, free_port, start};

const SECRET: &[u8] = b"secret-secret-secret-secret";
/// Senders, each with names of its own, all of which one update changes.
const SENDERS: usize = 3;
const NAMES: usize = 8;

fn crashes() -> u32 {
    std::env::var("FAIRLEAD_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

fn owner(sender: usize, number: usize) -> String {
    format!("s{sender}h{number}.example.")
}

/// An update that makes `value` the only text at every name of a sender, signed.
fn update(sender: usize, value: u64, id: u16) -> Vec<u8> {
    let count = u16::try_from(2 * NAMES).unwrap();
    let mut packet = Vec::new();
    for number in [id, 5 << 11, 1, 0, count, 0] {
        packet.extend(number.to_be_bytes());
    }
    packet.extend(b"\x07example\0\x00\x06\x00\x01");
    for number in 0..NAMES {
        let owner: Name = owner(sender, number).parse().unwrap();
        let text = value.to_string();
        let length = u8::try_from(text.len()).unwrap();
        // All texts go (class ANY), then this one comes.
        packet.extend([owner.as_wire(), &[0, 16, 0, 255, 0, 0, 0, 0, 0, 0]].concat());
        packet.extend([owner.as_wire(), &[0, 16, 0, 1, 0, 0, 0, 60, 0, length + 1, length], text.as_bytes()].concat());
    }
    let key = Key::new(&"k.".parse().unwrap(), Algorithm::HmacSha256, SECRET);
    let mut signer = Signer::request(Arc::new(key));
    let length = packet.len();
    packet.resize(length + signer.octets(), 0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let signed = signer.sign(&mut packet, length, now).unwrap();
    packet.truncate(signed);
    packet
}

/// Sends one update; the code of the reply, or none when there is no reply in time.
fn exchange(server: SocketAddr, sender: usize, value: u64, patience: Duration) -> Option<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    let id = getrandom::u32().unwrap().to_be_bytes();
    let id = u16::from_be_bytes([id[0], id[1]]);
    socket.send(&update(sender, value, id)).ok()?;
    let mut reply = [0; 512];
    socket.recv(&mut reply).ok()?;
    assert_eq!(reply[..2], id.to_be_bytes());
    Some(reply[3] & 15)
}

/// Sends one update after the other until the node is gone; leaves the last acknowledged value in `acknowledged`.
fn send(server: SocketAddr, sender: usize, acknowledged: &AtomicU64) {
    loop {
        let value = acknowledged.load(Ordering::SeqCst) + 1;
        let Some(code) = exchange(server, sender, value, Duration::from_millis(150)) else { return };
        assert_eq!(code, 0, "an update was refused");
        acknowledged.store(value, Ordering::SeqCst);
    }
}

fn texts(server: SocketAddr, name: &str) -> Vec<String> {
    let mut message = Message::query();
    message.add_query(Query::query(HickoryName::from_ascii(name).unwrap(), Type::TXT));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&message.to_bytes().unwrap(), server).unwrap();
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply).unwrap();
    let reply = Message::from_bytes(&reply[..length]).unwrap();
    reply.answers.iter().map(|record| record.data.to_string()).collect()
}

/// The value that all names of a sender have.
#[track_caller]
fn value(server: SocketAddr, sender: usize) -> u64 {
    let values: Vec<Vec<String>> = (0..NAMES).map(|number| texts(server, &owner(sender, number))).collect();
    assert!(values.iter().all(|value| *value == values[0] && value.len() == 1), "half an update: {values:?}");
    values[0][0].parse().unwrap()
}

fn node(folder: &Path) -> Server {
    let secret = data_encoding::BASE64.encode(SECRET);
    let configuration = format!(
        "keys: {{k: {{secret: {secret}}}}}\nzones:\n  - {{name: example., file: example.zone, updates: [{{key: k}}]}}\n"
    );
    fairlead_at(folder, free_port(), free_port(), &configuration, "example.")
}

/// Writes the zone that the senders change.
fn write_zone(folder: &Path) {
    let hosts: String = (0..SENDERS)
        .flat_map(|sender| (0..NAMES).map(move |number| format!("{} TXT 0\n", owner(sender, number))))
        .collect();
    let zone = format!("$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n{hosts}");
    fs::write(folder.join("example.zone"), zone).unwrap();
}

#[test]
fn a_full_disk_refuses_updates_and_the_zone_is_served_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_zone(folder);
    // For its configuration.
    let port = node(folder).address.port();
    let mut command = Command::new("bash");
    let script = "trap '' XFSZ; ulimit -S -f 16; exec \"$0\" serve -c \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_fairlead")]).arg(folder.join("fairlead.yaml"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let server = start(&mut command, port, &folder.join("fairlead.log"), "example.");
    let mut kept = 0;
    let refusal = loop {
        let code = exchange(server.address, 0, kept + 1, Duration::from_secs(5)).unwrap();
        if code != 0 {
            break code;
        }
        kept += 1;
        assert!(kept < 1000, "the disk did not fill up");
    };
    assert_eq!(refusal, 2, "SERVFAIL");
    assert_eq!(exchange(server.address, 0, kept + 1, Duration::from_secs(5)), Some(2));
    assert!(kept > 5 && value(server.address, 0) == kept, "the zone is served as it was acknowledged");
    drop(server);
    let server = node(folder);
    assert_eq!(value(server.address, 0), kept, "what was refused is not there");
    assert_eq!(exchange(server.address, 0, kept + 1, Duration::from_secs(5)), Some(0));
}

#[test]
fn no_acknowledged_update_is_lost_and_none_is_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_zone(folder);
    let acknowledged: [AtomicU64; SENDERS] = Default::default();
    for round in 0..crashes() {
        let mut server = node(folder);
        for (sender, acknowledged) in acknowledged.iter().enumerate() {
            let (there, told) = (value(server.address, sender), acknowledged.load(Ordering::SeqCst));
            assert!(there >= told, "round {round}: sender {sender} is at {there}, and {told} was acknowledged");
            assert!(there <= told + 1, "round {round}: sender {sender} is at {there}, far ahead of {told}");
            acknowledged.store(there, Ordering::SeqCst);
        }
        let address = server.address;
        std::thread::scope(|scope| {
            for (sender, acknowledged) in acknowledged.iter().enumerate() {
                scope.spawn(move || send(address, sender, acknowledged));
            }
            let pause = || std::thread::sleep(Duration::from_micros(u64::from(getrandom::u32().unwrap() % 60_000)));
            pause();
            let flush = round.is_multiple_of(3).then(|| {
                let mut flush = Command::new(env!("CARGO_BIN_EXE_fairlead"));
                flush.args(["zone", "flush", "example.", "--control"]).arg(folder.join("control.sock"));
                let flush = flush.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                pause();
                flush.unwrap()
            });
            server.child.kill().unwrap();
            server.child.wait().unwrap();
            if let Some(mut flush) = flush {
                flush.wait().unwrap();
            }
        });
    }
    let total: u64 = acknowledged.iter().map(|one| one.load(Ordering::SeqCst)).sum();
    println!("{total} updates acknowledged over {} kills", crashes());
    assert!(total > u64::from(crashes()), "the kills came too early to show anything: {total} acknowledged");
}
