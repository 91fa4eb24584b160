//! The zones in use: where each comes from, which version it is, how its transfers went.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::clock::rfc3339;
use super::view::View;
use crate::metrics::Scrape;
use crate::transfer::{InboundState, ZoneState, ZoneStates};
use crate::update::{Sent, UpdateState, UpdateStates};
use crate::zone::{Zone, ZoneId};

/// Every zone, by name.
pub(super) fn status(view: &View, states: &ZoneStates, updates: &UpdateStates) -> Value {
    let (states, updates) = (states.all(), updates.all());
    let zones: BTreeMap<&ZoneId, &Zone> = view.zones.iter().map(|(id, zone)| (id, &**zone)).collect();
    zones.into_iter().map(|(id, zone)| one(view, id, zone, states.get(id), updates.get(id))).collect()
}

fn one(view: &View, id: &ZoneId, zone: &Zone, state: Option<&ZoneState>, updates: Option<&UpdateState>) -> Value {
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
    if let Some(updates) = updates_of(takes_updates(view, id), updates) {
        shown_fields.insert("updates".to_owned(), updates);
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

/// Whether somebody may update a zone here, or through this node at its primary.
fn takes_updates(view: &View, id: &ZoneId) -> bool {
    view.transfers.get(id).is_some_and(|policy| policy.takes_updates())
}

/// What became of the updates of a zone; none where it takes none and nobody tried.
pub(super) fn updates_of(takes_updates: bool, known: Option<&UpdateState>) -> Option<Value> {
    let nothing = UpdateState::default();
    let state = match known {
        Some(state) => state,
        None if takes_updates => &nothing,
        None => return None,
    };
    let counts: serde_json::Map<String, Value> =
        state.counts().map(|(result, count)| (result.as_str().to_owned(), json!(count))).collect();
    let sent = |sent: &Sent| {
        let (at, key) = (date(sent.at), sent.key.as_ref().map(ToString::to_string));
        json!({ "at": at, "key": key, "address": sent.source.to_string() })
    };
    let refused = state.last_refused.as_ref().map(|(refused, result)| {
        let mut shown = sent(refused);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("result".to_owned(), json!(result.as_str()));
        }
        shown
    });
    Some(json!({ "counts": counts, "last_done": state.last_done.as_ref().map(sent), "last_refused": refused }))
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
pub(super) fn scrape(view: &View, states: &ZoneStates, updates: &UpdateStates, scrape: &mut Scrape) {
    let (updates, nothing) = (updates.all(), UpdateState::default());
    for (id, zone) in &view.zones {
        match updates.get(id) {
            Some(known) => scrape_updates(id, known, scrape),
            // All results stand at zero from the start, so that the first one is seen to be counted.
            None if takes_updates(view, id) => scrape_updates(id, &nothing, scrape),
            None => {}
        }
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

fn scrape_updates(id: &ZoneId, state: &UpdateState, scrape: &mut Scrape) {
    scrape.zone_updates(&id.to_string(), state.counts(), state.last_done.as_ref().map(|sent| sent.at));
}
