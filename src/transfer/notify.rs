//! Telling secondaries that a zone changed (RFC 1996), again until they answer, then looking which version they have.
//! Of changes that follow each other closely the last one is told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::context::Context;
use super::message::{request, signed};
use super::reply::Reply;
use super::requests::serial_of;
use crate::answer::{Peer, Snapshot};
use crate::metrics::NotifyResult;
use crate::wire::tsig::{Signed, Signer};
use crate::wire::{Opcode, Rcode, RecordType};
use crate::zone::{Record, ZoneId};

/// How often one change is told, at most (RFC 1996 §3.6).
const TRIES_MAX: u32 = 7;
/// How long an answer is waited for the first time; twice as long each time after.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Between two changes that one secondary is told of, at least; a change that comes sooner waits, and gives way to the next.
const APART: Duration = Duration::from_secs(1);
/// How often the version of a secondary that was told is looked at, at most.
const LOOKS_MAX: u32 = 6;

/// Who was told what.
pub(super) struct Notifier {
    context: Context,
    /// By zone and secondary.
    told: HashMap<(ZoneId, Peer), Told>,
}

/// What one secondary is told of one zone.
struct Told {
    serial: u32,
    /// When the telling begins, or began.
    since: Instant,
    task: AbortHandle,
}

impl Notifier {
    pub(super) fn new(context: Context) -> Self {
        Self { context, told: HashMap::new() }
    }

    /// Tells the secondaries of every zone whose serial they were not told yet: at once, or once [`APART`] is over since
    /// the change before. A newer serial ends the telling of the last. After a start all are told: they may have missed
    /// a change.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        let (now, mut wanted) = (Instant::now(), HashMap::new());
        for (id, policy) in snapshot.transfers().iter().filter(|(_, policy)| !policy.notify.is_empty()) {
            let Some(soa) = snapshot.zone(id).and_then(|zone| zone.soa_record()) else { continue };
            let Some(serial) = serial_of(soa.record_type, &soa.rdata) else { continue };
            for peer in &policy.notify {
                let entry = (id.clone(), peer.clone());
                let told = match self.told.remove(&entry) {
                    Some(told) if told.serial == serial => told,
                    before => {
                        let since = before.map_or(now, |before| before.end(now));
                        let telling = Telling {
                            context: self.context.clone(),
                            id: id.clone(),
                            soa: soa.clone(),
                            serial,
                            address: peer.address,
                            signer: peer
                                .key
                                .as_ref()
                                .and_then(|key| snapshot.keys().get(key))
                                .cloned()
                                .map(Signer::request),
                        };
                        let task = tokio::spawn(async move {
                            sleep_until(since).await;
                            telling.run().await;
                        });
                        Told { serial, since, task: task.abort_handle() }
                    }
                };
                wanted.insert(entry, told);
            }
        }
        // What is left is configured no more.
        self.told.drain().for_each(|(_, told)| told.task.abort());
        self.told = wanted;
    }
}

impl Told {
    /// Ends the telling; when the next may begin. What waits still is replaced by it and does not put it off.
    fn end(self, now: Instant) -> Instant {
        self.task.abort();
        if self.since >= now { self.since } else { now.max(self.since + APART) }
    }
}

/// Tells one secondary of one version.
struct Telling {
    context: Context,
    id: ZoneId,
    soa: Record,
    serial: u32,
    address: SocketAddr,
    signer: Option<Signer>,
}

impl Telling {
    async fn run(self) {
        let (zone, serial, secondary) = (&self.id, self.serial, self.address);
        let mut wait = FIRST_WAIT;
        for attempt in 1..=TRIES_MAX {
            // RFC 1996 §3.6: also where the answer is that nobody listens there, the next try waits.
            let next = Instant::now() + wait;
            match self.ask(Opcode::NOTIFY, wait).await {
                Ok(reply) if reply.rcode == Rcode::NOERROR => {
                    self.context.metrics.notified(NotifyResult::Acknowledged);
                    info!(%zone, serial, %secondary, attempt, "told a secondary of a change");
                    return self.look().await;
                }
                Ok(reply) => {
                    self.context.metrics.notified(NotifyResult::Refused);
                    warn!(%zone, serial, %secondary, rcode = %reply.rcode, "a secondary refused a notification");
                }
                Err(reason) => {
                    self.context.metrics.notified(NotifyResult::Unanswered);
                    if attempt == TRIES_MAX {
                        warn!(%zone, serial, %secondary, %reason, "a secondary could not be told of a change");
                    }
                }
            }
            wait *= 2;
            sleep_until(next).await;
        }
    }

    /// Looks until the secondary has the version.
    async fn look(&self) {
        let mut wait = FIRST_WAIT;
        for _ in 0..LOOKS_MAX {
            sleep(wait).await;
            wait *= 2;
            if let Ok(Some(seen)) = self.ask(Opcode::QUERY, FIRST_WAIT).await.map(|reply| serial(&reply)) {
                self.context.saw(&self.id, self.address.ip(), seen);
                if seen == self.serial {
                    return;
                }
            }
        }
        let (zone, serial, secondary) = (&self.id, self.serial, self.address);
        warn!(%zone, serial, %secondary, "a secondary was told of a change and does not have it yet");
    }

    /// One question to the secondary and its answer.
    async fn ask(&self, opcode: Opcode, wait: Duration) -> Result<Reply, String> {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let id = u16::from_be_bytes(random);
        let told = (opcode == Opcode::NOTIFY).then_some((self.soa.ttl, &*self.soa.rdata));
        let message = request(id, opcode, self.soa.name.as_wire(), RecordType::SOA, told);
        let mut signer = self.signer.clone();
        let message = signed(message, signer.as_mut(), self.context.now()).ok_or("the question cannot be signed")?;
        let verifier = signer.map(Signer::into_verifier);
        let any: IpAddr =
            if self.address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let exchange = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(self.address).await?;
            socket.send(&message).await?;
            let mut octets = vec![0; 4096];
            loop {
                let length = socket.recv(&mut octets).await?;
                let reply = octets.get(..length).unwrap_or_default();
                if reply.first_chunk::<2>() == Some(&random) {
                    return Ok(reply.to_vec());
                }
            }
        };
        let reply = timeout(wait, exchange).await.map_err(|_| "no answer".to_owned())?;
        let message = reply.map_err(|error: std::io::Error| error.to_string())?;
        let reply = Reply::read(&message).ok_or("the answer is malformed")?;
        if !reply.is_to(id, opcode, &self.soa.name, RecordType::SOA) {
            return Err("the answer is to another question".into());
        }
        if let Some(mut verifier) = verifier
            && verifier.check(&message, reply.tsig, self.context.now()).map_err(|error| error.to_string())?
                != Signed::Here
        {
            return Err("the answer is not signed".into());
        }
        Ok(reply)
    }
}

/// The serial of the SOA that a secondary answered with.
fn serial(reply: &Reply) -> Option<u32> {
    let record = reply.answers.first()?;
    serial_of(record.record_type, &record.rdata)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::answer::{Peer, ZoneTransfer};
    use crate::transfer::testing::*;
    use crate::wire::Keys;
    use crate::zone::{Zone, ZoneMap, load, master};

    fn version(serial: u32) -> Arc<Zone> {
        let text = format!("$TTL 60\n@ SOA ns.example.net. h.example.net. {serial} 1 2 3 4\n@ NS ns.example.net.\n");
        let apex = name("example.");
        let settings = master::Settings { file: "zone", origin: &apex, default_ttl: None };
        Arc::new(load(text.as_bytes(), &settings, SEED, &mut master::no_include).unwrap().zone)
    }

    /// A world that serves version 7 and tells the secondary there.
    fn world(secondary: SocketAddr) -> (Context, Notifier) {
        let policy = ZoneTransfer { notify: vec![Peer { address: secondary, key: None }], ..ZoneTransfer::default() };
        let context = context(&[version(7)], policy, Keys::default());
        (context.clone(), Notifier::new(context))
    }

    fn counted(context: &Context, result: &str) -> u64 {
        metric(context, &format!("fairlead_notifies_total{{direction=\"out\",result=\"{result}\"}}"))
    }

    async fn wait_for(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rfc1996_3_6_a_secondary_that_does_not_answer_is_told_again_and_less_and_less_often() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for secondary in [silent.local_addr().unwrap(), closed] {
            let (context, mut notifier) = world(secondary);
            let start = Instant::now();
            notifier.follow(&context.snapshot.load());
            for (tries, seconds) in [(1, 1), (2, 3), (3, 7), (7, 127)] {
                wait_for(|| counted(&context, "unanswered") >= tries).await;
                let last = if secondary == closed { seconds / 2 } else { seconds };
                assert_eq!(start.elapsed().as_secs(), last, "{tries} tries of {secondary}");
            }
            tokio::time::sleep(Duration::from_secs(10_000)).await;
            assert_eq!(counted(&context, "unanswered"), u64::from(TRIES_MAX));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_follow_each_other_closely_are_told_once_a_second() {
        let secondary = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        secondary.set_nonblocking(true).unwrap();
        let (context, mut notifier) = world(secondary.local_addr().unwrap());
        let (start, mut told, mut octets) = (Instant::now(), Vec::new(), [0; 512]);
        // Some eight changes a second for five seconds, and then none.
        for step in 0..80_u32 {
            if step < 40 {
                let snapshot = context.snapshot.load_full();
                let zones = [ZoneMap::build([version(100 + step)], SEED)];
                notifier.follow(&Snapshot::clone(&snapshot).with_zones(zones));
            }
            tokio::time::sleep(Duration::from_millis(130)).await;
            while let Ok((length, _)) = secondary.recv_from(&mut octets) {
                let numbers = octets[..length].last_chunk::<20>().unwrap();
                let serial = u32::from_be_bytes(*numbers.first_chunk().unwrap());
                told.push((start.elapsed().as_millis(), serial));
            }
        }
        assert_eq!(told[0], (130, 100), "the first one at once");
        let others: Vec<_> = told.iter().filter(|(_, serial)| *serial != 139).collect();
        assert_eq!(others.len(), 6, "{told:?}");
        // They are looked at every 130 ms.
        assert!(told.windows(2).all(|two| two[1].0 - two[0].0 >= 1000 - 130), "{told:?}");
        assert!(told.iter().any(|(at, serial)| *serial == 139 && *at < 6500), "the last one is told: {told:?}");
    }

    #[tokio::test]
    async fn what_a_secondary_has_is_kept_and_another_source_is_not_believed() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (context, mut notifier) = world(secondary.local_addr().unwrap());
        notifier.follow(&context.snapshot.load());
        let mut octets = [0; 512];
        let mut codes = vec![5, 0, 0].into_iter();
        for serial in [7, 7, 6] {
            let (length, from) = secondary.recv_from(&mut octets).await.unwrap();
            let query = octets[..length].to_vec();
            let mut answer = reply(&query, &[soa(serial)]);
            answer[2] |= query[2] & 0x78;
            answer[3] |= codes.next().unwrap();
            // The same from elsewhere: nobody listens to it.
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            stranger.send_to(&reply(&query, &[soa(99)]), from).await.unwrap();
            secondary.send_to(&answer, from).await.unwrap();
        }
        let seen = || {
            let state = context.states.all().get(&name("example.").into()).cloned().unwrap_or_default();
            state.secondaries.values().next().map(|seen| seen.serial)
        };
        wait_for(|| seen().is_some()).await;
        assert_eq!(seen(), Some(6), "told of 7, it has 6 still");
        assert_eq!((counted(&context, "refused"), counted(&context, "acknowledged")), (1, 1));
        notifier.follow(&context.snapshot.load());
        assert_eq!(counted(&context, "acknowledged"), 1, "the same version is told once");
    }
}
