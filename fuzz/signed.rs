//! The property of signed messages.

use std::net::SocketAddr;
use std::sync::Arc;

use fairlead::answer::{Outcome, SignatureOutcome, Transport, Worker, respond as answer};
use fairlead::wire::tsig::{Signed, Signer};
use fairlead::wire::{Algorithm, Key, NameKey, Query};

use crate::properties::{SEED, name, snapshot};

/// The time at which everything happens, in seconds since 1970.
const NOW: u64 = 1_800_000_000;

/// The key that the server knows.
pub fn key() -> Key {
    Key::new(&name("key.fuzz.test."), Algorithm::HmacSha256, b"a secret")
}

fn ask(packet: &[u8], out: &mut [u8]) -> Outcome {
    let source: SocketAddr = ([192, 0, 2, 9], 5353).into();
    let mut worker = Worker::new(1);
    worker.tell_time(NOW);
    answer(snapshot(), &mut worker, packet, source, Transport::Tcp, out)
}

/// Any message behind two octets, signed: its signature is found good and the reply's is too; with one bit of it changed,
/// as the two octets say, it is found good no more.
pub fn signed_message(data: &[u8]) {
    let Some(([high, low], body)) = data.split_first_chunk::<2>() else { return };
    // Replies get silence; a message that carries a signature already, and one with octets behind its last record, which
    // would be read in the place of the signature, are other cases.
    let parse = |message: &[u8]| Query::parse(message, &mut NameKey::root(SEED), SEED);
    let is_plain = parse(body).is_ok_and(|query| query.tsig.is_none());
    if !is_plain || body.len() > 4096 || parse(&body[..body.len() - 1]).is_ok() {
        return;
    }
    let mut packet = [body, &[0; 512]].concat();
    let mut client = Signer::request(Arc::new(key()));
    let length = client.sign(&mut packet, body.len(), NOW).expect("room for the record");
    packet.truncate(length);
    let mut out = vec![0; 65_535];
    let outcome = ask(&packet, &mut out);
    assert_eq!(outcome.signature, Some(SignatureOutcome::Good));
    let reply = &mut out[..outcome.length];
    // Replies are read as queries are, but for the bit that tells them apart.
    reply[2] &= 0x7f;
    let at = parse(reply).expect("a well-formed reply").tsig;
    reply[2] |= 0x80;
    assert_eq!(client.into_verifier().check(reply, at, NOW), Ok(Signed::Here));
    // The id is not signed: a forwarder may change it, and the record keeps the one that is.
    let bit = usize::from(u16::from_be_bytes([*high, *low])) % ((body.len() - 2) * 8);
    packet[2 + bit / 8] ^= 1 << (bit % 8);
    assert_ne!(ask(&packet, &mut out).signature, Some(SignatureOutcome::Good), "bit {bit} was changed");
}
