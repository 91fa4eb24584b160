//! Client address → location → class; regions and topology records with their scores.
//!
//! # Invariants
//! - Pure over loaded data: databases are handed in as bytes, nothing is opened here.
//! - A look-up locks and allocates nothing.

mod rule;

pub use rule::{Condition, Continent, Match, Prefix, Record, Region, Rules};
