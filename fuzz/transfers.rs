//! The property of transfers in: what a primary's stream may make of a zone.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use fairlead::answer::InboundLimits;
use fairlead::metrics::TransferKind;
use fairlead::transfer::{Rehearsal, Rehearsed};
use fairlead::wire::tsig::{Check, Signer, check};
use fairlead::wire::{HEADER_LENGTH, Keys, MessageRecord, NameKey, Query, Records};
use fairlead::zone::{Zone, load, master, print};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use crate::properties::{Contents, SEED, contents, name, no_include};

/// The time at which everything happens, in seconds since 1970.
const NOW: u64 = 1_800_000_000;
const LIMITS: InboundLimits = InboundLimits {
    records_max: 50,
    octets_max: 3000,
    time_max: Duration::from_secs(60),
    wait_max: Duration::from_secs(60),
};
/// The version that is there, when one is.
const OLD: &str = "$TTL 300\n@ SOA ns host 7 100 10 1000 60\n@ NS ns.example.net.\nwww A 192.0.2.1\nwww A 192.0.2.2\n\
    a.b TXT \"text\"\n";

/// What an input says: four octets of settings, then messages with their lengths before them.
struct Script<'d> {
    has_key: bool,
    has_old: bool,
    kind: TransferKind,
    /// Octets that are read at once in the second run.
    piece: usize,
    /// Which messages of eight go without a signature.
    unsigned: u8,
    /// Which bit of which message is changed, where every message is signed for.
    bit: usize,
    messages: Vec<Vec<u8>>,
    /// What stands behind the last whole message.
    tail: &'d [u8],
}

impl<'d> Script<'d> {
    fn read(data: &'d [u8]) -> Option<Self> {
        let ([form, unsigned, high, low], mut tail) = data.split_first_chunk::<4>()?;
        let mut messages = Vec::new();
        while let Some((length, rest)) = tail.split_first_chunk::<2>() {
            let Some((message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
            messages.push(message.to_vec());
            tail = rest;
        }
        Some(Self {
            has_key: form & 1 != 0,
            has_old: form & 2 != 0,
            kind: if form & 4 != 0 { TransferKind::Axfr } else { TransferKind::Ixfr },
            piece: usize::from(form >> 3) + 1,
            unsigned: *unsigned,
            bit: usize::from(u16::from_be_bytes([*high, *low])),
            messages,
            tail,
        })
    }
}

/// What is done to the primary's stream.
#[derive(Default)]
struct Damage {
    /// It ends behind so many octets.
    cut: Option<usize>,
    /// A bit of a message is another one than was signed.
    bit: Option<(usize, usize)>,
}

/// The primary's end: it answers the questions with the messages of a script, the ids of the questions added to theirs,
/// and signs as it should.
struct Primary<'d> {
    script: &'d Script<'d>,
    damage: Damage,
    piece: usize,
    /// What came of a question so far.
    question: Vec<u8>,
    /// All that it says.
    stream: Vec<u8>,
    /// The messages since the last signature.
    unsigned: Vec<u8>,
    /// Where each message, without its signature, stands in the stream.
    said: Vec<(usize, usize)>,
    read: usize,
}

impl Primary<'_> {
    fn answer(&mut self) {
        let id = [self.question[2], self.question[3]];
        let question = &self.question[2..];
        let parsed = Query::parse(question, &mut NameKey::root(SEED), SEED).unwrap_or_else(|_| panic!("{question:?}"));
        let keys = Keys::new([crate::signed::key()]);
        let mut signer = parsed.tsig.map(|at| match check(question, at, &keys, NOW) {
            Check::Good(signer) => signer,
            other => panic!("our question is not signed well: {other:?}"),
        });
        self.unsigned.clear();
        let first = self.said.len();
        let is_for_soa = self.script.has_old && first == 0;
        let end = if is_for_soa { 1 } else { self.script.messages.len() };
        for index in first..end.min(self.script.messages.len()) {
            self.say(index, id, signer.as_mut());
        }
        if !is_for_soa {
            self.stream.extend_from_slice(self.script.tail);
        }
        if let Some(cut) = self.damage.cut {
            self.stream.truncate(cut);
        }
        self.question.clear();
    }

    fn say(&mut self, index: usize, id: [u8; 2], signer: Option<&mut Signer>) {
        let mut message = self.script.messages[index].clone();
        message.iter_mut().zip(id).for_each(|(octet, id)| *octet ^= id);
        let length = message.len();
        if let Some(signer) = signer {
            self.sign(&mut message, index, signer);
        }
        if let Some((_, bit)) = self.damage.bit.filter(|(damaged, _)| *damaged == index) {
            message[bit / 8] ^= 1 << (bit % 8);
        }
        self.stream.extend(u16::try_from(message.len()).expect("a length that was read").to_be_bytes());
        self.said.push((self.stream.len(), length));
        self.stream.extend(message);
    }

    /// Signs the message, and with it those before it that went without (RFC 8945 §5.3.1); or lets it go without.
    fn sign(&mut self, message: &mut Vec<u8>, index: usize, signer: &mut Signer) {
        self.unsigned.extend_from_slice(message);
        let is_to_be = self.script.unsigned >> (index % 8) & 1 == 0 && message.len() >= HEADER_LENGTH;
        let length = self.unsigned.len();
        if !is_to_be || message.len() + signer.octets() > 65_535 {
            return;
        }
        self.unsigned.resize(length + signer.octets(), 0);
        if let Some(end) = signer.sign(&mut self.unsigned, length, NOW) {
            message.extend_from_slice(&self.unsigned[length..end]);
            let records = u16::from_be_bytes([message[10], message[11]]).wrapping_add(1).to_be_bytes();
            message[10..12].copy_from_slice(&records);
        }
        self.unsigned.clear();
    }
}

impl AsyncRead for Primary<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let from = self.read;
        let end = self.stream.len().min(from + out.remaining().min(self.piece));
        out.put_slice(&self.stream[from..end]);
        self.read = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Primary<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.question.extend_from_slice(octets);
        let length = self.question.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
        if length.is_some_and(|length| self.question.len() == 2 + length) {
            self.answer();
        }
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came of a run, how many octets of the stream it took, and where the messages in them stand.
struct Run {
    outcome: Result<Option<Zone>, String>,
    taken: usize,
    said: Vec<(usize, usize)>,
}

impl Run {
    /// What tells two outcomes apart.
    fn outcome(&self) -> Result<Option<Contents>, &str> {
        self.outcome.as_ref().map(|zone| zone.as_ref().map(contents)).map_err(String::as_str)
    }
}

fn run(script: &Script<'_>, piece: usize, damage: Damage) -> Run {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    let (old, before) = old();
    let rehearsal = Rehearsal {
        apex: name("fuzz.test."),
        old: script.has_old.then(|| Arc::clone(old)),
        kind: script.kind,
        key: script.has_key.then(|| Arc::new(crate::signed::key())),
        limits: LIMITS,
        unix_seconds: NOW,
        seed: SEED,
    };
    let (question, stream, unsigned, said) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut primary = Primary { script, damage, piece, question, stream, unsigned, said, read: 0 };
    let outcome = RUNTIME.with(|runtime| runtime.block_on(rehearsal.run(&mut primary)));
    assert_eq!(contents(old), *before, "the zone in use changed");
    let outcome = outcome.map(|rehearsed| match rehearsed {
        Rehearsed::UpToDate => None,
        Rehearsed::Zone(zone, records) => {
            assert!(records <= LIMITS.records_max + 1, "{records} records");
            Some(zone)
        }
    });
    let taken = primary.read;
    let said = primary.said.into_iter().filter(|(start, _)| *start < taken).collect();
    Run { outcome, taken, said }
}

fn old() -> &'static (Arc<Zone>, Contents) {
    static OLD_ZONE: OnceLock<(Arc<Zone>, Contents)> = OnceLock::new();
    OLD_ZONE.get_or_init(|| {
        let apex = name("fuzz.test.");
        let settings = master::Settings { file: "old", origin: &apex, default_ttl: None };
        let zone = load(OLD.as_bytes(), &settings, SEED, &mut no_include).expect("a good zone").zone;
        let before = contents(&zone);
        (Arc::new(zone), before)
    })
}

/// Any stream of a primary: however it is cut up it gives the same; the zone in use stays as it was; what comes of it is
/// within the limits, keeps the rules of zones and was whole: an octet less, or with a key a bit changed, and there is
/// none. How the records are spread over messages makes no difference.
pub fn transfer_in(data: &[u8]) {
    let Some(script) = Script::read(data) else { return };
    let whole = run(&script, usize::MAX, Damage::default());
    let pieces = run(&script, script.piece, Damage::default());
    if script.has_key {
        // A signature is another each time, since the id is drawn: what is wrong with a record that runs into it is too.
        assert_eq!(whole.outcome().ok(), pieces.outcome().ok());
    } else {
        assert_eq!((whole.outcome(), whole.taken), (pieces.outcome(), pieces.taken));
    }
    let Ok(Some(zone)) = &whole.outcome else { return };
    keeps_the_rules(zone, script.has_old);
    let cut = run(&script, usize::MAX, Damage { cut: Some(whole.taken - 1), bit: None });
    assert_eq!(cut.outcome(), Err("the primary closed the connection under way"), "the last octet did not come");
    let index = script.bit % whole.said.len();
    let bit = script.bit / whole.said.len() % (whole.said[index].1 * 8);
    if script.has_key {
        let changed = run(&script, usize::MAX, Damage { cut: None, bit: Some((index, bit)) });
        assert!(changed.outcome.is_err(), "bit {bit} of message {index} was changed");
    } else {
        spread(&script, &whole, zone);
    }
}

/// Whether a stream makes a zone.
pub fn makes_a_zone(data: &[u8]) -> bool {
    Script::read(data).is_some_and(|script| matches!(run(&script, usize::MAX, Damage::default()).outcome, Ok(Some(_))))
}

fn keeps_the_rules(zone: &Zone, has_old: bool) {
    assert!(u64::try_from(zone.records()).is_ok_and(|records| records <= LIMITS.records_max));
    let all = contents(zone);
    let octets: usize = all.iter().map(|(owner, _, _, rdata)| owner.len() + rdata.len()).sum();
    assert!(has_old || u64::try_from(octets).is_ok_and(|octets| octets <= LIMITS.octets_max), "{octets} octets");
    let apex = name("fuzz.test.");
    let settings = master::Settings { file: "made", origin: &apex, default_ttl: None };
    let printed = print::zone(zone);
    let loaded = load(printed.as_bytes(), &settings, SEED, &mut no_include);
    let loaded = loaded.unwrap_or_else(|faults| panic!("it does not load: {faults:?}\n{printed}")).zone;
    assert_eq!(contents(&loaded), all, "{printed}");
}

/// The same records with a message each make the same zone.
fn spread(script: &Script<'_>, whole: &Run, zone: &Zone) {
    let first = usize::from(script.has_old);
    let messages = &script.messages[..whole.said.len()];
    let records: Vec<MessageRecord> = messages[first..].iter().flat_map(|message| answers(message)).collect();
    let serial = |rdata: &[u8]| rdata.get(rdata.len() - 20..).map(|rest| [rest[0], rest[1], rest[2], rest[3]]);
    // RFC 1995 §4: an SOA alone in the first message says that there is nothing newer.
    if script.has_old && serial(&records[0].rdata) == Some(7_u32.to_be_bytes()) {
        return;
    }
    let header = [messages[first][0], messages[first][1], 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let alone = records.iter().map(|record| {
        let length = u16::try_from(record.rdata.len()).expect("data of a record");
        let [class, kind] = [record.class.0, record.record_type.0].map(u16::to_be_bytes);
        let fixed = [&kind[..], &class, &record.ttl.to_be_bytes(), &length.to_be_bytes()].concat();
        [&header[..], record.name.as_wire(), &fixed, &record.rdata].concat()
    });
    let messages = messages[..first].iter().cloned().chain(alone).collect();
    let again = run(&Script { messages, tail: &[], ..*script }, usize::MAX, Damage::default());
    assert_eq!(again.outcome(), Ok(Some(contents(zone))), "the records in a message each");
}

/// The records of a well-formed message's answer section.
fn answers(message: &[u8]) -> Vec<MessageRecord> {
    let mut at = HEADER_LENGTH;
    if message[5] == 1 {
        while message[at] != 0 {
            at += 1 + usize::from(message[at]);
        }
        at += 5;
    }
    let mut records = Records::new(message, at);
    let count = u16::from_be_bytes([message[6], message[7]]);
    (0..count).map(|_| records.next_record().expect("a record that was read")).collect()
}
