//! The zones in use: where each comes from, which version it is, how its transfers went.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::clock::rfc3339;
use super::view::View;
use crate::metrics::Scrape;
use crate::transfer::{InboundState, ZoneState, ZoneStates};
use crate::zone::{Zone, ZoneId};

/// Every zone, by name.
pub(super) fn status(view: &View, states: &ZoneStates) -> Value {
    let states = states.all();
    let zones: BTreeMap<&ZoneId, &Zone> = view.zones.iter().map(|(id, zone)| (id, &**zone)).collect();
    zones.into_iter().map(|(id, zone)| one(view, id, zone, states.get(id))).collect()
}

fn one(view: &View, id: &ZoneId, zone: &Zone, state: Option<&ZoneState>) -> Value {
    let role = role(view, id);
    let is_served = zone.records() > 0;
    let mut shown = json!({
        "name": id.apex.to_string(),
        "view": id.view.as_str(),
        "role": role,
        "state": if is_served { "served" } else { "no version to serve" },
        "serial": is_served.then(|| zone.soa().serial),
        "records": zone.records(),
    });
    let Some(shown_fields) = shown.as_object_mut() else { return shown };
    if let Some(inbound) = state.and_then(|state| state.inbound.as_ref()) {
        shown_fields.extend(inbound_fields(inbound, view.now.unix_ms / 1000));
    }
    if let Some(members) = view.catalogs.get(id) {
        let refused = view.refused.iter().filter(|refused| refused.catalog == *id);
        let refused = refused.map(|one| json!({ "name": one.zone.apex.to_string(), "reason": one.reason }));
        shown_fields.insert("members".to_owned(), json!(members));
        shown_fields.insert("refused_members".to_owned(), refused.collect());
    }
    if let Some(member) = view.transfers.get(id).and_then(|policy| policy.primary.as_ref()?.member.as_ref()) {
        shown_fields.insert("member_of".to_owned(), json!(member.catalog.to_string()));
    }
    let secondaries = state.map(|state| &state.secondaries).filter(|all| !all.is_empty());
    if let Some(secondaries) = secondaries {
        let seen = secondaries.iter().map(
            |(address, seen)| json!({ "address": address.to_string(), "serial": seen.serial, "seen": date(seen.at) }),
        );
        shown_fields.insert("secondaries".to_owned(), seen.collect());
    }
    shown
}

/// Where a zone comes from, in a word.
fn role(view: &View, id: &ZoneId) -> &'static str {
    match view.transfers.get(id) {
        Some(policy) if policy.primary.is_some() => "secondary",
        Some(policy) if policy.catalog.is_some() => "catalog",
        Some(_) => "primary",
        // No zone of the configuration: it exists for a wide IP that stands in none.
        None => "synthetic",
    }
}

fn inbound_fields(inbound: &InboundState, now: u64) -> Vec<(String, Value)> {
    let fields = [
        ("primary", json!(inbound.primary.map(|address| address.to_string()))),
        ("last_success", json!(inbound.last_success.map(date))),
        ("last_error", json!(inbound.last_error.as_ref().map(|(_, reason)| reason))),
        ("last_error_time", json!(inbound.last_error.as_ref().map(|(at, _)| date(*at)))),
        ("next_refresh", json!(inbound.next_refresh.map(date))),
        ("expires_in_seconds", json!(inbound.expires.map(|expires| expires.saturating_sub(now)))),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn date(unix_seconds: u64) -> String {
    rfc3339(unix_seconds.saturating_mul(1000))
}

/// Fills in the series of zones.
pub(super) fn scrape(view: &View, states: &ZoneStates, scrape: &mut Scrape) {
    for (id, zone) in &view.zones {
        scrape.zone(&id.to_string(), zone.soa().serial, zone.records());
    }
    for (id, members) in &view.catalogs {
        let refused = view.refused.iter().filter(|refused| refused.catalog == *id).count();
        scrape.catalog(&id.to_string(), *members, refused);
    }
    for (id, state) in states.all() {
        let zone = id.to_string();
        if let Some(inbound) = &state.inbound {
            scrape.inbound_zone(&zone, inbound.last_success, inbound.expires);
        }
        for (secondary, seen) in &state.secondaries {
            scrape.secondary(&zone, *secondary, seen.serial);
        }
    }
}
