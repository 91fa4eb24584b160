//! What hostile, slow and broken primaries get to do: nothing but a reason in a log.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, FetchError, Fetched};
use super::testing::*;
use crate::answer::{InboundLimits, ZoneTransfer};
use crate::metrics::{Limit, TransferKind};
use crate::wire::tsig::{Check, Signer, check as check_signature};
use crate::wire::{Algorithm, Key, Keys};
use crate::zone::Sizes;

/// Fetches the zone from a primary that takes these turns.
async fn fetch(limits: InboundLimits, key: Option<Key>, turns: Vec<Turn>) -> Result<Fetched, FetchError> {
    let context = context(&[], ZoneTransfer::default(), Keys::default());
    let (listener, address) = listener();
    let served = serve(&listener, turns);
    let (apex, key) = (name("example."), key.map(Arc::new));
    let (unix_seconds, sizes) = (&*context.unix_seconds, Sizes::DEFAULT);
    let client = Client { unix_seconds, apex: &apex, key, limits, sizes, seed: SEED };
    let fetched = client.fetch(address, None, TransferKind::Axfr).await;
    served.await.unwrap();
    fetched
}

#[track_caller]
fn error(fetched: Result<Fetched, FetchError>) -> FetchError {
    match fetched {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

/// Checks that a message of these records is refused for that reason.
async fn refused(records: Vec<Vec<u8>>, expected: &str) {
    let error = error(fetch(LIMITS, None, vec![says(records)]).await);
    assert!(matches!(error, FetchError::Refused(_)) && error.reason().contains(expected), "{error:?}");
}

#[tokio::test]
async fn a_zone_of_several_messages_is_taken_with_and_without_questions() {
    let turn: Turn = Box::new(|query, stream| {
        let [first, rest] = [&zone(7)[..2], &zone(7)[2..]].map(|records| reply(query, records));
        // RFC 5936 §2.2.2: later messages may have an empty question section; BIND's do.
        let question = rest[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
        let mut bare = rest.clone();
        bare.drain(12..12 + question);
        bare[5] = 0;
        send(stream, &[first, bare]);
    });
    let Ok(Fetched::Zone { zone, records: 4, expire: None }) = fetch(LIMITS, None, vec![turn]).await else {
        panic!("it was not taken")
    };
    assert_eq!((zone.soa().serial, zone.records()), (7, 3));
}

#[tokio::test]
async fn what_no_zone_has_is_refused() {
    refused(vec![soa(1), ns(), a("www.example.net."), soa(1)], "www.example.net. is not in the zone").await;
    refused(vec![ns(), soa(1)], "does not start with").await;
    refused(vec![soa(1), ns(), soa(2)], "changed under way").await;
    refused(vec![soa(1), ns(), soa(1), a("www.example.")], "records follow the closing SOA").await;
    refused(vec![], "has no records").await;
    let mut chaos = a("www.example.");
    chaos[16] = 3;
    refused(vec![soa(1), ns(), chaos, soa(1)], "not of class IN").await;
    refused(vec![soa(1), a("www.example."), soa(1)], "breaks a rule").await;
}

#[tokio::test]
async fn answers_to_other_questions_are_refused() {
    let altered = |alter: fn(&mut Vec<u8>)| -> Turn {
        Box::new(move |query, stream: &mut TcpStream| {
            let mut message = reply(query, &zone(1));
            alter(&mut message);
            send(stream, &[message]);
        })
    };
    for alter in [
        |message: &mut Vec<u8>| message[1] ^= 1,
        |message: &mut Vec<u8>| message[13] ^= 1,
        |message: &mut Vec<u8>| message[2] |= 0x20,
    ] {
        let error = error(fetch(LIMITS, None, vec![altered(alter)]).await);
        assert_eq!(error.reason(), "the primary's message answers another question");
    }
    for alter in [|message: &mut Vec<u8>| message[2] ^= 0x80, |message: &mut Vec<u8>| message.truncate(60)] {
        let error = error(fetch(LIMITS, None, vec![altered(alter)]).await);
        assert_eq!(error.reason(), "the primary's message is malformed");
    }
}

#[tokio::test]
async fn an_endless_stream_ends_at_each_limit() {
    let endless = |count: usize, pause: Duration| -> Turn {
        Box::new(move |query, stream| {
            send(stream, &[reply(query, &[soa(1), ns()])]);
            for number in 0..count {
                std::thread::sleep(pause);
                send(stream, &[reply(query, &[a(&format!("h{number}.example."))])]);
            }
        })
    };
    let error = |fetched| match error(fetched) {
        FetchError::Limit(limit, reason) => (limit, reason),
        other => panic!("{other:?}"),
    };
    let (limit, reason) = error(fetch(LIMITS, None, vec![endless(500, Duration::ZERO)]).await);
    assert_eq!(limit, Limit::ZoneRecords);
    assert_eq!(reason, "the transfer has more than 50 records (`records_max`)");
    let small = InboundLimits { octets_max: 300, ..LIMITS };
    let (limit, _) = error(fetch(small, None, vec![endless(500, Duration::ZERO)]).await);
    assert_eq!(limit, Limit::ZoneOctets);
    let short = InboundLimits { time_max: Duration::from_millis(60), ..LIMITS };
    let (limit, reason) = error(fetch(short, None, vec![endless(25, Duration::from_millis(4))]).await);
    assert_eq!((limit, &*reason), (Limit::TransferTime, "the transfer took longer than 60ms (`time_max`)"));
}

#[tokio::test]
async fn a_primary_that_stalls_or_leaves_is_given_up() {
    let short = InboundLimits { wait_max: Duration::from_millis(60), ..LIMITS };
    let stalls: Turn = Box::new(|query, stream| {
        begins(query, stream);
        // Until the client leaves.
        let _ = read_to_end(stream);
    });
    let silent = error(fetch(short, None, vec![stalls]).await);
    assert_eq!(silent, FetchError::Unreached("the primary sent nothing more for 60ms (`wait_max`)".to_owned()));
    let partial: Turn = Box::new(|query, stream| {
        use std::io::Write;
        begins(query, stream);
        stream.write_all(&[0, 99, 1, 2, 3]).unwrap();
    });
    for leaves in [Box::new(begins) as Turn, partial] {
        let gone = error(fetch(LIMITS, None, vec![leaves]).await);
        assert_eq!(gone, FetchError::Unreached("the primary closed the connection under way".to_owned()));
    }
    let refused: Turn = Box::new(|query, stream| {
        let mut message = reply(query, &[]);
        message[3] |= 5;
        send(stream, &[message]);
    });
    let refused = error(fetch(LIMITS, None, vec![refused]).await);
    assert_eq!(refused, FetchError::Unreached("the primary answered REFUSED to AXFR".to_owned()));
}

/// A turn that refuses the question in the way of a server from before EDNS.
fn without_edns(rcode: u8) -> Turn {
    Box::new(move |query, stream| {
        assert_eq!(query[11], 1, "the question has OPT");
        let mut message = reply(query, &[]);
        message[3] |= rcode;
        send(stream, &[message]);
    })
}

#[tokio::test]
async fn rfc6891_7_a_primary_that_does_not_know_edns_is_asked_without() {
    for rcode in [1, 4] {
        let plain: Turn = Box::new(|query, stream| {
            assert_eq!(query[11], 0, "the question has no OPT");
            send(stream, &[reply(query, &zone(7))]);
        });
        assert!(matches!(fetch(LIMITS, None, vec![without_edns(rcode), plain]).await, Ok(Fetched::Zone { .. })));
    }
}

#[tokio::test]
async fn rfc7314_4_expire_is_asked_for_and_read() {
    let turn: Turn = Box::new(|query, stream| {
        let asks = query.windows(6).any(|window| window == [0, 4, 0, 9, 0, 0]);
        send(stream, &[with_expire(reply(query, &zone(7)[..2]), u32::from(asks) * 77), reply(query, &zone(7)[2..])]);
    });
    let fetched = fetch(LIMITS, None, vec![turn]).await;
    assert!(matches!(fetched, Ok(Fetched::Zone { expire: Some(77), .. })));
}

#[tokio::test]
async fn expire_is_asked_for_apart_where_a_transfer_does_not_tell_it() {
    let check = async |serial: u32, expected: Option<u32>| {
        let knows_edns: Turn = Box::new(|query, stream| {
            let mut message = reply(query, &zone(7));
            message[11] += 1;
            message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
            send(stream, &[message]);
        });
        let tells: Turn = Box::new(move |query, stream| {
            send(stream, &[with_expire(reply(query, &[soa(serial)]), 77)]);
        });
        let fetched = fetch(LIMITS, None, vec![knows_edns, tells]).await;
        let Ok(Fetched::Zone { expire, .. }) = fetched else { panic!("it was not taken") };
        assert_eq!(expire, expected, "{serial}");
    };
    check(7, Some(77)).await;
    check(8, None).await;
}

fn begins(query: &[u8], stream: &mut TcpStream) {
    send(stream, &[reply(query, &[soa(1), ns()])]);
}

fn read_to_end(stream: &mut TcpStream) -> std::io::Result<usize> {
    use std::io::Read;
    stream.read_to_end(&mut Vec::new())
}

fn key() -> Key {
    Key::new(&name("k."), Algorithm::HmacSha256, b"secret")
}

/// A zone in messages of one record each, in which every `every`th is signed, and the last if `ends_signed`.
fn signed_stream(messages: usize, every: usize, ends_signed: bool) -> Turn {
    Box::new(move |query, stream| {
        let at = query.len() - Signer::request(Arc::new(key())).octets();
        let keys = Keys::new([key()]);
        let Check::Good(mut signer) = check_signature(query, at, &keys, NOW) else { panic!("the question is signed") };
        let mut unsigned: Vec<u8> = Vec::new();
        let last = messages - 1;
        for number in 0..messages {
            let records = match number {
                0 => vec![soa(1), ns()],
                _ if number == last => vec![soa(1)],
                _ => vec![a(&format!("h{number}.example."))],
            };
            let mut message = reply(query, &records);
            let is_signed = if number == last { ends_signed } else { number % every == 0 };
            if is_signed {
                // RFC 8945 §5.3.1: a signature covers the messages since the last one.
                let mut octets = [&unsigned[..], &message].concat();
                let (start, length) = (unsigned.len(), octets.len());
                octets.resize(length + signer.octets(), 0);
                let end = signer.sign(&mut octets, length, NOW).unwrap();
                message = octets[start..end].to_vec();
                message[11] = 1;
                unsigned.clear();
            } else {
                unsigned.extend_from_slice(&message);
            }
            send(stream, &[message]);
        }
    })
}

#[tokio::test]
async fn rfc8945_5_3_1_up_to_99_messages_may_be_unsigned_and_the_last_may_not() {
    let large = InboundLimits { records_max: 1000, octets_max: 1 << 20, ..LIMITS };
    let fetch = |turn| fetch(large, Some(key()), vec![turn]);
    for (messages, every) in [(3, 1), (250, 1), (250, 7), (300, 100)] {
        let fetched = fetch(signed_stream(messages, every, true)).await;
        assert!(matches!(fetched, Ok(Fetched::Zone { .. })), "{messages} messages, each {every}th signed");
    }
    let error = |fetched| error(fetched).reason().to_owned();
    let unsigned = "the reply is not signed, although the request was";
    assert_eq!(error(fetch(signed_stream(300, 101, true)).await), unsigned);
    assert_eq!(error(fetch(signed_stream(300, 50, false)).await), "the end of the transfer is not signed");
    assert_eq!(error(fetch(says(zone(1))).await), unsigned);
}
