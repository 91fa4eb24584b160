//! Virtual servers that no load balancer tells of: the agent's own monitors probe them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use crate::mesh::VirtualServerReport;
use crate::monitor::{Schedule, ScheduleCounters, ScheduleOptions, Target};
use crate::status::{Availability, Fact, Measurements, Moment, Verdict};

use super::LocalVirtualServer;
use super::collector::{Update, moment};

/// Verdicts that wait to be taken in.
const FACTS_WAITING_MAX: usize = 1024;
/// News go out at once, but not more often than this.
const UPDATE_GAP: Duration = Duration::from_millis(50);
/// Without news an update goes out this often.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);
/// A verdict that no probe has confirmed for so many intervals is not reported any more.
const UNCONFIRMED_INTERVALS_MAX: u32 = 3;

/// The virtual servers of one static source and what is known of each.
struct Known {
    configured: Vec<LocalVirtualServer>,
    verdicts: HashMap<Arc<str>, (Verdict, Moment)>,
}

/// A static source whose probes run.
pub(super) struct StaticSource {
    schedule: Schedule,
    facts: mpsc::Receiver<Fact>,
    known: Known,
    origin: std::time::Instant,
}

impl StaticSource {
    /// Starts to probe `virtual_servers` of `server`.
    pub(super) fn start(server: &Arc<str>, virtual_servers: Vec<LocalVirtualServer>, options: ScheduleOptions) -> Self {
        let origin = options.origin;
        let (sender, facts) = mpsc::channel(FACTS_WAITING_MAX);
        let schedule = Schedule::start(targets(server, &virtual_servers), options, sender);
        let known = Known { configured: virtual_servers, verdicts: HashMap::new() };
        Self { schedule, facts, known, origin }
    }

    /// What its probes have come to.
    pub(super) fn counters(&self) -> Arc<ScheduleCounters> {
        self.schedule.counters()
    }

    /// Sends what is found as source number `source`. Returns when nobody takes it.
    pub(super) async fn run(mut self, source: usize, updates: mpsc::Sender<Update>) {
        let mut first_round = self.schedule.first_round();
        // Before the first round half of the list would be unknown, after a restart a step back for those who ask.
        while !*first_round.borrow_and_update() {
            tokio::select! {
                Some(fact) = self.facts.recv() => { self.known.take(fact); }
                changed = first_round.changed() => if changed.is_err() { return },
            }
        }
        let mut turn = interval_at(Instant::now(), UPDATE_INTERVAL);
        loop {
            tokio::select! {
                Some(fact) = self.facts.recv() => {
                    if !self.known.take(fact) {
                        continue;
                    }
                    tokio::time::sleep(UPDATE_GAP).await;
                }
                _ = turn.tick() => {}
            }
            while let Ok(fact) = self.facts.try_recv() {
                self.known.take(fact);
            }
            let virtual_servers = self.known.report(moment(self.origin));
            if updates.send(Update { source, virtual_servers: Some(virtual_servers), error: None }).await.is_err() {
                return;
            }
        }
    }
}

fn targets(server: &Arc<str>, virtual_servers: &[LocalVirtualServer]) -> Vec<Target> {
    let target = |virtual_server: &LocalVirtualServer| Target {
        server: server.clone(),
        virtual_server: virtual_server.name.clone(),
        address: virtual_server.probe_address.unwrap_or(virtual_server.address),
        monitors: virtual_server.monitors.clone(),
    };
    virtual_servers.iter().map(target).collect()
}

impl Known {
    /// Takes in a verdict; whether it says something new.
    fn take(&mut self, fact: Fact) -> bool {
        let Fact::Verdict { virtual_server, verdict, at, .. } = fact else { return false };
        let before = self.verdicts.insert(virtual_server, (verdict.clone(), at));
        before.is_none_or(|(before, _)| before != verdict)
    }

    fn report(&self, now: Moment) -> Vec<VirtualServerReport> {
        let one = |virtual_server: &LocalVirtualServer| VirtualServerReport {
            name: virtual_server.name.clone(),
            address: virtual_server.address,
            verdict: self.verdict(virtual_server, now),
        };
        self.configured.iter().map(one).collect()
    }

    /// What is known, unless probes have not been made for so long that it is no knowledge any more.
    fn verdict(&self, virtual_server: &LocalVirtualServer, now: Moment) -> Verdict {
        let Some(last) =
            virtual_server.monitors.iter().map(|m| m.interval * UNCONFIRMED_INTERVALS_MAX + m.timeout).max()
        else {
            return unknown("no monitor watches it");
        };
        match self.verdicts.get(&virtual_server.name) {
            Some((verdict, at)) if now.since(*at) <= last => verdict.clone(),
            Some((_, at)) => {
                unknown(format!("source error: no probe could be made for {} s", now.since(*at).as_secs()))
            }
            None => unknown("source error: no probe could be made yet"),
        }
    }
}

fn unknown(reason: impl Into<Arc<str>>) -> Verdict {
    Verdict { availability: Availability::Unknown, reason: reason.into(), measurements: Measurements::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{Authorities, Monitor, Probe};
    use crate::status::Source;
    use Availability::{Available, Offline, Unknown};
    use tokio::net::TcpListener;

    fn virtual_server(name: &str, address: std::net::SocketAddr, interval: Duration) -> LocalVirtualServer {
        let monitor = Monitor {
            name: "port".into(),
            probe: Probe::Tcp,
            interval,
            timeout: Duration::from_secs(10),
            rise: 1,
            fall: 1,
            port: None,
        };
        LocalVirtualServer {
            name: name.into(),
            address: "192.0.2.1:80".parse().unwrap(),
            probe_address: Some(address),
            backends: Vec::new(),
            monitors: vec![monitor],
        }
    }

    fn fact(availability: Availability, at: u64) -> Fact {
        Fact::Verdict {
            server: "lb".into(),
            virtual_server: "www".into(),
            source: Source::Monitor,
            verdict: Verdict { availability, reason: "x".into(), measurements: Measurements::default() },
            at: Moment::from_millis(at),
        }
    }

    #[test]
    fn a_verdict_that_no_probe_confirms_becomes_a_source_error() {
        let configured = vec![virtual_server("www", "127.0.0.1:1".parse().unwrap(), Duration::from_secs(5))];
        let mut known = Known { configured, verdicts: HashMap::new() };
        let told = |known: &Known, at| {
            let verdict = known.report(Moment::from_millis(at))[0].verdict.clone();
            (verdict.availability, verdict.reason.to_string())
        };
        assert_eq!(told(&known, 0), (Unknown, "source error: no probe could be made yet".into()));
        assert!(known.take(fact(Available, 1_000)));
        assert!(!known.take(fact(Available, 2_000)), "nothing new");
        assert_eq!(told(&known, 27_000), (Available, "x".into()));
        assert_eq!(told(&known, 27_001), (Unknown, "source error: no probe could be made for 25 s".into()));
        assert!(known.take(fact(Offline, 28_000)));
        assert_eq!(told(&known, 28_000).0, Offline);
    }

    #[tokio::test]
    async fn virtual_servers_are_probed_where_told_and_reported_with_the_address_of_clients() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let interval = Duration::from_millis(20);
        let mut unwatched = virtual_server("unwatched", listener.local_addr().unwrap(), interval);
        unwatched.monitors.clear();
        let configured = vec![virtual_server("www", listener.local_addr().unwrap(), interval), unwatched];
        let options = ScheduleOptions {
            origin: tokio::time::Instant::now().into_std(),
            concurrency: 4,
            seed: 1,
            authorities: Authorities::none(),
        };
        let (sender, mut updates) = mpsc::channel(4);
        let task = tokio::spawn(StaticSource::start(&"lb".into(), configured, options).run(3, sender));
        let first = updates.recv().await.unwrap();
        let reports = first.virtual_servers.unwrap();
        assert_eq!((first.source, reports.len()), (3, 2));
        assert_eq!(
            (reports[0].verdict.availability, reports[0].address.to_string()),
            (Available, "192.0.2.1:80".into())
        );
        assert_eq!(&*reports[1].verdict.reason, "no monitor watches it");
        drop(listener);
        while updates.recv().await.unwrap().virtual_servers.unwrap()[0].verdict.availability != Offline {}
        task.abort();
    }
}
