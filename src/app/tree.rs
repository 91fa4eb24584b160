//! What is known, as a tree for people and programs, and as series for Prometheus.

use serde_json::{Map, Value, json};

use super::clock::{millis, rfc3339};
use super::view::View;
use crate::metrics::Scrape;
use crate::status::{Measurements, Override, Status};
use crate::wideip::{
    Datacenter, DatacenterId, MemberTarget, Pattern, Pool, PoolId, Server, ServerId, VirtualServer, VirtualServerId,
    WideIp, WideIpId,
};

/// The state of every object: datacenter → server → virtual server, and wide IP → pool → member.
pub(super) fn status(view: &View) -> Value {
    let model = view.tables.model();
    let datacenters = (0_u32..).map(DatacenterId).zip(&model.datacenters);
    let wide_ips = (0_u32..).map(WideIpId).zip(&model.wide_ips);
    json!({
        "node": &*view.node,
        "generation": view.generation,
        "time": rfc3339(view.now.unix_ms),
        "datacenters": datacenters.map(|(id, one)| datacenter(view, id, one)).collect::<Vec<_>>(),
        "wide_ips": wide_ips.map(|(id, one)| wide_ip(view, id, one)).collect::<Vec<_>>(),
        "overrides": view.overrides.iter().map(|one| override_of(view, one)).collect::<Vec<_>>(),
    })
}

/// What an operator said of an object.
fn override_of(view: &View, one: &Override) -> Value {
    json!({
        "kind": one.kind.to_string(),
        "name": &*one.name,
        "enabled": one.enabled.map(|enabled| enabled.to_string()),
        "until": one.until.map(|until| rfc3339(view.now.unix_ms_of(until))),
        "reason": &*one.reason,
    })
}

fn datacenter(view: &View, id: DatacenterId, datacenter: &Datacenter) -> Value {
    let servers = (0_u32..).map(ServerId).zip(&view.tables.model().servers);
    let of_datacenter = servers.filter(|(_, server)| server.datacenter == id);
    let servers: Vec<Value> = of_datacenter.map(|(id, one)| server(view, id, one)).collect();
    let fields = [("name", json!(&*datacenter.name)), ("servers", json!(servers))];
    object(view, view.summaries.datacenter(&datacenter.name), fields)
}

fn server(view: &View, id: ServerId, server: &Server) -> Value {
    let virtual_servers = (0_u32..).map(VirtualServerId).zip(&view.tables.model().virtual_servers);
    let of_server = virtual_servers.filter(|(_, one)| one.server == id);
    let virtual_servers: Vec<Value> = of_server.map(|(id, one)| virtual_server(view, id, one)).collect();
    let fields = [
        ("name", json!(&*server.name)),
        ("agent", json!(server.agent.map(|address| address.to_string()))),
        ("virtual_servers", json!(virtual_servers)),
    ];
    object(view, view.summaries.server(&server.name), fields)
}

fn virtual_server(view: &View, id: VirtualServerId, one: &VirtualServer) -> Value {
    let known = view.tables.virtual_server(id);
    let fields = [
        ("name", json!(&*one.name)),
        ("address", json!(one.address.map(|address| address.to_string()))),
        ("measurements", known.map(|known| measurements(&known.measurements)).unwrap_or_default()),
    ];
    object(view, known.map(|known| &known.status), fields)
}

fn wide_ip(view: &View, id: WideIpId, wide_ip: &WideIp) -> Value {
    let pool = |id: PoolId, ratio: Option<u16>| {
        let found = view.tables.model().pool(id)?;
        Some(self::pool(view, id, found, ratio))
    };
    let pools: Vec<Value> = wide_ip.pools.iter().filter_map(|used| pool(used.pool, Some(used.ratio))).collect();
    let fields = [
        ("name", json!(pattern(&wide_ip.name))),
        ("aliases", json!(wide_ip.aliases.iter().map(pattern).collect::<Vec<_>>())),
        ("type", json!(wide_ip.record_type.to_string())),
        ("pools", json!(pools)),
        ("last_resort", wide_ip.last_resort.and_then(|id| pool(id, None)).unwrap_or_default()),
    ];
    object(view, view.tables.wide_ip_status(id).as_ref(), fields)
}

fn pool(view: &View, id: PoolId, pool: &Pool, ratio: Option<u16>) -> Value {
    let members: Vec<Value> = (0..pool.members.len()).map(|at| member(view, id, pool, at)).collect();
    let fields = [
        ("name", json!(&*pool.name)),
        ("ratio", json!(ratio)),
        ("ttl_seconds", json!(pool.ttl_seconds)),
        ("members", json!(members)),
    ];
    object(view, view.tables.pool_status(id).as_ref(), fields)
}

fn member(view: &View, id: PoolId, pool: &Pool, at: usize) -> Value {
    let model = view.tables.model();
    let member = pool.members.get(at);
    let address = member.and_then(|member| match &member.target {
        MemberTarget::VirtualServer(id) => model.virtual_server(*id)?.address,
        MemberTarget::Name { .. } => None,
    });
    let fields = [
        ("name", json!(member.map(|member| model.member_name(member).to_string()))),
        ("address", json!(address.map(|address| address.to_string()))),
        ("ratio", json!(member.map(|member| member.ratio))),
    ];
    object(view, view.tables.member_status(id, at).as_ref(), fields)
}

/// An object: its own fields, the two axes, why, who says so and since when.
fn object<const N: usize>(view: &View, status: Option<&Status>, fields: [(&str, Value); N]) -> Value {
    let mut object: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let Some(status) = status else { return Value::Object(object) };
    let age = status.reported.map(|reported| millis(view.now.moment.since(reported)) / 1000);
    let state = [
        ("availability", json!(status.availability.to_string())),
        ("enabled", json!(status.enabled.to_string())),
        ("reason", json!(&*status.reason)),
        ("source", json!(status.source.to_string())),
        ("since", json!(rfc3339(view.now.unix_ms_of(status.since)))),
        ("age_seconds", json!(age)),
    ];
    object.extend(state.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(object)
}

/// What was measured; what was not is left out.
pub(super) fn measurements(measured: &Measurements) -> Value {
    let fields = [
        ("members_up", measured.members_up.map(Value::from)),
        ("members_total", measured.members_total.map(Value::from)),
        ("connections", measured.connections.map(Value::from)),
        ("connection_rate", measured.connection_rate.map(Value::from)),
        ("bits_in", measured.bits_in.map(Value::from)),
        ("bits_out", measured.bits_out.map(Value::from)),
        ("packets_in", measured.packets_in.map(Value::from)),
        ("packets_out", measured.packets_out.map(Value::from)),
        ("queue", measured.queue.map(Value::from)),
        ("cpu_percent", measured.cpu_percent.map(Value::from)),
        ("memory_free_bytes", measured.memory_free_bytes.map(Value::from)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

fn pattern(pattern: &Pattern) -> String {
    let (Pattern::Exact(name) | Pattern::Glob(name)) = pattern;
    name.to_string()
}

/// Fills in the series that are only known when a scrape happens.
pub(super) fn scrape(view: &View, scrape: &mut Scrape) {
    let model = view.tables.model();
    for (id, one) in (0_u32..).map(VirtualServerId).zip(&model.virtual_servers) {
        if let (Some(known), Some(server)) = (view.tables.virtual_server(id), model.server(one.server)) {
            let age = known.status.reported.map(|reported| view.now.moment.since(reported));
            scrape.virtual_server(&server.name, &one.name, known.status.availability, known.status.enabled, age);
        }
    }
    for (id, pool) in (0_u32..).map(PoolId).zip(&model.pools) {
        if let Some(status) = view.tables.pool_status(id) {
            scrape.pool(&pool.name, status.availability);
        }
        for (at, member) in pool.members.iter().enumerate() {
            if let Some(status) = view.tables.member_status(id, at) {
                scrape.member(&pool.name, &model.member_name(member), status.availability, status.enabled);
            }
        }
    }
    for id in (0_u32..).map(WideIpId).take(model.wide_ips.len()) {
        if let Some(status) = view.tables.wide_ip_status(id) {
            scrape.wide_ip(&model.wide_ip_name(id), status.availability);
        }
    }
}
