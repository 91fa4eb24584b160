//! What people have enabled and disabled at run time, over what the configuration says.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Enabled, Moment, ObjectKind, Override};

/// The overrides in force, one per object at most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(HashMap<ObjectKind, HashMap<Arc<str>, Override>>);

impl Overrides {
    /// Sets, replaces or (without `enabled`) removes the override of one object. False when nothing changed.
    pub(super) fn set(&mut self, change: &Override) -> bool {
        let name = normal_name(change.kind, &change.name);
        let of_kind = self.0.entry(change.kind).or_default();
        if change.enabled.is_none() {
            return of_kind.remove(&name).is_some();
        }
        let new = Override { name: name.clone(), ..change.clone() };
        of_kind.insert(name, new.clone()).as_ref() != Some(&new)
    }

    /// Removes and names those that end by themselves at `now` or before.
    pub(super) fn end(&mut self, now: Moment) -> Vec<(ObjectKind, Arc<str>)> {
        let has_ended = |one: &Override| one.until.is_some_and(|until| until <= now);
        let of_kinds = self.0.iter_mut();
        let mut ended: Vec<_> = of_kinds
            .flat_map(|(&kind, of_kind)| {
                of_kind.extract_if(move |_, one| has_ended(one)).map(move |(name, _)| (kind, name))
            })
            .collect();
        ended.sort();
        ended
    }

    /// The override of one object; wide IPs are named `name/TYPE`, in any case, with or without the final dot.
    pub fn find(&self, kind: ObjectKind, name: &str) -> Option<&Override> {
        let of_kind = self.of_kind(kind)?;
        of_kind.get(name).or_else(|| of_kind.get(&normal_name(kind, name)))
    }

    /// Whether any object of the kind has an override: asked before names are put together to look one up.
    pub fn has(&self, kind: ObjectKind) -> bool {
        self.of_kind(kind).is_some()
    }

    /// Whether an object is wanted: the override if there is one, else what the configuration says.
    pub fn is_wanted(&self, kind: ObjectKind, name: &str, configured: bool) -> bool {
        let own = self.find(kind, name).and_then(|own| own.enabled);
        own.map_or(configured, |enabled| enabled == Enabled::Enabled)
    }

    /// Why a disabled object is disabled, in words.
    pub fn why_disabled(&self, kind: ObjectKind, name: &str) -> String {
        match self.find(kind, name) {
            Some(own) if own.reason.is_empty() => "disabled by an operator".to_owned(),
            Some(own) => format!("disabled by an operator: {}", own.reason),
            None => "disabled in the configuration".to_owned(),
        }
    }

    /// All of them, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = &Override> {
        let mut all: Vec<&Override> = self.0.values().flat_map(HashMap::values).collect();
        all.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        all.into_iter()
    }

    fn of_kind(&self, kind: ObjectKind) -> Option<&HashMap<Arc<str>, Override>> {
        self.0.get(&kind).filter(|of_kind| !of_kind.is_empty())
    }
}

/// The one spelling under which an object is kept: wide IPs are DNS names, so `WWW.example.com/a` is
/// `www.example.com./A`.
fn normal_name(kind: ObjectKind, name: &str) -> Arc<str> {
    if kind != ObjectKind::WideIp {
        return name.into();
    }
    let Some((name, record_type)) = name.rsplit_once('/') else { return name.into() };
    let dot = if name.ends_with('.') { "" } else { "." };
    format!("{}{dot}/{}", name.to_ascii_lowercase(), record_type.to_ascii_uppercase()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disable(kind: ObjectKind, name: &str, until: Option<u64>) -> Override {
        Override {
            kind,
            name: name.into(),
            enabled: Some(Enabled::Disabled),
            until: until.map(Moment::from_millis),
            reason: "test".into(),
        }
    }

    #[test]
    fn an_override_beats_the_configuration_until_it_is_removed() {
        let mut overrides = Overrides::default();
        assert!(overrides.is_wanted(ObjectKind::Pool, "web", true));
        assert!(overrides.set(&disable(ObjectKind::Pool, "web", None)));
        assert!(!overrides.set(&disable(ObjectKind::Pool, "web", None)), "the same again changes nothing");
        assert!(!overrides.is_wanted(ObjectKind::Pool, "web", true));
        assert!(overrides.is_wanted(ObjectKind::Server, "web", true), "of another kind");
        let enable = Override { enabled: Some(Enabled::Enabled), ..disable(ObjectKind::Pool, "web", None) };
        assert!(overrides.set(&enable));
        assert!(overrides.is_wanted(ObjectKind::Pool, "web", false));
        assert!(overrides.set(&Override { enabled: None, ..enable }));
        assert!(!overrides.is_wanted(ObjectKind::Pool, "web", false));
        assert!(!overrides.has(ObjectKind::Pool));
    }

    #[test]
    fn an_override_ends_by_itself() {
        let mut overrides = Overrides::default();
        overrides.set(&disable(ObjectKind::Pool, "short", Some(10)));
        overrides.set(&disable(ObjectKind::Pool, "long", Some(20)));
        assert_eq!(overrides.end(Moment::from_millis(9)), []);
        assert_eq!(overrides.end(Moment::from_millis(10)), [(ObjectKind::Pool, "short".into())]);
        assert_eq!(overrides.iter().count(), 1);
    }

    #[test]
    fn a_wide_ip_is_one_object_in_every_spelling() {
        let mut overrides = Overrides::default();
        overrides.set(&disable(ObjectKind::WideIp, "WWW.example.com/a", None));
        for spelling in ["www.example.com./A", "www.example.com/A", "www.EXAMPLE.com./a"] {
            assert!(overrides.find(ObjectKind::WideIp, spelling).is_some(), "{spelling}");
        }
        assert!(overrides.find(ObjectKind::WideIp, "www.example.com./AAAA").is_none());
    }
}
