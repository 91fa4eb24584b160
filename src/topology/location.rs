//! Where an address is, as a location database tells it.

use std::fmt;

/// What the databases know of an address; whatever they do not know is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// The continent's two-letter code.
    pub continent: Option<String>,
    /// The country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The subdivisions, widest first: ISO 3166-2 code without the country, and English name.
    pub states: Vec<State>,
    /// The city's English name.
    pub city: Option<String>,
    /// The autonomous system.
    pub asn: Option<u32>,
    /// The organization that the autonomous system is registered to.
    pub as_organization: Option<String>,
}

/// A subdivision of a country.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// ISO 3166-2 code without the country.
    pub code: Option<String>,
    /// English name.
    pub name: Option<String>,
}

impl fmt::Display for Location {
    /// Writes `EU/DE/Berlin/Berlin AS64496 (Example)`, or `unlocated`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("unlocated");
        }
        let states = self.states.iter().filter_map(|state| state.code.as_deref().or(state.name.as_deref()));
        let mut parts = self.continent.as_deref().into_iter().chain(self.country.as_deref()).chain(states);
        let mut separator = "";
        for part in parts.by_ref().chain(self.city.as_deref()) {
            write!(f, "{separator}{part}")?;
            separator = "/";
        }
        if let Some(asn) = self.asn {
            write!(f, "{}AS{asn}", if separator.is_empty() { "" } else { " " })?;
        }
        match &self.as_organization {
            Some(organization) => write!(f, " ({organization})"),
            None => Ok(()),
        }
    }
}
