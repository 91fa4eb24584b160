//! What is written of who may ask and how much → the limits of the answer path.

use std::sync::Arc;

use crate::answer::{Denied, Limits, Queriers, QueryAccess, RateLimit, RateMode, SharedRates};
use crate::topology::Prefix;
use crate::zone::{Sizes, ZoneId};

use super::collections::List;
use super::file;
use super::issues::Issues;
use super::limits;
use super::node::Place;
use super::resolve::value;
use super::values::Written;
use super::views::WrittenView;

/// How large zones may be.
pub(crate) fn sizes(written: Option<&file::Limits>, root: &Place<'_>, issues: &Issues) -> Sizes {
    let none = file::ZoneSizes::default();
    let own = written.and_then(|limits| limits.zones.as_ref()).unwrap_or(&none);
    let place = root.field("limits").field("zones");
    Sizes {
        records: limits::ZONE_RECORDS.take(own.records, &place.field("records"), issues),
        file_octets: limits::ZONE_FILE_SIZE.take(value(own.file_size), &place.field("file_size"), issues).0,
        rrset_records: limits::RRSET_RECORDS.take(own.rrset_records, &place.field("rrset_records"), issues),
        types: limits::NAME_TYPES.take(own.types, &place.field("types"), issues),
    }
}

/// The limits of the answer path; `udp_workers` share the rates.
pub(crate) fn resolve(
    written: &file::Node,
    root: &Place<'_>,
    views: &[WrittenView<'_>],
    udp_workers: usize,
    seed: u64,
    issues: &Issues,
) -> Limits {
    let none = file::Limits::default();
    let own = written.limits.as_ref().unwrap_or(&none);
    let place = root.field("limits");
    let workers = u32::try_from(udp_workers).unwrap_or(u32::MAX);
    let rate = own.rate_limit.as_ref().map(|own| rate(own, &place.field("rate_limit"), (workers, seed), issues));
    Limits {
        chain: limits::CHAIN.take(own.chain, &place.field("chain"), issues),
        additional_names: {
            limits::ADDITIONAL_NAMES.take(own.additional_names, &place.field("additional_names"), issues)
        },
        rate: rate.map(Arc::new),
        access: Queriers {
            node: access(&written.allow_query, &written.deny_query, written.denied_query, root, issues),
            zones: zones(views, issues),
        },
        updates: limits::UPDATES.take(own.updates, &place.field("updates"), issues),
        sizes: sizes(written.limits.as_ref(), root, issues),
    }
}

/// The zones with lists of their own.
fn zones(views: &[WrittenView<'_>], issues: &Issues) -> Vec<(ZoneId, QueryAccess)> {
    let mut found = Vec::new();
    for view in views {
        let (written, place) = &view.zones;
        for (index, zone) in written.iter() {
            let place = place.item(index);
            let own = access(&zone.allow_query, &zone.deny_query, zone.denied_query, &place, issues);
            found.extend(own.map(|access| (ZoneId::new(view.name.clone(), zone.name.0.clone()), access)));
        }
    }
    found
}

/// The lists at one place; none where nothing is written.
fn access(
    allow: &Option<List<Written<Prefix>>>,
    deny: &Option<List<Written<Prefix>>>,
    denied: Option<file::DeniedQuery>,
    place: &Place<'_>,
    issues: &Issues,
) -> Option<QueryAccess> {
    if allow.is_none() && deny.is_none() {
        if denied.is_some() {
            let missing = "nobody is denied: `allow_query` or `deny_query` is missing";
            issues.error_at_key(&place.field("denied_query"), missing);
        }
        return None;
    }
    if allow.as_ref().is_some_and(List::is_empty) {
        let empty = "nobody may ask by an empty list: leave it out to let everybody, or deny 0.0.0.0/0 and ::/0";
        issues.error_at_key(&place.field("allow_query"), empty);
    }
    let denied = match denied {
        Some(file::DeniedQuery::Drop) => Denied::Dropped,
        Some(file::DeniedQuery::Refused) | None => Denied::Refused,
    };
    let list = |written: &Option<List<Written<Prefix>>>| written.as_ref().map(prefixes).unwrap_or_default();
    Some(QueryAccess { allow: list(allow), deny: list(deny), denied })
}

fn prefixes(written: &List<Written<Prefix>>) -> Vec<Prefix> {
    written.iter().map(|(_, prefix)| prefix.0).collect()
}

fn rate(written: &file::RateLimit, place: &Place<'_>, (workers, seed): (u32, u64), issues: &Issues) -> RateLimit {
    let rate = |limit: limits::Limit<u32>, written, key| limit.take(written, &place.field(key), issues);
    let bits = |limit: limits::Limit<u8>, written, key| limit.take(written, &place.field(key), issues);
    let entries = limits::RATE_ENTRIES.take(written.entries, &place.field("entries"), issues);
    RateLimit {
        mode: match written.mode {
            Some(file::RateMode::Log) => RateMode::Log,
            Some(file::RateMode::Limit) | None => RateMode::Limit,
        },
        // In the order of `ResponseKind::ALL`.
        per_second: [
            rate(limits::RATE_ANSWERS, written.answers_per_second, "answers_per_second"),
            rate(limits::RATE_NO_DATA, written.no_data_per_second, "no_data_per_second"),
            rate(limits::RATE_NXDOMAINS, written.nxdomains_per_second, "nxdomains_per_second"),
            rate(limits::RATE_REFERRALS, written.referrals_per_second, "referrals_per_second"),
            rate(limits::RATE_ERRORS, written.errors_per_second, "errors_per_second"),
        ],
        all_per_second: rate(limits::RATE_ALL, written.all_per_second, "all_per_second"),
        window: limits::RATE_WINDOW.take(value(written.window), &place.field("window"), issues),
        slip: rate(limits::RATE_SLIP, written.slip, "slip"),
        ipv4_prefix: bits(limits::RATE_IPV4_PREFIX, written.ipv4_prefix, "ipv4_prefix"),
        ipv6_prefix: bits(limits::RATE_IPV6_PREFIX, written.ipv6_prefix, "ipv6_prefix"),
        exempt: prefixes(&written.exempt),
        entries,
        workers,
        shared: SharedRates::new(entries, workers, seed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{check, load_text, load_with};

    const ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n";

    #[test]
    fn rates_are_off_unless_written_and_have_defaults_then() {
        assert_eq!(load_text("node: n").unwrap().answers, Limits::default());
        let text = "node: n\nlimits: {udp_workers: 3, rate_limit: {}}";
        let rate = load_text(text).unwrap().answers.rate.unwrap();
        assert_eq!((rate.per_second, rate.all_per_second), ([200, 200, 100, 200, 100], 1000));
        assert_eq!((rate.workers, rate.entries, rate.mode), (3, 65_536, RateMode::Limit));
        let text = "node: n\nlimits: {rate_limit: {mode: log, answers_per_second: 0, exempt: [192.0.2.0/24]}}";
        let rate = load_text(text).unwrap().answers.rate.unwrap();
        assert_eq!((rate.per_second[0], rate.exempt.len(), rate.mode), (0, 1, RateMode::Log));
    }

    #[test]
    fn what_cannot_be_is_said() {
        check(
            "limits: {rate_limit: {slip: 101}}",
            "2:29: limits.rate_limit.slip: 101 is not from 0 to 100: real clients wait for a truncated reply",
        );
        check(
            "limits: {chain: 0}",
            "2:17: limits.chain: 0 is not from 1 to 16: a chain must end, and resolvers follow few",
        );
        check("denied_query: drop", "2:1: denied_query: nobody is denied: `allow_query` or `deny_query` is missing");
        check(
            "allow_query: []",
            "2:1: allow_query: nobody may ask by an empty list: leave it out to let everybody, or deny 0.0.0.0/0 and ::/0",
        );
    }

    #[test]
    fn zones_have_lists_of_their_own() {
        let text = "node: n\ndeny_query: [192.0.2.1]\ndenied_query: drop\nzones: [{name: example., file: z.zone, \
                    allow_query: [2001:db8::/32]}]\n";
        let access = load_with(text, &[("z.zone", ZONE)]).unwrap().answers.access;
        assert_eq!(access.node.unwrap().denied, Denied::Dropped);
        assert_eq!(access.zones[0].1.allow.len(), 1);
        assert_eq!(access.zones[0].1.denied, Denied::Refused);
    }
}
