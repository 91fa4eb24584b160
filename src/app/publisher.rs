//! The only writer: facts, commands and time come in, one snapshot after the other goes out. It runs where the sessions of
//! the mesh run, after those that reported in the same turn, so that their reports become one snapshot.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use super::background::{self, Priority};
use super::board::Board;
use super::catalogs::News;
use super::clock::Clock;
use super::flips::Teller;
use super::memory::{self, Now};
use super::prepare::Prepared;
use super::readiness::{Progress, judge};
use super::saver::Save;
use super::tasks::Drain;
use super::vantage;
use super::view::{Detail, View};
use crate::admin::Readiness;
use crate::answer::Snapshot;
use crate::catalog::Refused;
use crate::mesh::Report;
use crate::metrics::{Limit, Metrics, Site};
use crate::monitor::Schedule;
use crate::status::{Enabled, Fact, Moment, Override, Remembered};
use crate::transfer::NewZone;
use crate::update::NewVersion;

/// How many facts may wait; senders wait when there are more.
pub(super) const FACTS_MAX: usize = 8192;
/// How many commands may wait.
pub(super) const COMMANDS_MAX: usize = 64;
/// How far apart facts are taken at least: probes report from other threads, without the distance between the turns here.
const SPACING: Duration = Duration::from_millis(2);
/// How long publishing pauses after a panic, so that one that comes back at once does not take the processor.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// How often verdicts and overrides are looked at for their age.
const AGEING_PERIOD: Duration = Duration::from_secs(1);
/// How often what is known is kept on disk.
const SAVE_PERIOD: Duration = Duration::from_secs(10);

/// What others ask of the publisher.
pub(super) enum Command {
    /// Enables or disables an object, or forgets what was said of it. `force` allows the last member of a pool to go.
    Override {
        /// What is wanted.
        change: Override,
        /// Whether pools and wide IPs may be emptied by it.
        guard: Guard,
        /// The lines for the person who asked, or why it was refused. Comes once it is in use and on the disk.
        reply: oneshot::Sender<Result<Vec<String>, String>>,
    },
    /// Puts another configuration to use.
    Reload(Box<Prepared>, oneshot::Sender<Result<(), String>>),
    /// Fails, as a fault of ours would.
    #[cfg(test)]
    Panic,
    /// Shows what is known.
    View(Detail, oneshot::Sender<View>),
    /// Tells whether the first health round is in.
    Readiness(MonitorRound, oneshot::Sender<Readiness>),
}

/// How far the monitors of this node are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MonitorRound {
    /// Some have not probed yet.
    Running,
    /// Every one has probed every target.
    Done,
}

/// Whether an operator may take the last usable member of a pool away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// No: the change is refused.
    Refuse,
    /// Yes: the reply warns.
    Warn,
}

/// Where what is to be published comes from.
struct Inputs {
    facts: mpsc::Receiver<Fact>,
    commands: mpsc::Receiver<Command>,
    versions: mpsc::Receiver<NewZone>,
    updates: mpsc::Receiver<NewVersion>,
    drain: Drain,
    ageing: Interval,
    saving: Interval,
}

/// The publisher's belongings.
pub(super) struct Publisher {
    board: Board,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Tells the generation of each snapshot with other zones than the last once it is in use.
    published: watch::Sender<u64>,
    schedule: Schedule,
    saves: mpsc::Sender<Save>,
    /// What was kept last.
    saved: Option<Remembered>,
    /// Snapshots that workers may still be reading. The last one to let go of a snapshot frees it, a million records
    /// perhaps, and that shall never be a worker in the middle of a batch.
    replaced: Vec<Arc<Snapshot>>,
    /// What other DNS nodes are told, when they can ask.
    offered: watch::Sender<Arc<Report>>,
    /// Whether a verdict flipped since.
    has_flipped: bool,
    teller: Teller,
    /// When facts were last taken.
    taken: Instant,
    /// Who waits for a version of a zone to be in use.
    waiting: Vec<oneshot::Sender<()>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Publisher {
    /// Takes over a board whose first snapshot is in use.
    pub(super) fn new(
        board: Board,
        snapshot: Arc<ArcSwap<Snapshot>>,
        published: watch::Sender<u64>,
        schedule: Schedule,
        saves: mpsc::Sender<Save>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self {
            board,
            snapshot,
            published,
            schedule,
            saves,
            saved: None,
            replaced: Vec::new(),
            offered: watch::Sender::default(),
            has_flipped: false,
            teller: Teller::new(Arc::clone(&metrics)),
            taken: Instant::now(),
            waiting: Vec::new(),
            metrics,
            clock,
        }
    }

    /// What other DNS nodes are told of this node's own monitors; made anew each second while somebody holds this.
    pub(super) fn offered(&self) -> watch::Receiver<Arc<Report>> {
        self.offered.subscribe()
    }

    /// Publishes until the drain begins, then keeps what is known. A turn that panics is lost, and no more: the next one
    /// works everything out anew from what is known.
    pub(super) async fn run(
        mut self,
        facts: mpsc::Receiver<Fact>,
        commands: mpsc::Receiver<Command>,
        versions: mpsc::Receiver<NewZone>,
        updates: mpsc::Receiver<NewVersion>,
        drain: Drain,
    ) -> Result<(), String> {
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
            interval
        };
        let (ageing, saving) = (every(AGEING_PERIOD), every(SAVE_PERIOD));
        let mut inputs = Inputs { facts, commands, versions, updates, drain, ageing, saving };
        let metrics = Arc::clone(&self.metrics);
        loop {
            match metrics.survive(Site::Task, self.turn(&mut inputs)).await {
                Some(Ok(ControlFlow::Continue(()))) => {}
                Some(Ok(ControlFlow::Break(()))) => break,
                Some(Err(reason)) => return Err(reason),
                None => {
                    error!("publishing panicked; what it was about is lost, and publishing goes on");
                    tokio::time::sleep(PANIC_PAUSE).await;
                }
            }
        }
        self.teller.renew();
        self.save_health();
        Ok(())
    }

    /// Takes what comes first and publishes what follows from it.
    async fn turn(&mut self, inputs: &mut Inputs) -> Result<ControlFlow<()>, String> {
        let Inputs { facts, commands, versions, updates, drain, ageing, saving } = inputs;
        tokio::select! {
            () = drain.requested() => return Ok(ControlFlow::Break(())),
            fact = next(facts, self.taken + SPACING) => {
                let Some(fact) = fact else { return Err("nobody is left to report health".into()) };
                if facts.len() + 1 >= FACTS_MAX {
                    self.metrics.limit_hit(Limit::Facts);
                }
                self.take(&fact, facts);
            }
            Some(command) = commands.recv() => self.handle(command),
            Some(new) = versions.recv() => self.board.replace_zone(new),
            Some(new) = updates.recv() => {
                self.update(new);
                while let Ok(new) = updates.try_recv() {
                    self.update(new);
                }
            }
            _ = ageing.tick() => self.age(),
            _ = saving.tick() => self.save_health(),
        }
        self.publish();
        Ok(ControlFlow::Continue(()))
    }

    /// Takes the next version of a zone; who sent it is told once it is in use.
    fn update(&mut self, new: NewVersion) {
        let NewVersion { id, zone, served } = new;
        if self.board.update_zone(&id, zone) {
            self.waiting.push(served);
        }
    }

    /// Lets time pass: ends overrides, and keeps verdicts that flipped in the last second.
    fn age(&mut self) {
        let ended = self.board.age(self.clock.now());
        for (kind, name) in &ended {
            info!(%kind, %name, "an override ended by itself");
        }
        if !ended.is_empty() {
            let (nobody, _) = oneshot::channel();
            self.keep_overrides(Vec::new(), nobody);
        }
        if std::mem::take(&mut self.has_flipped) {
            self.save_health();
        }
        self.teller.renew();
        self.offer();
    }

    fn offer(&self) {
        if self.offered.receiver_count() == 0 {
            return;
        }
        let report = vantage::report(&self.board, self.clock.now());
        self.offered.send_if_modified(|last| {
            let differs = **last != report;
            if differs {
                *last = Arc::new(report);
            }
            differs
        });
    }

    /// Takes a fact and those that wait behind it.
    fn take(&mut self, first: &Fact, facts: &mut mpsc::Receiver<Fact>) {
        self.taken = Instant::now();
        let now = self.clock.now();
        self.board.apply(first, now);
        // No more than may wait at a time, for there may be no end to them.
        for fact in (1..FACTS_MAX).map_while(|_| facts.try_recv().ok()) {
            self.board.apply(&fact, now);
        }
    }

    /// Stores the next snapshot, tells what changed. Called at least once per ageing period, so none is kept for longer.
    fn publish(&mut self) {
        self.let_go();
        let now = self.clock.now();
        let Some(settled) = self.board.settle(now) else { return };
        self.has_flipped |= !settled.flips.is_empty();
        self.board.catalogs_mut().take_news().into_iter().for_each(tell_catalog);
        if let Some(targets) = settled.targets {
            self.schedule.replace(targets);
        }
        let generation = settled.snapshot.generation;
        if generation <= self.snapshot.load().generation {
            error!(generation, "a snapshot older than the one in use was dropped");
            self.teller.tell(&settled.flips, &settled.model);
            return;
        }
        let snapshot = Arc::new(settled.snapshot);
        let before = self.snapshot.swap(Arc::clone(&snapshot));
        if !snapshot.has_same_zones(&before) {
            self.published.send_replace(generation);
        }
        self.replaced.push(before);
        self.metrics.set_generation(generation);
        for served in self.waiting.drain(..) {
            let _ = served.send(()); // nobody waits where the writer has ended
        }
        self.teller.tell(&settled.flips, &settled.model);
    }

    /// Lets go of snapshots that no worker reads any more. One with other zones goes on a thread of its own: a million
    /// records take milliseconds, which the next health flip shall not wait for.
    fn let_go(&mut self) {
        let current = self.snapshot.load();
        for old in self.replaced.extract_if(.., |old| Arc::strong_count(old) == 1) {
            if !old.has_same_zones(&current) {
                background::begin(Priority::Lowest, move || drop(old));
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::View(detail, reply) => {
                // Nobody looks where the client has left.
                let _ = reply.send(View::new(&self.board, detail, self.snapshot.load().generation, self.now()));
            }
            Command::Readiness(monitors, reply) => {
                let _ = reply.send(self.readiness(monitors)); // as above
            }
            Command::Reload(prepared, reply) => {
                // What came before is told under the names and numbers it came with.
                self.publish();
                let outcome = self.board.reload(*prepared, self.clock.now());
                self.publish();
                let _ = reply.send(outcome); // as above
            }
            Command::Override { change, guard, reply } => self.change(change, guard, reply),
            #[cfg(test)]
            Command::Panic => panic!("a fault of ours"),
        }
    }

    fn readiness(&self, monitors: MonitorRound) -> Readiness {
        let timeout = self.board.prepared().ready_timeout;
        let running = self.clock.now().since(Moment::default());
        judge(self.board.model(), self.board.table(), Progress { monitors, running, timeout })
    }

    fn change(&mut self, change: Override, guard: Guard, reply: oneshot::Sender<Result<Vec<String>, String>>) {
        let now = self.now();
        let emptied = match change.enabled {
            Some(Enabled::Disabled) => self.board.emptied_by(&change, now.moment),
            _ => Vec::new(),
        };
        if guard == Guard::Refuse && !emptied.is_empty() {
            let refusal = format!("{}; add --force to do it all the same", emptied.join("; "));
            let _ = reply.send(Err(refusal)); // nobody waits where the client has left
            return;
        }
        let Override { kind, name, reason, .. } = &change;
        let wanted = change.enabled.map_or_else(|| "as configured".to_owned(), |enabled| enabled.to_string());
        info!(%kind, %name, %wanted, %reason, "an operator changed an object");
        let done = format!("{kind} {name} is {wanted}{}", ending(&change, now));
        self.board.apply(&Fact::Override(change), now.moment);
        self.publish();
        let lines = std::iter::once(done).chain(emptied.into_iter().map(|line| format!("warning: {line}"))).collect();
        self.keep_overrides(lines, reply);
    }

    /// Keeps the overrides and answers once they are on the disk.
    fn keep_overrides(&self, mut lines: Vec<String>, reply: oneshot::Sender<Result<Vec<String>, String>>) {
        let overrides = memory::save_overrides(self.board.table().overrides().iter(), self.now());
        let saves = self.saves.clone();
        tokio::spawn(async move {
            let (kept, on_disk) = oneshot::channel();
            let sent = saves.send(Save::Overrides(overrides, kept)).await.map_err(|_| "the saver ended".to_owned());
            let outcome = match sent {
                Ok(()) => on_disk.await.unwrap_or_else(|_| Err("the saver ended".to_owned())),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                lines.push(format!("warning: in use, but a restart would forget it: {error}"));
            }
            let _ = reply.send(Ok(lines)); // nobody waits where the client has left
        });
    }

    /// Keeps what is known of health when that is not what was kept last.
    fn save_health(&mut self) {
        let health = self.board.table().remember();
        if self.saved.as_ref() == Some(&health) {
            return;
        }
        // A saver that is behind takes the next state instead.
        if self.saves.try_send(Save::Health(memory::save_health(&health))).is_ok() {
            self.saved = Some(health);
        }
    }

    fn now(&self) -> Now {
        Now { moment: self.clock.now(), unix_ms: self.clock.wall_millis() }
    }
}

/// Tells the log of zones that come and go with catalogs.
fn tell_catalog(news: News) {
    match news {
        News::Added(zone, member) => info!(%zone, catalog = %member.catalog, "a catalog brings a zone"),
        News::Removed(zone, member) => info!(%zone, catalog = %member.catalog, "a catalog lists a zone no longer"),
        News::Reset(zone, member) => {
            info!(%zone, catalog = %member.catalog, "a zone starts anew: its catalog lists it under another label");
        }
        News::Refused(Refused { catalog, zone, reason }) => {
            warn!(%zone, %catalog, %reason, "a zone of a catalog does not become a zone of this node");
        }
        News::Produced(zone, serial) => info!(%zone, serial, "made a catalog of the zones of this node"),
    }
}

/// How an override ends, in words.
fn ending(change: &Override, now: Now) -> String {
    match (change.until, change.enabled) {
        (Some(until), _) => format!(" until {}", super::clock::rfc3339(now.unix_ms_of(until))),
        (None, Some(_)) => " until `fairlead enable --reset` or another change".to_owned(),
        (None, None) => String::new(),
    }
}

/// The next fact, once it is time.
async fn next(facts: &mut mpsc::Receiver<Fact>, from: Instant) -> Option<Fact> {
    if Instant::now() < from {
        sleep_until(from).await;
    }
    facts.recv().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;
    use crate::app::saver;
    use crate::app::state::Store;
    use crate::app::tasks::Tasks;
    use crate::monitor::{Authorities, ScheduleOptions};
    use crate::status::{Availability, ObjectKind};

    struct World {
        facts: mpsc::Sender<Fact>,
        commands: mpsc::Sender<Command>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        published: watch::Receiver<u64>,
        store: Store,
        _tasks: Tasks,
        _folder: tempfile::TempDir,
    }

    /// A publisher at work on the sample model.
    fn world() -> World {
        let (clock, folder, mut tasks) =
            (Clock::start(), tempfile::tempdir().unwrap(), Tasks::new(Arc::new(Metrics::new("0", "test"))));
        let store = Store::open(folder.path()).unwrap();
        let mut board = Board::new(sample::prepared(sample::model()), &Remembered::default(), clock.now());
        let snapshot = Arc::new(ArcSwap::from_pointee(board.settle(clock.now()).unwrap().snapshot));
        let (facts, facts_in) = mpsc::channel(FACTS_MAX);
        let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
        let (saves, saves_in) = mpsc::channel(4);
        let authorities = Authorities::none();
        let options = ScheduleOptions { origin: clock.started(), concurrency: 1, seed: 1, authorities };
        let schedule = Schedule::start(Vec::new(), options, facts.clone());
        let metrics = Arc::new(Metrics::new("0", "test"));
        let (sender, published) = watch::channel(0);
        let publisher = Publisher::new(board, Arc::clone(&snapshot), sender, schedule, saves, metrics, clock);
        tasks.keep("saver", (store.clone(), saves_in), |(store, saves)| Box::pin(saver::run(store, saves)));
        let (versions, updates) = (mpsc::channel(1).1, mpsc::channel(1).1);
        tasks.spawn("publisher", publisher.run(facts_in, commands_in, versions, updates, tasks.drain()));
        World { facts, commands, snapshot, published, store, _tasks: tasks, _folder: folder }
    }

    async fn disable(world: &World, name: &str, guard: Guard) -> Result<Vec<String>, String> {
        let (reply, done) = oneshot::channel();
        let change = Override {
            kind: ObjectKind::VirtualServer,
            name: name.into(),
            enabled: Some(Enabled::Disabled),
            until: None,
            reason: "kernel".into(),
        };
        world.commands.send(Command::Override { change, guard, reply }).await.unwrap();
        done.await.unwrap()
    }

    #[tokio::test]
    async fn a_burst_of_facts_becomes_few_snapshots_in_growing_order() {
        let world = world();
        let state = |turn: u64| if turn.is_multiple_of(2) { Availability::Available } else { Availability::Offline };
        for turn in 0..1000 {
            world.facts.send(sample::verdict("ny-lb1", state(turn), turn)).await.unwrap();
        }
        let settled = async {
            loop {
                let (reply, view) = oneshot::channel();
                world.commands.send(Command::View(Detail::Tables, reply)).await.unwrap();
                let view = view.await.unwrap();
                let known = view.tables.virtual_server(crate::wideip::VirtualServerId(0)).unwrap();
                if known.status.availability == Availability::Offline {
                    return view.generation;
                }
                tokio::task::yield_now().await;
            }
        };
        let generation = tokio::time::timeout(Duration::from_secs(5), settled).await.unwrap();
        assert!((2..50).contains(&generation), "{generation} snapshots of 1000 facts");
        assert!(world.snapshot.load().generation >= generation);
        assert!(!world.published.has_changed().unwrap(), "who follows zones was told of health");
    }

    #[tokio::test]
    async fn an_override_is_in_use_and_on_the_disk_once_it_is_answered() {
        let world = world();
        let refused = disable(&world, "ny-lb1/www", Guard::Refuse).await.unwrap_err();
        assert!(refused.contains("--force"), "{refused}");
        assert_eq!(world.store.load_overrides().unwrap(), []);
        let lines = disable(&world, "ny-lb1/www", Guard::Warn).await.unwrap();
        assert!(lines[0].starts_with("virtual-server ny-lb1/www is disabled until"), "{lines:?}");
        assert_eq!(lines[1], "warning: pool web-ny would lose its last available member");
        assert_eq!(world.store.load_overrides().unwrap()[0].name, "ny-lb1/www");
        assert!(world.snapshot.load().generation > 1);
    }

    #[tokio::test]
    async fn a_panic_costs_one_command_and_publishing_goes_on() {
        let world = world();
        world.commands.send(Command::Panic).await.unwrap();
        let lines = disable(&world, "ny-lb1/www", Guard::Warn).await.unwrap();
        assert!(lines[0].starts_with("virtual-server ny-lb1/www is disabled until"), "{lines:?}");
    }
}
