//! Which view a query is answered from. Criteria are compiled: one search and two looks decide, whatever their number.

use std::net::{IpAddr, SocketAddr};

use crate::topology::Prefix;
use crate::wideip::ViewId;
use crate::wire::Name;

/// The most views: each is a bit of a word.
pub const VIEWS_MAX: usize = 64;

/// What a query must have to be answered from a view: of every list that is given, one entry. EDNS Client Subnet is
/// none of it: anybody can write any address there, and a view is what somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Criteria {
    /// The query comes from one of these.
    pub clients: Option<Vec<Prefix>>,
    /// The query came to one of these, as configured.
    pub listeners: Option<Vec<SocketAddr>>,
    /// The query is signed by one of these keys, and the signature is good.
    pub keys: Option<Vec<Name>>,
}

/// Where a query comes from, as far as views go.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'q> {
    /// The address it came from.
    pub client: IpAddr,
    /// The configured address of the listener it came to; none for a question that came over none.
    pub listener: Option<SocketAddr>,
    /// The key that signed it, once the signature was checked.
    pub key: Option<&'q Name>,
}

/// The criteria of all views, compiled. Masks have a bit for each view that may still be meant.
#[derive(Debug)]
pub struct Selector {
    criteria: Vec<Criteria>,
    ipv4: Ranges,
    ipv6: Ranges,
    listeners: Vec<(SocketAddr, u64)>,
    /// Of a listener that no view names.
    other_listener: u64,
    keys: Vec<(Name, u64)>,
    /// Of a key that no view names, and of no key.
    other_key: u64,
}

impl Selector {
    /// Compiles the criteria of views in their order; of more than [`VIEWS_MAX`] the rest is never meant.
    pub fn new(criteria: Vec<Criteria>) -> Self {
        let other_listener = mask(&criteria, |one| one.listeners.is_none());
        let other_key = mask(&criteria, |one| one.keys.is_none());
        let of_listener = |address: &SocketAddr| {
            let names = |one: &Criteria| one.listeners.as_ref().is_none_or(|all| all.contains(address));
            (*address, mask(&criteria, names))
        };
        let of_key =
            |key: &Name| (key.clone(), mask(&criteria, |one| one.keys.as_ref().is_none_or(|all| all.contains(key))));
        Self {
            ipv4: Ranges::new(&criteria, IpAddr::is_ipv4),
            ipv6: Ranges::new(&criteria, IpAddr::is_ipv6),
            listeners: criteria.iter().flat_map(|one| one.listeners.iter().flatten()).map(of_listener).collect(),
            other_listener,
            keys: criteria.iter().flat_map(|one| one.keys.iter().flatten()).map(of_key).collect(),
            other_key,
            criteria,
        }
    }

    /// The first view that takes the query.
    pub fn select(&self, origin: &Origin<'_>) -> Option<ViewId> {
        let of_listener = self.listeners.iter().find(|(address, _)| Some(*address) == origin.listener);
        let of_key = origin.key.and_then(|key| self.keys.iter().find(|(name, _)| name == key));
        let left = of_listener.map_or(self.other_listener, |(_, mask)| *mask)
            & of_key.map_or(self.other_key, |(_, mask)| *mask);
        let left = left
            & match origin.client.to_canonical() {
                IpAddr::V4(v4) => self.ipv4.of(u128::from(v4.to_bits())),
                IpAddr::V6(v6) => self.ipv6.of(v6.to_bits()),
            };
        (left != 0).then(|| ViewId(left.trailing_zeros()))
    }

    /// The criteria of a view.
    pub fn criteria(&self, view: ViewId) -> Option<&Criteria> {
        self.criteria.get(usize::try_from(view.0).ok()?)
    }
}

impl Criteria {
    /// Whether a query is taken, with the reason in words.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, origin: &Origin<'_>) -> Result<String, String> {
        let mut why = String::new();
        if let Some(clients) = &self.clients {
            let client = origin.client.to_canonical();
            let Some(prefix) = clients.iter().find(|one| has(one, client)) else {
                return Err(format!("the client {client} is in none of its subnets"));
            };
            why.push_str(&format!(", the client {client} is in {prefix}"));
        }
        if let Some(listeners) = &self.listeners {
            let Some(listener) = origin.listener else { return Err("it came over no listener that is known".into()) };
            if !listeners.contains(&listener) {
                return Err(format!("it came to {listener}, which is none of its listeners"));
            }
            why.push_str(&format!(", it came to {listener}"));
        }
        if let Some(keys) = &self.keys {
            let Some(key) = origin.key else { return Err("it is signed by no key".into()) };
            if !keys.contains(key) {
                return Err(format!("it is signed by {key}, which is none of its keys"));
            }
            why.push_str(&format!(", it is signed by {key}"));
        }
        Ok(why.get(2..).map_or_else(|| "it takes every query".to_owned(), str::to_owned))
    }

    /// Whether every query is taken.
    pub const fn takes_all(&self) -> bool {
        self.clients.is_none() && self.listeners.is_none() && self.keys.is_none()
    }
}

/// The views for which something holds.
fn mask(criteria: &[Criteria], holds: impl Fn(&Criteria) -> bool) -> u64 {
    let bits = (0..).map(bit).zip(criteria).filter(|(_, one)| holds(one));
    bits.fold(0, |mask, (bit, _)| mask | bit)
}

fn bit(view: u32) -> u64 {
    1_u64.checked_shl(view).unwrap_or(0)
}

/// Whether the address is of the prefix's family and in it.
fn has(prefix: &Prefix, address: IpAddr) -> bool {
    prefix.address.is_ipv4() == address.is_ipv4() && Prefix::around(address, prefix.length) == *prefix
}

/// The first and the last address, as numbers.
fn bounds(prefix: &Prefix) -> (u128, u128) {
    let (first, bits) = match prefix.address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128_u32),
    };
    let free = bits.saturating_sub(u32::from(prefix.length));
    let span = 1_u128.checked_shl(free).map_or(u128::MAX, |size| size.saturating_sub(1));
    (first, first | span)
}

/// For every address of a family the views that have it among their clients.
#[derive(Debug)]
struct Ranges {
    /// Where each range begins, ascending; the first begins at zero.
    starts: Vec<u128>,
    masks: Vec<u64>,
}

impl Ranges {
    fn new(criteria: &[Criteria], is_of_family: impl Fn(&IpAddr) -> bool) -> Self {
        let anybody = mask(criteria, |one| one.clients.is_none());
        // Where a prefix of a view begins, and behind where it ends.
        let mut edges: Vec<(u128, u32, bool)> = Vec::new();
        for (view, one) in (0..).zip(criteria) {
            for prefix in one.clients.iter().flatten().filter(|prefix| is_of_family(&prefix.address)) {
                let (first, last) = bounds(prefix);
                edges.push((first, view, true));
                edges.extend(last.checked_add(1).map(|behind| (behind, view, false)));
            }
        }
        edges.sort_unstable();
        let mut open = vec![0_usize; criteria.len()];
        let (mut starts, mut masks) = (vec![0], vec![anybody]);
        for (at, view, begins) in edges {
            let Some(count) = usize::try_from(view).ok().and_then(|view| open.get_mut(view)) else { continue };
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
            let bit = bit(view);
            let before = masks.last().copied().unwrap_or(anybody);
            let now = if *count > 0 { before | bit } else { before & !bit };
            if starts.last() == Some(&at) {
                masks.pop();
            } else {
                starts.push(at);
            }
            masks.push(now);
        }
        Self { starts, masks }
    }

    fn of(&self, address: u128) -> u64 {
        let behind = self.starts.partition_point(|start| *start <= address);
        self.masks.get(behind.wrapping_sub(1)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(text: &str) -> Option<Vec<Prefix>> {
        let one = |text: &str| {
            let (address, length) = text.split_once('/').unwrap();
            Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
        };
        (!text.is_empty()).then(|| text.split(' ').map(one).collect())
    }

    fn criteria(clients: &str, listeners: &str, keys: &str) -> Criteria {
        let listed = |text: &str| (!text.is_empty()).then(|| text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        Criteria {
            clients: prefixes(clients),
            listeners: listed(listeners).map(|all| all.iter().map(|one| one.parse().unwrap()).collect()),
            keys: listed(keys).map(|all| all.iter().map(|one| one.parse().unwrap()).collect()),
        }
    }

    #[test]
    fn the_first_view_that_has_all_it_names_is_meant() {
        let selector = Selector::new(vec![
            criteria("10.1.0.0/16 2001:db8::/32", "", "k."),
            criteria("", "192.0.2.1:53", ""),
            criteria("10.0.0.0/8 10.1.2.0/24", "", ""),
            criteria("", "", "k. other."),
        ]);
        let check = |client: &str, listener: &str, key: &str, expected: Option<u32>| {
            let key: Option<Name> = (!key.is_empty()).then(|| key.parse().unwrap());
            let origin = Origin { client: client.parse().unwrap(), listener: listener.parse().ok(), key: key.as_ref() };
            assert_eq!(selector.select(&origin), expected.map(ViewId), "{origin:?}");
        };
        check("10.1.2.3", "", "K.", Some(0));
        check("::ffff:10.1.2.3", "", "k.", Some(0));
        check("2001:db8::1", "", "k.", Some(0));
        check("10.1.2.3", "192.0.2.1:53", "", Some(1));
        check("10.1.2.3", "192.0.2.1:5353", "", Some(2));
        check("10.1.3.3", "", "unknown.", Some(2));
        check("203.0.113.1", "", "other.", Some(3));
        check("203.0.113.1", "", "", None);
        check("::a01:203", "", "", None);
    }

    #[test]
    fn the_compiled_form_says_what_the_criteria_say() {
        let clients = ["", "10.0.0.0/8", "10.0.0.0/9 10.128.0.0/9", "0.0.0.0/0", "10.1.0.0/16 11.0.0.0/8 10.1.4.4/32"];
        let clients = clients.into_iter().chain(["::/0", "255.255.255.255/32 ffff::/16", "2001:db8::/127"]);
        let clients: Vec<&str> = clients.collect();
        let (listeners, keys) = (["", "192.0.2.1:53", "[::]:53 192.0.2.1:53"], ["", "k.", "a. k."]);
        let origins: Vec<(IpAddr, Option<SocketAddr>, Option<Name>)> = {
            let clients = "9.255.255.255 10.0.0.0 10.1.4.4 10.127.255.255 10.128.0.0 10.255.255.255 11.0.0.1 0.0.0.0 \
                           255.255.255.255 :: 2001:db8::1 2001:db8::2 ffff:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
            let clients = clients.split_ascii_whitespace().map(|one| one.parse().unwrap());
            let with = |client| {
                let listeners = ["", "192.0.2.1:53", "[::]:53", "127.0.0.1:1"];
                listeners.map(|listener| ["", "k.", "b."].map(|key| (client, listener.parse().ok(), key.parse().ok())))
            };
            clients.flat_map(with).flatten().collect()
        };
        for number in 0..clients.len() * 3 * 3 {
            let nth = |number: usize| {
                criteria(clients[number % clients.len()], listeners[number / 8 % 3], keys[number / 24 % 3])
            };
            let views = vec![nth(number), nth(number * 7 + 3), nth(number * 5 + 1)];
            let selector = Selector::new(views.clone());
            for (client, listener, key) in &origins {
                let origin = Origin { client: *client, listener: *listener, key: key.as_ref() };
                let first = (0..).zip(&views).find(|(_, view)| view.judge(&origin).is_ok()).map(|(id, _)| ViewId(id));
                assert_eq!(selector.select(&origin), first, "{origin:?} {views:?}");
            }
        }
    }

    #[test]
    fn the_last_view_there_may_be_is_found_and_one_too_many_is_not() {
        let mut views = vec![criteria("", "", "k."); VIEWS_MAX - 1];
        let origin = Origin { client: IpAddr::from([192, 0, 2, 1]), listener: None, key: None };
        assert_eq!(Selector::new(views.clone()).select(&origin), None);
        views.push(Criteria::default());
        assert_eq!(Selector::new(views.clone()).select(&origin), Some(ViewId(63)));
        views.insert(0, criteria("", "", "k."));
        assert_eq!(Selector::new(views).select(&origin), None);
    }

    #[test]
    fn a_judgement_says_why() {
        let check = |view: Criteria, key: Option<&str>, expected: Result<&str, &str>| {
            let key: Option<Name> = key.map(|key| key.parse().unwrap());
            let origin = Origin {
                client: IpAddr::from([10, 1, 2, 3]),
                listener: "192.0.2.1:53".parse().ok(),
                key: key.as_ref(),
            };
            assert_eq!(view.judge(&origin), expected.map(str::to_owned).map_err(str::to_owned));
        };
        check(Criteria::default(), None, Ok("it takes every query"));
        check(
            criteria("10.0.0.0/8", "192.0.2.1:53", "k."),
            Some("k."),
            Ok("the client 10.1.2.3 is in 10.0.0.0/8, it came to 192.0.2.1:53, it is signed by k."),
        );
        check(criteria("11.0.0.0/8", "", ""), None, Err("the client 10.1.2.3 is in none of its subnets"));
        check(criteria("", "127.0.0.1:53", ""), None, Err("it came to 192.0.2.1:53, which is none of its listeners"));
        check(criteria("", "", "k."), Some("x."), Err("it is signed by x., which is none of its keys"));
        check(criteria("", "", "k."), None, Err("it is signed by no key"));
    }
}
