//! From rules and databases to classes: which records each range of client addresses matches.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::check::{Available, check};
use super::database::{Databases, World};
use super::error::{Database, TopologyError};
use super::lists::{Entry, First, List, ListBuilder};
use super::matches::{Matches, WILDCARD};
use super::order::{Ranked, rank};
use super::ranges::{Bits, Boundaries, Ipv6Ranges, Ranges, index, stored};
use super::regions::Side;
use super::rule::{Continent, Match, Prefix, Rules};
use super::table::{Answers, Class, LAYERS, Topology};

impl Topology {
    /// Compiles rules over databases in MaxMind's format.
    ///
    /// # Errors
    /// Names the rule or database at fault.
    pub fn compile(rules: &Rules, city: Option<&[u8]>, asn: Option<&[u8]>) -> Result<Self, TopologyError> {
        check(rules, Available { city: city.is_some(), asn: asn.is_some() })?;
        let databases = Databases::new(city, asn)?;
        let matches = Matches::new(rules)?;
        let ranked = rank(rules);
        let answers = Answers::new(&matches, &ranked);
        let mut classes = Classes::new(&matches, &ranked, &answers);
        let (city, asn) = (classes.survey(&databases, Database::City)?, classes.survey(&databases, Database::Asn)?);
        let prefixes = classes.survey_prefixes();
        // Each family's sources go before the next family is compiled: they are the most memory that compiling takes.
        let ipv4 = Ranges::new(&classes.sweep([city.ipv4, asn.ipv4, prefixes.ipv4])?);
        let ipv6 = Ipv6Ranges::new(&classes.sweep([city.ipv6, asn.ipv6, prefixes.ipv6])?);
        let (mut classes, lists) = (classes.classes, classes.builder.finish());
        classes.shrink_to_fit();
        Ok(Self {
            ipv4,
            ipv6,
            classes,
            lists,
            records: ranked.iter().map(|ranked| ranked.record.clone()).collect(),
            answers,
            matches,
            databases,
        })
    }
}

/// The records with a client condition on one match.
#[derive(Debug, Default)]
struct ClientRecords {
    /// The layer of those that are not negated.
    layer: usize,
    plain: Vec<Entry>,
    negated: Vec<Entry>,
}

/// The layer of negated conditions, and of all that tell many clients apart from few others.
const COARSE: usize = LAYERS - 1;

/// How many combinations of sets are remembered with their class; it bounds memory.
const REMEMBERED_MAX: usize = 1 << 18;

/// Classes while they are found.
#[derive(Debug)]
struct Classes<'a> {
    matches: &'a Matches,
    records: HashMap<u32, ClientRecords>,
    /// The matches that some negated client condition is on and that can be asked of a client.
    negated: Vec<u32>,
    /// The matches that a client condition depends on; no other one may tell clients apart.
    wanted: HashSet<u32>,
    /// The match "on no known continent", if it is wanted.
    unlocated: Option<u32>,
    /// Sets of plain matches that hold together; the first is the empty one.
    sets: Vec<Box<[u32]>>,
    set_ids: HashMap<Box<[u32]>, u32>,
    lists: [HashMap<Box<[u32]>, List>; LAYERS],
    /// The classes found last; one that is forgotten is found again.
    class_of_sets: HashMap<[u32; 3], u32>,
    class_ids: HashMap<Class, u32>,
    classes: Vec<Class>,
    builder: ListBuilder,
}

impl<'a> Classes<'a> {
    fn new(matches: &'a Matches, ranked: &[Ranked<'_>], answers: &Answers) -> Self {
        let mut records: HashMap<u32, ClientRecords> = HashMap::new();
        for (rank, ranked) in ranked.iter().enumerate() {
            let client = &ranked.record.client;
            let Some((id, answer)) = matches.id(&client.is).zip(answers.id(matches, &ranked.record.answer)) else {
                continue;
            };
            let on_match = records.entry(id).or_default();
            on_match.layer = layer_of(&client.is);
            let entries = if client.negated { &mut on_match.negated } else { &mut on_match.plain };
            entries.push(Entry { answer, first: First { rank: stored(rank), value: ranked.value } });
        }
        let mut wanted = records.keys().copied().collect();
        matches.extend_to_contents(&mut wanted);
        let negated = records.iter().filter(|(_, records)| !records.negated.is_empty()).map(|(id, _)| *id);
        let negated = negated.filter(|id| matches.applies(*id, Side::CLIENT)).collect();
        let unlocated = matches.id(&Match::Continent(Continent::UNKNOWN)).filter(|id| wanted.contains(id));
        Self {
            matches,
            records,
            negated,
            wanted,
            unlocated,
            sets: vec![Box::from([])],
            set_ids: HashMap::from([(Box::from([]), 0)]),
            lists: Default::default(),
            class_of_sets: HashMap::new(),
            class_ids: HashMap::from([(Class::default(), 0)]),
            classes: vec![Class::default()],
            builder: ListBuilder::new(answers.len()),
        }
    }

    /// Finds which wanted matches a database makes true where.
    fn survey(&mut self, databases: &Databases, database: Database) -> Result<World, TopologyError> {
        if !self.matches.any_of(database, &self.wanted) {
            return Ok(World { ipv4: Boundaries::new(), ipv6: Boundaries::new() });
        }
        databases.survey(database, |location| {
            let mut holding = Vec::new();
            match database {
                Database::City => self.matches.push_location(location, &mut holding),
                Database::Asn => self.matches.push_asn(location, &mut holding),
            }
            holding.retain(|id| self.wanted.contains(id));
            // Keeps what is located, but nowhere that matters, apart from what is not located.
            if database == Database::City && self.unlocated.is_some() && location.continent.is_some() {
                holding.push(WILDCARD);
            }
            self.set(holding)
        })
    }

    /// Finds which wanted prefixes hold where.
    fn survey_prefixes(&mut self) -> World {
        let mut prefixes: Vec<_> = self.matches.prefixes().filter(|(_, id)| self.wanted.contains(id)).collect();
        prefixes.sort_unstable();
        let mut world = World { ipv4: Boundaries::new(), ipv6: Boundaries::new() };
        let number = |(prefix, id): &(Prefix, u32)| match prefix.address {
            IpAddr::V4(first) => (Some((u32::from(first), prefix.length, *id)), None),
            IpAddr::V6(first) => (None, Some((u128::from(first), prefix.length, *id))),
        };
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = prefixes.iter().map(number).unzip();
        self.nest(ipv4.into_iter().flatten(), &mut world.ipv4);
        self.nest(ipv6.into_iter().flatten(), &mut world.ipv6);
        world
    }

    /// Lays nested prefixes, which come sorted, flat.
    fn nest<T: Bits>(&mut self, prefixes: impl Iterator<Item = (T, u8, u32)>, boundaries: &mut Boundaries<T>) {
        // The prefixes around the current one: where each ends (none: with the family), and its set.
        let mut around: Vec<(Option<T>, u32)> = Vec::new();
        let close = |around: &mut Vec<(Option<T>, u32)>, boundaries: &mut Boundaries<T>| {
            if let Some((Some(behind), _)) = around.pop() {
                boundaries.begin(behind, around.last().map_or(0, |(_, set)| *set));
            }
        };
        for (first, length, id) in prefixes {
            while around.last().is_some_and(|(behind, _)| behind.is_some_and(|behind| behind <= first)) {
                close(&mut around, boundaries);
            }
            let outer = around.last().and_then(|(_, set)| self.sets.get(index(*set)));
            let holding = outer.into_iter().flatten().copied().chain([id]).collect();
            let set = self.set(holding);
            boundaries.begin(first, set);
            around.push((first.behind_prefix(length), set));
        }
        while !around.is_empty() {
            close(&mut around, boundaries);
        }
    }

    /// Lays the sources over each other and finds the class of every range.
    fn sweep<T: Bits>(&mut self, sources: [Boundaries<T>; 3]) -> Result<Boundaries<T>, TopologyError> {
        let mut rest = sources.each_ref().map(Boundaries::as_slice);
        let mut sets = [0; 3];
        let mut classes = Boundaries::new();
        while let Some(at) = rest.iter().filter_map(|list| list.first()).map(|(at, _)| *at).min() {
            for (list, set) in rest.iter_mut().zip(&mut sets) {
                if let Some(((_, value), behind)) = list.split_first().filter(|((start, _), _)| *start == at) {
                    *set = *value;
                    *list = behind;
                }
            }
            classes.begin(at, self.class(sets)?);
        }
        Ok(classes)
    }

    fn set(&mut self, mut holding: Vec<u32>) -> u32 {
        holding.sort_unstable();
        if let Some(known) = self.set_ids.get(holding.as_slice()) {
            return *known;
        }
        let id = stored(self.sets.len());
        let holding = holding.into_boxed_slice();
        self.sets.push(holding.clone());
        self.set_ids.insert(holding, id);
        id
    }

    /// The class of addresses for which the databases and the prefixes make these sets of matches true.
    fn class(&mut self, sets: [u32; 3]) -> Result<u32, TopologyError> {
        if let Some(known) = self.class_of_sets.get(&sets) {
            return Ok(*known);
        }
        let [city, ..] = sets;
        let unlocated = self.unlocated.filter(|_| city == 0);
        let plain = sets.iter().filter_map(|set| self.sets.get(index(*set))).flatten().copied().chain(unlocated);
        let holding = self.matches.complete(Side::CLIENT, plain.collect());
        let mut class = Class::default();
        for (layer, list) in class.lists.iter_mut().enumerate() {
            *list = self.list(layer, &holding)?;
        }
        let next = stored(self.classes.len());
        let id = *self.class_ids.entry(class).or_insert(next);
        if id == next {
            self.classes.push(class);
        }
        if self.class_of_sets.len() >= REMEMBERED_MAX {
            self.class_of_sets.clear();
        }
        self.class_of_sets.insert(sets, id);
        Ok(id)
    }

    /// The list of one layer for clients for which exactly these matches hold.
    fn list(&mut self, layer: usize, holding: &[u32]) -> Result<List, TopologyError> {
        let matters = |records: &ClientRecords| {
            (records.layer == layer && !records.plain.is_empty()) || (layer == COARSE && !records.negated.is_empty())
        };
        let key = holding.iter().filter(|id| self.records.get(id).is_some_and(matters)).copied();
        let key: Box<[u32]> = key.collect();
        let Some(known) = self.lists.get_mut(layer) else { return Ok(List::default()) };
        if let Some(list) = known.get(&key) {
            return Ok(*list);
        }
        let positive = key.iter().filter_map(|id| self.records.get(id)).filter(|records| records.layer == layer);
        let mut entries: Vec<Entry> = positive.flat_map(|records| &records.plain).copied().collect();
        if layer == COARSE {
            let broken = self.negated.iter().filter(|id| key.binary_search(id).is_err());
            let records = broken.filter_map(|id| self.records.get(id));
            entries.extend(records.flat_map(|records| &records.negated));
        }
        let list = self.builder.add(entries)?;
        known.insert(key, list);
        Ok(list)
    }
}

/// Conditions that match few clients each have layers of their own, so that what they add is not stored again for every
/// combination with the others.
fn layer_of(is: &Match) -> usize {
    match is {
        Match::Subnet(prefix) if prefix.length > 0 => 0,
        Match::Asn(_) | Match::City { .. } => 1,
        _ => COARSE,
    }
}
