//! Reasons of verdicts heard lately, shared: a thousand virtual servers that passed have one text, which stays in the
//! processor's cache while a publish counts the references to it.

use std::collections::HashSet;
use std::sync::Arc;

/// How many different ones are shared. With more of them, as when each tells a time of its own, sharing starts anew.
const REASONS_MAX: usize = 1024;

/// The reasons given lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(HashSet<Arc<str>>);

impl Reasons {
    /// The same text as was given before, if it was.
    pub(super) fn share(&mut self, reason: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(reason) {
            return Arc::clone(known);
        }
        if self.0.len() >= REASONS_MAX {
            self.0.clear();
        }
        self.0.insert(Arc::clone(reason));
        Arc::clone(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_given_again_is_the_same_text_and_not_all_are_kept() {
        let mut reasons = Reasons::default();
        let first = reasons.share(&"passed".into());
        assert!(Arc::ptr_eq(&first, &reasons.share(&"passed".into())));
        for number in 0..5000 {
            assert_eq!(*reasons.share(&format!("took {number} ms").into()), *format!("took {number} ms"));
        }
        assert!(reasons.0.len() <= REASONS_MAX);
    }
}
