//! Every distinct match of the rules by a number, and which of them hold for an address, a client or an answer.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::error::{Database, TopologyError};
use super::location::Location;
use super::ranges::{index, stored};
use super::regions::{Parts, Regions, Side, in_order};
use super::rule::{Continent, Match, Prefix, Rules};

/// The match that always holds: a prefix of length 0, which is F5's wildcard.
pub(super) const WILDCARD: u32 = 0;

const EVERYWHERE: Match = Match::Subnet(Prefix { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 });

/// The distinct matches of the rules.
#[derive(Debug)]
pub(super) struct Matches {
    ids: HashMap<Match, u32>,
    /// What each can be asked of.
    sides: Vec<Side>,
    regions: Regions,
    /// The lengths of the prefixes, for IPv4 and IPv6.
    lengths: [BTreeSet<u8>; 2],
}

impl Default for Matches {
    fn default() -> Self {
        let sides = vec![Side::ANYTHING];
        Self { ids: [(EVERYWHERE, WILDCARD)].into(), sides, regions: Regions::default(), lengths: Default::default() }
    }
}

impl Matches {
    /// Collects the matches of rules that were checked.
    ///
    /// # Errors
    /// Regions that contain each other.
    pub(super) fn new(rules: &Rules) -> Result<Self, TopologyError> {
        let mut matches = Self::default();
        let mut parts = Vec::new();
        for position in region_order(rules)? {
            let Some(region) = rules.regions.get(position) else { continue };
            let conditions = region.conditions.iter().map(|condition| (&condition.is, condition.negated));
            let conditions: Vec<_> = conditions.map(|(is, negated)| (matches.intern(is), negated)).collect();
            let only_exclusions = conditions.iter().all(|(_, negated)| *negated);
            let deciding = conditions.iter().filter(|(_, negated)| only_exclusions || !negated);
            let side = deciding.fold(Side::NOTHING, |side, (child, _)| side.with(matches.side(*child)));
            let id = matches.intern(&Match::Region(region.name.clone()));
            if let Some(known) = matches.sides.get_mut(index(id)) {
                *known = side;
            }
            parts.push(Parts { id, side, conditions });
        }
        matches.regions = Regions::new(&parts, WILDCARD);
        for record in &rules.records {
            matches.intern(&record.client.is);
            matches.intern(&record.answer.is);
        }
        Ok(matches)
    }

    /// The number of a match, where the rules have it.
    pub(super) fn id(&self, is: &Match) -> Option<u32> {
        self.ids.get(&normal(is)).copied()
    }

    /// Whether the match can be asked of that side.
    pub(super) fn applies(&self, id: u32, side: Side) -> bool {
        self.side(id).meets(side)
    }

    /// All prefixes with their numbers, the wildcard left out.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = (Prefix, u32)> {
        self.ids.iter().filter_map(|(is, id)| match is {
            Match::Subnet(prefix) if *id != WILDCARD => Some((*prefix, *id)),
            _ => None,
        })
    }

    /// Adds to a set of matches everything that regions in it contain.
    pub(super) fn extend_to_contents(&self, wanted: &mut HashSet<u32>) {
        self.regions.extend_to_contents(wanted);
    }

    /// Adds the prefixes that hold an address, the wildcard left out.
    pub(super) fn push_prefixes(&self, address: IpAddr, holding: &mut Vec<u32>) {
        let lengths = if address.is_ipv4() { &self.lengths[0] } else { &self.lengths[1] };
        let around = lengths.iter().map(|length| Match::Subnet(Prefix::around(address, *length)));
        holding.extend(around.filter_map(|is| self.ids.get(&is).copied()));
    }

    /// Whether a set of matches has one that this database tells.
    pub(super) fn any_of(&self, database: Database, set: &HashSet<u32>) -> bool {
        let told = |is: &Match| match database {
            Database::City => {
                matches!(is, Match::Continent(_) | Match::Country(_) | Match::State { .. } | Match::City { .. })
            }
            Database::Asn => matches!(is, Match::Asn(_)),
        };
        self.ids.iter().any(|(is, id)| told(is) && set.contains(id))
    }

    /// Adds the autonomous system of a location.
    pub(super) fn push_asn(&self, location: &Location, holding: &mut Vec<u32>) {
        holding.extend(location.asn.and_then(|number| self.ids.get(&Match::Asn(number)).copied()));
    }

    /// Adds the continent, country, states and city of a location.
    pub(super) fn push_location(&self, location: &Location, holding: &mut Vec<u32>) {
        let continent = location.continent.as_deref().and_then(code).unwrap_or(Continent::UNKNOWN.0);
        let mut found = vec![Match::Continent(Continent(continent))];
        if let Some(country) = location.country.as_deref().and_then(code) {
            found.push(Match::Country(country));
            let names = location.states.iter().flat_map(|state| [&state.code, &state.name]).flatten();
            found.extend(names.map(|state| Match::State { country, state: folded(state) }));
            found.extend(location.city.as_deref().map(|city| Match::City { country, city: folded(city) }));
        }
        let from = holding.len();
        holding.extend(found.iter().filter_map(|is| self.ids.get(is).copied()));
        // A state whose code is its name is one match.
        let mut added = holding.split_off(from);
        added.sort_unstable();
        added.dedup();
        holding.append(&mut added);
    }

    /// Completes the plain matches that hold by regions and the wildcard, and sorts them.
    pub(super) fn complete(&self, side: Side, mut holding: Vec<u32>) -> Vec<u32> {
        self.regions.complete(side, &mut holding);
        holding.push(WILDCARD);
        holding.sort_unstable();
        holding.dedup();
        holding
    }

    fn intern(&mut self, is: &Match) -> u32 {
        let is = normal(is);
        let next = stored(self.ids.len());
        if let Match::Subnet(prefix) = &is
            && prefix.length > 0
        {
            let lengths = if prefix.address.is_ipv4() { &mut self.lengths[0] } else { &mut self.lengths[1] };
            lengths.insert(prefix.length);
        }
        let side = side_of(&is);
        let id = *self.ids.entry(is).or_insert(next);
        if id == next {
            self.sides.push(side);
        }
        id
    }

    fn side(&self, id: u32) -> Side {
        self.sides.get(index(id)).copied().unwrap_or(Side::NOTHING)
    }
}

/// What a match by itself can be asked of; a region's parts tell for it.
fn side_of(is: &Match) -> Side {
    match is {
        Match::Subnet(prefix) if prefix.length == 0 => Side::ANYTHING,
        Match::Datacenter(_) => Side::DATACENTER,
        Match::Pool(_) => Side::POOL,
        Match::Region(_) => Side::NOTHING,
        _ => Side::ADDRESS,
    }
}

/// The one form of matches that mean the same.
fn normal(is: &Match) -> Match {
    match is {
        Match::Subnet(prefix) if prefix.length == 0 => EVERYWHERE,
        Match::Subnet(Prefix { address: IpAddr::V6(address), length: length @ 97.. }) => match address.to_ipv4_mapped()
        {
            Some(mapped) => Match::Subnet(Prefix { address: mapped.into(), length: length - 96 }),
            None => is.clone(),
        },
        Match::Continent(Continent(code)) => Match::Continent(Continent(code.map(|octet| octet.to_ascii_uppercase()))),
        Match::Country(code) => Match::Country(code.map(|octet| octet.to_ascii_uppercase())),
        Match::State { country, state } => {
            Match::State { country: country.map(|octet| octet.to_ascii_uppercase()), state: folded(state) }
        }
        Match::City { country, city } => {
            Match::City { country: country.map(|octet| octet.to_ascii_uppercase()), city: folded(city) }
        }
        _ => is.clone(),
    }
}

fn folded(name: &str) -> Arc<str> {
    name.to_lowercase().into()
}

fn code(text: &str) -> Option<[u8; 2]> {
    text.as_bytes().try_into().ok()
}

/// The positions of the regions, each behind those it contains.
fn region_order(rules: &Rules) -> Result<Vec<usize>, TopologyError> {
    let named = rules.regions.iter().enumerate().map(|(position, region)| (&*region.name, position));
    let positions: HashMap<&str, usize> = named.collect();
    let contained = |is: &Match| match is {
        Match::Region(name) => positions.get(&**name).copied(),
        _ => None,
    };
    let contents =
        rules.regions.iter().map(|region| region.conditions.iter().filter_map(|c| contained(&c.is)).collect());
    let contents: Vec<Vec<usize>> = contents.collect();
    in_order(&contents).map_err(|cycle| {
        let names = cycle.iter().filter_map(|position| rules.regions.get(*position));
        TopologyError::RegionCycle { regions: names.map(|region| region.name.to_string()).collect() }
    })
}
