//! Query bytes and a snapshot in, reply bytes out: wide IP, else zone, else negative.
//!
//! # Invariants
//! - Pure, and nothing else answers: every transport calls [`respond`].
//! - Nothing is locked and nothing allocated per query; what a query may change is its [`Worker`].
//! - A reply holds whole RRsets or none, and never more octets than the transport and EDNS allow.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod access;
mod additional;
mod ahead;
mod chaos;
mod cookies;
mod extended_error;
#[cfg(test)]
mod fixture;
mod limits;
mod options;
mod outcome;
mod rate_limit;
mod rate_response;
mod rate_table;
mod request;
mod resolve;
mod respond;
mod selector;
mod settings;
mod signature;
mod snapshot;
mod transfers;
mod updates;
mod view;
mod worker;

pub use access::{Denied, Queriers, QueryAccess};
pub use ahead::{AHEAD_MAX, look_ahead};
pub use cookies::{CookieMode, CookieOutcome, CookieSecret, Cookies};
pub use extended_error::ExtendedError;
pub use limits::{ADDITIONAL_NAMES_DEFAULT, CHAIN_DEFAULT, CHAIN_MAX, Limits, UPDATES_DEFAULT, UPDATES_MAX};
pub use options::Circumstances;
pub use outcome::{AnswerSource, Outcome, SignatureOutcome, Transport};
pub use rate_limit::{Limited, RateLimit, RateMode, SharedRates};
pub use respond::respond;
pub use selector::{Criteria, Origin, Selector, VIEWS_MAX};
pub use settings::{Chaos, EdnsSettings, Settings, SyntheticZone, Unmatched};
pub use snapshot::{Snapshot, prepare_zones};
pub use transfers::{
    Access, CatalogConsumer, CatalogMembers, CatalogRole, HistoryLimits, InboundLimits, MemberOf, Membership, Peer,
    Primary, TransferLimits, TransferWideIps, Transfers, ZoneTransfer,
};
pub use updates::{UpdateAction, UpdateNames, UpdateRule, ZoneUpdates};
pub use view::View;
pub use worker::{ViewChoice, Worker};
