//! Every default and limit that can be set, each written once with its range and reason.

use std::time::Duration;

use crate::answer;
use crate::zone::Sizes;

use super::issues::Issues;
use super::node::Place;
use super::values::{Octets, show_duration};

/// A setting with a default and a range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit<T> {
    /// Used when nothing is written.
    pub(crate) default: T,
    /// The smallest value allowed.
    pub(crate) min: T,
    /// The largest value allowed.
    pub(crate) max: T,
    /// Why the range is what it is; part of the error.
    pub(crate) reason: &'static str,
}

/// What a [`Limit`] can bound.
pub(crate) trait Quantity: Copy + PartialOrd {
    /// The quantity with its unit, as it would be written.
    fn show(self) -> String;

    /// The quantity as a bare number; none where it is written with a unit.
    fn number(self) -> Option<u64>;
}

impl Quantity for Duration {
    fn show(self) -> String {
        show_duration(self)
    }

    fn number(self) -> Option<u64> {
        None
    }
}

impl Quantity for Octets {
    fn show(self) -> String {
        self.to_string()
    }

    fn number(self) -> Option<u64> {
        None
    }
}

macro_rules! numbers {
    ($($number:ident)*) => {
        $(impl Quantity for $number {
            fn show(self) -> String {
                self.to_string()
            }

            fn number(self) -> Option<u64> {
                u64::try_from(self).ok()
            }
        })*
    };
}

numbers! { u8 u16 u32 u64 usize }

impl<T: Quantity> Limit<T> {
    /// The value to use for what is written at `place`; one out of range is reported.
    pub(crate) fn take(&self, written: Option<T>, place: &Place<'_>, issues: &Issues) -> T {
        let Some(value) = written else { return self.default };
        if value < self.min || value > self.max {
            let (value, min, max) = (value.show(), self.min.show(), self.max.show());
            issues.error(place, format!("{value} is not from {min} to {max}: {}", self.reason));
            return self.default;
        }
        value
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How many levels of lists and maps a file may hold. Nothing in a configuration needs more than ten.
pub(crate) const YAML_DEPTH_MAX: usize = 64;
/// How many values aliases may add to what is written, so that a small file cannot unfold without end.
pub(crate) const YAML_ALIASED_NODES_MAX: u64 = 1_000_000;
/// The largest file of the configuration, in bytes; zone files have a limit of their own.
pub(crate) const CONFIGURATION_FILE_BYTES_MAX: u64 = 64 << 20;
/// The largest certificate file, in bytes.
pub(crate) const PEM_FILE_BYTES_MAX: u64 = 1 << 20;
/// The largest location database, in bytes; the largest on sale are about a tenth of it.
pub(crate) const GEOIP_FILE_BYTES_MAX: u64 = 4 << 30;
/// The largest file with a TSIG secret, in bytes.
pub(crate) const KEY_FILE_BYTES_MAX: u64 = 64 << 10;
/// Cookie secrets that are taken at once: the one in use, the one before and the one to come, and one to spare.
pub(crate) const COOKIE_SECRETS_MAX: usize = 4;
/// The longest name of a TSIG key, in octets on the wire: it must fit a reply of 512 octets beside a long question.
pub(crate) const KEY_NAME_OCTETS_MAX: usize = 64;
/// Octets that a TSIG secret should have at least.
pub(crate) const KEY_SECRET_OCTETS_ADVISED: usize = 16;
/// The longest name of a configured object, in characters: it stands in certificates, labels and logs.
pub(crate) const OBJECT_NAME_LENGTH_MAX: usize = 63;

/// The port of a listener.
pub(crate) const LISTENER_PORT: u16 = 53;
/// Where the admin server listens.
pub(crate) const ADMIN_ADDRESS: &str = "127.0.0.1:8053";
/// The port of an agent, when its address has none.
pub(crate) const MESH_PORT: u16 = 4353;
/// The folder for what must survive a restart.
pub(crate) const STATE_FOLDER: &str = "/var/lib/fairlead";

/// Octets that the journal may take for the changes of one zone: some hundred thousand small updates.
pub(crate) const JOURNAL_ZONE_OCTETS: Limit<u64> = Limit {
    default: 64 << 20,
    min: 1 << 16,
    max: 4 << 30,
    reason: "one update takes up to 64 KiB, and the changes are kept in memory too",
};

/// UDP worker threads per address; the default is one for each processor.
pub(crate) const UDP_WORKERS: Limit<usize> =
    Limit { default: 1, min: 1, max: 1024, reason: "each is a thread with a socket of its own" };
/// TCP connections open at once.
pub(crate) const TCP_CONNECTIONS: Limit<usize> =
    Limit { default: 8192, min: 1, max: 1_000_000, reason: "each takes a file descriptor" };
/// TCP connections open at once from one client address.
pub(crate) const TCP_CONNECTIONS_PER_CLIENT: Limit<usize> =
    Limit { default: 64, min: 1, max: 1_000_000, reason: "one client must not take every connection" };
/// TCP connections open at once from one client network.
pub(crate) const TCP_CONNECTIONS_PER_NETWORK: Limit<usize> =
    Limit { default: 256, min: 1, max: 1_000_000, reason: "one network must not take every connection" };
/// Queries of one TCP connection.
pub(crate) const TCP_QUERIES: Limit<u64> =
    Limit { default: 0, min: 0, max: 1 << 40, reason: "0 is no limit, and more is none either" };
/// How long a TCP connection may stay without a query.
pub(crate) const TCP_IDLE: Limit<Duration> = Limit {
    default: seconds(10),
    min: millis(100),
    max: seconds(3600),
    reason: "RFC 7766 §6.2.3 asks for a few seconds",
};
/// How long the first query may take from accept.
pub(crate) const TCP_FIRST_MESSAGE: Limit<Duration> =
    Limit { default: seconds(3), min: millis(100), max: seconds(60), reason: "a silent connection must not be kept" };
/// How long a message may take from its first octet.
pub(crate) const TCP_MESSAGE: Limit<Duration> =
    Limit { default: seconds(1), min: millis(100), max: seconds(60), reason: "a slow sender must not hold a buffer" };
/// How long a TCP connection may live.
pub(crate) const TCP_LIFETIME: Limit<Duration> =
    Limit { default: seconds(600), min: seconds(1), max: seconds(86_400), reason: "old connections must end" };
/// Queries of one TCP connection that wait for their replies to be written.
pub(crate) const TCP_PIPELINED: Limit<usize> =
    Limit { default: 32, min: 1, max: 1024, reason: "each holds a reply in memory" };
/// How long a write may stall before a TCP connection is reset.
pub(crate) const TCP_WRITE_STALL: Limit<Duration> =
    Limit { default: seconds(5), min: millis(100), max: seconds(60), reason: "a client that does not read must go" };

/// Queries that wait for somebody else.
pub(crate) const HANDED_OFF: Limit<usize> =
    Limit { default: 256, min: 1, max: 65_536, reason: "each holds its message in memory" };
/// CNAMEs and DNAMEs followed for one question.
pub(crate) const CHAIN: Limit<usize> = Limit {
    default: answer::CHAIN_DEFAULT,
    min: 1,
    max: answer::CHAIN_MAX,
    reason: "a chain must end, and resolvers follow few",
};
/// Dynamic updates that may wait to be carried out.
pub(crate) const UPDATES: Limit<usize> = Limit {
    default: answer::UPDATES_DEFAULT,
    min: 1,
    max: answer::UPDATES_MAX,
    reason: "each holds a message in memory",
};
/// Names of one answer whose addresses are added.
pub(crate) const ADDITIONAL_NAMES: Limit<usize> =
    Limit { default: answer::ADDITIONAL_NAMES_DEFAULT, min: 0, max: 500, reason: "an RRset has no more records" };
/// Answers per second to one client network, per name and type.
pub(crate) const RATE_ANSWERS: Limit<u32> = rate(200);
/// Answers per second without records, per zone.
pub(crate) const RATE_NO_DATA: Limit<u32> = rate(200);
/// Answers per second for names that do not exist, per zone.
pub(crate) const RATE_NXDOMAINS: Limit<u32> = rate(100);
/// Referrals per second, per delegated name.
pub(crate) const RATE_REFERRALS: Limit<u32> = rate(200);
/// Errors per second.
pub(crate) const RATE_ERRORS: Limit<u32> = rate(100);
/// Responses of every kind per second.
pub(crate) const RATE_ALL: Limit<u32> = rate(1000);
/// How long responses over the rate count.
pub(crate) const RATE_WINDOW: Limit<Duration> =
    Limit { default: seconds(15), min: seconds(1), max: seconds(3600), reason: "a client must be let in again" };
/// Every how many responses over the rate one is sent truncated.
pub(crate) const RATE_SLIP: Limit<u32> =
    Limit { default: 2, min: 0, max: 100, reason: "real clients wait for a truncated reply" };
/// The bits of an IPv4 address that make a client network.
pub(crate) const RATE_IPV4_PREFIX: Limit<u8> =
    Limit { default: 24, min: 8, max: 32, reason: "fewer bits take the whole network for one client" };
/// The bits of an IPv6 address that make a client network.
pub(crate) const RATE_IPV6_PREFIX: Limit<u8> =
    Limit { default: 56, min: 16, max: 128, reason: "fewer bits take the whole network for one client" };
/// Entries of each table of client networks.
pub(crate) const RATE_ENTRIES: Limit<usize> =
    Limit { default: 65_536, min: 1024, max: 1 << 26, reason: "each takes 8 octets for each UDP worker and 8 for all" };
/// The most records of a zone from a file or by update.
pub(crate) const ZONE_RECORDS: Limit<usize> =
    Limit { default: Sizes::DEFAULT.records, min: 1, max: 1_000_000_000, reason: "a file must not fill our memory" };
/// The largest zone file.
pub(crate) const ZONE_FILE_SIZE: Limit<Octets> = Limit {
    default: Octets(Sizes::DEFAULT.file_octets),
    min: Octets(1 << 10),
    max: Octets(1 << 40),
    reason: "a file is read whole",
};
/// The most records of one RRset.
pub(crate) const RRSET_RECORDS: Limit<u16> =
    Limit { default: Sizes::DEFAULT.rrset_records, min: 1, max: 4000, reason: "more do not fit in a message" };
/// The most types at one name.
pub(crate) const NAME_TYPES: Limit<u16> = Limit {
    default: Sizes::DEFAULT.types,
    min: 3,
    max: 1000,
    reason: "an apex has three, and each query looks through them",
};
/// The most records of a transfer in: five times the largest zone that is measured, far below what fills a memory.
pub(crate) const TRANSFER_RECORDS: Limit<u64> =
    Limit { default: 5_000_000, min: 1, max: 1_000_000_000, reason: "a primary must not fill our memory" };
/// The most octets of a transfer in.
pub(crate) const TRANSFER_OCTETS: Limit<Octets> = Limit {
    default: Octets(1 << 30),
    min: Octets(1 << 10),
    max: Octets(1 << 40),
    reason: "a primary must not fill our memory",
};
/// How long a transfer in may take; five million records at the pace of a slow line take less.
pub(crate) const TRANSFER_TIME: Limit<Duration> =
    Limit { default: seconds(3600), min: millis(10), max: seconds(86_400), reason: "a transfer must end" };
/// How long a transfer out may take; whoever takes it by the octet must not hold one of few places for ever.
pub(crate) const TRANSFER_OUT_TIME: Limit<Duration> =
    Limit { default: seconds(3600), min: millis(10), max: seconds(86_400), reason: "a transfer must end" };
/// Changes of a zone that are kept for IXFR.
pub(crate) const HISTORY_CHANGES: Limit<usize> =
    Limit { default: 100, min: 0, max: 100_000, reason: "the changes are kept in memory" };
/// Records in the changes of a zone that are kept for IXFR; more are cheaper to send as a whole zone than to remember.
pub(crate) const HISTORY_RECORDS: Limit<usize> =
    Limit { default: 200_000, min: 0, max: 10_000_000, reason: "the changes are kept in memory" };
/// How long connecting to a primary, and each next message of it, may take.
pub(crate) const TRANSFER_WAIT: Limit<Duration> =
    Limit { default: seconds(10), min: millis(10), max: seconds(600), reason: "a silent primary must be given up" };
/// Transfers under way at once, in each direction: BIND's default, and enough for thousands of zones.
pub(crate) const TRANSFERS: Limit<usize> =
    Limit { default: 10, min: 1, max: 10_000, reason: "each takes a thread or a connection" };
/// The most members of a catalog from elsewhere: each is a zone of this node.
pub(crate) const CATALOG_MEMBERS: Limit<usize> =
    Limit { default: 10_000, min: 1, max: 1_000_000, reason: "a catalog must not fill our memory" };

/// How often an agent sends measurements.
pub(crate) const REPORT_INTERVAL: Limit<Duration> =
    Limit { default: seconds(5), min: millis(100), max: seconds(3600), reason: "verdicts age by it" };
/// Report intervals for which a verdict counts fully.
pub(crate) const FRESH_INTERVALS: u32 = 3;
/// Report intervals after which a verdict has expired.
pub(crate) const STALE_INTERVALS: u32 = 10;
/// How long verdicts may count.
pub(crate) const AGEING: Limit<Duration> =
    Limit { default: seconds(15), min: millis(100), max: seconds(86_400 * 30), reason: "verdicts must age" };
/// How long readiness waits for the first round of health.
pub(crate) const READY_TIMEOUT: Limit<Duration> =
    Limit { default: seconds(30), min: millis(0), max: seconds(3600), reason: "a node must become ready at last" };

/// The TTL of a pool's answers, in seconds.
pub(crate) const POOL_TTL: Limit<u32> = ttl(30);
/// The TTL of a wide IP's negative answers, in seconds.
pub(crate) const NEGATIVE_TTL: Limit<u32> = ttl(5);
/// The TTL of a synthesised zone's SOA and NS, in seconds.
pub(crate) const SYNTHETIC_TTL: Limit<u32> = ttl(3600);
/// The SOA minimum of a synthesised zone, in seconds.
pub(crate) const SYNTHETIC_NEGATIVE_TTL: Limit<u32> = ttl(30);
/// The members that one answer carries at most.
pub(crate) const MAX_ANSWERS: Limit<u16> =
    Limit { default: 1, min: 1, max: 500, reason: "more do not fit in a message" };
/// The members that must be available for a pool to be.
pub(crate) const MIN_MEMBERS_UP: Limit<u32> =
    Limit { default: 1, min: 1, max: 65_535, reason: "a pool without an available member is not available" };
/// The share of a pool or member.
pub(crate) const RATIO: Limit<u16> = Limit { default: 1, min: 0, max: u16::MAX, reason: "0 is never picked" };
/// The bits of an IPv4 client address that persistence looks at.
pub(crate) const PERSIST_CIDR_IPV4: Limit<u8> =
    Limit { default: 32, min: 0, max: 32, reason: "an IPv4 address has 32 bits" };
/// The bits of an IPv6 client address that persistence looks at.
pub(crate) const PERSIST_CIDR_IPV6: Limit<u8> =
    Limit { default: 128, min: 0, max: 128, reason: "an IPv6 address has 128 bits" };
/// The score of a topology record.
pub(crate) const TOPOLOGY_SCORE: u32 = 1;

/// From the start of one probe to the start of the next.
pub(crate) const MONITOR_INTERVAL: Limit<Duration> =
    Limit { default: seconds(5), min: millis(100), max: seconds(86_399), reason: "a target must not be flooded" };
/// How long one probe may take.
pub(crate) const MONITOR_TIMEOUT: Limit<Duration> =
    Limit { default: seconds(2), min: millis(10), max: seconds(3600), reason: "a probe must end" };
/// Successes in a row that make a target available.
pub(crate) const MONITOR_RISE: Limit<u32> =
    Limit { default: 2, min: 1, max: 100, reason: "at least one probe must succeed" };
/// Failures in a row that make a target offline.
pub(crate) const MONITOR_FALL: Limit<u32> =
    Limit { default: 3, min: 1, max: 100, reason: "at least one probe must fail" };
/// How often an agent reads HAProxy.
pub(crate) const HAPROXY_INTERVAL: Limit<Duration> =
    Limit { default: seconds(1), min: millis(100), max: seconds(60), reason: "a dead backend must be seen in time" };

/// The SOA timers given to a zone that has none, in seconds: refresh, retry, expire, minimum.
pub(crate) const SOA_REFRESH: Limit<u32> = ttl(3600);
/// See [`SOA_REFRESH`].
pub(crate) const SOA_RETRY: Limit<u32> = ttl(600);
/// See [`SOA_REFRESH`].
pub(crate) const SOA_EXPIRE: Limit<u32> = ttl(604_800);
/// See [`SOA_REFRESH`].
pub(crate) const SOA_MINIMUM: Limit<u32> = ttl(300);
/// The TTL of records that give none, in seconds; octoDNS's default.
pub(crate) const ZONE_TTL: Limit<u32> = ttl(3600);

const fn rate(default: u32) -> Limit<u32> {
    Limit { default, min: 0, max: 100_000, reason: "0 is no limit, and more is none either" }
}

const fn ttl(default: u32) -> Limit<u32> {
    Limit { default, min: 0, max: 2_147_483_647, reason: "a TTL has 31 bits (RFC 2181 §8)" }
}
