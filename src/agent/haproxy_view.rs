//! A reading of HAProxy by name: frontends, and the backends and members behind each. Pure.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::haproxy_configuration::{Configuration, Frontend, bound_address};
use super::haproxy_stat::{Kind, Reading, Row};

/// Members that a reason names one by one.
const MEMBERS_NAMED_MAX: usize = 8;

/// A virtual server to report on: its frontend, name, address, and the backends the settings name.
pub(super) struct Subject<'a> {
    pub(super) frontend: &'a str,
    pub(super) name: Arc<str>,
    pub(super) address: SocketAddr,
    pub(super) backends: &'a [Arc<str>],
}

/// What stands behind a frontend.
pub(super) struct Behind<'a> {
    pub(super) backends: Vec<Backend<'a>>,
    /// Whether there may be more than those.
    pub(super) incomplete: bool,
}

/// A reading by name, and HAProxy's configuration if it could be read.
pub(super) struct View<'a> {
    /// In HAProxy's order.
    pub(super) frontends: Vec<&'a Row>,
    pub(super) by_name: HashMap<&'a str, &'a Row>,
    backends: HashMap<&'a str, Backend<'a>>,
    listeners: HashMap<&'a str, Vec<SocketAddr>>,
    configuration: Option<&'a Configuration>,
}

/// A backend and its members.
#[derive(Clone, Default)]
pub(super) struct Backend<'a> {
    name: &'a str,
    row: Option<&'a Row>,
    members: Vec<&'a Row>,
}

impl<'a> View<'a> {
    /// Sorts a reading's lines by name.
    pub(super) fn new(reading: &'a Reading, configuration: Option<&'a Configuration>) -> Self {
        let frontends: Vec<_> = reading.of(Kind::Frontend).collect();
        let by_name = frontends.iter().map(|row| (row.proxy.as_str(), *row)).collect();
        let mut view = Self { frontends, by_name, backends: HashMap::new(), listeners: HashMap::new(), configuration };
        for row in &reading.rows {
            let name = row.proxy.as_str();
            match row.kind {
                Kind::Frontend => {}
                Kind::Backend => view.backend(name).row = Some(row),
                Kind::Server => view.backend(name).members.push(row),
                Kind::Listener => view.listeners.entry(name).or_default().extend(bound_address(&row.address)),
            }
        }
        view
    }

    fn backend(&mut self, name: &'a str) -> &mut Backend<'a> {
        self.backends.entry(name).or_insert_with(|| Backend { name, ..Backend::default() })
    }

    /// The backends of a frontend; `None` when nothing tells them, or none of those told exists.
    pub(super) fn behind(&self, subject: &Subject<'a>) -> Option<Behind<'a>> {
        let (names, incomplete): (Vec<&str>, bool) = match (subject.backends, self.written(subject.frontend)) {
            (named @ [_, ..], _) => (named.iter().map(|name| &**name).collect(), false),
            ([], Some(written)) => (written.backends.iter().map(String::as_str).collect(), written.dynamic),
            ([], None) => (vec![subject.frontend], false),
        };
        let backends: Vec<_> = names.iter().filter_map(|name| self.backends.get(name).cloned()).collect();
        // A name that does not exist is a typing error, or of a file that HAProxy has not loaded yet.
        (names.is_empty() || incomplete || !backends.is_empty()).then_some(Behind { backends, incomplete })
    }

    /// The addresses clients can be given: of its listeners where HAProxy shows them, else as configured.
    pub(super) fn addresses(&self, frontend: &Row) -> Vec<SocketAddr> {
        let written = || self.written(&frontend.proxy).map(|written| written.addresses.clone()).unwrap_or_default();
        self.listeners.get(frontend.proxy.as_str()).filter(|shown| !shown.is_empty()).cloned().unwrap_or_else(written)
    }

    fn written(&self, frontend: &str) -> Option<&'a Frontend> {
        self.configuration?.frontends.get(frontend)
    }
}

impl Behind<'_> {
    /// The members of all backends.
    pub(super) fn members(&self) -> impl Iterator<Item = &&Row> {
        self.backends.iter().flat_map(|backend| &backend.members)
    }

    /// How many of them take new connections.
    pub(super) fn members_up(&self) -> usize {
        self.members().filter(|member| member.is_up()).count()
    }

    /// Requests that wait for a member.
    pub(super) fn queue(&self) -> u64 {
        self.backends.iter().filter_map(|backend| backend.row?.queue).sum()
    }

    fn counted(&self) -> String {
        let names: Vec<_> = self.backends.iter().map(|backend| backend.name).collect();
        let noun = match names.len() {
            0 => return "no backend is known by name".to_owned(),
            1 => "backend",
            _ => "backends",
        };
        format!("{} of {} members up in {noun} {}", self.members_up(), self.members().count(), names.join(", "))
    }

    /// Why the frontend is available although some of its backends may not be.
    pub(super) fn why_available(&self) -> String {
        if self.members().next().is_none() {
            let name = self.backends.first().map_or("", |backend| backend.name);
            return format!("the frontend is open and backend {name} answers by itself");
        }
        let dead: Vec<_> = self.backends.iter().filter(|backend| !backend.is_usable()).map(|b| b.name).collect();
        if dead.is_empty() { self.counted() } else { format!("{}; none in {}", self.counted(), dead.join(", ")) }
    }

    /// Why no backend can be used, member by member.
    pub(super) fn why_offline(&self) -> String {
        let word = |row: &&&Row| match row.check.as_str() {
            "" => format!("{}: {}", row.service, row.status),
            // Of a member in maintenance the last check says nothing.
            _ if row.status.starts_with("MAINT") => format!("{}: {}", row.service, row.status),
            check => format!("{}: {} {check}", row.service, row.status),
        };
        let mut words: Vec<_> = self.members().take(MEMBERS_NAMED_MAX).map(|row| word(&row)).collect();
        let total = self.members().count();
        if total > MEMBERS_NAMED_MAX {
            words.push(format!("and {} more", total - MEMBERS_NAMED_MAX));
        }
        if words.is_empty() { self.counted() } else { format!("{} ({})", self.counted(), words.join(", ")) }
    }
}

impl Backend<'_> {
    /// Whether it takes requests: a member is up and HAProxy says no other, or it has no members and HAProxy calls it up
    /// (it redirects, returns or shows statistics).
    pub(super) fn is_usable(&self) -> bool {
        let says_up = self.row.is_none_or(|row| row.status.starts_with("UP"));
        says_up && (self.members.is_empty() || self.members.iter().any(|member| member.is_up()))
    }
}
