//! Why a question is answered as it is: the answer itself, as a query would get it, and the walk that led there.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{self, Record};
use serde_json::{Value, json};

use super::control::Question;
use crate::answer::{self, AnswerSource, Outcome, Snapshot, Transport, Worker};
use crate::wire::{Name, RecordType};

/// The port that an explained query comes from; any that is not 0.
const CLIENT_PORT: u16 = 53_000;

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
    let (reply, outcome) = asked.answer(snapshot)?;
    let records = |records: &[Record]| records.iter().map(ToString::to_string).collect::<Vec<_>>();
    let scope = reply.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Subnet)).and_then(|option| match option {
        EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
        _ => None,
    });
    Ok(json!({
        "question": {
            "name": asked.name.to_string(),
            "type": asked.record_type.to_string(),
            "client": asked.client.to_string(),
            "subnet": question.subnet,
        },
        "generation": snapshot.generation,
        "source": source_text(outcome.source),
        "rcode": outcome.rcode.to_string(),
        "authoritative": reply.metadata.authoritative,
        "answers": records(&reply.answers),
        "authority": records(&reply.authorities),
        "ttl": reply.answers.first().map(|record| record.ttl),
        "scope": scope,
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

    /// Asks the snapshot as a client over TCP would.
    fn answer(&self, snapshot: &Snapshot) -> Result<(Message, Outcome), String> {
        let name = rr::Name::from_ascii(self.name.to_string()).map_err(|error| error.to_string())?;
        let mut query = Message::new(1, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name, rr::RecordType::from(self.record_type.0)));
        let mut edns = Edns::new();
        if let Some(subnet) = &self.subnet {
            edns.options_mut().insert(EdnsOption::Subnet(*subnet));
        }
        query.set_edns(edns);
        let packet = query.to_vec().map_err(|error| error.to_string())?;
        let mut out = vec![0; usize::from(u16::MAX)];
        let source = SocketAddr::new(self.client, CLIENT_PORT);
        let outcome = answer::respond(snapshot, &mut Worker::new(1), &packet, source, Transport::Tcp, &mut out);
        match out.get(..outcome.length) {
            None | Some([]) => Err("no reply is sent to this question (`unmatched: drop`, or a pool drops it)".into()),
            Some(reply) => {
                let reply = Message::from_vec(reply).map_err(|error| format!("reading our own reply: {error}"))?;
                Ok((reply, outcome))
            }
        }
    }
}

/// Reads `address/length`; a bare address counts whole.
fn subnet(text: &str) -> Result<ClientSubnet, String> {
    let wrong = || format!("{text:?} is no client subnet: write an address and a length, such as 203.0.113.0/24");
    let full = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            (IpAddr::from_str(address).map_err(|_| wrong())?, length.parse::<u8>().map_err(|_| wrong())?)
        }
        None => {
            let address = IpAddr::from_str(text).map_err(|_| wrong())?;
            (address, full(address))
        }
    };
    if length > full(address) { Err(wrong()) } else { Ok(ClientSubnet::new(address, length, 0)) }
}

fn source_text(source: AnswerSource) -> &'static str {
    match source {
        AnswerSource::WideIp => "wide IP",
        AnswerSource::Zone => "zone",
        AnswerSource::None => "unmatched",
    }
}
