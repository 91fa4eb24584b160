//! Between what a running node knows and what the state folder keeps: moments to wall-clock time and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::millis;
use super::state::{SavedHealth, SavedOverride, SavedVerdict, SavedVirtualServer};
use crate::status::{Availability, Discovered, Enabled, Moment, Override, Remembered, RememberedVerdict, Source};

/// One instant on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// On the monotonic clock.
    pub(super) moment: Moment,
    /// On the wall clock, as milliseconds since 1970.
    pub(super) unix_ms: u64,
}

impl Now {
    /// The wall-clock time of a moment.
    pub(super) fn unix_ms_of(self, moment: Moment) -> u64 {
        let ahead = millis(moment.since(self.moment));
        let behind = millis(self.moment.since(moment));
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }
}

/// What is written down of overrides.
pub(super) fn save_overrides<'a>(overrides: impl Iterator<Item = &'a Override>, now: Now) -> Vec<SavedOverride> {
    let save = |one: &Override| {
        let enabled = one.enabled?;
        Some(SavedOverride {
            kind: one.kind.to_string(),
            name: one.name.to_string(),
            enabled: enabled == Enabled::Enabled,
            until_unix_ms: one.until.map(|until| now.unix_ms_of(until)),
            remaining_ms: one.until.map(|until| millis(until.since(now.moment))),
            reason: one.reason.to_string(),
        })
    };
    overrides.filter_map(save).collect()
}

/// The overrides of a saved list that still hold, and the names of those that ended while the node was down.
///
/// An override ends at its wall-clock deadline, but never lasts longer than it had to go when it was written: a wall
/// clock that was set back does not prolong it.
pub(super) fn restore_overrides(saved: &[SavedOverride], now: Now) -> Result<(Vec<Override>, Vec<String>), String> {
    let (mut kept, mut ended) = (Vec::new(), Vec::new());
    for one in saved {
        let remaining = one.until_unix_ms.map(|until| {
            let left = until.saturating_sub(now.unix_ms);
            left.min(one.remaining_ms.unwrap_or(left))
        });
        if remaining == Some(0) {
            ended.push(format!("{} {}", one.kind, one.name));
            continue;
        }
        kept.push(Override {
            kind: one.kind.parse()?,
            name: one.name.as_str().into(),
            enabled: Some(if one.enabled { Enabled::Enabled } else { Enabled::Disabled }),
            until: remaining.map(|left| now.moment.after(Duration::from_millis(left))),
            reason: one.reason.as_str().into(),
        });
    }
    Ok((kept, ended))
}

/// What is written down of health.
pub(super) fn save_health(remembered: &Remembered) -> SavedHealth {
    let verdict = |one: &RememberedVerdict| SavedVerdict {
        server: one.server.to_string(),
        virtual_server: one.virtual_server.to_string(),
        availability: one.availability.to_string(),
        reason: one.reason.to_string(),
        source: one.source.to_string(),
    };
    let listed = |one: &Discovered| SavedVirtualServer { name: one.name.to_string(), address: one.address };
    let inventory =
        |(server, found): &(Arc<str>, Vec<Discovered>)| (server.to_string(), found.iter().map(listed).collect());
    SavedHealth {
        verdicts: remembered.verdicts.iter().map(verdict).collect(),
        inventories: remembered.inventories.iter().map(inventory).collect::<BTreeMap<_, _>>(),
    }
}

/// What a saved file says of health; rows that make no sense are left out, since a report will replace them anyway.
pub(super) fn restore_health(saved: &SavedHealth) -> Remembered {
    let verdict = |one: &SavedVerdict| {
        Some(RememberedVerdict {
            server: one.server.as_str().into(),
            virtual_server: one.virtual_server.as_str().into(),
            availability: availability(&one.availability)?,
            reason: one.reason.as_str().into(),
            source: source(&one.source),
        })
    };
    let listed = |one: &SavedVirtualServer| Discovered { name: one.name.as_str().into(), address: one.address };
    Remembered {
        verdicts: saved.verdicts.iter().filter_map(verdict).collect(),
        inventories: saved
            .inventories
            .iter()
            .map(|(server, found)| (server.as_str().into(), found.iter().map(listed).collect()))
            .collect(),
        overrides: Vec::new(),
    }
}

fn availability(text: &str) -> Option<Availability> {
    let known = [Availability::Available, Availability::Unavailable, Availability::Offline];
    known.into_iter().find(|one| one.to_string() == text)
}

fn source(text: &str) -> Source {
    match text {
        "monitor" => Source::Monitor,
        "agent" => Source::Agent,
        _ => text.strip_prefix("peer ").map_or(Source::None, |name| Source::Peer(name.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ObjectKind;

    const HOUR: u64 = 3_600_000;

    fn now(moment: u64, unix_ms: u64) -> Now {
        Now { moment: Moment::from_millis(moment), unix_ms }
    }

    #[test]
    fn an_override_ends_at_its_deadline_whatever_the_wall_clock_did() {
        let written = now(5000, 100 * HOUR);
        let one = Override {
            kind: ObjectKind::VirtualServer,
            name: "ny-lb1/www".into(),
            enabled: Some(Enabled::Disabled),
            until: Some(Moment::from_millis(5000 + HOUR)),
            reason: "kernel".into(),
        };
        let saved = save_overrides([&one].into_iter(), written);
        assert_eq!(saved[0].until_unix_ms, Some(101 * HOUR));
        // The wall clock at the next start, and what is left of the hour then.
        let check = |unix_ms, left: Option<u64>| {
            let (kept, ended) = restore_overrides(&saved, now(10, unix_ms)).unwrap();
            assert_eq!(kept.first().map(|one| one.until), left.map(|left| Some(Moment::from_millis(10 + left))));
            assert_eq!(ended.len(), usize::from(left.is_none()));
        };
        check(100 * HOUR, Some(HOUR));
        check(100 * HOUR + HOUR / 2, Some(HOUR / 2));
        check(101 * HOUR, None);
        check(1000 * HOUR, None);
        check(2 * HOUR, Some(HOUR));
        check(0, Some(HOUR));
    }

    #[test]
    fn an_override_without_an_end_has_none_after_a_restart() {
        let one = Override {
            kind: ObjectKind::WideIp,
            name: "www.example.com./A".into(),
            enabled: Some(Enabled::Enabled),
            until: None,
            reason: "".into(),
        };
        let saved = save_overrides([&one].into_iter(), now(1, 2));
        assert_eq!(restore_overrides(&saved, now(3, u64::MAX)).unwrap(), (vec![one], vec![]));
    }

    #[test]
    fn health_is_the_same_after_a_restart() {
        let verdict = |source| RememberedVerdict {
            server: "ny-lb1".into(),
            virtual_server: "www".into(),
            availability: Availability::Offline,
            reason: "connection refused".into(),
            source,
        };
        let listed = Discovered { name: "www".into(), address: "192.0.2.1:80".parse().unwrap() };
        let known = Remembered {
            verdicts: vec![verdict(Source::Agent), verdict(Source::Monitor), verdict(Source::Peer("ns2".into()))],
            inventories: vec![("ny-lb1".into(), vec![listed])],
            overrides: Vec::new(),
        };
        assert_eq!(restore_health(&save_health(&known)), known);
    }
}
