//! A secondary zone through its life on a clock that only moves when nobody works.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::context::Context;
use super::keeper::Keeper;
use super::secondary::{NewZone, Secondary};
use super::states::InboundState;
use super::store::ZoneStore;
use super::testing::*;
use crate::answer::ZoneTransfer;
use crate::wire::Keys;
use crate::zone::{ViewName, Zone, load, master};

struct World {
    context: Context,
    store: ZoneStore,
    versions: mpsc::Receiver<NewZone>,
    bell: mpsc::Sender<Option<u32>>,
    listener: TcpListener,
    _folder: tempfile::TempDir,
}

impl World {
    /// The zone `example.` as a secondary; a version 4 that was kept `age` seconds ago, if any.
    fn new(age: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listener, address) = listener();
        let context = context(&[], ZoneTransfer::default(), Keys::default());
        let store = ZoneStore::new(folder.path());
        if let Some(age) = age {
            store.save(&ViewName::default(), &built(4), NOW - age, None).unwrap();
        }
        let (versions, received) = mpsc::channel(1);
        let (bell, rung) = mpsc::channel(1);
        let secondary = Secondary {
            context: context.clone(),
            store: store.clone(),
            keeper: Keeper::new(store.clone(), name("example.").into(), None),
            id: name("example.").into(),
            primary: primary(address),
            catalog: None,
            versions,
            bell: rung,
            quota: Arc::new(Semaphore::new(1)),
            seed: SEED,
        };
        tokio::spawn(secondary.run(None));
        Self { context, store, versions: received, bell, listener, _folder: folder }
    }

    /// The serial of the next version that is put to use; none when the last one is taken out of use.
    async fn next(&mut self) -> Option<u32> {
        let zone = self.versions.recv().await.unwrap().zone;
        zone.map(|zone| zone.soa().serial)
    }

    fn state(&self) -> InboundState {
        self.context.states.all()[&name("example.").into()].inbound.clone().unwrap()
    }

    /// Waits for what follows by itself.
    async fn wait_for(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            tokio::task::yield_now().await;
        }
    }
}

fn built(serial: u32) -> Zone {
    let text = format!("$TTL 60\n@ SOA ns.example.net. h.example.net. {serial} 100 10 1000 60\n@ NS ns.example.net.\n");
    let apex = name("example.");
    let settings = master::Settings { file: "zone", origin: &apex, default_ttl: None };
    load(text.as_bytes(), &settings, SEED, &mut master::no_include).unwrap().zone
}

#[tokio::test(start_paused = true)]
async fn rfc1035_4_3_5_a_zone_expires_without_its_primary_and_comes_back_with_it() {
    let mut world = World::new(None);
    serve(&world.listener, vec![says(zone(5))]).await.unwrap();
    assert_eq!(world.next().await, Some(5));
    let (start, looks) = (Instant::now(), |world: &World| {
        metric(&world.context, "fairlead_transfers_total{direction=\"in\",kind=\"ixfr\",result=\"failed\"}")
    });
    // Nobody answers: the kernel takes connections, and the clock goes to the next thing that is due.
    assert_eq!(world.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 1000, "the SOA's expire");
    let error = world.state().last_error.unwrap().1;
    assert!(error.contains("sent nothing more for 10s"), "{error}");
    // Refresh after 90 to 100 seconds; then each look waits 10 seconds for an answer, and 9 to 10 for the next.
    assert!((44..=50).contains(&looks(&world)), "{}", looks(&world));
    serve(&world.listener, vec![says(zone(5))]).await.unwrap();
    assert_eq!(world.next().await, Some(5), "it is served again");
    world.wait_for(|world| world.state().last_error.is_none() && world.state().expires.is_some()).await;
    assert!((NOW + 90..=NOW + 100).contains(&world.state().next_refresh.unwrap()));
    assert_eq!(world.state().expires, Some(NOW + 1000));
}

#[tokio::test(start_paused = true)]
async fn a_kept_version_is_served_until_it_expires_and_confirmed_by_its_serial() {
    let mut world = World::new(Some(900));
    assert_eq!(world.next().await, Some(4), "nobody was asked");
    let start = Instant::now();
    assert_eq!(world.next().await, None);
    assert_eq!(start.elapsed().as_secs(), 100, "it was confirmed 900 seconds before");
    let mut world = World::new(Some(900));
    assert_eq!(world.next().await, Some(4));
    serve(&world.listener, vec![says(vec![soa(4)])]).await.unwrap();
    let start = Instant::now();
    assert_eq!(world.next().await, Some(4), "the same version, which expires later");
    assert_eq!(world.next().await, None);
    assert!(start.elapsed().as_secs() >= 900, "it was confirmed meanwhile: {:?}", start.elapsed());
    let kept = world.store.load(&name("example.").into(), SEED).unwrap().unwrap();
    assert_eq!(kept.refreshed, NOW, "the clock of the tests stands");
    assert!(World::new(Some(1001)).versions.try_recv().is_err(), "an expired one is not served");
}

#[tokio::test(start_paused = true)]
async fn rfc7314_4_a_version_lives_no_longer_than_where_it_comes_from() {
    let mut world = World::new(None);
    let tells = |records: Vec<Vec<u8>>, seconds| -> Turn {
        Box::new(move |query, stream| send(stream, &[with_expire(reply(query, &records), seconds)]))
    };
    // Another secondary that has not reached its primary for 700 of the SOA's 1000 seconds.
    serve(&world.listener, vec![tells(zone(5), 300)]).await.unwrap();
    let zone = world.versions.recv().await.unwrap().zone.unwrap();
    assert_eq!(zone.expires_in(NOW), Some(300), "what clients are told");
    let start = Instant::now();
    // It is looked at after 90 to 100 seconds, and the other has not been either.
    serve(&world.listener, vec![tells(vec![soa(5)], 205)]).await.unwrap();
    assert_eq!(world.next().await, Some(5));
    let kept = || world.store.load(&name("example.").into(), SEED).unwrap().unwrap();
    world.wait_for(|_| kept().expires < NOW + 300).await;
    assert_eq!(world.next().await, None);
    let lived = start.elapsed().as_secs();
    assert!((300..=305).contains(&lived), "it expires with the other one, after {lived}");
    // The other has its primary again.
    serve(&world.listener, vec![tells(crate::transfer::testing::zone(5), 1000)]).await.unwrap();
    assert_eq!(world.next().await, Some(5));
    world.wait_for(|world| world.state().last_error.is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_breaks_a_rule_is_told_and_never_served() {
    let mut world = World::new(Some(1));
    assert_eq!(world.next().await, Some(4));
    let broken = || says(vec![soa(6), a("www.example."), soa(6)]);
    // The SOA, then changes that are a whole zone without an NS, then all of it.
    serve(&world.listener, vec![says(vec![soa(6)]), broken(), says(vec![soa(6)]), broken()]).await.unwrap();
    serve(&world.listener, vec![says(vec![soa(7)]), says(zone(7))]).await.unwrap();
    assert_eq!(world.next().await, Some(7), "4 was served until then");
    assert_eq!(metric(&world.context, "fairlead_transfers_total{direction=\"in\",kind=\"axfr\",result=\"failed\"}"), 1);
    let kept = |world: &World| world.store.load(&name("example.").into(), SEED).unwrap().unwrap().zone.soa().serial;
    world.wait_for(|world| kept(world) == 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_counted_and_shown() {
    let mut world = World::new(Some(1));
    assert_eq!(world.next().await, Some(4));
    let hosts = (0..60).map(|number| a(&format!("h{number}.example.")));
    let large: Vec<_> = [soa(6), ns()].into_iter().chain(hosts).chain([soa(6)]).collect();
    serve(&world.listener, vec![says(vec![soa(6)]), says(large)]).await.unwrap();
    world.wait_for(|world| world.state().last_error.is_some()).await;
    let error = world.state().last_error.unwrap().1;
    assert!(error.ends_with("the transfer has more than 50 records (`records_max`)"), "{error}");
    assert_eq!(metric(&world.context, "fairlead_limit_hits_total{limit=\"zone_records\"}"), 1);
    assert!(world.versions.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_notification_brings_the_new_version_at_once_and_one_of_the_old_nothing() {
    let mut world = World::new(Some(1));
    assert_eq!(world.next().await, Some(4));
    serve(&world.listener, vec![says(vec![soa(4)])]).await.unwrap();
    assert_eq!(world.next().await, Some(4), "confirmed");
    let start = Instant::now();
    let served = serve(&world.listener, vec![says(vec![soa(5)]), says(zone(5))]);
    world.bell.send(Some(4)).await.unwrap();
    world.bell.send(Some(5)).await.unwrap();
    served.await.unwrap();
    assert_eq!(world.next().await, Some(5));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
