//! Views: what is written → an ordered list of them, each with what a query must have to be answered from it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::answer::{Criteria, VIEWS_MAX};
use crate::wire::{Keys, Name};
use crate::zone::{ViewName, Zone};

use super::LISTEN_DEFAULT;
use super::collections::{List, OneOrMore};
use super::file;
use super::file_views::{ViewMatch, address};
use super::issues::{Issues, nearest};
use super::limits;
use super::names::check_object_name;
use super::node::{Place, Shortened};

/// What one view serves, beside its wide IPs in the model.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: ViewName,
    /// What a query must have to be answered from it.
    pub criteria: Criteria,
    /// Its zones, loaded and checked; one that several views share is the same in all.
    pub zones: Vec<Arc<Zone>>,
}

/// One view as written, with the places of its lists.
pub(crate) struct WrittenView<'w> {
    pub(crate) name: ViewName,
    pub(crate) criteria: Criteria,
    pub(crate) zones: (&'w List<file::Zone>, Place<'w>),
    pub(crate) wide_ips: (&'w List<file::WideIp>, Place<'w>),
}

/// The views below `root` in their order. What stands beside them is the view `default`, the last one, which takes all
/// queries that are left; where there are views and nothing stands beside them there is none.
pub(crate) fn list<'w>(
    written: &'w file::Node,
    root: &Place<'w>,
    keys: &Keys,
    issues: &Issues,
) -> Vec<WrittenView<'w>> {
    let listeners = listeners(written);
    let resolver = Resolver { listeners: &listeners, keys, issues };
    let mut views: Vec<WrittenView<'w>> = Vec::new();
    // The view that takes all queries: what comes behind it is never asked.
    let mut last: Option<ViewName> = None;
    for (index, view) in written.views.iter() {
        let place = root.field("views").item(index);
        let name = place.field("name");
        check_object_name(&view.name, &name, issues);
        if view.name == "default" {
            issues.error(&name, "`default` is the view of the `zones` and `wide_ips` that stand beside `views`");
        } else if views.iter().any(|other| other.name.as_str() == view.name) {
            issues.error(&name, format!("there are two views `{}`", Shortened(&view.name)));
        }
        out_of_reach(last.as_ref(), &name, issues);
        let criteria = resolver.criteria(view.matches.as_ref(), &place.field("match"));
        let name = ViewName::new(&view.name);
        last = last.or_else(|| criteria.takes_all().then(|| name.clone()));
        let (zones, wide_ips) = (place.field("zones"), place.field("wide_ips"));
        views.push(WrittenView { name, criteria, zones: (&view.zones, zones), wide_ips: (&view.wide_ips, wide_ips) });
    }
    let (zones, wide_ips) = (root.field("zones"), root.field("wide_ips"));
    if written.views.is_empty() || !written.zones.is_empty() || !written.wide_ips.is_empty() {
        let place = if written.zones.is_empty() { &wide_ips } else { &zones };
        out_of_reach(last.as_ref(), place, issues);
        views.push(WrittenView {
            name: ViewName::default(),
            criteria: Criteria::default(),
            zones: (&written.zones, zones),
            wide_ips: (&written.wide_ips, wide_ips),
        });
    }
    if views.len() > VIEWS_MAX {
        issues.error_at_key(&root.field("views"), format!("{} views: there are at most {VIEWS_MAX}", views.len()));
    }
    views
}

fn out_of_reach(last: Option<&ViewName>, place: &Place<'_>, issues: &Issues) {
    if let Some(last) = last {
        let message = format!("no query gets here: the view `{last}` has no `match` and takes all that are left");
        issues.error_at_key(place, message);
    }
}

/// The listeners by their names, if they have one, and addresses.
fn listeners(written: &file::Node) -> Vec<(Option<&str>, SocketAddr)> {
    let mut all = Vec::new();
    for (_, listener) in written.listeners.iter() {
        let port = listener.port.unwrap_or(limits::LISTENER_PORT);
        let several = listener.addresses.as_ref().map_or(&[][..], |list| &list.0);
        let addresses = listener.address.iter().chain(several).map(|address| SocketAddr::new(address.0, port));
        all.extend(addresses.map(|address| (listener.name.as_deref(), address)));
    }
    if written.listeners.is_empty() {
        all.extend(LISTEN_DEFAULT.map(|address| (None, address)));
    }
    all
}

struct Resolver<'r> {
    listeners: &'r [(Option<&'r str>, SocketAddr)],
    keys: &'r Keys,
    issues: &'r Issues,
}

impl Resolver<'_> {
    fn criteria(&self, written: Option<&ViewMatch>, place: &Place<'_>) -> Criteria {
        let Some(written) = written else { return Criteria::default() };
        let (clients, listeners, keys) = (place.field("clients"), place.field("listeners"), place.field("keys"));
        self.not_empty(written.clients.as_ref(), &clients);
        self.not_empty(written.listeners.as_ref(), &listeners);
        self.not_empty(written.keys.as_ref(), &keys);
        let of_listeners = |all: &OneOrMore<String>| {
            let all = all.0.iter().enumerate();
            all.flat_map(|(index, one)| self.listener(one, &listeners.one_or_item(index))).collect()
        };
        let of_keys = |all: &OneOrMore<String>| {
            let all = all.0.iter().enumerate();
            all.filter_map(|(index, one)| self.key(one, &keys.one_or_item(index))).collect()
        };
        Criteria {
            clients: written.clients.as_ref().map(|all| all.0.iter().map(|prefix| prefix.0).collect()),
            listeners: written.listeners.as_ref().map(of_listeners),
            keys: written.keys.as_ref().map(of_keys),
        }
    }

    fn not_empty<T>(&self, written: Option<&OneOrMore<T>>, place: &Place<'_>) {
        if written.is_some_and(|list| list.0.is_empty()) {
            self.issues.error(place, "nothing fits an empty list: leave the key out to take anything");
        }
    }

    /// The addresses of the listeners that are meant.
    fn listener(&self, written: &str, place: &Place<'_>) -> Vec<SocketAddr> {
        let wanted = address(written);
        let is_meant = |(name, address): &&(Option<&str>, SocketAddr)| match wanted {
            Some((ip, port)) => address.ip() == ip && port.is_none_or(|port| address.port() == port),
            None => *name == Some(written),
        };
        let found: Vec<SocketAddr> = self.listeners.iter().filter(is_meant).map(|(_, address)| *address).collect();
        if found.is_empty() && !self.issues.is_incomplete() {
            let suggestion = nearest(written, self.listeners.iter().filter_map(|(name, _)| *name));
            let message = format!("there is no listener `{}` under `listeners`", Shortened(written));
            self.issues.error_with_suggestion(place, message, suggestion);
        }
        found
    }

    fn key(&self, written: &str, place: &Place<'_>) -> Option<Name> {
        let name = Name::parse(written, Some(&Name::root()));
        let known = name.ok().and_then(|name| Some(self.keys.get(&name)?.name().clone()));
        if known.is_none() && !self.issues.is_incomplete() {
            self.issues.error(place, format!("there is no key `{}` under `keys`", Shortened(written)));
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::config::testing::{check, load_text, load_with};
    use crate::zone::ViewName;

    const KEY: &str = "keys: {k: {secret: c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0}}\n";
    const ZONE: &str = "$TTL 1h\n@ SOA ns hostmaster 1 1h 10m 7d 5m\n@ NS ns.example.net.\n";

    #[test]
    fn views_stand_in_their_order_and_the_default_one_is_the_last() {
        let text = format!(
            "node: n\n{KEY}listeners: [{{name: inside, addresses: [192.0.2.1, '2001:db8::1']}}, {{address: 192.0.2.2, port: 5353}}]\n\
             views:\n  - name: a\n    match: {{clients: [10.0.0.0/8, 192.0.2.7], listeners: [inside, '192.0.2.2:5353'], keys: K}}\n    \
             zones: [{{name: example., file: a.zone}}]\n  - {{name: b, match: {{listeners: 192.0.2.2}}, zones: [{{name: example., file: a.zone}}]}}\n\
             zones: [{{name: example., file: b.zone}}]\n"
        );
        let config = load_with(&text, &[("a.zone", ZONE), ("b.zone", ZONE)]).unwrap();
        let names: Vec<&str> = config.views.iter().map(|view| view.name.as_str()).collect();
        assert_eq!((names, config.model.views.len()), (vec!["a", "b", "default"], 3));
        let [a, b, default] = config.views.as_slice() else { panic!() };
        let listed = |view: &super::View| {
            view.criteria.listeners.as_ref().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(listed(a), "192.0.2.1:53 [2001:db8::1]:53 192.0.2.2:5353");
        assert_eq!((listed(b), a.criteria.clients.as_ref().unwrap().len()), ("192.0.2.2:5353".into(), 2));
        assert!(default.criteria.takes_all() && a.criteria.keys.as_ref().unwrap()[0].to_string() == "k.");
        assert!(Arc::ptr_eq(&a.zones[0], &b.zones[0]), "one file is loaded once");
        assert!(!Arc::ptr_eq(&a.zones[0], &default.zones[0]));
    }

    #[test]
    fn without_zones_beside_the_views_there_is_no_default_one() {
        let config = load_text("node: n\nviews: [{name: a, match: {clients: 10.0.0.0/8}}]\n").unwrap();
        assert_eq!(config.views.len(), 1);
        let config = load_text("node: n\n").unwrap();
        assert_eq!((config.views[0].name.clone(), config.model.views.len()), (ViewName::default(), 0));
    }

    #[test]
    fn mistakes_are_placed() {
        let views = |text: &str, expected: &str| check(&format!("views: [{text}]\n"), expected);
        views(
            "{name: default}",
            "2:16: views[0].name: `default` is the view of the `zones` and `wide_ips` that stand beside `views`",
        );
        views(
            "{name: a/b}",
            "2:16: views[0].name: '/' cannot stand in a name: letters, digits, `-`, `_`, `.` and `:` can",
        );
        views("{name: a, match: {clients: ::/0}}, {name: a}", "2:51: views[1].name: there are two views `a`");
        views("{name: a, match: {keys: k}}", "2:33: views[0].match.keys: there is no key `k` under `keys`");
        views(
            "{name: a, match: {listeners: [outside]}}",
            "2:39: views[0].match.listeners[0]: there is no listener `outside` under `listeners`",
        );
        views(
            "{name: a, match: {clients: []}}",
            "2:36: views[0].match.clients: nothing fits an empty list: leave the key out to take anything",
        );
        views(
            "{name: a}, {name: b}",
            "2:21: views[1].name: no query gets here: the view `a` has no `match` and takes all that are left",
        );
        views(
            "{name: a, clients: []}",
            "2:19: views[0].clients: unknown key; the keys here are `name`, `match`, `zones`, `wide_ips`",
        );
        let many: Vec<String> = (0..65).map(|n| format!("{{name: v{n}, match: {{clients: 10.0.0.0/8}}}}")).collect();
        views(&many.join(", "), "2:1: views: 65 views: there are at most 64");
        check(
            "listeners: [{name: a, address: 127.0.0.1, port: 0}, {name: a, address: 127.0.0.2, port: 0}]\n",
            "2:60: listeners[1].name: there are two listeners `a`",
        );
    }

    #[test]
    fn a_zone_that_is_updated_shares_its_file_with_no_other() {
        let text = |second: &str| {
            format!(
                "node: n\n{KEY}views: [{{name: a, match: {{keys: k}}, zones: [{{name: example., file: a.zone, updates: [{{key: k}}]}}]}}]\n\
                 zones: [{{name: example., file: {second}}}]\n"
            )
        };
        let files = [("a.zone", ZONE), ("b.zone", ZONE)];
        assert!(load_with(&text("b.zone"), &files).is_ok());
        let expected = "3:68: views[0].zones[0].file: another zone has this file: a zone that can be updated needs one of its own, in each view";
        assert_eq!(load_with(&text("a.zone"), &files).unwrap_err(), [expected]);
    }

    #[test]
    fn a_name_may_stand_once_in_each_view() {
        let wide_ip = "wide_ips: [{name: www.example., type: A, when_all_down: nodata, pools: [p]}]";
        let text = |view: &str| {
            format!(
                "node: n\ndatacenters: {{dc: {{}}}}\nservers: {{s: {{datacenter: dc, virtual_servers: {{v: {{address: 192.0.2.1, port: 80}}}}}}}}\n\
                 pools: {{p: {{type: A, members: [s/v]}}}}\nviews:\n  - {{name: a, match: {{clients: 10.0.0.0/8}}, {view}}}\n{wide_ip}\n"
            )
        };
        let config = load_text(&text(wide_ip)).unwrap();
        let names: Vec<String> = config.model.wide_ips.iter().map(crate::wideip::WideIp::full_name).collect();
        assert_eq!(names, ["www.example./A@a", "www.example./A"]);
    }
}
