//! Derived ids: the first 128 bits of SHA-256 over length-prefixed parts under a domain tag.
//!
//! A replay of the same frame on any node therefore yields the same id, and the router's de-duplication sees it as such. The
//! lengths make the parts unambiguous ("ab"+"c" is not "a"+"bc"), the domain keeps kinds apart. Nothing here is secret: a
//! visitor id is (see [`crate::auth`]), and only its digest leaves this crate.

use sha2::{Digest, Sha256};
use tidegate_model::{AccountId, CommandId, ConversationId, CustomerId, EventId, SeatId, TenantId};

fn derive(domain: &str, parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in core::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut first = [0_u8; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(first).max(1)
}

/// The conversation of a visitor on an account. `verified` visitors (named by a site's signed identity) and anonymous ones
/// never meet, whatever they call themselves.
pub fn conversation(account: AccountId, visitor: &str, verified: bool) -> ConversationId {
    let kind: &[u8] = if verified { b"verified" } else { b"anonymous" };
    ConversationId(derive("tidegate/web/conversation/1", &[&account.0.to_le_bytes(), kind, visitor.as_bytes()]))
}

/// The event of a client's message id in a conversation.
pub fn event(account: AccountId, conversation: ConversationId, client_msg_id: &str) -> EventId {
    EventId(derive("tidegate/web/event/1", &[&account.0.to_le_bytes(), &conversation.0.to_le_bytes(), client_msg_id.as_bytes()]))
}

/// The customer named by a site's signed identity, the same on every account of the tenant.
pub fn customer(tenant: TenantId, subject: &str) -> CustomerId {
    let wide = derive("tidegate/web/customer/1", &[&tenant.0.to_le_bytes(), subject.as_bytes()]);
    CustomerId(((wide >> 64) as u64).max(1))
}

/// The command of a desk's own command id on a seat.
pub fn command(seat: SeatId, command_id: &str) -> CommandId {
    CommandId(derive("tidegate/desk/command/1", &[&seat.0.to_le_bytes(), command_id.as_bytes()]))
}

/// A command of the gateway about a seat's link: unique by the desk's connection and a counter.
pub fn link_command(seat: SeatId, connection: u128, step: u32) -> CommandId {
    CommandId(derive("tidegate/desk/link/1", &[&seat.0.to_le_bytes(), &connection.to_le_bytes(), &step.to_le_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_apart() {
        let a = conversation(AccountId(1), "ab", false);
        assert_eq!(a, conversation(AccountId(1), "ab", false));
        assert_ne!(a, conversation(AccountId(1), "ab", true));
        assert_ne!(a, conversation(AccountId(2), "ab", false));
        assert_ne!(event(AccountId(1), a, "x"), event(AccountId(1), a, "y"));
        assert_ne!(command(SeatId(1), "x"), command(SeatId(2), "x"));
        assert_ne!(derive("d", &[b"ab", b"c"]), derive("d", &[b"a", b"bc"]));
    }

    /// A golden value: ids live in logs, so the derivation may never change unnoticed.
    #[test]
    fn golden() {
        let conversation = conversation(AccountId(7), "visitor-0000000001", false);
        assert_eq!(format!("{:032x}", conversation.0), "a9b39601e01c13e2444351e871f484c9");
        // As the router's API has it: a customer whom the site names is the same on both faces.
        assert_eq!(format!("{:016x}", customer(TenantId(1), "user-1").0), "2a7b00485328327a");
        assert_eq!(format!("{:032x}", event(AccountId(7), conversation, "m1").0), "85c4f4ca1c56a853873e8ea26229f7a4");
    }
}
