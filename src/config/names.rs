//! The names of configured objects: who bears which, and what was probably meant by one that nobody bears.

use std::collections::HashMap;

use super::issues::{Issues, nearest};
use super::limits::OBJECT_NAME_LENGTH_MAX;
use super::node::{Node, Place, Shortened};

/// The objects of one kind by name. One that is wrong is known, so that a reference to it is no second error.
#[derive(Debug)]
pub(crate) struct Names<'a, T> {
    kind: &'static str,
    known: HashMap<&'a str, Option<T>>,
}

impl<'a, T: Copy> Names<'a, T> {
    /// No names yet; `kind` is what messages call the objects.
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, known: HashMap::new() }
    }

    /// Adds an object, `None` for one that is wrong.
    pub(crate) fn insert(&mut self, name: &'a str, object: Option<T>) {
        self.known.insert(name, object);
    }

    /// The object of this name, `Some(None)` where it is wrong.
    pub(crate) fn known(&self, name: &str) -> Option<Option<T>> {
        self.known.get(name).copied()
    }

    /// The object of this name; that there is none is reported at `place`.
    pub(crate) fn find(&self, name: &str, place: &Place<'_>, issues: &Issues) -> Option<T> {
        if let Some(object) = self.known.get(name) {
            return *object;
        }
        if !issues.is_incomplete() && !issues.is_full() {
            let message = format!("there is no {} `{}`", self.kind, Shortened(name));
            issues.error_with_suggestion(place, message, nearest(name, self.known.keys().copied()));
        }
        None
    }
}

/// Reports a name that cannot stand in paths such as `server/virtual-server`, in certificates and in labels.
pub(crate) fn check_object_name(name: &str, place: &Place<'_>, issues: &Issues) {
    // A name is a value (`node: ns1`) or the key of what it names.
    let is_value = place.node().and_then(Node::text) == Some(name);
    let error =
        |message: String| if is_value { issues.error(place, message) } else { issues.error_at_key(place, message) };
    let bad = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')));
    if name.is_empty() {
        error("the name is empty".to_owned());
    } else if let Some(bad) = bad {
        error(format!("{bad:?} cannot stand in a name: letters, digits, `-`, `_`, `.` and `:` can"));
    } else if name.len() > OBJECT_NAME_LENGTH_MAX {
        error(format!("the name is longer than {OBJECT_NAME_LENGTH_MAX} characters"));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{check, load_text};

    #[test]
    fn names_are_short_and_plain() {
        check("datacenters: {'': {}}", "2:15: datacenters.: the name is empty");
        check(
            "pools: {'a b': {type: A, members: []}}",
            "2:9: pools.a b: ' ' cannot stand in a name: letters, digits, `-`, `_`, `.` and `:` can",
        );
        let long = "x".repeat(64);
        check(
            &format!("regions: {{{long}: [{{asn: 1}}]}}"),
            &format!("2:11: regions.{long}: the name is longer than 63 characters"),
        );
        assert_eq!(
            load_text("node: a/b").err().unwrap(),
            ["1:7: node: '/' cannot stand in a name: letters, digits, `-`, `_`, `.` and `:` can"]
        );
    }
}
