//! A small model of two sites that the tests of this module share.

use std::sync::Arc;
use std::time::Duration;

use super::prepare::Prepared;
use crate::answer::{self, Chaos, SyntheticZone, Unmatched};
use crate::status::{self, Availability, Fact, Measurements, Moment, Source, Table, Verdict};
use crate::topology::{Rules, Topology};
use crate::wideip::*;
use crate::wire::RecordType;

/// Two datacenters, a server with one virtual server each, a pool each, and one wide IP over both pools.
pub(super) fn model() -> Model {
    let datacenter = |name: &str| Datacenter { name: name.into(), enabled: true };
    let server = |name: &str, datacenter| Server {
        name: name.into(),
        datacenter: DatacenterId(datacenter),
        enabled: true,
        agent: Some("127.0.0.1:4353".parse().unwrap()),
        discovery: Discovery::Disabled,
    };
    Model {
        views: Vec::new(),
        datacenters: vec![datacenter("newyork"), datacenter("london")],
        servers: vec![server("ny-lb1", 0), server("lon-lb1", 1)],
        virtual_servers: vec![virtual_server(0, "192.0.2.1:80"), virtual_server(1, "198.51.100.1:80")],
        pools: vec![pool("web-ny", 0), pool("web-lon", 1)],
        wide_ips: vec![WideIp {
            method: WideIpMethod::GlobalAvailability,
            negative_ttl_seconds: 30,
            persist_cidr_ipv4: 24,
            persist_cidr_ipv6: 56,
            ..WideIp::new(Pattern::Exact("www.example.com.".parse().unwrap()), RecordType::A, [PoolId(0), PoolId(1)])
        }],
    }
}

fn virtual_server(server: u32, address: &str) -> VirtualServer {
    let address = address.parse().ok();
    VirtualServer { name: Arc::from("www"), server: ServerId(server), address, enabled: true, monitors: 0 }
}

fn pool(name: &str, virtual_server: u32) -> Pool {
    Pool::new(name, RecordType::A, [Member::virtual_server(VirtualServerId(virtual_server), 1)])
}

/// How the tests' verdicts age.
pub(super) const STATUS: status::Settings = status::Settings {
    ageing: Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) },
    startup_grace: Duration::from_secs(30),
};

/// A table of the model's virtual servers in which nothing was reported.
pub(super) fn table(model: &Model) -> Table {
    Table::new(model.watched(), STATUS, Moment::default())
}

/// A configuration of the model, without zones.
pub(super) fn prepared(model: Model) -> Prepared {
    let synthetic_zone = SyntheticZone {
        name_servers: vec!["ns1.example.com.".parse().unwrap()],
        contact: "hostmaster.example.com.".parse().unwrap(),
        ttl_seconds: 300,
        negative_ttl_seconds: 30,
    };
    let answer = answer::Settings {
        unmatched: Unmatched::NxDomain,
        chaos: Chaos::default(),
        synthetic_zone,
        keys: Default::default(),
        transfers: Default::default(),
        limits: Default::default(),
        edns: Default::default(),
    };
    Prepared {
        node: "ns1".into(),
        model,
        monitors: Vec::new(),
        status: STATUS,
        views: Vec::new(),
        selector: None,
        answer: Arc::new(answer),
        topology: Arc::new(Topology::compile(&Rules::default(), None, None).unwrap()),
        peers: Vec::new(),
        ready_timeout: Duration::from_secs(30),
        seed: 7,
        loaded: 1000,
    }
}

/// An agent's verdict on the `www` of a server, received at a moment.
pub(super) fn verdict(server: &str, availability: Availability, at: u64) -> Fact {
    let verdict = Verdict { availability, reason: "as told".into(), measurements: Measurements::default() };
    let (server, at) = (server.into(), Moment::from_millis(at));
    Fact::Verdict { server, virtual_server: "www".into(), source: Source::Agent, verdict, at }
}
