//! What this node tells the other DNS nodes: the verdicts of its own monitors, seen from where it stands.

use super::board::Board;
use crate::mesh::{Host, Report, VirtualServerReport};
use crate::status::{self, Availability, Freshness, Measurements, Moment, Source, Verdict};

/// The last words of this node's monitors. Expired ones are left out, so that they age elsewhere too, and so is what
/// agents and other nodes said: everybody speaks for themselves only.
pub(super) fn report(board: &Board, now: Moment) -> Report {
    let (table, ageing) = (board.table(), board.prepared().status.ageing);
    let servers = &table.watched().servers;
    let of_each = table.watched().virtual_servers.iter().enumerate().filter_map(|(index, watched)| {
        let own = table.reports(index).iter().find(|report| report.source == Source::Monitor)?;
        if ageing.freshness(now.since(own.at)) == Freshness::Expired {
            return None;
        }
        Some(VirtualServerReport {
            name: format!("{}/{}", servers.get(watched.server)?.name, watched.name).into(),
            address: board.model().virtual_servers.get(index)?.address?,
            verdict: verdict(own),
        })
    });
    Report { virtual_servers: of_each.collect(), host: Host::default() }
}

/// A monitor that could not look knows nothing, whatever it knew before.
fn verdict(own: &status::Report) -> Verdict {
    let (availability, reason) = match (&own.error, own.known) {
        (None, Some((availability, _))) => (availability, &own.reason),
        (error, _) => (Availability::Unknown, error.as_ref().unwrap_or(&own.reason)),
    };
    Verdict { availability, reason: reason.clone(), measurements: Measurements::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::status::{Fact, Remembered};

    #[test]
    fn only_this_nodes_own_monitors_are_reported_and_only_while_they_count() {
        let at = Moment::from_millis;
        let mut board = Board::new(sample::prepared(sample::model()), &Remembered::default(), at(0));
        let said = |server: &str, source, availability| Fact::Verdict {
            server: server.into(),
            virtual_server: "www".into(),
            source,
            verdict: Verdict { availability, reason: "seen".into(), measurements: Measurements::default() },
            at: at(1),
        };
        board.apply(&said("ny-lb1", Source::Monitor, Availability::Offline), at(1));
        board.apply(&said("ny-lb1", Source::Peer("ns2".into()), Availability::Available), at(1));
        board.apply(&said("lon-lb1", Source::Agent, Availability::Available), at(1));
        let reported = report(&board, at(2)).virtual_servers;
        let [one] = reported.as_slice() else { panic!("{reported:?}") };
        assert_eq!((&*one.name, one.verdict.availability), ("ny-lb1/www", Availability::Offline));
        assert_eq!(report(&board, at(3_600_000)).virtual_servers, []);
    }
}
