//! The steps of one decision, written down when somebody asks why.

use std::fmt;
use std::sync::Arc;

/// The steps of one decision in the order in which they were taken. Filled by the code that decides, not by a copy of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What became of the subject.
    pub event: Event,
    /// What kind of object it is about.
    pub subject: Subject,
    /// Its name: a pool's, a member's as `server/virtual-server`, a wide IP's as `name/TYPE`.
    pub name: Arc<str>,
    /// The method at work; empty where none is.
    pub method: String,
    /// Why, with the numbers that decided.
    pub reason: String,
}

/// What became of the subject of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It may be answered.
    CheckSucceeded,
    /// It may not.
    CheckFailed,
    /// The method chose it.
    Selected,
    /// The method passed it over.
    Skipped,
    /// Nothing in it could be answered by the method.
    FoundNothing,
}

/// The kind of object a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A wide IP.
    WideIp,
    /// A pool.
    Pool,
    /// A member of the pool selected last.
    Member,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CheckSucceeded => "check succeeded",
            Self::CheckFailed => "check failed",
            Self::Selected => "selected",
            Self::Skipped => "skipped",
            Self::FoundNothing => "found nothing in",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WideIp => "wide ip",
            Self::Pool => "pool",
            Self::Member => "pool member",
        })
    }
}

impl fmt::Display for Step {
    /// Writes the step as F5's decision log does: `topology selected pool (west) - topology score (1) is the highest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, subject, name, method, reason } = self;
        match event {
            Event::CheckSucceeded | Event::CheckFailed => write!(f, "{subject} {event} ({name})")?,
            _ if method.is_empty() => write!(f, "{event} {subject} ({name})")?,
            _ => write!(f, "{method} {event} {subject} ({name})")?,
        }
        if reason.is_empty() { Ok(()) } else { write!(f, " - {reason}") }
    }
}

impl fmt::Display for Trace {
    /// Writes one step per line, in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "[{step}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_like_a_decision_log() {
        let step = |event, subject, method: &str, reason: &str| Step {
            event,
            subject,
            name: "x".into(),
            method: method.to_owned(),
            reason: reason.to_owned(),
        };
        let check = |step: Step, expected: &str| assert_eq!(step.to_string(), expected);
        let score = "topology score (1) is the highest";
        check(
            step(Event::Selected, Subject::Pool, "topology", score),
            "topology selected pool (x) - topology score (1) is the highest",
        );
        check(step(Event::CheckFailed, Subject::Member, "", "offline"), "pool member check failed (x) - offline");
        check(step(Event::Selected, Subject::Member, "ratio", ""), "ratio selected pool member (x)");
    }
}
