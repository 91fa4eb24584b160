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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{check, folder, load_with};
    use std::time::Duration;

    #[track_caller]
    fn monitor(text: &str) -> Monitor {
        let text = format!(
            "server: s\nmonitors: {{m: {{{text}}}}}\nstatic: {{virtual_servers: {{v: {{address: 192.0.2.1, port: 1, monitors: m}}}}}}"
        );
        let folder = folder(&[("a.yaml", &text), ("ca.pem", "-----BEGIN CERTIFICATE-----\n")]);
        let settings = crate::config::load_agent(&folder.path().join("a.yaml")).unwrap();
        let crate::agent::SourceSettings::Static { virtual_servers } = &settings.sources[0] else { panic!() };
        virtual_servers[0].monitors[0].clone()
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let found = monitor("type: http");
        assert_eq!((found.interval, found.timeout), (Duration::from_secs(5), Duration::from_secs(2)));
        assert_eq!((found.rise, found.fall, found.port), (2, 3, None));
        let Probe::Http { tls: None, method, path, host: None, expected_status, expected_body: None } = found.probe
        else {
            panic!("{found:?}");
        };
        assert_eq!((&*method, &*path, expected_status), ("GET", "/", vec![(200, 299)]));
        assert_eq!(monitor("type: tcp, interval: 1s").timeout, Duration::from_secs(1));
    }

    #[test]
    fn what_is_written_counts() {
        let found =
            monitor("type: https, method: HEAD, expected_status: [200, 301-302], verify: false, authority: ca.pem");
        let Probe::Http { tls: Some(tls), method, expected_status, .. } = found.probe else { panic!("{found:?}") };
        assert!(!tls.verify && tls.authority_pem.is_some());
        assert_eq!((&*method, expected_status), ("HEAD", vec![(200, 200), (301, 302)]));
    }

    #[test]
    fn monitors_that_cannot_work_are_refused() {
        let monitor = |text: &str, expected: &str| check(&format!("monitors: {{m: {{{text}}}}}"), expected);
        monitor("type: tpc", "2:22: monitors.m.type: `tpc` is not one of `tcp`, `http`, `https`; did you mean `tcp`?");
        monitor("type: tcp, path: /", "2:27: monitors.m.path: means nothing to a monitor of type tcp");
        monitor("type: http, verify: false", "2:28: monitors.m.verify: means nothing to a monitor of type http");
        monitor(
            "type: tcp, timeout: 6s",
            "2:36: monitors.m.timeout: 6s is longer than the interval of 5s: a probe must end before the next starts",
        );
        monitor(
            "type: tcp, interval: 1ms",
            "2:37: monitors.m.interval: 1ms is not from 100ms to 86399s: a target must not be flooded",
        );
        monitor("type: tcp, rise: 0", "2:33: monitors.m.rise: 0 is not from 1 to 100: at least one probe must succeed");
        monitor("type: http, path: healthz", "2:34: monitors.m.path: a path starts with `/` and has no white space");
        monitor(
            "type: http, expected_status: [200, 2xx]",
            "2:51: monitors.m.expected_status[1]: `2xx` is not an HTTP status such as `200`, or a range such as `200-299`",
        );
        monitor(
            "type: https, authority: none.pem",
            "2:40: monitors.m.authority: cannot read none.pem: there is no such file",
        );
        let text = "node: n\nmonitors: {m: {type: https, authority: fairlead.yaml}}";
        let errors = load_with(text, &[]).err().unwrap();
        assert!(errors[0].ends_with("holds no certificate in PEM"), "{errors:?}");
    }
}
