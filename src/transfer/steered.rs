//! Wide IPs inside a transferred zone, where `transfer_wide_ips: members` wants them as plain records.

use std::collections::HashMap;

use crate::answer::Snapshot;
use crate::wideip::{MemberTarget, Model, Pattern, Pool, PoolId, WideIp};
use crate::wire::{Name, NameKey, RecordType};
use crate::zone::{Sizes, ZoneId};

/// The RRsets that stand for the wide IPs of one zone, by owner (lower case) and type.
pub(super) type Steered = HashMap<(Vec<u8>, RecordType), Rrset>;

/// An RRset made of members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rrset {
    pub(super) ttl: u32,
    pub(super) rdatas: Vec<Vec<u8>>,
}

/// The RRsets of all enabled members of each wide IP whose home is `zone`.
///
/// | pattern | goes out as |
/// |---|---|
/// | a name | records of the name |
/// | `*.` and a name | records of the wildcard (RFC 4592), which matches over labels as F5's pattern does |
/// | the same, where it would answer for what does not go out and comes first here | nothing |
/// | any other | nothing: other servers cannot match it |
///
/// A wildcard matches no name that is in the zone or below one that is: secondaries answer these as the zone says.
pub(super) fn members(snapshot: &Snapshot, zone: &ZoneId) -> Steered {
    let model = snapshot.wide_ips().model();
    let (mut steered, mut left_out, mut wildcards) = (Steered::new(), Vec::new(), Vec::new());
    for wide_ip in model.wide_ips.iter().filter(|wide_ip| wide_ip.view == zone.view) {
        let rrset = if wide_ip.enabled { rrset(model, wide_ip) } else { Rrset::default() };
        for pattern in std::iter::once(&wide_ip.name).chain(&wide_ip.aliases) {
            let owner = owner(pattern).filter(|_| !rrset.rdatas.is_empty());
            let Some(owner) = owner else {
                left_out.push((text(pattern), wide_ip.record_type));
                continue;
            };
            if !is_home(snapshot, zone, owner) {
                continue;
            }
            let key = (owner.to_lowercase().as_wire().to_vec(), wide_ip.record_type);
            if matches!(pattern, Pattern::Glob(_)) {
                wildcards.push((text(pattern), key.clone()));
            }
            // Of two patterns that are the same the first one counts.
            steered.entry(key).or_insert_with(|| rrset.clone());
        }
    }
    for (wildcard, key) in wildcards {
        if left_out.iter().any(|(other, record_type)| *record_type == key.1 && comes_before(other, &wildcard)) {
            steered.remove(&key);
        }
    }
    steered
}

/// The owner of the records that a pattern goes out as.
fn owner(pattern: &Pattern) -> Option<&Name> {
    let is_wild = |label: &[u8]| label.iter().any(|octet| matches!(octet, b'*' | b'?'));
    match pattern {
        Pattern::Exact(name) => Some(name),
        Pattern::Glob(name) => {
            let mut labels = name.labels();
            let is_wildcard = labels.next() == Some(b"*") && !labels.any(is_wild);
            is_wildcard.then_some(name)
        }
    }
}

/// The pattern in lower case.
fn text(pattern: &Pattern) -> String {
    let (Pattern::Exact(name) | Pattern::Glob(name)) = pattern;
    name.to_lowercase().to_string()
}

/// Whether a pattern may match what `wildcard` matches too, and comes first then: a longer one does (as the patterns of
/// wide IPs are ranked), and names do.
fn comes_before(other: &str, wildcard: &str) -> bool {
    let behind = |text: &str| text.rsplit(['*', '?']).next().unwrap_or_default().to_owned();
    let literals = |text: &str| text.chars().filter(|c| !matches!(c, '*' | '?')).count();
    let (ours, theirs) = (behind(wildcard), behind(other));
    (theirs.ends_with(&ours) || ours.ends_with(&theirs)) && literals(other) >= literals(wildcard)
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
            if !rrset.rdatas.contains(&rdata) && rrset.rdatas.len() < usize::from(Sizes::DEFAULT.rrset_records) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_are_a_label_and_a_name_are_wildcards() {
        let check = |pattern: &str, expected: bool| {
            let glob = Pattern::Glob(pattern.parse().unwrap());
            assert_eq!(owner(&glob).is_some(), expected, "{pattern}");
        };
        check("*.example.", true);
        check("*.a.b.example.", true);
        check("web*.example.", false);
        check("**.example.", false);
        check("?.example.", false);
        check("*.*.example.", false);
        check("*.we?.example.", false);
        check("a.*.example.", false);
        assert!(owner(&Pattern::Exact("www.example.".parse().unwrap())).is_some());
    }

    #[test]
    fn what_does_not_go_out_and_comes_first_here_keeps_a_wildcard_in() {
        let check = |other: &str, expected| assert_eq!(comes_before(other, "*.app.example."), expected, "{other}");
        check("web*.app.example.", true);
        check("?.app.example.", true);
        check("x.app.example.", true);
        check("*.b?.app.example.", true);
        check("*.other.example.", false);
        check("w*.example.", false);
        check("*", false);
    }
}
