//! A session over a stream that a test holds the other end of, on paused time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::credentials::CredentialFiles;
use super::error::LinkError;
use super::frame::{Decoder, encode};
use super::identity::{Identity, Role};
use super::outbound::Sequence;
use super::peer::{Local, Peer, VERSIONS};
use super::proto::{Body, Hello, Ping};
use super::report::{Host, Report, VirtualServerReport};
use super::session::{Ends, Surroundings, drive};
use super::states::PeerStates;
use super::trust::{self, Overwrite};
use crate::status::{Availability, Measurements, Verdict};

/// An agent's session with the DNS node that the test plays.
struct Agent {
    wire: DuplexStream,
    stop: oneshot::Sender<LinkError>,
    ended: JoinHandle<LinkError>,
    _reports: watch::Sender<Arc<Report>>,
}

fn agent(virtual_servers: usize, buffer: usize) -> Agent {
    let (clock, folder) = (Clock::start(), tempfile::tempdir().unwrap());
    let (authority, node) = (folder.path().join("authority"), folder.path().join("ny"));
    let now = clock.unix_millis() / 1_000;
    trust::init(&authority, "test", Overwrite::Never, now).unwrap();
    trust::issue(&authority, &node, (Role::Lb, "ny"), trust::CERTIFICATE_LIFE, now).unwrap();
    let credentials = CredentialFiles::new(&node, "ny".into(), Role::Lb, clock).current().unwrap();
    let surroundings = Surroundings { clock, states: PeerStates::default(), credentials };

    let verdict =
        Verdict { availability: Availability::Available, reason: "".into(), measurements: Measurements::default() };
    let virtual_server = |index: usize| VirtualServerReport {
        name: format!("vs{index}").into(),
        address: "192.0.2.1:80".parse().unwrap(),
        verdict: verdict.clone(),
    };
    let virtual_servers = (0..virtual_servers).map(virtual_server).collect();
    let report = Arc::new(Report { virtual_servers, host: Host::default() });
    let (reports, receiver) = watch::channel(Arc::clone(&report));
    let (interval, sequence) = (Duration::from_secs(5), Sequence::default());
    let local = Local { name: "ny".into(), boot_id: 7, interval, sequence, versions: VERSIONS };
    let remote = Identity::new("test", Role::Dns, "ns1").unwrap();
    let first = Peer::listen(local, remote, Some(report), clock.moment(), clock.unix_millis());
    let ((wire, far), (stop, stopped)) = (duplex(buffer), oneshot::channel());
    let ended = tokio::spawn(async move {
        let stop = async { stopped.await.unwrap_or(LinkError::Stopping) };
        drive(far, first, &mut Ends::Reports(receiver), &surroundings, stop).await.error
    });
    Agent { wire, stop, ended, _reports: reports }
}

fn hello() -> Vec<u8> {
    let (node, interval_millis) = ("ns1".to_owned(), 5_000);
    encode(Body::Hello(Hello { version_min: 1, version_max: 1, node, interval_millis, ..Hello::default() })).unwrap()
}

/// Everything said until the stream ends.
async fn hear(wire: &mut (impl AsyncReadExt + Unpin)) -> Vec<Body> {
    let (mut octets, mut decoder, mut bodies) = (Vec::new(), Decoder::new(), Vec::new());
    wire.read_to_end(&mut octets).await.unwrap();
    decoder.push(&octets);
    while let Some(frame) = decoder.take().unwrap() {
        bodies.extend(frame.body);
    }
    bodies
}

#[tokio::test(start_paused = true)]
async fn a_node_that_says_nothing_is_given_up() {
    let mut agent = agent(1, 65_536);
    let said = hear(&mut agent.wire).await;
    assert!(matches!(&*said, [Body::Hello(_), Body::Goodbye(_)]), "{said:?}");
    assert_eq!(agent.ended.await.unwrap().to_string(), "timed out: the peer said no hello within 5s");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_given_up_after_three_intervals() {
    let mut agent = agent(1, 65_536);
    let began = tokio::time::Instant::now();
    agent.wire.write_all(&hello()).await.unwrap();
    let said = hear(&mut agent.wire).await;
    assert_eq!(agent.ended.await.unwrap().to_string(), "the peer was silent for 15s");
    assert!((15..16).contains(&began.elapsed().as_secs()));
    let measures = said.iter().filter(|body| matches!(body, Body::Measures(_))).count();
    assert!(measures >= 2, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reads_nothing_is_given_up_though_it_speaks() {
    let agent = agent(4_000, 1_024);
    let (_unread, mut speak) = tokio::io::split(agent.wire);
    let began = tokio::time::Instant::now();
    speak.write_all(&hello()).await.unwrap();
    let pings = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let ping = encode(Body::Ping(Ping::default())).unwrap();
            if speak.write_all(&ping).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let error = tokio::select! {
        error = agent.ended => error.unwrap(),
        () = pings => unreachable!("pings go on for ever"),
    };
    assert_eq!(error.to_string(), "the peer read nothing for 10s");
    assert!((10..13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_an_end_from_this_side_is_the_last_word() {
    let mut agent = agent(1, 65_536);
    agent.wire.write_all(&hello()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    agent.stop.send(LinkError::Replaced("192.0.2.9:1".parse().unwrap())).unwrap();
    let said = hear(&mut agent.wire).await;
    let Some(Body::Goodbye(goodbye)) = said.last() else { panic!("{said:?}") };
    assert_eq!(goodbye.reason, "replaced by a newer session from 192.0.2.9:1");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_in_the_middle_of_a_frame_is_closed() {
    let mut agent = agent(1, 65_536);
    let octets = hello();
    agent.wire.write_all(&octets[..octets.len() - 3]).await.unwrap();
    agent.wire.shutdown().await.unwrap();
    assert_eq!(agent.ended.await.unwrap(), LinkError::Closed);
}
