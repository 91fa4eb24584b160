//! What is written of zones between servers → who may have which zone and change it, every key resolved.

use std::net::SocketAddr;
use std::time::Duration;

use crate::answer::{
    Access, HistoryLimits, InboundLimits, Peer, Primary, TransferLimits, TransferWideIps, Transfers, ZoneTransfer,
};
use crate::wire::{Keys, Name};
use crate::zone::ZoneId;

use super::collections::List;
use super::file;
use super::issues::Issues;
use super::limits;
use super::node::Place;
use super::resolve::value;
use super::updates;
use super::views::WrittenView;

/// What the zones of all views say of their transfer.
pub(crate) fn resolve(
    written: &file::Node,
    root: &Place<'_>,
    views: &[WrittenView<'_>],
    keys: &Keys,
    issues: &Issues,
) -> Transfers {
    let resolver = Resolver { keys, issues };
    let of_view = |view: &WrittenView<'_>| {
        let (written, place) = &view.zones;
        let is_made = |zone: &&file::Zone| zone.catalog.is_some() && zone.primary.is_none();
        let made = written.iter().map(|(_, zone)| zone).filter(is_made).map(|zone| &zone.name.0);
        let made: Vec<&Name> = made.collect();
        let one = |(index, zone): (usize, &file::Zone)| {
            (ZoneId::new(view.name.clone(), zone.name.0.clone()), resolver.zone(zone, &made, &place.item(index)))
        };
        written.iter().map(one).collect::<Vec<_>>()
    };
    let limits = in_all(written, &root.field("limits").field("transfers"), issues);
    Transfers::new(views.iter().flat_map(of_view), limits)
}

/// What transfers may take over all zones.
fn in_all(written: &file::Node, place: &Place<'_>, issues: &Issues) -> TransferLimits {
    let none = file::TransferLimits::default();
    let own = written.limits.as_ref().and_then(|limits| limits.transfers.as_ref()).unwrap_or(&none);
    let at_once = |written, key| limits::TRANSFERS.take(written, &place.field(key), issues);
    let outbound_time = value(own.outbound_time);
    TransferLimits {
        outbound: at_once(own.outbound, "outbound"),
        inbound: at_once(own.inbound, "inbound"),
        outbound_time: limits::TRANSFER_OUT_TIME.take(outbound_time, &place.field("outbound_time"), issues),
        history: HistoryLimits {
            changes: limits::HISTORY_CHANGES.take(own.history_changes, &place.field("history_changes"), issues),
            records: limits::HISTORY_RECORDS.take(own.history_records, &place.field("history_records"), issues),
        },
    }
}

/// Reads what is written of transfers.
pub(crate) struct Resolver<'r> {
    keys: &'r Keys,
    pub(crate) issues: &'r Issues,
}

impl Resolver<'_> {
    fn zone(&self, written: &file::Zone, made: &[&Name], place: &Place<'_>) -> ZoneTransfer {
        let primary = written.primary.as_ref().and_then(|primary| self.primary(primary, &place.field("primary")));
        ZoneTransfer {
            catalog: self.catalog(written, primary.as_ref(), place),
            member_of: self.member_of(written, made, place),
            updates: updates::resolve(written, place, self.issues, |key, place| self.key(key, place)),
            primary,
            ..self.transfer(written.transfer.as_ref(), written.transfer_wide_ips, &place.field("transfer"))
        }
    }

    /// Who may have a zone, in which form, and who is told of its changes.
    pub(crate) fn transfer(
        &self,
        own: Option<&file::Transfer>,
        wide_ips: Option<file::TransferWideIps>,
        place: &Place<'_>,
    ) -> ZoneTransfer {
        ZoneTransfer {
            allow: own.map(|own| self.allow(&own.allow, &place.field("allow"))).unwrap_or_default(),
            notify: own.map(|own| self.notify(&own.notify, &place.field("notify"))).unwrap_or_default(),
            wide_ips: match wide_ips {
                Some(file::TransferWideIps::Members) => TransferWideIps::Members,
                Some(file::TransferWideIps::Omit) | None => TransferWideIps::Omit,
            },
            ..ZoneTransfer::default()
        }
    }

    fn allow(&self, written: &List<file::Access>, place: &Place<'_>) -> Vec<Access> {
        let access = |(index, access): (usize, &file::Access)| {
            let place = place.item(index);
            if access.address.is_none() && access.key.is_none() {
                self.issues.error_at_key(&place, "`address` or `key` is missing");
            }
            Access {
                address: access.address.as_ref().map(|prefix| prefix.0),
                key: self.key(access.key.as_deref(), &place),
            }
        };
        written.iter().map(access).filter(|access| access.address.is_some() || access.key.is_some()).collect()
    }

    fn notify(&self, written: &List<file::Peer>, place: &Place<'_>) -> Vec<Peer> {
        let peer = |(index, peer): (usize, &file::Peer)| {
            let place = place.item(index);
            let address = SocketAddr::new(peer.address.0, peer.port.unwrap_or(limits::LISTENER_PORT));
            Peer { address, key: self.key(peer.key.as_deref(), &place) }
        };
        written.iter().map(peer).collect()
    }

    /// Where a zone comes from.
    pub(crate) fn primary(&self, written: &file::Primary, place: &Place<'_>) -> Option<Primary> {
        let key = self.key(written.key.as_deref(), place);
        let port = written.port.unwrap_or(limits::LISTENER_PORT);
        let server = |address: std::net::IpAddr| Peer { address: SocketAddr::new(address, port), key: key.clone() };
        let servers: Vec<Peer> = written.addresses.0.iter().map(|address| server(address.0)).collect();
        if servers.is_empty() {
            self.issues.error_at_key(&place.field("addresses"), "a secondary zone needs a primary to come from");
        }
        (!servers.is_empty()).then_some(Primary { servers, limits: self.limits(written, place), member: None })
    }

    fn limits(&self, written: &file::Primary, place: &Place<'_>) -> InboundLimits {
        let time =
            |limit: limits::Limit<Duration>, written, key| limit.take(value(written), &place.field(key), self.issues);
        let octets = limits::TRANSFER_OCTETS.take(value(written.size_max), &place.field("size_max"), self.issues);
        InboundLimits {
            records_max: {
                limits::TRANSFER_RECORDS.take(written.records_max, &place.field("records_max"), self.issues)
            },
            octets_max: octets.0,
            time_max: time(limits::TRANSFER_TIME, written.time_max, "time_max"),
            wait_max: time(limits::TRANSFER_WAIT, written.wait_max, "wait_max"),
        }
    }

    /// The name of a key that exists.
    fn key(&self, written: Option<&str>, place: &Place<'_>) -> Option<Name> {
        let written = written?;
        let place = place.field("key");
        let name = Name::parse(written, Some(&Name::root()));
        let known = name.ok().filter(|name| self.keys.get(name).is_some());
        if known.is_none() && !self.issues.is_incomplete() {
            self.issues.error(&place, format!("there is no key `{}` under `keys`", super::node::Shortened(written)));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{load_text, load_with};
    use crate::wire::Name;
    use crate::zone::ZoneId;

    const ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n";

    #[test]
    fn a_zone_says_who_may_have_it() {
        let text = "node: n\nkeys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\nzones:\n  - name: example.\n    \
                    file: z.zone\n    transfer:\n      allow: [{address: 192.0.2.0/24}, {key: K}, {address: 2001:db8::1, key: k}]\n      \
                    notify: [{address: 192.0.2.1}, {address: 192.0.2.2, port: 5353, key: k}]\n    transfer_wide_ips: members\n";
        let config = load_with(text, &[("z.zone", ZONE)]).unwrap();
        let zone = config.transfers.get(&"example.".parse::<Name>().unwrap().into()).unwrap();
        let allows = |source: &str, key: Option<&str>| {
            zone.allows(source.parse().unwrap(), key.map(|key| key.parse().unwrap()).as_ref())
        };
        assert!(allows("192.0.2.9", None) && allows("203.0.113.1", Some("k.")) && !allows("2001:db8::1", None));
        assert_eq!(zone.notify[0].address, "192.0.2.1:53".parse().unwrap());
        assert_eq!(zone.notify[1].key.as_ref().unwrap().to_string(), "k.");
    }

    #[test]
    fn what_a_transfer_may_take_is_configured_with_its_units() {
        let text = "node: n\nlimits: {transfers: {outbound: 3, outbound_time: 2m, history_changes: 7}}\nzones:\n  - name: example.\n    primary: {addresses: 192.0.2.1, \
                    records_max: 9, size_max: 2MiB, time_max: 5m, wait_max: 3s}\n";
        let config = load_text(text).unwrap();
        let id = ZoneId::from("example.".parse::<Name>().unwrap());
        let limits = config.transfers.get(&id).unwrap().primary.as_ref().unwrap().limits;
        let seconds = (limits.time_max.as_secs(), limits.wait_max.as_secs());
        assert_eq!((limits.records_max, limits.octets_max, seconds), (9, 2 << 20, (300, 3)));
        let in_all = config.transfers.limits;
        assert_eq!((in_all.outbound, in_all.inbound, in_all.outbound_time.as_secs()), (3, 10, 120));
        assert_eq!((in_all.history.changes, in_all.history.records), (7, 200_000));
        let check = |primary: &str, expected: &str| {
            let text = format!("node: n\nzones: [{{name: a., primary: {{addresses: 192.0.2.1, {primary}}}}}]\n");
            assert_eq!(load_text(&text).unwrap_err(), [expected]);
        };
        check(
            "size_max: 1B",
            "2:62: zones[0].primary.size_max: 1B is not from 1KiB to 1TiB: a primary must not fill our memory",
        );
        check("size_max: 5", "2:62: zones[0].primary.size_max: `5` is not a size such as `512KiB`, `64MiB` or `1GiB`");
    }

    #[test]
    fn a_key_must_exist_and_an_entry_must_name_something() {
        let check = |transfer: &str, expected: &str| {
            let text = format!("node: n\nzones: [{{name: example., file: z.zone, transfer: {{{transfer}}}}}]\n");
            assert_eq!(load_with(&text, &[("z.zone", ZONE)]).unwrap_err(), [expected]);
        };
        check("allow: [{key: k}]", "2:65: zones[0].transfer.allow[0].key: there is no key `k` under `keys`");
        check("allow: [{}]", "2:59: zones[0].transfer.allow[0]: `address` or `key` is missing");
    }
}
