//! Regions compiled: which of them hold, given which plain matches do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::ranges::{index, stored};

/// What can be asked of a client or an answer, as a set; a condition on anything else does nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side(u8);

impl Side {
    /// Nothing at all.
    pub(super) const NOTHING: Self = Self(0);
    /// Where its address is.
    pub(super) const ADDRESS: Self = Self(1);
    /// Which datacenter it stands in.
    pub(super) const DATACENTER: Self = Self(2);
    /// Which pool it is of.
    pub(super) const POOL: Self = Self(4);
    /// Everything.
    pub(super) const ANYTHING: Self = Self(7);
    /// A client: it has an address and nothing else.
    pub(super) const CLIENT: Self = Self::ADDRESS;

    const ALL: [Self; 8] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7)];

    /// Both sets together.
    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set, or nothing.
    pub(super) const fn only_if(self, there: bool) -> Self {
        if there { self } else { Self::NOTHING }
    }

    /// Whether the sets have something in common.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A region in the numbers of its matches.
#[derive(Debug)]
pub(super) struct Parts {
    /// The number of the match "in this region".
    pub(super) id: u32,
    /// What can be asked of it.
    pub(super) side: Side,
    /// The matches in it, and whether each is negated.
    pub(super) conditions: Vec<(u32, bool)>,
}

impl Parts {
    fn has_only_exclusions(&self) -> bool {
        self.conditions.iter().all(|(_, negated)| *negated)
    }
}

/// How a match stands in a region.
#[derive(Debug, Clone, Copy)]
struct Parent {
    region: u32,
    negated: bool,
}

/// How many conditions of a region hold.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    included: i64,
    excluded: i64,
}

impl Counts {
    fn add(&mut self, negated: bool, change: i64) {
        *(if negated { &mut self.excluded } else { &mut self.included }) += change;
    }

    fn sum(self, other: Self) -> Self {
        Self { included: self.included + other.included, excluded: self.excluded + other.excluded }
    }
}

#[derive(Debug)]
struct Node {
    id: u32,
    side: Side,
    /// Whether it has no positive condition, so that it matches what it does not exclude.
    only_exclusions: bool,
    /// By [`Side`], how many conditions hold when no plain match but the wildcard does.
    default: [Counts; 8],
}

impl Node {
    /// An exclusion beats an inclusion.
    fn holds(&self, side: Side, counts: Counts) -> bool {
        counts.excluded == 0 && if self.only_exclusions { self.side.meets(side) } else { counts.included > 0 }
    }

    fn default(&self, side: Side) -> Counts {
        self.default.get(usize::from(side.0)).copied().unwrap_or_default()
    }
}

/// All regions, each behind those it contains.
#[derive(Debug, Default)]
pub(super) struct Regions {
    nodes: Vec<Node>,
    /// By match: the regions that it stands in.
    parents: HashMap<u32, Vec<Parent>>,
}

impl Regions {
    /// Compiles regions that come each behind those it contains. `wildcard` is the match that always holds.
    pub(super) fn new(in_order: &[Parts], wildcard: u32) -> Self {
        let mut regions = Self::default();
        for (position, parts) in in_order.iter().enumerate() {
            for &(child, negated) in &parts.conditions {
                regions.parents.entry(child).or_default().push(Parent { region: stored(position), negated });
            }
            let only_exclusions = parts.has_only_exclusions();
            regions.nodes.push(Node { id: parts.id, side: parts.side, only_exclusions, default: Default::default() });
        }
        for side in Side::ALL {
            regions.set_defaults(in_order, side, wildcard);
        }
        regions
    }

    /// The regions that hold when no plain match but the wildcard does.
    fn set_defaults(&mut self, in_order: &[Parts], side: Side, wildcard: u32) {
        let mut holding = HashSet::from([wildcard]);
        for (node, parts) in self.nodes.iter_mut().zip(in_order) {
            let mut counts = Counts::default();
            let held = parts.conditions.iter().filter(|(child, _)| holding.contains(child));
            held.for_each(|(_, negated)| counts.add(*negated, 1));
            if node.holds(side, counts) {
                holding.insert(node.id);
            }
            if let Some(default) = node.default.get_mut(usize::from(side.0)) {
                *default = counts;
            }
        }
    }

    /// Tells which of the matches in `wanted` some region in it contains, however deep; they are added to it.
    pub(super) fn extend_to_contents(&self, wanted: &mut HashSet<u32>) {
        // A region's container comes behind it, so that one pass from the end reaches everything.
        for node in self.nodes.iter().rev() {
            if self.containers(node.id).any(|container| wanted.contains(&container)) {
                wanted.insert(node.id);
            }
        }
        let plain = self.parents.keys().copied();
        let reached: Vec<u32> =
            plain.filter(|id| self.containers(*id).any(|region| wanted.contains(&region))).collect();
        wanted.extend(reached);
    }

    /// Completes the plain matches that hold (without the wildcard) by the regions that then do, in no order.
    pub(super) fn complete(&self, side: Side, holding: &mut Vec<u32>) {
        // What differs from the default, contained regions first.
        let mut pending = BTreeMap::new();
        for id in holding.iter() {
            self.tell_containers(*id, 1, &mut pending);
        }
        let mut changed = BTreeSet::new();
        while let Some((position, difference)) = pending.pop_first() {
            let Some(node) = self.nodes.get(index(position)) else { continue };
            let before = node.holds(side, node.default(side));
            let after = node.holds(side, node.default(side).sum(difference));
            if before != after {
                changed.insert(position);
                self.tell_containers(node.id, if after { 1 } else { -1 }, &mut pending);
            }
        }
        for (position, node) in self.nodes.iter().enumerate() {
            if node.holds(side, node.default(side)) != changed.contains(&stored(position)) {
                holding.push(node.id);
            }
        }
    }

    fn tell_containers(&self, id: u32, change: i64, pending: &mut BTreeMap<u32, Counts>) {
        for parent in self.parents.get(&id).into_iter().flatten() {
            pending.entry(parent.region).or_default().add(parent.negated, change);
        }
    }

    fn containers(&self, id: u32) -> impl Iterator<Item = u32> {
        let parents = self.parents.get(&id).into_iter().flatten();
        parents.filter_map(|parent| self.nodes.get(index(parent.region)).map(|node| node.id))
    }
}

/// Sorts regions so that each comes behind those it contains; `contents` gives their positions.
///
/// # Errors
/// The positions of regions that contain each other, the first one repeated at the end.
pub(super) fn in_order(contents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut missing: Vec<usize> = contents.iter().map(Vec::len).collect();
    let mut containers = vec![Vec::new(); contents.len()];
    for (region, inside) in contents.iter().enumerate() {
        for &contained in inside {
            if let Some(list) = containers.get_mut(contained) {
                list.push(region);
            }
        }
    }
    let mut order: Vec<usize> = (0..contents.len()).filter(|region| missing.get(*region) == Some(&0)).collect();
    let mut done = 0;
    while let Some(&region) = order.get(done) {
        done += 1;
        for &container in containers.get(region).into_iter().flatten() {
            if let Some(left) = missing.get_mut(container) {
                *left -= 1;
                if *left == 0 {
                    order.push(container);
                }
            }
        }
    }
    if order.len() == contents.len() { Ok(order) } else { Err(cycle(contents, &missing)) }
}

/// Follows regions that could not be sorted until one comes again.
fn cycle(contents: &[Vec<usize>], missing: &[usize]) -> Vec<usize> {
    let is_left = |region: &usize| missing.get(*region).is_some_and(|left| *left > 0);
    let mut path: Vec<usize> = (0..contents.len()).find(is_left).into_iter().collect();
    while let Some(next) = path.last().and_then(|last| contents.get(*last)?.iter().find(|inside| is_left(inside))) {
        let again = path.iter().position(|region| region == next);
        path.push(*next);
        if let Some(from) = again {
            return path.split_off(from);
        }
    }
    path
}
