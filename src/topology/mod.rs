//! Client address → location → class; regions and topology records with their scores.
//!
//! # Invariants
//! - Pure over loaded data: databases are handed in as bytes, nothing is opened here.
//! - A look-up locks and allocates nothing.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod check;
mod compile;
mod database;
mod error;
mod lists;
mod location;
mod matches;
mod order;
mod ranges;
mod regions;
mod rule;
mod table;

pub use error::{Database, Rule, TopologyError};
pub use location::{Location, State};
pub use rule::{Condition, Continent, Match, Prefix, Record, Region, Rules};
pub use table::{AnswerClass, Candidate, ClassId, Place, Topology};
