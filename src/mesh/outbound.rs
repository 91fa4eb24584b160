//! The agent's half of a session: reports become the fewest frames that bring a DNS node up to date.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message;

use super::frame::{ELEMENTS_MAX, FRAME_LENGTH_MAX, STRING_LENGTH_MAX, VIRTUAL_SERVERS_MAX};
use super::proto::{self, Body, Change, Inventory, Measures, VirtualServer, VirtualServerMeasures};
use super::report::{Host, Report, VirtualServerReport};
use super::words;
use crate::status::{Availability, Measurements};

/// The most octets a list fills of a frame; the rest is for the other fields.
const LIST_LENGTH_MAX: usize = FRAME_LENGTH_MAX - 2 * STRING_LENGTH_MAX - 256;

/// The sequence of a process's reports; all sessions draw from one, so that it grows across them.
#[derive(Debug, Clone, Default)]
pub struct Sequence(Arc<AtomicU64>);

impl Sequence {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// What one DNS node was told, and the frames that tell it more.
#[derive(Debug)]
pub(super) struct Outbound {
    /// The server reported for.
    server: Arc<str>,
    /// This process.
    boot_id: u64,
    /// Numbers every report frame.
    sequence: Sequence,
    /// The report whose availabilities and reasons the DNS node has; none before the first list.
    told: Option<Arc<Report>>,
    /// The newest report; its measurements are sent next. None before the agent has looked once: an empty list would
    /// say that every virtual server is gone.
    newest: Option<Arc<Report>>,
}

impl Outbound {
    /// The state before anything was told.
    pub(super) fn new(server: Arc<str>, boot_id: u64, sequence: Sequence, report: Option<Arc<Report>>) -> Self {
        Self { server, boot_id, sequence, told: None, newest: report }
    }

    /// Takes note of a newer report.
    pub(super) fn update(&mut self, report: Arc<Report>) {
        self.newest = Some(report);
    }

    /// What the DNS node does not know: everything at first and when virtual servers came or went, in parts; else what
    /// changed in availability or reason; nothing before the agent has looked.
    pub(super) fn changes(&mut self) -> Vec<Body> {
        let Some(newest) = self.newest.clone() else {
            return Vec::new();
        };
        let told = self.told.replace(Arc::clone(&newest));
        match told.and_then(|told| differences(&told, &newest)) {
            None => self.inventory(&newest),
            Some(changed) if changed.is_empty() => Vec::new(),
            Some(changed) => split(changed).into_iter().map(|virtual_servers| self.change(virtual_servers)).collect(),
        }
    }

    fn inventory(&self, report: &Report) -> Vec<Body> {
        let lists = split(sendable(report).map(written).collect());
        let parts = u32::try_from(lists.len()).unwrap_or(u32::MAX);
        let frame = |(part, virtual_servers)| {
            Body::Inventory(Inventory {
                boot_id: self.boot_id,
                sequence: self.sequence.next(),
                server: self.server.as_ref().to_owned(),
                part,
                parts,
                virtual_servers,
                host: Some(written_host(&report.host)),
            })
        };
        (0..).zip(lists).map(frame).collect()
    }

    fn change(&self, virtual_servers: Vec<VirtualServer>) -> Body {
        let (boot_id, sequence) = (self.boot_id, self.sequence.next());
        Body::Change(Change { boot_id, sequence, server: self.server.as_ref().to_owned(), virtual_servers })
    }

    /// The measurements of everything that was told.
    pub(super) fn measures(&self) -> Vec<Body> {
        let (Some(told), Some(newest)) = (&self.told, &self.newest) else {
            return Vec::new();
        };
        let told: HashSet<&str> = told.virtual_servers.iter().map(|known| &*known.name).collect();
        let elements = sendable(newest).filter(|found| told.contains(&*found.name)).map(|found| {
            let measurements = Some(written_measurements(&found.verdict.measurements));
            VirtualServerMeasures { name: found.name.as_ref().to_owned(), measurements }
        });
        let frame = |virtual_servers| {
            Body::Measures(Measures {
                boot_id: self.boot_id,
                sequence: self.sequence.next(),
                server: self.server.as_ref().to_owned(),
                virtual_servers,
                host: Some(written_host(&newest.host)),
            })
        };
        split(elements.collect()).into_iter().map(frame).collect()
    }
}

/// Those whose availability or reason differs; `None` when virtual servers came, went or moved.
fn differences(told: &Arc<Report>, newest: &Arc<Report>) -> Option<Vec<VirtualServer>> {
    if Arc::ptr_eq(told, newest) {
        return Some(Vec::new());
    }
    let known: HashMap<&str, &VirtualServerReport> = sendable(told).map(|known| (&*known.name, known)).collect();
    let mut count = 0;
    let mut changed = Vec::new();
    for found in sendable(newest) {
        count += 1;
        let known = known.get(&*found.name).filter(|known| known.address == found.address)?;
        let (before, after) = (&known.verdict, &found.verdict);
        if before.availability != after.availability || before.reason != after.reason {
            changed.push(written(found));
        }
    }
    (count == known.len()).then_some(changed)
}

/// How many virtual servers of a report cannot be sent: beyond the limit, named twice or unusably.
pub(super) fn unsendable(report: &Report) -> usize {
    report.virtual_servers.len() - sendable(report).count()
}

/// The virtual servers of a report that can be sent.
fn sendable(report: &Report) -> impl Iterator<Item = &VirtualServerReport> {
    let mut seen = HashSet::new();
    report
        .virtual_servers
        .iter()
        .filter(move |found| is_usable_name(&found.name) && seen.insert(&*found.name))
        .take(VIRTUAL_SERVERS_MAX)
}

/// Whether a virtual server's name can travel: 1–1024 octets without control characters.
pub(super) fn is_usable_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= STRING_LENGTH_MAX && !name.chars().any(char::is_control)
}

/// Cuts a list into frames by count and by length; at least one, so that an empty list is said too.
fn split<M: Message>(elements: Vec<M>) -> Vec<Vec<M>> {
    let mut lists = vec![Vec::new()];
    let mut length = 0;
    for element in elements {
        // A field of a list costs its key and its length besides its octets.
        let cost = element.encoded_len() + 6;
        let full = |list: &Vec<M>| list.len() >= ELEMENTS_MAX || length + cost > LIST_LENGTH_MAX;
        if lists.last().is_some_and(full) {
            lists.push(Vec::new());
            length = 0;
        }
        length += cost;
        if let Some(list) = lists.last_mut() {
            list.push(element);
        }
    }
    lists
}

fn written(found: &VirtualServerReport) -> VirtualServer {
    let address = match found.address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let availability = match found.verdict.availability {
        Availability::Available => proto::Availability::Available,
        Availability::Unavailable => proto::Availability::Unavailable,
        Availability::Offline => proto::Availability::Offline,
        Availability::Unknown => proto::Availability::Unknown,
    };
    VirtualServer {
        name: found.name.as_ref().to_owned(),
        address,
        port: u32::from(found.address.port()),
        availability: availability.into(),
        reason: words::truncated(&found.verdict.reason, STRING_LENGTH_MAX).to_owned(),
        measurements: Some(written_measurements(&found.verdict.measurements)),
    }
}

fn written_measurements(measured: &Measurements) -> proto::Measurements {
    proto::Measurements {
        members_up: measured.members_up,
        members_total: measured.members_total,
        connections: measured.connections,
        connection_rate: measured.connection_rate,
        bits_in: measured.bits_in,
        bits_out: measured.bits_out,
        packets_in: measured.packets_in,
        packets_out: measured.packets_out,
        queue: measured.queue,
    }
}

fn written_host(host: &Host) -> proto::Host {
    proto::Host { cpu_percent: host.cpu_percent, memory_free_bytes: host.memory_free_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::frame;
    use crate::status::Verdict;

    fn virtual_server(name: &str, availability: Availability, reason: &str) -> VirtualServerReport {
        let measurements = Measurements { connections: Some(1), ..Measurements::default() };
        let verdict = Verdict { availability, reason: reason.into(), measurements };
        VirtualServerReport { name: name.into(), address: "192.0.2.1:80".parse().unwrap(), verdict }
    }

    fn report(virtual_servers: Vec<VirtualServerReport>) -> Arc<Report> {
        Arc::new(Report { virtual_servers, host: Host::default() })
    }

    fn kinds(bodies: &[Body]) -> Vec<(&'static str, usize)> {
        let kind = |body: &Body| match body {
            Body::Inventory(list) => ("inventory", list.virtual_servers.len()),
            Body::Change(list) => ("change", list.virtual_servers.len()),
            Body::Measures(list) => ("measures", list.virtual_servers.len()),
            other => panic!("{other:?} is no report"),
        };
        bodies.iter().map(kind).collect()
    }

    #[test]
    fn only_what_differs_is_sent() {
        use Availability::{Available, Offline};
        let mut outbound = Outbound::new("ny".into(), 1, Sequence::default(), None);
        assert!(outbound.changes().is_empty() && outbound.measures().is_empty(), "nothing before the first look");
        let mut check = |virtual_servers: Vec<VirtualServerReport>, expected: &[(&str, usize)]| {
            outbound.update(report(virtual_servers));
            assert_eq!(kinds(&outbound.changes()), expected);
        };
        let (a, b) = (virtual_server("a", Available, ""), virtual_server("b", Available, ""));
        check(vec![a.clone(), b.clone()], &[("inventory", 2)]);
        check(vec![b.clone(), a.clone()], &[]);
        check(vec![virtual_server("a", Offline, "refused"), b.clone()], &[("change", 1)]);
        check(vec![virtual_server("a", Offline, "timed out"), b.clone()], &[("change", 1)]);
        let mut busy = virtual_server("a", Offline, "timed out");
        busy.verdict.measurements.connections = Some(9);
        check(vec![busy, b.clone()], &[]);
        check(vec![b.clone()], &[("inventory", 1)]);
        check(vec![VirtualServerReport { address: "[2001:db8::1]:80".parse().unwrap(), ..b }], &[("inventory", 1)]);
        check(vec![], &[("inventory", 0)]);
        assert_eq!(kinds(&outbound.measures()), [("measures", 0)]);
    }

    #[test]
    fn sequences_grow_over_all_sessions_of_a_process() {
        let sequence = Sequence::default();
        let mut first = Outbound::new("ny".into(), 1, sequence.clone(), Some(report(vec![])));
        let mut second = Outbound::new("ny".into(), 1, sequence, Some(report(vec![])));
        let of = |bodies: Vec<Body>| match bodies.as_slice() {
            [Body::Inventory(list)] => list.sequence,
            other => panic!("{other:?}"),
        };
        assert_eq!([of(first.changes()), of(second.changes())], [1, 2]);
        first.update(report(vec![virtual_server("a", Availability::Available, "")]));
        assert_eq!(of(first.changes()), 3);
    }

    #[test]
    fn the_longest_inventory_fits_in_its_frames() {
        // A sixteenth of it, as strings of the longest kind take their time.
        let count = VIRTUAL_SERVERS_MAX / 16;
        let long = "r".repeat(3_000);
        let name = |index: usize| format!("{index:0width$}", width = STRING_LENGTH_MAX);
        let all = (0..count).map(|index| virtual_server(&name(index), Availability::Offline, &long));
        let mut outbound = Outbound::new("ny".into(), u64::MAX, Sequence::default(), Some(report(all.collect())));
        let bodies = outbound.changes();
        assert!(bodies.len() > 1 && bodies.len() * 16 <= frame::PARTS_MAX as usize, "{} parts", bodies.len());
        assert_eq!(kinds(&bodies).iter().map(|(_, sent)| sent).sum::<usize>(), count);
        assert!(bodies.into_iter().all(|body| frame::encode(body).is_ok()));
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_sent() {
        let all =
            (0..VIRTUAL_SERVERS_MAX + 10).map(|index| virtual_server(&index.to_string(), Availability::Offline, ""));
        let full = report(all.collect());
        assert_eq!(unsendable(&full), 10);
        let bodies = Outbound::new("ny".into(), 1, Sequence::default(), Some(full)).changes();
        assert_eq!(kinds(&bodies), [("inventory", frame::ELEMENTS_MAX); 4]);
    }

    #[test]
    fn names_that_cannot_travel_are_left_out() {
        let names = ["", "a", "a", "b\n", &"x".repeat(STRING_LENGTH_MAX + 1)];
        let all = names.map(|name| virtual_server(name, Availability::Available, "")).to_vec();
        assert_eq!(unsendable(&report(all)), 4);
    }
}
