//! One response as rate limiting sees it: its kind, whom it is for and what it counts for.

use std::net::SocketAddr;

use super::rate_limit::{Limited, Limiter, Proof, account_of};
use super::resolve::Resolution;
use super::view::View;
use crate::metrics::{Limit, RateAction, ResponseKind};
use crate::wire::{NameKey, Rcode, RecordType};

/// A datagram that is about to be sent.
pub(super) struct Response<'r> {
    /// The name asked for.
    pub(super) question: &'r NameKey,
    /// The type asked for.
    pub(super) record_type: RecordType,
    /// Who asked.
    pub(super) source: SocketAddr,
    /// Whether the answer section has records, or would have if they fitted.
    pub(super) has_answer: bool,
    /// Whether the client proved that the address is its own.
    pub(super) is_proven: bool,
}

impl Limiter {
    /// Holds the response against the rate of its client. One over it becomes silent or loses its authority, and is then
    /// to be truncated.
    pub(super) fn limit(
        &mut self,
        view: Option<&View>,
        response: &Response<'_>,
        resolution: &mut Resolution,
    ) -> Option<Limited> {
        let kind = response.kind(resolution);
        let proof = if response.is_proven { Proof::Given } else { Proof::None };
        let limited = self.judge(response.source.ip(), kind, response.account(kind, view, resolution), proof)?;
        match limited.action {
            RateAction::Dropped => resolution.silent = true,
            RateAction::Truncated => resolution.authoritative = false,
            RateAction::Leaked => {}
            RateAction::Logged | RateAction::Exempt => return Some(limited),
        }
        resolution.limit = Some(Limit::RateLimit);
        Some(limited)
    }
}

impl Response<'_> {
    fn kind(&self, resolution: &Resolution) -> ResponseKind {
        match (resolution.rcode, self.has_answer) {
            (Rcode::NXDOMAIN, _) => ResponseKind::NxDomain,
            (Rcode::NOERROR, true) => ResponseKind::Answer,
            (Rcode::NOERROR, false) if resolution.authoritative => ResponseKind::NoData,
            (Rcode::NOERROR, false) => ResponseKind::Referral,
            _ => ResponseKind::Error,
        }
    }

    /// What the response counts for; a table above [`super::rate_limit`] says why.
    fn account(&self, kind: ResponseKind, view: Option<&View>, resolution: &Resolution) -> u64 {
        match kind {
            ResponseKind::Answer => match view.and_then(|view| view.zones.longest(self.question, 0)) {
                Some((apex, zone)) if !zone.has_name(self.question) => self.question.hash(apex),
                _ => account_of(self.question.hash(0), self.record_type),
            },
            ResponseKind::Error => 0,
            ResponseKind::NoData | ResponseKind::NxDomain | ResponseKind::Referral => resolution.account,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::fixture::{name, query, settings};
    use super::super::{
        Limits, Outcome, RateLimit, RateMode, Settings, SharedRates, Snapshot, Transport, Unmatched, Worker, respond,
    };
    use super::*;
    use crate::status::Moment;
    use crate::wideip::Tables;
    use crate::zone::ZoneBuilder;

    const SEED: u64 = 1;

    fn snapshot(slip: u32) -> Snapshot {
        let mut builder = ZoneBuilder::new(&name("example."), SEED);
        let mut add =
            |owner: &str, record_type, rdata: &[u8]| builder.add(&name(owner), record_type, 60, rdata).unwrap();
        let soa = [name("ns.example.").as_wire(), name("h.example.").as_wire(), &[0; 20]].concat();
        add("example.", RecordType::SOA, &soa);
        for number in 0..9 {
            add(&format!("h{number}.example."), RecordType::A, &[192, 0, 2, number]);
            add(&format!("cut{number}.example."), RecordType::NS, name("ns.example.net.").as_wire());
        }
        add("*.wild.example.", RecordType::A, &[192, 0, 2, 9]);
        let rate = RateLimit {
            mode: RateMode::Limit,
            per_second: [3; 5],
            all_per_second: 0,
            window: Duration::from_secs(15),
            slip,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
            entries: 4096,
            workers: 1,
            shared: SharedRates::new(0, 1, SEED),
        };
        let limits = Limits { rate: Some(Arc::new(rate)), ..Limits::default() };
        let settings = Settings { limits, ..settings(Unmatched::NxDomain) };
        Snapshot::new(1, &[Arc::new(builder.finish())], Tables::empty(SEED), Arc::new(settings), SEED)
    }

    fn worker(snapshot: &Snapshot) -> Worker {
        let mut worker = Worker::new(1);
        worker.limit_rate(snapshot, Moment::default());
        worker
    }

    /// How many of 9 questions, `#` in their names numbered, are answered in full.
    fn answered(question: &str, record_type: RecordType, transport: Transport) -> usize {
        let snapshot = snapshot(0);
        let mut worker = if transport == Transport::Udp { worker(&snapshot) } else { Worker::new(1) };
        let ask = |number: usize| {
            let packet = query(&question.replace('#', &number.to_string()), record_type, 1, &[]);
            let source = "192.0.2.9:5353".parse().unwrap();
            respond(&snapshot, &mut worker, &packet, source, transport, &mut [0; 4096]).length
        };
        (0..9).map(ask).filter(|length| *length > 0).count()
    }

    #[test]
    fn responses_count_for_what_they_tell_of() {
        let check = |question: &str, record_type, expected: usize| {
            assert_eq!(answered(question, record_type, Transport::Udp), expected, "{question}");
            assert_eq!(answered(question, record_type, Transport::Tcp), 9, "a stream is not limited");
        };
        check("h1.example.", RecordType::A, 3);
        check("h#.example.", RecordType::A, 9);
        check("h#.example.", RecordType::TXT, 3);
        check("none#.example.", RecordType::A, 3);
        check("x#.wild.example.", RecordType::A, 3);
        check("x#.cut1.example.", RecordType::A, 3);
        check("x.cut#.example.", RecordType::A, 9);
        check("x#.elsewhere.", RecordType::A, 3);
        check("x#.example.", RecordType::AXFR, 3);
        check("x#.example.", RecordType::TKEY, 3);
    }

    /// The fourth reply to the same question, when the rate is three.
    fn fourth(slip: u32, question: &str, record_type: RecordType) -> (Outcome, Vec<u8>) {
        let snapshot = snapshot(slip);
        let mut worker = worker(&snapshot);
        let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
        let packet = query(question, record_type, 1, &opt);
        let mut out = [0; 4096];
        let source = "192.0.2.9:5353".parse().unwrap();
        let mut ask = || respond(&snapshot, &mut worker, &packet, source, Transport::Udp, &mut out);
        (0..3).for_each(|_| assert_eq!(ask().limited, None));
        let outcome = ask();
        (outcome, out[..outcome.length].to_vec())
    }

    #[test]
    fn a_truncated_reply_has_the_question_the_bit_and_edns_and_no_more() {
        let (outcome, reply) = fourth(1, "h1.example.", RecordType::A);
        let limited = Limited { kind: ResponseKind::Answer, action: RateAction::Truncated };
        assert_eq!((outcome.limited, outcome.limit, outcome.truncated), (Some(limited), Some(Limit::RateLimit), true));
        assert_eq!(reply[2..12], [0x83, 0, 0, 1, 0, 0, 0, 0, 0, 1], "QR TC RD, no AA; question and OPT");
        let (_, reply) = fourth(1, "none.example.", RecordType::A);
        assert_eq!(reply[2..12], [0x83, 3, 0, 1, 0, 0, 0, 0, 0, 1], "the code stays");
    }

    #[test]
    fn an_error_over_the_rate_is_sent_as_it_is_or_not_at_all() {
        let (outcome, reply) = fourth(1, "h1.example.", RecordType::TKEY);
        assert_eq!(outcome.limited.unwrap().action, RateAction::Leaked);
        assert_eq!(reply[2..4], [0x81, 5]);
        let (outcome, reply) = fourth(0, "h1.example.", RecordType::TKEY);
        assert_eq!((outcome.limited.unwrap().action, reply.len()), (RateAction::Dropped, 0));
    }
}
