//! Zones: text → records → name tree; look-up.
//!
//! # Invariants
//! - Pure: text is handed in, included files come through a function argument.
//! - A zone in use is never changed; a change makes a new value that shares all untouched parts.

mod record;

pub use record::{Record, Zone};
