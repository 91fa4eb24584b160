//! TSIG octet for octet (RFC 8945): rows of requests with real keys over UDP and TCP, and transfers in whose messages are
//! not all signed.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up shall fail")]
#![expect(clippy::disallowed_methods, reason = "signatures are good at the present time only")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use fairlead::wire::tsig::{Signed, Signer, VerifyError};
use fairlead::wire::{Algorithm, Key, NameKey, Query, Rcode};
use support::server::{Server, fairlead, soa};

const SECRET: &[u8] = b"secret-secret-secret-secret";
const SECRET_BASE64: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";

/// A request, and who may check the reply where that is possible.
type Request = (Vec<u8>, Option<Signer>);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn key(name: &str, algorithm: Algorithm, secret: &[u8]) -> Arc<Key> {
    Arc::new(Key::new(&name.parse().unwrap(), algorithm, secret).with_mac_octets_min(0))
}

/// A query for `www.example. A`, not signed.
fn query() -> Vec<u8> {
    b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01".to_vec()
}

/// The query signed with `key` at `time`, and who may check the reply.
fn signed(key: &Arc<Key>, time: u64) -> Request {
    let (mut packet, length) = (query(), query().len());
    packet.resize(700, 0);
    let mut signer = Signer::request(Arc::clone(key));
    let length = signer.sign(&mut packet, length, time).unwrap();
    packet.truncate(length);
    (packet, Some(signer))
}

/// The same with its MAC cut or filled up to `octets`.
fn with_mac(octets: usize, key: &Arc<Key>) -> Request {
    let (mut packet, _) = signed(key, now());
    let rdata = query().len() + key.name().as_wire().len() + 10;
    let mac = rdata + ALGORITHM.len() + 8;
    let whole: Vec<u8> =
        packet[mac + 2..mac + 34].iter().copied().chain(std::iter::repeat_n(0, 32)).take(octets).collect();
    packet.splice(mac..mac + 34, [&u16::try_from(octets).unwrap().to_be_bytes()[..], &whole].concat());
    let length = u16::try_from(packet.len() - rdata).unwrap();
    packet[rdata - 2..rdata].copy_from_slice(&length.to_be_bytes());
    // Replies follow the MAC as it was sent, which who signed does not know.
    (packet, None)
}

/// What a reply's TSIG record says.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    time: u64,
    mac: usize,
    error: u16,
    other: Vec<u8>,
}

/// Reads the reply's TSIG record, which starts there.
fn said(reply: &[u8], at: usize) -> Said {
    let mut name = at;
    while reply[name] != 0 {
        name += 1 + usize::from(reply[name]);
    }
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let mut algorithm = name + 11;
    while reply[algorithm] != 0 {
        algorithm += 1 + usize::from(reply[algorithm]);
    }
    let fields = algorithm + 1;
    let time = reply[fields..fields + 6].iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
    let mac = usize::from(number(fields + 8));
    let rest = fields + 10 + mac;
    Said { time, mac, error: number(rest + 2), other: reply[rest + 6..].to_vec() }
}

fn ask(server: SocketAddr, is_stream: bool, packet: &[u8]) -> Vec<u8> {
    let mut reply = vec![0; 4096];
    if is_stream {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = u16::try_from(packet.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        reply.truncate(usize::from(u16::from_be_bytes(length)));
        stream.read_exact(&mut reply).unwrap();
    } else {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(packet, server).unwrap();
        let length = socket.recv(&mut reply).unwrap();
        reply.truncate(length);
    }
    reply
}

/// Where the TSIG record of a reply starts.
fn tsig_of(reply: &[u8]) -> Option<usize> {
    let mut as_query = reply.to_vec();
    as_query[2] &= 0x7f;
    Query::parse(&as_query, &mut NameKey::root(1), 1).unwrap().tsig
}

/// The code, the TSIG error or `-` without a record, whether the record has a MAC, and whether that is good.
fn shown(reply: &[u8], signer: Option<Signer>) -> String {
    let rcode = Rcode(u16::from(reply[3] & 15));
    let Some(at) = tsig_of(reply) else { return format!("{rcode} -") };
    let said = said(reply, at);
    let verdict = match signer.map(|signer| signer.into_verifier().check(reply, Some(at), now())) {
        None => "unchecked".to_owned(),
        Some(Ok(Signed::Here)) => "good".to_owned(),
        Some(Ok(Signed::Later)) => "later".to_owned(),
        Some(Err(VerifyError::Refused(error))) => format!("refused {}", error.0),
        Some(Err(error)) => format!("{error:?}"),
    };
    format!("{rcode} {} {} {verdict}", said.error, if said.mac > 0 { "signed" } else { "unsigned" })
}

fn serve(folder: &Path) -> Server {
    let zone = "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.7\n";
    fs::write(folder.join("example.zone"), zone).unwrap();
    let keys = format!(
        "keys:\n  k.example: {{secret: {SECRET_BASE64}}}\n  cut: {{secret: {SECRET_BASE64}, mac_octets_min: 20}}\n  '.': {{secret: {SECRET_BASE64}}}\n"
    );
    fairlead(folder, &format!("{keys}zones: [{{name: example., file: example.zone}}]\n"), "example.")
}

#[test]
fn requests_are_judged_as_the_rfc_says_on_every_transport() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let good = key("k.example.", Algorithm::HmacSha256, SECRET);
    let cut = key("cut.", Algorithm::HmacSha256, SECRET);
    let wrong = key("k.example.", Algorithm::HmacSha256, b"wrong");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let (mut packet, signer) = signed(&good, now());
        change(&mut packet);
        (packet, signer)
    };
    let question = query().len();
    // Behind the question: the key's name of 11 octets, type, class, TTL, length, then the algorithm's of 13.
    let (class, ttl, algorithm) = (question + 13, question + 15, question + 21);
    let count = |packet: &mut Vec<u8>, records: u8| packet[11] = records;
    let rows: Vec<(&str, Request, &str)> = vec![
        ("§5.3: a good signature is answered with one", signed(&good, now()), "NOERROR 0 signed good"),
        (
            "§4.2: names in any case are the same",
            changed(&|packet| {
                packet[question + 1..question + 10].make_ascii_uppercase();
                packet[algorithm + 1..algorithm + 12].make_ascii_uppercase();
            }),
            "NOERROR 0 signed good",
        ),
        (
            "§4.2: a key may be named by the root",
            signed(&key(".", Algorithm::HmacSha256, SECRET), now()),
            "NOERROR 0 signed good",
        ),
        (
            "§5.1: a second TSIG record",
            changed(&|packet| {
                packet.extend_from_within(question..);
                count(packet, 2);
            }),
            "FORMERR -",
        ),
        (
            "§5.1: a record behind TSIG",
            changed(&|packet| {
                packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
                count(packet, 2);
            }),
            "FORMERR -",
        ),
        (
            "§5.1: TSIG in another section",
            changed(&|packet| {
                count(packet, 0);
                packet[9] = 1;
            }),
            "FORMERR -",
        ),
        ("§4.2: another class than ANY", changed(&|packet| packet[class + 1] = 1), "FORMERR -"),
        ("§4.2: a TTL", changed(&|packet| packet[ttl + 3] = 1), "FORMERR -"),
        (
            "§4.2: octets behind the record",
            changed(&|packet| {
                packet.push(0);
            }),
            "FORMERR -",
        ),
        (
            "§5.2.1: an unknown key",
            signed(&key("nobody.", Algorithm::HmacSha256, SECRET), now()),
            "NOTAUTH 17 unsigned refused 17",
        ),
        (
            "§5.2.1: another algorithm than the key's",
            signed(&key("k.example.", Algorithm::HmacSha512, SECRET), now()),
            "NOTAUTH 17 unsigned refused 17",
        ),
        ("§5.2.2: another secret", signed(&wrong, now()), "NOTAUTH 16 unsigned refused 16"),
        ("§5.2.2: an octet changed under way", changed(&|packet| packet[13] = b'v'), "NOTAUTH 16 unsigned refused 16"),
        ("§5.2.2: the header changed under way", changed(&|packet| packet[2] |= 1), "NOTAUTH 16 unsigned refused 16"),
        ("§5.2.2: the MAC before the time", signed(&wrong, now() - 5000), "NOTAUTH 16 unsigned refused 16"),
        ("§4.3.2: the id may be changed under way", changed(&|packet| packet[0] ^= 0xff), "NOERROR 0 signed good"),
        ("§5.2.2.1: no MAC", with_mac(0, &good), "FORMERR -"),
        ("§5.2.2.1: a MAC of 15 octets, less than half", with_mac(15, &cut), "FORMERR -"),
        ("§5.2.2.1: a MAC of half the octets where more are wanted", with_mac(16, &cut), "NOTAUTH 22 signed unchecked"),
        ("§5.2.2.1: one octet too few", with_mac(19, &cut), "NOTAUTH 22 signed unchecked"),
        ("§5.2.2.1: as few octets as are allowed", with_mac(20, &cut), "NOERROR 0 signed unchecked"),
        ("§5.2.2.1: a cut MAC where all is wanted", with_mac(31, &good), "NOTAUTH 22 signed unchecked"),
        ("§5.2.2.1: more octets than there are", with_mac(33, &good), "FORMERR -"),
        ("§5.2.3: too long ago", signed(&good, now() - 310), "NOTAUTH 18 signed refused 18"),
        ("§5.2.3: in the future", signed(&good, now() + 310), "NOTAUTH 18 signed refused 18"),
        ("§5.2.3: within the fudge", signed(&good, now() - 290), "NOERROR 0 signed good"),
    ];
    for (name, (packet, signer), expected) in &rows {
        for is_stream in [false, true] {
            let reply = ask(server.address, is_stream, packet);
            assert_eq!(reply[..2], packet[..2], "{name}");
            assert_eq!(shown(&reply, signer.clone()), *expected, "{name}, TCP: {is_stream}");
            let has_data = reply[7] > 0;
            assert_eq!(has_data, expected.starts_with("NOERROR"), "{name}: data goes to good signatures alone");
        }
    }
}

#[test]
fn rfc8945_5_2_3_badtime_tells_both_times() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let asked = now() - 4000;
    let (packet, _) = signed(&key("k.example.", Algorithm::HmacSha256, SECRET), asked);
    let reply = ask(server.address, false, &packet);
    let said = said(&reply, tsig_of(&reply).unwrap());
    let ours = said.other.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
    assert_eq!((said.time, said.other.len(), said.error), (asked, 6, 18));
    assert!(ours.abs_diff(now()) < 60, "{ours}");
}

/// One end of a stream whose messages are signed now and then (RFC 8945 §5.3.1).
struct Stream {
    prior: Vec<u8>,
    unsigned: Vec<u8>,
    is_first: bool,
}

impl Stream {
    fn record(time: &[u8], mac: &[u8], id: [u8; 2]) -> Vec<u8> {
        let length = u16::try_from(ALGORITHM.len() + 16 + mac.len()).unwrap();
        let mac_length = u16::try_from(mac.len()).unwrap();
        [
            b"\x01k\0\0\xfa\0\xff\0\0\0\0",
            &length.to_be_bytes()[..],
            ALGORITHM,
            time,
            &[1, 44],
            &mac_length.to_be_bytes(),
            mac,
            &id,
            &[0; 4],
        ]
        .concat()
    }

    /// The message, signed with all that went before it since the last signature.
    fn sign(&mut self, mut message: Vec<u8>) -> Vec<u8> {
        let time = now().to_be_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(&u16::try_from(self.prior.len()).unwrap().to_be_bytes());
        mac.update(&self.prior);
        mac.update(&self.unsigned);
        mac.update(&message);
        if self.is_first {
            mac.update(&[b"\x01k\0\0\xff\0\0\0\0", ALGORITHM].concat());
        }
        mac.update(&[&time[2..], &[1, 44]].concat());
        if self.is_first {
            mac.update(&[0; 4]);
        }
        self.prior = mac.finalize().into_bytes().to_vec();
        (self.is_first, self.unsigned) = (false, Vec::new());
        let id = [message[0], message[1]];
        message.extend(Self::record(&time[2..], &self.prior, id));
        message[11] += 1;
        message
    }
}

/// A primary of `example.` that takes one AXFR and leaves `unsigned` messages between the first and the last without a
/// signature; what becomes of the connection is not its business.
fn primary(unsigned: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = give(stream.unwrap(), unsigned); // the other side may leave at any time
        }
    });
    port
}

fn give(mut stream: TcpStream, unsigned: usize) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut request)?;
    // The request's MAC ends before its id, error and other data.
    let prior = request[request.len() - 38..request.len() - 6].to_vec();
    let mut signer = Stream { prior, unsigned: Vec::new(), is_first: true };
    let numbers: Vec<u8> = [1_u32, 3600, 600, 86_400, 60].iter().flat_map(|number| number.to_be_bytes()).collect();
    let soa = [&b"\x07example\0\0\x06\0\x01\0\0\0\x3c\0\x16\0\0"[..], &numbers].concat();
    let name_server = b"\x07example\0\0\x02\0\x01\0\0\0\x3c\0\x08\x02ns\x03net\0".to_vec();
    let message = |records: &[&[u8]]| {
        let head = [request[0], request[1], 0x84, 0, 0, 0, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0];
        [&head[..], &records.concat()].concat()
    };
    // RFC 5936 §2.2.1: the question stands in the first message.
    let with_question = |mut message: Vec<u8>| {
        message[5] = 1;
        message.splice(12..12, request[12..25].iter().copied());
        message
    };
    let mut send = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes()[..], &message].concat())
    };
    send(signer.sign(with_question(message(&[&soa, &name_server]))))?;
    for number in 0..unsigned {
        let address = [192, 0, 2, u8::try_from(number % 250).unwrap()];
        let owner = format!("h{number:03}");
        let record = [b"\x04", owner.as_bytes(), b"\x07example\0\0\x01\0\x01\0\0\0\x3c\0\x04", &address].concat();
        let message = message(&[&record]);
        signer.unsigned.extend_from_slice(&message);
        send(message)?;
    }
    send(signer.sign(message(&[&soa])))
}

#[test]
fn rfc8945_5_3_1_of_a_transfer_in_99_messages_may_go_unsigned_and_no_more() {
    for (unsigned, is_taken) in [(0, true), (98, true), (99, true), (100, false)] {
        let folder = tempfile::tempdir().unwrap();
        let port = primary(unsigned);
        let configuration = format!(
            "keys: {{k: {{secret: {SECRET_BASE64}}}}}\nzones: [{{name: example., primary: {{addresses: 127.0.0.1, port: {port}, key: k}}}}]\n"
        );
        let server = fairlead(folder.path(), &configuration, "example.");
        let log = || fs::read_to_string(folder.path().join("fairlead.log")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let has_zone = soa(server.address, "example.").is_some_and(|reply| reply[3] & 15 == 0);
            let is_refused = log().contains("the reply is not signed");
            assert!(if is_taken { !is_refused } else { !has_zone }, "{unsigned}: {}", log());
            if has_zone || is_refused {
                break;
            }
            assert!(Instant::now() < deadline, "{unsigned}: {}", log());
        }
    }
}
