//! What customers want to be called: in memory only, and only so many; the oldest are forgotten first.
//!
//! A name is personal data: it is never logged, never stored, and shown to desks beside an offer and nowhere else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tidegate_model::ids::{ConversationId, TenantId};

/// Names that are kept at most.
pub const NAMES_MAX: usize = 65_536;

/// The names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: HashMap<(TenantId, ConversationId), Arc<str>>,
    order: VecDeque<(TenantId, ConversationId)>,
}

impl Names {
    /// Keeps a name; the empty one forgets.
    pub(crate) fn keep(&mut self, key: (TenantId, ConversationId), name: &str) {
        if name.is_empty() {
            if self.names.remove(&key).is_some() {
                self.order.retain(|other| *other != key);
            }
            return;
        }
        if self.names.insert(key, Arc::from(name)).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    /// A name.
    pub(crate) fn of(&self, key: (TenantId, ConversationId)) -> Option<Arc<str>> {
        self.names.get(&key).cloned()
    }

    /// How many it holds.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_the_table_is_bounded() {
        let mut names = Names::default();
        let key = |i| (TenantId(1), ConversationId(i));
        for i in 0..=NAMES_MAX as u128 {
            names.keep(key(i), "Li Wei");
        }
        assert_eq!((names.len(), names.of(key(0)), names.of(key(1)).as_deref()), (NAMES_MAX, None, Some("Li Wei")));
        names.keep(key(1), "");
        assert_eq!((names.of(key(1)), names.len(), names.order.len()), (None, NAMES_MAX - 1, NAMES_MAX - 1));
    }
}
