//! Who may do what: six roles, the permissions that routes ask for, and the one table that joins them.
//!
//! A role is what a person or a program is; a permission is what one route needs. Routes name permissions and never roles, so
//! that the whole of "who may do what" stands in [`TABLE`], and a test compares it with `docs/operating/roles.md`. Roles are
//! not ordered: a planner reads more than an agent and changes nothing that an agent may change. It refuses to know tokens,
//! tenants and routes.
//!
//! Drive it: [`Role::may`].

use std::fmt;
use std::str::FromStr;

/// What a person or a program is to the floor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Watches figures.
    Viewer,
    /// Serves customers at one seat of its own.
    Agent,
    /// Watches and helps agents.
    Supervisor,
    /// Runs the floor and the platform's programs.
    Operator,
    /// Plans: reads figures and tries policies.
    Planner,
    /// Everything but a seat of its own.
    Admin,
}

/// What a route needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Permission {
    /// Reads figures: status, metrics.
    ReadFigures,
    /// Reads the floor: seats, queues, contacts, conversations without bodies.
    ReadFloor,
    /// Reads what was said.
    ReadTranscripts,
    /// Opens conversations and speaks for customers, as a platform does.
    ActAsCustomer,
    /// Works at the token's own seat.
    ActAsOwnSeat,
    /// Forces presence, transfers and ends at any seat.
    ActAtAnySeat,
    /// Draws a short-lived desk token for a seat.
    IssueSeatTokens,
    /// Writes agents.
    WriteRoster,
    /// Reads policies.
    ReadPolicy,
    /// Tries a policy without activating it.
    CheckPolicy,
    /// Activates policies.
    WritePolicy,
    /// Writes accounts.
    WriteAccounts,
    /// Reads webhooks and what they could not deliver.
    ReadWebhooks,
    /// Writes webhooks, re-sends what they could not deliver.
    ManageWebhooks,
    /// Makes, lists, rotates and revokes API tokens.
    ManageTokens,
    /// Reads the audit.
    ReadAudit,
    /// Drains the node.
    Drain,
    /// Runs simulations on the node's records.
    Simulate,
}

use Permission as P;
use Role as R;

/// Who may do what: every permission once, with the roles that have it.
pub const TABLE: [(Permission, &[Role]); Permission::COUNT] = [
    (P::ReadFigures, &[R::Viewer, R::Supervisor, R::Operator, R::Planner, R::Admin]),
    (P::ReadFloor, &[R::Viewer, R::Supervisor, R::Operator, R::Planner, R::Admin]),
    (P::ReadTranscripts, &[R::Supervisor, R::Operator, R::Admin]),
    (P::ActAsCustomer, &[R::Operator, R::Admin]),
    (P::ActAsOwnSeat, &[R::Agent]),
    (P::ActAtAnySeat, &[R::Supervisor, R::Operator, R::Admin]),
    (P::IssueSeatTokens, &[R::Supervisor, R::Operator, R::Admin]),
    (P::WriteRoster, &[R::Operator, R::Admin]),
    (P::ReadPolicy, &[R::Viewer, R::Supervisor, R::Operator, R::Planner, R::Admin]),
    (P::CheckPolicy, &[R::Operator, R::Planner, R::Admin]),
    (P::WritePolicy, &[R::Admin]),
    (P::WriteAccounts, &[R::Admin]),
    (P::ReadWebhooks, &[R::Operator, R::Admin]),
    (P::ManageWebhooks, &[R::Admin]),
    (P::ManageTokens, &[R::Admin]),
    (P::ReadAudit, &[R::Admin]),
    (P::Drain, &[R::Admin]),
    (P::Simulate, &[R::Planner, R::Admin]),
];

/// Why a word is no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("roles are viewer, agent, supervisor, operator, planner and admin")]
pub struct NoRole;

impl Role {
    /// All, in the order of the table's columns.
    pub const ALL: [Self; 6] = [R::Viewer, R::Agent, R::Supervisor, R::Operator, R::Planner, R::Admin];

    /// The word for it in configuration, tokens, errors and the audit.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Operator => "operator",
            Self::Planner => "planner",
            Self::Admin => "admin",
        }
    }

    /// Whether it has a permission. O(permissions).
    pub fn may(self, permission: Permission) -> bool {
        TABLE.iter().any(|(row, roles)| *row == permission && roles.contains(&self))
    }

    /// Whether it has nothing that `other` lacks: a holder gives no more than it has.
    pub fn is_within(self, other: Self) -> bool {
        TABLE.iter().all(|(_, roles)| !roles.contains(&self) || roles.contains(&other))
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.word() == word).ok_or(NoRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Permission {
    /// How many there are.
    pub const COUNT: usize = Self::Simulate as usize + 1;

    /// The word for it in errors, the description of the API and the document of roles.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ReadFigures => "read_figures",
            Self::ReadFloor => "read_floor",
            Self::ReadTranscripts => "read_transcripts",
            Self::ActAsCustomer => "act_as_customer",
            Self::ActAsOwnSeat => "act_as_own_seat",
            Self::ActAtAnySeat => "act_at_any_seat",
            Self::IssueSeatTokens => "issue_seat_tokens",
            Self::WriteRoster => "write_roster",
            Self::ReadPolicy => "read_policy",
            Self::CheckPolicy => "check_policy",
            Self::WritePolicy => "write_policy",
            Self::WriteAccounts => "write_accounts",
            Self::ReadWebhooks => "read_webhooks",
            Self::ManageWebhooks => "manage_webhooks",
            Self::ManageTokens => "manage_tokens",
            Self::ReadAudit => "read_audit",
            Self::Drain => "drain",
            Self::Simulate => "simulate",
        }
    }

    /// The roles that have it.
    pub fn roles(self) -> &'static [Role] {
        TABLE.iter().find(|(row, _)| *row == self).map_or(&[], |(_, roles)| roles)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    //! The table against the document that people read, cell by cell, in both languages.

    use super::*;
    use std::collections::BTreeMap;

    const DOCUMENT: &str = include_str!("../../../docs/operating/roles.md");

    /// Rows of the tables of a document: permission, then a mark a role in the heading's order.
    fn tables(text: &str) -> Vec<BTreeMap<String, Vec<Role>>> {
        let mut tables = Vec::new();
        let mut columns: Vec<Option<Role>> = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            if !line.starts_with('|') {
                columns.clear();
                continue;
            }
            let word = |cell: &str| cell.split('`').nth(1).unwrap_or("").to_owned();
            if columns.is_empty() {
                columns = cells.iter().map(|cell| word(cell).parse().ok()).collect();
                if columns.iter().flatten().count() == Role::ALL.len() {
                    tables.push(BTreeMap::new());
                }
                continue;
            }
            if cells[0].starts_with('-') || columns.iter().flatten().count() != Role::ALL.len() {
                continue;
            }
            let marked = cells.iter().zip(&columns).filter(|(cell, _)| **cell == "●").filter_map(|(_, role)| *role).collect();
            let repeated = tables.last_mut().and_then(|table| table.insert(word(cells[0]), marked));
            assert_eq!(repeated, None, "a permission stands twice: {line}");
        }
        tables
    }

    #[test]
    fn the_document_says_what_the_table_says() {
        let ours: BTreeMap<_, _> = TABLE.iter().map(|(p, roles)| (p.word().to_owned(), roles.to_vec())).collect();
        assert_eq!(ours.len(), Permission::COUNT, "a permission stands twice");
        let theirs = tables(DOCUMENT);
        assert_eq!(theirs.len(), 2, "one table a language");
        for table in theirs {
            assert_eq!(table, ours);
        }
    }

    #[test]
    fn every_permission_has_its_row_and_somebody() {
        for (at, (permission, roles)) in TABLE.iter().enumerate() {
            assert_eq!(*permission as usize, at, "rows stand in the order of the type");
            assert!(!roles.is_empty(), "{permission}");
            for role in Role::ALL {
                assert_eq!(role.may(*permission), roles.contains(&role), "{role} {permission}");
            }
        }
    }

    #[test]
    fn words_are_read_as_they_are_written_and_nothing_else_is() {
        for role in Role::ALL {
            assert_eq!(role.word().parse(), Ok(role));
        }
        for word in ["", "Admin", "ADMIN", "admin ", "root", "ａdmin", "viewer,admin"] {
            assert_eq!(word.parse::<Role>(), Err(NoRole), "{word:?}");
        }
    }

    #[test]
    fn nobody_gives_what_it_lacks() {
        assert!(Role::Viewer.is_within(Role::Admin) && Role::Operator.is_within(Role::Admin));
        assert!(!Role::Admin.is_within(Role::Operator));
        assert!(!Role::Agent.is_within(Role::Admin), "a seat is a person's own");
    }
}
