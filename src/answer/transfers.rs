//! Who may have a zone by transfer, who is told of its changes, and who may change it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::updates::ZoneUpdates;
use crate::topology::Prefix;
use crate::wire::Name;
use crate::zone::ZoneId;

/// What is configured of the transfer of each zone; a zone that is not here is given to nobody.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transfers {
    zones: HashMap<ZoneId, ZoneTransfer>,
    /// What they may take in all.
    pub limits: TransferLimits,
}

/// What transfers may take, over all zones and servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransferLimits {
    /// Under way at once to other servers; who comes when there are so many is told to come again.
    pub outbound: usize,
    /// Under way at once from other servers; further ones wait for their turn.
    pub inbound: usize,
    /// How long one to another server may take; then its connection is reset.
    pub outbound_time: Duration,
    /// What is kept of the changes of each zone.
    pub history: HistoryLimits,
}

/// What is kept of the changes of one zone for IXFR. Secondaries that are older get the whole zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryLimits {
    /// Changes.
    pub changes: usize,
    /// Records in all of them.
    pub records: usize,
}

/// What is configured of one zone's transfer and update.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ZoneTransfer {
    /// Who may have the zone: whoever one of these lets in.
    pub allow: Vec<Access>,
    /// Who is told of its changes (RFC 1996).
    pub notify: Vec<Peer>,
    /// What becomes of wide IPs in it.
    pub wide_ips: TransferWideIps,
    /// Where it comes from, when this node is a secondary of it.
    pub primary: Option<Primary>,
    /// Who may change it by dynamic update.
    pub updates: ZoneUpdates,
    /// What it is beside a zone, when it is a catalog (RFC 9432).
    pub catalog: Option<CatalogRole>,
    /// The catalog of this node that lists it.
    pub member_of: Option<MemberOf>,
}

/// Whether a catalog is made here or used here.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogRole {
    /// This node makes it of its own zones.
    Produced(CatalogMembers),
    /// It comes from a primary, and its members become zones of this node.
    Consumed(Arc<CatalogConsumer>),
}

/// Which zones of this node a catalog of its own lists; never other catalogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogMembers {
    /// All of the view.
    All,
    /// Those that say so.
    Named,
}

/// How the members of a catalog become zones of this node.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogConsumer {
    /// The settings of a member of no group that is known here.
    pub template: ZoneTransfer,
    /// The settings of members of these groups (RFC 9432 §4.3.2).
    pub groups: BTreeMap<String, ZoneTransfer>,
    /// How many members it may have; a version with more is not taken over.
    pub members_max: usize,
}

/// What a zone of this node says of its place in a catalog of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOf {
    /// The catalog.
    pub catalog: Name,
    /// How its secondaries shall treat it.
    pub group: Option<String>,
    /// The catalog that may take it over (RFC 9432 §4.3.1).
    pub coo: Option<Name>,
}

/// What made a zone appear on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The catalog that lists it.
    pub catalog: Name,
    /// Under which label. With another label, it is another zone of the same name.
    pub label: Arc<[u8]>,
}

/// Lets somebody in who has all that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The address lies in it.
    pub address: Option<Prefix>,
    /// The request is signed by this key.
    pub key: Option<Name>,
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that signs what goes to it.
    pub key: Option<Name>,
}

/// Where a secondary zone comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// The servers that have it, asked in this order.
    pub servers: Vec<Peer>,
    /// What a transfer from them may take.
    pub limits: InboundLimits,
    /// The catalog that brought the zone; none when it is configured.
    pub member: Option<Membership>,
}

/// What one transfer in may take. Past any of these it is given up, and the last version stays in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundLimits {
    /// Records.
    pub records_max: u64,
    /// Octets of owners and RDATA.
    pub octets_max: u64,
    /// From the first question to the last record.
    pub time_max: Duration,
    /// For connecting, and for each next message.
    pub wait_max: Duration,
}

/// What becomes of wide IPs in a transferred zone. Other servers know nothing of health or topology, so that a wide IP
/// cannot be transferred as what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TransferWideIps {
    /// They are left out: the zone goes as its records stand.
    #[default]
    Omit,
    /// In the place of the wide IP's RRset go the addresses of all enabled members of its pools, whatever their health.
    Members,
}

impl Transfers {
    /// The settings of these zones.
    pub fn new(zones: impl IntoIterator<Item = (ZoneId, ZoneTransfer)>, limits: TransferLimits) -> Self {
        Self { zones: zones.into_iter().collect(), limits }
    }

    /// The settings of the zone of that identity.
    pub fn get(&self, id: &ZoneId) -> Option<&ZoneTransfer> {
        self.zones.get(id)
    }

    /// These settings and those of more zones.
    pub fn with(&self, more: impl IntoIterator<Item = (ZoneId, ZoneTransfer)>) -> Self {
        Self { zones: self.zones.clone().into_iter().chain(more).collect(), limits: self.limits }
    }

    /// Every zone that has settings, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&ZoneId, &ZoneTransfer)> {
        self.zones.iter()
    }
}

impl ZoneTransfer {
    /// Whether somebody at `source`, signing with the key of that name, may have the zone.
    pub fn allows(&self, source: IpAddr, key: Option<&Name>) -> bool {
        self.allow.iter().any(|access| access.allows(source, key))
    }

    /// Whether somebody may change the zone by dynamic update, here or through this node at its primary.
    pub fn takes_updates(&self) -> bool {
        if self.primary.is_some() { self.updates.forward } else { !self.updates.rules.is_empty() }
    }
}

impl Access {
    pub(super) fn allows(&self, source: IpAddr, key: Option<&Name>) -> bool {
        let in_address = self.address.is_none_or(|prefix| contains(prefix, source.to_canonical()));
        let has_key = self.key.as_ref().is_none_or(|wanted| key == Some(wanted));
        // One that names nothing lets nobody in.
        (self.address.is_some() || self.key.is_some()) && in_address && has_key
    }
}

/// Whether the address lies in the prefix; of another family than the prefix it never does.
pub(super) fn contains(prefix: Prefix, address: IpAddr) -> bool {
    let (same_family, differing, bits) = match (prefix.address, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (true, u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (true, a.to_bits() ^ b.to_bits(), 128),
        _ => (false, 0, 0),
    };
    let rest = bits - u32::from(prefix.length).min(bits);
    same_family && differing.checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').unwrap();
        Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
    }

    #[test]
    fn nobody_is_let_in_unless_named() {
        let key: Name = "k.".parse().unwrap();
        let check = |address: Option<&str>, wanted: Option<&Name>, source: &str, signed: Option<&Name>, expected| {
            let access = Access { address: address.map(prefix), key: wanted.cloned() };
            let zone = ZoneTransfer { allow: vec![access], ..ZoneTransfer::default() };
            assert_eq!(zone.allows(source.parse().unwrap(), signed), expected, "{address:?} {source}");
        };
        check(None, None, "192.0.2.1", None, false);
        check(Some("192.0.2.0/24"), None, "192.0.2.255", None, true);
        check(Some("192.0.2.0/24"), None, "::ffff:192.0.2.1", None, true);
        check(Some("192.0.2.0/24"), None, "192.0.3.0", Some(&key), false);
        check(Some("0.0.0.0/0"), None, "203.0.113.1", None, true);
        check(Some("0.0.0.0/0"), None, "2001:db8::1", None, false);
        check(Some("::/0"), None, "2001:db8::1", None, true);
        check(Some("2001:db8::/32"), None, "2001:db9::1", None, false);
        check(None, Some(&key), "192.0.2.1", Some(&"K.".parse().unwrap()), true);
        check(None, Some(&key), "192.0.2.1", Some(&"other.".parse().unwrap()), false);
        check(None, Some(&key), "192.0.2.1", None, false);
        check(Some("192.0.2.0/24"), Some(&key), "192.0.2.1", None, false);
        check(Some("192.0.2.0/24"), Some(&key), "192.0.2.1", Some(&key), true);
        assert!(!ZoneTransfer::default().allows("127.0.0.1".parse().unwrap(), Some(&key)));
    }
}
