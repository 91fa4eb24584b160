//! What is only known when a scrape happens: the state of configured objects, of peers, certificates and the kernel.

use std::net::IpAddr;
use std::time::Duration;

use prometheus::proto::{Metric, MetricFamily};

use super::family::{self, Family};
use super::updates::UpdateResult;
use crate::status::{Availability, Enabled};

/// The most series of one metric; what comes after is left out, and `fairlead_limit_hits_total` says so.
const SERIES_MAX: usize = 100_000;

/// The values of one scrape, filled in by the readers.
#[derive(Default)]
pub struct Scrape {
    families: Vec<(&'static str, Vec<Metric>)>,
    /// How many series were left out.
    pub(super) left_out: u64,
}

/// What the sessions with one mesh peer amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerTraffic {
    /// Sessions that came up.
    pub sessions: u64,
    /// Octets received inside TLS.
    pub octets_in: u64,
    /// Octets sent inside TLS.
    pub octets_out: u64,
}

/// Whether a mesh session is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Session {
    /// Both sides talk.
    Up,
    /// Not connected, or not agreed yet.
    Down,
}

/// A counter of `/proc/net/snmp` and `/proc/net/snmp6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KernelUdp {
    /// The receive buffer of a socket was full.
    ReceiveBuffer,
    /// The send buffer of a socket was full.
    SendBuffer,
    /// Datagrams that could not be delivered for any other reason.
    In,
    /// No socket listened on the port.
    NoPort,
    /// The checksum was wrong.
    Checksum,
}

impl KernelUdp {
    /// Every value, with the kernel's name for it.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::ReceiveBuffer, "RcvbufErrors"),
        (Self::SendBuffer, "SndbufErrors"),
        (Self::In, "InErrors"),
        (Self::NoPort, "NoPorts"),
        (Self::Checksum, "InCsumErrors"),
    ];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReceiveBuffer => "receive_buffer",
            Self::SendBuffer => "send_buffer",
            Self::In => "in",
            Self::NoPort => "no_port",
            Self::Checksum => "checksum",
        }
    }
}

const AVAILABILITIES: [(Availability, &str); 4] = [
    (Availability::Available, "available"),
    (Availability::Unavailable, "unavailable"),
    (Availability::Offline, "offline"),
    (Availability::Unknown, "unknown"),
];

impl Scrape {
    /// The state of a virtual server, and the age of the newest report on it.
    pub fn virtual_server(
        &mut self,
        server: &str,
        virtual_server: &str,
        availability: Availability,
        enabled: Enabled,
        report_age: Option<Duration>,
    ) {
        self.states(&family::VIRTUAL_SERVER_AVAILABILITY, &[server, virtual_server], availability);
        self.push(&family::VIRTUAL_SERVER_ENABLED, &[server, virtual_server], truth(enabled == Enabled::Enabled));
        if let Some(age) = report_age {
            self.push(&family::REPORT_AGE, &[server, virtual_server], age.as_secs_f64());
        }
    }

    /// The state of a pool's member, by the name `fairlead disable member` takes.
    pub fn member(&mut self, pool: &str, member: &str, availability: Availability, enabled: Enabled) {
        self.states(&family::MEMBER_AVAILABILITY, &[pool, member], availability);
        self.push(&family::MEMBER_ENABLED, &[pool, member], truth(enabled == Enabled::Enabled));
    }

    /// The state of a pool.
    pub fn pool(&mut self, pool: &str, availability: Availability) {
        self.states(&family::POOL_AVAILABILITY, &[pool], availability);
    }

    /// The state of a wide IP, named `name/TYPE`.
    pub fn wide_ip(&mut self, wide_ip: &str, availability: Availability) {
        self.states(&family::WIDE_IP_AVAILABILITY, &[wide_ip], availability);
    }

    /// The session of a mesh peer, how long it has been silent and how far its clock is ahead.
    pub fn peer(&mut self, peer: &str, session: Session, silent: Option<Duration>, skew_seconds: Option<f64>) {
        self.push(&family::PEER_UP, &[peer], truth(session == Session::Up));
        if let Some(silent) = silent {
            self.push(&family::PEER_SILENCE, &[peer], silent.as_secs_f64());
        }
        if let Some(skew) = skew_seconds {
            self.push(&family::PEER_SKEW, &[peer], skew);
        }
    }

    /// A source of an agent: whether it could be read last time, how long ago it was, and what it tells of.
    pub fn source(&mut self, source: &str, up: bool, age: Option<Duration>, virtual_servers: usize) {
        self.push(&family::SOURCE_UP, &[source], truth(up));
        if let Some(age) = age {
            self.push(&family::SOURCE_AGE, &[source], age.as_secs_f64());
        }
        self.push(&family::SOURCE_VIRTUAL_SERVERS, &[source], virtual_servers as f64);
    }

    /// Probes that succeeded, failed and could not be made, those under way and those that wait for a place.
    pub fn probes(&mut self, ended: [u64; 3], running: usize, waiting: usize) {
        for (result, count) in ["success", "failure", "not_made"].into_iter().zip(ended) {
            self.push(&family::PROBES, &[result], count as f64);
        }
        self.push(&family::PROBES_RUNNING, &[], running as f64);
        self.push(&family::PROBES_WAITING, &[], waiting as f64);
    }

    /// The age of the last report of a mesh peer, and what its sessions amounted to.
    pub fn peer_traffic(&mut self, peer: &str, report_age: Option<Duration>, traffic: PeerTraffic) {
        if let Some(age) = report_age {
            self.push(&family::PEER_REPORT_AGE, &[peer], age.as_secs_f64());
        }
        self.push(&family::PEER_SESSIONS, &[peer], traffic.sessions as f64);
        self.push(&family::PEER_OCTETS, &[peer, "in"], traffic.octets_in as f64);
        self.push(&family::PEER_OCTETS, &[peer, "out"], traffic.octets_out as f64);
    }

    /// How often a mesh session failed or ended for one reason; `reason` is one of a fixed list.
    pub fn peer_failures(&mut self, peer: &str, reason: &'static str, count: u64) {
        self.push(&family::PEER_FAILURES, &[peer, reason], count as f64);
    }

    /// How many frames of a mesh peer were refused for one reason; `reason` is one of a fixed list.
    pub fn peer_frames_refused(&mut self, peer: &str, reason: &'static str, count: u64) {
        self.push(&family::PEER_FRAMES_REFUSED, &[peer, reason], count as f64);
    }

    /// How many mesh connections of unknown peers were refused for one reason; `reason` is one of a fixed list.
    pub fn mesh_refused(&mut self, reason: &'static str, count: u64) {
        self.push(&family::MESH_REFUSED, &[reason], count as f64);
    }

    /// When a certificate expires, in seconds since 1970.
    pub fn certificate(&mut self, certificate: &str, expires_unix_seconds: i64) {
        self.push(&family::CERTIFICATE_EXPIRY, &[certificate], expires_unix_seconds as f64);
    }

    /// A zone in use.
    pub fn zone(&mut self, zone: &str, serial: u32, records: usize) {
        self.push(&family::ZONE_SERIAL, &[zone], f64::from(serial));
        self.push(&family::ZONE_RECORDS, &[zone], records as f64);
    }

    /// What the journal holds of a zone: changes, the octets they take, and the age of the oldest in seconds.
    pub fn journal(&mut self, zone: &str, changes: usize, octets: u64, age_seconds: u64) {
        self.push(&family::JOURNAL_CHANGES, &[zone], changes as f64);
        self.push(&family::JOURNAL_BYTES, &[zone], octets as f64);
        self.push(&family::JOURNAL_AGE, &[zone], age_seconds as f64);
    }

    /// What became of the dynamic updates of a zone, and when one last changed it, in seconds since 1970.
    pub fn zone_updates(
        &mut self,
        zone: &str,
        counts: impl IntoIterator<Item = (UpdateResult, u64)>,
        last_done: Option<u64>,
    ) {
        for (result, count) in counts {
            self.push(&family::ZONE_UPDATES, &[zone, result.as_str()], count as f64);
        }
        if let Some(time) = last_done {
            self.push(&family::ZONE_UPDATED, &[zone], time as f64);
        }
    }

    /// In how many RRsets an edited zone file meets updates, so that it is not in use.
    pub fn zone_conflicts(&mut self, zone: &str, conflicts: usize) {
        self.push(&family::ZONE_CONFLICTS, &[zone], conflicts as f64);
    }

    /// A zone that comes from a primary: when it was last confirmed and when it expires, in seconds since 1970.
    pub fn inbound_zone(&mut self, zone: &str, refreshed: Option<u64>, expires: Option<u64>) {
        for (family, time) in [(&family::ZONE_REFRESHED, refreshed), (&family::ZONE_EXPIRES, expires)] {
            if let Some(time) = time {
                self.push(family, &[zone], time as f64);
            }
        }
    }

    /// A catalog from elsewhere: how many zones it brings, and how many it lists in vain.
    pub fn catalog(&mut self, catalog: &str, members: usize, refused: usize) {
        self.push(&family::CATALOG_MEMBERS, &[catalog], members as f64);
        self.push(&family::CATALOG_REFUSED, &[catalog], refused as f64);
    }

    /// The serial of a zone that a secondary was last seen with.
    pub fn secondary(&mut self, zone: &str, secondary: IpAddr, serial: u32) {
        self.push(&family::SECONDARY_SERIAL, &[zone, &secondary.to_string()], f64::from(serial));
    }

    /// A counter of the kernel for `ipv4` or `ipv6`.
    pub fn kernel_udp(&mut self, ip_family: &str, counter: KernelUdp, value: u64) {
        self.push(&family::KERNEL_UDP, &[ip_family, counter.as_str()], value as f64);
    }

    /// Queries dropped for want of room in the receive buffers of one listening address.
    pub fn socket_drops(&mut self, address: &str, value: u64) {
        self.push(&family::SOCKET_DROPS, &[address], value as f64);
    }

    /// One series per availability, of which one is 1.
    fn states(&mut self, family: &'static Family, object: &[&str], availability: Availability) {
        for (state, text) in AVAILABILITIES {
            let values: Vec<&str> = object.iter().copied().chain([text]).collect();
            self.push(family, &values, truth(state == availability));
        }
    }

    fn push(&mut self, family: &'static Family, values: &[&str], value: f64) {
        let at = self.families.iter().position(|(name, _)| *name == family.name).unwrap_or_else(|| {
            self.families.push((family.name, Vec::new()));
            self.families.len() - 1
        });
        match self.families.get_mut(at) {
            Some((_, samples)) if samples.len() < SERIES_MAX => samples.push(family.sample(values, value)),
            _ => self.left_out += 1,
        }
    }

    /// The metrics a scrape can hold, for their descriptions.
    pub(super) const FAMILIES: [&'static Family; 38] = [
        &family::ZONE_UPDATES,
        &family::ZONE_UPDATED,
        &family::JOURNAL_CHANGES,
        &family::JOURNAL_BYTES,
        &family::JOURNAL_AGE,
        &family::ZONE_CONFLICTS,
        &family::SOURCE_UP,
        &family::SOURCE_AGE,
        &family::SOURCE_VIRTUAL_SERVERS,
        &family::PROBES,
        &family::PROBES_RUNNING,
        &family::PROBES_WAITING,
        &family::VIRTUAL_SERVER_AVAILABILITY,
        &family::VIRTUAL_SERVER_ENABLED,
        &family::REPORT_AGE,
        &family::MEMBER_AVAILABILITY,
        &family::MEMBER_ENABLED,
        &family::POOL_AVAILABILITY,
        &family::WIDE_IP_AVAILABILITY,
        &family::PEER_UP,
        &family::PEER_SILENCE,
        &family::PEER_SKEW,
        &family::PEER_REPORT_AGE,
        &family::PEER_SESSIONS,
        &family::PEER_OCTETS,
        &family::PEER_FAILURES,
        &family::PEER_FRAMES_REFUSED,
        &family::MESH_REFUSED,
        &family::CERTIFICATE_EXPIRY,
        &family::ZONE_SERIAL,
        &family::ZONE_RECORDS,
        &family::ZONE_REFRESHED,
        &family::ZONE_EXPIRES,
        &family::SECONDARY_SERIAL,
        &family::CATALOG_MEMBERS,
        &family::CATALOG_REFUSED,
        &family::KERNEL_UDP,
        &family::SOCKET_DROPS,
    ];

    /// What was filled in, as the encoder wants it.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let declared = |name: &str| Self::FAMILIES.into_iter().find(|family| family.name == name);
        let exported = self.families.into_iter().filter_map(|(name, samples)| Some(declared(name)?.export(samples)));
        exported.collect()
    }
}

/// A claim as a gauge: 1 when it holds.
fn truth(claim: bool) -> f64 {
    if claim { 1.0 } else { 0.0 }
}
