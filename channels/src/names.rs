//! Names behind symbols: inputs and transcripts carry queues and reasons as 64-bit symbols, people read text.
//!
//! The table is filled from configuration, and grows a little by reasons that desks use, up to a limit. It refuses to guess:
//! an unknown symbol is shown as `#` and sixteen hexadecimal digits. Lookups are for display only; no decision reads them.

use dashmap::DashMap;
use std::sync::Arc;
use tidegate_model::name::symbol;

/// Names that the table holds at most.
pub const NAMES_MAX: usize = 4_096;

/// Text of symbols.
#[derive(Debug, Default)]
pub struct NameTable {
    names: DashMap<u64, Arc<str>>,
}

impl NameTable {
    /// A table of the given names.
    pub fn new<I, S>(names: I) -> Arc<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let table = Self::default();
        for name in names {
            table.learn(name.as_ref());
        }
        Arc::new(table)
    }

    /// Adds a name; the empty one, and all past [`NAMES_MAX`], are passed over.
    pub fn learn(&self, name: &str) {
        if !name.is_empty() && self.names.len() < NAMES_MAX {
            self.names.entry(symbol(name)).or_insert_with(|| Arc::from(name));
        }
    }

    /// The text of a symbol; `None` for "no name".
    pub fn text(&self, symbol: u64) -> Option<Arc<str>> {
        if symbol == 0 {
            return None;
        }
        let known = self.names.get(&symbol).map(|entry| Arc::clone(entry.value()));
        Some(known.unwrap_or_else(|| Arc::from(format!("#{symbol:016x}").as_str())))
    }

    /// How many names it holds.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_unknown_none_and_limit() {
        let table = NameTable::new(["retail", ""]);
        assert_eq!(table.text(symbol("retail")).as_deref(), Some("retail"));
        assert_eq!(table.text(0), None);
        assert_eq!(table.text(5).as_deref(), Some("#0000000000000005"));
        for i in 0..10 * NAMES_MAX {
            table.learn(&format!("n{i}"));
        }
        assert_eq!(table.len(), NAMES_MAX);
    }
}
