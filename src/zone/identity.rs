//! Which zone is meant: a name alone does not say it where views serve different zones of one name.

use std::fmt;
use std::sync::Arc;

use crate::wire::Name;

/// The name of a view: what clients of one kind are served. Cheap to copy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ViewName(Option<Arc<str>>);

/// The identity of a zone, the same before and after a reload or restart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId {
    /// The view whose clients are served it.
    pub view: ViewName,
    /// The zone's name.
    pub apex: Name,
}

/// The name of the view that there is without a configured one.
const DEFAULT: &str = "default";

impl ViewName {
    /// The view of that name; `default` is the same as [`ViewName::default`].
    pub fn new(name: &str) -> Self {
        Self((name != DEFAULT).then(|| name.into()))
    }

    /// Whether it is the view that there is without a configured one.
    pub const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT)
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ZoneId {
    /// The zone of that name in a view.
    pub const fn new(view: ViewName, apex: Name) -> Self {
        Self { view, apex }
    }
}

impl From<Name> for ZoneId {
    /// The zone of that name in the view `default`.
    fn from(apex: Name) -> Self {
        Self { view: ViewName::default(), apex }
    }
}

impl fmt::Display for ZoneId {
    /// `example.com.`, and `example.com.@internal` in a view other than `default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.apex)?;
        if self.view.is_default() { Ok(()) } else { write!(f, "@{}", self.view) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_one_name_differ_by_view() {
        let apex: Name = "example.com.".parse().unwrap();
        let check = |view: &str, expected: &str| {
            let id = ZoneId::new(ViewName::new(view), apex.clone());
            assert_eq!(id.to_string(), expected);
            assert_eq!(id == ZoneId::from(apex.clone()), view == "default");
        };
        check("default", "example.com.");
        check("internal", "example.com.@internal");
        assert_eq!(ViewName::default().as_str(), "default");
    }
}
