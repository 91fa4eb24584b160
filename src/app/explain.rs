//! Why a question is answered as it is: the answer itself, as a query would get it, and the walk that led there.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{self, EdnsCode, EdnsOption};
use hickory_proto::rr::{self, RData, Record};
use serde_json::{Value, json};

use super::control::Question;
use super::explain_view::{Asker, Chosen};
use crate::answer::{self, AnswerSource, Outcome, Snapshot, Transport, Worker};
use crate::wideip::{Client, Memory, Step, Trace, WideIpId};
use crate::wire::{ClientSubnet, Name, NameKey, RecordType};

/// The port that an explained query comes from; any that is not 0.
const CLIENT_PORT: u16 = 53_000;
/// Where the cursors and draws of an explanation start: the same question gets the same explanation.
const DRAW_SEED: u64 = 1;

/// A question that was read.
struct Asked {
    name: Name,
    record_type: RecordType,
    client: IpAddr,
    subnet: Option<ClientSubnet>,
}

/// Explains what `snapshot` answers to `question`. The error says what is wrong with the question.
pub(super) fn explain(snapshot: &Snapshot, question: &Question) -> Result<Value, String> {
    let asked = Asked::read(question)?;
    let Chosen { view, considered } = Asker::read(question)?.choose(snapshot)?;
    // What is left depends on no listener or key any more.
    let snapshot = &snapshot.only(view);
    let (reply, outcome) = asked.answer(snapshot)?;
    let answers: &[Record] = reply.as_ref().map(|reply| reply.answers.as_slice()).unwrap_or_default();
    let records = |records: &[Record]| records.iter().map(ToString::to_string).collect::<Vec<_>>();
    let topology = snapshot.wide_ips().topology();
    let located = asked.subnet.map_or(asked.client, |subnet| subnet.address);
    Ok(json!({
        "question": {
            "name": asked.name.to_string(),
            "type": asked.record_type.to_string(),
            "client": asked.client.to_string(),
            "subnet": asked.subnet.map(|subnet| format!("{}/{}", subnet.address, subnet.prefix_length)),
            "location": topology.describe(located).to_string(),
        },
        "generation": snapshot.generation,
        "view": view.map(|view| view.name().as_str()),
        "views": considered,
        "source": source_text(outcome.source),
        "rcode": reply.as_ref().map(|_| outcome.rcode.to_string()),
        "authoritative": reply.as_ref().map(|reply| reply.metadata.authoritative),
        "answers": records(answers),
        "authority": reply.as_ref().map(|reply| records(&reply.authorities)),
        "ttl": answers.iter().map(|record| record.ttl).min(),
        "scope": reply.as_ref().and_then(scope),
        "decisions": asked.decisions(snapshot, answers),
    }))
}

impl Asked {
    fn read(question: &Question) -> Result<Self, String> {
        let dotted = if question.name.ends_with('.') { question.name.clone() } else { format!("{}.", question.name) };
        let name = dotted.parse::<Name>().map_err(|error| format!("{:?} is no name: {error}", question.name))?;
        let record_type = question.record_type.parse::<RecordType>().map_err(|error| error.to_string())?;
        let subnet = question.subnet.as_deref().map(subnet).transpose()?;
        Ok(Self { name, record_type, client: question.client, subnet })
    }

    /// Asks the snapshot as a client over TCP would; no reply where it says that none is sent.
    fn answer(&self, snapshot: &Snapshot) -> Result<(Option<Message>, Outcome), String> {
        let name = rr::Name::from_ascii(self.name.to_string()).map_err(|error| error.to_string())?;
        let mut query = Message::new(1, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name, rr::RecordType::from(self.record_type.0)));
        let mut edns = Edns::new();
        if let Some(ClientSubnet { address, prefix_length }) = self.subnet {
            edns.options_mut().insert(EdnsOption::Subnet(opt::ClientSubnet::new(address, prefix_length, 0)));
        }
        query.set_edns(edns);
        let packet = query.to_vec().map_err(|error| error.to_string())?;
        let mut out = vec![0; usize::from(u16::MAX)];
        let (mut worker, source) = (Worker::new(DRAW_SEED), SocketAddr::new(self.client, CLIENT_PORT));
        let outcome = answer::respond(snapshot, &mut worker, &packet, source, Transport::Tcp, &mut out);
        let reply = out.get(..outcome.length).filter(|reply| !reply.is_empty()).map(Message::from_vec).transpose();
        Ok((reply.map_err(|error| format!("reading our own reply: {error}"))?, outcome))
    }

    /// The decision of each wide IP on the way: that of the name asked for and those of the names it leads to.
    fn decisions(&self, snapshot: &Snapshot, answers: &[Record]) -> Vec<Value> {
        let targets = answers.iter().filter_map(|record| match &record.data {
            RData::CNAME(target) => target.0.to_string().parse::<Name>().ok(),
            _ => None,
        });
        let names = std::iter::once(self.name.clone()).chain(targets);
        names.filter_map(|name| self.decision(snapshot, &name)).collect()
    }

    fn decision(&self, snapshot: &Snapshot, name: &Name) -> Option<Value> {
        let tables = snapshot.wide_ips();
        let id: WideIpId = tables
            .find_in(snapshot.first_view().id(), &NameKey::new(name, snapshot.seed()))?
            .answering(self.record_type)?;
        let client = Client { source: self.client, subnet: self.subnet };
        let mut trace = Trace::default();
        let decision = tables.decide(id, &client, &mut Memory::new(DRAW_SEED), Some(&mut trace));
        let pool = decision.pool.and_then(|pool| tables.model().pool(pool));
        Some(json!({
            "wide_ip": &*tables.model().wide_ip_name(id),
            "answer": decision.answer.to_string(),
            "pool": pool.map(|pool| &*pool.name),
            "tier": decision.tier.to_string(),
            "reason": decision.reason.to_string(),
            "ttl": decision.ttl_seconds,
            "scope": decision.scope,
            "steps": trace.steps.iter().map(step).collect::<Vec<_>>(),
        }))
    }
}

fn step(step: &Step) -> Value {
    json!({
        "event": step.event.to_string(),
        "subject": step.subject.to_string(),
        "name": &*step.name,
        "method": step.method,
        "reason": step.reason,
        "text": step.to_string(),
    })
}

/// How many bits of the client subnet decided, as the reply says.
fn scope(reply: &Message) -> Option<u8> {
    match reply.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
        _ => None,
    }
}

/// Reads `address/length`; a bare address counts whole. Bits behind the length are cleared, as a resolver would.
fn subnet(text: &str) -> Result<ClientSubnet, String> {
    let wrong = || format!("{text:?} is no client subnet: write an address and a length, such as 203.0.113.0/24");
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address = IpAddr::from_str(address).map_err(|_| wrong())?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let prefix_length = length.map_or(Ok(full), |length| length.parse::<u8>().map_err(|_| wrong()))?;
    if prefix_length > full {
        return Err(wrong());
    }
    let address = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_length)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_length)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    };
    Ok(ClientSubnet { address, prefix_length })
}

fn source_text(source: AnswerSource) -> &'static str {
    match source {
        AnswerSource::WideIp => "wide IP",
        AnswerSource::Zone => "zone",
        AnswerSource::None => "unmatched",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_an_address_with_a_length() {
        let check = |text: &str, expected: Option<(&str, u8)>| {
            let got = subnet(text).ok().map(|subnet| (subnet.address.to_string(), subnet.prefix_length));
            assert_eq!(got, expected.map(|(address, length)| (address.to_owned(), length)), "{text}");
        };
        check("10.1.2.3/16", Some(("10.1.0.0", 16)));
        check("10.1.2.3", Some(("10.1.2.3", 32)));
        check("10.1.2.3/0", Some(("0.0.0.0", 0)));
        check("2001:db8::1/48", Some(("2001:db8::", 48)));
        check("::1/0", Some(("::", 0)));
        for wrong in ["", "10.1.2.3/33", "::1/129", "10.1.2/16", "10.1.2.3/", "10.1.2.3/x"] {
            check(wrong, None);
        }
    }
}
