//! A DNS node's own settings.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::{List, Named, OneOrMore};
use super::values::{Seconds, Written};
use crate::topology::Prefix;
use crate::wire::Name;

use super::file::{
    Catalog, Condition, Datacenter, EdnsOptions, Key, Limits, MemberOf, Monitor, Pool, Primary, Record, Serial, Server,
    TopologyMatch, Transfer, TransferWideIps, Update, View, WideIp,
};

/// The configuration of a Fairlead DNS node (`fairlead serve`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Fairlead DNS node", extend("patternProperties" = { "^x-": true }))]
pub(crate) struct Node {
    /// This node's name; its mesh certificate carries it.
    pub(crate) node: String,
    /// Where queries are answered, over UDP and TCP. Default: port 53 of every address.
    #[serde(default)]
    pub(crate) listeners: List<Listener>,
    /// Metrics, health and the API over HTTP. Default: 127.0.0.1:8053.
    pub(crate) admin: Option<Admin>,
    /// The folder for what must survive a restart. Default: /var/lib/fairlead.
    pub(crate) state: Option<PathBuf>,
    /// The Unix socket for `fairlead disable`, `enable` and `explain`. Default: `control.sock` in the state folder.
    pub(crate) control: Option<PathBuf>,
    /// The mesh of DNS nodes and agents.
    pub(crate) mesh: Option<Mesh>,
    /// What becomes of a name under no zone and no wide IP. Default: nxdomain.
    pub(crate) unmatched: Option<Unmatched>,
    /// The static zones.
    #[serde(default)]
    pub(crate) zones: List<Zone>,
    /// Views: zones and wide IPs for some clients only. The first that takes a query answers it; `zones` and `wide_ips`
    /// beside them are for all others. A query that none takes is refused.
    #[serde(default)]
    pub(crate) views: List<View>,
    /// The SOA and NS of wide IPs that stand in no zone.
    pub(crate) synthetic_zone: Option<SyntheticZone>,
    /// The answers in class CHAOS; refused where none is given.
    pub(crate) chaos: Option<Chaos>,
    /// What EDNS options do.
    pub(crate) edns: Option<EdnsOptions>,
    /// Shared secrets that sign queries, updates and transfers (TSIG, RFC 8945), by the name both sides use.
    #[serde(default)]
    pub(crate) keys: Named<Key>,
    /// MaxMind databases that tell where an address is.
    pub(crate) geoip: Option<GeoIp>,
    /// Named sets of conditions: a client matches when any positive one does and no negated one is broken.
    #[serde(default)]
    pub(crate) regions: Named<List<Condition>>,
    /// Topology records: a client that matches prefers an answer that matches, by score.
    #[serde(default)]
    pub(crate) topology: List<Record>,
    /// Whether the highest score wins among the records that match, or the most specific record. Default: score.
    pub(crate) topology_match: Option<TopologyMatch>,
    /// The sites.
    #[serde(default)]
    pub(crate) datacenters: Named<Datacenter>,
    /// How health is probed.
    #[serde(default)]
    pub(crate) monitors: Named<Monitor>,
    /// Load balancers and plain hosts.
    #[serde(default)]
    pub(crate) servers: Named<Server>,
    /// Sets of members that answer one record type.
    #[serde(default)]
    pub(crate) pools: Named<Pool>,
    /// The steered names.
    #[serde(default)]
    pub(crate) wide_ips: List<WideIp>,
    /// How verdicts age. Default: fresh for three report intervals, stale for ten.
    pub(crate) ageing: Option<Ageing>,
    /// How long /readyz waits for the first round of health. Default: 30s.
    pub(crate) ready_timeout: Option<Written<Duration>>,
    /// Whether changed files are loaded by themselves. Default: false.
    pub(crate) watch: Option<bool>,
    /// Who may ask: addresses and prefixes. Zones may have lists of their own. Default: everybody.
    #[serde(default)]
    pub(crate) allow_query: Option<List<Written<Prefix>>>,
    /// Who may not ask, whatever `allow_query` says. Default: nobody.
    #[serde(default)]
    pub(crate) deny_query: Option<List<Written<Prefix>>>,
    /// What a client gets that may not ask. Default: refused.
    pub(crate) denied_query: Option<DeniedQuery>,
    /// Limits on what clients and other servers may take.
    pub(crate) limits: Option<Limits>,
    /// The journal of dynamic updates, `updates.journal` in the state folder.
    pub(crate) journal: Option<Journal>,
}

/// The journal of dynamic updates.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// How much the changes of one zone may take, in octets. Over it the oldest changes are made one, which secondaries
    /// that are far behind then get at once; when that does not help, updates of the zone are refused (SERVFAIL) until
    /// `fairlead zone flush` writes them to the zone file. Default: 67108864 (64 MiB).
    pub(crate) zone_octets_max: Option<u64>,
}

/// What a client gets that may not ask.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeniedQuery {
    /// REFUSED.
    Refused,
    /// No reply.
    Drop,
}

/// Addresses and a port that are served.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// A name, for views that go by it.
    pub(crate) name: Option<String>,
    /// The address.
    pub(crate) address: Option<Written<IpAddr>>,
    /// Several addresses with the same port.
    pub(crate) addresses: Option<OneOrMore<Written<IpAddr>>>,
    /// The port. Default: 53.
    pub(crate) port: Option<u16>,
}

/// The admin server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where it listens.
    pub(crate) address: Option<Written<SocketAddr>>,
    /// Whether it runs. Default: true.
    pub(crate) enabled: Option<bool>,
}

/// The mesh as this node sees it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mesh {
    /// Where other DNS nodes reach this one; without it, this node only dials.
    pub(crate) address: Option<Written<SocketAddr>>,
    /// The other DNS nodes, by the names their certificates carry: where each takes connections. What their monitors
    /// see counts as much as what this node's do.
    #[serde(default)]
    pub(crate) peers: Named<Written<SocketAddr>>,
    /// The folder with authority.pem, certificate.pem and key.pem. Default: `mesh` in the state folder.
    pub(crate) state: Option<PathBuf>,
    /// How often agents send measurements; verdicts age by it. Default: 5s.
    pub(crate) report_interval: Option<Written<Duration>>,
}

/// What becomes of a name under no zone and no wide IP.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unmatched {
    /// NXDOMAIN.
    NxDomain,
    /// REFUSED.
    Refused,
    /// No reply.
    Drop,
}

/// A static zone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    /// The zone's name.
    pub(crate) name: Written<Name>,
    /// Its file: octoDNS-style YAML when it ends in .yaml or .yml, else an RFC 1035 master file.
    pub(crate) file: Option<PathBuf>,
    /// The SOA, for a file that has none.
    pub(crate) soa: Option<Soa>,
    /// Where the zone comes from by transfer, in the place of a file: this node is a secondary of it.
    pub(crate) primary: Option<Primary>,
    /// Who may have the zone by transfer, and who is told of its changes. Default: nobody.
    pub(crate) transfer: Option<Transfer>,
    /// What becomes of wide IPs when the zone is transferred: `omit` sends the records as they stand, `members` puts the
    /// addresses of all enabled members in their place. Default: omit.
    pub(crate) transfer_wide_ips: Option<TransferWideIps>,
    /// What the zone is as a catalog of other zones (RFC 9432).
    pub(crate) catalog: Option<Catalog>,
    /// The zone's place in a catalog that this node makes.
    pub(crate) member_of: Option<MemberOf>,
    /// Who may ask for names of this zone, in the place of the node's lists. Default: whom the node lets ask.
    #[serde(default)]
    pub(crate) allow_query: Option<List<Written<Prefix>>>,
    /// Who may not ask for names of this zone, in the place of the node's lists.
    #[serde(default)]
    pub(crate) deny_query: Option<List<Written<Prefix>>>,
    /// What a client gets that may not ask for names of this zone. Default: refused.
    pub(crate) denied_query: Option<DeniedQuery>,
    /// Who may change the zone by dynamic update (RFC 2136), and what of it. Default: nobody.
    #[serde(default)]
    pub(crate) updates: List<Update>,
    /// How the serial is made of a zone that was changed by update. Default: increment.
    pub(crate) serial: Option<Serial>,
    /// Whether updates of a secondary zone are passed on to its primary, with the signature they came with. Default:
    /// false.
    pub(crate) forward_updates: Option<bool>,
}

/// What a zone file in YAML says of itself, under the key `$zone`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZoneSettings {
    /// The SOA.
    pub(crate) soa: Option<Soa>,
    /// The TTL of records that give none. Default: 1h.
    pub(crate) default_ttl: Option<Written<Seconds>>,
}

/// The fields of an SOA record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Soa {
    /// The primary name server (MNAME). Default: the first name server at the apex.
    #[serde(alias = "primary")]
    pub(crate) mname: Option<Written<Name>>,
    /// The mailbox of who is responsible, as a name or an address (RNAME). Default: hostmaster in the zone.
    #[serde(alias = "contact")]
    pub(crate) rname: Option<String>,
    /// The serial. Default: the time the file was last changed, in seconds since 1970.
    pub(crate) serial: Option<u32>,
    /// How often secondaries look for a change. Default: 1h.
    pub(crate) refresh: Option<Written<Seconds>>,
    /// How long they wait after a failure. Default: 10m.
    pub(crate) retry: Option<Written<Seconds>>,
    /// How long they serve without having reached the primary. Default: 7d.
    pub(crate) expire: Option<Written<Seconds>>,
    /// How long negative answers are cached. Default: 5m.
    pub(crate) minimum: Option<Written<Seconds>>,
    /// The SOA's own TTL. Default: the zone's default TTL.
    pub(crate) ttl: Option<Written<Seconds>>,
}

/// The apex of zones that exist only because a wide IP stands in none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyntheticZone {
    /// The name servers; the first is the SOA's MNAME.
    pub(crate) name_servers: Option<OneOrMore<Written<Name>>>,
    /// The mailbox of who is responsible, as a name or an address.
    pub(crate) contact: Option<String>,
    /// The TTL of SOA and NS. Default: 1h.
    pub(crate) ttl: Option<Written<Seconds>>,
    /// How long negative answers are cached. Default: 30s.
    pub(crate) negative_ttl: Option<Written<Seconds>>,
}

/// Answers in class CHAOS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chaos {
    /// version.bind and version.server.
    pub(crate) version: Option<String>,
    /// id.server and hostname.bind.
    pub(crate) id: Option<String>,
}

/// MaxMind databases.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GeoIp {
    /// A City or Country database.
    pub(crate) city: Option<PathBuf>,
    /// An ASN database.
    pub(crate) asn: Option<PathBuf>,
}

/// How verdicts age.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ageing {
    /// Up to this age a report counts fully. Default: three report intervals.
    pub(crate) fresh: Option<Written<Duration>>,
    /// Up to this age availability is kept; after it the verdict has expired. Default: ten report intervals.
    pub(crate) stale: Option<Written<Duration>>,
}
