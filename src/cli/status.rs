//! `fairlead status`: the tree of objects with their state.

use serde_json::Value;

use super::args::{Output, StatusArgs};
use super::output::{self, Paint, paint};
use super::{Colour, ask_data};
use crate::app::control::Request;

/// How far apart the columns of name and state are.
const NAME_WIDTH: usize = 44;

/// Prints the state of every object of the running node.
pub(super) fn run(args: &StatusArgs) -> Result<(), String> {
    let status = ask_data(&args.control.control, &Request::Status)?;
    match args.output {
        Output::Json => output::json(&status),
        Output::Text => output::line(text(&status, Colour::for_stdout()).trim_end()),
    }
    Ok(())
}

/// The status tree as people read it.
pub(super) fn text(status: &Value, colour: Colour) -> String {
    let field = |name: &str| status.get(name).map(plain).unwrap_or_default();
    let mut out = format!("node {}, generation {}, {}\n", field("node"), field("generation"), field("time"));
    for (key, kind) in [("datacenters", "datacenter"), ("wide_ips", "wide IP")] {
        for object in list(status, key) {
            branch(&mut out, object, kind, 0, colour);
        }
    }
    for zone in list(status, "zones") {
        out.push_str(&zone_line(zone));
    }
    for one in list(status, "overrides") {
        let field = |name: &str| one.get(name).map(plain).unwrap_or_default();
        let until = field("until");
        let until = if until.is_empty() { String::new() } else { format!(" until {until}") };
        let reason = field("reason");
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        out.push_str(&format!("override: {} {} {}{until}{reason}\n", field("kind"), field("name"), field("enabled")));
    }
    for one in list(status, "tasks") {
        let field = |name: &str| one.get(name).map(plain).unwrap_or_default();
        let (state, restarts, last) = (field("state"), field("restarts"), field("last_panic_seconds_ago"));
        let paint_as = if state == "keeps panicking" { Paint::Red } else { Paint::Yellow };
        let text = format!("{state}, started again {restarts} times, last panic {last} s ago");
        out.push_str(&format!("task {}: {}\n", field("name"), paint(paint_as, &text, colour)));
    }
    for one in list(status, "zone_file_conflicts") {
        let field = |name: &str| one.get(name).map(plain).unwrap_or_default();
        let (zone, file, since) = (field("zone"), field("file"), field("since"));
        let text = format!("the edited file {file} is not in use since {since}: `fairlead zone status {zone}`");
        out.push_str(&format!("zone {zone}: {}\n", paint(Paint::Red, &text, colour)));
    }
    out
}

/// A zone: its role and version, and for a secondary how it stands with its primaries.
fn zone_line(zone: &Value) -> String {
    let field = |name: &str| zone.get(name).map(plain).unwrap_or_default();
    let state = if field("serial").is_empty() { field("state") } else { format!("serial {}", field("serial")) };
    let name = format!("zone {} {}", field("name"), field("role"));
    let mut line = format!("{name:<NAME_WIDTH$} {state}");
    for (key, label) in [("last_success", "confirmed"), ("next_refresh", "next refresh"), ("last_error", "error")] {
        if !field(key).is_empty() {
            line.push_str(&format!(", {label} {}", field(key)));
        }
    }
    if !field("expires_in_seconds").is_empty() {
        line.push_str(&format!(", expires in {} s", field("expires_in_seconds")));
    }
    for one in list(zone, "secondaries") {
        let field = |name: &str| one.get(name).map(plain).unwrap_or_default();
        line.push_str(&format!(", {} has {}", field("address"), field("serial")));
    }
    line + &updates(zone) + "\n"
}

/// What became of the dynamic updates of a zone, as the end of its line: the results that there were, and who was last to
/// change the zone and to be refused. Nothing where it takes none.
pub(super) fn updates(zone: &Value) -> String {
    let Some(updates) = zone.get("updates").filter(|updates| updates.is_object()) else { return String::new() };
    let counts = updates.get("counts").and_then(Value::as_object);
    let counts = counts.into_iter().flatten().filter(|(_, count)| count.as_u64() != Some(0));
    let counts: Vec<String> = counts.map(|(result, count)| format!("{count} {result}")).collect();
    if counts.is_empty() {
        return ", no updates yet".to_owned();
    }
    let mut text = format!(", updates: {}", counts.join(", "));
    for (key, label) in [("last_done", "last done"), ("last_refused", "last refused")] {
        let Some(sent) = updates.get(key).filter(|sent| sent.is_object()) else { continue };
        let field = |name: &str| sent.get(name).map(plain).unwrap_or_default();
        let signed = if field("key").is_empty() { "no key".to_owned() } else { format!("key {}", field("key")) };
        let result = if field("result").is_empty() { String::new() } else { format!(" ({})", field("result")) };
        text.push_str(&format!(", {label}{result} {} by {} with {signed}", field("at"), field("address")));
    }
    text
}

/// One object and what it holds.
fn branch(out: &mut String, object: &Value, kind: &str, depth: usize, colour: Colour) {
    let field = |name: &str| object.get(name).map(plain).unwrap_or_default();
    let mut name = format!("{}{kind} {}", "  ".repeat(depth), field("name"));
    for extra in ["type", "address", "agent"] {
        if object.get(extra).is_some_and(|value| !value.is_null()) {
            name = format!("{name} {}", field(extra));
        }
    }
    let (availability, enabled) = (field("availability"), field("enabled"));
    let paint_as = match (availability.as_str(), enabled.as_str()) {
        (_, "disabled" | "disabled by parent") => Paint::Dim,
        ("available", _) => Paint::Green,
        ("offline", _) => Paint::Red,
        ("unavailable", _) => Paint::Yellow,
        _ => Paint::Blue,
    };
    let state = if enabled == "enabled" { availability } else { format!("{availability}, {enabled}") };
    out.push_str(&format!("{name:<NAME_WIDTH$} {}", paint(paint_as, &state, colour)));
    if !field("reason").is_empty() {
        out.push_str(&format!("  {}", field("reason")));
    }
    if !field("age_seconds").is_empty() {
        out.push_str(&format!("  ({}, {} s ago)", field("source"), field("age_seconds")));
    }
    out.push('\n');
    let children =
        [("servers", "server"), ("virtual_servers", "virtual server"), ("pools", "pool"), ("members", "member")];
    for (key, kind) in children {
        for child in list(object, key) {
            branch(out, child, kind, depth + 1, colour);
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A value without JSON's quotes; nothing for null.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tree_is_one_line_per_object() {
        let status = json!({
            "node": "ns1", "generation": 3, "time": "2026-11-20T10:00:00Z",
            "datacenters": [{"name": "newyork", "availability": "available", "enabled": "enabled", "servers": [
                {"name": "ny-lb1", "availability": "available", "enabled": "disabled", "reason": "kernel", "agent": null}]}],
            "wide_ips": [{"name": "www.example.com.", "type": "A", "availability": "offline", "enabled": "enabled",
                "source": "derived", "age_seconds": 2}],
            "zones": [{"name": "example.", "role": "secondary", "serial": 7, "last_success": "t1", "last_error": "no", "next_refresh": "t2",
                "expires_in_seconds": 9, "secondaries": [{"address": "192.0.2.1", "serial": 6}]},
                {"name": "none.", "role": "secondary", "serial": null, "state": "no version to serve"},
                {"name": "new.", "role": "primary", "serial": 1, "updates": {"counts": {"done": 0}, "last_done": null}},
                {"name": "dyn.", "role": "primary", "serial": 1, "updates": {"counts": {"done": 2, "unchanged": 0, "refused": 1},
                    "last_done": {"at": "t1", "key": "dhcp.", "address": "192.0.2.1"},
                    "last_refused": {"at": "t2", "key": null, "address": "192.0.2.2", "result": "refused"}}}],
            "tasks": [{"name": "mesh", "restarts": 5, "in_a_row": 3, "last_panic_seconds_ago": 2, "state": "keeps panicking"}],
            "overrides": [{"kind": "server", "name": "ny-lb1", "enabled": "disabled", "until": null, "reason": "kernel"}],
        });
        let text = text(&status, Colour::Never);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0].join(" "), "node ns1, generation 3, 2026-11-20T10:00:00Z");
        assert_eq!(lines[1].join(" "), "datacenter newyork available");
        assert_eq!(lines[2].join(" "), "server ny-lb1 available, disabled kernel");
        assert_eq!(lines[3].join(" "), "wide IP www.example.com. A offline (derived, 2 s ago)");
        let zone = "zone example. secondary serial 7, confirmed t1, next refresh t2, error no, expires in 9 s, 192.0.2.1 has 6";
        assert_eq!(lines[4].join(" "), zone);
        assert_eq!(lines[5].join(" "), "zone none. secondary no version to serve");
        assert_eq!(lines[6].join(" "), "zone new. primary serial 1, no updates yet");
        let dynamic = "zone dyn. primary serial 1, updates: 2 done, 1 refused, last done t1 by 192.0.2.1 with key dhcp., \
                       last refused (refused) t2 by 192.0.2.2 with no key";
        assert_eq!(lines[7].join(" "), dynamic);
        assert_eq!(lines[8].join(" "), "override: server ny-lb1 disabled: kernel");
        assert_eq!(lines[9].join(" "), "task mesh: keeps panicking, started again 5 times, last panic 2 s ago");
        assert!(!text.contains('\x1b'));
    }
}
