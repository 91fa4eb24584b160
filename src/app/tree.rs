//! What is known, as a tree for people and programs, and as series for Prometheus.

use serde_json::{Map, Value, json};

use super::clock::{millis, rfc3339};
use super::names;
use super::view::View;
use crate::metrics::Scrape;
use crate::status::{Measurements, Status};
use crate::wideip::{ServerId, VirtualServer};

/// The state of every object: datacenter → server → virtual server.
pub(super) fn status(view: &View) -> Value {
    json!({
        "node": &*view.node,
        "generation": view.generation,
        "time": rfc3339(view.now.unix_ms),
        "datacenters": datacenters(view),
    })
}

fn datacenters(view: &View) -> Vec<Value> {
    let of_datacenter = |(number, datacenter): (u32, &crate::wideip::Datacenter)| {
        let servers = (0_u32..).map(ServerId).zip(&view.model.servers);
        let servers = servers.filter(|(_, server)| server.datacenter.0 == number);
        let servers: Vec<Value> = servers.map(|(id, server)| self::server(view, id, server)).collect();
        json!({ "name": &*datacenter.name, "servers": servers })
    };
    (0_u32..).zip(&view.model.datacenters).map(of_datacenter).collect()
}

fn server(view: &View, id: ServerId, server: &crate::wideip::Server) -> Value {
    let virtual_servers = view.model.virtual_servers.iter().enumerate().filter(|(_, one)| one.server == id);
    let virtual_servers: Vec<Value> = virtual_servers.map(|(index, one)| virtual_server(view, index, one)).collect();
    json!({
        "name": &*server.name,
        "agent": server.agent.map(|address| address.to_string()),
        "virtual_servers": virtual_servers,
    })
}

fn virtual_server(view: &View, index: usize, one: &VirtualServer) -> Value {
    let mut object = view.table.status(index).map(|status| state(view, status)).unwrap_or_default();
    object.insert("name".into(), json!(&*one.name));
    object.insert("address".into(), json!(one.address.map(|address| address.to_string())));
    object.insert("measurements".into(), measurements(&view.table.measurements(index)));
    Value::Object(object)
}

/// The two axes, why, who says so and since when.
fn state(view: &View, status: &Status) -> Map<String, Value> {
    let age = status.reported.map(|reported| millis(view.now.moment.since(reported)) / 1000);
    let fields = [
        ("availability", json!(status.availability.to_string())),
        ("enabled", json!(status.enabled.to_string())),
        ("reason", json!(&*status.reason)),
        ("source", json!(status.source.to_string())),
        ("since", json!(rfc3339(view.now.unix_ms_of(status.since)))),
        ("age_seconds", json!(age)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What was measured; what was not is left out.
fn measurements(measured: &Measurements) -> Value {
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

/// Fills in the series that are only known when a scrape happens.
pub(super) fn scrape(view: &View, scrape: &mut Scrape) {
    for (index, one) in view.model.virtual_servers.iter().enumerate() {
        let (Some(status), Some(server)) =
            (view.table.status(index), view.model.servers.get(names::index(one.server.0)))
        else {
            continue;
        };
        let age = status.reported.map(|reported| view.now.moment.since(reported));
        scrape.virtual_server(&server.name, &one.name, status.availability, status.enabled, age);
    }
}
