//! Wide IPs, pools and members: the configured objects, what is available of them, and the decision with its reason.
//!
//! # Invariants
//! - Pure: time and draws are arguments; a decision locks and allocates nothing.
//! - A disabled member is never answered, in any state of health or staleness.
//! - Only `Tables` (precomputed by the publisher) is read to decide; the health source does not matter here.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod ahead;
mod chunks;
mod decide;
mod decision;
mod derive;
mod discover;
#[cfg(test)]
pub(crate) mod fixture;
mod glob;
mod ids;
#[cfg(test)]
mod invariants;
mod layout;
mod marks;
mod members;
mod memory;
mod model;
mod names;
mod owner;
mod pick;
mod rows;
mod select;
mod summary;
mod tables;
mod trace;
mod view;

pub use crate::status::Ageing;
pub use decision::{Answer, Client, Decision, OUTCOMES, Reason, Tier};
pub use memory::Memory;
pub use model::{
    Datacenter, DatacenterId, Discovery, Member, MemberTarget, Model, OnUnknown, Pattern, Pool, PoolId, PoolMethod,
    PoolReference, Server, ServerId, ViewId, VirtualServer, VirtualServerId, WhenAllDown, WideIp, WideIpId,
    WideIpMethod,
};
pub use names::NameIndex;
pub use owner::Owner;
pub use rows::MEMBERS_MAX;
pub use summary::Summaries;
pub use tables::{Shifts, Tables, VirtualServerView};
pub use trace::{Event, Step, Subject, Trace};
