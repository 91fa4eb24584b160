//! Our own names in class CHAOS (RFC 4892): refused unless configured.

use super::extended_error::ExtendedError;
use super::resolve::Resolution;
use super::settings::Chaos;
use crate::wire::{NameKey, Owner, Query, Rcode, RecordType, Reply, Section};

/// Answers TXT queries for the version and the identifier.
pub(super) fn answer(
    reply: &mut Reply<'_>,
    question: &NameKey,
    query: &Query,
    chaos: &Chaos,
) -> Result<Resolution, Resolution> {
    let text = match question.as_wire() {
        b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => chaos.version.as_deref(),
        b"\x02id\x06server\x00" | b"\x08hostname\x04bind\x00" => chaos.id.as_deref(),
        _ => None,
    };
    let wanted = matches!(query.record_type, RecordType::TXT | RecordType::ANY);
    let refused = Resolution::refused(Rcode::REFUSED, Some(ExtendedError::NotAuthoritative));
    let Some(text) = text.filter(|_| wanted) else { return Ok(refused) };
    let mut rdata = [0; 256];
    let length = text.len().min(255);
    if let (Some((first, rest)), Ok(octet)) = (rdata.split_first_mut(), u8::try_from(length)) {
        *first = octet;
        rest.iter_mut().zip(text.bytes().take(length)).for_each(|(to, from)| *to = from);
    }
    let rdata = rdata.get(..=length).unwrap_or(&[]);
    let resolution = Resolution { authoritative: true, ..Resolution::refused(Rcode::NOERROR, None) };
    let written = reply.record(Section::Answer, Owner::QUESTION, RecordType::TXT, 0, rdata);
    written.map(|_| resolution).map_err(|_| resolution)
}
