//! From a name to the wide IPs that have it in a view: exact names and aliases in one probe, then patterns.

use std::collections::HashMap;

use super::glob::Globs;
use super::ids::index;
use super::{Model, Pattern, ViewId, WideIpId};
use crate::wire::{Name, NameKey, NameMap, RecordType};
use crate::zone::ViewName;

/// Every name and pattern of every wide IP, for each view.
#[derive(Debug, Clone)]
pub struct NameIndex {
    /// Apart from the others, so that a configuration without views looks here without another step.
    first: OfView,
    others: Box<[OfView]>,
    pub(super) seed: u64,
}

/// Every name and pattern of the wide IPs of one view.
#[derive(Debug, Clone)]
pub(super) struct OfView {
    exact: NameMap<OfName>,
    globs: Globs,
}

/// The wide IPs of one exact name, one per type: the first stands here so that most names cost no further cache miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfName {
    first: (RecordType, WideIpId),
    others: Box<[(RecordType, WideIpId)]>,
}

impl OfName {
    /// Every one.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (RecordType, WideIpId)> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }
}

impl NameIndex {
    /// Indexes a model's names under `seed`. Where two wide IPs of a view have one name and type the first counts.
    pub fn build(model: &Model, seed: u64) -> Self {
        let (first, others) =
            model.views.split_first().map_or((ViewName::default(), &[][..]), |(first, others)| (first.clone(), others));
        let others = others.iter().map(|view| OfView::build(model, view, seed)).collect();
        Self { first: OfView::build(model, &first, seed), others, seed }
    }

    /// The names of one view.
    #[inline]
    pub(super) fn of(&self, view: ViewId) -> Option<&OfView> {
        match view.0.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(index(other)),
        }
    }

    /// Every wide IP that answers for a name, one per type and view: exact before patterns. For what CNAME members point
    /// to, whose pools all views share.
    pub fn all(&self, name: &Name) -> Vec<WideIpId> {
        let key = NameKey::new(name, self.seed);
        std::iter::once(&self.first).chain(&self.others).flat_map(|view| view.all(&key)).collect()
    }
}

impl OfView {
    fn build(model: &Model, view: &ViewName, seed: u64) -> Self {
        let mut globs = Globs::default();
        let mut exact: HashMap<&Name, Vec<(RecordType, WideIpId)>> = HashMap::new();
        let wide_ips = (0..).map(WideIpId).zip(&model.wide_ips).filter(|(_, wide_ip)| wide_ip.view == *view);
        for (id, wide_ip) in wide_ips {
            for pattern in std::iter::once(&wide_ip.name).chain(&wide_ip.aliases) {
                match pattern {
                    Pattern::Glob(name) => globs.insert(name, wide_ip.record_type, id, seed),
                    Pattern::Exact(name) => {
                        let of_name = exact.entry(name).or_default();
                        if !of_name.iter().any(|(record_type, _)| *record_type == wide_ip.record_type) {
                            of_name.push((wide_ip.record_type, id));
                        }
                    }
                }
            }
        }
        let entries = exact.into_iter().filter_map(|(name, of_name)| {
            let (first, others) = of_name.split_first()?;
            Some((name.clone(), OfName { first: *first, others: others.into() }))
        });
        Self { exact: NameMap::build(entries, seed), globs }
    }

    /// The wide IPs that have exactly this name.
    #[inline]
    pub(super) fn exact(&self, key: &NameKey) -> Option<&OfName> {
        self.exact.get(key, 0)
    }

    /// The first of the wide IPs that have exactly this name.
    #[inline]
    pub(super) fn first(&self, key: &NameKey) -> Option<WideIpId> {
        self.exact(key).map(|of_name| of_name.first.1)
    }

    /// Reads where [`Self::exact`] begins.
    #[inline]
    pub(super) fn touch_tag(&self, key: &NameKey) -> u64 {
        self.exact.touch_tag(key)
    }

    /// Reads the name that [`Self::exact`] compares first.
    #[inline]
    pub(super) fn touch_entry(&self, key: &NameKey) -> u64 {
        self.exact.touch_entry(key)
    }

    /// The wide IP that owns a name and type, as [`Tables::owner_in`](super::Tables::owner_in) has it.
    pub(super) fn owner(&self, key: &NameKey, record_type: RecordType) -> Option<WideIpId> {
        let mut exact = self.exact(key).into_iter().flat_map(OfName::iter);
        if record_type == RecordType::ANY {
            return exact.next().map(|(_, id)| id);
        }
        let is_same = |of: RecordType| of == record_type;
        let excludes = |of: RecordType| of == RecordType::CNAME || record_type == RecordType::CNAME;
        let find = |is_owner: &dyn Fn(RecordType) -> bool| {
            let exact = self.exact(key).into_iter().flat_map(OfName::iter).find(|(of, _)| is_owner(*of));
            exact.map(|(_, id)| id).or_else(|| self.pattern(key, |of, _| is_owner(of)))
        };
        find(&is_same).or_else(|| find(&excludes))
    }

    /// The best pattern that matches the name and passes `accept`.
    pub(super) fn pattern(&self, key: &NameKey, accept: impl Fn(RecordType, WideIpId) -> bool) -> Option<WideIpId> {
        if self.globs.is_empty() { None } else { self.globs.find(key, accept) }
    }

    fn all(&self, key: &NameKey) -> Vec<WideIpId> {
        let mut found: Vec<(RecordType, WideIpId)> = self.exact(key).into_iter().flat_map(OfName::iter).collect();
        for record_type in [RecordType::A, RecordType::AAAA, RecordType::CNAME] {
            if !found.iter().any(|(known, _)| *known == record_type)
                && let Some(id) = self.pattern(key, |of_glob, _| of_glob == record_type)
            {
                found.push((record_type, id));
            }
        }
        found.into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::wideip::fixture::{SEED, World, name, pool, wide_ip};
    use crate::wideip::{NameIndex, Pattern, WideIp, WideIpId};
    use crate::wire::{NameKey, RecordType};

    fn of_type(text: &str, record_type: RecordType) -> WideIp {
        WideIp { record_type, ..wide_ip(text, &[0]) }
    }

    #[test]
    fn an_exact_name_comes_before_patterns_for_each_type() {
        let mut www = of_type("www.example.", RecordType::A);
        www.aliases = vec![Pattern::Exact(name("alias.example.net.")), Pattern::Glob(name("?lias.example.org."))];
        let wide_ips = vec![
            of_type("*.example.", RecordType::A),
            of_type("*.example.", RecordType::AAAA),
            www,
            of_type("www.example.", RecordType::CNAME),
        ];
        let world = World::new(vec![pool("p", "a")], wide_ips);
        let check = |text: &str, record_type, expected| {
            assert_eq!(world.find(text, record_type), expected, "{text} {record_type}");
        };
        check("WWW.Example.", RecordType::A, Some(2));
        check("www.example.", RecordType::AAAA, Some(1));
        check("www.example.", RecordType::CNAME, Some(3));
        check("www.example.", RecordType::TXT, None);
        check("other.example.", RecordType::A, Some(0));
        check("other.example.", RecordType::CNAME, None);
        check("alias.example.net.", RecordType::A, Some(2));
        check("blias.example.org.", RecordType::A, Some(2));
        check("example.", RecordType::A, None);
        let key = NameKey::new(&name("www.example."), SEED);
        let owner = world.tables.find(&key).unwrap();
        assert_eq!(owner.answering(RecordType::A), Some(WideIpId(2)));
        assert_eq!(owner.answering(RecordType::TXT), Some(WideIpId(3)), "a CNAME answers for every type");
        assert!(world.tables.find(&NameKey::new(&name("example."), SEED)).is_none());
    }

    #[test]
    fn what_a_cname_member_names_are_the_wide_ips_of_every_type() {
        let wide_ips = vec![
            of_type("www.example.", RecordType::A),
            of_type("*.example.", RecordType::A),
            of_type("*.example.", RecordType::AAAA),
            of_type("www.example.", RecordType::A),
        ];
        let index = NameIndex::build(&World::new(vec![pool("p", "a")], wide_ips).model, 3);
        let check = |text: &str, expected: &[u32]| {
            assert_eq!(index.all(&name(text)), expected.iter().map(|&id| WideIpId(id)).collect::<Vec<_>>(), "{text}");
        };
        check("www.example.", &[0, 2]);
        check("x.example.", &[1, 2]);
        check("example.", &[]);
    }
}
