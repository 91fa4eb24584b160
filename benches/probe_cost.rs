//! What probes cost: CPU of this process per TCP and HTTP probe, and of 10,000 targets at an interval of 10 s.
//!
//! `cargo bench --bench probe_cost`; about ten seconds. The probed servers run in a child process, so that only the
//! probing side is counted (over loopback the kernel still does part of the server's receiving in our time).
//!
//! Two cores shared with eight compilers, three runs: a TCP probe 27–28 µs (budget 60), an HTTP probe 44–48 µs (budget
//! 120); 10,000 targets, half of each kind, 67–86 µs per probe with all scheduling, 7–9 % of a core, 19 MiB.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program prints, and stops at a surprise")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fairlead::monitor::{Authorities, Monitor, Probe, ProbeResult, Prober, Schedule, ScheduleOptions, Target};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

const TARGETS: u32 = 10_000;
const INTERVAL: Duration = Duration::from_secs(10);
const MEASURED: Duration = Duration::from_secs(4);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == "--serve") {
        runtime.block_on(serve());
        return;
    }
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    runtime.block_on(async {
        for (name, monitor, budget) in [("tcp", tcp(), 60.0), ("http", http(), 120.0)] {
            one_kind(name, monitor, port, budget).await;
        }
        many_targets(port).await;
    });
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Answers HTTP on a port that is printed, until standard input ends with the parent.
async fn serve() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            tokio::spawn(async move {
                if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                    stream.write_all(response).await.ok();
                }
            });
        }
    });
    tokio::io::stdin().read_to_end(&mut Vec::new()).await.unwrap();
}

fn monitor(name: &str, probe: Probe) -> Monitor {
    let timeout = Duration::from_secs(2);
    Monitor { name: name.into(), probe, interval: INTERVAL, timeout, rise: 2, fall: 3, port: None }
}

fn tcp() -> Monitor {
    monitor("tcp", Probe::Tcp)
}

fn http() -> Monitor {
    let probe = Probe::Http {
        tls: None,
        method: "GET".into(),
        path: "/healthz".into(),
        host: None,
        expected_status: vec![(200, 299)],
        expected_body: Some("ok".into()),
    };
    monitor("http", probe)
}

/// One of the addresses of loopback, so that ports do not run out.
fn address(number: u32, port: u16) -> SocketAddr {
    SocketAddr::from(((0x7f01_0000 + number).to_be_bytes(), port))
}

/// CPU time of this process, user and system.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64))
        .sum()
}

/// Probes made back to back, 16 at a time.
async fn one_kind(name: &str, monitor: Monitor, port: u16, budget: f64) {
    let prober = Arc::new(Prober::new(&monitor, &Authorities::none()));
    let before = cpu();
    let end = Instant::now() + Duration::from_millis(1500);
    let worker = |worker: u32| {
        let prober = prober.clone();
        async move {
            let mut made = 0;
            while Instant::now() < end {
                let result = prober.probe(address(worker * 600 + made % 600, port)).await;
                assert_eq!(result, ProbeResult::Success);
                made += 1;
            }
            made
        }
    };
    let workers: Vec<_> = (0..16).map(|number| tokio::spawn(worker(number))).collect();
    let mut made = 0;
    for worker in workers {
        made += worker.await.unwrap();
    }
    let each = (cpu() - before).as_secs_f64() * 1e6 / f64::from(made);
    println!("{name} probe: {each:.1} µs of CPU each ({made} made); budget {budget:.0}");
}

/// A schedule of half TCP and half HTTP targets.
async fn many_targets(port: u16) {
    let target = |number: u32| Target {
        server: "lon".into(),
        virtual_server: format!("vs{number}").into(),
        address: address(number, port),
        monitors: vec![if number.is_multiple_of(2) { tcp() } else { http() }],
    };
    let options = ScheduleOptions {
        origin: Instant::now().into_std(),
        concurrency: 512,
        seed: 1,
        authorities: Authorities::none(),
    };
    let resident = resident_kib();
    let (sender, mut facts) = tokio::sync::mpsc::channel(1024);
    let schedule = Schedule::start((0..TARGETS).map(target).collect(), options, sender);
    let told = tokio::spawn(async move {
        let mut told = 0u32;
        while facts.recv().await.is_some() {
            told += 1;
        }
        told
    });
    sleep(Duration::from_millis(500)).await;
    let counters = schedule.counters();
    let made = || counters.succeeded.load(Ordering::Relaxed);
    let (cpu_before, made_before) = (cpu(), made());
    sleep(MEASURED).await;
    let (used, made) = (cpu() - cpu_before, made() - made_before);
    let waiting = counters.waiting.load(Ordering::Relaxed);
    let failed = counters.failed.load(Ordering::Relaxed) + counters.not_made.load(Ordering::Relaxed);
    let resident = resident_kib() - resident;
    drop(schedule);
    println!(
        "{TARGETS} targets at {INTERVAL:?}: {:.0} probes/s, {:.1} µs of CPU each, {:.1} % of a core, {} KiB resident, \
         {failed} failed, {waiting} waiting, {} verdicts told",
        made as f64 / MEASURED.as_secs_f64(),
        used.as_secs_f64() * 1e6 / made as f64,
        used.as_secs_f64() * 100.0 / MEASURED.as_secs_f64(),
        resident,
        told.await.unwrap(),
    );
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
