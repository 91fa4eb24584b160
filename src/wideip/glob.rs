//! F5's name patterns: `*` for any characters, `?` for one; not RFC 4592's wildcards.

use std::collections::HashMap;

use crate::wire::{MAX_NAME_LENGTH, Name, NameKey, RecordType};

use super::WideIpId;

/// Every pattern, found by the whole labels behind its last wildcard.
///
/// Where several match, the one with the most literal characters wins, then the one with more `?`, then the one
/// configured first. A name with a dot inside a label matches no pattern.
#[derive(Debug, Clone, Default)]
pub(super) struct Globs {
    /// By the hash of the literal suffix, the best first. Equal hashes only cost a comparison: the whole is matched.
    by_suffix: HashMap<u64, Vec<Glob>>,
}

/// One pattern.
#[derive(Debug, Clone)]
struct Glob {
    /// Lower case, labels joined by dots.
    text: Box<[u8]>,
    literals: usize,
    questions: usize,
    record_type: RecordType,
    wide_ip: WideIpId,
}

impl Globs {
    /// Adds a pattern of a wide IP.
    pub(super) fn insert(&mut self, pattern: &Name, record_type: RecordType, wide_ip: WideIpId, seed: u64) {
        let is_wild = |octet: &u8| matches!(octet, b'*' | b'?');
        let labels: Vec<&[u8]> = pattern.labels().collect();
        let first_literal = labels.iter().rposition(|label| label.iter().any(is_wild)).map_or(0, |last| last + 1);
        let text = labels.join(&b'.').to_ascii_lowercase().into_boxed_slice();
        let glob = Glob {
            literals: text.iter().filter(|octet| !is_wild(octet)).count(),
            questions: text.iter().filter(|octet| **octet == b'?').count(),
            text,
            record_type,
            wide_ip,
        };
        let of_suffix = self.by_suffix.entry(NameKey::new(pattern, seed).hash(first_literal)).or_default();
        of_suffix.push(glob);
        of_suffix.sort_by_key(|glob| (std::cmp::Reverse(glob.rank()), glob.wide_ip));
    }

    /// Whether there is no pattern.
    pub(super) fn is_empty(&self) -> bool {
        self.by_suffix.is_empty()
    }

    /// The best pattern that matches the name and passes `accept`.
    pub(super) fn find(&self, key: &NameKey, accept: impl Fn(RecordType, WideIpId) -> bool) -> Option<WideIpId> {
        let mut buffer = [0; MAX_NAME_LENGTH];
        let text = dotted(key, &mut buffer)?;
        let mut best: Option<&Glob> = None;
        for label in 0..=key.label_count() {
            let of_suffix = self.by_suffix.get(&key.hash(label)).map(Vec::as_slice).unwrap_or_default();
            let found =
                of_suffix.iter().find(|glob| accept(glob.record_type, glob.wide_ip) && matches(&glob.text, text));
            if let Some(found) = found
                && best.is_none_or(|best| (found.rank(), best.wide_ip) > (best.rank(), found.wide_ip))
            {
                best = Some(found);
            }
        }
        best.map(|glob| glob.wide_ip)
    }
}

impl Glob {
    fn rank(&self) -> (usize, usize) {
        (self.literals, self.questions)
    }
}

/// Writes a name as its labels joined by dots; none when a label holds a dot itself.
fn dotted<'a>(key: &NameKey, buffer: &'a mut [u8; MAX_NAME_LENGTH]) -> Option<&'a [u8]> {
    let mut length = 0;
    for label in 0..key.label_count() {
        let octets = key.label(label).get(1..)?;
        if octets.contains(&b'.') {
            return None;
        }
        if label > 0 {
            *buffer.get_mut(length)? = b'.';
            length += 1;
        }
        buffer.get_mut(length..length + octets.len())?.copy_from_slice(octets);
        length += octets.len();
    }
    buffer.get(..length)
}

/// Whether a pattern matches a text; time is bounded by the product of their lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut in_pattern, mut in_text) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(&octet) = text.get(in_text) {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                last_star = Some((in_pattern, in_text));
                in_pattern += 1;
            }
            Some(&wanted) if wanted == octet || (wanted == b'?' && octet != b'.') => {
                in_pattern += 1;
                in_text += 1;
            }
            _ => {
                // The last star takes one character more, and the rest is tried again.
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                (in_pattern, in_text) = (star + 1, taken + 1);
            }
        }
    }
    pattern.get(in_pattern..).unwrap_or_default().iter().all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_cross_labels_and_question_marks_do_not() {
        let check = |pattern: &str, text: &str, expected| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        };
        check("*.example.com", "www.example.com", true);
        check("*.example.com", "a.b.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", "wwwxexample.com", false);
        check("www.?iterequest.com", "www.siterequest.com", true);
        check("www.?iterequest.com", "www.iterequest.com", false);
        check("a?b.com", "a.b.com", false);
        check("www*.example.com", "www.example.com", true);
        check("www*.example.com", "www12.x.example.com", true);
        check("www.example.*", "www.example.co.uk", true);
        check("*", "", true);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b*", "xxbxxaxx", false);
    }

    fn found(patterns: &[&str], name: &str) -> Option<u32> {
        let mut globs = Globs::default();
        for (id, pattern) in (0..).zip(patterns) {
            globs.insert(&pattern.parse().unwrap(), RecordType::A, WideIpId(id), 7);
        }
        globs.find(&NameKey::new(&name.parse().unwrap(), 7), |_, _| true).map(|id| id.0)
    }

    #[test]
    fn the_longest_literal_wins_then_more_question_marks_then_the_first() {
        let check = |patterns: &[&str], name: &str, expected| assert_eq!(found(patterns, name), expected, "{name}");
        let patterns = ["*.example.com.", "*.b.example.com.", "www*.example.com.", "w?w.example.*", "*"];
        check(&patterns, "x.example.com.", Some(0));
        check(&patterns, "x.b.example.com.", Some(1));
        check(&patterns, "WWW1.example.com.", Some(2));
        check(&patterns, "wow.example.net.", Some(3));
        check(&patterns, "else.", Some(4));
        check(&["*.example.", "?*.example."], "x.example.", Some(1));
        check(&["*.example.", "**.example."], "x.example.", Some(0));
        check(&patterns[..4], "else.", None);
        check(&patterns[..4], r"a\.example.com.", None);
    }

    #[test]
    fn a_long_name_and_pattern_take_bounded_time() {
        let pattern = format!("{}.x.", ["*a"; 31].concat());
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.b.x.");
        assert_eq!(found(&[&pattern.replace("a.x", "ac.x")], &name), None);
        assert!(!matches(["*a"; 100].concat().as_bytes(), "b".repeat(250).as_bytes()));
    }
}
