//! The rule that makes one verdict of what several sources say of a virtual server.

use super::{Availability, Source};

/// One source's known verdict; a source that knows nothing has no vote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vote<'a> {
    /// Who says so.
    pub(super) source: &'a Source,
    /// What it says; never unknown.
    pub(super) availability: Availability,
}

/// Merges the votes: the result, and which vote explains it. `None` when nobody knows anything.
///
/// Probes are this node's monitor and the other DNS nodes' monitors, the vantage points. They speak as one: *offline*
/// only when more than half of them say so, because one prober's own network is not the site. The agent sees the load
/// balancer from inside, the probes see the way the clients come; either can find a fault that the other cannot, so
/// the worse of the two counts.
///
/// | agent        | probes, as one       | merged      |
/// |--------------|----------------------|-------------|
/// | -            | -                    | nothing     |
/// | available    | -                    | available   |
/// | unavailable  | -                    | unavailable |
/// | offline      | -                    | offline     |
/// | -            | available            | available   |
/// | -            | offline              | offline     |
/// | available    | available            | available   |
/// | available    | offline              | offline     |
/// | unavailable  | available            | unavailable |
/// | unavailable  | offline              | offline     |
/// | offline      | available            | offline     |
/// | offline      | offline              | offline     |
/// | -            | 1 of 2 say offline   | available   |
/// | -            | 2 of 3 say offline   | offline     |
/// | available    | 1 of 3 say offline   | available   |
pub(super) fn merge(votes: &[Vote<'_>]) -> Option<(Availability, usize)> {
    let agent = votes.iter().find(|vote| *vote.source == Source::Agent).map(|vote| vote.availability);
    let probes = merge_probes(votes);
    let worse = match (agent, probes) {
        (Some(agent), Some(probes)) if severity(probes) > severity(agent) => probes,
        (Some(agent), _) => agent,
        (None, probes) => probes?,
    };
    // The agent explains its own verdict best; then this node's monitor; then the first of the peers.
    let explains =
        |wanted: fn(&Source) -> bool| votes.iter().position(|vote| vote.availability == worse && wanted(vote.source));
    let by = explains(|source| *source == Source::Agent)
        .or_else(|| explains(|source| *source == Source::Monitor))
        .or_else(|| explains(|_| true))
        .unwrap_or(0);
    Some((worse, by))
}

/// What the vantage points say as one: a state is reached when more than half of them see it or a worse one.
fn merge_probes(votes: &[Vote<'_>]) -> Option<Availability> {
    let probes = || votes.iter().filter(|vote| *vote.source != Source::Agent);
    let total = probes().count();
    let at_least = |state| probes().filter(|vote| severity(vote.availability) >= severity(state)).count();
    if total == 0 {
        None
    } else if at_least(Availability::Offline) * 2 > total {
        Some(Availability::Offline)
    } else if at_least(Availability::Unavailable) * 2 > total {
        Some(Availability::Unavailable)
    } else {
        Some(Availability::Available)
    }
}

/// How bad a verdict is.
pub(super) const fn severity(availability: Availability) -> u8 {
    match availability {
        Availability::Available | Availability::Unknown => 0,
        Availability::Unavailable => 1,
        Availability::Offline => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::{Available, Offline, Unavailable};

    /// One row: the agent's word, the words of this node's monitor and its peers, the result.
    fn check(agent: Option<Availability>, probes: &[Availability], expected: Option<Availability>) {
        let peers: Vec<Source> = (0..probes.len())
            .map(|n| if n == 0 { Source::Monitor } else { Source::Peer(n.to_string().into()) })
            .collect();
        let mut votes: Vec<Vote> =
            peers.iter().zip(probes).map(|(source, &availability)| Vote { source, availability }).collect();
        if let Some(availability) = agent {
            votes.push(Vote { source: &Source::Agent, availability });
        }
        let merged = merge(&votes);
        assert_eq!(merged.map(|(availability, _)| availability), expected, "agent {agent:?}, probes {probes:?}");
        votes.reverse();
        assert_eq!(merge(&votes).map(|(availability, _)| availability), expected, "the order must not matter");
    }

    #[test]
    fn every_row_of_the_table() {
        check(None, &[], None);
        check(Some(Available), &[], Some(Available));
        check(Some(Unavailable), &[], Some(Unavailable));
        check(Some(Offline), &[], Some(Offline));
        check(None, &[Available], Some(Available));
        check(None, &[Offline], Some(Offline));
        check(Some(Available), &[Available], Some(Available));
        check(Some(Available), &[Offline], Some(Offline));
        check(Some(Unavailable), &[Available], Some(Unavailable));
        check(Some(Unavailable), &[Offline], Some(Offline));
        check(Some(Offline), &[Available], Some(Offline));
        check(Some(Offline), &[Offline], Some(Offline));
        check(None, &[Offline, Available], Some(Available));
        check(None, &[Offline, Available, Offline], Some(Offline));
        check(Some(Available), &[Available, Offline, Available], Some(Available));
    }

    #[test]
    fn the_reason_is_taken_from_who_decided() {
        let peer = Source::Peer("ns2".into());
        let votes = [
            Vote { source: &peer, availability: Offline },
            Vote { source: &Source::Monitor, availability: Offline },
            Vote { source: &Source::Agent, availability: Available },
        ];
        assert_eq!(merge(&votes), Some((Offline, 1)));
        assert_eq!(merge(&votes[..1]), Some((Offline, 0)));
    }
}
