//! What is known of one virtual server: each source's last word, the merged verdict that is held, and how it is shown.

use std::sync::Arc;
use std::time::Duration;

use super::merge::{Vote, merge, severity};
use super::{Ageing, Availability, Enabled, Freshness, Measurements, Moment, Source, Status, Verdict};

/// The most sources kept for one virtual server: more peers than any mesh has, and a bound on what a bad one can fill.
const SOURCES_MAX: usize = 64;
/// How the reason of a verdict begins whose source could not look.
const SOURCE_ERROR: &str = "source error";

/// One source's last word on a virtual server.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who says so.
    pub source: Source,
    /// When the last report came in, readable or not.
    pub at: Moment,
    /// What the source last knew, and when; none when it has never known.
    pub known: Option<(Availability, Moment)>,
    /// Why, in the source's words.
    pub reason: Arc<str>,
    /// Why the source could not look the last time, when it could not.
    pub error: Option<Arc<str>>,
    /// What it measured; empty while it cannot look.
    pub measurements: Measurements,
}

/// The merged verdict: kept, whatever ages, until a report replaces it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) availability: Availability,
    pub(super) reason: Arc<str>,
    pub(super) source: Source,
    /// When it was remembered from before the last restart; none when it was reported in this run.
    pub(super) remembered: Option<Moment>,
}

/// What an entry's status depends on besides its reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) now: Moment,
    pub(super) ageing: Ageing,
    pub(super) grace_until: Moment,
    /// Whether a monitor or an agent is to report.
    pub(super) has_source: bool,
    /// Why the server's agent cannot be reached, when it cannot.
    pub(super) link_error: Option<&'a Arc<str>>,
    pub(super) enabled: Enabled,
    /// Why it is not enabled, when it is not.
    pub(super) disabled_reason: Option<&'a str>,
}

/// What a look at an entry changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    Nothing,
    Measurements,
    Status,
}

/// One virtual server.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) reports: Vec<Report>,
    pub(super) held: Option<Held>,
    pub(super) freshness: Freshness,
    pub(super) status: Status,
    pub(super) measurements: Measurements,
    /// A report came in since the last merge, or a worse verdict waits for the end of the startup grace.
    is_merge_due: bool,
}

impl Entry {
    /// An entry of which nothing is known.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            reports: Vec::new(),
            held: None,
            freshness: Freshness::Expired,
            status: Status {
                availability: Availability::Unknown,
                enabled: Enabled::Enabled,
                reason: "not reported yet".into(),
                source: Source::None,
                since: now,
                reported: None,
            },
            measurements: Measurements::default(),
            is_merge_due: false,
        }
    }

    /// Takes one source's report; false when it is older than what that source said before.
    pub(super) fn hear(&mut self, source: &Source, verdict: &Verdict, at: Moment) -> bool {
        let known = (verdict.availability != Availability::Unknown).then_some((verdict.availability, at));
        let error = known.is_none().then(|| verdict.reason.clone());
        let report = Report {
            source: source.clone(),
            at,
            known,
            reason: verdict.reason.clone(),
            error,
            measurements: verdict.measurements,
        };
        match self.reports.iter_mut().find(|report| report.source == *source) {
            Some(old) if at < old.at => return false,
            Some(old) if known.is_some() => *old = report,
            Some(old) => {
                // A source that cannot look keeps its last word: not knowing is not knowing it is down.
                old.at = at;
                old.error = report.error;
                old.measurements = Measurements::default();
            }
            None => {
                if self.reports.len() >= SOURCES_MAX {
                    return false;
                }
                self.reports.push(report);
            }
        }
        self.is_merge_due = true;
        true
    }

    /// Forgets one source.
    pub(super) fn forget(&mut self, source: &Source) {
        self.reports.retain(|report| report.source != *source);
        self.is_merge_due = true;
    }

    /// Merges the reports that have not expired into the held verdict; keeps what is held when there are none.
    ///
    /// Done when a report came in and not as time passes: an answer never changes merely because information aged.
    fn merge(&mut self, around: &Surroundings<'_>) {
        self.is_merge_due = false;
        let current = |at| around.ageing.freshness(around.now.since(at)) < Freshness::Expired;
        let known = |report: &Report| report.known.filter(|&(_, at)| current(at)).map(|(availability, _)| availability);
        let reports: Vec<&Report> = self.reports.iter().filter(|report| known(report).is_some()).collect();
        let votes: Vec<Vote<'_>> = reports
            .iter()
            .filter_map(|report| known(report).map(|availability| Vote { source: &report.source, availability }))
            .collect();
        let Some((availability, by)) = merge(&votes) else { return };
        let Some(explained) = reports.get(by) else { return };
        let new =
            Held { availability, reason: explained.reason.clone(), source: explained.source.clone(), remembered: None };
        // Just after a start a probe that fails may mean that our own network is not up yet. An agent's word counts.
        let is_protected = around.now < around.grace_until
            && new.source != Source::Agent
            && self.held.as_ref().is_some_and(|held| {
                held.remembered.is_some() && severity(new.availability) > severity(held.availability)
            });
        if is_protected {
            self.is_merge_due = true;
        } else {
            self.held = Some(new);
        }
    }

    /// Brings the merged verdict, freshness, measurements and the shown status up to `around.now`.
    pub(super) fn look(&mut self, around: &Surroundings<'_>) -> Change {
        if self.is_merge_due {
            self.merge(around);
        }
        let freshness = self.freshness_at(around);
        let measurements = self.measurements_at(around);
        let mut status = self.shown(freshness, around);
        let is_same_state = status.availability == self.status.availability && status.enabled == self.status.enabled;
        status.since = if is_same_state { self.status.since } else { around.now };
        let change = if !is_same_state
            || status.reason != self.status.reason
            || status.source != self.status.source
            || freshness != self.freshness
        {
            Change::Status
        } else if measurements != self.measurements {
            Change::Measurements
        } else {
            Change::Nothing
        };
        self.freshness = freshness;
        self.measurements = measurements;
        self.status = status;
        change
    }

    fn freshness_at(&self, around: &Surroundings<'_>) -> Freshness {
        let of_report = |report: &Report| {
            let freshness = around.ageing.freshness(around.now.since(report.known?.1));
            let is_cut_off = report.source == Source::Agent && around.link_error.is_some();
            Some(if is_cut_off { freshness.max(Freshness::Stale) } else { freshness })
        };
        let remembered = self.held.as_ref().and_then(|held| held.remembered);
        let of_memory = remembered.map(|at| around.ageing.freshness(around.now.since(at)).max(Freshness::Stale));
        self.reports.iter().filter_map(of_report).chain(of_memory).min().unwrap_or(Freshness::Expired)
    }

    /// The measurements of the agent, or of whoever else measures, as long as they are fresh.
    fn measurements_at(&self, around: &Surroundings<'_>) -> Measurements {
        let is_fresh = |report: &&Report| {
            around.ageing.freshness(around.now.since(report.at)) == Freshness::Fresh
                && report.measurements != Measurements::default()
                && !(report.source == Source::Agent && around.link_error.is_some())
        };
        let fresh = || self.reports.iter().filter(is_fresh);
        let best = fresh().find(|report| report.source == Source::Agent).or_else(|| fresh().next());
        best.map(|report| report.measurements).unwrap_or_default()
    }

    fn shown(&self, freshness: Freshness, around: &Surroundings<'_>) -> Status {
        let (availability, source) = match &self.held {
            Some(held) if freshness < Freshness::Expired => (held.availability, held.source.clone()),
            Some(held) => (Availability::Unknown, held.source.clone()),
            None => (Availability::Unknown, Source::None),
        };
        let text = self.reason(freshness, around);
        let reason = match around.disabled_reason {
            Some(why) => format!("{why}; {text}").into(),
            None => text,
        };
        let reported = self.reports.iter().map(|report| report.at).max();
        Status { availability, enabled: around.enabled, reason, source, since: around.now, reported }
    }

    /// Why the status is what it is; no ages in it, so that the text changes only when the cause does.
    fn reason(&self, freshness: Freshness, around: &Surroundings<'_>) -> Arc<str> {
        let error = self.reports.iter().find_map(|report| report.error.as_ref());
        let trouble = match (around.link_error, error) {
            (Some(error), _) => Some(format!("agent unreachable: {error}")),
            // Agents say so themselves; a probe that could not be made only says why.
            (None, Some(error)) if error.starts_with(SOURCE_ERROR) => Some(error.to_string()),
            (None, Some(error)) => Some(format!("{SOURCE_ERROR}: {error}")),
            (None, None) => None,
        };
        let Some(held) = &self.held else {
            let nothing = if around.has_source { "not reported yet" } else { "no monitor and no agent watches it" };
            return trouble.map_or_else(|| nothing.into(), Arc::from);
        };
        let trouble = trouble.or_else(|| (freshness > Freshness::Fresh).then(|| "no recent report".to_owned()));
        match (freshness, trouble) {
            (Freshness::Expired, trouble) => {
                let trouble = trouble.unwrap_or_default();
                format!("{trouble}; was {}: {}", held.availability, held.reason).into()
            }
            (_, Some(_)) if held.remembered.is_some() => {
                format!("{} (remembered from before the restart)", held.reason).into()
            }
            (_, Some(trouble)) => format!("{} ({trouble})", held.reason).into(),
            (_, None) => held.reason.clone(),
        }
    }
}

impl Report {
    /// How long ago the source last spoke.
    pub fn age(&self, now: Moment) -> Duration {
        now.since(self.at)
    }
}
