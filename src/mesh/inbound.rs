//! The DNS node's half of a session: a peer's frames become facts, or are refused and counted.
//!
//! | report | taken when |
//! |---|---|
//! | of another server, or node, than the peer's certificate names | never |
//! | of another boot id than the session's `Hello` | never: a new process needs a new session |
//! | with a sequence not above the last one of that boot id | never, in whatever session it comes |
//! | changes or measurements before the first full list | never |
//! | of a DNS node, on a name that is not `server/virtual-server` | never |
//! | anything else | at once; a list in parts when its last part is there |
//!
//! An agent speaks for its own server. A DNS node gives the verdicts of its own monitors, one vote each: it lists
//! nothing and measures nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::error::LinkError;
use super::frame::{PARTS_MAX, VIRTUAL_SERVERS_MAX};
use super::identity::{Identity, Role};
use super::outbound::is_usable_name;
use super::proto::{self, Change, Inventory, Measures, VirtualServer};
use super::report::Host;
use super::words;
use crate::status::{Availability, Discovered, Fact, Measurements, Moment, Source, Verdict};

/// How many replaced processes of an agent are remembered.
const RETIRED_MAX: usize = 16;

/// How far an agent's reports were taken; outlives sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The agent's process and the last sequence taken from it.
    last: Option<(u64, u64)>,
    /// Processes that a newer one replaced; their reports are never taken again.
    retired: Vec<u64>,
}

impl Progress {
    /// Begins a session of the process `boot_id`.
    fn begin(&mut self, boot_id: u64) -> Result<(), LinkError> {
        if self.retired.contains(&boot_id) {
            return Err(LinkError::OldBoot(boot_id));
        }
        match self.last {
            Some((known, _)) if known == boot_id => {}
            Some((replaced, _)) => {
                if self.retired.len() >= RETIRED_MAX {
                    self.retired.remove(0);
                }
                self.retired.push(replaced);
                self.last = Some((boot_id, 0));
            }
            None => self.last = Some((boot_id, 0)),
        }
        Ok(())
    }
}

/// Why one frame, or one entry of it, was not taken while the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameRefusal {
    /// It speaks for another server than the agent's certificate names.
    OtherServer,
    /// It is of another process than the one that said `Hello`.
    OtherBoot,
    /// It is not newer than what was taken before.
    OldSequence,
    /// It is of a kind that is not known here.
    UnknownKind,
    /// An entry has no usable name or address, is named twice, or was not in the full list.
    BadEntry,
}

impl FrameRefusal {
    /// The metric's word for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::OtherServer => "other_server",
            Self::OtherBoot => "other_boot",
            Self::OldSequence => "old_sequence",
            Self::UnknownKind => "unknown_kind",
            Self::BadEntry => "bad_entry",
        }
    }
}

/// What a report came to.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What the publisher is to be told, in this order.
    pub(super) facts: Vec<Fact>,
    /// What was not taken.
    pub(super) refused: Vec<FrameRefusal>,
}

/// The last word on one virtual server, to be repeated with new measurements.
#[derive(Debug, Clone)]
struct Known {
    /// The server and the virtual server it is of.
    subject: (Arc<str>, Arc<str>),
    availability: Availability,
    reason: Arc<str>,
    measurements: Measurements,
}

/// The parts of a full list that have come.
#[derive(Debug)]
struct Assembly {
    parts: u32,
    next: u32,
    virtual_servers: Vec<VirtualServer>,
}

/// What one session has brought so far.
#[derive(Debug)]
pub(super) struct Inbound {
    /// The server the agent may speak for, or the DNS node itself.
    server: Arc<str>,
    /// In what capacity it speaks.
    source: Source,
    /// How far its reports were taken, in this session and those before.
    progress: Progress,
    /// The virtual servers of the last full list; none before it.
    known: Option<HashMap<Arc<str>, Known>>,
    /// A full list that is coming in parts.
    assembly: Option<Assembly>,
    /// The load of the agent's machine.
    host: Host,
}

/// The head that all reports share.
struct Head<'a> {
    boot_id: u64,
    sequence: u64,
    server: &'a str,
}

impl Inbound {
    /// The state before `Hello`.
    pub(super) fn new(remote: &Identity, progress: Progress) -> Self {
        let source = match remote.role {
            Role::Lb => Source::Agent,
            Role::Dns => Source::Peer(Arc::clone(&remote.name)),
        };
        Self { server: Arc::clone(&remote.name), source, progress, known: None, assembly: None, host: Host::default() }
    }

    /// The agent said `Hello` as the process `boot_id`.
    pub(super) fn begin(&mut self, boot_id: u64) -> Result<(), LinkError> {
        self.progress.begin(boot_id)
    }

    /// How far reports were taken, for the next session.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes a full list or a part of one.
    pub(super) fn inventory(&mut self, list: Inventory, now: Moment) -> Result<Taken, LinkError> {
        let head = Head { boot_id: list.boot_id, sequence: list.sequence, server: &list.server };
        if let Err(refusal) = self.admit(&head) {
            return Ok(Taken::refused(refusal));
        }
        let mut assembly = match self.assembly.take() {
            Some(assembly) if assembly.parts == list.parts && assembly.next == list.part => assembly,
            Some(_) => return Err(LinkError::Violation("the parts of a list do not follow each other")),
            None if list.part != 0 => return Err(LinkError::Violation("a list does not begin with its first part")),
            None if list.parts == 0 || list.parts > PARTS_MAX => {
                return Err(LinkError::Violation("a list has no parts or too many"));
            }
            None => Assembly { parts: list.parts, next: 0, virtual_servers: Vec::new() },
        };
        assembly.next += 1;
        if assembly.virtual_servers.len() + list.virtual_servers.len() > VIRTUAL_SERVERS_MAX {
            return Err(LinkError::TooManyVirtualServers);
        }
        assembly.virtual_servers.extend(list.virtual_servers);
        self.host = read_host(list.host);
        if assembly.next < assembly.parts {
            self.assembly = Some(assembly);
            return Ok(Taken::default());
        }
        Ok(self.replace(assembly.virtual_servers, now))
    }

    /// A full list is complete: it replaces what was known.
    fn replace(&mut self, virtual_servers: Vec<VirtualServer>, now: Moment) -> Taken {
        let mut taken = Taken::default();
        let mut known = HashMap::with_capacity(virtual_servers.len());
        let mut discovered = Vec::with_capacity(virtual_servers.len());
        let mut verdicts = Vec::with_capacity(virtual_servers.len());
        for found in virtual_servers {
            let (Some(address), true) = (read_address(&found), is_usable_name(&found.name)) else {
                taken.refused.push(FrameRefusal::BadEntry);
                continue;
            };
            if known.contains_key(found.name.as_str()) {
                taken.refused.push(FrameRefusal::BadEntry);
                continue;
            }
            let name: Arc<str> = found.name.as_str().into();
            let Some(subject) = self.subject(&name) else {
                taken.refused.push(FrameRefusal::BadEntry);
                continue;
            };
            let word = read_word(subject, &found);
            verdicts.push(verdict(&self.source, self.host, &word, now));
            discovered.push(Discovered { name: Arc::clone(&name), address });
            known.insert(name, word);
        }
        self.known = Some(known);
        // What a DNS node does not probe may be there all the same.
        if self.source == Source::Agent {
            let server = Arc::clone(&self.server);
            taken.facts.push(Fact::Inventory { server, virtual_servers: discovered, at: now });
        }
        taken.facts.extend(verdicts);
        taken
    }

    /// The server and virtual server that the peer means by `name`; none when it may not speak of such.
    fn subject(&self, name: &Arc<str>) -> Option<(Arc<str>, Arc<str>)> {
        if self.source == Source::Agent {
            return Some((Arc::clone(&self.server), Arc::clone(name)));
        }
        let (server, virtual_server) = name.split_once('/')?;
        (!server.is_empty() && !virtual_server.is_empty()).then(|| (server.into(), virtual_server.into()))
    }

    /// Takes status changes.
    pub(super) fn change(&mut self, change: Change, now: Moment) -> Result<Taken, LinkError> {
        let head = Head { boot_id: change.boot_id, sequence: change.sequence, server: &change.server };
        let mut taken = match self.admit_between_lists(&head)? {
            Some(refusal) => return Ok(Taken::refused(refusal)),
            None => Taken::default(),
        };
        for found in change.virtual_servers {
            match self.known.as_mut().and_then(|known| known.get_mut(found.name.as_str())) {
                Some(known) => {
                    *known = read_word(known.subject.clone(), &found);
                    taken.facts.push(verdict(&self.source, self.host, known, now));
                }
                None => taken.refused.push(FrameRefusal::BadEntry),
            }
        }
        Ok(taken)
    }

    /// Takes measurements: every virtual server's word is repeated with them.
    pub(super) fn measures(&mut self, measures: Measures, now: Moment) -> Result<Taken, LinkError> {
        let head = Head { boot_id: measures.boot_id, sequence: measures.sequence, server: &measures.server };
        let mut taken = match self.admit_between_lists(&head)? {
            Some(refusal) => return Ok(Taken::refused(refusal)),
            None => Taken::default(),
        };
        self.host = read_host(measures.host);
        for measured in measures.virtual_servers {
            match self.known.as_mut().and_then(|known| known.get_mut(measured.name.as_str())) {
                Some(known) => {
                    known.measurements = read_measurements(measured.measurements);
                    taken.facts.push(verdict(&self.source, self.host, known, now));
                }
                None => taken.refused.push(FrameRefusal::BadEntry),
            }
        }
        Ok(taken)
    }

    /// As [`Self::admit`], for reports that only make sense on top of a complete list.
    fn admit_between_lists(&mut self, head: &Head<'_>) -> Result<Option<FrameRefusal>, LinkError> {
        if let Err(refusal) = self.admit(head) {
            return Ok(Some(refusal));
        }
        if self.assembly.is_some() {
            return Err(LinkError::Violation("another report came between the parts of a list"));
        }
        if self.known.is_none() {
            return Err(LinkError::Violation("a report came before the first full list"));
        }
        Ok(None)
    }

    /// Whether a report may be taken; if so, nothing at or before its sequence will be again.
    fn admit(&mut self, head: &Head<'_>) -> Result<(), FrameRefusal> {
        if *head.server != *self.server {
            return Err(FrameRefusal::OtherServer);
        }
        match &mut self.progress.last {
            Some((boot_id, _)) if *boot_id != head.boot_id => Err(FrameRefusal::OtherBoot),
            Some((_, sequence)) if *sequence >= head.sequence => Err(FrameRefusal::OldSequence),
            Some((_, sequence)) => {
                *sequence = head.sequence;
                Ok(())
            }
            None => Err(FrameRefusal::OtherBoot),
        }
    }
}

fn verdict(source: &Source, host: Host, known: &Known, now: Moment) -> Fact {
    let Host { cpu_percent, memory_free_bytes } = host;
    let (server, virtual_server) = &known.subject;
    let measurements = match source {
        Source::Agent => Measurements { cpu_percent, memory_free_bytes, ..known.measurements },
        _ => Measurements::default(),
    };
    Fact::Verdict {
        server: Arc::clone(server),
        virtual_server: Arc::clone(virtual_server),
        source: source.clone(),
        verdict: Verdict { availability: known.availability, reason: Arc::clone(&known.reason), measurements },
        at: now,
    }
}

impl Taken {
    fn refused(refusal: FrameRefusal) -> Self {
        Self { facts: Vec::new(), refused: vec![refusal] }
    }
}

fn read_word(subject: (Arc<str>, Arc<str>), found: &VirtualServer) -> Known {
    let availability = match found.availability() {
        proto::Availability::Available => Availability::Available,
        proto::Availability::Unavailable => Availability::Unavailable,
        proto::Availability::Offline => Availability::Offline,
        proto::Availability::Unknown => Availability::Unknown,
    };
    let measurements = read_measurements(found.measurements);
    Known { subject, availability, reason: words::printable(&found.reason).into(), measurements }
}

fn read_address(found: &VirtualServer) -> Option<SocketAddr> {
    let port = u16::try_from(found.port).ok()?;
    let octets = found.address.as_slice();
    let address = match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
        (Ok(four), _) => IpAddr::V4(Ipv4Addr::from(four)),
        (_, Ok(sixteen)) => IpAddr::V6(Ipv6Addr::from(sixteen)),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

fn read_measurements(measured: Option<proto::Measurements>) -> Measurements {
    let measured = measured.unwrap_or_default();
    Measurements {
        members_up: measured.members_up,
        members_total: measured.members_total,
        connections: measured.connections,
        connection_rate: measured.connection_rate,
        bits_in: measured.bits_in,
        bits_out: measured.bits_out,
        packets_in: measured.packets_in,
        packets_out: measured.packets_out,
        queue: measured.queue,
        cpu_percent: None,
        memory_free_bytes: None,
    }
}

fn read_host(host: Option<proto::Host>) -> Host {
    let host = host.unwrap_or_default();
    let cpu_percent = host.cpu_percent.filter(|percent| percent.is_finite()).map(|percent| percent.clamp(0.0, 100.0));
    Host { cpu_percent, memory_free_bytes: host.memory_free_bytes }
}
