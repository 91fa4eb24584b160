//! Asking a primary over TCP: its serial, then what is newer, with every wait and size bounded.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::inbound::{Fault, Inbound, Progress};
use super::message::{asking_expire, request, signed};
use super::reply::Reply;
use super::requests::serial_of;
use crate::answer::InboundLimits;
use crate::metrics::{Limit, TransferKind};
use crate::wire::tsig::{Signed, Signer, Verifier};
use crate::wire::{Key, Name, Opcode, Rcode, RecordType};
use crate::zone::{Sizes, Zone, is_newer};

/// How long a version that has come waits for word of how long it may be served.
const EXPIRE_WAIT: Duration = Duration::from_secs(1);

/// What a primary has for us, and for how many seconds it may be served, where the primary tells (RFC 7314).
pub(super) enum Fetched {
    /// Nothing newer.
    UpToDate {
        /// What is told.
        expire: Option<u32>,
    },
    /// Another version, whole and checked.
    Zone {
        /// The version.
        zone: Zone,
        /// How many records came.
        records: u64,
        /// What is told.
        expire: Option<u32>,
    },
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FetchError {
    /// Changes did not fit or are not to be had: the whole zone may be.
    NoChanges(String),
    /// The primary was not reached, or the stream broke off.
    Unreached(String),
    /// What it sent is no zone that may be served.
    Refused(String),
    /// It sent more, or took longer, than is allowed.
    Limit(Limit, String),
    /// It does not know EDNS (RFC 6891 §7).
    NoEdns(String),
}

impl FetchError {
    /// What to tell people.
    pub(super) fn reason(&self) -> &str {
        let (Self::NoChanges(reason)
        | Self::Unreached(reason)
        | Self::Refused(reason)
        | Self::Limit(_, reason)
        | Self::NoEdns(reason)) = self;
        reason
    }
}

/// Whether questions carry an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// They do, and ask for EXPIRE (RFC 7314 §4).
    Edns,
    /// They are as before EDNS.
    Plain,
}

/// One zone and how it is asked for.
pub(super) struct Client<'c> {
    /// The wall clock, in seconds since 1970.
    pub(super) unix_seconds: &'c (dyn Fn() -> u64 + Send + Sync),
    pub(super) apex: &'c Name,
    pub(super) key: Option<Arc<Key>>,
    pub(super) limits: InboundLimits,
    /// What the names of the zone may hold.
    pub(super) sizes: Sizes,
    pub(super) seed: u64,
}

impl Client<'_> {
    /// Fetches from the primary at that address what is newer than `old`: its changes, or with `kind` AXFR or nothing to
    /// change, the whole.
    pub(super) async fn fetch(
        &self,
        primary: SocketAddr,
        old: Option<&Arc<Zone>>,
        kind: TransferKind,
    ) -> Result<Fetched, FetchError> {
        match self.fetch_as(Form::Edns, primary, old, kind).await {
            Err(FetchError::NoEdns(_)) => self.fetch_as(Form::Plain, primary, old, kind).await,
            fetched => fetched,
        }
    }

    async fn fetch_as(
        &self,
        form: Form,
        primary: SocketAddr,
        old: Option<&Arc<Zone>>,
        kind: TransferKind,
    ) -> Result<Fetched, FetchError> {
        let unreached = |reason: String| FetchError::Unreached(reason);
        let connected = timeout(self.limits.wait_max, TcpStream::connect(primary)).await;
        let connected = connected.map_err(|_| unreached("connecting took too long".to_owned()))?;
        let mut stream = connected.map_err(|error| unreached(format!("connecting: {error}")))?;
        self.fetch_over(form, &mut stream, old, kind).await
    }

    /// As [`Self::fetch`], over a stream that is open, in one form.
    pub(super) async fn fetch_over(
        &self,
        form: Form,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        old: Option<&Arc<Zone>>,
        kind: TransferKind,
    ) -> Result<Fetched, FetchError> {
        if let Some(old) = old {
            let (serial, expire) = self.serial(form, stream).await?;
            if !is_newer(serial, old.soa().serial) {
                // What an older version than ours may be served for says nothing of ours.
                return Ok(Fetched::UpToDate { expire: expire.filter(|_| serial == old.soa().serial) });
            }
        }
        let transfer = timeout(self.limits.time_max, self.transfer(form, stream, old, kind));
        transfer.await.unwrap_or_else(|_| {
            let reason = format!("the transfer took longer than {:?} (`time_max`)", self.limits.time_max);
            Err(FetchError::Limit(Limit::TransferTime, reason))
        })
    }

    /// The serial the primary has, and for how long it may be served.
    async fn serial(
        &self,
        form: Form,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<(u32, Option<u32>), FetchError> {
        let mut asked = self.ask(form, stream, RecordType::SOA, None).await?;
        let message = self.receive(stream).await?;
        let (reply, _) = asked.check(&message, self)?;
        if reply.rcode != Rcode::NOERROR {
            return Err(FetchError::Unreached(format!("the primary answered {} to a query for the SOA", reply.rcode)));
        }
        let record = reply.answers.first().filter(|record| record.name == *self.apex);
        let serial = record.and_then(|record| serial_of(record.record_type, &record.rdata));
        let serial = serial.ok_or_else(|| FetchError::Refused("the primary has no SOA".to_owned()))?;
        Ok((serial, reply.expire))
    }

    async fn transfer(
        &self,
        form: Form,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        old: Option<&Arc<Zone>>,
        kind: TransferKind,
    ) -> Result<Fetched, FetchError> {
        let base = old.filter(|_| kind == TransferKind::Ixfr);
        let record_type = if base.is_some() { RecordType::IXFR } else { RecordType::AXFR };
        let mut asked = self.ask(form, stream, record_type, base).await?;
        let mut inbound = Inbound::new(self.apex, base.cloned(), self.limits, self.seed);
        inbound = inbound.within(self.sizes);
        let (mut expire, mut knows_edns) = (None, false);
        loop {
            let message = self.receive(stream).await?;
            let (reply, signature) = asked.check(&message, self)?;
            if reply.rcode != Rcode::NOERROR {
                let reason = format!("the primary answered {} to {record_type}", reply.rcode);
                return Err(match base {
                    Some(_) => FetchError::NoChanges(reason),
                    None => FetchError::Unreached(reason),
                });
            }
            (expire, knows_edns) = (expire.or(reply.expire), knows_edns || reply.has_opt);
            // RFC 5936 §2.2: a message without an answer could go on for ever.
            if reply.answers.is_empty() {
                let reason = "a message of the transfer has no records".to_owned();
                return Err(if base.is_some() { FetchError::NoChanges(reason) } else { FetchError::Refused(reason) });
            }
            match inbound.take(reply.answers).map_err(|fault| judge(&fault, base.is_some()))? {
                Progress::More => {}
                // RFC 8945 §5.3.1: the last message is signed, and with it all before.
                _ if signature == Signed::Later => {
                    return Err(FetchError::Refused("the end of the transfer is not signed".to_owned()));
                }
                Progress::UpToDate => return Ok(Fetched::UpToDate { expire }),
                Progress::Whole => break,
            }
        }
        let records = inbound.records();
        let zone = tokio::task::spawn_blocking(move || inbound.finish()).await;
        let zone = zone.map_err(|error| FetchError::Refused(error.to_string()))?;
        let zone = zone.map_err(|fault| judge(&fault, base.is_some()))?;
        if expire.is_none() && knows_edns {
            expire = self.expire(stream, zone.soa().serial).await;
        }
        Ok(Fetched::Zone { zone, records, expire })
    }

    /// For how long the version that came may be served, asked apart: BIND tells it with the SOA, not in transfers.
    async fn expire(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), version: u32) -> Option<u32> {
        let asked = timeout(EXPIRE_WAIT, self.serial(Form::Edns, stream)).await;
        let (serial, expire) = asked.ok()?.ok()?;
        expire.filter(|_| serial == version)
    }

    /// Sends a question.
    async fn ask(
        &self,
        form: Form,
        stream: &mut (impl AsyncWrite + Unpin),
        record_type: RecordType,
        base: Option<&Arc<Zone>>,
    ) -> Result<Asked, FetchError> {
        let unreached = |reason: String| FetchError::Unreached(reason);
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|error| unreached(error.to_string()))?;
        let id = u16::from_be_bytes(random);
        let ours = base.and_then(|zone| zone.soa_record());
        let ours = ours.as_ref().map(|soa| (soa.ttl, &*soa.rdata));
        let mut message = request(id, Opcode::QUERY, self.apex.as_wire(), record_type, ours);
        if form == Form::Edns {
            message = asking_expire(message);
        }
        let mut signer = self.key.clone().map(Signer::request);
        let message = signed(message, signer.as_mut(), (self.unix_seconds)());
        let message = message.ok_or_else(|| unreached("the question cannot be signed".to_owned()))?;
        let length = u16::try_from(message.len()).map_err(|error| unreached(error.to_string()))?;
        let framed = [&length.to_be_bytes()[..], &message].concat();
        let sent = timeout(self.limits.wait_max, stream.write_all(&framed)).await;
        let sent = sent.map_err(|_| unreached("sending took too long".to_owned()))?;
        sent.map_err(|error| unreached(format!("sending: {error}")))?;
        Ok(Asked { id, record_type, form, verifier: signer.map(Signer::into_verifier) })
    }

    /// The next message of the stream.
    async fn receive(&self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, FetchError> {
        let read = async {
            let length = stream.read_u16().await?;
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await?;
            Ok(message)
        };
        let wait = self.limits.wait_max;
        let silent = |_| FetchError::Unreached(format!("the primary sent nothing more for {wait:?} (`wait_max`)"));
        let read = timeout(wait, read).await.map_err(silent)?;
        read.map_err(|error: std::io::Error| {
            FetchError::Unreached(match error.kind() {
                ErrorKind::UnexpectedEof => "the primary closed the connection under way".to_owned(),
                _ => format!("receiving: {error}"),
            })
        })
    }
}

/// A question that waits for its answers.
struct Asked {
    id: u16,
    record_type: RecordType,
    form: Form,
    verifier: Option<Verifier>,
}

impl Asked {
    /// Holds a message against the question and its signature.
    fn check(&mut self, message: &[u8], client: &Client<'_>) -> Result<(Reply, Signed), FetchError> {
        let refused = |reason: &str| FetchError::Refused(reason.to_owned());
        let reply = Reply::read(message).ok_or_else(|| refused("the primary's message is malformed"))?;
        if !reply.is_to(self.id, Opcode::QUERY, client.apex, self.record_type) {
            return Err(refused("the primary's message answers another question"));
        }
        let signature = match &mut self.verifier {
            Some(verifier) => verifier.check(message, reply.tsig, (client.unix_seconds)()),
            None => Ok(Signed::Here),
        };
        let signature = signature.map_err(|error| FetchError::Refused(error.to_string()))?;
        // RFC 6891 §7: who does not know OPT answers FORMERR, and some NOTIMP, without one.
        if self.form == Form::Edns && !reply.has_opt && matches!(reply.rcode, Rcode::FORMERR | Rcode::NOTIMP) {
            return Err(FetchError::NoEdns(format!("the primary answered {} to {}", reply.rcode, self.record_type)));
        }
        Ok((reply, signature))
    }
}

/// Whether the whole zone may be had where its changes could not.
fn judge(fault: &Fault, is_change: bool) -> FetchError {
    match fault {
        Fault::TooLarge(limit, _) => FetchError::Limit(*limit, fault.to_string()),
        _ if is_change => FetchError::NoChanges(fault.to_string()),
        _ => FetchError::Refused(fault.to_string()),
    }
}
