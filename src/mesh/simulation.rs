//! Two DNS nodes and two agents on a seeded, hostile network without sockets: sessions break, links are cut without a
//! word, frames of old sessions turn up in new ones, processes restart, wall clocks jump by years.
//!
//! Every reason text carries the agent's state number, so that the checks read what a DNS node believes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::frame::{self, Decoder};
use super::identity::{Identity, Role};
use super::inbound::Progress;
use super::outbound::Sequence;
use super::peer::{Action, Local, Peer, VERSIONS};
use super::proto::{Body, Change, Frame, VirtualServer};
use super::report::{Host, Report, VirtualServerReport};
use crate::status::{Availability, Fact, Measurements, Moment, Verdict};

const INTERVAL: Duration = Duration::from_secs(1);
const TICK_MILLIS: u64 = 20;
const FAULTS_END: u64 = 40_000;
/// Three intervals until a cut link is noticed, the longest wait before the next try, and one report more.
const CALM_END: u64 = FAULTS_END + 3_000 + 1_000 + 1_500;
const TEN_YEARS_MILLIS: u64 = 315_576_000_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn once_in(&mut self, ticks: u64) -> bool {
        self.below(ticks) == 0
    }

    fn skew(&mut self) -> i64 {
        i64::try_from(self.below(2 * TEN_YEARS_MILLIS)).unwrap() - i64::try_from(TEN_YEARS_MILLIS).unwrap()
    }
}

struct Agent {
    local: Local,
    /// Counts the states this load balancer has had; goes on over restarts of the agent.
    state: u64,
    report: Arc<Report>,
    skew: i64,
}

impl Agent {
    fn look(&mut self, random: &mut Random) {
        self.state += 1;
        let reason: Arc<str> = self.state.to_string().into();
        let virtual_server = |index: u64, draw: u64| VirtualServerReport {
            name: format!("vs{index}").into(),
            address: "192.0.2.1:80".parse().unwrap(),
            verdict: Verdict {
                availability: if draw == 0 { Availability::Offline } else { Availability::Available },
                reason: Arc::clone(&reason),
                measurements: Measurements { connections: Some(draw), ..Measurements::default() },
            },
        };
        let count = 3 + random.below(3);
        let before = std::mem::take(&mut self.report);
        let looked = |index: u64| match before.virtual_servers.get(usize::try_from(index).unwrap()) {
            Some(found) if random.below(2) == 0 => found.clone(),
            _ => virtual_server(index, random.below(3)),
        };
        let virtual_servers = (0..count).map(looked).collect();
        self.report = Arc::new(Report { virtual_servers, host: Host::default() });
    }
}

struct DnsNode {
    local: Local,
    skew: i64,
    /// Server and virtual server → availability and the agent's state it is of.
    view: BTreeMap<(Arc<str>, Arc<str>), (Availability, u64)>,
    /// The newest state ever believed of each agent.
    newest: BTreeMap<Arc<str>, u64>,
}

impl DnsNode {
    fn believe(&mut self, agent: &Identity, fact: Fact) {
        match fact {
            Fact::Inventory { server, virtual_servers, .. } => {
                assert_eq!(server, agent.name, "an agent spoke for another server");
                let listed = |name: &Arc<str>| virtual_servers.iter().any(|found| found.name == *name);
                self.view.retain(|(of, name), _| *of != server || listed(name));
            }
            Fact::Verdict { server, virtual_server, verdict, .. } => {
                assert_eq!(server, agent.name, "an agent spoke for another server");
                let state: u64 = verdict.reason.parse().unwrap();
                let newest = self.newest.entry(Arc::clone(&server)).or_default();
                let key = (server, virtual_server);
                let before = self.view.get(&key).map_or(0, |(_, state)| *state);
                assert!(before <= state, "state {state} overwrote {before}");
                *newest = state.max(*newest);
                self.view.insert(key, (verdict.availability, state));
            }
            Fact::Link { .. } | Fact::Override(_) => panic!("a session made {fact:?}"),
        }
    }
}

#[derive(Default)]
struct Wire {
    /// When each frame arrives; never before the one sent earlier.
    frames: VecDeque<(u64, Vec<u8>)>,
}

impl Wire {
    fn send(&mut self, body: Body, now: u64, random: &mut Random) {
        let arrives = now + 1 + random.below(200);
        let arrives = self.frames.back().map_or(arrives, |(last, _)| arrives.max(*last));
        self.frames.push_back((arrives, frame::encode(body).unwrap()));
    }

    fn take(&mut self, now: u64) -> Option<Vec<u8>> {
        self.frames.pop_front_if(|(arrives, _)| *arrives <= now).map(|(_, octets)| octets)
    }
}

/// What one DNS node and one agent have between them.
struct Link {
    node: usize,
    agent: usize,
    dialer: Option<Peer>,
    listener: Option<Peer>,
    to_dialer: Wire,
    to_listener: Wire,
    progress: Progress,
    retry_at: u64,
    /// Nothing passes and nobody is told before this time.
    cut_until: u64,
    /// Frames of this agent from before, to be replayed.
    strays: Vec<Vec<u8>>,
    sessions: u32,
}

struct World {
    random: Random,
    now: u64,
    agents: Vec<Agent>,
    nodes: Vec<DnsNode>,
    links: Vec<Link>,
}

fn identity(role: Role, local: &Local) -> Identity {
    Identity::new("sim", role, &local.name).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut local = |name: &str| Local {
            name: name.into(),
            boot_id: random.next(),
            interval: INTERVAL,
            sequence: Sequence::default(),
            versions: VERSIONS,
        };
        let agents =
            ["ny", "london"].map(|name| Agent { local: local(name), state: 0, report: Arc::default(), skew: 0 });
        let nodes = ["ns1", "ns2"].map(|name| DnsNode {
            local: local(name),
            skew: 0,
            view: BTreeMap::new(),
            newest: BTreeMap::new(),
        });
        let link = |(node, agent)| Link {
            node,
            agent,
            dialer: None,
            listener: None,
            to_dialer: Wire::default(),
            to_listener: Wire::default(),
            progress: Progress::default(),
            retry_at: 0,
            cut_until: 0,
            strays: Vec::new(),
            sessions: 0,
        };
        let links = [(0, 0), (0, 1), (1, 0), (1, 1)].map(link).into();
        Self { random, now: 0, agents: agents.into(), nodes: nodes.into(), links }
    }

    fn run(&mut self) {
        while self.now < CALM_END {
            self.now += TICK_MILLIS;
            if self.now < FAULTS_END {
                self.break_something();
            }
            for index in 0..self.links.len() {
                self.step(index);
            }
        }
    }

    fn break_something(&mut self) {
        let random = &mut self.random;
        for index in 0..self.agents.len() {
            if random.once_in(25) {
                self.agents[index].look(random);
                let report = Arc::clone(&self.agents[index].report);
                for link in self.links.iter_mut().filter(|link| link.agent == index) {
                    let actions = link.listener.as_mut().map(|peer| {
                        peer.report(Arc::clone(&report), Moment::from_millis(self.now), self.agents[index].skew)
                    });
                    for action in actions.into_iter().flatten() {
                        if let Action::Send(body) = action {
                            link.to_dialer.send(body, self.now, random);
                        }
                    }
                }
            }
            if random.once_in(500) {
                let agent = &mut self.agents[index];
                agent.local.boot_id = random.next();
                agent.local.sequence = Sequence::default();
                self.links.iter_mut().filter(|link| link.agent == index).for_each(|link| link.listener = None);
            }
            self.agents[index].skew = if random.once_in(100) { random.skew() } else { self.agents[index].skew };
        }
        for node in &mut self.nodes {
            node.skew = if random.once_in(100) { random.skew() } else { node.skew };
        }
        for link in &mut self.links {
            match random.below(400) {
                0 => link.dialer = None,
                1 => link.listener = None,
                2 => link.cut_until = (self.now + random.below(8_000)).min(FAULTS_END),
                3 => {
                    // A restarted DNS node knows nothing.
                    link.dialer = None;
                    link.progress = Progress::default();
                    let node = &mut self.nodes[link.node];
                    let agent = &self.agents[link.agent].local.name;
                    node.view.retain(|(server, _), _| server != agent);
                }
                4..=8 if link.dialer.is_some() => link.inject(self.now, random),
                _ => {}
            }
        }
    }

    fn step(&mut self, index: usize) {
        let link = &mut self.links[index];
        let (node, agent) = (&mut self.nodes[link.node], &self.agents[link.agent]);
        let now = Moment::from_millis(self.now);
        if self.now >= link.cut_until {
            // An end whose other end is gone hears of it, unless the link is cut.
            if link.listener.is_none() {
                link.dialer = None;
            }
            if link.dialer.is_none() {
                link.listener = None;
                if self.now >= link.retry_at {
                    link.connect(node, agent, self.now, &mut self.random);
                }
            }
        }
        link.carry(node, agent, self.now, &mut self.random);
        let due: Vec<Action> = link.dialer.as_mut().map(|peer| peer.poll(now, node.skew)).unwrap_or_default();
        link.act_as_dialer(due, node, agent, self.now, &mut self.random);
        let due: Vec<Action> = link.listener.as_mut().map(|peer| peer.poll(now, agent.skew)).unwrap_or_default();
        link.act_as_listener(due, self.now, &mut self.random);
    }
}

impl Link {
    fn connect(&mut self, node: &DnsNode, agent: &Agent, now: u64, random: &mut Random) {
        let moment = Moment::from_millis(now);
        self.sessions += 1;
        self.retry_at = now + random.below(1_000);
        self.strays.extend(std::mem::take(&mut self.to_dialer).frames.into_iter().map(|(_, octets)| octets));
        self.to_listener = Wire::default();
        self.dialer =
            Some(Peer::dial(node.local.clone(), identity(Role::Lb, &agent.local), self.progress.clone(), moment));
        let remote = identity(Role::Dns, &node.local);
        let report = (agent.state > 0).then(|| Arc::clone(&agent.report));
        let (listener, first) = Peer::listen(agent.local.clone(), remote, report, moment, agent.skew);
        self.listener = Some(listener);
        self.act_as_listener(first, now, random);
    }

    /// Puts a frame into the session that is not its own: a replay, a duplicate, or one for another server.
    fn inject(&mut self, now: u64, random: &mut Random) {
        let duplicate = self.to_dialer.frames.front().map(|(_, octets)| octets.clone());
        let stray = self.strays.pop();
        let lie = VirtualServer { name: "vs0".into(), availability: 3, reason: "0".into(), ..VirtualServer::default() };
        let (sequence, server) = (u64::MAX, "paris".to_owned());
        let lie = Change { boot_id: random.next(), sequence, server, virtual_servers: vec![lie] };
        let lie = frame::encode(Body::Change(lie)).unwrap();
        let octets = match random.below(3) {
            0 => duplicate.or(stray),
            1 => stray.or(duplicate),
            _ => Some(lie),
        };
        self.to_dialer.frames.extend(octets.map(|octets| (now, octets)));
        self.strays.truncate(64);
    }

    /// Delivers what has arrived; over a cut link nothing does, and TCP keeps trying.
    fn carry(&mut self, node: &mut DnsNode, agent: &Agent, now: u64, random: &mut Random) {
        if now < self.cut_until {
            return;
        }
        let moment = Moment::from_millis(now);
        while let Some(octets) = self.to_dialer.take(now) {
            if let Some(peer) = self.dialer.as_mut() {
                let actions = peer.handle(decoded(&octets), moment, node.skew);
                self.act_as_dialer(actions, node, agent, now, random);
            }
            self.strays.push(octets);
        }
        while let Some(octets) = self.to_listener.take(now) {
            if let Some(peer) = self.listener.as_mut() {
                let actions = peer.handle(decoded(&octets), moment, agent.skew);
                self.act_as_listener(actions, now, random);
            }
        }
    }

    fn act_as_dialer(
        &mut self,
        actions: Vec<Action>,
        node: &mut DnsNode,
        agent: &Agent,
        now: u64,
        random: &mut Random,
    ) {
        for action in actions {
            match action {
                Action::Send(body) => self.to_listener.send(body, now, random),
                Action::Deliver(fact) => node.believe(&identity(Role::Lb, &agent.local), fact),
                Action::Close(_) => self.dialer = None,
                _ => {}
            }
            if let Some(progress) = self.dialer.as_ref().and_then(Peer::progress) {
                self.progress = progress.clone();
            }
        }
    }

    fn act_as_listener(&mut self, actions: Vec<Action>, now: u64, random: &mut Random) {
        for action in actions {
            match action {
                Action::Send(body) => self.to_dialer.send(body, now, random),
                Action::Close(_) => self.listener = None,
                _ => {}
            }
        }
    }
}

fn decoded(octets: &[u8]) -> Frame {
    let mut decoder = Decoder::new();
    decoder.push(octets);
    decoder.take().unwrap().unwrap()
}

#[test]
fn every_node_ends_with_every_agents_latest_word_whatever_happened() {
    let (mut sessions, mut states) = (0, 0);
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.run();
        for agent in &world.agents {
            let expected: BTreeMap<_, _> = agent
                .report
                .virtual_servers
                .iter()
                .map(|found| {
                    (Arc::clone(&found.name), (found.verdict.availability, found.verdict.reason.parse().unwrap()))
                })
                .collect();
            for node in &world.nodes {
                let of = node.view.iter().filter(|((server, _), _)| *server == agent.local.name);
                let believed: BTreeMap<_, _> = of.map(|((_, name), word)| (Arc::clone(name), *word)).collect();
                assert_eq!(believed, expected, "seed {seed}: {} of {}", node.local.name, agent.local.name);
            }
            states += agent.state;
        }
        sessions += world.links.iter().map(|link| link.sessions).sum::<u32>();
        // Frames wait on the wire, never inside a peer; what is held stays small.
        assert!(world.links.iter().all(|link| link.to_dialer.frames.len() < 64));
    }
    assert!(sessions > 40 * 4 * 10 && states > 40 * 2 * 20, "the faults were too mild: {sessions}, {states}");
}
