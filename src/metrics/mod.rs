//! Every metric of the program, declared once; labels are enums or configured object names, never client data.
//!
//! # Invariants
//! - A worker's counters are written by that worker alone, with plain loads and stores; no two workers share a line.
//! - A counter never goes backwards: what a stopped worker or an old layout counted is folded in by name.
//! - Pure: no clock, file or socket is read here; what is only known at scrape time comes through a [`Reader`].
//! - The number of series per metric is bounded.

mod decisions;
mod edns;
mod family;
mod journal;
mod labels;
mod limit;
mod queries;
mod registry;
mod scrape;
mod survive;
mod transfers;
mod updates;

pub use decisions::{DecisionCounters, DecisionLayout};
pub use edns::Cookie;
pub use labels::{
    CloseReason, ConnectionState, DropReason, Protocol, RateAction, Reload, ResponseKind, Signature, Site, Source,
};
pub use limit::Limit;
pub use queries::{Answered, QueryCounters};
pub use registry::{Metrics, Reader};
pub use scrape::{KernelUdp, PeerTraffic, Scrape, Session};
pub use transfers::{NotifyResult, TransferKind, TransferResult};
pub use updates::UpdateResult;
