//! From what HAProxy says to verdicts on virtual servers. Pure but for the counters it remembers to make rates of.
//!
//! A virtual server is a frontend or listen section. Which backends stand behind it is taken from the first of these
//! that tells: the agent's settings, HAProxy's configuration, a backend of the same name (a listen section).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::mesh::VirtualServerReport;
use crate::status::{Availability, Measurements, Moment, Verdict};

use super::LocalVirtualServer;
use super::haproxy_configuration::Configuration;
use super::haproxy_stat::{Reading, Row};
use super::haproxy_view::{Backend, Behind, Subject, View};

/// Turns readings into reports.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The frontends to report; all with an address when empty.
    configured: Vec<LocalVirtualServer>,
    /// What was reported last, so that a source error has names to speak of.
    known: Vec<(Arc<str>, SocketAddr)>,
    /// Octet counters of each frontend at the last reading.
    counters: HashMap<String, Counters>,
    pid: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    octets_in: u64,
    octets_out: u64,
    at: Moment,
}

impl Judge {
    /// A judge of the `configured` frontends, or of all that have an address when there are none.
    pub(super) fn new(configured: Vec<LocalVirtualServer>) -> Self {
        let known = configured.iter().map(|frontend| (frontend.name.clone(), frontend.address)).collect();
        Self { configured, known, ..Self::default() }
    }

    /// Every virtual server with its verdict. Without a configuration only what the settings and the statistics tell
    /// is known of frontends.
    pub(super) fn judge(
        &mut self,
        reading: &Reading,
        configuration: Option<&Configuration>,
        at: Moment,
    ) -> Vec<VirtualServerReport> {
        if self.pid != reading.pid {
            // A new process counts from zero.
            self.counters.clear();
            self.pid = reading.pid;
        }
        let view = View::new(reading, configuration);
        let report = |subject: Subject<'_>| VirtualServerReport {
            name: subject.name.clone(),
            address: subject.address,
            verdict: self.verdict(&subject, &view, at),
        };
        let reports: Vec<_> = self.subjects(&view).into_iter().map(report).collect();
        self.known = reports.iter().map(|report| (report.name.clone(), report.address)).collect();
        self.counters = view.frontends.iter().filter_map(|row| counters(row, at)).collect();
        reports
    }

    /// Every virtual server as unknown, because HAProxy could not be read; never as down.
    pub(super) fn source_error(&self, reason: &str) -> Vec<VirtualServerReport> {
        let reason: Arc<str> = format!("source error: {reason}").into();
        let unknown = |(name, address): &(Arc<str>, SocketAddr)| VirtualServerReport {
            name: name.clone(),
            address: *address,
            verdict: verdict(Availability::Unknown, reason.clone(), Measurements::default()),
        };
        self.known.iter().map(unknown).collect()
    }

    fn subjects<'a>(&'a self, view: &View<'a>) -> Vec<Subject<'a>> {
        if !self.configured.is_empty() {
            let subject = |wanted: &'a LocalVirtualServer| Subject {
                frontend: &wanted.name,
                name: wanted.name.clone(),
                address: wanted.address,
                backends: &wanted.backends,
            };
            return self.configured.iter().map(subject).collect();
        }
        let discovered = |frontend: &&'a Row| {
            let frontend: &'a Row = frontend;
            view.addresses(frontend).into_iter().enumerate().map(move |(index, address)| {
                // The first address keeps the frontend's name, whatever is bound besides it.
                let name = match index {
                    0 => frontend.proxy.as_str().into(),
                    _ => format!("{}-{}-{}", frontend.proxy, address.ip(), address.port()).into(),
                };
                Subject { frontend: &frontend.proxy, name, address, backends: &[] }
            })
        };
        view.frontends.iter().flat_map(discovered).collect()
    }

    fn verdict(&self, subject: &Subject<'_>, view: &View<'_>, at: Moment) -> Verdict {
        let Some(frontend) = view.by_name.get(subject.frontend) else {
            let reason = format!("HAProxy has no frontend named {}, or it is disabled", subject.frontend);
            return verdict(Availability::Offline, reason, Measurements::default());
        };
        let behind = view.behind(subject);
        let measurements = self.measure(frontend, behind.as_ref(), at);
        let (availability, reason) = decide(frontend, behind.as_ref());
        verdict(availability, reason, measurements)
    }

    /// HAProxy adds a connection's octets when it ends unless `option contstats` is set; packets it does not count.
    fn measure(&self, frontend: &Row, behind: Option<&Behind<'_>>, at: Moment) -> Measurements {
        let before = self.counters.get(&frontend.proxy);
        let bits = |now: Option<u64>, before: Option<u64>, since: Option<Moment>| {
            let octets = now?.checked_sub(before?)?;
            let millis = u64::try_from(at.since(since?).as_millis()).ok().filter(|millis| *millis > 0)?;
            Some(octets.saturating_mul(8_000) / millis)
        };
        let since = before.map(|before| before.at);
        let count = |count: usize| u32::try_from(count).ok();
        Measurements {
            members_up: behind.and_then(|behind| count(behind.members_up())),
            members_total: behind.and_then(|behind| count(behind.members().count())),
            connections: frontend.connections,
            connection_rate: frontend.connection_rate,
            bits_in: bits(frontend.octets_in, before.map(|before| before.octets_in), since),
            bits_out: bits(frontend.octets_out, before.map(|before| before.octets_out), since),
            queue: behind.map(Behind::queue),
            ..Measurements::default()
        }
    }
}

fn counters(frontend: &Row, at: Moment) -> Option<(String, Counters)> {
    let (octets_in, octets_out) = (frontend.octets_in?, frontend.octets_out?);
    Some((frontend.proxy.clone(), Counters { octets_in, octets_out, at }))
}

/// | frontend | backends behind it | one of them usable | verdict |
/// |---|---|---|---|
/// | FULL | any | any | unavailable: a limit is reached |
/// | neither OPEN nor FULL | any | any | offline |
/// | OPEN | not known | – | unknown |
/// | OPEN | none | – | available: it answers by itself |
/// | OPEN | some | yes | available |
/// | OPEN | some | no, but rules may pick others | unknown |
/// | OPEN | some | no | offline |
fn decide(frontend: &Row, behind: Option<&Behind<'_>>) -> (Availability, String) {
    match (frontend.status.as_str(), behind) {
        ("FULL", _) => (Availability::Unavailable, "the frontend is at its connection limit (FULL)".to_owned()),
        ("OPEN", None) => {
            let reason = "source error: which backends are behind this frontend is not known: name them in the agent's \
                          configuration, or let it read HAProxy's";
            (Availability::Unknown, reason.to_owned())
        }
        ("OPEN", Some(behind)) if behind.backends.is_empty() && !behind.incomplete => {
            (Availability::Available, "the frontend is open and answers by itself".to_owned())
        }
        ("OPEN", Some(behind)) if behind.backends.iter().any(Backend::is_usable) => {
            (Availability::Available, behind.why_available())
        }
        ("OPEN", Some(behind)) if behind.incomplete => {
            (Availability::Unknown, format!("{}, and rules pick others at run time", behind.why_offline()))
        }
        ("OPEN", Some(behind)) => (Availability::Offline, behind.why_offline()),
        (status, _) => (Availability::Offline, format!("the frontend is {status}")),
    }
}

fn verdict(availability: Availability, reason: impl Into<Arc<str>>, measurements: Measurements) -> Verdict {
    Verdict { availability, reason: reason.into(), measurements }
}

#[cfg(test)]
mod tests {
    use super::super::{haproxy_configuration, haproxy_stat};
    use super::*;
    use Availability::{Available, Offline, Unavailable, Unknown};

    const UP: &str = include_str!("../../tests/data/haproxy/up.txt");
    const DOWN: &str = include_str!("../../tests/data/haproxy/down.txt");
    const CONFIGURATION: &str = include_str!("../../tests/data/haproxy/haproxy.cfg");

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1000)
    }

    fn reading(text: &str) -> Reading {
        haproxy_stat::parse(text.as_bytes()).unwrap()
    }

    fn wanted(name: &str, backends: &[&str]) -> LocalVirtualServer {
        LocalVirtualServer {
            name: name.into(),
            address: "192.0.2.1:80".parse().unwrap(),
            probe_address: None,
            backends: backends.iter().map(|name| (*name).into()).collect(),
            monitors: Vec::new(),
        }
    }

    /// A reading made of `proxy,service,status,type` lines.
    fn made(lines: &[&str]) -> Reading {
        reading(&format!("Pid: 7\n\n# pxname,svname,status,type\n{}\n\n", lines.join("\n")))
    }

    fn told(report: &VirtualServerReport) -> (&str, Availability, &str) {
        (&report.name, report.verdict.availability, &report.verdict.reason)
    }

    #[test]
    fn recorded_states_become_verdicts_with_reasons() {
        let configuration = haproxy_configuration::parse([CONFIGURATION]);
        let up = [
            ("www", Available, "4 of 7 members up in backends api, web"),
            ("redirect", Available, "the frontend is open and answers by itself"),
            ("paused", Offline, "the frontend is STOP"),
            ("both", Offline, "0 of 1 members up in backend both (b1: DOWN L4CON)"),
            ("stats", Available, "the frontend is open and backend stats answers by itself"),
        ];
        let down = [
            (
                "www",
                Offline,
                "0 of 7 members up in backends api, web (a1: DOWN L4CON, a2: MAINT, a3: MAINT, s1: DRAIN L4OK, s2: \
                 MAINT, s3: MAINT, s4: MAINT)",
            ),
            ("redirect", Available, "the frontend is open and answers by itself"),
            ("paused", Offline, "the frontend is STOP"),
            ("both", Offline, "0 of 1 members up in backend both (b1: DOWN L4CON)"),
            ("stats", Available, "the frontend is open and backend stats answers by itself"),
        ];
        for (text, expected) in [(UP, up), (DOWN, down)] {
            let reports = Judge::new(Vec::new()).judge(&reading(text), Some(&configuration), at(1));
            assert_eq!(reports.iter().map(told).collect::<Vec<_>>(), expected);
            assert_eq!(reports[0].address, "127.0.0.1:18080".parse().unwrap());
        }
    }

    #[test]
    fn every_row_of_the_decision_holds() {
        let text = "frontend www\n use_backend api if x\n default_backend web";
        let dynamic = "frontend www\n use_backend %[path]\n default_backend web";
        let web_down = ["web,s1,DOWN,2", "web,BACKEND,DOWN,1"];
        let web_up = ["web,s1,UP,2", "web,s2,DOWN,2", "web,BACKEND,UP,1"];
        let api_down = ["api,BACKEND,DOWN,1", "api,a1,MAINT,2"];
        let rows: [(&str, &str, Vec<&str>, Availability, &str); 9] = [
            ("FULL", text, web_up.to_vec(), Unavailable, "the frontend is at its connection limit (FULL)"),
            ("PAUSED", text, web_up.to_vec(), Offline, "the frontend is PAUSED"),
            ("OPEN", text, web_up.to_vec(), Available, "1 of 2 members up in backend web"),
            (
                "OPEN",
                text,
                [&web_up[..], &api_down[..]].concat(),
                Available,
                "1 of 3 members up in backends api, web; none in api",
            ),
            ("OPEN", text, web_down.to_vec(), Offline, "0 of 1 members up in backend web (s1: DOWN)"),
            (
                "OPEN",
                dynamic,
                web_down.to_vec(),
                Unknown,
                "0 of 1 members up in backend web (s1: DOWN), and rules pick others at run time",
            ),
            ("OPEN", dynamic, web_up.to_vec(), Available, "1 of 2 members up in backend web"),
            (
                "OPEN",
                "frontend www\n bind :80",
                web_down.to_vec(),
                Available,
                "the frontend is open and answers by itself",
            ),
            (
                "OPEN",
                "frontend other",
                web_up.to_vec(),
                Unknown,
                "source error: which backends are behind this frontend is not known: name them in the agent's \
                 configuration, or let it read HAProxy's",
            ),
        ];
        for (status, configuration, lines, availability, reason) in rows {
            let frontend = format!("www,FRONTEND,{status},0");
            let reading = made(&[&[frontend.as_str()], &lines[..]].concat());
            let configuration = haproxy_configuration::parse([configuration]);
            let reports = Judge::new(vec![wanted("www", &[])]).judge(&reading, Some(&configuration), at(1));
            assert_eq!(told(&reports[0]), ("www", availability, reason), "{status} {lines:?}");
        }
    }

    #[test]
    fn backends_come_from_the_settings_then_the_configuration_then_the_same_name() {
        let reading = made(&[
            "www,FRONTEND,OPEN,0",
            "www,BACKEND,UP,1",
            "www,s0,UP,2",
            "web,s1,DOWN,2",
            "web,BACKEND,DOWN,1",
            "api,a1,UP,2",
            "api,a2,UP,2",
            "api,BACKEND,UP,1",
        ]);
        let configuration = haproxy_configuration::parse(["frontend www\n default_backend web"]);
        let members = |backends: &[&str], configuration| {
            let reports = Judge::new(vec![wanted("www", backends)]).judge(&reading, configuration, at(1));
            (reports[0].verdict.measurements.members_up, reports[0].verdict.measurements.members_total)
        };
        assert_eq!(members(&["api"], Some(&configuration)), (Some(2), Some(2)));
        assert_eq!(members(&[], Some(&configuration)), (Some(0), Some(1)));
        assert_eq!(members(&[], None), (Some(1), Some(1)));
        assert_eq!(members(&["nosuch"], None), (None, None));
    }

    #[test]
    fn a_frontend_that_is_gone_is_offline_and_a_source_that_cannot_be_read_is_unknown() {
        let mut judge = Judge::new(vec![wanted("www", &[])]);
        let error = judge.source_error("connecting to /run/x: no such file");
        assert_eq!(told(&error[0]), ("www", Unknown, "source error: connecting to /run/x: no such file"));
        let gone = judge.judge(&made(&["other,FRONTEND,OPEN,0"]), None, at(1));
        assert_eq!(told(&gone[0]).1, Offline);
        let mut discovering = Judge::new(Vec::new());
        assert!(discovering.source_error("x").is_empty(), "nothing is known by name yet");
        let configuration = haproxy_configuration::parse([CONFIGURATION]);
        let known = discovering.judge(&reading(UP), Some(&configuration), at(1)).len();
        assert_eq!(discovering.source_error("x").len(), known);
    }

    #[test]
    fn rates_are_made_of_differences_and_never_negative() {
        let counted = |pid: u32, octets: u64| {
            reading(&format!(
                "Pid: {pid}\n\n# pxname,svname,status,type,bin,bout\nwww,FRONTEND,OPEN,0,{octets},{octets}\n\n"
            ))
        };
        let mut judge = Judge::new(vec![wanted("www", &[])]);
        // (second, process, counter, bits per second)
        let rows = [
            (1, 7, 1_000, None),
            (2, 7, 2_000, Some(8_000)),
            (4, 7, 2_000, Some(0)),
            (4, 7, 3_000, None), // no time has passed
            (5, 7, 10, None),    // cleared by hand
            (6, 7, 260, Some(2_000)),
            (7, 8, 5_000_000, None), // another process, whatever it says
            (8, 8, 5_000_000, Some(0)),
        ];
        for (second, pid, octets, bits) in rows {
            let measured = judge.judge(&counted(pid, octets), None, at(second))[0].verdict.measurements;
            assert_eq!((measured.bits_in, measured.bits_out), (bits, bits), "at {second} s");
        }
    }

    #[test]
    fn every_address_of_a_frontend_is_a_virtual_server() {
        let text = "frontend www\n bind 192.0.2.1:80\n bind [2001:db8::1]:80\n bind :8080\nfrontend wild\n bind :81";
        let configuration = haproxy_configuration::parse([text]);
        let reading = made(&["www,FRONTEND,OPEN,0", "wild,FRONTEND,OPEN,0"]);
        let reports = Judge::new(Vec::new()).judge(&reading, Some(&configuration), at(1));
        let names: Vec<_> = reports.iter().map(|report| format!("{} {}", report.name, report.address)).collect();
        assert_eq!(names, ["www 192.0.2.1:80", "www-2001:db8::1-80 [2001:db8::1]:80"]);
    }

    #[test]
    fn many_members_are_named_up_to_a_limit() {
        let mut lines = vec!["www,FRONTEND,OPEN,0".to_owned(), "www,BACKEND,DOWN,1".to_owned()];
        lines.extend((0..50).map(|number| format!("www,s{number},DOWN,2")));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let reports = Judge::new(vec![wanted("www", &[])]).judge(&made(&lines), None, at(1));
        assert!(reports[0].verdict.reason.ends_with("s7: DOWN, and 42 more)"), "{}", reports[0].verdict.reason);
    }
}
