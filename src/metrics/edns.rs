//! The label values of what EDNS options came to.

/// What the cookie of a query came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cookie {
    /// The client knows none of ours yet.
    ClientOnly,
    /// It is ours, and of this time.
    Valid,
    /// It is ours, and too old or from the future.
    Expired,
    /// It is not ours.
    Invalid,
}

impl Cookie {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::ClientOnly, Self::Valid, Self::Expired, Self::Invalid];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientOnly => "client_only",
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
        }
    }
}

/// The extended errors (RFC 8914) that are sent, by number and name, in the order of the counters.
pub(super) const EXTENDED_ERRORS: [(u16, &str); 7] = [
    (0, "other"),
    (3, "stale_answer"),
    (14, "not_ready"),
    (18, "prohibited"),
    (20, "not_authoritative"),
    (21, "not_supported"),
    (24, "invalid_data"),
];
