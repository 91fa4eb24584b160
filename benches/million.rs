//! A zone of a million records: `cargo bench --bench million -- [start|reload|change] [--records N] [--rounds N]`.
//!
//! - `start`: from the start of Fairlead, NSD, Knot and BIND, as far as they are installed, to the first right answer,
//!   with the same master file; Fairlead also with the zone in YAML.
//! - `reload`: the latency of answers while nothing happens, and while Fairlead reads the zone again.
//! - `change`: one record changed in the zone, alone and beside 100,000 others, up to the snapshot that shows it.
//!
//! The threads that load give way to those that answer, which real-time priority would undo: run it as
//! `nice -n -15 target/release/deps/million-* --bench`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairlead::answer::Snapshot;
use fairlead::wire::{Name, NameKey, RecordType};
use fairlead::zone::{Difference, Sizes, Zone, ZoneBuilder, ZoneMap, check, load, master};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::peers::{FAIRLEAD, PEERS, Peer, Server};
use support::{data, generator, hosting, node, table};

/// Queries outstanding during a reload: few enough that what is measured is the server's time and not its queue.
const WINDOW: usize = 32;
/// Between two windows, so that neither core is busy without end.
const PAUSE: Duration = Duration::from_micros(500);
/// How long the load runs before and behind the signal to reload, and as long without one.
const LOAD: Duration = Duration::from_secs(8);
/// Zones beside the one that changes.
const OTHERS: usize = 100_000;

fn main() {
    support::hickory::serve_if_asked();
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let number = |option: &str| {
        let at = arguments.iter().position(|argument| argument == option)?;
        arguments.get(at + 1)?.parse::<usize>().ok()
    };
    let records = number("--records").unwrap_or(1_000_000);
    let rounds = number("--rounds").unwrap_or(3);
    let wanted = |part: &str| {
        let named = |name: &&str| arguments.iter().any(|argument| argument == name);
        named(&part) || !["start", "reload", "change"].iter().any(named)
    };
    println!("{}; {records} records, {rounds} rounds", table::machine());
    let folder = tempfile::tempdir().unwrap();
    if wanted("start") {
        start(records, rounds, folder.path());
    }
    if wanted("reload") {
        reload(records, rounds, folder.path());
    }
    if wanted("change") {
        change(records);
    }
}

const MASTER: Peer = Peer { name: "Fairlead", program: FAIRLEAD, prepare: fairlead };
const YAML: Peer = Peer { name: "Fairlead, YAML", program: FAIRLEAD, prepare: fairlead_yaml };

fn start(records: usize, rounds: usize, folder: &Path) {
    let text = hosting::master_file(records);
    let yaml = hosting::yaml(&text);
    let probe = probe(records);
    let peers = PEERS.iter().filter(|peer| ["NSD", "Knot", "BIND"].contains(&peer.name));
    for peer in [&MASTER, &YAML].into_iter().chain(peers) {
        let text = if peer.name == YAML.name { &yaml } else { &text };
        let mut best: Option<(Duration, String)> = None;
        for _ in 0..rounds {
            let Some(server) = Server::start(peer, folder, text, 0, &probe) else { break };
            let times = server.times();
            let line = format!(
                "first answer after {:.3} s, {:.2} s of processor, {} MiB resident, {} MiB at most",
                server.answered_after.as_secs_f64(),
                (times.user + times.system).as_secs_f64(),
                server.resident() >> 20,
                server.peak() >> 20,
            );
            if best.as_ref().is_none_or(|(fastest, _)| server.answered_after < *fastest) {
                best = Some((server.answered_after, line));
            }
        }
        if let Some((_, line)) = best {
            println!("{}: {line}", peer.name);
        }
    }
}

fn probe(records: usize) -> Vec<u8> {
    let host = (records - 1) / 20 * 20;
    generator::query(0, &format!("host-{host}.{}", data::ZONE), RecordType::A)
}

fn reload(records: usize, rounds: usize, folder: &Path) {
    let text = hosting::master_file(records);
    let server = Server::start(&MASTER, folder, &text, 0, &probe(records)).unwrap();
    let queries = generator::Queries::new(hosting::questions(data::ZONE, records));
    let file = folder.join(MASTER.name).join("bench.zone");
    let run = |what: &str| {
        let load = generator::run_paced(server.address, &queries, WINDOW, PAUSE, LOAD);
        let at = |share| load.percentile(share);
        println!(
            "{what}: {:.0} answers/s, {} lost, p50 {} us, p99 {} us, p99.9 {} us, p99.99 {} us",
            load.rate(),
            load.lost,
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.9999)
        );
    };
    for round in 1..=rounds {
        run("quiet");
        let serial = u32::try_from(round + 1).unwrap();
        fs::write(&file, text.replacen("hostmaster 1 ", &format!("hostmaster {serial} "), 1)).unwrap();
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap());
        std::thread::scope(|scope| {
            let reloading = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                kill(pid, Signal::SIGHUP).unwrap();
                seconds_until_serial(server.address, serial)
            });
            run("reload");
            println!("  in use after {:.2} s", reloading.join().unwrap());
        });
    }
    println!("  {} MiB resident, {} MiB at most", server.resident() >> 20, server.peak() >> 20);
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn seconds_until_serial(server: SocketAddr, serial: u32) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let started = Instant::now();
    let mut answer = [0; 1500];
    while started.elapsed() < Duration::from_secs(60) {
        socket.send(&generator::query(7, data::ZONE, RecordType::SOA)).unwrap();
        if let Ok(length) = socket.recv(&mut answer)
            && answer[..length].windows(4).any(|octets| octets == serial.to_be_bytes())
        {
            return started.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    f64::INFINITY
}

/// One record changed, as an update or an incremental transfer does it.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn change(records: usize) {
    let apex: Name = data::ZONE.parse().unwrap();
    let settings = master::Settings { file: "bench.zone", origin: &apex, default_ttl: None };
    let text = hosting::master_file(records);
    let zone = load(text.as_bytes(), &settings, node::SEED, &mut master::no_include).unwrap().zone;
    drop(text);
    let empty = |at: usize| ZoneBuilder::new(&format!("z{at}.example.").parse().unwrap(), node::SEED).finish();
    for others in [0, OTHERS] {
        let mut current = Arc::new(zone.clone());
        let zones = (0..others).map(|at| Arc::new(empty(at))).chain([Arc::clone(&current)]);
        let mut map = ZoneMap::build(zones, node::SEED);
        let mut snapshot: Arc<Snapshot> = Arc::new(node::snapshot(zone.clone()).with_zones([map.clone()]));
        let mut steps: [Vec<Duration>; 4] = Default::default();
        for turn in 0..1000_u32 {
            let owner: Name = format!("host-{}.{apex}", 20 + turn % 1000 * 20).parse().unwrap();
            let started = Instant::now();
            let mut builder = ZoneBuilder::from(&*current);
            builder.put(&owner, RecordType::A, 60, &[&turn.to_be_bytes()]).unwrap();
            let new = Arc::new(builder.finish());
            let built = started.elapsed();
            assert!(check::check_change(&current, &new, &Sizes::DEFAULT).is_empty());
            let checked = started.elapsed();
            map.put(Arc::clone(&new));
            snapshot = Arc::new(Snapshot::clone(&snapshot).with_zones([map.clone()]));
            let published = started.elapsed();
            let difference = Difference::between(&current, &new);
            let compared = started.elapsed();
            assert_eq!((difference.removed.len(), difference.added.len()), (1, 1));
            let key = NameKey::new(&owner, node::SEED);
            let seen = snapshot.first_view().enclosing(&key).unwrap().rrset(&key, RecordType::A).unwrap();
            assert_eq!(seen.first(), turn.to_be_bytes());
            for (step, took) in
                steps.iter_mut().zip([built, checked - built, published - checked, compared - published])
            {
                step.push(took);
            }
            current = new;
        }
        let shown = steps.map(|mut took| {
            took.sort();
            format!("{} us (p99 {})", took[took.len() / 2].as_micros(), took[took.len() * 99 / 100].as_micros())
        });
        let [build, check, publish, compare] = shown;
        println!(
            "one record changed beside {others} zones: change {build}, check {check}, snapshot {publish}, difference {compare}"
        );
        println!("  {} of {} KiB copied", copied(&zone, &current) >> 10, zone.memory() >> 10);
    }
}

/// Octets of a version made from another by the last change alone: those of one shard in the mean.
fn copied(zone: &Zone, current: &Zone) -> usize {
    let mut builder = ZoneBuilder::from(current);
    builder.put(&format!("host-40.{}", zone.apex()).parse().unwrap(), RecordType::A, 61, &[&[1; 4]]).unwrap();
    builder.finish().memory_beside(current)
}

fn fairlead(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    configuration(folder, address, "bench.zone")
}

fn fairlead_yaml(folder: &Path, address: SocketAddr, _: u16) -> Vec<String> {
    fs::rename(folder.join("bench.zone"), folder.join("bench.yaml")).unwrap();
    configuration(folder, address, "bench.yaml")
}

fn configuration(folder: &Path, address: SocketAddr, zone: &str) -> Vec<String> {
    let path: PathBuf = folder.join("fairlead.yaml");
    let text = format!(
        "node: bench\nstate: {0}/state\ncontrol: {0}/control.sock\nlisteners:\n  - {{ address: 127.0.0.1, port: {1} }}\n\
         zones:\n  - {{ name: {2}, file: \"{0}/{zone}\" }}\n",
        folder.display(),
        address.port(),
        data::ZONE
    );
    fs::write(&path, text).unwrap();
    ["serve", "-c", path.to_str().unwrap()].map(str::to_owned).to_vec()
}
