//! Which events somebody wants: names of kinds, or the first word of them with a star.
//!
//! `contact.ended`, `message.*`, `*`. An empty list means every kind. Unknown names are refused, with the nearest known one:
//! a subscription that would never hear anything is a mistake. It refuses to know tenants and conversations.

use super::fact::{Fact, KINDS};

/// Patterns of one filter.
pub const PATTERNS_MAX: usize = 32;

/// See the module head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filter(u32);

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Unknown.
    #[error("no event is called {pattern:?}; kinds are: {}", KINDS.join(", "))]
    Unknown {
        /// The head of what was asked.
        pattern: String,
    },
    /// Too many.
    #[error("{found} patterns; at most {PATTERNS_MAX} are allowed")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl Filter {
    /// Every kind.
    pub const ALL: Self = Self(u32::MAX);

    /// Reads a list of patterns; an empty one is [`Self::ALL`].
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let patterns: Vec<&str> = patterns.into_iter().collect();
        if patterns.is_empty() {
            return Ok(Self::ALL);
        }
        if patterns.len() > PATTERNS_MAX {
            return Err(FilterError::TooMany { found: patterns.len() });
        }
        let mut bits = 0;
        for pattern in patterns {
            let before = bits;
            for (kind, name) in KINDS.iter().enumerate() {
                let hit = match pattern.strip_suffix('*') {
                    Some("") => true,
                    Some(head) => head.ends_with('.') && name.starts_with(head),
                    None => *name == pattern,
                };
                bits |= u32::from(hit) << kind;
            }
            if bits == before && !is_known(pattern) {
                return Err(FilterError::Unknown { pattern: pattern.chars().take(64).collect() });
            }
        }
        Ok(Self(bits))
    }

    /// Whether it wants the event. A ping is for whoever it is sent to.
    #[must_use]
    pub fn wants(self, fact: &Fact) -> bool {
        matches!(fact, Fact::Ping) || self.0 >> fact.kind() & 1 == 1
    }

    /// The kinds it wants, by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        KINDS.iter().enumerate().filter(move |(kind, _)| self.0 >> kind & 1 == 1).map(|(_, name)| *name)
    }
}

fn is_known(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(head) => head.ends_with('.') && KINDS.iter().any(|name| name.starts_with(head)),
        None => KINDS.contains(&pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, FilterError, PATTERNS_MAX};
    use crate::events::KINDS;

    #[test]
    fn patterns_name_kinds_or_their_first_word() {
        let check = |patterns: &[&str]| Filter::of(patterns.iter().copied()).map(|f| f.names().collect::<Vec<_>>());
        assert_eq!(check(&["contact.ended"]).as_deref(), Ok(&["contact.ended"][..]));
        assert_eq!(check(&["message.*"]).as_deref(), Ok(&["message.from_customer", "message.from_agent"][..]));
        assert_eq!(check(&["message.*", "message.from_agent"]).map(|n| n.len()), Ok(2), "twice is once");
        assert_eq!(check(&[]).map(|n| n.len()), Ok(KINDS.len()));
        assert_eq!(check(&["*"]).map(|n| n.len()), Ok(KINDS.len()));
        for wrong in ["", "message", "message.", "mess*", "Contact.ended", "contact.ended ", "nothing.*"] {
            assert!(matches!(check(&[wrong]), Err(FilterError::Unknown { .. })), "{wrong:?}");
        }
        assert!(check(&["*"; PATTERNS_MAX]).is_ok());
        for count in [PATTERNS_MAX + 1, PATTERNS_MAX * 10] {
            assert_eq!(Filter::of(vec!["*"; count]), Err(FilterError::TooMany { found: count }));
        }
    }
}
