//! Looking ahead: the packets of a batch are read together, and reached for is what their answers will read.
//!
//! An answer from large data is a chain of places in memory, each known from the one before, and the processor waits for
//! each that is in no cache. The answers of one batch do not depend on each other. So the first places of all of them are
//! read before the second ones, and the waits overlap. What is read that way is thrown away: an answer is the same with
//! and without it.

use std::hint::black_box;

use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::wire::{NameKey, Query, Refusal};
use crate::zone::NAMES_AHEAD;

/// The most packets looked at together.
pub const AHEAD_MAX: usize = NAMES_AHEAD;

/// What was read of one packet; read in place, because moving it costs more than reading it. On cache lines of its own, two
/// at a time as processors fetch them, so that no other thread's worker writes beside it.
#[repr(align(128))]
pub(super) struct Asked {
    pub(super) query: Query,
    /// The name asked for.
    pub(super) question: NameKey,
    /// Why it is not answered from data.
    pub(super) refusal: Option<Refusal>,
}

impl Asked {
    pub(super) const fn nothing() -> Self {
        Self { query: Query::empty(), question: NameKey::root(0), refusal: None }
    }

    #[inline]
    pub(super) fn read(&mut self, packet: &[u8], seed: u64) {
        self.refusal = self.query.read(packet, &mut self.question, seed).err();
    }
}

/// Reads up to [`AHEAD_MAX`] packets and reaches for what their answers will read. They keep their places: tell each with
/// [`Worker::turn_to`] before it is answered.
pub fn look_ahead<'p>(snapshot: &Snapshot, worker: &mut Worker, packets: impl Iterator<Item = &'p [u8]>) {
    worker.ahead = 0;
    let mut count = 0;
    for (asked, packet) in worker.asked.iter_mut().zip(packets) {
        asked.read(packet, snapshot.seed);
        count += 1;
    }
    worker.ahead = count;
    // One alone has nothing to overlap with. Which of several views a query is for is not known yet.
    if count < 2 || snapshot.selector().is_some() {
        return;
    }
    let view = snapshot.first_view();
    let keys = worker.asked.iter().take(count).map(|asked| &asked.question);
    let (of_wide_ips, steered) = snapshot.wide_ips.look_ahead(view.id, keys.clone(), &worker.memory);
    let unsteered = keys.zip(0..).filter(|(_, place)| steered >> place & 1 == 0).map(|(key, _)| key);
    black_box(of_wide_ips ^ view.zones.look_ahead(unsteered));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{name, query, settings};
    use super::super::{Transport, Unmatched, Worker, prepare_zones, respond};
    use super::*;
    use crate::wideip::fixture::{SEED, World, pool, wide_ip};
    use crate::wire::RecordType;
    use crate::zone::ZoneBuilder;

    /// More names and wide IPs than are thought small.
    const MANY: u32 = 5000;

    fn large() -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        let mut add = |owner: &str, record_type, rdata: &[u8]| {
            builder.add(&name(owner), record_type, 3600, rdata).unwrap();
        };
        let soa = [name("ns.example.").as_wire(), name("dns.example.").as_wire(), &[0; 20]].concat();
        add("example.", RecordType::SOA, &soa);
        for at in 0..MANY {
            add(&format!("h{at}.example."), RecordType::A, &at.to_be_bytes());
        }
        add("alias.example.", RecordType::CNAME, name("h7.example.").as_wire());
        add("cut.example.", RecordType::NS, name("h1.example.").as_wire());
        let names: Vec<String> = (0..MANY).map(|at| format!("w{at}.example.")).collect();
        let wide_ips = names.iter().zip(0..).map(|(name, at)| wide_ip(name, &[at])).collect();
        let pools = (0..MANY).map(|at| pool(&format!("p{at}"), "a b y")).collect();
        let mut world = World::new(pools, wide_ips);
        world.up("aby");
        let settings = Arc::new(settings(Unmatched::NxDomain));
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let zones = prepare_zones(vec![Arc::new(builder.finish())], &names, &settings.synthetic_zone, SEED);
        Snapshot::new(1, &zones, world.tables, settings, SEED)
    }

    fn answer(snapshot: &Snapshot, worker: &mut Worker, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 1500];
        let source = "192.0.2.9:5353".parse().unwrap();
        let length = respond(snapshot, worker, packet, source, Transport::Udp, &mut out).length;
        out.truncate(length);
        out
    }

    /// Questions for what is there, for what is not, and for what is none at all; no two neighbours alike.
    fn packets() -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for at in 0..200 {
            let ask = |owner: String| query(&owner, RecordType::A, 1, &[]);
            packets.push(ask(format!("h{}.example.", at * 23)));
            packets.push(ask(format!("W{}.example.", at * 19)));
            packets.push(ask(format!("missing{at}.example.")));
            packets.push(ask(format!("x{at}.cut.example.")));
            packets.push(ask("alias.example.".to_owned()));
            packets.push(ask(format!("elsewhere{at}.")));
            let mut broken = ask(format!("h{at}.example."));
            broken[2] = u8::try_from(at).unwrap();
            broken.truncate(40 - at % 40);
            packets.push(broken);
        }
        for (packet, id) in packets.iter_mut().zip(0_u16..) {
            let length = packet.len().min(2);
            packet[..length].copy_from_slice(&id.to_be_bytes()[..length]);
        }
        packets
    }

    #[test]
    fn answers_are_the_same_with_and_without_looking_ahead() {
        let (snapshot, packets) = (large(), packets());
        let mut plain = Worker::new(1);
        let expected: Vec<Vec<u8>> = packets.iter().map(|packet| answer(&snapshot, &mut plain, packet)).collect();
        assert!(expected.iter().any(|reply| reply.ends_with(&23_u32.to_be_bytes())), "h23 was asked for");
        for size in 1..=AHEAD_MAX + 1 {
            let mut worker = Worker::new(1);
            for (group, expected) in packets.chunks(size).zip(expected.chunks(size)) {
                look_ahead(&snapshot, &mut worker, group.iter().map(|packet| &packet[..]));
                for (place, (packet, expected)) in group.iter().zip(expected).enumerate() {
                    worker.turn_to(place);
                    assert_eq!(answer(&snapshot, &mut worker, packet), *expected, "{size} at a time");
                }
            }
        }
    }

    #[test]
    fn what_was_read_ahead_answers_no_other_packet() {
        let (snapshot, packets) = (large(), packets());
        let [first, second, third, ..] = &packets[..] else { panic!("there are more packets") };
        let expected = |packet| answer(&snapshot, &mut Worker::new(1), packet);
        let mut worker = Worker::new(1);
        look_ahead(&snapshot, &mut worker, [&first[..], &second[..]].into_iter());
        // One that was not looked at, and then one whose place it took.
        assert_eq!(answer(&snapshot, &mut worker, third), expected(third));
        worker.turn_to(0);
        assert_eq!(answer(&snapshot, &mut worker, first), expected(first));
        // Places of an earlier, larger group.
        look_ahead(&snapshot, &mut worker, [&first[..], &second[..]].into_iter());
        look_ahead(&snapshot, &mut worker, [&second[..]].into_iter());
        worker.turn_to(1);
        assert_eq!(answer(&snapshot, &mut worker, third), expected(third));
    }
}
