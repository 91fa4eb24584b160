//! What a zone must be before it is served: the rules that no single record breaks.
//!
//! | found | verdict |
//! |---|---|
//! | no SOA, two SOAs, SOA below the apex, no NS at the apex | error |
//! | CNAME beside other data, two CNAMEs, two DNAMEs, NS beside DNAME below the apex | error |
//! | any data below a DNAME, NS below a cut, more than 100 types at a name | error |
//! | other data at or below a cut that is never answered | warning |
//! | NS, MX or SRV that points at an alias of the zone, NS without an address where the zone has to give one | warning |
//! | a loop of CNAMEs and DNAMEs, wildcard NS or DNAME, more than 100 records in an RRset | warning |

use crate::wire::{Name, NameKey, RecordType};

use super::Lookup;
use super::check_alias::AliasWalk;
use super::rdata;
use super::shard::{Flags, Node, Rrset};
use super::sizes::Sizes;
use super::tree::Zone;

/// The most errors that are collected, and the most warnings.
const PROBLEMS_MAX: usize = 100;
/// Records in an RRset beyond which an operator should look: other servers refuse them.
const RRSET_RECORDS_NOTICED: u16 = 100;

/// Whether a zone with a problem may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may; someone should look.
    Warning,
}

/// What is wrong with a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Whether it keeps the zone from being served.
    pub severity: Severity,
    /// Which name it concerns.
    pub name: Name,
    /// Which of its records; none for the name as a whole.
    pub record_type: Option<RecordType>,
    /// The rule that is broken.
    pub reason: String,
}

/// Checks a finished zone of the usual size. Errors come first, each kind in the order of names; of each at most 100.
pub fn check(zone: &Zone) -> Vec<Problem> {
    check_within(zone, &Sizes::DEFAULT)
}

/// As [`check`], of a zone whose names may hold as much as `sizes` says.
pub fn check_within(zone: &Zone, sizes: &Sizes) -> Vec<Problem> {
    let mut checker = Checker::new(zone, *sizes);
    checker.check_apex();
    zone.shards.iter().flat_map(|shard| shard.nodes()).for_each(|node| checker.check_node(node));
    checker.into_problems()
}

/// Checks a zone that was made of another by changes, as far as it differs; `old` is taken for checked. Finds every
/// error; of the warnings not those about names that stayed as they were and point at one that changed.
pub fn check_change(old: &Zone, new: &Zone, sizes: &Sizes) -> Vec<Problem> {
    let Some(shards) = new.shards_beside(old) else { return check_within(new, sizes) };
    let mut checker = Checker::new(new, *sizes);
    checker.check_apex();
    let mut key = NameKey::root(new.seed());
    for node in shards.flat_map(|(shard, _)| shard.nodes()) {
        checker.set_owner(node);
        let before = if key.fill(&checker.owner, new.seed()) { old.node(&key, 0) } else { None };
        if before.is_some_and(|before| before.is_same(node)) {
            continue;
        }
        let divides = |node: Node<'_>| [Flags::CUT, Flags::DNAME].map(|flag| node.flags().contains(flag));
        if node.children() > 0 && before.is_some_and(|before| divides(before) != divides(node)) {
            // What may stand below it is another matter now.
            return check_within(new, sizes);
        }
        checker.check_node(node);
    }
    checker.into_problems()
}

struct Checker<'z> {
    zone: &'z Zone,
    sizes: Sizes,
    found: Vec<Problem>,
    errors: usize,
    warnings: usize,
    /// The name being checked.
    owner: Vec<u8>,
    /// Scratch for names that are looked up.
    key: NameKey,
}

impl<'z> Checker<'z> {
    fn new(zone: &'z Zone, sizes: Sizes) -> Self {
        let key = NameKey::root(zone.seed());
        Self { zone, sizes, found: Vec::new(), errors: 0, warnings: 0, owner: Vec::with_capacity(255), key }
    }

    fn into_problems(mut self) -> Vec<Problem> {
        self.found.sort();
        self.found
    }

    /// Makes a node's name the one that is being checked.
    fn set_owner(&mut self, node: Node<'_>) {
        self.owner.clear();
        self.owner.extend_from_slice(node.name());
        self.owner.extend_from_slice(self.zone.apex().as_wire());
    }

    fn add(&mut self, severity: Severity, record_type: Option<RecordType>, reason: impl FnOnce() -> String) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= PROBLEMS_MAX {
            let name = Name::from_wire(&self.owner).unwrap_or(Name::root());
            self.found.push(Problem { severity, name, record_type, reason: reason() });
        }
    }

    fn error(&mut self, record_type: RecordType, reason: impl FnOnce() -> String) {
        self.add(Severity::Error, Some(record_type), reason);
    }

    fn warn(&mut self, record_type: RecordType, reason: impl FnOnce() -> String) {
        self.add(Severity::Warning, Some(record_type), reason);
    }

    fn check_apex(&mut self) {
        self.owner.extend_from_slice(self.zone.apex().as_wire());
        match self.zone.apex_rrset(RecordType::SOA) {
            None => self.add(Severity::Error, None, || "the zone has no SOA record".to_owned()),
            Some(soa) if soa.count > 1 => {
                self.error(RecordType::SOA, || format!("the zone has {} SOA records", soa.count));
            }
            Some(_) => {}
        }
        if self.zone.apex_rrset(RecordType::NS).is_none() {
            self.add(Severity::Error, None, || "the zone has no NS record at its apex".to_owned());
        }
    }

    fn check_node(&mut self, node: Node<'z>) {
        self.set_owner(node);
        let is_apex = node.name().is_empty();
        if node.rrset_count() == 0 {
            return;
        }
        if node.rrset_count() > self.sizes.types {
            let (count, max) = (node.rrset_count(), self.sizes.types);
            let reason = || format!("{count} types at one name, more than {max} (`limits.zones.types`)");
            self.add(Severity::Error, None, reason);
        }
        if node.rrset_count() > 1 {
            self.check_company(node, is_apex);
        }
        let is_divided = node.flags().contains(Flags::CUT.with(Flags::OCCLUDED));
        if is_divided {
            self.check_divided(node);
        }
        for rrset in node.rrsets() {
            self.check_rrset(rrset, is_apex, is_divided);
        }
    }

    /// Types that cannot stand together.
    fn check_company(&mut self, node: Node<'z>, is_apex: bool) {
        let types = || node.rrsets().map(|rrset| rrset.record_type);
        // RFC 1034 §3.6.2, RFC 2181 §10.1: "no other data", but for what DNSSEC needs (RFC 4034 §3, §4).
        let is_other = |record_type: &RecordType| {
            !matches!(
                *record_type,
                RecordType::CNAME | RecordType::RRSIG | RecordType::NSEC | RecordType::SIG | RecordType::KEY
            )
        };
        if types().any(|record_type| record_type == RecordType::CNAME)
            && let Some(other) = types().find(is_other)
        {
            self.error(RecordType::CNAME, || format!("CNAME beside other data ({other})"));
        }
        // RFC 6672 §2.4: "a DNAME RR MUST NOT appear at the same owner name as an NS RR unless the owner name is the
        // zone apex".
        if !is_apex && node.flags().contains(Flags::CUT) && node.flags().contains(Flags::DNAME) {
            self.error(RecordType::DNAME, || "DNAME beside NS below the apex".to_owned());
        }
    }

    /// Data at or below a cut, or below a DNAME.
    fn check_divided(&mut self, node: Node<'z>) {
        let is_below = node.flags().contains(Flags::OCCLUDED);
        let (divider, divider_type) = if is_below { self.divider() } else { (Name::root(), RecordType::NS) };
        for rrset in node.rrsets() {
            match rrset.record_type {
                // RFC 6672 §2.4: "Resource records MUST NOT exist at any subdomain of the owner of a DNAME RR".
                found if is_below && divider_type == RecordType::DNAME => {
                    self.error(found, || format!("data below the DNAME at {divider}"));
                }
                RecordType::NS if is_below => {
                    self.error(RecordType::NS, || format!("NS below a cut: {divider} is delegated"));
                }
                RecordType::A | RecordType::AAAA | RecordType::NSEC | RecordType::RRSIG => {}
                RecordType::NS | RecordType::DS if !is_below => {}
                found if is_below => {
                    self.warn(found, || format!("never answered: {divider} is delegated"));
                }
                found => self.warn(found, || "never answered: the name is delegated".to_owned()),
            }
        }
    }

    /// The highest cut or DNAME above the name being checked.
    fn divider(&mut self) -> (Name, RecordType) {
        self.key.fill(&self.owner, self.zone.seed());
        let apex = self.key.label_count().saturating_sub(self.zone.apex_labels());
        let divides = |label: usize| {
            let flags = self.zone.node(&self.key, label)?.flags();
            let record_type = if flags.contains(Flags::CUT) { RecordType::NS } else { RecordType::DNAME };
            let name = Name::from_wire(self.key.suffix(label)).ok()?;
            flags.contains(Flags::CUT.with(Flags::DNAME)).then_some((name, record_type))
        };
        (1..=apex).rev().find_map(divides).unwrap_or((self.zone.apex().clone(), RecordType::NS))
    }

    fn check_rrset(&mut self, rrset: Rrset<'z>, is_apex: bool, is_divided: bool) {
        let record_type = rrset.record_type;
        let (count, max) = (rrset.count, self.sizes.rrset_records);
        if count > max {
            self.error(record_type, || format!("{count} records, more than {max} (`limits.zones.rrset_records`)"));
        } else if count > RRSET_RECORDS_NOTICED {
            self.warn(record_type, || format!("{} records, more than {RRSET_RECORDS_NOTICED}", rrset.count));
        }
        let is_wildcard = self.owner.starts_with(b"\x01*");
        match record_type {
            RecordType::SOA if !is_apex => self.error(record_type, || "SOA below the apex".to_owned()),
            RecordType::CNAME | RecordType::DNAME if rrset.count > 1 => {
                self.error(record_type, || format!("{} {record_type} records at one name", rrset.count));
            }
            RecordType::CNAME | RecordType::DNAME if !is_divided => self.check_alias(rrset),
            RecordType::NS | RecordType::MX | RecordType::SRV => self.check_targets(rrset, is_apex),
            // RFC 4035 §2.4: the parent owns it.
            RecordType::DS if is_apex || !is_divided => {
                self.warn(record_type, || "DS without a delegation at this name".to_owned());
            }
            _ => {}
        }
        if is_wildcard && matches!(record_type, RecordType::NS | RecordType::DNAME) {
            // RFC 4592 §4.2, §4.4.
            self.warn(record_type, || format!("{record_type} at a wildcard: its meaning is not defined"));
        }
    }

    fn check_alias(&mut self, rrset: Rrset<'z>) {
        // Most aliases end after one step; the walk is for the others.
        let zone = self.zone;
        if rrset.record_type == RecordType::CNAME {
            let goes_on = may_be_in(zone, rrset.first())
                && self.key.fill(rrset.first(), zone.seed())
                && is_in(zone, &self.key)
                && matches!(zone.lookup(&self.key, RecordType::A), Lookup::Cname(_) | Lookup::Dname { .. });
            if !goes_on {
                return;
            }
        }
        if let Some(reason) = AliasWalk::new(self.zone, &self.owner, rrset).run(&mut self.key) {
            self.warn(rrset.record_type, || reason);
        }
    }

    /// Whether the hosts that NS, MX and SRV point at are names with addresses, as far as this zone can tell.
    fn check_targets(&mut self, rrset: Rrset<'z>, is_apex: bool) {
        let record_type = rrset.record_type;
        for target in rrset.rdatas().filter_map(|rdata| rdata::target(record_type, rdata)) {
            if !may_be_in(self.zone, target) || !self.key.fill(target, self.zone.seed()) || !is_in(self.zone, &self.key)
            {
                continue;
            }
            let found = self.zone.lookup(&self.key, RecordType::A);
            if matches!(found, Lookup::Cname(_) | Lookup::Dname { .. }) {
                // RFC 2181 §10.3.
                self.warn(record_type, || format!("points at {}, which is an alias", shown(target)));
            } else if record_type == RecordType::NS && self.lacks_address(target, is_apex, found) {
                self.warn(record_type, || format!("no address (glue) for {} in the zone", shown(target)));
            }
        }
    }

    /// Whether the zone has to have an address for a name server of the name being checked, and has not.
    /// `self.key` holds the name server's name.
    fn lacks_address(&self, target: &[u8], is_apex: bool, found: Lookup<'_>) -> bool {
        let has = |record_type| self.zone.rrset(&self.key, record_type).is_some();
        if has(RecordType::A) || has(RecordType::AAAA) {
            return false;
        }
        match found {
            // A name server inside another delegation has its address there, unless it is inside this one.
            Lookup::Delegation { .. } => is_apex || is_at_or_below(target, &self.owner),
            Lookup::NoData => {
                !matches!(self.zone.lookup(&self.key, RecordType::AAAA), Lookup::Hit(_)) && !self.is_held()
            }
            Lookup::NxDomain => true,
            Lookup::Hit(_) | Lookup::Cname(_) | Lookup::Dname { .. } => false,
        }
    }

    /// Whether a wide IP stands at the name in `self.key`.
    fn is_held(&self) -> bool {
        self.zone.node(&self.key, 0).is_some_and(|node| node.flags().contains(Flags::HELD))
    }
}

/// Whether a name ends as the zone's apex does, without which it is not in it: most that are pointed at are not.
fn may_be_in(zone: &Zone, name: &[u8]) -> bool {
    let apex = zone.apex().as_wire();
    let tail = name.len().checked_sub(apex.len()).and_then(|start| name.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(apex))
}

/// Whether a name is the zone's apex or below it.
pub(super) fn is_in(zone: &Zone, key: &NameKey) -> bool {
    let above = key.label_count().checked_sub(zone.apex_labels());
    above.is_some_and(|label| key.suffix(label) == zone.apex().as_wire())
}

fn is_at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    let (name, ancestor) = (Name::from_wire(name), Name::from_wire(ancestor));
    name.is_ok_and(|name| ancestor.is_ok_and(|ancestor| name.is_at_or_below(&ancestor)))
}

pub(super) fn shown(wire: &[u8]) -> String {
    Name::from_wire(wire).map_or_else(|_| "?".to_owned(), |name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::master::{Settings, no_include};
    use super::*;

    const APEX: &str = "@ 60 SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

    fn found(text: &str) -> Vec<String> {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(60) };
        match load(text.as_bytes(), &settings, 7, &mut no_include) {
            Ok(loaded) => loaded.warnings.iter().map(|fault| format!("warning {fault}")).collect(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    /// What is found in a zone with a good apex on its first three lines.
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found(&format!("{APEX}{text}")), expected, "{text}");
    }

    #[test]
    fn a_zone_needs_one_soa_and_a_name_server() {
        assert_eq!(
            found("a A 192.0.2.1\n"),
            [
                "zone:1:1: example.: the zone has no NS record at its apex",
                "zone:1:1: example.: the zone has no SOA record",
            ]
        );
        check("@ SOA ns admin 2 2 3 4 5\n", &["zone:4:1: example. SOA: the zone has 2 SOA records"]);
        check("a SOA ns admin 2 2 3 4 5\n", &["zone:4:1: a.example. SOA: SOA below the apex"]);
        check("", &[]);
    }

    #[test]
    fn a_change_is_checked_where_it_is_and_below_new_cuts() {
        let origin: Name = "example.".parse().unwrap();
        let settings = Settings { file: "zone", origin: &origin, default_ttl: Some(60) };
        let hosts: String = (0..3000).map(|n| format!("h{n}.sub A 192.0.2.1\n")).collect();
        let old = load(format!("{APEX}{hosts}").as_bytes(), &settings, 7, &mut no_include).unwrap().zone;
        let check = |owner: &str, record_type: RecordType, data: &str, expected: &[&str]| {
            let mut builder = super::super::ZoneBuilder::from(&old);
            let data = rdata::from_text(record_type, data, &origin).unwrap();
            builder.add(&owner.parse().unwrap(), record_type, 60, &data).unwrap();
            let new = builder.finish();
            let found = check_change(&old, &new, &Sizes::DEFAULT);
            assert_eq!(found, super::check(&new), "{owner} {record_type}");
            let mut found: Vec<_> = found.iter().map(|one| one.reason.as_str()).collect();
            found.truncate(1);
            assert_eq!(found, expected);
        };
        check("h7.sub.example.", RecordType::TXT, "x", &[]);
        check("h7.sub.example.", RecordType::CNAME, "a", &["CNAME beside other data (A)"]);
        check("a.example.", RecordType::MX, "1 b", &[]);
        check("example.", RecordType::CNAME, "b.", &["CNAME beside other data (SOA)"]);
        check("sub.example.", RecordType::DNAME, "b.", &["data below the DNAME at sub.example."]);
    }

    #[test]
    fn aliases_stand_alone() {
        check("a CNAME b\na A 192.0.2.1\n", &["zone:4:1: a.example. CNAME: CNAME beside other data (A)"]);
        check("a CNAME b\na CNAME c\n", &["zone:5:1: a.example. CNAME: 2 CNAME records at one name"]);
        check("a DNAME b\na DNAME c\n", &["zone:5:1: a.example. DNAME: 2 DNAME records at one name"]);
        check("a CNAME b\na NSEC b A\na RRSIG A 8 2 1 1 1 1 . AA==\n", &[]);
        check("@ CNAME b\n", &["zone:4:1: example. CNAME: CNAME beside other data (SOA)"]);
        check("a CNAME b\na CNAME b\n", &["warning zone:5:1: a.example. CNAME: the same record stands there already"]);
    }

    #[test]
    fn nothing_stands_below_a_dname() {
        check("a DNAME b.other.\nx.a A 192.0.2.1\n", &["zone:5:1: x.a.example. A: data below the DNAME at a.example."]);
        check("a DNAME b.other.\na A 192.0.2.1\n", &[]);
        check("a DNAME b.\na NS ns\n", &["zone:4:1: a.example. DNAME: DNAME beside NS below the apex"]);
    }

    #[test]
    fn below_a_cut_only_addresses_make_sense() {
        check("a NS ns.a\nns.a A 192.0.2.1\nns.a AAAA 2001:db8::1\n", &[]);
        check("a NS ns\nb.a NS ns\n", &["zone:5:1: b.a.example. NS: NS below a cut: a.example. is delegated"]);
        check("a NS ns\nb.a TXT x\n", &["warning zone:5:1: b.a.example. TXT: never answered: a.example. is delegated"]);
        check("a NS ns\na TXT x\n", &["warning zone:5:1: a.example. TXT: never answered: the name is delegated"]);
        check("a NS ns\na DS 1 8 200 00\n", &[]);
        check("a DS 1 8 200 00\n", &["warning zone:4:1: a.example. DS: DS without a delegation at this name"]);
    }

    #[test]
    fn hosts_have_addresses_and_are_no_aliases() {
        let alias = "al CNAME ns\n";
        for (line, record_type) in [("a MX 1 al", "MX"), ("a SRV 1 2 3 AL", "SRV"), ("@ NS al", "NS")] {
            let owner = if line.starts_with('@') { "example." } else { "a.example." };
            let name = if line.ends_with("AL") { "AL" } else { "al" };
            let found = found(&format!("{APEX}{alias}{line}\n"));
            assert_eq!(
                found,
                [format!("warning zone:5:1: {owner} {record_type}: points at {name}.example., which is an alias")]
            );
        }
        check("a NS ns.a\n", &["warning zone:4:1: a.example. NS: no address (glue) for ns.a.example. in the zone"]);
        check(
            "a NS nowhere\n",
            &["warning zone:4:1: a.example. NS: no address (glue) for nowhere.example. in the zone"],
        );
        check("a NS ns.b\nb NS ns\n", &[]);
        check("a NS elsewhere.\n", &[]);
        check("*.w A 192.0.2.1\n@ NS x.w\n", &[]);
        check("*.w AAAA 2001:db8::1\na NS x.w\n", &[]);
    }

    #[test]
    fn endless_aliases_are_found() {
        let looped = |owner: &str, at: &str, record_type: &str, name: &str| {
            format!("warning zone:{at}: {owner} {record_type}: a loop of aliases: {name} leads back to itself")
        };
        check("a CNAME a\n", &[&looped("a.example.", "4:1", "CNAME", "a.example.")]);
        check(
            "a CNAME b\nb CNAME a\n",
            &[&looped("a.example.", "4:1", "CNAME", "a.example."), &looped("b.example.", "5:1", "CNAME", "b.example.")],
        );
        check("*.w CNAME x.w\n", &[&looped("*.w.example.", "4:1", "CNAME", "x.w.example.")]);
        check(
            "a DNAME b\nb DNAME a\n",
            &[
                &looped("a.example.", "4:1", "DNAME", "x.a.example."),
                &looped("b.example.", "5:1", "DNAME", "x.b.example."),
            ],
        );
        check(
            "a DNAME b.a\n",
            &["warning zone:4:1: a.example. DNAME: a chain of more than 16 aliases: resolvers give up on it"],
        );
        let chain: String = (0..20).map(|n| format!("c{n} CNAME c{}\n", n + 1)).collect();
        let found = found(&format!("{APEX}{chain}c20 A 192.0.2.1\n"));
        assert_eq!(found.len(), 4, "{found:?}");
        check("a CNAME b\nb CNAME c.other.\nd CNAME ns\n", &[]);
    }

    #[test]
    fn names_and_rrsets_have_limits() {
        let types: String = (0..101).map(|n| format!("a TYPE{} \\# 0\n", 65_000 + n)).collect();
        check(&types, &["zone:5:1: a.example.: 101 types at one name, more than 100 (`limits.zones.types`)"]);
        let records =
            |count: u32| -> String { (0..count).map(|n| format!("a A 10.0.{}.{}\n", n / 256, n % 256)).collect() };
        check(&records(100), &[]);
        check(&records(101), &["warning zone:5:1: a.example. A: 101 records, more than 100"]);
        check(
            &records(501),
            &["zone:504:1: the RRset would hold more than 500 records (`limits.zones.rrset_records`)"],
        );
        check("*.x NS ns\n", &["warning zone:4:1: *.x.example. NS: NS at a wildcard: its meaning is not defined"]);
    }

    #[test]
    fn what_the_parser_takes_the_zone_may_refuse() {
        check("a.other. A 192.0.2.1\n", &["zone:4:1: the owner is not in the zone"]);
        check(
            "a 1 A 192.0.2.1\na 2 A 192.0.2.2\n",
            &["warning zone:5:1: the TTL 2 differs from that of the RRset, which counts"],
        );
    }
}
