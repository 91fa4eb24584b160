//! Figures of several rounds, and the table of their medians.

use super::cpu::Times;
use super::generator::Load;

/// One round of one server.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Microseconds of user time per answer.
    pub user: f64,
    /// Microseconds of system time per answer.
    pub system: f64,
    /// Answers per second.
    pub rate: f64,
}

/// All rounds of all servers, servers in the order they first came.
#[derive(Default)]
pub struct Figures(Vec<(String, Vec<Round>)>);

impl Figures {
    /// Adds a round.
    pub fn add(&mut self, server: &str, used: Times, load: &Load) {
        let (user, system) = used.per(load.answers);
        let round = Round { user, system, rate: load.rate() };
        match self.0.iter_mut().find(|(known, _)| known == server) {
            Some((_, rounds)) => rounds.push(round),
            None => self.0.push((server.to_owned(), vec![round])),
        }
    }

    /// The table: medians, and what the first server's total and rate are to each.
    pub fn print(&self) {
        println!(
            "| {:<34} | {:>7} | {:>7} | {:>7} | {:>9} | {:>9} |",
            "server", "user µs", "sys µs", "total", "answers/s", "of floor"
        );
        println!("|{:-<36}|{:->9}|{:->9}|{:->9}|{:->11}|{:->11}|", "", ":", ":", ":", ":", ":");
        let floor =
            self.0.first().map_or(f64::NAN, |(_, rounds)| median(rounds.iter().map(|round| round.rate).collect()));
        for (server, rounds) in &self.0 {
            let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
            let (user, system) = (of(&|round| round.user), of(&|round| round.system));
            let (total, rate) = (of(&|round| round.user + round.system), of(&|round| round.rate));
            println!(
                "| {server:<34} | {user:>7.2} | {system:>7.2} | {total:>7.2} | {rate:>9.0} | {:>9.3} |",
                rate / floor
            );
        }
    }
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The machine, as far as the figures depend on it.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |of| of.1);
    format!("{} × {model}, Linux {}", super::cpu::cores(), read("/proc/sys/kernel/osrelease").trim())
}
