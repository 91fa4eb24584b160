//! The exported text as Prometheus' own checker sees it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fairlead::metrics::{
    Answered, CloseReason, DecisionLayout, DropReason, KernelUdp, Limit, Metrics, PeerTraffic, Protocol, Reload,
    Session, Site, Source, UpdateResult,
};
use fairlead::status::{Availability, Enabled, ObjectKind};
use fairlead::wire::{Rcode, RecordType};

/// Metrics in which every declared one has a series.
fn filled() -> Metrics {
    let metrics = Metrics::new("0.1.0", "0123abc");
    let mut queries = metrics.query_counters(Protocol::Udp);
    queries.answered(Answered {
        record_type: Some(RecordType::A),
        rcode: Rcode::NOERROR,
        source: Source::WideIp,
        length: 60,
        truncated: true,
    });
    queries.dropped(DropReason::Runt, 1);
    let mut decisions = metrics.decision_counters();
    let pair = ("www.example.com./A".into(), "web \"new\" york\\\n".into());
    decisions.follow(&Arc::new(DecisionLayout::new([pair], &["preferred"])));
    decisions.record(0, 0);
    metrics.panicked(Site::Udp);
    metrics.task_restarted("mesh");
    metrics.limit_hit(Limit::TcpConnections);
    metrics.tcp_closed(CloseReason::Idle);
    metrics.status_changed(ObjectKind::Pool);
    metrics.reloaded(Reload::Applied, 1.8e9);
    metrics.set_generation(7);
    metrics.ready();
    let age = Some(Duration::from_millis(1234));
    metrics.set_reader(
        "all",
        Box::new(move |scrape| {
            scrape.virtual_server("lb1", "www", Availability::Available, Enabled::Enabled, age);
            scrape.member("web", "lb1/www", Availability::Offline, Enabled::DisabledByParent);
            scrape.pool("web", Availability::Unknown);
            scrape.wide_ip("www.example.com./A", Availability::Unavailable);
            scrape.peer("lb1", Session::Up, age, Some(0.5));
            scrape.certificate("node", 2_000_000_000);
            scrape.zone("example.com.", 1, 4);
            scrape.journal("example.com.", 3, 900, 60);
            scrape.zone_updates("example.com.", [(UpdateResult::Done, 2)], Some(1_800_000_000));
            scrape.zone_conflicts("example.com.", 1);
            scrape.secondary("example.com.", IpAddr::V4(Ipv4Addr::LOCALHOST), 5);
            scrape.inbound_zone("example.com.", Some(1_800_000_000), Some(1_800_000_001));
            scrape.catalog("cat.example.com.", 3, 1);
            scrape.kernel_udp("ipv4", KernelUdp::ReceiveBuffer, 1);
            scrape.socket_drops("[::]:53", 0);
            scrape.source("haproxy", true, age, 3);
            scrape.probes([5, 2, 1], 3, 0);
            scrape.peer_traffic("lb1", age, PeerTraffic { sessions: 1, octets_in: 2, octets_out: 3 });
            scrape.peer_failures("lb1", "closed port", 1);
            scrape.peer_frames_refused("lb1", "older", 1);
            scrape.mesh_refused("authority", 1);
        }),
    );
    metrics
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = support::tool("promtool") else { return };
    let text = filled().export().unwrap();
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn names_follow_one_scheme() {
    let text = filled().export().unwrap();
    let mut kinds = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(name.starts_with("fairlead_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        kinds += 1;
    }
    let declared = include_str!("../src/metrics/family.rs").matches(": Family =").count();
    assert_eq!(kinds, declared, "every metric has a series in `filled`; a new one belongs there");
}
