//! From the name in a question to the wide IP that answers it.

use super::ids::index;
use super::names::{OfName, OfView};
use super::{Tables, ViewId, WideIpId};
use crate::status::Enabled;
use crate::wire::{NameKey, RecordType};

/// The wide IPs of a name.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    tables: &'a Tables,
    names: &'a OfView,
    key: &'a NameKey,
    exact: Option<&'a OfName>,
}

impl Tables {
    /// The wide IPs of a name in the first view, as [`Self::find_in`].
    #[inline]
    pub fn find<'a>(&'a self, key: &'a NameKey) -> Option<Owner<'a>> {
        self.find_in(ViewId::default(), key)
    }

    /// The wide IPs of a name in a view, exact names and aliases before patterns; none when no enabled one has it.
    #[inline]
    pub fn find_in<'a>(&'a self, view: ViewId, key: &'a NameKey) -> Option<Owner<'a>> {
        let names = self.layout.names.of(view)?;
        let exact = names.exact(key);
        let is_owned = exact.is_some_and(|of_name| of_name.iter().any(|(_, id)| self.is_enabled(id)))
            || names.pattern(key, |_, id| self.is_enabled(id)).is_some();
        is_owned.then_some(Owner { tables: self, names, key, exact })
    }

    /// The wide IP, enabled or not, that a name and type belong to in a view, so that no record of a zone can stand there:
    /// one of the type, else one of type CNAME, which answers for all. A CNAME record stands beside no wide IP. For type
    /// ANY, one that stands at exactly this name.
    pub fn owner_in(&self, view: ViewId, key: &NameKey, record_type: RecordType) -> Option<WideIpId> {
        self.layout.names.of(view)?.owner(key, record_type)
    }

    /// Whether a wide IP is enabled; one that is not is as if it were not there.
    #[inline]
    pub fn is_enabled(&self, id: WideIpId) -> bool {
        self.wide_ips.get(index(id.0)).is_some_and(|row| row.head.enabled == Enabled::Enabled)
    }
}

impl Owner<'_> {
    /// The enabled wide IP of exactly this type.
    #[inline]
    pub fn wide_ip(&self, record_type: RecordType) -> Option<WideIpId> {
        let is_wanted = |of: RecordType, id: WideIpId| of == record_type && self.tables.is_enabled(id);
        let exact = self.exact.and_then(|of_name| of_name.iter().find(|(of, id)| is_wanted(*of, *id)));
        exact.map(|(_, id)| id).or_else(|| self.names.pattern(self.key, is_wanted))
    }

    /// The enabled wide IP that answers a question of this type: of the type itself, else a CNAME one.
    #[inline]
    pub fn answering(&self, record_type: RecordType) -> Option<WideIpId> {
        self.wide_ip(record_type).or_else(|| self.wide_ip(RecordType::CNAME))
    }
}
