//! A monitored virtual server and what its monitors think of it together. Pure: results and moments come in, verdicts go
//! out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::status::{Availability, Measurements, Moment, Verdict};

use super::damping::Damping;
use super::hysteresis::{Hysteresis, Outcome};
use super::{Monitor, ProbeResult};

/// A virtual server and the monitors that watch it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The server's name.
    pub server: Arc<str>,
    /// The virtual server's name on that server.
    pub virtual_server: Arc<str>,
    /// What is probed, unless a monitor has a port of its own.
    pub address: SocketAddr,
    /// All must succeed.
    pub monitors: Vec<Monitor>,
}

impl Target {
    /// What `monitor` probes of this target.
    pub(super) fn address_for(&self, monitor: &Monitor) -> SocketAddr {
        SocketAddr::new(self.address.ip(), monitor.port.unwrap_or(self.address.port()))
    }

    /// The shortest interval of its monitors.
    pub(super) fn interval(&self) -> Duration {
        self.monitors.iter().map(|monitor| monitor.interval).min().unwrap_or_default()
    }
}

/// What is known of one target.
///
/// Of several monitors all must succeed:
///
/// | any monitor offline | any monitor unknown | together |
/// |---|---|---|
/// | yes | any | offline; the reason names the first such monitor |
/// | no | yes | unknown |
/// | no | no | available |
#[derive(Debug)]
pub(super) struct Opinion {
    monitors: Vec<MonitorState>,
    damping: Damping,
    verdict: Option<Verdict>,
    /// When a probe last spoke of the target.
    judged: Moment,
}

#[derive(Debug)]
struct MonitorState {
    name: Arc<str>,
    hysteresis: Hysteresis,
    /// What the last failure was, while failures count.
    failure: Option<Arc<str>>,
    /// How long a result counts as current: interval and time-out.
    lasts: Duration,
    /// When a probe of this monitor last spoke of the target; none before the first.
    judged: Option<Moment>,
}

impl Opinion {
    /// Nothing known yet of `target`.
    pub(super) fn new(target: &Target) -> Self {
        let monitors = target.monitors.iter().map(MonitorState::new).collect();
        Self { monitors, damping: Damping::new(target.interval()), verdict: None, judged: Moment::default() }
    }

    /// Takes on the monitors of `target` as they are now: what is known by a monitor that is `kept` (by index now, from
    /// the index before) stays known, the published verdict stays until there is a newer one.
    pub(super) fn reconfigure(&mut self, target: &Target, kept: impl Fn(usize) -> Option<usize>) {
        let mut before: Vec<_> = std::mem::take(&mut self.monitors).into_iter().map(Some).collect();
        let state = |(index, monitor)| {
            let old = kept(index).and_then(|old| before.get_mut(old).and_then(Option::take));
            old.unwrap_or_else(|| MonitorState::new(monitor))
        };
        self.monitors = target.monitors.iter().enumerate().map(state).collect();
        self.damping.set_interval(target.interval());
    }

    /// Takes in what monitor number `index` found. Returns whether there is something to tell: a changed or a fresh
    /// verdict. A probe that was not made tells nothing of a target that was judged before, whose verdict then ages.
    pub(super) fn observe(&mut self, index: usize, result: ProbeResult, at: Moment) -> bool {
        let Some(monitor) = self.monitors.get_mut(index) else { return false };
        let outcome = match result {
            ProbeResult::Success => Outcome::Success,
            ProbeResult::Failure(reason) => {
                monitor.failure = Some(reason);
                Outcome::Failure
            }
            ProbeResult::NotMade(reason) => return self.not_made(index, &reason, at),
        };
        monitor.hysteresis.observe(outcome);
        monitor.judged = Some(at);
        self.judged = at;
        let together = self.together();
        let published = self.damping.observe(together, at);
        if published == Availability::Unknown {
            return false;
        }
        self.publish(published, at);
        true
    }

    /// The verdict last come to, and when a probe last confirmed it.
    pub(super) fn verdict(&self) -> Option<(&Verdict, Moment)> {
        self.verdict.as_ref().map(|verdict| (verdict, self.judged))
    }

    /// Confirms the verdict although no probe was due since, if every monitor's last word still counts. For intervals
    /// longer than the time in which verdicts age.
    pub(super) fn refresh(&mut self, at: Moment) -> bool {
        let current = |monitor: &MonitorState| monitor.judged.is_some_and(|judged| at.since(judged) <= monitor.lasts);
        let fresh = self.verdict.is_some() && self.monitors.iter().all(current);
        if fresh {
            self.judged = at;
        }
        fresh
    }

    fn together(&self) -> Availability {
        let states = || self.monitors.iter().map(|monitor| monitor.hysteresis.state());
        if states().any(|state| state == Availability::Offline) {
            Availability::Offline
        } else if states().any(|state| state == Availability::Unknown) {
            Availability::Unknown
        } else {
            Availability::Available
        }
    }

    fn not_made(&mut self, index: usize, reason: &str, at: Moment) -> bool {
        let judged = self.verdict.as_ref().is_some_and(|verdict| verdict.availability != Availability::Unknown);
        let (Some(monitor), false) = (self.monitors.get(index), judged) else { return false };
        let reason = format!("monitor {}: not probed: {reason}", monitor.name);
        self.judged = at;
        self.verdict = Some(Verdict {
            availability: Availability::Unknown,
            reason: reason.into(),
            measurements: Measurements::default(),
        });
        true
    }

    fn publish(&mut self, availability: Availability, at: Moment) {
        let calm = self.monitors.iter().all(|monitor| monitor.hysteresis.turning().is_none());
        if let Some(verdict) = &self.verdict
            && verdict.availability == availability
            && availability == Availability::Available
            && calm
            && !verdict.reason.contains(FAILING)
        {
            // The common case, ten thousand times an interval: the same words again.
            return;
        }
        let reason = match availability {
            Availability::Available => self.why_available(),
            _ => self.why_offline(at),
        };
        self.verdict = Some(Verdict { availability, reason: reason.into(), measurements: Measurements::default() });
    }

    fn why_available(&self) -> String {
        let turning = |monitor: &MonitorState| {
            let (count, needed) = monitor.hysteresis.turning()?;
            let failure = monitor.failure.as_deref().unwrap_or("failed");
            Some(format!("monitor {}: {failure} ({FAILING}, {count} of {needed} in a row)", monitor.name))
        };
        if let Some(reason) = self.monitors.iter().find_map(turning) {
            return reason;
        }
        match self.monitors.as_slice() {
            [only] => format!("monitor {} succeeds", only.name),
            all => format!("all {} monitors succeed", all.len()),
        }
    }

    fn why_offline(&self, at: Moment) -> String {
        let offline = self.monitors.iter().find(|monitor| monitor.hysteresis.state() == Availability::Offline);
        let Some(monitor) = offline else {
            let seconds = self.damping.held_for(at).unwrap_or_default().as_secs();
            return format!("held offline for {seconds} s more: it went down and came back too often");
        };
        let failure = monitor.failure.as_deref().unwrap_or("failed");
        match monitor.hysteresis.turning() {
            Some((count, needed)) => {
                format!("monitor {}: {failure}; succeeds again, {count} of {needed} in a row", monitor.name)
            }
            None => format!("monitor {}: {failure}", monitor.name),
        }
    }
}

/// Marks the reason of a target that is still available but has begun to fail.
const FAILING: &str = "failing";

impl MonitorState {
    fn new(monitor: &Monitor) -> Self {
        Self {
            name: monitor.name.clone(),
            hysteresis: Hysteresis::new(monitor.rise, monitor.fall),
            failure: None,
            lasts: monitor.interval.saturating_mul(3) / 2 + monitor.timeout,
            judged: None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::monitor::Probe;
    use Availability::{Available, Offline, Unknown};

    pub(in crate::monitor) fn monitor(name: &str, interval_seconds: u64) -> Monitor {
        Monitor {
            name: name.into(),
            probe: Probe::Tcp,
            interval: Duration::from_secs(interval_seconds),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            port: None,
        }
    }

    pub(in crate::monitor) fn target(name: &str, monitors: Vec<Monitor>) -> Target {
        Target { server: "lon".into(), virtual_server: name.into(), address: "127.0.0.1:80".parse().unwrap(), monitors }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn failure(words: &str) -> ProbeResult {
        ProbeResult::Failure(words.into())
    }

    fn told(opinion: &Opinion) -> Option<(Availability, &str)> {
        opinion.verdict().map(|(verdict, _)| (verdict.availability, &*verdict.reason))
    }

    #[test]
    fn a_monitor_probes_its_own_port_where_it_has_one() {
        let mut with_port = monitor("admin", 5);
        with_port.port = Some(8443);
        let target = target("www", vec![monitor("web", 5), with_port.clone()]);
        assert_eq!(target.address_for(&target.monitors[0]), "127.0.0.1:80".parse().unwrap());
        assert_eq!(target.address_for(&with_port), "127.0.0.1:8443".parse().unwrap());
    }

    #[test]
    fn every_step_between_available_and_offline_has_its_words() {
        let mut opinion = Opinion::new(&target("www", vec![monitor("web", 5)]));
        assert_eq!(told(&opinion), None);
        let rows = [
            (ProbeResult::Success, Available, "monitor web succeeds"),
            (failure("status 503"), Available, "monitor web: status 503 (failing, 1 of 3 in a row)"),
            (failure("connection refused"), Available, "monitor web: connection refused (failing, 2 of 3 in a row)"),
            (ProbeResult::Success, Available, "monitor web succeeds"),
            (failure("a"), Available, "monitor web: a (failing, 1 of 3 in a row)"),
            (failure("b"), Available, "monitor web: b (failing, 2 of 3 in a row)"),
            (failure("c"), Offline, "monitor web: c"),
            (failure("d"), Offline, "monitor web: d"),
            (ProbeResult::Success, Offline, "monitor web: d; succeeds again, 1 of 2 in a row"),
            (ProbeResult::Success, Available, "monitor web succeeds"),
        ];
        for (step, (result, availability, reason)) in rows.into_iter().enumerate() {
            assert!(opinion.observe(0, result, at(step as u64)), "every probe refreshes");
            assert_eq!(told(&opinion), Some((availability, reason)), "step {step}");
        }
    }

    #[test]
    fn of_several_monitors_all_must_succeed_and_the_failing_one_is_named() {
        let rows = [
            ("++", Some((Available, "all 2 monitors succeed"))),
            ("+-", Some((Offline, "monitor deep: no"))),
            ("-+", Some((Offline, "monitor web: no"))),
            ("--", Some((Offline, "monitor web: no"))),
            ("- ", Some((Offline, "monitor web: no"))),
            ("+ ", None),
        ];
        for (outcomes, expected) in rows {
            let mut opinion = Opinion::new(&target("www", vec![monitor("web", 5), monitor("deep", 5)]));
            for (index, outcome) in outcomes.chars().enumerate() {
                match outcome {
                    '+' => opinion.observe(index, ProbeResult::Success, at(1)),
                    '-' => opinion.observe(index, failure("no"), at(1)),
                    _ => false,
                };
            }
            assert_eq!(told(&opinion), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn a_probe_that_was_not_made_is_unknown_at_first_and_silent_later() {
        let mut opinion = Opinion::new(&target("www", vec![monitor("web", 5)]));
        let not_made = || ProbeResult::NotMade("no file descriptor left".into());
        assert!(opinion.observe(0, not_made(), at(1)));
        assert_eq!(told(&opinion), Some((Unknown, "monitor web: not probed: no file descriptor left")));
        assert!(opinion.observe(0, ProbeResult::Success, at(2)));
        for second in 3..30 {
            assert!(!opinion.observe(0, not_made(), at(second)));
        }
        assert_eq!(opinion.verdict().unwrap().1, at(2), "the verdict ages");
        assert_eq!(told(&opinion), Some((Available, "monitor web succeeds")));
    }

    #[test]
    fn a_long_interval_is_refreshed_between_probes_but_not_when_probes_stop() {
        let mut opinion = Opinion::new(&target("www", vec![monitor("web", 60)]));
        assert!(!opinion.refresh(at(1)), "nothing to confirm yet");
        opinion.observe(0, ProbeResult::Success, at(10));
        assert!(opinion.refresh(at(40)));
        assert_eq!(opinion.verdict().unwrap().1, at(40));
        assert!(!opinion.refresh(at(10 + 90 + 3)));
    }

    #[test]
    fn a_flapping_target_is_held_offline_and_the_reason_says_so() {
        let mut eager = monitor("web", 5);
        (eager.rise, eager.fall) = (1, 1);
        let mut opinion = Opinion::new(&target("www", vec![eager]));
        for second in (0..30).step_by(5) {
            opinion.observe(0, if second % 10 == 0 { ProbeResult::Success } else { failure("no") }, at(second));
        }
        opinion.observe(0, ProbeResult::Success, at(30));
        let (availability, reason) = told(&opinion).unwrap();
        assert_eq!(availability, Offline);
        assert!(reason.starts_with("held offline for ") && reason.ends_with("came back too often"), "{reason}");
    }

    #[test]
    fn a_new_monitor_leaves_the_verdict_until_it_has_spoken() {
        let mut opinion = Opinion::new(&target("www", vec![monitor("web", 5)]));
        opinion.observe(0, ProbeResult::Success, at(1));
        let both = target("www", vec![monitor("deep", 5), monitor("web", 5)]);
        opinion.reconfigure(&both, |now| (now == 1).then_some(0));
        assert_eq!(told(&opinion), Some((Available, "monitor web succeeds")));
        opinion.observe(0, failure("no"), at(2));
        assert_eq!(told(&opinion), Some((Offline, "monitor deep: no")));
    }
}
