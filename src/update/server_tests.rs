//! Receiving updates, with nobody who carries them out.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::server::{Job, Server};
use super::states::UpdateStates;
use crate::answer::{
    Access, Chaos, Limits, Settings, Snapshot, SyntheticZone, TransferLimits, Transfers, Unmatched, UpdateNames,
    UpdateRule, ZoneTransfer, ZoneUpdates,
};
use crate::listener::{HandedOff, Replies};
use crate::metrics::Metrics;
use crate::topology::Prefix;
use crate::transfer::Context;
use crate::wideip::Tables;
use crate::wire::{Name, RecordType};
use crate::zone::ZoneBuilder;

const HERE: &str = "127.0.0.1:5353";

/// A context with the zone `example.`, which every program on this host may change, and room for so many updates.
fn context(updates: usize) -> Context {
    let apex: Name = "example.".parse().unwrap();
    let mut zone = ZoneBuilder::new(&apex, 1);
    zone.add(&apex, RecordType::SOA, 60, &[0; 22]).unwrap();
    let address = Some(Prefix { address: "127.0.0.0".parse().unwrap(), length: 8 });
    let rule = UpdateRule {
        access: Access { address, key: None },
        names: UpdateNames::Zone,
        types: None,
        add: true,
        delete: true,
    };
    let policy = ZoneTransfer {
        updates: ZoneUpdates { rules: vec![rule], ..ZoneUpdates::default() },
        ..ZoneTransfer::default()
    };
    let settings = Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos::default(),
        synthetic_zone: SyntheticZone {
            name_servers: Vec::new(),
            contact: apex.clone(),
            ttl_seconds: 60,
            negative_ttl_seconds: 60,
        },
        keys: Arc::default(),
        transfers: Arc::new(Transfers::new([(apex.into(), policy)], TransferLimits::default())),
        limits: Limits { updates, ..Limits::default() },
        edns: Default::default(),
    };
    let snapshot = Snapshot::new(1, &[Arc::new(zone.finish())], Tables::empty(1), Arc::new(settings), 1);
    Context {
        states: crate::transfer::ZoneStates::default(),
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        metrics: Arc::new(Metrics::new("0", "test")),
        unix_seconds: Arc::new(|| 0),
    }
}

/// Hands an update off that deletes a name; the code it is answered with, if it is.
fn hand(server: &Server, source: &str) -> Option<u8> {
    let mut packet = vec![0, 1, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    packet.extend_from_slice(b"\x07example\0\0\x06\0\x01");
    packet.extend_from_slice(b"\x01a\x07example\0\0\xff\0\xff\0\0\0\0\0\0");
    let (send, mut replies) = mpsc::channel(1);
    let source: SocketAddr = source.parse().unwrap();
    let listener = "127.0.0.1:53".parse().unwrap();
    server.handle(HandedOff { packet, source, listener, idle: None, replies: Replies::Stream(send) }).unwrap();
    replies.try_recv().ok().map(|reply| reply[3] & 0xf)
}

#[test]
fn updates_wait_up_to_the_limit_and_who_may_not_ask_takes_no_place() {
    let (context, (send, mut jobs)) = (context(2), mpsc::channel::<Job>(10));
    let server = Server::new(context.clone(), UpdateStates::default(), send);
    let stranger = "192.0.2.1:5353";
    let found = [HERE, stranger, HERE, HERE, stranger].map(|source| hand(&server, source));
    assert_eq!(found, [None, Some(5), None, Some(2), Some(5)]);
    assert!(jobs.try_recv().is_ok());
    assert_eq!(hand(&server, HERE), None);
    let metrics = context.metrics.export().unwrap();
    for line in [
        "fairlead_limit_hits_total{limit=\"updates\"} 1",
        "fairlead_updates_total{result=\"limit\"} 1",
        "fairlead_updates_total{result=\"refused\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
