//! What a configuration must not hold: wide IPs that lead to each other in a circle through CNAME members.

use std::collections::BTreeSet;

use super::names::NameIndex;
use super::{MemberTarget, Model, PoolId, WideIpId};

/// Wide IPs that refer to each other in a circle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceLoop {
    /// The wide IPs in the order of reference; the last refers to the first.
    pub wide_ips: Vec<WideIpId>,
}

impl Model {
    /// Finds circles of wide IPs whose CNAME members, static or not, name one another. Each circle is found once.
    pub fn reference_loops(&self) -> Vec<ReferenceLoop> {
        let names = NameIndex::build(self, 0);
        let targets: Vec<Vec<usize>> = self
            .wide_ips
            .iter()
            .map(|wide_ip| {
                let pools = wide_ip.pools.iter().map(|reference| reference.pool).chain(wide_ip.last_resort);
                let named: BTreeSet<WideIpId> = pools.flat_map(|pool| self.named_by(pool, &names)).collect();
                named.into_iter().filter_map(|id| usize::try_from(id.0).ok()).collect()
            })
            .collect();
        find_loops(&targets)
    }

    fn named_by(&self, pool: PoolId, names: &NameIndex) -> Vec<WideIpId> {
        let pool = usize::try_from(pool.0).ok().and_then(|index| self.pools.get(index));
        let members = pool.map(|pool| pool.members.as_slice()).unwrap_or_default();
        let target = |member: &super::Member| match &member.target {
            MemberTarget::Name { name, .. } => names.all(name),
            MemberTarget::VirtualServer(_) => Vec::new(),
        };
        members.iter().flat_map(target).collect()
    }
}

/// How far the walk is with a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    OnWalk,
    Done,
}

/// Walks depth first, with a stack of its own; an arrow back into the walk closes a circle.
fn find_loops(targets: &[Vec<usize>]) -> Vec<ReferenceLoop> {
    let mut loops = Vec::new();
    let mut states = vec![State::Unseen; targets.len()];
    for start in 0..targets.len() {
        let mut walk: Vec<(usize, usize)> = Vec::new();
        let mut enter = (states.get(start) == Some(&State::Unseen)).then_some(start);
        loop {
            if let Some(node) = enter.take() {
                set(&mut states, node, State::OnWalk);
                walk.push((node, 0));
            }
            let Some((node, next)) = walk.last_mut() else { break };
            let target = targets.get(*node).and_then(|of_node| of_node.get(*next)).copied();
            *next += 1;
            match target.map(|target| (target, states.get(target).copied())) {
                None => {
                    set(&mut states, *node, State::Done);
                    walk.pop();
                }
                Some((target, Some(State::Unseen))) => enter = Some(target),
                Some((target, Some(State::OnWalk))) => {
                    let of_loop = walk.iter().map(|(node, _)| *node).skip_while(|node| *node != target);
                    let ids = of_loop.filter_map(|node| u32::try_from(node).ok()).map(WideIpId);
                    loops.push(ReferenceLoop { wide_ips: ids.collect() });
                }
                Some((_, Some(State::Done) | None)) => {}
            }
        }
    }
    loops
}

fn set(states: &mut [State], node: usize, state: State) {
    if let Some(slot) = states.get_mut(node) {
        *slot = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(targets: &[&[usize]], expected: &[&[u32]]) {
        let targets: Vec<Vec<usize>> = targets.iter().map(|of_node| of_node.to_vec()).collect();
        let found = find_loops(&targets);
        let found: Vec<Vec<u32>> = found.iter().map(|one| one.wide_ips.iter().map(|id| id.0).collect()).collect();
        assert_eq!(found, expected, "{targets:?}");
    }

    #[test]
    fn circles_are_found_once_and_trees_are_not_circles() {
        check(&[], &[]);
        check(&[&[]], &[]);
        check(&[&[0]], &[&[0]]);
        check(&[&[1], &[0]], &[&[0, 1]]);
        check(&[&[1, 2], &[3], &[3], &[]], &[]);
        check(&[&[1], &[2], &[1]], &[&[1, 2]]);
        check(&[&[1], &[0], &[3], &[4], &[2, 0]], &[&[0, 1], &[2, 3, 4]]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let chain: Vec<Vec<usize>> = (1..=100_000).map(|next| vec![next % 100_000]).collect();
        assert_eq!(find_loops(&chain).len(), 1);
    }
}
