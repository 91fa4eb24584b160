//! Zones that appear and disappear while the node runs: the members of catalogs from elsewhere, and the catalogs that
//! this node makes of its own zones. What is served follows from the configuration and the catalogs in use, whichever
//! changed; no clock, channel or file.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::prepare::{Prepared, ViewZones};
use crate::answer::{self, CatalogMembers, CatalogRole, Membership, Transfers, prepare_zones};
use crate::catalog::{self, Assignment, Consumed, Listed, Refused};
use crate::wire::Name;
use crate::zone::{Difference, Zone, ZoneBuilder, ZoneId};

/// What catalogs bring and list.
#[derive(Default)]
pub(super) struct Catalogs {
    /// As configured, without the members.
    configured: Arc<Transfers>,
    consumed: BTreeMap<ZoneId, Consumed>,
    assignment: Assignment,
    /// Which catalog each zone was a member of before the node started.
    remembered: BTreeMap<ZoneId, Membership>,
    /// The catalogs that are made here, as last made.
    produced: BTreeMap<ZoneId, Arc<Zone>>,
    news: Vec<News>,
}

/// What the log is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A catalog brought a zone.
    Added(ZoneId, Membership),
    /// A catalog lists a zone no longer.
    Removed(ZoneId, Membership),
    /// A zone starts from nothing, because it is listed under another label.
    Reset(ZoneId, Membership),
    /// A catalog lists a zone in vain.
    Refused(Refused),
    /// A catalog of this node has a new version.
    Produced(ZoneId, u32),
}

impl Catalogs {
    /// Takes a configuration over; the members of catalogs that are still configured stay.
    pub(super) fn configure(&mut self, prepared: &mut Prepared, transferred: &mut HashMap<ZoneId, Arc<Zone>>) {
        self.configured = Arc::clone(&prepared.answer.transfers);
        for (id, consumed) in std::mem::take(&mut self.consumed) {
            if let Some(CatalogRole::Consumed(consumer)) = role(&self.configured, &id) {
                let consumer = Arc::clone(consumer);
                self.consumed.insert(id, Consumed { consumer, ..consumed });
            }
        }
        // Members are no zones of the new configuration yet: all are added.
        let before = std::mem::take(&mut self.assignment);
        self.follow(before, prepared, transferred);
    }

    /// Says what catalogs brought each zone before the node started.
    pub(super) fn remember(&mut self, members: impl IntoIterator<Item = (ZoneId, Membership)>) {
        self.remembered.extend(members);
    }

    /// The zones that catalogs bring.
    pub(super) fn members(&self) -> impl Iterator<Item = (&ZoneId, &Membership)> {
        self.assignment.members.iter().map(|(id, assigned)| (id, &assigned.membership))
    }

    /// The catalogs from elsewhere: how many members each brings.
    pub(super) fn consumed(&self) -> impl Iterator<Item = (&ZoneId, usize)> {
        let count =
            |id: &ZoneId| self.members().filter(|(zone, of)| zone.view == id.view && of.catalog == id.apex).count();
        self.consumed.keys().map(move |id| (id, count(id)))
    }

    /// The zones that catalogs list in vain.
    pub(super) fn refused(&self) -> &[Refused] {
        &self.assignment.refused
    }

    /// What happened since the last call.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Takes the version of a zone that came by transfer, if it is a catalog. One that expired still tells which members
    /// there are: RFC 9432 §5.1 has nothing happen to them until it is fresh again. Says whether it is a catalog.
    pub(super) fn take(
        &mut self,
        id: &ZoneId,
        zone: &Zone,
        prepared: &mut Prepared,
        transferred: &mut HashMap<ZoneId, Arc<Zone>>,
    ) -> bool {
        let Some(CatalogRole::Consumed(consumer)) = role(&self.configured, id) else { return false };
        // A broken one is refused before it comes here.
        let Ok(catalog) = catalog::read(zone, consumer.members_max) else { return false };
        let consumed = Consumed { consumer: Arc::clone(consumer), catalog: Arc::new(catalog) };
        self.consumed.insert(id.clone(), consumed);
        let before = self.assignment.clone();
        self.follow(before, prepared, transferred);
        true
    }

    /// Continues the numbers of a catalog of this node from its version of the last run.
    pub(super) fn restore_produced(&mut self, id: ZoneId, zone: Arc<Zone>, prepared: &mut Prepared) {
        self.news.retain(|news| !matches!(news, News::Produced(made, _) if *made == id));
        self.produced.insert(id, zone);
        self.produce(prepared);
    }

    /// Makes what is served follow from the catalogs; `before` is what is served.
    fn follow(&mut self, before: Assignment, prepared: &mut Prepared, transferred: &mut HashMap<ZoneId, Arc<Zone>>) {
        let held = |zone: &ZoneId| match before.members.get(zone) {
            Some(assigned) => Some(assigned.membership.clone()),
            None => self.remembered.get(zone).cloned(),
        };
        let after = catalog::assign(&self.consumed, |zone| self.configured.get(zone).is_some(), held);
        self.tell(&before, &after, transferred);
        let members = after.members.iter().map(|(id, assigned)| (id.clone(), assigned.policy.clone()));
        let transfers = Arc::new(self.configured.with(members));
        let answer = answer::Settings { transfers, ..(*prepared.answer).clone() };
        prepared.answer = Arc::new(answer);
        self.assignment = after;
        let has_members = !before.members.is_empty() || !self.assignment.members.is_empty();
        for view in prepared.views.iter_mut().filter(|_| has_members) {
            set_up(view, &self.assignment, transferred, &prepared.answer, prepared.seed);
        }
        self.produce(prepared);
    }

    /// Notes what changed, and lets go of what zones that are over held.
    fn tell(&mut self, before: &Assignment, after: &Assignment, transferred: &mut HashMap<ZoneId, Arc<Zone>>) {
        for (id, old) in &before.members {
            match after.members.get(id) {
                None => self.news.push(News::Removed(id.clone(), old.membership.clone())),
                Some(new) if new.membership.label != old.membership.label => {
                    self.news.push(News::Reset(id.clone(), new.membership.clone()));
                }
                Some(_) => continue,
            }
            transferred.remove(id);
        }
        for (id, new) in after.members.iter().filter(|(id, _)| !before.members.contains_key(*id)) {
            self.news.push(News::Added(id.clone(), new.membership.clone()));
        }
        let refused = after.refused.iter().filter(|refused| !before.refused.contains(refused));
        self.news.extend(refused.cloned().map(News::Refused));
    }

    /// Makes the catalogs of this node anew where what they list changed.
    fn produce(&mut self, prepared: &mut Prepared) {
        let Prepared { views, answer, seed, loaded, .. } = prepared;
        for (id, policy) in self.configured.iter() {
            let Some(CatalogRole::Produced(which)) = &policy.catalog else { continue };
            let Some(view) = views.iter_mut().find(|view| view.name == id.view) else { continue };
            let listed = listed(view, id, *which, &answer.transfers);
            let before = self.produced.get(id);
            let is_same =
                |old: &&Arc<Zone>| Difference::between(old, &catalog::produce(&id.apex, &listed, 0, *seed)).is_empty();
            let zone = match before.filter(is_same) {
                Some(old) => Arc::clone(old),
                None => {
                    // The clock's time where nothing is known of earlier versions; then always one more.
                    let serial = before.map_or(*loaded, |old| next_serial(old.soa().serial, *loaded));
                    self.news.push(News::Produced(id.clone(), serial));
                    Arc::new(catalog::produce(&id.apex, &listed, serial, *seed))
                }
            };
            self.produced.insert(id.clone(), Arc::clone(&zone));
            view.zones.put(zone);
        }
        let configured = &self.configured;
        self.produced.retain(|id, _| matches!(role(configured, id), Some(CatalogRole::Produced(_))));
    }
}

/// A serial that is newer than the last (RFC 1982 §3.2): the time where that is.
const fn next_serial(last: u32, now: u32) -> u32 {
    let next = last.wrapping_add(1);
    if now.wrapping_sub(next) < 1 << 31 { now } else { next }
}

fn role<'t>(transfers: &'t Transfers, id: &ZoneId) -> Option<&'t CatalogRole> {
    transfers.get(id)?.catalog.as_ref()
}

/// Gives the view a zone for each member and none for what is a member no more, and the names of wide IPs a home in
/// them.
fn set_up(
    view: &mut ViewZones,
    assignment: &Assignment,
    transferred: &HashMap<ZoneId, Arc<Zone>>,
    answer: &answer::Settings,
    seed: u64,
) {
    let name = view.name.clone();
    let identity = |zone: &Arc<Zone>| ZoneId::new(name.clone(), zone.apex().clone());
    let mut zones: BTreeMap<ZoneId, Arc<Zone>> = view
        .zones
        .values()
        .map(|zone| (identity(zone), Arc::clone(zone)))
        // The others are members no more, or were made for wide IPs that may have a home now.
        .filter(|(id, _)| answer.transfers.get(id).is_some())
        .collect();
    for id in assignment.members.keys().filter(|id| id.view == view.name) {
        let empty = || Arc::new(ZoneBuilder::new(&id.apex, seed).finish());
        // Nothing came yet, or what came was another zone of that name.
        zones.insert(id.clone(), transferred.get(id).map_or_else(empty, Arc::clone));
    }
    let held: Vec<Name> = view.held.values().flatten().cloned().collect();
    let zones = prepare_zones(zones.into_values().collect(), &held, &answer.synthetic_zone, seed);
    *view = ViewZones::new(name.clone(), zones, held, seed);
}

/// What a catalog of this node lists.
fn listed(view: &ViewZones, catalog: &ZoneId, which: CatalogMembers, transfers: &Transfers) -> BTreeMap<Name, Listed> {
    let of_view = transfers.iter().filter(|(id, policy)| id.view == view.name && policy.catalog.is_none());
    let one = |(id, policy): (&ZoneId, &answer::ZoneTransfer)| {
        let own = policy.member_of.as_ref().filter(|own| own.catalog == catalog.apex);
        // Where it goes with its owner, it is in both until the old one lets go of it.
        let is_taken_over = || policy.member_of.as_ref().is_some_and(|own| own.coo.as_ref() == Some(&catalog.apex));
        let is_listed = own.is_some() || which == CatalogMembers::All || is_taken_over();
        let group = policy.member_of.as_ref().and_then(|own| own.group.clone());
        let listed = Listed { group, coo: own.and_then(|own| own.coo.clone()) };
        is_listed.then(|| (id.apex.to_lowercase(), listed))
    };
    of_view.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer::{CatalogConsumer, InboundLimits, MemberOf, Peer, Primary, TransferLimits, ZoneTransfer};
    use crate::app::board::Board;
    use crate::app::sample;
    use crate::status::{Moment, Remembered};
    use crate::transfer::NewZone;
    use crate::wire::RecordType;
    use crate::zone::ViewName;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn id(text: &str) -> ZoneId {
        name(text).into()
    }

    fn secondary() -> ZoneTransfer {
        let time = Duration::from_secs(1);
        let limits = InboundLimits { records_max: 9, octets_max: 999, time_max: time, wait_max: time };
        let servers = vec![Peer { address: "192.0.2.1:53".parse().unwrap(), key: None }];
        ZoneTransfer { primary: Some(Primary { servers, limits, member: None }), ..ZoneTransfer::default() }
    }

    fn consumed() -> ZoneTransfer {
        let consumer = CatalogConsumer { template: secondary(), groups: BTreeMap::new(), members_max: 9 };
        ZoneTransfer { catalog: Some(CatalogRole::Consumed(Arc::new(consumer))), ..secondary() }
    }

    fn produced(members: CatalogMembers) -> ZoneTransfer {
        ZoneTransfer { catalog: Some(CatalogRole::Produced(members)), ..ZoneTransfer::default() }
    }

    /// A configuration of these zones, loaded at a time; the model has one wide IP, `www.example.com.`.
    fn prepared(zones: &[(&str, ZoneTransfer)], loaded: u32) -> Prepared {
        let mut prepared = sample::prepared(sample::model());
        let transfers = zones.iter().map(|(zone, policy)| (id(zone), policy.clone()));
        let transfers = Arc::new(Transfers::new(transfers, TransferLimits::default()));
        prepared.answer = Arc::new(answer::Settings { transfers, ..(*prepared.answer).clone() });
        let held = vec![name("www.example.com.")];
        let zones = zones.iter().map(|(zone, _)| Arc::new(ZoneBuilder::new(&name(zone), 7).finish())).collect();
        let zones = prepare_zones(zones, &held, &prepared.answer.synthetic_zone, 7);
        prepared.views = vec![ViewZones::new(ViewName::default(), zones, held, 7)];
        prepared.loaded = loaded;
        prepared
    }

    fn board(zones: &[(&str, ZoneTransfer)]) -> Board {
        Board::new(prepared(zones, 1000), &Remembered::default(), Moment::default())
    }

    /// A catalog `cat.` that lists these zones.
    fn catalog(members: &[&str]) -> Arc<Zone> {
        let members = members.iter().map(|member| (name(member), Listed::default())).collect();
        Arc::new(catalog::produce(&name("cat."), &members, 1, 7))
    }

    fn version(apex: &str, serial: u8) -> Arc<Zone> {
        let mut builder = ZoneBuilder::new(&name(apex), 7);
        let soa = [&[0, 0, 0, 0, 0][..], &[serial], &[0; 16]].concat();
        builder.add(&name(apex), RecordType::SOA, 60, &soa).unwrap();
        Arc::new(builder.finish())
    }

    fn list(board: &mut Board, members: &[&str]) {
        board.replace_zone(NewZone { id: id("cat."), member: None, zone: Some(catalog(members)) });
    }

    fn bring(board: &mut Board, apex: &str, serial: u8) {
        let member = board.catalogs().members().find(|(zone, _)| **zone == id(apex)).map(|(_, member)| member.clone());
        board.replace_zone(NewZone { id: id(apex), member, zone: Some(version(apex, serial)) });
    }

    /// The zones that are served, with their serials; 0 while there is no version.
    fn served(board: &mut Board) -> Vec<(String, u32)> {
        let snapshot = board.settle(Moment::default()).expect("something changed").snapshot;
        let one = |(id, zone): (ZoneId, &Arc<Zone>)| (id.to_string(), zone.soa().serial);
        let mut zones: Vec<_> = snapshot.zones().map(one).filter(|(zone, _)| zone != "cat.").collect();
        zones.sort();
        zones
    }

    fn zones(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
        expected.iter().map(|(zone, serial)| ((*zone).to_owned(), *serial)).collect()
    }

    /// The zone that exists for the wide IP alone.
    const SYNTHETIC: (&str, u32) = ("www.example.com.", 1);

    #[test]
    fn members_come_and_go_with_their_catalog() {
        let mut board = board(&[("cat.", consumed())]);
        assert_eq!(served(&mut board), zones(&[SYNTHETIC]));
        list(&mut board, &["a.", "b."]);
        assert_eq!(served(&mut board), zones(&[("a.", 0), ("b.", 0), SYNTHETIC]));
        bring(&mut board, "a.", 5);
        list(&mut board, &["a.", "c."]);
        assert_eq!(served(&mut board), zones(&[("a.", 5), ("c.", 0), SYNTHETIC]), "a version stays in use");
        let stale = NewZone { id: id("b."), member: None, zone: Some(version("b.", 1)) };
        board.replace_zone(stale);
        list(&mut board, &[]);
        assert_eq!(served(&mut board), zones(&[SYNTHETIC]));
        let news = board.catalogs_mut().take_news();
        let count = |of: fn(&News) -> bool| news.iter().filter(|news| of(news)).count();
        assert_eq!(
            (count(|news| matches!(news, News::Added(..))), count(|news| matches!(news, News::Removed(..)))),
            (3, 3)
        );
    }

    #[test]
    fn a_wide_ip_finds_its_home_in_a_member_and_loses_it() {
        let mut board = board(&[("cat.", consumed())]);
        list(&mut board, &["example.com."]);
        assert_eq!(served(&mut board), zones(&[("example.com.", 0)]), "the zone made for it is gone");
        bring(&mut board, "example.com.", 3);
        assert_eq!(served(&mut board), zones(&[("example.com.", 3)]));
        list(&mut board, &[]);
        assert_eq!(served(&mut board), zones(&[SYNTHETIC]));
    }

    #[test]
    fn another_label_resets_the_zone_and_versions_of_the_old_one_are_not_served() {
        let mut board = board(&[("cat.", consumed())]);
        list(&mut board, &["a."]);
        bring(&mut board, "a.", 5);
        let old = board.catalogs().members().next().unwrap().1.clone();
        let mut builder = ZoneBuilder::from(&*catalog(&[]));
        builder.add(&name("other.zones.cat."), RecordType::PTR, 0, name("a.").as_wire()).unwrap();
        board.replace_zone(NewZone { id: id("cat."), member: None, zone: Some(Arc::new(builder.finish())) });
        assert_eq!(served(&mut board), zones(&[("a.", 0), SYNTHETIC]));
        assert!(matches!(board.catalogs_mut().take_news().last(), Some(News::Reset(..))));
        board.replace_zone(NewZone { id: id("a."), member: Some(old), zone: Some(version("a.", 6)) });
        bring(&mut board, "b.", 1);
        list(&mut board, &["a."]);
        assert_eq!(served(&mut board), zones(&[("a.", 0), SYNTHETIC]), "6 came from the zone before");
    }

    #[test]
    fn a_configured_zone_is_not_taken_over_and_that_is_told() {
        let mut board = board(&[("cat.", consumed()), ("a.", secondary())]);
        list(&mut board, &["a.", "b."]);
        bring(&mut board, "b.", 2);
        assert_eq!(board.catalogs().refused().len(), 1);
        assert!(board.catalogs_mut().take_news().iter().any(|news| matches!(news, News::Refused(_))));
        // Without the zone of its own, the member is let in; its catalog need not come again.
        board.reload(prepared(&[("cat.", consumed())], 2000), Moment::default()).unwrap();
        assert_eq!(served(&mut board), zones(&[("a.", 0), ("b.", 2), SYNTHETIC]));
        board.reload(prepared(&[("a.", secondary())], 3000), Moment::default()).unwrap();
        assert_eq!(served(&mut board), zones(&[("a.", 0), SYNTHETIC]), "the members go with their catalog");
    }

    #[test]
    fn an_expired_catalog_keeps_its_members() {
        let mut board = board(&[("cat.", consumed())]);
        list(&mut board, &["a."]);
        bring(&mut board, "a.", 5);
        board.replace_zone(NewZone { id: id("cat."), member: None, zone: None });
        assert_eq!(served(&mut board), zones(&[("a.", 5), SYNTHETIC]));
    }

    /// What the catalog `cat.` of this node lists, and its serial.
    fn made(board: &mut Board) -> (Vec<String>, u32) {
        let snapshot = board.settle(Moment::default()).expect("something changed").snapshot;
        let zone = snapshot.zone(&id("cat.")).unwrap();
        let read = catalog::read(zone, 9).unwrap();
        let one = |(member, entry): (&Name, &catalog::Entry)| {
            let coo = entry.coo.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{member} {} {coo}", entry.groups.join(","))
        };
        (read.members.iter().map(one).collect(), zone.soa().serial)
    }

    fn member_of(catalog: &str, group: Option<&str>, coo: Option<&str>) -> ZoneTransfer {
        let member_of = MemberOf { catalog: name(catalog), group: group.map(str::to_owned), coo: coo.map(name) };
        ZoneTransfer { member_of: Some(member_of), ..ZoneTransfer::default() }
    }

    #[test]
    fn a_catalog_lists_the_zones_of_this_node_and_numbers_its_changes() {
        let all = produced(CatalogMembers::All);
        let mut board = board(&[("cat.", all.clone()), ("theirs.", consumed()), ("a.", ZoneTransfer::default())]);
        assert_eq!(made(&mut board), (vec!["a.  ".to_owned()], 1000), "no catalogs and no made-up zones");
        let more =
            [("cat.", all.clone()), ("a.", ZoneTransfer::default()), ("b.", member_of("cat.", Some("eu"), Some("x.")))];
        board.reload(prepared(&more, 999), Moment::default()).unwrap();
        assert_eq!(made(&mut board), (vec!["a.  ".to_owned(), "b. eu x.".to_owned()], 1001), "the clock went back");
        board.reload(prepared(&more, 2000), Moment::default()).unwrap();
        assert_eq!(made(&mut board).1, 1001, "nothing changed");
        let named = [
            ("cat.", produced(CatalogMembers::Named)),
            ("a.", member_of("cat.", None, None)),
            ("b.", member_of("x.", None, Some("cat."))),
        ];
        board.reload(prepared(&named, 3000), Moment::default()).unwrap();
        assert_eq!(made(&mut board), (vec!["a.  ".to_owned(), "b.  ".to_owned()], 3000), "b. is handed over to it");
    }

    #[test]
    fn a_catalog_goes_on_with_its_numbers_after_a_restart() {
        let zones = [("cat.", produced(CatalogMembers::All)), ("a.", ZoneTransfer::default())];
        let (same, other) = (catalog(&["a."]), catalog(&["b."]));
        let mut board = board(&zones);
        board.restore_produced(id("cat."), same);
        assert_eq!(made(&mut board).1, 1, "the version of the last run");
        let mut board = Board::new(prepared(&zones, 0), &Remembered::default(), Moment::default());
        board.restore_produced(id("cat."), other);
        assert_eq!(made(&mut board).1, 2, "newer than that");
    }
}
