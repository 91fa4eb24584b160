//! A small model of two sites that the tests of this module share.

use std::sync::Arc;
use std::time::Duration;

use crate::status::{self, Moment, Table, Watched, WatchedServer, WatchedVirtualServer};
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
        datacenters: vec![datacenter("newyork"), datacenter("london")],
        servers: vec![server("ny-lb1", 0), server("lon-lb1", 1)],
        virtual_servers: vec![virtual_server(0, "192.0.2.1:80"), virtual_server(1, "198.51.100.1:80")],
        pools: vec![pool("web-ny", 0), pool("web-lon", 1)],
        wide_ips: vec![WideIp {
            name: Pattern::Exact("www.example.com.".parse().unwrap()),
            aliases: Vec::new(),
            record_type: RecordType::A,
            enabled: true,
            method: WideIpMethod::GlobalAvailability,
            pools: vec![PoolReference { pool: PoolId(0), ratio: 1 }, PoolReference { pool: PoolId(1), ratio: 1 }],
            last_resort: None,
            when_all_down: WhenAllDown::ServeAll,
            negative_ttl_seconds: 30,
            persist_cidr_ipv4: 24,
            persist_cidr_ipv6: 56,
            use_client_subnet: true,
            allow_zero_scores: true,
        }],
    }
}

fn virtual_server(server: u32, address: &str) -> VirtualServer {
    let address = address.parse().ok();
    VirtualServer { name: Arc::from("www"), server: ServerId(server), address, enabled: true, monitors: 0 }
}

fn pool(name: &str, virtual_server: u32) -> Pool {
    Pool {
        name: name.into(),
        record_type: RecordType::A,
        enabled: true,
        ttl_seconds: 30,
        preferred: PoolMethod::RoundRobin,
        alternate: PoolMethod::RoundRobin,
        fallback: PoolMethod::None,
        fallback_ip: None,
        max_answers: 1,
        verify_member_availability: true,
        respect_fallback_dependency: true,
        on_unknown: OnUnknown::Hold,
        min_members_up: 1,
        members: vec![Member {
            target: MemberTarget::VirtualServer(VirtualServerId(virtual_server)),
            ratio: 1,
            enabled: true,
        }],
    }
}

/// A table of the model's virtual servers in which nothing was reported.
pub(super) fn table(model: &Model) -> Table {
    let server = |server: &Server| WatchedServer {
        name: server.name.clone(),
        enabled: true,
        datacenter: model.datacenters[server.datacenter.0 as usize].name.clone(),
        datacenter_enabled: true,
        agent: true,
    };
    let virtual_server = |one: &VirtualServer| WatchedVirtualServer {
        server: one.server.0 as usize,
        name: one.name.clone(),
        enabled: true,
        monitored: false,
        report_interval: None,
    };
    let watched = Watched {
        servers: model.servers.iter().map(server).collect(),
        virtual_servers: model.virtual_servers.iter().map(virtual_server).collect(),
    };
    let ageing = Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) };
    let settings = status::Settings { ageing, startup_grace: Duration::from_secs(30) };
    Table::new(watched, settings, Moment::default())
}
