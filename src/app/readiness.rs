//! Whether the first health round is in: what `/readyz` says.

use std::time::Duration;

use super::names;
use super::publisher::MonitorRound;
use crate::admin::Readiness;
use crate::status::{ObjectKind, Table};
use crate::wideip::{Model, Server};

/// What readiness depends on besides the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// How far the monitors of this node are.
    pub(super) monitors: MonitorRound,
    /// How long the node has been running.
    pub(super) running: Duration,
    /// After how long it is ready all the same.
    pub(super) timeout: Duration,
}

/// Whether every agent of a server that is not disabled has listed its virtual servers and every monitor has probed, or the time for that is over.
///
/// Verdicts remembered from the last run do not count: they may be all there is after a restart in a mesh outage, which
/// is why the wait has an end.
pub(super) fn judge(model: &Model, table: &Table, progress: Progress) -> Readiness {
    if progress.running >= progress.timeout {
        return Readiness::Ready;
    }
    let mut waiting: Vec<String> = Vec::new();
    let is_awaited = |server: &Server| {
        let is_wanted = table.overrides().is_wanted(ObjectKind::Server, &server.name, server.enabled);
        server.agent.is_some() && is_wanted
    };
    for (index, server) in model.servers.iter().enumerate().filter(|(_, server)| is_awaited(server)) {
        match table.link(index).map(|link| &link.state) {
            None => waiting.push(format!("the agent of {}", server.name)),
            Some(Err(reason)) => waiting.push(format!("the agent of {}: {reason}", server.name)),
            Some(Ok(())) if has_silent_virtual_server(model, table, index) => {
                waiting.push(format!("the first report of the agent of {}", server.name));
            }
            Some(Ok(())) => {}
        }
    }
    if progress.monitors == MonitorRound::Running {
        waiting.push("the first round of monitors".to_owned());
    }
    if waiting.is_empty() {
        return Readiness::Ready;
    }
    let left = progress.timeout.saturating_sub(progress.running);
    waiting.push(format!("at most {} s more", left.as_secs() + 1));
    Readiness::Waiting(waiting)
}

fn has_silent_virtual_server(model: &Model, table: &Table, server: usize) -> bool {
    let of_server = model.virtual_servers.iter().enumerate().filter(|(_, one)| names::index(one.server.0) == server);
    of_server.into_iter().any(|(index, _)| table.status(index).is_none_or(|status| status.reported.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::status::{Availability, Enabled, Fact, Measurements, Moment, Override, Source, Verdict};

    const NOT_DONE: Progress =
        Progress { monitors: MonitorRound::Done, running: Duration::from_secs(1), timeout: Duration::from_secs(30) };

    fn link(server: &str, state: Result<(), &str>) -> Fact {
        Fact::Link { server: server.into(), state: state.map_err(Into::into), at: Moment::from_millis(1) }
    }

    fn report(server: &str) -> Fact {
        let verdict = Verdict {
            availability: Availability::Offline,
            reason: "connection refused".into(),
            measurements: Measurements::default(),
        };
        let (server, at) = (server.into(), Moment::from_millis(2));
        Fact::Verdict { server, virtual_server: "www".into(), source: Source::Agent, verdict, at }
    }

    #[test]
    fn it_waits_for_every_agent_and_says_so() {
        let model = sample::model();
        let mut table = sample::table(&model);
        let mut check = |facts: &[Fact], progress, expected: &[&str]| {
            for fact in facts {
                table.apply(fact, Moment::from_millis(3));
            }
            let got = match judge(&model, &table, progress) {
                Readiness::Ready => Vec::new(),
                Readiness::Waiting(lines) | Readiness::Degraded(lines) => lines,
            };
            assert_eq!(got, expected);
        };
        let left = "at most 30 s more";
        check(&[], NOT_DONE, &["the agent of ny-lb1", "the agent of lon-lb1", left]);
        let facts = [link("ny-lb1", Ok(())), link("lon-lb1", Err("port closed"))];
        let waits = ["the first report of the agent of ny-lb1", "the agent of lon-lb1: port closed", left];
        check(&facts, NOT_DONE, &waits);
        check(&[], Progress { running: Duration::from_secs(30), ..NOT_DONE }, &[]);
        let disable = Override {
            kind: ObjectKind::Server,
            name: "lon-lb1".into(),
            enabled: Some(Enabled::Disabled),
            until: None,
            reason: "".into(),
        };
        check(&[Fact::Override(disable.clone())], NOT_DONE, &["the first report of the agent of ny-lb1", left]);
        check(&[Fact::Override(Override { enabled: None, ..disable })], NOT_DONE, &waits);
        check(&[report("ny-lb1"), link("lon-lb1", Ok(())), report("lon-lb1")], NOT_DONE, &[]);
        check(&[], Progress { monitors: MonitorRound::Running, ..NOT_DONE }, &["the first round of monitors", left]);
    }
}
