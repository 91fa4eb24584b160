//! What tests of this module share: a primary that says what a test makes it say, records, a world without a program.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::context::Context;
use super::states::ZoneStates;
use crate::answer::{
    Chaos, HistoryLimits, InboundLimits, Peer, Primary, Settings, Snapshot, SyntheticZone, TransferLimits, Transfers,
    Unmatched, ZoneTransfer,
};
use crate::metrics::Metrics;
use crate::wideip::Tables;
use crate::wire::{Keys, Name, RecordType};
use crate::zone::{Zone, rdata};

pub(super) const SEED: u64 = 1;
/// The wall clock of the tests.
pub(super) const NOW: u64 = 1_800_000_000;

pub(super) const LIMITS: InboundLimits = InboundLimits {
    records_max: 50,
    octets_max: 10_000,
    time_max: Duration::from_secs(20),
    wait_max: Duration::from_secs(10),
};

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A record of the zone `example.` in wire form, uncompressed.
pub(super) fn record(owner: &str, record_type: RecordType, text: &str) -> Vec<u8> {
    let rdata = rdata::from_text(record_type, text, &name("example.")).unwrap();
    let length = u16::try_from(rdata.len()).unwrap();
    let owner = name(owner);
    let fixed = [&record_type.0.to_be_bytes()[..], &[0, 1, 0, 0, 0, 60], &length.to_be_bytes()].concat();
    [owner.as_wire(), &fixed, &rdata].concat()
}

/// An SOA with timers of 100, 10 and 1000 seconds.
pub(super) fn soa(serial: u32) -> Vec<u8> {
    record("example.", RecordType::SOA, &format!("ns.example.net. h.example.net. {serial} 100 10 1000 60"))
}

pub(super) fn ns() -> Vec<u8> {
    record("example.", RecordType::NS, "ns.example.net.")
}

pub(super) fn a(owner: &str) -> Vec<u8> {
    record(owner, RecordType::A, "192.0.2.1")
}

/// Every record of a small zone as it is transferred.
pub(super) fn zone(serial: u32) -> Vec<Vec<u8>> {
    vec![soa(serial), ns(), a("www.example."), soa(serial)]
}

/// A reply to `query` with these records, its question repeated.
pub(super) fn reply(query: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let question = query[12..].iter().position(|octet| *octet == 0).unwrap() + 12 + 5;
    let count = u8::try_from(records.len()).unwrap();
    let header = [query[0], query[1], 0x84, 0, 0, 1, 0, count, 0, 0, 0, 0];
    [&header, &query[12..question], &records.concat()].concat()
}

/// A message without OPT, with one that tells for how long the zone may be served.
pub(super) fn with_expire(mut message: Vec<u8>, seconds: u32) -> Vec<u8> {
    message[11] += 1;
    message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 8, 0, 9, 0, 4]);
    message.extend(seconds.to_be_bytes());
    message
}

/// What a primary does with one query: it writes to the stream.
pub(super) type Turn = Box<dyn FnOnce(&[u8], &mut TcpStream) + Send>;

/// Sends these messages.
pub(super) fn send(stream: &mut TcpStream, messages: &[Vec<u8>]) {
    for message in messages {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        // The client may have seen enough.
        if stream.write_all(&[&length, &message[..]].concat()).is_err() {
            return;
        }
    }
}

/// A turn that answers with one message of these records.
pub(super) fn says(records: Vec<Vec<u8>>) -> Turn {
    Box::new(move |query, stream| send(stream, &[reply(query, &records)]))
}

/// Takes connections until every turn was taken, one query each. A paused clock goes on while nobody connects, and
/// stands while a connection is served.
pub(super) fn serve(listener: &TcpListener, turns: Vec<Turn>) -> tokio::task::JoinHandle<()> {
    let listener = listener.try_clone().unwrap();
    listener.set_nonblocking(true).unwrap();
    tokio::spawn(async move {
        let mut turns = VecDeque::from(turns);
        while !turns.is_empty() {
            let Ok((stream, _)) = listener.accept() else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            turns = tokio::task::spawn_blocking(move || take_turns(stream, turns)).await.unwrap();
        }
    })
}

/// Takes turns until the client leaves; gives those that are left.
fn take_turns(mut stream: TcpStream, mut turns: VecDeque<Turn>) -> VecDeque<Turn> {
    while let Some(turn) = turns.pop_front() {
        match read(&mut stream) {
            Some(query) if !is_closed(&mut stream) => turn(&query, &mut stream),
            _ => {
                turns.push_front(turn);
                break;
            }
        }
    }
    turns
}

/// Whether the client gave up while it waited.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    closed
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut query).ok()?;
    Some(query)
}

pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A zone `example.` that comes from there.
pub(super) fn primary(address: SocketAddr) -> Primary {
    Primary { servers: vec![Peer { address, key: None }], limits: LIMITS, member: None }
}

/// A world that serves these zones and has `policy` for `example.`.
pub(super) fn context(zones: &[Arc<Zone>], policy: ZoneTransfer, keys: Keys) -> Context {
    let history = HistoryLimits { changes: 100, records: 1000 };
    let limits = TransferLimits { outbound: 2, inbound: 2, outbound_time: Duration::from_secs(3600), history };
    let settings = Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos::default(),
        synthetic_zone: SyntheticZone {
            name_servers: Vec::new(),
            contact: Name::root(),
            ttl_seconds: 1,
            negative_ttl_seconds: 1,
        },
        keys: Arc::new(keys),
        limits: Default::default(),
        edns: Default::default(),
        transfers: Arc::new(Transfers::new([(name("example.").into(), policy)], limits)),
    };
    let snapshot = Snapshot::new(1, zones, Tables::empty(SEED), Arc::new(settings), SEED);
    Context {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        metrics: Arc::new(Metrics::new("0", "test")),
        states: ZoneStates::default(),
        unix_seconds: Arc::new(|| NOW),
    }
}

/// The value of a series as it is exported.
pub(super) fn metric(context: &Context, series: &str) -> u64 {
    let text = context.metrics.export().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("there is no {series} in\n{text}"))
}
