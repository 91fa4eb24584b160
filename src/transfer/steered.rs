//! Wide IPs inside a transferred zone, where `transfer_wide_ips: members` wants them as plain records.

use std::collections::HashMap;

use crate::answer::Snapshot;
use crate::wideip::{MemberTarget, Model, Pattern, Pool, PoolId, WideIp};
use crate::wire::{Name, NameKey, RecordType};
use crate::zone::{RRSET_RECORDS_MAX, ZoneId};

/// The RRsets that stand for the wide IPs of one zone, by owner (lower case) and type.
pub(super) type Steered = HashMap<(Vec<u8>, RecordType), Rrset>;

/// An RRset made of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rrset {
    pub(super) ttl: u32,
    pub(super) rdatas: Vec<Vec<u8>>,
}

/// The RRsets of all enabled members of each wide IP whose home is `zone`. Patterns have none: other servers cannot
/// match them.
pub(super) fn members(snapshot: &Snapshot, zone: &ZoneId) -> Steered {
    let model = snapshot.wide_ips().model();
    let mut steered = Steered::new();
    for wide_ip in model.wide_ips.iter().filter(|wide_ip| wide_ip.enabled && wide_ip.view == zone.view) {
        let names = std::iter::once(&wide_ip.name).chain(&wide_ip.aliases);
        for name in names.filter_map(exact).filter(|name| is_home(snapshot, zone, name)) {
            let rrset = rrset(model, wide_ip);
            if !rrset.rdatas.is_empty() {
                steered.insert((name.to_lowercase().as_wire().to_vec(), wide_ip.record_type), rrset);
            }
        }
    }
    steered
}

fn exact(pattern: &Pattern) -> Option<&Name> {
    match pattern {
        Pattern::Exact(name) => Some(name),
        Pattern::Glob(_) => None,
    }
}

/// Whether the zone is the one that encloses the name most closely.
fn is_home(snapshot: &Snapshot, zone: &ZoneId, name: &Name) -> bool {
    let key = NameKey::new(name, snapshot.seed());
    snapshot.view(&zone.view).and_then(|view| view.enclosing(&key)).is_some_and(|home| *home.apex() == zone.apex)
}

fn rrset(model: &Model, wide_ip: &WideIp) -> Rrset {
    let pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
    let pools = pools.filter_map(|PoolId(id)| model.pools.get(usize::try_from(id).ok()?));
    let mut rrset = Rrset { ttl: u32::MAX, rdatas: Vec::new() };
    for pool in pools.filter(|pool| pool.enabled && pool.record_type == wide_ip.record_type) {
        rrset.ttl = rrset.ttl.min(pool.ttl_seconds);
        for rdata in rdatas(model, pool) {
            if !rrset.rdatas.contains(&rdata) && rrset.rdatas.len() < usize::from(RRSET_RECORDS_MAX) {
                rrset.rdatas.push(rdata);
            }
        }
    }
    if wide_ip.record_type == RecordType::CNAME {
        // RFC 1034 §3.6.2: a name has one canonical name.
        rrset.rdatas.truncate(1);
    }
    rrset
}

fn rdatas<'m>(model: &'m Model, pool: &'m Pool) -> impl Iterator<Item = Vec<u8>> + 'm {
    pool.members.iter().filter(|member| member.enabled).filter_map(|member| match &member.target {
        MemberTarget::Name { name, .. } => Some(name.as_wire().to_vec()),
        MemberTarget::VirtualServer(id) => {
            let one = model.virtual_servers.get(usize::try_from(id.0).ok()?).filter(|one| one.enabled)?;
            match one.address?.ip() {
                std::net::IpAddr::V4(v4) if pool.record_type == RecordType::A => Some(v4.octets().to_vec()),
                std::net::IpAddr::V6(v6) if pool.record_type == RecordType::AAAA => Some(v6.octets().to_vec()),
                _ => None,
            }
        }
    })
}
