//! The rules of one session, frame by frame.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::error::LinkError;
use super::frame::{ELEMENTS_MAX, FRAMES_BURST_MAX, PARTS_MAX};
use super::identity::{Identity, Role};
use super::inbound::{FrameRefusal, Progress};
use super::outbound::Sequence;
use super::peer::{Action, HELLO_TIMEOUT, Local, Peer, VERSIONS};
use super::proto::{Body, Change, Frame, Goodbye, Hello, Inventory, Measures, Ping, Pong, VirtualServer};
use super::report::Report;
use crate::status::{Availability, Fact, Moment};

const INTERVAL: Duration = Duration::from_secs(5);
const BOOT: u64 = 77;

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn local(name: &str) -> Local {
    let sequence = Sequence::default();
    Local { name: name.into(), boot_id: BOOT, interval: INTERVAL, sequence, versions: VERSIONS }
}

fn dialer(progress: Progress) -> Peer {
    Peer::dial(local("ns1"), Identity::new("test", Role::Lb, "ny").unwrap(), progress, at(0))
}

fn hello() -> Hello {
    let interval_millis = 5_000;
    Hello { version_min: 1, version_max: 1, node: "ny".into(), boot_id: BOOT, interval_millis, ..Hello::default() }
}

fn frame(body: Body) -> Frame {
    Frame { body: Some(body) }
}

fn listed(sequence: u64, names: &[&str]) -> Inventory {
    let server = |name: &&str| VirtualServer {
        name: (*name).to_owned(),
        address: vec![192, 0, 2, 1],
        port: 80,
        availability: 1,
        ..VirtualServer::default()
    };
    let virtual_servers = names.iter().map(server).collect();
    Inventory { boot_id: BOOT, sequence, server: "ny".into(), part: 0, parts: 1, virtual_servers, host: None }
}

/// A dialer that has heard `Hello` and a list of `www` with sequence 10.
fn established() -> Peer {
    let mut peer = dialer(Progress::default());
    peer.handle(frame(Body::Hello(hello())), at(0), 0);
    let actions = peer.handle(frame(Body::Inventory(listed(10, &["www"]))), at(0), 0);
    assert!(matches!(&*actions, [Action::Deliver(Fact::Inventory { .. }), Action::Deliver(Fact::Verdict { .. })]));
    peer
}

fn closed(actions: &[Action]) -> Option<&LinkError> {
    actions.iter().find_map(|action| if let Action::Close(error) = action { Some(error) } else { None })
}

#[test]
fn the_listener_speaks_first_and_lists_all_after_the_dialers_hello() {
    let remote = Identity::new("test", Role::Dns, "ns1").unwrap();
    let (mut peer, first) = Peer::listen(local("ny"), remote, Some(Arc::new(Report::default())), at(0), 0);
    assert!(matches!(&*first, [Action::Send(Body::Hello(_))]));
    let answer = peer.handle(frame(Body::Hello(Hello { node: "ns1".into(), ..hello() })), at(9), 0);
    let sent = answer.iter().filter(|action| matches!(action, Action::Send(Body::Inventory(_)))).count();
    assert_eq!(sent, 1);
    assert!(peer.is_up());
    let report = peer.handle(frame(Body::Inventory(listed(1, &[]))), at(10), 0);
    assert!(matches!(closed(&report), Some(LinkError::Violation(_))));
}

#[test]
fn neighbouring_versions_settle_on_the_newest_both_speak() {
    let check = |ours: (u32, u32), theirs: (u32, u32), expected: Option<u32>| {
        let remote = Identity::new("test", Role::Lb, "ny").unwrap();
        let local = Local { versions: ours, ..local("ns1") };
        let mut peer = Peer::dial(local, remote, Progress::default(), at(0));
        let hello = Hello { version_min: theirs.0, version_max: theirs.1, ..hello() };
        let actions = peer.handle(frame(Body::Hello(hello)), at(0), 0);
        let version = actions.iter().find_map(|action| match action {
            Action::Established(established) => Some(established.version),
            _ => None,
        });
        assert_eq!(version, expected);
        let mismatch = closed(&actions) == Some(&LinkError::ProtocolVersion { ours, theirs });
        assert_eq!(mismatch, expected.is_none());
        assert!(matches!(actions.first(), Some(Action::Send(Body::Hello(_)))), "the other side can name it too");
    };
    check((1, 1), (1, 1), Some(1));
    check((1, 1), (1, 2), Some(1));
    check((1, 2), (2, 3), Some(2));
    check((1, 1), (2, 2), None);
    check((3, 4), (1, 2), None);
    check((1, 1), (0, 0), None);
}

#[test]
fn reports_that_are_not_newer_or_not_its_own_are_refused_and_the_session_goes_on() {
    let change = |boot_id, sequence, server: &str| {
        let www = VirtualServer { name: "www".into(), availability: 3, ..VirtualServer::default() };
        frame(Body::Change(Change { boot_id, sequence, server: server.into(), virtual_servers: vec![www] }))
    };
    let check = |frame: Frame, refusal: FrameRefusal| {
        let mut peer = established();
        assert_eq!(peer.handle(frame, at(1), 0), [Action::Refused(refusal)]);
        assert!(peer.is_up());
    };
    check(change(BOOT, 10, "ny"), FrameRefusal::OldSequence);
    check(change(BOOT, 9, "ny"), FrameRefusal::OldSequence);
    check(change(BOOT + 1, 11, "ny"), FrameRefusal::OtherBoot);
    check(change(BOOT, 11, "london"), FrameRefusal::OtherServer);
    check(Frame { body: None }, FrameRefusal::UnknownKind);
    let stranger = VirtualServer { name: "new".into(), ..VirtualServer::default() };
    let unlisted = Change { boot_id: BOOT, sequence: 11, server: "ny".into(), virtual_servers: vec![stranger] };
    check(frame(Body::Change(unlisted)), FrameRefusal::BadEntry);
    let taken = established().handle(change(BOOT, 11, "ny"), at(1), 0);
    let [Action::Deliver(Fact::Verdict { verdict, .. })] = &*taken else { panic!("{taken:?}") };
    assert_eq!(verdict.availability, Availability::Offline);
}

#[test]
fn a_replay_in_a_later_session_is_refused_and_an_old_process_cannot_return() {
    let progress = established().progress().cloned().unwrap();
    let mut again = dialer(progress);
    again.handle(frame(Body::Hello(hello())), at(0), 0);
    let replayed = again.handle(frame(Body::Inventory(listed(10, &["www"]))), at(0), 0);
    assert_eq!(replayed, [Action::Refused(FrameRefusal::OldSequence)]);

    let mut newer = dialer(again.progress().cloned().unwrap());
    newer.handle(frame(Body::Hello(Hello { boot_id: 78, ..hello() })), at(0), 0);
    let restarted = Inventory { boot_id: 78, ..listed(1, &["www"]) };
    assert_eq!(newer.handle(frame(Body::Inventory(restarted)), at(0), 0).len(), 2);

    let mut old = dialer(newer.progress().cloned().unwrap());
    let refused = old.handle(frame(Body::Hello(hello())), at(0), 0);
    assert_eq!(closed(&refused), Some(&LinkError::OldBoot(BOOT)));
}

#[test]
fn what_breaks_the_protocol_ends_the_session() {
    let www = |sequence, part, parts| Inventory { part, parts, ..listed(sequence, &["www"]) };
    let check = |bodies: Vec<Body>, expected: &str| {
        let mut peer = established();
        let last = bodies.into_iter().map(|body| peer.handle(frame(body), at(1), 0)).last().unwrap();
        assert_eq!(closed(&last).map(ToString::to_string).as_deref(), Some(expected));
        assert!(peer.handle(frame(Body::Ping(Ping::default())), at(2), 0).is_empty(), "closed is closed");
    };
    check(vec![Body::Hello(hello())], "the peer broke the protocol: a second hello");
    let first = Body::Inventory(www(11, 0, 2));
    let measures = Measures { boot_id: BOOT, sequence: 12, server: "ny".into(), ..Measures::default() };
    let between = "the peer broke the protocol: another report came between the parts of a list";
    check(vec![first.clone(), Body::Measures(measures)], between);
    let order = "the peer broke the protocol: the parts of a list do not follow each other";
    check(vec![first.clone(), Body::Inventory(www(12, 0, 2))], order);
    check(vec![first, Body::Inventory(www(12, 1, 3))], order);
    let start = "the peer broke the protocol: a list does not begin with its first part";
    check(vec![Body::Inventory(www(11, 1, 2))], start);
    let parts = "the peer broke the protocol: a list has no parts or too many";
    check(vec![Body::Inventory(www(11, 0, 0))], parts);
    check(vec![Body::Inventory(www(11, 0, u32::MAX))], parts);
    check(vec![Body::Goodbye(Goodbye { reason: "bye\u{7}".into() })], "the peer ended the session: bye\u{fffd}");
}

#[test]
fn lists_in_parts_count_when_the_last_part_is_there() {
    let mut peer = established();
    let first = Inventory { parts: 2, ..listed(11, &["a", "b"]) };
    assert_eq!(peer.handle(frame(Body::Inventory(first)), at(1), 0), []);
    let second = Inventory { part: 1, parts: 2, ..listed(12, &["c", "a", ""]) };
    let actions = peer.handle(frame(Body::Inventory(second)), at(1), 0);
    let Some(Action::Deliver(Fact::Inventory { virtual_servers, .. })) = actions.first() else { panic!("{actions:?}") };
    assert_eq!(virtual_servers.iter().map(|found| &*found.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let refused = actions.iter().filter(|action| **action == Action::Refused(FrameRefusal::BadEntry)).count();
    assert_eq!((actions.len(), refused), (6, 2));
}

#[test]
fn what_is_held_of_an_agent_is_bounded() {
    let mut peer = established();
    let names: Vec<String> = (0..ELEMENTS_MAX).map(|index| format!("vs{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let part = |part: u32| Inventory { part, parts: PARTS_MAX, ..listed(11 + u64::from(part), &names) };
    for index in 0..4 {
        assert_eq!(peer.handle(frame(Body::Inventory(part(index))), at(1), 0), []);
    }
    let fifth = peer.handle(frame(Body::Inventory(part(4))), at(1), 0);
    assert_eq!(closed(&fifth), Some(&LinkError::TooManyVirtualServers));
    // Processes that were replaced are remembered, and not for ever.
    let mut progress = Progress::default();
    for boot_id in 0..1_000 {
        let mut peer = dialer(progress);
        peer.handle(frame(Body::Hello(Hello { boot_id, ..hello() })), at(0), 0);
        progress = peer.progress().cloned().unwrap();
    }
    assert!(format!("{progress:?}").len() < 300, "{progress:?}");
}

#[test]
fn silence_and_late_greetings_end_sessions_and_heartbeats_keep_them() {
    let mut greeting = dialer(Progress::default());
    assert_eq!(greeting.next_poll(), at(5_000));
    assert!(greeting.poll(at(4_999), 0).is_empty());
    assert_eq!(closed(&greeting.poll(at(5_000), 0)), Some(&LinkError::HelloTimeout(HELLO_TIMEOUT)));

    let mut silent = established();
    assert!(matches!(&*silent.poll(at(0), 0), [Action::Send(Body::Ping(_))]));
    assert!(closed(&silent.poll(at(14_999), 0)).is_none());
    silent.handle(frame(Body::Pong(Pong::default())), at(14_999), 0);
    assert!(closed(&silent.poll(at(29_998), 0)).is_none());
    assert_eq!(closed(&silent.poll(at(29_999), 0)), Some(&LinkError::Silence(INTERVAL * 3)));
}

#[test]
fn a_flood_ends_the_session_and_the_allowed_rate_does_not() {
    let mut peer = established();
    let mut flood = (0..FRAMES_BURST_MAX).map(|_| peer.handle(frame(Body::Ping(Ping::default())), at(0), 0));
    assert!(flood.any(|actions| closed(&actions) == Some(&LinkError::TooManyFrames)));
    let mut steady = established();
    for count in 0..2_000 {
        let answer = steady.handle(frame(Body::Ping(Ping::default())), at(count * 10), 0);
        assert!(closed(&answer).is_none());
    }
}

#[test]
fn clock_difference_is_measured_and_changes_nothing() {
    let ten_years = 315_576_000_000;
    let mut peer = established();
    let Some(Action::Send(Body::Ping(ping))) = peer.poll(at(100), 5_000).pop() else { panic!("no ping") };
    let pong = Pong { id: ping.id, unix_millis: 5_020 + ten_years };
    let Some(Action::ClockDifference(difference)) = peer.handle(frame(Body::Pong(pong)), at(140), 5_040).pop() else {
        panic!("no difference");
    };
    assert_eq!((difference.ahead_millis, difference.round_trip), (ten_years, Duration::from_millis(40)));
    assert!(peer.is_up());
    let wild = Pong { id: ping.id, unix_millis: i64::MIN };
    assert!(closed(&peer.handle(frame(Body::Pong(wild)), at(150), i64::MAX)).is_none());
}

fn any_body() -> impl Strategy<Value = Body> {
    let name = prop_oneof![Just("www".to_owned()), Just(String::new()), ".{0,8}"];
    let found = (name, proptest::collection::vec(any::<u8>(), 0..18), any::<u32>(), any::<i32>()).prop_map(
        |(name, address, port, availability)| VirtualServer {
            name,
            address,
            port,
            availability,
            reason: String::new(),
            measurements: None,
        },
    );
    let head = || (prop_oneof![Just(BOOT), any::<u64>()], prop_oneof![0_u64..40, any::<u64>()]);
    let list = proptest::collection::vec(found, 0..4);
    prop_oneof![
        (head(), 0_u32..3, 0_u32..4, list.clone()).prop_map(|((boot_id, sequence), part, parts, virtual_servers)| {
            Body::Inventory(Inventory { part, parts, virtual_servers, boot_id, ..listed(sequence, &[]) })
        }),
        (head(), list).prop_map(|((boot_id, sequence), virtual_servers)| {
            Body::Change(Change { boot_id, sequence, server: "ny".into(), virtual_servers })
        }),
        any::<(u64, i64)>().prop_map(|(id, unix_millis)| Body::Pong(Pong { id, unix_millis })),
        any::<(u32, u32, u64, i64, u32)>().prop_map(
            |(version_min, version_max, boot_id, unix_millis, interval_millis)| {
                Body::Hello(Hello { version_min, version_max, boot_id, unix_millis, interval_millis, ..hello() })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn any_frames_at_any_time_never_panic(
        bodies in proptest::collection::vec((any_body(), any::<u64>(), any::<i64>()), 0..40),
        greeted: bool,
    ) {
        let remote = Identity::new("test", Role::Dns, "ny").unwrap();
        let (mut agent, _) = Peer::listen(local("lb"), remote, Some(Arc::default()), at(0), 0);
        let mut peer = if greeted { established() } else { dialer(Progress::default()) };
        for (body, millis, unix_millis) in bodies {
            agent.handle(frame(body.clone()), at(millis), unix_millis);
            agent.report(Arc::default(), agent.next_poll(), unix_millis);
            peer.handle(frame(body), at(millis), unix_millis);
            peer.poll(peer.next_poll(), unix_millis);
        }
    }
}
