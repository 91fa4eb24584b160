//! Holds an update against the zone: may it be done, do its prerequisites hold, what does it make (RFC 2136 §3.2 to §3.4).
//! No clock and no disk.

use super::draft::{Draft, Made};
use super::message::{Edit, Prerequisite, Refusal, Update};
use crate::answer::UpdateAction;
use crate::wire::{Name, NameKey, Rcode, RecordType};
use crate::zone::serial::SerialPolicy;
use crate::zone::{Sizes, Zone, rdata};

/// Finds the wide IP that owns a name and type: its type, and how people call it.
pub(super) type WideIpOf<'t> = dyn Fn(&Name, RecordType) -> Option<(RecordType, String)> + 't;

/// What an update is judged by besides the zone.
pub(super) struct Terms<'t> {
    /// Whether who sent it may do this; type ANY stands for a name as a whole.
    pub(super) permits: &'t dyn Fn(&Name, RecordType, UpdateAction) -> bool,
    /// The wide IP that owns a name and type, with its own type; for type ANY, one that stands at exactly this name.
    pub(super) wide_ip: &'t WideIpOf<'t>,
    /// How the next serial is made.
    pub(super) serial: SerialPolicy,
    /// The time in seconds since 1970.
    pub(super) unix_seconds: u64,
    /// How large it may become.
    pub(super) sizes: Sizes,
}

/// The version that the update makes of `zone`; none when it changes nothing.
///
/// Who may not do all of it learns nothing of the zone: permissions come before prerequisites, which RFC 2136 §3.3 has
/// the other way round.
///
/// # Errors
/// [`Refusal`]: nothing is done then.
pub(super) fn evaluate(zone: &Zone, update: &Update, terms: &Terms<'_>) -> Result<Option<Made>, Refusal> {
    let mut key = NameKey::root(zone.seed());
    for edit in &update.edits {
        permit(zone, &mut key, edit, terms)?;
    }
    for prerequisite in &update.prerequisites {
        require(zone, &mut key, prerequisite, terms)?;
    }
    let mut draft = Draft::new(zone, terms.sizes);
    for edit in &update.edits {
        draft.edit(edit)?;
    }
    draft.finish(terms.serial, terms.unix_seconds)
}

fn permit(zone: &Zone, key: &mut NameKey, edit: &Edit, terms: &Terms<'_>) -> Result<(), Refusal> {
    let (name, record_type, action) = match edit {
        Edit::Add(record) => (&record.name, record.record_type, UpdateAction::Add),
        Edit::DeleteRrset(name, record_type) | Edit::DeleteRecord(name, record_type, _) => {
            (name, *record_type, UpdateAction::Delete)
        }
        Edit::DeleteName(name) => (name, RecordType::ANY, UpdateAction::Delete),
    };
    let refused = |record_type: RecordType| {
        let verb = if action == UpdateAction::Add { "add" } else { "delete" };
        Refusal::new(Rcode::REFUSED, format!("no rule of the zone lets the sender {verb} {name} {record_type}"))
    };
    if !(terms.permits)(name, record_type, action) {
        return Err(refused(record_type));
    }
    if record_type == RecordType::ANY {
        // All that would go with the name.
        key.fill(name.as_wire(), zone.seed());
        let is_kept = |there| name == zone.apex() && matches!(there, RecordType::SOA | RecordType::NS);
        let types = zone.rrsets(key).map(|rrset| rrset.record_type);
        let forbidden = types.filter(|there| !is_kept(*there)).find(|there| !(terms.permits)(name, *there, action));
        return forbidden.map_or(Ok(()), |there| Err(refused(there)));
    }
    // A record beside the wide IP would never be answered, and one taken away would leave the wide IP answering.
    match (terms.wide_ip)(name, record_type) {
        Some((_, owner)) => Err(Refusal::new(
            Rcode::REFUSED,
            format!("{name} {record_type} belongs to the wide IP {owner}, which the configuration changes"),
        )),
        None => Ok(()),
    }
}

/// Whether a prerequisite holds (§3.2). A wide IP is in the zone for those who ask, so it counts.
fn require(zone: &Zone, key: &mut NameKey, prerequisite: &Prerequisite, terms: &Terms<'_>) -> Result<(), Refusal> {
    let mut rrset = |name: &Name, record_type: RecordType| {
        key.fill(name.as_wire(), zone.seed());
        zone.rrset(key, record_type)
    };
    let owned = |name: &Name, record_type: RecordType| {
        let owner = (terms.wide_ip)(name, record_type);
        owner.is_some_and(|(of, _)| of == record_type || record_type == RecordType::ANY)
    };
    let fail = |rcode: Rcode, name: &Name, what: String| Err(Refusal::new(rcode, format!("{name}: {what}")));
    match prerequisite {
        Prerequisite::RrsetExists(name, record_type) => {
            if rrset(name, *record_type).is_none() && !owned(name, *record_type) {
                return fail(Rcode::NXRRSET, name, format!("there is no {record_type}"));
            }
        }
        Prerequisite::RrsetIsMissing(name, record_type) => {
            if rrset(name, *record_type).is_some() || owned(name, *record_type) {
                return fail(Rcode::YXRRSET, name, format!("there is {record_type}"));
            }
        }
        Prerequisite::RrsetIs(name, record_type, wanted) => {
            let canonical = |data: &[u8]| {
                let mut canonical = Vec::with_capacity(data.len());
                rdata::append_canonical(*record_type, data, &mut canonical);
                canonical
            };
            let mut found: Vec<Vec<u8>> =
                rrset(name, *record_type).into_iter().flat_map(|rrset| rrset.rdatas().map(canonical)).collect();
            found.sort();
            if found != *wanted {
                return fail(Rcode::NXRRSET, name, format!("{record_type} has other values"));
            }
        }
        Prerequisite::NameIsInUse(name) => {
            key.fill(name.as_wire(), zone.seed());
            if zone.rrsets(key).next().is_none() && !owned(name, RecordType::ANY) {
                return fail(Rcode::NXDOMAIN, name, "the name is not in use".to_owned());
            }
        }
        Prerequisite::NameIsFree(name) => {
            key.fill(name.as_wire(), zone.seed());
            if zone.rrsets(key).next().is_some() || owned(name, RecordType::ANY) {
                return fail(Rcode::YXDOMAIN, name, "the name is in use".to_owned());
            }
        }
    }
    Ok(())
}
