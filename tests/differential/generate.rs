//! Zones and questions made from a seed: names that collide, wildcards, empty non-terminals, cuts with glue, aliases,
//! DNAMEs and every type of record; only what all three servers load.

use std::collections::{BTreeMap, BTreeSet};

/// A small generator of numbers (splitmix64): the same on every machine.
pub(crate) struct Draw(pub u64);

impl Draw {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

pub(crate) const APEX: &str = "diff.test.";
const LABELS: &[&str] = &["a", "b", "c", "d", "*", "www", "x-1", "_tcp", "A\\.dot", "\\000\\255", "E"];

/// Types that may stand beside each other, with RDATA; `@N` stands for a name of the zone or outside it.
const PLAIN: &[(&str, &[&str])] = &[
    ("A", &["192.0.2.1", "192.0.2.2", "198.51.100.77"]),
    ("AAAA", &["2001:db8::1", "2001:db8::2"]),
    ("TXT", &["\"one\"", "\"two\" \"strings\"", "\"quo\\\"te \\007\""]),
    ("MX", &["10 @N", "20 @N"]),
    ("SRV", &["1 2 443 @N", "0 0 0 ."]),
    ("PTR", &["@N"]),
    ("NAPTR", &["100 10 \"S\" \"SIP+D2U\" \"\" @N", "1 2 \"U\" \"E2U+sip\" \"!^.*$!sip:x@example.org!\" ."]),
    ("HINFO", &["\"cpu\" \"os\""]),
    ("CAA", &["0 issue \"ca.example.net\"", "128 tbs \"Unknown\""]),
    ("TLSA", &["3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]),
    ("SSHFP", &["4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"]),
    ("LOC", &["42 21 54 N 71 06 18 W -24m 30m"]),
    ("URI", &["10 1 \"https://www.example.org/path\""]),
    ("RP", &["@N @N"]),
    ("AFSDB", &["1 @N"]),
    ("TYPE65280", &["\\# 4 0a000001", "\\# 2 ffff"]),
    ("SVCB", &["1 @N alpn=h2,h3 port=8443"]),
    ("HTTPS", &["1 . alpn=h3 ipv4hint=192.0.2.9", "0 @N"]),
    ("EUI48", &["00-00-5e-00-53-2a"]),
];

/// One record in text: owner, type, RDATA.
pub(crate) type Line = (String, String, String);

/// What was made: the records and every name that questions may start from.
pub(crate) struct World {
    pub(crate) lines: Vec<Line>,
    pub(crate) names: Vec<String>,
}

impl World {
    pub(crate) fn master_file(&self) -> String {
        let mut text = format!("$ORIGIN {APEX}\n$TTL 3600\n");
        for (owner, record_type, rdata) in &self.lines {
            text += &format!("{owner} IN {record_type} {rdata}\n");
        }
        text
    }
}

/// What a name holds, so that what would be refused is not made.
#[derive(Default)]
struct Held {
    alias: bool,
    plain: bool,
    divides: bool,
    types: BTreeSet<String>,
}

fn ancestors(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = name.to_owned();
    while rest != APEX {
        let cut = (0..rest.len()).find(|&i| rest.as_bytes()[i] == b'.' && (i == 0 || rest.as_bytes()[i - 1] != b'\\'));
        rest = rest[cut.unwrap() + 1..].to_owned();
        all.push(rest.clone());
    }
    all
}

/// Makes a zone of about `size` names.
pub(crate) fn world(seed: u64, size: usize) -> World {
    let mut draw = Draw(seed);
    let mut names: Vec<String> = vec![APEX.to_owned()];
    while names.len() < size {
        let parent = names[draw.below(names.len())].clone();
        let name = format!("{}.{parent}", draw.pick(LABELS));
        if name.len() < 120 && !names.contains(&name) {
            names.push(name);
        }
    }
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    let mut lines: Vec<Line> = vec![
        (APEX.to_owned(), "SOA".to_owned(), format!("ns1.{APEX} host.{APEX} 7 3600 600 86400 300")),
        (APEX.to_owned(), "NS".to_owned(), format!("ns1.{APEX}")),
        (APEX.to_owned(), "NS".to_owned(), "ns.elsewhere.example.".to_owned()),
        (format!("ns1.{APEX}"), "A".to_owned(), "192.0.2.53".to_owned()),
    ];
    held.entry(APEX.to_owned()).or_default().plain = true;
    held.entry(format!("ns1.{APEX}")).or_default().plain = true;
    // Aliases point from a name to one made later, so that no chain comes back to itself.
    for index in 1..names.len() {
        let name = names[index].clone();
        let above = ancestors(&name);
        let covered = above.iter().any(|above| held.get(above).is_some_and(|held| held.divides));
        let is_parent = names.iter().any(|other| ancestors(other).contains(&name));
        let has_wildcard = name.contains('*');
        if covered || held.contains_key(&name) {
            continue;
        }
        let later = |draw: &mut Draw, names: &[String]| match draw.below(5) {
            0 => "www.example.org.".to_owned(),
            1 => format!("missing.{}", names[draw.below(names.len())]),
            _ if index + 1 < names.len() => names[index + 1 + draw.below(names.len() - index - 1)].clone(),
            _ => APEX.to_owned(),
        };
        match draw.below(12) {
            0 | 1 => {
                lines.push((
                    name.clone(),
                    "CNAME".to_owned(),
                    later(&mut draw, &names).replace("missing.*", "missing"),
                ));
                held.entry(name).or_default().alias = true;
            }
            2 if !has_wildcard && !is_parent => {
                let target = format!("dn{}.target.{APEX}", draw.below(3));
                lines.push((name.clone(), "DNAME".to_owned(), target));
                held.entry(name).or_default().divides = true;
            }
            3 if !has_wildcard => {
                lines.push((name.clone(), "NS".to_owned(), format!("ns.{name}")));
                lines.push((format!("ns.{name}"), "A".to_owned(), "192.0.2.60".to_owned()));
                if draw.below(2) == 0 {
                    lines.push((name.clone(), "NS".to_owned(), format!("ns1.{APEX}")));
                    lines.push((format!("ns.{name}"), "AAAA".to_owned(), "2001:db8::60".to_owned()));
                }
                if draw.below(3) == 0 {
                    let digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
                    lines.push((name.clone(), "DS".to_owned(), format!("12345 8 2 {digest}")));
                }
                held.entry(name).or_default().divides = true;
            }
            4 => {} // an empty non-terminal if something stands below
            _ => {
                for _ in 0..1 + draw.below(4) {
                    let (record_type, choices) = PLAIN[draw.below(PLAIN.len())];
                    if !held.entry(name.clone()).or_default().types.insert(record_type.to_owned()) {
                        continue;
                    }
                    for choice in &choices[..1 + draw.below(choices.len())] {
                        // NSD and Knot fold names in RDATA, we keep them as written: only lower case can be compared.
                        let target = names[draw.below(names.len())].replace('*', "star").to_lowercase();
                        lines.push((name.clone(), record_type.to_owned(), choice.replace("@N", &target)));
                    }
                }
                held.entry(name).or_default().plain = true;
            }
        }
    }
    for index in 0..3 {
        lines.push((format!("host.dn{index}.target.{APEX}"), "A".to_owned(), format!("192.0.2.{}", 100 + index)));
    }
    lines.push((format!("*.dn1.target.{APEX}"), "TXT".to_owned(), "\"wild behind a DNAME\"".to_owned()));
    World { lines, names }
}

/// Questions about names that exist, nearly exist and do not.
pub(crate) fn questions(world: &World, seed: u64, count: usize) -> Vec<(String, String)> {
    const EXTRA: &[&str] = &["A", "AAAA", "NS", "SOA", "DS", "CNAME", "DNAME", "TXT", "MX", "TYPE4711", "NSEC", "SPF"];
    let mut draw = Draw(seed);
    let owners: Vec<&String> = world.lines.iter().map(|(owner, ..)| owner).chain(&world.names).collect();
    let mut all = BTreeSet::new();
    for (owner, record_type, _) in &world.lines {
        all.insert((owner.clone(), record_type.clone()));
    }
    while all.len() < count {
        let owner = owners[draw.below(owners.len())].clone();
        let name = match draw.below(6) {
            0 | 1 => owner,
            2 => format!("{}.{owner}", draw.pick(LABELS)),
            3 => format!("none.{owner}"),
            4 => format!("host.{}.{owner}", draw.pick(LABELS)),
            _ => ancestors(&owner).first().cloned().unwrap_or(owner),
        };
        let record_type = match draw.below(3) {
            0 => PLAIN[draw.below(PLAIN.len())].0,
            _ => draw.pick(EXTRA),
        };
        if name.len() < 200 {
            all.insert((name, record_type.to_owned()));
        }
    }
    all.into_iter().collect()
}
