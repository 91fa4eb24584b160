//! A schedule with its real clock, tasks and sockets.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::time::Duration;

use fairlead::monitor::{Authorities, Monitor, Probe, Schedule, ScheduleOptions, Target};
use fairlead::status::{Availability, Fact};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

fn options() -> ScheduleOptions {
    ScheduleOptions {
        origin: tokio::time::Instant::now().into_std(),
        concurrency: 8,
        seed: 1,
        authorities: Authorities::none(),
    }
}

fn target(name: &str, address: SocketAddr) -> Target {
    let monitor = Monitor {
        name: "port".into(),
        probe: Probe::Tcp,
        interval: Duration::from_millis(40),
        timeout: Duration::from_secs(10),
        rise: 2,
        fall: 2,
        port: None,
    };
    Target { server: "lon".into(), virtual_server: name.into(), address, monitors: vec![monitor] }
}

/// A port that accepts and closes until the task is dropped.
async fn server(address: &str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    (address, task)
}

async fn next(facts: &mut mpsc::Receiver<Fact>) -> (String, Availability, String) {
    let fact = tokio::time::timeout(Duration::from_secs(20), facts.recv()).await.unwrap().unwrap();
    let Fact::Verdict { virtual_server, verdict, .. } = fact else { panic!("{fact:?}") };
    (virtual_server.to_string(), verdict.availability, verdict.reason.to_string())
}

/// Waits until `name` is told to be `wanted`.
async fn until(facts: &mut mpsc::Receiver<Fact>, name: &str, wanted: Availability) -> String {
    loop {
        let (told, availability, reason) = next(facts).await;
        if told == name && availability == wanted {
            return reason;
        }
    }
}

#[tokio::test]
async fn a_port_that_closes_and_opens_again_is_followed() {
    let (address, task) = server("127.0.0.1:0").await;
    let (sender, mut facts) = mpsc::channel(64);
    let schedule = Schedule::start(vec![target("www", address)], options(), sender);
    assert_eq!(until(&mut facts, "www", Availability::Available).await, "monitor port succeeds");
    assert!(*schedule.first_round().wait_for(|done| *done).await.unwrap());
    task.abort();
    assert_eq!(until(&mut facts, "www", Availability::Offline).await, "monitor port: connection refused");
    let (_, _task) = server(&address.to_string()).await;
    assert_eq!(until(&mut facts, "www", Availability::Available).await, "monitor port succeeds");
}

#[tokio::test]
async fn a_reload_adds_and_removes_targets() {
    let (address, _task) = server("127.0.0.1:0").await;
    let (sender, mut facts) = mpsc::channel(64);
    let schedule = Schedule::start(vec![target("old", address)], options(), sender);
    until(&mut facts, "old", Availability::Available).await;
    schedule.replace(vec![target("new", address)]);
    until(&mut facts, "new", Availability::Available).await;
    for _ in 0..5 {
        assert_eq!(next(&mut facts).await.0, "new");
    }
}

#[tokio::test]
async fn a_target_that_hangs_delays_no_other_and_stops_with_the_schedule() {
    // Nobody accepts here: probes wait for an answer until their time is up.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hanging = target("hangs", silent.local_addr().unwrap());
    hanging.monitors[0].timeout = Duration::from_millis(300);
    hanging.monitors[0].probe = Probe::Http {
        tls: None,
        method: "GET".into(),
        path: "/".into(),
        host: None,
        expected_status: vec![(200, 299)],
        expected_body: None,
    };
    let (address, _task) = server("127.0.0.1:0").await;
    let (sender, mut facts) = mpsc::channel(64);
    let schedule = Schedule::start(vec![hanging, target("www", address)], options(), sender);
    let mut before_the_other = 0;
    loop {
        match next(&mut facts).await {
            (name, Availability::Available, _) if name == "www" => before_the_other += 1,
            (name, Availability::Offline, reason) if name == "hangs" => {
                assert_eq!(reason, "monitor port: timed out: no response within 300ms");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(before_the_other >= 2, "{before_the_other} probes in the time of one that hangs");
    drop(schedule);
    while facts.recv().await.is_some() {}
}

#[tokio::test]
async fn verdicts_wait_while_nobody_takes_them_and_probes_go_on() {
    let (address, task) = server("127.0.0.1:0").await;
    let (sender, mut facts) = mpsc::channel(1);
    let schedule = Schedule::start(vec![target("a", address), target("b", address)], options(), sender);
    let counters = schedule.counters();
    let succeeded = || counters.succeeded.load(std::sync::atomic::Ordering::Relaxed);
    while succeeded() < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    until(&mut facts, "a", Availability::Offline).await;
    until(&mut facts, "b", Availability::Offline).await;
}
