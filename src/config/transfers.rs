//! What is written of zones between servers → who may have which zone and change it, every key resolved.

use std::net::SocketAddr;

use crate::answer::{Access, Peer, Primary, TransferWideIps, Transfers, ZoneTransfer};
use crate::wire::{Keys, Name};
use crate::zone::ZoneId;

use super::collections::List;
use super::file;
use super::issues::Issues;
use super::limits;
use super::node::Place;
use super::updates;
use super::views::WrittenView;

/// What the zones of all views say of their transfer.
pub(crate) fn resolve(views: &[WrittenView<'_>], keys: &Keys, issues: &Issues) -> Transfers {
    let resolver = Resolver { keys, issues };
    let of_view = |view: &WrittenView<'_>| {
        let (written, place) = &view.zones;
        let one = |(index, zone): (usize, &file::Zone)| {
            (ZoneId::new(view.name.clone(), zone.name.0.clone()), resolver.zone(zone, &place.item(index)))
        };
        written.iter().map(one).collect::<Vec<_>>()
    };
    Transfers::new(views.iter().flat_map(of_view))
}

struct Resolver<'r> {
    keys: &'r Keys,
    issues: &'r Issues,
}

impl Resolver<'_> {
    fn zone(&self, written: &file::Zone, place: &Place<'_>) -> ZoneTransfer {
        let transfer = place.field("transfer");
        let own = written.transfer.as_ref();
        ZoneTransfer {
            allow: own.map(|own| self.allow(&own.allow, &transfer.field("allow"))).unwrap_or_default(),
            notify: own.map(|own| self.notify(&own.notify, &transfer.field("notify"))).unwrap_or_default(),
            wide_ips: match written.transfer_wide_ips {
                Some(file::TransferWideIps::Members) => TransferWideIps::Members,
                Some(file::TransferWideIps::Omit) | None => TransferWideIps::Omit,
            },
            primary: written.primary.as_ref().and_then(|primary| self.primary(primary, &place.field("primary"))),
            updates: updates::resolve(written, place, self.issues, |key, place| self.key(key, place)),
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

    fn primary(&self, written: &file::Primary, place: &Place<'_>) -> Option<Primary> {
        let key = self.key(written.key.as_deref(), place);
        let port = written.port.unwrap_or(limits::LISTENER_PORT);
        let server = |address: std::net::IpAddr| Peer { address: SocketAddr::new(address, port), key: key.clone() };
        let servers: Vec<Peer> = written.addresses.0.iter().map(|address| server(address.0)).collect();
        if servers.is_empty() {
            self.issues.error_at_key(&place.field("addresses"), "a secondary zone needs a primary to come from");
        }
        (!servers.is_empty()).then_some(Primary { servers })
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
    use crate::config::testing::load_with;
    use crate::wire::Name;

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
    fn a_key_must_exist_and_an_entry_must_name_something() {
        let check = |transfer: &str, expected: &str| {
            let text = format!("node: n\nzones: [{{name: example., file: z.zone, transfer: {{{transfer}}}}}]\n");
            assert_eq!(load_with(&text, &[("z.zone", ZONE)]).unwrap_err(), [expected]);
        };
        check("allow: [{key: k}]", "2:65: zones[0].transfer.allow[0].key: there is no key `k` under `keys`");
        check("allow: [{}]", "2:59: zones[0].transfer.allow[0]: `address` or `key` is missing");
    }
}
