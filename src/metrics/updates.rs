//! What is counted of dynamic updates.

use super::registry::Metrics;
use crate::wire::Rcode;

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateResult {
    /// The zone is another.
    Done,
    /// It was carried out and changed nothing.
    Unchanged,
    /// The same signed message came before and was answered as it was then.
    Repeated,
    /// A prerequisite did not hold.
    Prerequisite,
    /// Its sender may not do that, or a limit or rule of zones forbids it.
    Refused,
    /// There is no such zone, or it is updated elsewhere.
    NoZone,
    /// The message breaks the rules of its format.
    Malformed,
    /// Too many waited.
    Limit,
    /// It was passed on to the zone's primary.
    Forwarded,
    /// It could not be kept or passed on.
    Failed,
}

impl UpdateResult {
    /// Every value.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Unchanged,
        Self::Repeated,
        Self::Prerequisite,
        Self::Refused,
        Self::NoZone,
        Self::Malformed,
        Self::Limit,
        Self::Forwarded,
        Self::Failed,
    ];

    /// What the response code of an update that is not carried out says.
    pub const fn of(rcode: Rcode) -> Self {
        match rcode {
            Rcode::FORMERR | Rcode::NOTZONE => Self::Malformed,
            Rcode::NOTAUTH => Self::NoZone,
            Rcode::REFUSED => Self::Refused,
            Rcode::NXDOMAIN | Rcode::YXDOMAIN | Rcode::NXRRSET | Rcode::YXRRSET => Self::Prerequisite,
            _ => Self::Failed,
        }
    }

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Repeated => "repeated",
            Self::Prerequisite => "prerequisite",
            Self::Refused => "refused",
            Self::NoZone => "no_zone",
            Self::Malformed => "malformed",
            Self::Limit => "limit",
            Self::Forwarded => "forwarded",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Counts an update.
    pub fn updated(&self, result: UpdateResult) {
        self.transfers().updates.with_label_values(&[result.as_str()]).inc();
    }
}
