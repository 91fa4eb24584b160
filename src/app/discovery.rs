//! What agents' lists of virtual servers make of the configured model (F5's virtual-server-discovery).
//!
//! | discovery         | listed and configured        | listed only | configured without address, not listed | found before, not listed |
//! |-------------------|------------------------------|-------------|----------------------------------------|--------------------------|
//! | disabled          | address as configured        | ignored     | no address                             | -                        |
//! | enabled           | configured address, or listed| added       | no address                             | removed                  |
//! | enabled-no-delete | configured address, or listed| added       | last listed address                    | kept                     |
//!
//! An address that the configuration writes down always stands. Configured ids never change: what is found is appended.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::names;
use crate::status::Discovered;
use crate::wideip::{Discovery, MemberTarget, Model, Server, ServerId, VirtualServer, WhenAllDown, WideIp};

/// The most virtual servers that discovery adds to one server.
const ADDED_MAX: usize = 4096;

/// What agents have found, by server and virtual server; what `enabled-no-delete` must not forget is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(HashMap<Arc<str>, BTreeMap<Arc<str>, SocketAddr>>);

impl Findings {
    /// Takes the full list of one server's agent.
    pub(super) fn take(&mut self, server: &Server, listed: &[Discovered]) {
        let found = self.0.entry(server.name.clone()).or_default();
        if server.discovery != Discovery::EnabledNoDelete {
            found.clear();
        }
        found.extend(listed.iter().map(|one| (one.name.clone(), one.address)));
    }

    /// The model that `configured` and the findings make together.
    pub(super) fn apply(&self, configured: &Model) -> Model {
        let mut model = configured.clone();
        let mut index = HashMap::new();
        for (at, virtual_server) in configured.virtual_servers.iter().enumerate() {
            index.insert((virtual_server.server, virtual_server.name.clone()), at);
        }
        for (number, server) in (0_u32..).map(ServerId).zip(&configured.servers) {
            if server.discovery == Discovery::Disabled {
                continue;
            }
            let mut added = 0;
            for (name, &address) in self.0.get(&server.name).into_iter().flatten() {
                let known = index.get(&(number, name.clone())).and_then(|&at| model.virtual_servers.get_mut(at));
                match known {
                    Some(known) => known.address = known.address.or(Some(address)),
                    None if added < ADDED_MAX => {
                        added += 1;
                        model.virtual_servers.push(discovered(number, name, address));
                    }
                    None => {}
                }
            }
        }
        model
    }
}

fn discovered(server: ServerId, name: &Arc<str>, address: SocketAddr) -> VirtualServer {
    VirtualServer { name: name.clone(), server, address: Some(address), enabled: true, monitors: 0 }
}

/// The wide IPs, as `name/TYPE`, that could be answered under `old` and under `new` have nothing left to answer with,
/// although they do not say that this may be.
pub(super) fn left_without_answer(old: &Model, new: &Model) -> Vec<String> {
    let served: HashMap<String, bool> =
        old.wide_ips.iter().map(|one| (names::wide_ip(one), can_answer(old, one))).collect();
    let lost = |one: &&WideIp| served.get(&names::wide_ip(one)).copied().unwrap_or(false) && !can_answer(new, one);
    new.wide_ips.iter().filter(lost).map(names::wide_ip).collect()
}

/// Whether a wide IP has anything to answer with, whatever its health: a member with an address or a name, a fallback
/// address, or a policy that says what else to do.
fn can_answer(model: &Model, wide_ip: &WideIp) -> bool {
    let has_policy = !matches!(wide_ip.when_all_down, WhenAllDown::ServeAll | WhenAllDown::LastKnownGood);
    let mut pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
    has_policy
        || pools.any(|id| {
            let pool = model.pools.get(names::index(id.0));
            pool.is_some_and(|pool| {
                pool.fallback_ip.is_some() || pool.members.iter().any(|member| has_target(model, &member.target))
            })
        })
}

fn has_target(model: &Model, target: &MemberTarget) -> bool {
    match target {
        MemberTarget::Name { .. } => true,
        MemberTarget::VirtualServer(id) => {
            model.virtual_servers.get(names::index(id.0)).is_some_and(|virtual_server| virtual_server.address.is_some())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    fn listed(rows: &[(&str, &str)]) -> Vec<Discovered> {
        rows.iter()
            .map(|(name, address)| Discovered { name: (*name).into(), address: address.parse().unwrap() })
            .collect()
    }

    /// Two lists in turn of a server that has `www` (with or without an address) configured, and what comes of them.
    fn check(discovery: Discovery, configured: Option<&str>, expected: &[(&str, Option<&str>)]) {
        let mut model = sample::model();
        model.servers[0].discovery = discovery;
        model.virtual_servers[0].address = configured.map(|address| address.parse().unwrap());
        let mut findings = Findings::default();
        findings.take(&model.servers[0], &listed(&[("www", "192.0.2.9:80"), ("old", "192.0.2.8:80")]));
        findings.take(&model.servers[0], &listed(&[("api", "192.0.2.7:80")]));
        let merged = findings.apply(&model);
        let of_server = merged.virtual_servers.iter().filter(|one| one.server == ServerId(0));
        let got: Vec<_> = of_server.map(|one| (&*one.name, one.address.map(|address| address.to_string()))).collect();
        let expected: Vec<_> = expected.iter().map(|(name, address)| (*name, address.map(str::to_owned))).collect();
        assert_eq!(got, expected, "{discovery:?}, {configured:?}");
        assert_eq!(merged.virtual_servers[1], model.virtual_servers[1], "configured ids stay");
    }

    #[test]
    fn every_row_of_the_table() {
        let written = Some("192.0.2.1:80");
        check(Discovery::Disabled, written, &[("www", written)]);
        check(Discovery::Disabled, None, &[("www", None)]);
        check(Discovery::Enabled, written, &[("www", written), ("api", Some("192.0.2.7:80"))]);
        check(Discovery::Enabled, None, &[("www", None), ("api", Some("192.0.2.7:80"))]);
        let kept = [("api", Some("192.0.2.7:80")), ("old", Some("192.0.2.8:80"))];
        check(Discovery::EnabledNoDelete, written, &[&[("www", written)], &kept[..]].concat());
        check(Discovery::EnabledNoDelete, None, &[&[("www", Some("192.0.2.9:80"))], &kept[..]].concat());
    }

    #[test]
    fn a_listed_address_is_taken_where_none_is_configured() {
        let mut model = sample::model();
        model.servers[0].discovery = Discovery::Enabled;
        model.virtual_servers[0].address = None;
        let mut findings = Findings::default();
        findings.take(&model.servers[0], &listed(&[("www", "192.0.2.9:80")]));
        assert_eq!(findings.apply(&model).virtual_servers[0].address, Some("192.0.2.9:80".parse().unwrap()));
    }

    #[test]
    fn a_served_wide_ip_that_would_answer_nothing_is_named() {
        let old = sample::model();
        let mut new = old.clone();
        new.virtual_servers[0].address = None;
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "one member is left");
        new.pools[1].members.clear();
        assert_eq!(left_without_answer(&old, &new), ["www.example.com./A"]);
        assert_eq!(left_without_answer(&new, &new), Vec::<String>::new(), "it had nothing before either");
        new.wide_ips[0].when_all_down = WhenAllDown::NoData;
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "it says that this may be");
        new.wide_ips.clear();
        assert_eq!(left_without_answer(&old, &new), Vec::<String>::new(), "it is no longer served");
    }
}
