//! Wide IPs over servers whose agents report, in process.

#![allow(dead_code, unreachable_pub, reason = "each bench uses the helpers it needs")]
#![allow(clippy::unwrap_used, reason = "a bench stops at what it did not expect")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fairlead::status::{Ageing, Availability, Fact, Measurements, Moment, Settings, Source, Table, Verdict};
use fairlead::topology::Topology;
use fairlead::wideip::{
    Datacenter, DatacenterId, Discovery, Member, Model, Pattern, Pool, PoolId, PoolMethod, Server, ServerId, Tables,
    VirtualServer, VirtualServerId, WideIp,
};
use fairlead::wire::RecordType;

/// The status of a model's virtual servers, all of them reported available, and the tables of both.
pub fn tables(model: Model, topology: Topology, seed: u64) -> (Table, Tables) {
    let ageing = Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) };
    let settings = Settings { ageing, startup_grace: Duration::ZERO };
    let mut table = Table::new(model.watched(), settings, Moment::default());
    for server in 0..u32::try_from(model.servers.len()).unwrap() {
        table.apply(&report(server, Availability::Available, 1), Moment::from_millis(1));
    }
    let tables = Tables::build(Arc::new(model), Arc::new(topology), &table, seed);
    (table, tables)
}

/// What the agent of a server says.
pub fn report(server: u32, availability: Availability, at: u64) -> Fact {
    let measurements = Measurements { connections: Some(u64::from(server % 17)), ..Measurements::default() };
    Fact::Verdict {
        server: format!("s{server}").into(),
        virtual_server: "www".into(),
        source: Source::Agent,
        verdict: Verdict { availability, reason: "reported".into(), measurements },
        at: Moment::from_millis(at),
    }
}

/// So many wide IPs with a pool each, of so many members, over as many servers with one virtual server each.
pub fn model(wide_ips: usize, members: usize, method: PoolMethod, servers: u32) -> Model {
    let datacenter = |name: &str| Datacenter { name: name.into(), enabled: true };
    let server = |n: u32| Server {
        name: format!("s{n}").into(),
        datacenter: DatacenterId(n % 2),
        enabled: true,
        agent: Some(SocketAddr::from(([192, 0, 2, 1], 4353))),
        discovery: Discovery::Disabled,
    };
    let virtual_server = |n: u32| VirtualServer {
        name: "www".into(),
        server: ServerId(n),
        address: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), 80)),
        enabled: true,
        monitors: 0,
    };
    let wide_ips = u32::try_from(wide_ips).unwrap();
    Model {
        views: Vec::new(),
        datacenters: vec![datacenter("ny"), datacenter("london")],
        servers: (0..servers).map(server).collect(),
        virtual_servers: (0..servers).map(virtual_server).collect(),
        pools: (0..wide_ips).map(|n| pool(n, members, method, servers)).collect(),
        wide_ips: (0..wide_ips).map(wide_ip).collect(),
    }
}

fn pool(n: u32, members: usize, method: PoolMethod, servers: u32) -> Pool {
    let member =
        |m: u32| Member::virtual_server(VirtualServerId((n * 7 + m * 13) % servers), u16::try_from(m + 1).unwrap());
    let listed = (0..u32::try_from(members).unwrap()).map(member);
    Pool { preferred: method, ..Pool::new(&format!("p{n}"), RecordType::A, listed) }
}

fn wide_ip(n: u32) -> WideIp {
    WideIp::new(Pattern::Exact(format!("w{n}.example.com.").parse().unwrap()), RecordType::A, [PoolId(n)])
}
