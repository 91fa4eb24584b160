//! Monitors: what is written → what is probed.

use std::path::Path;
use std::sync::Arc;

use crate::monitor::{Monitor, Probe, Tls};

use super::collections::{Named, OneOrMore};
use super::file::{self, MonitorType};
use super::issues::Issues;
use super::limits;
use super::names::{Names, check_object_name};
use super::node::Place;
use super::sources::{Reader, show_io};

/// The monitors of a configuration, by name.
pub(crate) struct Monitors<'a> {
    list: Vec<Monitor>,
    names: Names<'a, usize>,
}

impl<'a> Monitors<'a> {
    /// Checks every monitor of the map at `place`.
    pub(crate) fn resolve(written: &'a Named<file::Monitor>, place: &Place<'_>, reader: &Reader<'_>) -> Self {
        let mut monitors = Self { list: Vec::new(), names: Names::new("monitor") };
        for (index, name, monitor) in written.iter() {
            let place = place.entry(index);
            check_object_name(name, &place, reader.issues);
            let id = monitor.map(|monitor| {
                monitors.list.push(resolve_monitor(name, monitor, &place, reader));
                monitors.list.len() - 1
            });
            monitors.names.insert(name, id);
        }
        monitors
    }

    /// The monitors of these names.
    pub(crate) fn find(&self, names: &OneOrMore<String>, place: &Place<'_>, issues: &Issues) -> Vec<Monitor> {
        let mut found: Vec<Monitor> = Vec::new();
        for (index, name) in names.0.iter().enumerate() {
            let place = place.one_or_item(index);
            let Some(monitor) = self.names.find(name, &place, issues).and_then(|id| self.list.get(id)) else {
                continue;
            };
            if found.iter().any(|other| other.name == monitor.name) {
                issues.error(&place, format!("the monitor `{name}` is named twice"));
            } else {
                found.push(monitor.clone());
            }
        }
        found
    }
}

fn resolve_monitor(name: &str, written: &file::Monitor, place: &Place<'_>, reader: &Reader<'_>) -> Monitor {
    let issues = reader.issues;
    let interval = limits::MONITOR_INTERVAL.take(written.interval.map(|w| w.0), &place.field("interval"), issues);
    let timeout = match &written.timeout {
        Some(timeout) => limits::MONITOR_TIMEOUT.take(Some(timeout.0), &place.field("timeout"), issues),
        None => limits::MONITOR_TIMEOUT.default.min(interval),
    };
    if timeout > interval {
        let message = format!(
            "{} is longer than the interval of {}: a probe must end before the next starts",
            limits::Quantity::show(timeout),
            limits::Quantity::show(interval)
        );
        issues.error(&place.field("timeout"), message);
    }
    if written.port == Some(0) {
        issues.error(&place.field("port"), "0 is not a port");
    }
    Monitor {
        name: name.into(),
        probe: resolve_probe(written, place, reader),
        interval,
        timeout,
        rise: limits::MONITOR_RISE.take(written.rise, &place.field("rise"), issues),
        fall: limits::MONITOR_FALL.take(written.fall, &place.field("fall"), issues),
        port: written.port,
    }
}

/// The keys that mean something to requests alone.
const HTTP_KEYS: [&str; 5] = ["path", "host", "method", "expected_status", "expected_body"];
/// The keys that mean something to TLS alone.
const TLS_KEYS: [&str; 2] = ["verify", "authority"];

fn resolve_probe(written: &file::Monitor, place: &Place<'_>, reader: &Reader<'_>) -> Probe {
    let (kind, foreign): (&str, &[&[&'static str]]) = match written.monitor_type {
        MonitorType::Tcp => ("tcp", &[&HTTP_KEYS, &TLS_KEYS]),
        MonitorType::Http => ("http", &[&TLS_KEYS]),
        MonitorType::Https => ("https", &[]),
    };
    for key in foreign.iter().copied().flatten().filter(|key| place.has(key)) {
        reader.issues.error_at_key(&place.field(key), format!("means nothing to a monitor of type {kind}"));
    }
    if written.monitor_type == MonitorType::Tcp {
        return Probe::Tcp;
    }
    let path = written.path.as_deref().unwrap_or("/");
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.issues.error(&place.field("path"), "a path starts with `/` and has no white space");
    }
    if let Some(host) = &written.host
        && (host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        reader.issues.error(&place.field("host"), "a host has no white space and is not empty");
    }
    let statuses = written.expected_status.as_ref().map(|ranges| ranges.0.iter().map(|r| (r.0.0, r.0.1)).collect());
    Probe::Http {
        tls: (written.monitor_type == MonitorType::Https).then(|| Tls {
            verify: written.verify.unwrap_or(true),
            authority_pem: written.authority.as_deref().and_then(|path| read_authority(path, place, reader)),
        }),
        method: match written.method {
            Some(file::Method::Head) => "HEAD".into(),
            Some(file::Method::Get) | None => "GET".into(),
        },
        path: path.into(),
        host: written.host.as_deref().map(Arc::from),
        expected_status: statuses.unwrap_or_else(|| vec![(200, 299)]),
        expected_body: written.expected_body.as_deref().map(Arc::from),
    }
}

fn read_authority(path: &Path, place: &Place<'_>, reader: &Reader<'_>) -> Option<Arc<str>> {
    let place = place.field("authority");
    let (path, read) = reader.text(path, &place, limits::PEM_FILE_BYTES_MAX);
    match read {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => Some(Arc::from(&*text)),
        Ok(_) => {
            reader.issues.error(&place, format!("{} holds no certificate in PEM", path.display()));
            None
        }
        Err(error) => {
            reader.issues.error(&place, format!("cannot read {}: {}", path.display(), show_io(&error)));
            None
        }
    }
}
