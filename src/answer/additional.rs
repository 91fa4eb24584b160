//! Addresses that save the resolver a query: of name servers, mail exchangers and services whose names are ours.

use super::snapshot::Snapshot;
use super::view::View;
use super::worker::Room;
use crate::metrics::Limit;
use crate::wire::{Full, Owner, RecordType, Reply, Section};
use crate::zone::Rrset;

/// Adds the addresses of the names in `rrset` as far as they fit and are ours; tells when there are more names than may be.
pub(super) fn add(reply: &mut Reply<'_>, of: (&Snapshot, &View), room: &mut Room, rrset: Rrset<'_>) -> Option<Limit> {
    let before = octets_before_name(rrset.record_type)?;
    let names_max = of.0.settings.limits.additional_names;
    for rdata in rrset.rdatas().take(names_max) {
        let mark = reply.mark();
        if addresses(reply, of, room, rdata.get(before..).unwrap_or(&[])).is_err() {
            // What does not fit is left out; nobody depends on it.
            reply.rewind(mark);
            break;
        }
    }
    (usize::from(rrset.count) > names_max).then_some(Limit::AdditionalNames)
}

/// Adds the addresses of a cut's name servers. Those below the cut cannot be found without it, so they must fit
/// (RFC 9471 §3.1); the others are added as far as they fit.
pub(super) fn glue(
    reply: &mut Reply<'_>,
    of: (&Snapshot, &View),
    room: &mut Room,
    name_servers: Rrset<'_>,
    cut: &[u8],
) -> Result<(), Full> {
    for needed in [true, false] {
        for rdata in name_servers.rdatas().filter(|rdata| is_below(rdata, cut) == needed) {
            let mark = reply.mark();
            if addresses(reply, of, room, rdata).is_err() {
                reply.rewind(mark);
                return if needed { Err(Full) } else { Ok(()) };
            }
        }
    }
    Ok(())
}

/// Whether the name (wire form) is `cut` (lower case) or below it.
fn is_below(name: &[u8], cut: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > cut.len() {
        let Some((length, tail)) = rest.split_first() else { return false };
        rest = tail.get(usize::from(*length)..).unwrap_or(&[]);
    }
    rest.eq_ignore_ascii_case(cut)
}

/// Writes A and AAAA of one name, if we have them.
fn addresses(
    reply: &mut Reply<'_>,
    (snapshot, view): (&Snapshot, &View),
    room: &mut Room,
    name: &[u8],
) -> Result<(), Full> {
    let key = &mut room.additional;
    if !key.fill(name, snapshot.seed) {
        return Ok(());
    }
    let Some((_, zone)) = view.zones.longest(key, 0) else { return Ok(()) };
    let steered = snapshot.wide_ips.find_in(view.id, key);
    for record_type in [RecordType::A, RecordType::AAAA] {
        // What a wide IP steers must not be answered from beside it, blind to health.
        if steered.is_some_and(|owner| owner.answering(record_type).is_some()) {
            continue;
        }
        let Some(rrset) = zone.rrset(key, record_type) else { continue };
        for rdata in rrset.rdatas() {
            let owner = Owner::Suffix(key, 0);
            reply.record(Section::Additional, owner, record_type, rrset.ttl, rdata)?;
        }
    }
    Ok(())
}

/// Where the name starts in the RDATA of the types that lead to a host.
const fn octets_before_name(record_type: RecordType) -> Option<usize> {
    match record_type {
        RecordType::NS => Some(0),
        RecordType::MX | RecordType::SVCB | RecordType::HTTPS => Some(2),
        RecordType::SRV => Some(6),
        _ => None,
    }
}
