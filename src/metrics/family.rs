//! The declaration of every metric: its name, help, kind and labels, in one table.

use prometheus::core::Desc;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Octets of a label value that are kept; a configured name is at most 255.
const LABEL_OCTETS_MAX: usize = 255;

/// One metric as declared.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    kind: Kind,
    pub(super) labels: &'static [&'static str],
}

/// Whether a metric only grows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter, labels }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge, labels }
}

pub(super) const QUERIES: Family = counter(
    "fairlead_queries_total",
    &["protocol", "type", "rcode", "source"],
    "Queries answered, by what was asked and what became of it.",
);
pub(super) const REPLY_BYTES: Family =
    counter("fairlead_reply_bytes_total", &["protocol"], "Octets of replies, DNS message only.");
pub(super) const TRUNCATED: Family =
    counter("fairlead_truncated_replies_total", &["protocol"], "Replies cut to fit, with TC set.");
pub(super) const DROPPED: Family =
    counter("fairlead_dropped_packets_total", &["protocol", "reason"], "Packets that got no reply, and why.");
pub(super) const COOKIES: Family = counter(
    "fairlead_cookies_total",
    &["protocol", "result"],
    "Queries with a DNS cookie, by what it came to; all others have none, or cookies are off.",
);
pub(super) const ERRORS: Family = counter(
    "fairlead_extended_errors_total",
    &["protocol", "code"],
    "Replies with an extended DNS error, by its code.",
);
pub(super) const SIGNED_QUERIES: Family =
    counter("fairlead_tsig_queries_total", &["result"], "Queries with a TSIG record, by what its check came to.");
pub(super) const TRANSFERS: Family = counter(
    "fairlead_transfers_total",
    &["direction", "kind", "result"],
    "Zone transfers asked of this node (out) and by it (in), and what became of them.",
);
pub(super) const UPDATES: Family =
    counter("fairlead_updates_total", &["result"], "Dynamic updates of zones, by what became of them.");
pub(super) const ZONE_UPDATES: Family = counter(
    "fairlead_zone_updates_total",
    &["zone", "result"],
    "Dynamic updates of one zone since the start, by what became of them.",
);
pub(super) const ZONE_UPDATED: Family = gauge(
    "fairlead_zone_last_update_timestamp_seconds",
    &["zone"],
    "When a dynamic update last changed a zone, in seconds since 1970.",
);
pub(super) const VIEW_QUERIES: Family = counter(
    "fairlead_view_queries_total",
    &["view"],
    "Queries by the view they were answered from, where views are configured; `-` is those that no view took.",
);
pub(super) const NOTIFIES: Family = counter(
    "fairlead_notifies_total",
    &["direction", "result"],
    "Notifications of changed zones sent (out) and received (in), and what became of them.",
);
pub(super) const SECONDARY_SERIAL: Family = gauge(
    "fairlead_secondary_serial",
    &["zone", "secondary"],
    "The serial of a zone that a secondary was last seen with.",
);
pub(super) const JOURNAL_CHANGES: Family =
    gauge("fairlead_journal_changes", &["zone"], "Changes of a zone that are in the journal and not in its file.");
pub(super) const JOURNAL_BYTES: Family =
    gauge("fairlead_journal_bytes", &["zone"], "Octets that the changes of a zone take in the journal.");
pub(super) const JOURNAL_AGE: Family = gauge(
    "fairlead_journal_oldest_change_age_seconds",
    &["zone"],
    "The age of the oldest change of a zone that is not in its file.",
);
pub(super) const ZONE_CONFLICTS: Family = gauge(
    "fairlead_zone_file_conflicts",
    &["zone"],
    "RRsets where an edited zone file meets dynamic updates: above 0, the file is not in use.",
);
pub(super) const JOURNAL_COMMITS: Family =
    counter("fairlead_journal_commits_total", &["result"], "Commits of the journal, and whether they became durable.");
/// The name and help of the histogram of commits.
pub(super) const JOURNAL_COMMIT_SECONDS: (&str, &str) =
    ("fairlead_journal_commit_seconds", "How long it took until a commit of the journal was durable.");
pub(super) const DECISIONS: Family = counter(
    "fairlead_decisions_total",
    &["wide_ip", "pool", "outcome"],
    "Decisions of wide IPs, by the pool that answered and the reason it did.",
);
pub(super) const PANICS: Family =
    counter("fairlead_panics_total", &["site"], "Faults of our own that were caught; each cost one answer or task.");
pub(super) const TASK_RESTARTS: Family = counter(
    "fairlead_task_restarts_total",
    &["task"],
    "Times a task beside the answer path panicked and was started again.",
);
pub(super) const LIMIT_HITS: Family =
    counter("fairlead_limit_hits_total", &["limit"], "Times a limit refused, closed or dropped something.");
pub(super) const RATE_LIMITED: Family = counter(
    "fairlead_rate_limited_responses_total",
    &["kind", "action"],
    "Responses over the rate that their client may have, and what became of them.",
);
pub(super) const TCP_CONNECTIONS: Family =
    gauge("fairlead_tcp_connections", &["state"], "TCP connections open, by what they are doing.");
pub(super) const TCP_CLOSED: Family =
    counter("fairlead_tcp_closed_connections_total", &["reason"], "TCP connections that ended, and why.");
pub(super) const KERNEL_UDP: Family = counter(
    "fairlead_udp_kernel_errors_total",
    &["family", "kind"],
    "Datagrams the kernel of this host dropped or refused, for every program on it.",
);
pub(super) const SOCKET_DROPS: Family = counter(
    "fairlead_udp_socket_drops_total",
    &["address"],
    "Queries the kernel dropped because a listener's receive buffer was full.",
);
pub(super) const BUILD: Family =
    gauge("fairlead_build_info", &["version", "revision"], "Always 1; the labels say what runs.");
pub(super) const GENERATION: Family =
    gauge("fairlead_snapshot_generation", &[], "The generation of the snapshot in use; it grows with every publish.");
pub(super) const READY: Family =
    gauge("fairlead_ready", &[], "1 once the first round of health is in, or its time-out passed.");
pub(super) const RELOADS: Family =
    counter("fairlead_config_reloads_total", &["result"], "Configuration reloads, and how they ended.");
pub(super) const RELOAD_SUCCESS: Family =
    gauge("fairlead_config_last_reload_successful", &[], "1 when the last configuration reload was applied.");
pub(super) const RELOAD_TIME: Family = gauge(
    "fairlead_config_last_reload_success_timestamp_seconds",
    &[],
    "When the configuration in use was loaded, in seconds since 1970.",
);
pub(super) const VIRTUAL_SERVER_AVAILABILITY: Family = gauge(
    "fairlead_virtual_server_availability",
    &["server", "virtual_server", "availability"],
    "1 for the availability a virtual server has, 0 for the others.",
);
pub(super) const VIRTUAL_SERVER_ENABLED: Family = gauge(
    "fairlead_virtual_server_enabled",
    &["server", "virtual_server"],
    "1 when a virtual server and all that holds it are enabled.",
);
pub(super) const REPORT_AGE: Family = gauge(
    "fairlead_virtual_server_report_age_seconds",
    &["server", "virtual_server"],
    "Age of the newest report on a virtual server.",
);
pub(super) const MEMBER_AVAILABILITY: Family = gauge(
    "fairlead_pool_member_availability",
    &["pool", "member", "availability"],
    "1 for the availability a pool member has, 0 for the others.",
);
pub(super) const MEMBER_ENABLED: Family = gauge(
    "fairlead_pool_member_enabled",
    &["pool", "member"],
    "1 when a pool member and all that holds it are enabled.",
);
pub(super) const POOL_AVAILABILITY: Family = gauge(
    "fairlead_pool_availability",
    &["pool", "availability"],
    "1 for the availability a pool has, 0 for the others.",
);
pub(super) const WIDE_IP_AVAILABILITY: Family = gauge(
    "fairlead_wide_ip_availability",
    &["wide_ip", "availability"],
    "1 for the availability a wide IP has, 0 for the others.",
);
pub(super) const STATUS_CHANGES: Family =
    counter("fairlead_status_changes_total", &["kind"], "Changes of an object's availability or enabled state.");
pub(super) const PEER_UP: Family =
    gauge("fairlead_mesh_peer_up", &["peer"], "1 when the mesh session of a peer is up.");
pub(super) const PEER_SILENCE: Family =
    gauge("fairlead_mesh_peer_last_frame_age_seconds", &["peer"], "Time since a peer was last heard.");
pub(super) const PEER_SKEW: Family =
    gauge("fairlead_mesh_peer_clock_skew_seconds", &["peer"], "How far a peer's clock is ahead of ours.");
pub(super) const SOURCE_UP: Family =
    gauge("fairlead_agent_source_up", &["source"], "1 when a source of virtual servers could be read last time.");
pub(super) const SOURCE_AGE: Family =
    gauge("fairlead_agent_source_age_seconds", &["source"], "Time since a source was last read without an error.");
pub(super) const SOURCE_VIRTUAL_SERVERS: Family =
    gauge("fairlead_agent_source_virtual_servers", &["source"], "Virtual servers a source tells of.");
pub(super) const PROBES: Family = counter("fairlead_monitor_probes_total", &["result"], "Probes by what came of them.");
pub(super) const PROBES_RUNNING: Family =
    gauge("fairlead_monitor_probes_running", &[], "Probes under way; the cap is the schedule's.");
pub(super) const PROBES_WAITING: Family =
    gauge("fairlead_monitor_probes_waiting", &[], "Probes that are due and wait for others to end.");
pub(super) const PEER_REPORT_AGE: Family =
    gauge("fairlead_mesh_peer_last_report_age_seconds", &["peer"], "Age of the last report taken from a peer.");
pub(super) const PEER_SESSIONS: Family =
    counter("fairlead_mesh_peer_sessions_total", &["peer"], "Mesh sessions with a peer that came up.");
pub(super) const PEER_OCTETS: Family =
    counter("fairlead_mesh_peer_octets_total", &["peer", "direction"], "Octets exchanged with a peer inside TLS.");
pub(super) const PEER_FAILURES: Family =
    counter("fairlead_mesh_peer_failures_total", &["peer", "reason"], "Mesh sessions that failed or ended.");
pub(super) const PEER_FRAMES_REFUSED: Family = counter(
    "fairlead_mesh_peer_frames_refused_total",
    &["peer", "reason"],
    "Frames of a peer, or entries of them, that were not taken while the session went on.",
);
pub(super) const MESH_REFUSED: Family = counter(
    "fairlead_mesh_connections_refused_total",
    &["reason"],
    "Mesh connections refused before it was known whose they were.",
);
pub(super) const CERTIFICATE_EXPIRY: Family = gauge(
    "fairlead_certificate_expiry_timestamp_seconds",
    &["certificate"],
    "When a certificate expires, in seconds since 1970.",
);
pub(super) const ZONE_SERIAL: Family = gauge("fairlead_zone_serial", &["zone"], "The serial of a zone in use.");
pub(super) const ZONE_REFRESHED: Family = gauge(
    "fairlead_zone_last_refresh_timestamp_seconds",
    &["zone"],
    "When a primary last confirmed a secondary zone, in seconds since 1970.",
);
pub(super) const ZONE_EXPIRES: Family = gauge(
    "fairlead_zone_expiry_timestamp_seconds",
    &["zone"],
    "When a secondary zone is served no longer unless a primary confirms it, in seconds since 1970.",
);
pub(super) const CATALOG_MEMBERS: Family =
    gauge("fairlead_catalog_members", &["catalog"], "Zones of this node that a catalog from elsewhere brings.");
pub(super) const CATALOG_REFUSED: Family = gauge(
    "fairlead_catalog_refused_members",
    &["catalog"],
    "Zones that a catalog lists and that do not become zones of this node; `fairlead status` says why.",
);
pub(super) const ZONE_RECORDS: Family = gauge("fairlead_zone_records", &["zone"], "Records of a zone in use.");

impl Family {
    /// The description the registry checks for duplicates.
    pub(super) fn desc(&self) -> Desc {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        #[expect(clippy::expect_used, reason = "the table above is fixed, and a test registers all of it")]
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, std::collections::HashMap::new())
            .expect("declared names and labels are well formed")
    }

    /// One series of this metric; `values` are in the order of the labels.
    pub(super) fn sample(&self, values: &[&str], value: f64) -> Metric {
        debug_assert_eq!(values.len(), self.labels.len(), "labels of {}", self.name);
        let labels = self.labels.iter().zip(values).map(|(name, value)| label(name, value)).collect();
        let mut metric = Metric::from_label(labels);
        match self.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        metric
    }

    /// The metric with its series, as the encoder wants it.
    pub(super) fn export(&self, samples: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(samples);
        family
    }
}

/// A label whose value is cut to [`LABEL_OCTETS_MAX`] and holds no control character; the encoder escapes the rest.
fn label(name: &str, value: &str) -> LabelPair {
    let mut end = value.len().min(LABEL_OCTETS_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let kept = value.get(..end).unwrap_or_default();
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(kept.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_from_outside_is_cut_and_holds_no_control_character() {
        assert_eq!(label("pool", "web\u{1b}[31m\n\"x\"").value(), "web\u{fffd}[31m\u{fffd}\"x\"");
        assert_eq!(label("pool", &"é".repeat(200)).value().chars().count(), 127);
        assert_eq!(label("pool", "web-ny").value(), "web-ny");
    }
}
