//! A small world for tests: one server per datacenter, virtual servers named by a letter, pools and wide IPs over them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::status::{
    Availability, Changed, Enabled, Fact, Measurements, Moment, ObjectKind, Override, Settings, Source, Table, Verdict,
};
use crate::topology::{Rules, Topology};
use crate::wire::{Name, NameKey, RecordType};

pub(crate) const SEED: u64 = 42;

/// A model, its status and the tables of both.
pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) table: Table,
    pub(crate) tables: Tables,
    pub(crate) memory: Memory,
    now: u64,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A model with the datacenters `ny` and `london`, and a virtual server per letter: `a`-`m` on `ny-lb`, the others on
/// `london-lb`; `a` has the address 192.0.2.1 and so on.
pub(crate) fn model() -> Model {
    let datacenter = |name: &str| Datacenter { name: name.into(), enabled: true };
    let server = |at, name: &str| Server {
        name: name.into(),
        datacenter: DatacenterId(at),
        enabled: true,
        agent: Some("192.0.2.250:4353".parse().unwrap()),
        discovery: Discovery::Disabled,
    };
    let virtual_server = |letter: u8| VirtualServer {
        name: char::from(letter).to_string().into(),
        server: ServerId(u32::from(letter > b'm')),
        address: Some(SocketAddr::from((Ipv4Addr::new(192, 0, 2, letter - b'a' + 1), 80))),
        enabled: true,
        monitors: 0,
    };
    Model {
        datacenters: vec![datacenter("ny"), datacenter("london")],
        servers: vec![server(0, "ny-lb"), server(1, "london-lb")],
        virtual_servers: (b'a'..=b'z').map(virtual_server).collect(),
        pools: Vec::new(),
        wide_ips: Vec::new(),
        views: Vec::new(),
    }
}

/// A pool over the virtual servers of these letters; a letter may have its ratio behind it.
pub(crate) fn pool(name: &str, members: &str) -> Pool {
    let member = |text: &str| {
        let (letter, ratio) = text.split_at(1);
        let ratio = if ratio.is_empty() { 1 } else { ratio.parse().unwrap() };
        Member::virtual_server(VirtualServerId(u32::from(letter.as_bytes()[0] - b'a')), ratio)
    };
    Pool::new(name, RecordType::A, members.split_whitespace().map(member))
}

/// A CNAME member.
pub(crate) fn cname(target: &str, static_target: bool) -> Member {
    Member { target: MemberTarget::Name { name: name(target), static_target }, ratio: 1, enabled: true }
}

/// A wide IP of type A over these pools, each with ratio 1.
pub(crate) fn wide_ip(text: &str, pools: &[u32]) -> WideIp {
    let pattern = |text: &str| {
        if text.contains(['*', '?']) { Pattern::Glob(name(text)) } else { Pattern::Exact(name(text)) }
    };
    WideIp::new(pattern(text), RecordType::A, pools.iter().map(|&pool| PoolId(pool)))
}

impl World {
    pub(crate) fn new(pools: Vec<Pool>, wide_ips: Vec<WideIp>) -> Self {
        Self::with_rules(pools, wide_ips, Rules::default())
    }

    pub(crate) fn with_rules(pools: Vec<Pool>, wide_ips: Vec<WideIp>, rules: Rules) -> Self {
        let model = Model { pools, wide_ips, ..model() };
        let ageing = Ageing { fresh: Duration::from_secs(15), stale: Duration::from_secs(50) };
        let settings = Settings { ageing, startup_grace: Duration::ZERO };
        let table = Table::new(model.watched(), settings, Moment::default());
        let topology = Topology::compile(&rules, None, None).unwrap();
        let tables = Tables::build(Arc::new(model.clone()), Arc::new(topology), &table, SEED);
        Self { model, table, tables, memory: Memory::new(1), now: 0 }
    }

    fn apply(&mut self, fact: &Fact) -> Changed {
        let changed = self.table.apply(fact, Moment::from_millis(self.now));
        self.tables = self.tables.refresh(&self.table, &changed);
        changed
    }

    /// Has the agent say something of the virtual servers of these letters.
    pub(crate) fn report(&mut self, letters: &str, availability: Availability, connections: Option<u64>) {
        for letter in letters.chars() {
            self.apply(&self.verdict(letter, availability, connections));
        }
    }

    /// The same at once.
    pub(crate) fn report_together(&mut self, letters: &str, availability: Availability) {
        let mut changed = Changed::default();
        for letter in letters.chars() {
            changed.merge(self.table.apply(&self.verdict(letter, availability, None), Moment::from_millis(self.now)));
        }
        self.tables = self.tables.refresh(&self.table, &changed);
    }

    fn verdict(&self, letter: char, availability: Availability, connections: Option<u64>) -> Fact {
        let server = if letter > 'm' { "london-lb" } else { "ny-lb" };
        let measurements = Measurements { connections, ..Measurements::default() };
        Fact::Verdict {
            server: server.into(),
            virtual_server: letter.to_string().into(),
            source: Source::Agent,
            verdict: Verdict { availability, reason: "reported".into(), measurements },
            at: Moment::from_millis(self.now),
        }
    }

    pub(crate) fn up(&mut self, letters: &str) {
        self.report(letters, Availability::Available, None);
    }

    pub(crate) fn down(&mut self, letters: &str) {
        self.report(letters, Availability::Offline, None);
    }

    pub(crate) fn switch(&mut self, kind: ObjectKind, name: &str, enabled: Option<Enabled>) {
        self.apply(&Fact::Override(Override { kind, name: name.into(), enabled, until: None, reason: "test".into() }));
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += seconds * 1000;
        let changed = self.table.age(Moment::from_millis(self.now));
        self.tables = self.tables.refresh(&self.table, &changed);
    }

    pub(crate) fn decide_for(&mut self, client: &Client) -> Decision {
        self.tables.decide(WideIpId(0), client, &mut self.memory, None)
    }

    /// Decides about the first wide IP for a client at 198.51.100.1.
    pub(crate) fn decide(&mut self) -> Decision {
        self.decide_for(&client("198.51.100.1"))
    }

    /// The letters that are answered now, in order, or what else is.
    pub(crate) fn answer_for(&mut self, client: &Client) -> String {
        let decision = self.decide_for(client);
        match (decision.answer, decision.pool) {
            (Answer::Members, Some(pool)) => {
                self.memory.picked().iter().map(|&member| letter(self.tables.rdata(pool, member))).collect()
            }
            (answer, _) => answer.to_string(),
        }
    }

    pub(crate) fn answer(&mut self) -> String {
        self.answer_for(&client("198.51.100.1"))
    }

    /// The letters of so many answers in a row.
    pub(crate) fn answers(&mut self, count: usize) -> String {
        (0..count).map(|_| self.answer()).collect()
    }

    pub(crate) fn find(&self, text: &str, record_type: RecordType) -> Option<u32> {
        let key = NameKey::new(&name(text), SEED);
        self.tables.find(&key)?.wide_ip(record_type).map(|id| id.0)
    }
}

/// The letter whose address this is.
fn letter(rdata: &[u8]) -> char {
    let &[192, 0, 2, last] = rdata else { panic!("{rdata:?} is no member's address") };
    char::from(b'a' + last - 1)
}

pub(crate) fn client(source: &str) -> Client {
    Client { source: source.parse().unwrap(), subnet: None }
}

/// A client behind a resolver that passes its subnet on.
pub(crate) fn client_in(subnet: &str) -> Client {
    let (address, length) = subnet.split_once('/').unwrap();
    let subnet =
        crate::wire::ClientSubnet { address: address.parse().unwrap(), prefix_length: length.parse().unwrap() };
    Client { source: IpAddr::V4(Ipv4Addr::LOCALHOST), subnet: Some(subnet) }
}
