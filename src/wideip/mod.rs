//! Wide IPs, pools and members: the configured objects, what is available of them, and the decision with its reason.
//!
//! # Invariants
//! - Pure: time and draws are arguments; a decision locks and allocates nothing.
//! - A disabled member is never answered, in any state of health or staleness.
//! - Only `Tables` (precomputed by the publisher) is read to decide; the health source does not matter here.

mod model;

pub use model::{
    Ageing, Datacenter, DatacenterId, Discovery, Member, MemberTarget, Model, OnUnknown, Pattern, Pool, PoolId,
    PoolMethod, PoolReference, Server, ServerId, VirtualServer, VirtualServerId, WhenAllDown, WideIp, WideIpId,
    WideIpMethod,
};
